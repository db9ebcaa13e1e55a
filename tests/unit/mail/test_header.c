/* SPDX-License-Identifier: ISC */
/*
 * header: taking a section apart, unfolding, folding.
 */
#include <check.h>

#include "mail/header.h"

/* want: "name|value|" of each field, then "/" and what is left over. */
static const struct { const char *in, *want; } sections[] = {
	{ "A: 1\nB: 2\n\nbody\n",	"A| 1|B| 2|/\nbody\n" },
	{ "A: 1\r\nB: 2\r\n\r\nx",	"A| 1|B| 2|/\r\nx" },
	{ "A: 1\n 2\n\t3\nB:\n\n",	"A| 1\n 2\n\t3|B||/\n" },
	{ "A:1",			"A|1|/" },
	{ "A : 1\n",			"A| 1|/" },
	{ "A\t: 1\n",			"A| 1|/" },
	{ "A: 1\nno header\nB: 2\n",	"A| 1|/no header\nB: 2\n" },
	{ "",				"/" },
	{ "\nA: 1\n",			"/\nA: 1\n" },
	{ " A: 1\n",			"/ A: 1\n" },
	{ ": 1\n",			"/: 1\n" },
	{ "A b: 1\n",			"/A b: 1\n" },
	{ "\303\266: 1\n",		"/\303\266: 1\n" },
	{ "A: 1\n \nB: 2\n",		"A| 1\n |B| 2|/" },
	{ "A: 1\r",			"A| 1|/" },
};

START_TEST(section_is_taken_apart)
{
	struct buf got = BUF_INIT(BUF_UNLIMITED);
	struct span in = span_of(sections[_i].in);
	struct header_field f;

	while (header_next(&in, &f) == 1) {
		buf_add_span(&got, f.name);
		buf_add_char(&got, '|');
		buf_add_span(&got, f.value);
		buf_add_char(&got, '|');
	}
	buf_add_char(&got, '/');
	buf_add_span(&got, in);
	ck_assert_str_eq(got.data, sections[_i].want);
	ck_assert_uint_eq(header_section_len(span_of(sections[_i].in)),
	    strlen(sections[_i].in) - in.len);
	buf_fini(&got);
}
END_TEST

START_TEST(find_ignores_case_and_takes_the_first)
{
	struct header_field f;
	struct span in = SPAN("To: a\nSubject: 1\nsubject: 2\n\nX-Y: z\n");

	ck_assert(header_find(in, "SUBJECT", &f));
	ck_assert(span_is(f.value, " 1"));
	ck_assert(!header_find(in, "X-Y", &f));
}
END_TEST

static const struct { const char *in, *want; } unfolds[] = {
	{ " a\n b", "a b" }, { " a\r\n\t b ", "a b" }, { "a  b", "a  b" },
	{ "", "" }, { "\n \n", "" },
};

START_TEST(unfold_makes_one_line)
{
	struct buf got = BUF_INIT(BUF_UNLIMITED);

	header_unfold(span_of(unfolds[_i].in), &got);
	ck_assert_str_eq(got.data, unfolds[_i].want);
	buf_fini(&got);
}
END_TEST

START_TEST(fold_breaks_at_spaces_only)
{
	struct buf in = BUF_INIT(BUF_UNLIMITED), got = BUF_INIT(BUF_UNLIMITED);
	struct buf back = BUF_INIT(BUF_UNLIMITED);
	struct span rest, line;
	struct header_field f;

	for (int i = 0; i < 40; i++)
		buf_addf(&in, "%sword%d@example.test,", i ? " " : "", i);
	header_fold(&got, "To", buf_span(&in), "\n");
	rest = buf_span(&got);
	while (span_line(&rest, &line))
		ck_assert_uint_le(line.len, 78);
	rest = buf_span(&got);
	ck_assert_int_eq(header_next(&rest, &f), 1);
	ck_assert_uint_eq(rest.len, 0);
	header_unfold(f.value, &back);
	ck_assert_str_eq(back.data, in.data);

	buf_reset(&got);
	header_fold(&got, "X", SPAN(" a\n b \n"), "\r\n");
	ck_assert_str_eq(got.data, "X: a b\r\n");
	buf_reset(&got);
	header_fold(&got, "X", SPAN_EMPTY, "\n");
	ck_assert_str_eq(got.data, "X:\n");
	buf_fini(&in);
	buf_fini(&got);
	buf_fini(&back);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("header");
	TCase *t = tcase_create("header");

	tcase_add_loop_test(t, section_is_taken_apart, 0, ARRAY_LEN(sections));
	tcase_add_test(t, find_ignores_case_and_takes_the_first);
	tcase_add_loop_test(t, unfold_makes_one_line, 0, ARRAY_LEN(unfolds));
	tcase_add_test(t, fold_breaks_at_spaces_only);
	suite_add_tcase(s, t);
	return s;
}
