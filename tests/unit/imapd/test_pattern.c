/* SPDX-License-Identifier: ISC */
/*
 * pattern: LIST's wildcards.
 */
#include <check.h>

#include "imapd/pattern.h"

static const struct { const char *pattern, *name; bool want; } cases[] = {
	{ "*", "a/b/c", true }, { "%", "a", true }, { "%", "a/b", false },
	{ "*", "", true }, { "", "", true }, { "", "a", false },
	{ "a", "a", true }, { "a", "ab", false }, { "ab", "a", false },
	{ "a/%", "a/b", true }, { "a/%", "a/b/c", false },
	{ "a/%/c", "a/b/c", true }, { "a*c", "a/b/c", true },
	{ "%/%", "a/b", true }, { "%/%", "a", false },
	{ "*b*", "abc", true }, { "*x*", "abc", false },
	{ "a%", "a", true }, { "%%%", "ab", true },
	{ "*%*c", "a/b/c", true },
};

START_TEST(matches)
{
	ck_assert_int_eq(pattern_match(span_of(cases[_i].pattern),
	    span_of(cases[_i].name)), cases[_i].want);
}
END_TEST

START_TEST(none_explodes)
{
	char pattern[129], name[1001];

	for (int i = 0; i < 128; i++)
		pattern[i] = i % 2 ? 'a' : '*';
	pattern[128] = '\0';
	memset(name, 'a', 1000);
	name[999] = 'b';
	name[1000] = '\0';
	ck_assert(pattern_sane(span_of(pattern)));
	ck_assert(!pattern_match(span_of(pattern), span_of(name)));
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("pattern");
	TCase *t = tcase_create("pattern");

	tcase_add_loop_test(t, matches, 0, ARRAY_LEN(cases));
	tcase_add_test(t, none_explodes);
	suite_add_tcase(s, t);
	return s;
}
