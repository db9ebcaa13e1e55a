/* SPDX-License-Identifier: ISC */
/*
 * Records of the DNS, well-formed and not.
 */
#include "dns/dns.h"

#define W(lit)	{ lit, sizeof(lit) - 1 }

static const struct {
	unsigned	 type;
	struct span	 in;
	const char	*name;		/* NULL: refused */
} names[] = {
	{ DNS_MX, W("\0\012\1a\4test\0"), "a.test" },
	{ DNS_MX, W("\0\0\0"), "" },			/* RFC 7505 */
	{ DNS_CNAME, W("\1a\4test\0"), "a.test" },
	{ DNS_PTR, W("\4a_-9\0"), "a_-9" },
	{ DNS_SRV, W("\0\1\0\2\0\31\1a\0"), "a" },
	{ DNS_MX, W("\0\012"), NULL },
	{ DNS_MX, W("\0\012\1a\4test"), NULL },		/* no end */
	{ DNS_MX, W("\0\012\1a\4test\0x"), NULL },	/* and more */
	{ DNS_MX, W("\0\012\1a\100test\0"), NULL },	/* label of 64 */
	{ DNS_MX, W("\0\012\300\014"), NULL },		/* compressed */
	{ DNS_CNAME, W("\3a b\0"), NULL },
	{ DNS_CNAME, W("\3a.b\0"), NULL },
	{ DNS_CNAME, W("\3a\0b\0"), NULL },
	{ DNS_CNAME, W("\1\377\0"), NULL },
	{ DNS_CNAME, W(""), NULL },
};

START_TEST(names_in_records)
{
	struct dns_rr rr;
	int rc = dns_rr_parse(names[_i].type, names[_i].in, &rr);

	ck_assert_int_eq(rc, names[_i].name != NULL ? 0 : -1);
	if (rc == 0)
		ck_assert_str_eq(rr.name, names[_i].name);
}
END_TEST

START_TEST(other_records)
{
	struct dns_rr rr;
	struct buf out = BUF_INIT(100);

	ck_assert_int_eq(dns_rr_parse(DNS_A, SPAN("\300\0\2\1"), &rr), 0);
	ck_assert_int_eq(rr.addr[3], 1);
	ck_assert_int_eq(dns_rr_parse(DNS_A, SPAN("\300\0\2"), &rr), -1);
	ck_assert_int_eq(dns_rr_parse(DNS_AAAA, SPAN("\300\0\2\1"), &rr), -1);
	ck_assert_int_eq(dns_rr_parse(DNS_TXT, SPAN("\2ab\1c"), &rr), 0);
	dns_txt(&rr, &out);
	ck_assert_str_eq(out.data, "abc");
	ck_assert_int_eq(dns_rr_parse(DNS_TXT, SPAN("\3ab"), &rr), -1);
	ck_assert_int_eq(dns_rr_parse(DNS_TXT, SPAN(""), &rr), -1);
	ck_assert_int_eq(dns_rr_parse(DNS_TLSA, SPAN("\3\1\1x"), &rr), 0);
	ck_assert_int_eq(rr.usage, 3);
	ck_assert_uint_eq(rr.data.len, 1);
	ck_assert_int_eq(dns_rr_parse(DNS_TLSA, SPAN("\3\1\1"), &rr), -1);
	ck_assert_int_eq(dns_rr_parse(99, SPAN("x"), &rr), -1);
	buf_fini(&out);
}
END_TEST

START_TEST(an_answer_goes_on_after_a_bad_record)
{
	struct dns_answer a = { .type = DNS_A,
	    .records = SPAN("\3\0\0\0abc\4\0\0\0\300\0\2\1") };
	struct span rest = a.records;
	struct dns_rr rr;

	ck_assert_int_eq(dns_next(&a, &rest, &rr), -1);
	ck_assert_int_eq(dns_next(&a, &rest, &rr), 1);
	ck_assert_int_eq(dns_next(&a, &rest, &rr), 0);
	/* A length that leads out of it ends it. */
	rest = SPAN("\377\377\0\0abc");
	ck_assert_int_eq(dns_next(&a, &rest, &rr), -1);
	ck_assert_int_eq(dns_next(&a, &rest, &rr), 0);
}
END_TEST

START_TEST(reverse_names)
{
	static const uint8_t v6[16] = { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 };
	struct buf b = BUF_INIT(200);

	dns_reverse_name((const uint8_t *)"\300\0\2\1", 4, &b);
	ck_assert_str_eq(b.data, "1.2.0.192.in-addr.arpa");
	buf_reset(&b);
	dns_reverse_name(v6, 16, &b);
	ck_assert_str_eq(b.data, "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0."
	    "0.0.8.b.d.0.1.0.0.2.ip6.arpa");
	buf_fini(&b);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("dns");
	TCase *t = tcase_create("dns");

	tcase_add_loop_test(t, names_in_records, 0,
	    sizeof(names) / sizeof(names[0]));
	tcase_add_test(t, other_records);
	tcase_add_test(t, an_answer_goes_on_after_a_bad_record);
	tcase_add_test(t, reverse_names);
	suite_add_tcase(s, t);
	return s;
}
