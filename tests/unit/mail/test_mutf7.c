/* SPDX-License-Identifier: ISC */
/*
 * mutf7: names there and back, and every form that the RFC forbids.
 */
#include <check.h>

#include "mail/mutf7.h"

static const struct { const char *coded, *plain; } pairs[] = {
	{ "", "" },
	{ "INBOX", "INBOX" },
	{ "a&-b", "a&b" },
	{ "~peter/mail/&U,BTFw-/&ZeVnLIqe-", "~peter/mail/台北/日本語" },
	{ "Entw&APw-rfe", "Entwürfe" },
	{ "&AOQ-&-&AOQ-", "ä&ä" },
	{ "&2D3eAA-", "😀" },
	{ "&AAo-", "\n" },
};

START_TEST(goes_there_and_back)
{
	struct buf b = BUF_INIT(1000);

	ck_assert_int_eq(mutf7_decode(span_of(pairs[_i].coded), &b), 0);
	ck_assert_str_eq(b.data, pairs[_i].plain);
	buf_reset(&b);
	ck_assert_int_eq(mutf7_encode(span_of(pairs[_i].plain), &b), 0);
	ck_assert_str_eq(b.data, pairs[_i].coded);
	buf_fini(&b);
}
END_TEST

static const char *const bad[] = {
	"&", "a&", "&AOQ", "&AOQ-&AOQ-",	/* no end; two in a row */
	"&AGE-",				/* printable in base64 */
	"&AOR-", "&AOQA-", "&A-", "&=-",	/* bits left over */
	"&2D0-", "&3gA-", "&3gDYPQ-",		/* half a pair, wrong order */
	"\xc3\xa4", "a\tb", "\x7f",
};

START_TEST(only_one_form_is_taken)
{
	struct buf b = BUF_INIT(1000);

	buf_add_str(&b, "x");
	ck_assert_int_eq(mutf7_decode(span_of(bad[_i]), &b), -1);
	ck_assert_str_eq(b.data, "x");
	buf_fini(&b);
}
END_TEST

START_TEST(limit_holds)
{
	struct buf b = BUF_INIT(3);

	ck_assert_int_eq(mutf7_encode(SPAN("abcd"), &b), -1);
	ck_assert_int_eq(mutf7_encode(SPAN("\xc3\xa4"), &b), -1);
	ck_assert_int_eq(mutf7_encode(SPAN("\xc3"), &b), -1);
	ck_assert_int_eq(mutf7_decode(SPAN("&AOQ-bc"), &b), -1);
	ck_assert_uint_eq(b.len, 0);
	ck_assert_int_eq(mutf7_decode(SPAN("&AOQ-c"), &b), 0);
	buf_fini(&b);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("mutf7");
	TCase *t = tcase_create("mutf7");

	tcase_add_loop_test(t, goes_there_and_back, 0, ARRAY_LEN(pairs));
	tcase_add_loop_test(t, only_one_form_is_taken, 0, ARRAY_LEN(bad));
	tcase_add_test(t, limit_holds);
	suite_add_tcase(s, t);
	return s;
}
