/* SPDX-License-Identifier: ISC */
/*
 * Records as the tables of smtp_dns_reply_filter see them, and what is left.
 */
#include "dns/dns_filter.h"
#include "ipc/schema.h"

#define W(lit)	{ lit, sizeof(lit) - 1 }

static const struct {
	unsigned	 type;
	struct span	 in;
	const char	*want;
} texts[] = {
	{ DNS_A, W("\300\0\2\1"), "a.test. 60 IN A 192.0.2.1" },
	{ DNS_AAAA, W("\40\1\15\270\0\0\0\0\0\0\0\0\0\0\0\1"),
	    "a.test. 60 IN AAAA 2001:db8::1" },
	{ DNS_MX, W("\0\012\1b\4test\0"), "a.test. 60 IN MX 10 b.test." },
	{ DNS_MX, W("\0\0\0"), "a.test. 60 IN MX 0 ." },
	{ DNS_SRV, W("\0\1\0\2\0\31\1b\0"), "a.test. 60 IN SRV 1 2 25 b." },
	{ DNS_TLSA, W("\3\1\1\253\1"), "a.test. 60 IN TLSA 3 1 1 AB01" },
};

START_TEST(text)
{
	struct buf out = BUF_INIT(BUF_UNLIMITED);
	struct dns_rr rr;

	ck_assert_int_eq(dns_rr_parse(texts[_i].type, texts[_i].in, &rr), 0);
	dns_filter_text(SPAN("a.test"), 60, &rr, &out);
	ck_assert_str_eq(out.data, texts[_i].want);
	buf_fini(&out);
}
END_TEST

/* How many of 192.0.2.1, a malformed one, and 192.0.2.2 are left. */
static int
left(const char *table, struct buf *out)
{
	struct buf records = BUF_INIT(BUF_UNLIMITED);
	struct dns_answer a = { .type = DNS_A, .ttl = 5 };
	struct why why = WHY_INIT;
	struct maps *m = maps_new("test", table, 0, &why);
	int n;

	ck_assert_msg(m != NULL, "%s: %s", table, why.text);
	ipc_put_blob(&records, SPAN("\300\0\2\1"), 100, "rdata");
	ipc_put_blob(&records, SPAN("\300"), 100, "rdata");
	ipc_put_blob(&records, SPAN("\300\0\2\2"), 100, "rdata");
	a.records = buf_span(&records);
	n = dns_filter(m, &a, SPAN("a.test"), out);
	maps_free(&m);
	buf_fini(&records);
	return n;
}

START_TEST(what_is_left)
{
	struct buf out = BUF_INIT(BUF_UNLIMITED);

	/* As they are, the malformed one, too: who uses them judges it. */
	ck_assert_int_eq(left("inline:{x=y}", &out), 3);
	ck_assert_uint_eq(out.len, 8 + 5 + 8);
	buf_reset(&out);
	/* One is no better than none. */
	ck_assert_int_eq(left("static:ignore", &out), 0);
	buf_reset(&out);
	/* What nobody understands is a failure, and so is a table's. */
	ck_assert_int_eq(left("static:what", &out), -1);
	ck_assert_int_eq(left("fail:now", &out), -1);
	buf_fini(&out);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("dns_filter");
	TCase *t = tcase_create("filter");

	tcase_add_loop_test(t, text, 0, ARRAY_LEN(texts));
	tcase_add_test(t, what_is_left);
	suite_add_tcase(s, t);
	return s;
}
