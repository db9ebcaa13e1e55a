/* SPDX-License-Identifier: ISC */
/*
 * frame: commands are found whatever the pieces are in which they come.
 */
#include <check.h>

#include "imapd/frame.h"

#define LIMIT	40

static const struct {
	const char	*in;
	size_t		 text, len;	/* 0: no command */
	int		 literals;
	enum frame_result end;
} cases[] = {
	{ "a noop\r\nb", 6, 8, 0, FRAME_COMMAND },
	{ "a noop\n", 6, 7, 0, FRAME_COMMAND },
	{ "\r\n", 0, 2, 0, FRAME_COMMAND },
	{ "a noop\r", 0, 0, 0, FRAME_MORE },
	{ "a x {3}\r\nabc\r\n", 12, 14, 1, FRAME_COMMAND },
	{ "a x {3+}\r\n\r\n) {2}\r\nxy z\r\n", 23, 25, 2,
	    FRAME_COMMAND },
	{ "a x {3}\r\nab", 0, 0, 1, FRAME_MORE },
	{ "a x {0}\r\n\r\n", 9, 11, 1, FRAME_COMMAND },
	{ "a \"{3}\"\r\n", 7, 9, 0, FRAME_COMMAND },
	{ "a {}\r\n", 4, 6, 0, FRAME_COMMAND },
	{ "a {+}\r\n", 5, 7, 0, FRAME_COMMAND },
	{ "0123456789012345678901234567890123456789\r\n", 40, 42, 0,
	    FRAME_COMMAND },
	{ "0123456789012345678901234567890123456789012345\r\n", 0, 0, 0,
	    FRAME_TOO_LONG },
	{ "01234567890123456789012345678901234567890123456789", 0, 0, 0,
	    FRAME_TOO_LONG },
};

static void
run(int i, size_t step)
{
	struct span all = span_of(cases[i].in);
	struct frame f = { 0 };
	size_t len = 0, text = 0;
	int literals = 0;
	enum frame_result r = FRAME_MORE;

	for (size_t have = MIN(step, all.len); r == FRAME_MORE;) {
		r = frame_next(&f, span_sub(all, 0, have), LIMIT, &len, &text);
		if (r == FRAME_LITERAL) {
			literals++;
			frame_accept(&f);
			r = FRAME_MORE;
			continue;
		}
		if (r == FRAME_MORE && have == all.len)
			break;
		have = MIN(have + step, all.len);
	}
	ck_assert_int_eq(r, cases[i].end);
	ck_assert_int_eq(literals, cases[i].literals);
	if (r == FRAME_COMMAND) {
		ck_assert_uint_eq(text, cases[i].text);
		ck_assert_uint_eq(len, cases[i].len);
	}
}

START_TEST(in_any_pieces)
{
	for (size_t step = 1; step < 60; step++)
		run(_i, step);
}
END_TEST

START_TEST(announcements)
{
	uint64_t n;
	bool sync;

	ck_assert(frame_announces(SPAN("x {12}"), &n, &sync) && n == 12 && sync);
	ck_assert(frame_announces(SPAN("{12+}"), &n, &sync) && !sync);
	ck_assert(frame_announces(SPAN("~{1}"), &n, &sync) && n == 1);
	ck_assert(frame_announces(SPAN("{99999999999999999999}"), &n, &sync));
	ck_assert_uint_eq(n, UINT64_MAX);
	ck_assert(!frame_announces(SPAN("12}"), &n, &sync));
	ck_assert(!frame_announces(SPAN("{1 2}"), &n, &sync));
	ck_assert(!frame_announces(SPAN("{-1}"), &n, &sync));
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("frame");
	TCase *t = tcase_create("frame");

	tcase_add_loop_test(t, in_any_pieces, 0, ARRAY_LEN(cases));
	tcase_add_test(t, announcements);
	suite_add_tcase(s, t);
	return s;
}
