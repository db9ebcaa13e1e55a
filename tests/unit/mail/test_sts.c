/* SPDX-License-Identifier: ISC */
/*
 * Records and policies of MTA-STS (RFC 8461), records of TLSRPT (RFC 8460).
 */
#include "mail/sts.h"

#include "base/buf.h"

static const struct {
	const char	*in, *id;	/* NULL: malformed */
} records[] = {
	{ "v=STSv1; id=20160831085700Z;", "20160831085700Z" },
	{ "v=STSv1;id=1", "1" },
	{ "v=STSv1 ;\tid=abc ; other=x;", "abc" },
	{ "v=STSv1; other=x; id=2", "2" },
	{ "v=STSv1; id=12345678901234567890123456789012",
	  "12345678901234567890123456789012" },
	{ "v=STSv1; id=123456789012345678901234567890123", NULL },
	{ "v=STSv1; id=;", NULL },
	{ "v=STSv1; id=a-b", NULL },
	{ "v=STSv1; ID=1", NULL },
	{ "v=STSv1;", NULL },
	{ "v=STSv1", NULL },
	{ "v=STSv2; id=1", NULL },
	{ "V=STSv1; id=1", NULL },
	{ " v=STSv1; id=1", "1" },
	{ "", NULL },
};

START_TEST(record_has_an_id)
{
	struct span id;
	int rc = sts_record_parse(span_of(records[_i].in), &id);

	ck_assert_int_eq(rc, records[_i].id != NULL ? 0 : -1);
	if (rc == 0)
		ck_assert(span_is(id, records[_i].id));
}
END_TEST

#define HEAD	"version: STSv1\n"

static const struct {
	const char	*in;
	int		 mode;		/* -1: refused */
	uint32_t	 max_age;
	size_t		 nmx;
} policies[] = {
	{ HEAD "mode: enforce\nmx: a.test\nmx: *.b.test\nmax_age: 604800\n",
	  STS_ENFORCE, 604800, 2 },
	{ "version: STSv1\r\nmode: testing\r\nmx: a.test\r\nmax_age: 0\r\n",
	  STS_TESTING, 0, 1 },
	{ HEAD "mode: none\nmax_age: 86400", STS_NONE, 86400, 0 },
	/* The order does not matter, nor do blanks and what we do not know. */
	{ "max_age:1\nmx:a.test  \n\nfoo: bar\nmode:enforce\nversion:STSv1\n",
	  STS_ENFORCE, 1, 1 },
	/* The first counts. */
	{ HEAD "mode: enforce\nmode: none\nmx: a.test\nmax_age: 5\n"
	  "max_age: 6\n", STS_ENFORCE, 5, 1 },
	{ HEAD "mode: enforce\nmx: a.test\nmax_age: 31557601\n", STS_ENFORCE,
	  STS_AGE_MAX, 1 },
	{ HEAD "mode: enforce\nmx: a.test\nmax_age: 99999999999\n", -1, 0, 0 },
	{ HEAD "mode: enforce\nmx: a.test\nmax_age: -1\n", -1, 0, 0 },
	{ HEAD "mode: enforce\nmax_age: 5\n", -1, 0, 0 },
	{ HEAD "mode: enforce\nmx: a.test\n", -1, 0, 0 },
	{ HEAD "mx: a.test\nmax_age: 5\n", -1, 0, 0 },
	{ "mode: enforce\nmx: a.test\nmax_age: 5\n", -1, 0, 0 },
	{ "version: STSv2\nmode: enforce\nmx: a.test\nmax_age: 5\n", -1, 0, 0 },
	{ HEAD "mode: Enforce\nmx: a.test\nmax_age: 5\n", -1, 0, 0 },
	{ HEAD "mode: enforce\nmx: a b.test\nmax_age: 5\n", -1, 0, 0 },
	{ HEAD "mode: enforce\nmx: *\nmax_age: 5\n", -1, 0, 0 },
	{ HEAD "mode: enforce\nmx: a.*.test\nmax_age: 5\n", -1, 0, 0 },
	{ HEAD "mode: enforce\nmx:\nmax_age: 5\n", -1, 0, 0 },
	{ HEAD "mode: enforce\nmx a.test\nmax_age: 5\n", -1, 0, 0 },
	{ "<html>\n", -1, 0, 0 },
	{ "", -1, 0, 0 },
};

START_TEST(policy_is_whole_or_none)
{
	struct why why = WHY_INIT;
	struct sts_policy p;
	int rc = sts_policy_parse(span_of(policies[_i].in), &p, &why);

	ck_assert_int_eq(rc, policies[_i].mode < 0 ? -1 : 0);
	if (rc < 0) {
		ck_assert_str_ne(why.text, "");
		return;
	}
	ck_assert_int_eq((int)p.mode, policies[_i].mode);
	ck_assert_uint_eq(p.max_age, policies[_i].max_age);
	ck_assert_uint_eq(p.nmx, policies[_i].nmx);
}
END_TEST

START_TEST(policy_is_bounded)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	struct why why = WHY_INIT;
	struct sts_policy p;

	buf_add_str(&b, HEAD "mode: enforce\nmax_age: 5\n");
	for (int i = 0; i < STS_MX_MAX; i++)
		buf_add_str(&b, "mx: a.test\n");
	ck_assert_int_eq(sts_policy_parse(buf_span(&b), &p, &why), 0);
	buf_add_str(&b, "mx: a.test\n");
	ck_assert_int_eq(sts_policy_parse(buf_span(&b), &p, &why), -1);
	buf_reset(&b);
	buf_add_str(&b, HEAD "mode: none\nmax_age: 5\n");
	while (b.len < STS_POLICY_MAX)
		buf_add_char(&b, '\n');
	ck_assert_int_eq(sts_policy_parse(buf_span(&b), &p, &why), 0);
	buf_add_char(&b, '\n');
	ck_assert_int_eq(sts_policy_parse(buf_span(&b), &p, &why), -1);
	buf_fini(&b);
}
END_TEST

static const struct {
	const char	*pattern, *host;
	bool		 want;
} matches[] = {			/* RFC 8461 4.1 */
	{ "mx.example.org", "mx.example.org", true },
	{ "mx.example.org", "MX.Example.ORG", true },
	{ "mx.example.org", "mx.example.org.", true },
	{ "mx.example.org", "a.mx.example.org", false },
	{ "*.example.org", "mx.example.org", true },
	{ "*.example.org", "a.mx.example.org", false },
	{ "*.example.org", "example.org", false },
	{ "*.example.org", ".example.org", false },
	{ "*.example.org", "mxexample.org", false },
	{ "*.example.org", "", false },
};

START_TEST(pattern_has_hosts)
{
	ck_assert(sts_pattern_matches(span_of(matches[_i].pattern),
	    span_of(matches[_i].host)) == matches[_i].want);
}
END_TEST

static const struct {
	const char	*in, *first;	/* NULL: malformed */
	size_t		 n;
} reports[] = {
	{ "v=TLSRPTv1; rua=mailto:r@example.org", "mailto:r@example.org", 1 },
	{ "v=TLSRPTv1;rua=https://example.org/r;", "https://example.org/r",
	  1 },
	{ "v=TLSRPTv1; rua=mailto:a@b.test , https://c.test/",
	  "mailto:a@b.test", 2 },
	{ "v=TLSRPTv1; x=y; rua=MAILTO:a@b.test", "MAILTO:a@b.test", 1 },
	{ "v=TLSRPTv1; rua=gopher://x,mailto:a@b.test", "mailto:a@b.test", 1 },
	{ "v=TLSRPTv1; rua=http://example.org/", NULL, 0 },
	{ "v=TLSRPTv1; rua=mailto:nobody", NULL, 0 },
	{ "v=TLSRPTv1; rua=", NULL, 0 },
	{ "v=TLSRPTv1;", NULL, 0 },
	{ "v=TLSRPTv2; rua=mailto:a@b.test", NULL, 0 },
};

START_TEST(report_record_has_addresses)
{
	struct tlsrpt_record r;
	int rc = tlsrpt_record_parse(span_of(reports[_i].in), &r);

	ck_assert_int_eq(rc, reports[_i].first != NULL ? 0 : -1);
	if (rc < 0)
		return;
	ck_assert_uint_eq(r.nrua, reports[_i].n);
	ck_assert(span_is(r.rua[0], reports[_i].first));
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("sts");
	TCase *t = tcase_create("sts");

	tcase_add_loop_test(t, record_has_an_id, 0, ARRAY_LEN(records));
	tcase_add_loop_test(t, policy_is_whole_or_none, 0,
	    ARRAY_LEN(policies));
	tcase_add_test(t, policy_is_bounded);
	tcase_add_loop_test(t, pattern_has_hosts, 0, ARRAY_LEN(matches));
	tcase_add_loop_test(t, report_record_has_addresses, 0,
	    ARRAY_LEN(reports));
	suite_add_tcase(s, t);
	return s;
}
