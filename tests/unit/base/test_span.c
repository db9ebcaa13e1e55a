/* SPDX-License-Identifier: ISC */
/*
 * span: comparing, finding, cutting.
 */
#include "base/mem.h"
#include "base/span.h"

START_TEST(an_empty_span_may_have_no_pointer)
{
	struct span e = SPAN_EMPTY, t;

	ck_assert(span_eq(e, SPAN("")));
	ck_assert(span_caseeq(e, SPAN("")));
	ck_assert_int_eq(span_cmp(e, SPAN("")), 0);
	ck_assert(span_starts(e, e));
	ck_assert(span_ends(SPAN("x"), e));
	ck_assert_int_eq(span_find(e, 'x'), -1);
	ck_assert_int_eq(span_rfind(e, 'x'), -1);
	ck_assert_int_eq(span_search(e, SPAN("x")), -1);
	ck_assert_int_eq(span_search(e, e), 0);
	ck_assert_int_eq(span_casesearch(e, SPAN("x")), -1);
	ck_assert_uint_eq(span_from(e, 3).len, 0);
	ck_assert_uint_eq(span_trim(e).len, 0);
	ck_assert(!span_token(&e, " ", &t));
	ck_assert(!span_line(&e, &t));
	ck_assert(!span_has_nul(e));
	ck_assert(span_of(NULL).len == 0);
}
END_TEST

START_TEST(only_ascii_letters_have_case)
{
	ck_assert(span_caseeq(SPAN("aZ09@["), SPAN("Az09@[")));
	ck_assert(!span_caseeq(SPAN("@"), SPAN("`")));
	ck_assert(!span_caseeq(SPAN("["), SPAN("{")));
	ck_assert(!span_caseeq(SPAN("\xc4"), SPAN("\xe4")));
	ck_assert(!span_eq(SPAN("a"), SPAN("A")));
	ck_assert(span_caseis(SPAN("MAIL"), "mail"));
	ck_assert(!span_is(SPAN("MAIL"), "mail"));
	ck_assert(!span_caseis(SPAN("MAILX"), "mail"));
	ck_assert(span_casestarts(SPAN("MAIL FROM"), SPAN("mail")));
	ck_assert(span_caseends(SPAN("x.COM"), SPAN(".com")));
	ck_assert(!span_caseends(SPAN("m"), SPAN(".com")));
}
END_TEST

START_TEST(order_is_by_bytes_then_length)
{
	ck_assert_int_lt(span_cmp(SPAN("a"), SPAN("b")), 0);
	ck_assert_int_lt(span_cmp(SPAN("a"), SPAN("aa")), 0);
	ck_assert_int_gt(span_cmp(SPAN("\xff"), SPAN("a")), 0);
	ck_assert_int_eq(span_cmp(SPAN("a\0b"), SPAN("a\0b")), 0);
	ck_assert_int_lt(span_cmp(SPAN("a\0b"), SPAN("a\0c")), 0);
}
END_TEST

START_TEST(finding)
{
	ck_assert_int_eq(span_find(SPAN("a@b@c"), '@'), 1);
	ck_assert_int_eq(span_rfind(SPAN("a@b@c"), '@'), 3);
	ck_assert_int_eq(span_find(SPAN("abc"), '@'), -1);
	ck_assert_int_eq(span_search(SPAN("xxabc"), SPAN("abc")), 2);
	ck_assert_int_eq(span_search(SPAN("xxab"), SPAN("abc")), -1);
	ck_assert_int_eq(span_casesearch(SPAN("xxABc"), SPAN("abC")), 2);
	ck_assert_int_eq(span_casesearch(SPAN("xxAB"), SPAN("abC")), -1);
	ck_assert_int_eq(span_casesearch(SPAN("aab"), SPAN("AB")), 1);
}
END_TEST

START_TEST(cuts_are_clamped)
{
	ck_assert(span_is(span_from(SPAN("abc"), 1), "bc"));
	ck_assert(span_is(span_from(SPAN("abc"), 3), ""));
	ck_assert(span_is(span_from(SPAN("abc"), 99), ""));
	ck_assert(span_is(span_sub(SPAN("abc"), 1, 1), "b"));
	ck_assert(span_is(span_sub(SPAN("abc"), 1, 99), "bc"));
	ck_assert(span_is(span_sub(SPAN("abc"), 1, SIZE_MAX), "bc"));
	ck_assert(span_is(span_trim(SPAN(" \t\r\na b\n ")), "a b"));
	ck_assert(span_is(span_trim(SPAN(" \n ")), ""));
}
END_TEST

START_TEST(tokens_are_never_empty)
{
	struct span rest = SPAN(",, a,b\tc ,"), t;

	ck_assert(span_token(&rest, ", \t", &t) && span_is(t, "a"));
	ck_assert(span_token(&rest, ", \t", &t) && span_is(t, "b"));
	ck_assert(span_token(&rest, ", \t", &t) && span_is(t, "c"));
	ck_assert(!span_token(&rest, ", \t", &t));
	ck_assert_uint_eq(rest.len, 0);
	/* A NUL is no separator though every C string ends in one. */
	rest = SPAN("a\0b c");
	ck_assert(span_token(&rest, " ", &t) && span_eq(t, SPAN("a\0b")));
}
END_TEST

START_TEST(lines_end_in_lf_or_crlf_or_the_end)
{
	struct span rest = SPAN("a\r\n\nb\rc\nd"), l;

	ck_assert(span_line(&rest, &l) && span_is(l, "a"));
	ck_assert(span_line(&rest, &l) && span_is(l, ""));
	ck_assert(span_line(&rest, &l) && span_is(l, "b\rc"));
	ck_assert(span_line(&rest, &l) && span_is(l, "d"));
	ck_assert(!span_line(&rest, &l));
}
END_TEST

START_TEST(copies)
{
	char dst[4] = "zzz", *p;

	ck_assert_int_eq(span_copy(SPAN("abc"), dst, sizeof(dst)), 0);
	ck_assert_str_eq(dst, "abc");
	ck_assert_int_eq(span_copy(SPAN("abcd"), dst, sizeof(dst)), -1);
	ck_assert_str_eq(dst, "");
	ck_assert_int_eq(span_copy(SPAN("a\0b"), dst, sizeof(dst)), -1);
	ck_assert_int_eq(span_copy(SPAN_EMPTY, dst, 1), 0);
	ck_assert_int_eq(span_copy(SPAN_EMPTY, dst, 0), -1);
	p = span_dup(SPAN("xy"));
	ck_assert_str_eq(p, "xy");
	mem_free(p);
	p = span_dup(SPAN_EMPTY);
	ck_assert_str_eq(p, "");
	mem_free(p);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("span");
	TCase *t = tcase_create("span");

	tcase_add_test(t, an_empty_span_may_have_no_pointer);
	tcase_add_test(t, only_ascii_letters_have_case);
	tcase_add_test(t, order_is_by_bytes_then_length);
	tcase_add_test(t, finding);
	tcase_add_test(t, cuts_are_clamped);
	tcase_add_test(t, tokens_are_never_empty);
	tcase_add_test(t, lines_end_in_lf_or_crlf_or_the_end);
	tcase_add_test(t, copies);
	suite_add_tcase(s, t);
	return s;
}
