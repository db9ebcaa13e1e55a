/* SPDX-License-Identifier: ISC */
/*
 * fold: found where a slow search finds it.
 */
#include <check.h>

#include "base/fold.h"
#include "base/mem.h"

static const struct { const char *hay, *needle; ptrdiff_t want; } cases[] = {
	{ "", "", 0 }, { "x", "", 0 }, { "", "X", -1 }, { "x", "X", 0 },
	{ "garden", "GARDEN", 0 }, { "in the GaRdEn", "GARDEN", 7 },
	{ "garde", "GARDEN", -1 }, { "gardEN", "GARDE", 0 },
	{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", "AAB", 28 },
	{ "0123456789abcdef0123456789abcdef-", "F-", 31 },
	{ "@[`{", "@[`{", 0 }, { "@[`{", "`{", 2 }, { "`", "@", -1 },
	{ "{", "[", -1 }, { "\xc1", "A", -1 }, { "\xe1" "a", "A", 1 },
};

START_TEST(finds)
{
	ck_assert_int_eq(span_find_folded(span_of(cases[_i].hay),
	    span_of(cases[_i].needle)), cases[_i].want);
}
END_TEST

static ptrdiff_t
slowly(struct span hay, struct span needle)
{
	for (size_t i = 0; i + needle.len <= hay.len; i++) {
		if (span_caseeq(span_sub(hay, i, needle.len), needle))
			return (ptrdiff_t)i;
	}
	return -1;
}

/* Few letters, so that much of it fits nearly; memory that ends where the text
 * does. */
START_TEST(finds_what_a_slow_search_does)
{
	unsigned seed = 1;

	for (int turn = 0; turn < 20000; turn++) {
		char needle[8];
		size_t n, k;
		char *hay;

		seed = seed * 1103515245u + 12345u;
		n = seed >> 16 & 127;
		k = 1 + (seed >> 24 & 3);
		hay = mem_alloc(MAX(n, 1));
		for (size_t i = 0; i < n; i++) {
			seed = seed * 1103515245u + 12345u;
			hay[i] = "abABc-"[(seed >> 16) % 6];
		}
		for (size_t i = 0; i < k; i++) {
			seed = seed * 1103515245u + 12345u;
			needle[i] = "ABC-"[(seed >> 16) % 4];
		}
		ck_assert_int_eq(span_find_folded(span_make(hay, n),
		    span_make(needle, k)), slowly(span_make(hay, n),
		    span_make(needle, k)));
		mem_free(hay);
	}
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("fold");
	TCase *t = tcase_create("fold");

	tcase_add_loop_test(t, finds, 0, (int)ARRAY_LEN(cases));
	tcase_add_test(t, finds_what_a_slow_search_does);
	suite_add_tcase(s, t);
	return s;
}
