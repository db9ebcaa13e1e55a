/* SPDX-License-Identifier: ISC */
/*
 * postalias_line: names and values of alias files.
 */
#include "cmd/postalias_line.h"

/* name NULL: refused. */
static const struct {
	const char	*in, *name, *value;
} cases[] = {
	{ "a: b", "a", "b" },
	{ "a:b", "a", "b" },
	{ "a :b", "a", "b" },
	{ "a:  b ,  c,d", "a", "b, c, d" },
	{ "\"joe smith\": joe", "joe smith", "joe" },
	{ "\"a:b\": c", "a:b", "c" },
	{ "a\\\"b: c", "a\"b", "c" },
	{ "a: \"|cmd  x, y\", b", "a", "\"|cmd  x, y\", b" },
	{ "a: :include:/x", "a", ":include:/x" },
	{ "a: b\\\"c  d", "a", "b\\\"c d" },
	{ "a: b,,c,", "a", "b,, c," },
	{ "a: \"b", "a", "\"b\"" },
	{ "a: \"b,c\"", "a", "\"b,c\"" },
	{ "a@b: c", NULL, NULL },
	{ "\"a@b\": c", "a@b", "c" },
	{ "a", NULL, NULL },
	{ "a:", NULL, NULL },
	{ "a:   ", NULL, NULL },
	{ ": b", NULL, NULL },
	{ "\"\": b", NULL, NULL },
	{ "\"a: b", NULL, NULL },
	{ "", NULL, NULL },
};

START_TEST(alias_lines)
{
	struct buf name = BUF_INIT(100), value = BUF_INIT(100);
	const char *wrong;
	int rc = postalias_parse(span_of(cases[_i].in), &name, &value,
	    &wrong);

	ck_assert_int_eq(rc, cases[_i].name != NULL ? 0 : -1);
	if (rc == 0) {
		ck_assert_str_eq(name.data, cases[_i].name);
		ck_assert_str_eq(value.data, cases[_i].value);
	}
	buf_fini(&name);
	buf_fini(&value);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("cmd/postalias_line");
	TCase *t = tcase_create("postalias_line");

	tcase_add_loop_test(t, alias_lines, 0, ARRAY_LEN(cases));
	suite_add_tcase(s, t);
	return s;
}
