/* SPDX-License-Identifier: ISC */
/*
 * Replies of servers: whole, in pieces, and such that are none.
 */
#include <stdio.h>

#include "smtp/reply.h"

static const struct {
	const char	*in;
	enum reply_result want;
	unsigned	 code;
	const char	*dsn, *text;
} cases[] = {
	{ "250 ok\r\n", REPLY_DONE, 250, "", "250 ok" },
	{ "250\r\n", REPLY_DONE, 250, "", "250" },
	{ "250 \n", REPLY_DONE, 250, "", "250 " },
	{ "250 2.1.0 fine\r\n", REPLY_DONE, 250, "2.1.0", "250 2.1.0 fine" },
	/* RFC 2034 4: the classes must agree. */
	{ "250 5.1.0 odd\r\n", REPLY_DONE, 250, "", "250 5.1.0 odd" },
	{ "550 5.1.1\r\n", REPLY_DONE, 550, "5.1.1", "550 5.1.1" },
	{ "550 5.1.1x no\r\n", REPLY_DONE, 550, "", "550 5.1.1x no" },
	{ "250-a\r\n250-b\r\n250 c\r\n", REPLY_DONE, 250, "",
	  "250-a 250-b 250 c" },
	/* The last line counts. */
	{ "250-2.0.0 a\r\n550 5.7.1 b\r\n", REPLY_DONE, 550, "5.7.1",
	  "250-2.0.0 a 550 5.7.1 b" },
	{ "354 a\tb\1\x7f\r\n", REPLY_DONE, 354, "", "354 a?b??" },
	{ "25", REPLY_MORE, 0, "", "" },
	{ "250-a\r\n25", REPLY_MORE, 250, "", "250-a" },
	{ "\r\n", REPLY_BAD, 0, "", NULL },
	{ "25 ok\r\n", REPLY_BAD, 0, "", NULL },
	{ "2500 ok\r\n", REPLY_BAD, 0, "", NULL },
	{ "150 ok\r\n", REPLY_BAD, 0, "", NULL },
	{ "650 ok\r\n", REPLY_BAD, 0, "", NULL },
	{ "250.ok\r\n", REPLY_BAD, 0, "", NULL },
	{ "ok\r\n", REPLY_BAD, 0, "", NULL },
	{ "250-a\r\nb\r\n250 c\r\n", REPLY_BAD, 0, "", NULL },
};

START_TEST(a_reply_is_its_lines)
{
	struct reply r;
	size_t used;

	reply_init(&r);
	ck_assert_int_eq(reply_feed(&r, span_of(cases[_i].in), &used),
	    cases[_i].want);
	if (cases[_i].want == REPLY_DONE)
		ck_assert_uint_eq(used, strlen(cases[_i].in));
	if (cases[_i].text != NULL) {
		ck_assert_uint_eq(r.code, cases[_i].code);
		ck_assert_str_eq(r.dsn, cases[_i].dsn);
		ck_assert_str_eq(r.text.data, cases[_i].text);
	}
	reply_fini(&r);
}
END_TEST

START_TEST(it_may_come_byte_by_byte)
{
	static const char in[] = "250-2.1.0 one\r\n250 2.1.0 two\r\n354 go\r\n";
	struct buf pending = BUF_INIT(1000);
	struct reply r;
	unsigned codes[3], n = 0;
	size_t used;

	reply_init(&r);
	for (size_t i = 0; i < sizeof(in) - 1; i++) {
		buf_add_char(&pending, in[i]);
		enum reply_result rc = reply_feed(&r, buf_span(&pending),
		    &used);

		buf_consume(&pending, used);
		if (rc == REPLY_DONE) {
			codes[n++] = r.code;
			reply_reset(&r);
		}
	}
	ck_assert_uint_eq(n, 2);
	ck_assert_uint_eq(codes[0], 250);
	ck_assert_uint_eq(codes[1], 354);
	buf_fini(&pending);
	reply_fini(&r);
}
END_TEST

START_TEST(limits_hold)
{
	struct buf in = BUF_INIT(BUF_UNLIMITED);
	struct reply r;
	size_t used;

	/* A line of exactly the limit, and one more. */
	for (size_t extra = 0; extra < 2; extra++) {
		buf_reset(&in);
		buf_add_str(&in, "250 ");
		while (in.len < REPLY_LINE_MAX + extra)
			buf_add_char(&in, 'x');
		buf_add_str(&in, "\r\n");
		reply_init(&r);
		ck_assert_int_eq(reply_feed(&r, buf_span(&in), &used),
		    extra == 0 ? REPLY_DONE : REPLY_BAD);
		ck_assert_uint_le(r.text.len, REPLY_TEXT_MAX);
		reply_fini(&r);
	}
	/* No end in sight. */
	buf_reset(&in);
	while (in.len <= REPLY_BYTES_MAX)
		buf_add_str(&in, "250-x\r\n");
	reply_init(&r);
	ck_assert_int_eq(reply_feed(&r, buf_span(&in), &used), REPLY_BAD);
	reply_fini(&r);
	buf_fini(&in);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("reply");
	TCase *t = tcase_create("reply");

	tcase_add_loop_test(t, a_reply_is_its_lines, 0,
	    sizeof(cases) / sizeof(cases[0]));
	tcase_add_test(t, it_may_come_byte_by_byte);
	tcase_add_test(t, limits_hold);
	suite_add_tcase(s, t);
	return s;
}
