/* SPDX-License-Identifier: ISC */
/*
 * dsn: codes, NOTIFY, xtext and the encodings of RFC 6533.
 */
#include <check.h>

#include "mail/dsn.h"

static const struct { const char *in; bool want; } codes[] = {
	{ "2.0.0", true }, { "5.999.999", true }, { "4.10.1", true },
	{ "3.0.0", false }, { "2.0", false }, { "2.0.0.0", false },
	{ "2..0", false }, { "2.0.", false }, { "2.0000.1", false },
	{ "2.0.1234", false }, { "", false }, { "2.0.0 ", false },
	{ "2.0.x", false }, { "20.0.0", false },
};

START_TEST(code_has_three_numbers)
{
	ck_assert_int_eq(dsn_code_valid(span_of(codes[_i].in)),
	    codes[_i].want);
}
END_TEST

static const struct { const char *in; int want; } notifies[] = {
	{ "NEVER", DSN_NOTIFY_NEVER }, { "never", DSN_NOTIFY_NEVER },
	{ "SUCCESS", DSN_NOTIFY_SUCCESS },
	{ "failure,Delay", DSN_NOTIFY_FAILURE | DSN_NOTIFY_DELAY },
	{ "SUCCESS,FAILURE,DELAY", 14 },
	{ "NEVER,DELAY", -1 }, { "", -1 }, { "DELAY,", -1 }, { ",DELAY", -1 },
	{ "DELAY ", -1 }, { "X", -1 },
};

START_TEST(notify_is_never_or_a_list)
{
	unsigned got = 99;
	int rc = dsn_parse_notify(span_of(notifies[_i].in), &got);

	ck_assert_int_eq(rc, notifies[_i].want < 0 ? -1 : 0);
	ck_assert_int_eq((int)got, rc < 0 ? 99 : notifies[_i].want);
}
END_TEST

static const struct { const char *in, *want; } xtexts[] = {
	{ "abc", "abc" }, { "a+20b", "a b" }, { "+2B+3D", "+=" },
	{ "rfc822;joe+40a.test", "rfc822;joe@a.test" }, { "", "" },
	{ "a+2bc", "a+c" },
	{ "a+2", NULL }, { "a+", NULL }, { "a+GG", NULL }, { "a=b", NULL },
	{ "a b", NULL }, { "a+0Ab", NULL }, { "a+00", NULL }, { "+7F", NULL },
	{ "\303\266", NULL },
};

START_TEST(xtext_decodes_and_refuses)
{
	struct buf out = BUF_INIT(100);
	int rc = dsn_xtext_decode(span_of(xtexts[_i].in), &out);

	ck_assert_int_eq(rc, xtexts[_i].want != NULL ? 0 : -1);
	ck_assert_str_eq(out.data, rc == 0 ? xtexts[_i].want : "");
	buf_fini(&out);
}
END_TEST

START_TEST(xtext_goes_round_and_obeys_the_limit)
{
	struct buf enc = BUF_INIT(BUF_UNLIMITED), out = BUF_INIT(5);

	dsn_xtext_encode(SPAN("a+= b"), &enc);
	ck_assert_str_eq(enc.data, "a+2B+3D+20b");
	ck_assert_int_eq(dsn_xtext_decode(buf_span(&enc), &out), 0);
	ck_assert_str_eq(out.data, "a+= b");
	buf_reset(&out);
	ck_assert_int_eq(dsn_xtext_decode(SPAN("123456"), &out), -1);
	ck_assert_uint_eq(out.len, 0);
	buf_fini(&enc);
	buf_fini(&out);
}
END_TEST

static const struct { const char *in, *want; } utf8s[] = {
	{ "joe@a.test", "joe@a.test" },
	{ "j\\x{F6}@a.test", "j\303\266@a.test" },
	{ "j\303\266@a.test", "j\303\266@a.test" },
	{ "\\x{20AC}", "\342\202\254" }, { "\\x{1F600}", "\360\237\230\200" },
	{ "\\x{2B}", "+" },
	{ "\\x{D800}", NULL }, { "\\x{110000}", NULL }, { "\\x{0A}", NULL },
	{ "\\x{}", NULL }, { "\\x{41", NULL }, { "\\y", NULL }, { "+", NULL },
	{ "\303", NULL }, { "a b", NULL },
};

START_TEST(utf8_decodes_and_refuses)
{
	struct buf out = BUF_INIT(100);
	int rc = dsn_utf8_decode(span_of(utf8s[_i].in), &out);

	ck_assert_int_eq(rc, utf8s[_i].want != NULL ? 0 : -1);
	ck_assert_str_eq(out.data, rc == 0 ? utf8s[_i].want : "");
	buf_fini(&out);
}
END_TEST

START_TEST(utf8_encodes_both_ways)
{
	struct buf out = BUF_INIT(BUF_UNLIMITED);

	dsn_utf8_encode(SPAN("j\303\266+\\\377"), true, &out);
	ck_assert_str_eq(out.data, "j\\x{F6}\\x{2B}\\x{5C}\\x{FFFD}");
	buf_reset(&out);
	dsn_utf8_encode(SPAN("j\303\266+"), false, &out);
	ck_assert_str_eq(out.data, "j\303\266\\x{2B}");
	buf_fini(&out);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("dsn");
	TCase *t = tcase_create("dsn");

	tcase_add_loop_test(t, code_has_three_numbers, 0, ARRAY_LEN(codes));
	tcase_add_loop_test(t, notify_is_never_or_a_list, 0,
	    ARRAY_LEN(notifies));
	tcase_add_loop_test(t, xtext_decodes_and_refuses, 0,
	    ARRAY_LEN(xtexts));
	tcase_add_test(t, xtext_goes_round_and_obeys_the_limit);
	tcase_add_loop_test(t, utf8_decodes_and_refuses, 0, ARRAY_LEN(utf8s));
	tcase_add_test(t, utf8_encodes_both_ways);
	suite_add_tcase(s, t);
	return s;
}
