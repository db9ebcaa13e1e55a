/* SPDX-License-Identifier: ISC */
/*
 * envelope: what is encoded can be decoded, and damage is refused.
 */
#include <check.h>

#include "base/num.h"
#include "queue/envelope.h"

static void
fill(struct envelope *e)
{
	*e = (struct envelope){
		.queue_id = SPAN("0000000000z1"), .trace_id = SPAN("abc"),
		.arrival_us = 1234567, .sender = SPAN("joe@example.org"),
		.flags = ENV_8BITMIME | ENV_LOCAL, .dsn_ret = 1,
		.dsn_envid = SPAN("E1"), .client_name = SPAN("unknown"),
		.client_addr = SPAN("192.0.2.1"), .client_port = 25,
		.helo = SPAN("h"), .protocol = SPAN("ESMTP"),
		.login = SPAN("l"), .sasl_method = SPAN("PLAIN"),
		.tls = SPAN("t"), .submit_uid = 1000, .hold_until_us = 5,
		.deliver_by_us = 6, .priority = -9, .filter = SPAN("f:"),
		.redirect = SPAN("r@x"), .size = UINT64_MAX, .next_us = 7,
		.attempts = 3, .warned = true,
	};
	*ARRAY_PUSH(&e->attrs) = (struct env_attr){ SPAN("a"), SPAN("") };
	*ARRAY_PUSH(&e->attrs) = (struct env_attr){ SPAN("b"), SPAN("v") };
	*ARRAY_PUSH(&e->rcpts) = (struct rcpt){ .addr = SPAN("a@b"),
	    .orig = SPAN("c@d"), .dsn_orcpt = SPAN("rfc822;c@d"),
	    .dsn_notify = 2, .fate = RCPT_BOUNCED, .dsn = SPAN("5.1.1"),
	    .text = SPAN("no"), .relay = SPAN("local"), .tried_us = 9 };
	*ARRAY_PUSH(&e->rcpts) = (struct rcpt){ .addr = SPAN("") };
}

#define SAME(f)	ck_assert(span_eq(a.f, b.f))
#define EQ(f)	ck_assert_int_eq(a.f, b.f)

START_TEST(every_field_survives)
{
	struct envelope a, b;
	struct buf buf = BUF_INIT(BUF_UNLIMITED);
	struct why why = WHY_INIT;

	fill(&a);
	envelope_encode(&buf, &a);
	ck_assert_int_eq(envelope_decode(&b, buf_span(&buf), &why), 0);
	SAME(queue_id); SAME(trace_id); EQ(arrival_us); SAME(sender);
	EQ(flags); EQ(dsn_ret); SAME(dsn_envid); SAME(client_name);
	SAME(client_addr); EQ(client_port); SAME(helo); SAME(protocol);
	SAME(login); SAME(sasl_method); SAME(tls); EQ(submit_uid);
	EQ(hold_until_us); EQ(deliver_by_us); EQ(priority); SAME(filter);
	SAME(redirect); ck_assert_uint_eq(a.size, b.size); EQ(next_us);
	EQ(attempts); EQ(warned); EQ(attrs.len); EQ(rcpts.len);
	SAME(attrs.v[0].name); SAME(attrs.v[0].value); SAME(attrs.v[1].value);
	SAME(rcpts.v[0].addr); SAME(rcpts.v[0].orig);
	SAME(rcpts.v[0].dsn_orcpt); EQ(rcpts.v[0].dsn_notify);
	EQ(rcpts.v[0].fate); SAME(rcpts.v[0].dsn); SAME(rcpts.v[0].text);
	SAME(rcpts.v[0].relay); EQ(rcpts.v[0].tried_us);
	SAME(rcpts.v[1].addr); EQ(rcpts.v[1].fate);
	envelope_fini(&a);
	envelope_fini(&b);
	buf_fini(&buf);
}
END_TEST

START_TEST(cut_short_it_is_refused_or_whole_rows)
{
	struct envelope a, b;
	struct buf buf = BUF_INIT(BUF_UNLIMITED);
	size_t good = 0;

	fill(&a);
	envelope_encode(&buf, &a);
	for (size_t n = 0; n < buf.len; n++) {
		struct why why = WHY_INIT;

		if (envelope_decode(&b, span_make(buf.data, n), &why) == 0)
			good++;
		else
			ck_assert_str_eq(why.code, "4.3.0");
		envelope_fini(&b);
	}
	ck_assert_uint_eq(good, 25 + 4 + 9 + 1);	/* one before each row */
	envelope_fini(&a);
	buf_fini(&buf);
}
END_TEST

START_TEST(line_ends_cannot_be_smuggled)
{
	struct envelope a = ENVELOPE_INIT, b;
	struct buf buf = BUF_INIT(BUF_UNLIMITED);
	struct why why = WHY_INIT;

	a.sender = SPAN("a\nb\rc\0d");
	envelope_encode(&buf, &a);
	ck_assert_int_eq(envelope_decode(&b, buf_span(&buf), &why), 0);
	ck_assert(span_is(b.sender, "a?b?c?d"));
	envelope_fini(&b);
	buf.data[7] = '\n';
	ck_assert_int_eq(envelope_decode(&b, buf_span(&buf), &why), -1);
	buf_fini(&buf);
}
END_TEST

static void
row(struct buf *b, unsigned key, struct span v)
{
	char head[6];

	num_put_le16(head, (uint16_t)key);
	num_put_le32(head + 2, (uint32_t)v.len);
	buf_add(b, head, 6);
	buf_add_span(b, v);
}

START_TEST(limits_hold_at_the_limit_and_one_past_it)
{
	struct envelope e;
	struct buf buf = BUF_INIT(BUF_UNLIMITED);
	struct why why = WHY_INIT;
	static char text[ENVELOPE_VALUE_MAX + 1];

	memset(text, 'x', sizeof(text));
	row(&buf, 4, span_make(text, ENVELOPE_VALUE_MAX));
	ck_assert_int_eq(envelope_decode(&e, buf_span(&buf), &why), 0);
	envelope_fini(&e);
	buf_reset(&buf);
	row(&buf, 4, span_make(text, ENVELOPE_VALUE_MAX + 1));
	ck_assert_int_eq(envelope_decode(&e, buf_span(&buf), &why), -1);
	buf_reset(&buf);
	for (int i = 0; i < ENVELOPE_RCPT_MAX; i++)
		row(&buf, 100, SPAN("a"));
	ck_assert_int_eq(envelope_decode(&e, buf_span(&buf), &why), 0);
	ck_assert_uint_eq(e.rcpts.len, ENVELOPE_RCPT_MAX);
	envelope_fini(&e);
	row(&buf, 100, SPAN("a"));
	ck_assert_int_eq(envelope_decode(&e, buf_span(&buf), &why), -1);
	ck_assert_uint_eq(e.rcpts.len, 0);
	buf_reset(&buf);
	row(&buf, 101, SPAN("a"));	/* of no recipient */
	ck_assert_int_eq(envelope_decode(&e, buf_span(&buf), &why), -1);
	buf_reset(&buf);
	row(&buf, 99, SPAN("later"));	/* of a later version: skipped */
	row(&buf, 100, SPAN("a"));
	row(&buf, 9999, SPAN("later"));
	ck_assert_int_eq(envelope_decode(&e, buf_span(&buf), &why), 0);
	envelope_fini(&e);
	/* A long text is cut, not an error: it may be another server's. */
	buf_reset(&buf);
	e = ENVELOPE_INIT;
	e.sender = span_make(text, sizeof(text));
	envelope_encode(&buf, &e);
	ck_assert_int_eq(envelope_decode(&e, buf_span(&buf), &why), 0);
	ck_assert_uint_eq(e.sender.len, ENVELOPE_VALUE_MAX);
	buf_fini(&buf);
}
END_TEST

START_TEST(trace_ids_differ)
{
	char a[TRACE_ID_MAX], b[TRACE_ID_MAX];

	trace_id_make(a);
	trace_id_make(b);
	ck_assert_uint_eq(strlen(a), 16);
	ck_assert_str_ne(a, b);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("envelope");
	TCase *t = tcase_create("envelope");

	tcase_add_test(t, every_field_survives);
	tcase_add_test(t, cut_short_it_is_refused_or_whole_rows);
	tcase_add_test(t, line_ends_cannot_be_smuggled);
	tcase_add_test(t, limits_hold_at_the_limit_and_one_past_it);
	tcase_add_test(t, trace_ids_differ);
	suite_add_tcase(s, t);
	return s;
}
