/* SPDX-License-Identifier: ISC */
/*
 * Counting: same and different, at the limits and past them, and the report.
 */
#include "tlsrpt/tlsrpt.h"

#include <stdio.h>

#include "conf/params.h"

static struct tlsrpt_event
event(enum tlsrpt_result r, const char *mx)
{
	return (struct tlsrpt_event){ .domain = SPAN("a.test"), .result = r,
	    .type = TLSRPT_STS, .policy_domain = SPAN("a.test"),
	    .strings = SPAN("version: STSv1|mode: testing"),
	    .patterns = SPAN("mx.a.test *.b.test"), .mx = span_of(mx),
	    .mx_ip = SPAN("192.0.2.1"), .my_ip = SPAN("192.0.2.2"),
	    .reason = SPAN("say \"no\"\t\n\303\244") };
}

START_TEST(same_things_are_added_up)
{
	struct counts c = { ARRAY_EMPTY };
	struct tlsrpt_event e = event(TLSRPT_SUCCESS, "mx.a.test");

	counts_add(&c, &e);
	counts_add(&c, &e);
	e = event(TLSRPT_EXPIRED, "mx.a.test");
	counts_add(&c, &e);
	counts_add(&c, &e);
	e = event(TLSRPT_EXPIRED, "other.a.test");
	counts_add(&c, &e);
	ck_assert_uint_eq(c.policies.len, 1);
	ck_assert_uint_eq(c.policies.v[0].good, 2);
	ck_assert_uint_eq(c.policies.v[0].bad, 3);
	ck_assert_uint_eq(c.policies.v[0].failures.len, 1 + 1);
	counts_fini(&c);
}
END_TEST

START_TEST(kinds_are_bounded)
{
	struct counts c = { ARRAY_EMPTY };
	struct tlsrpt_event e;
	char mx[40];

	for (int i = 0; i < FAILURES_MAX + 5; i++) {
		(void)snprintf(mx, sizeof(mx), "mx%d.a.test", i);
		e = event(TLSRPT_NAME, mx);
		counts_add(&c, &e);
	}
	ck_assert_uint_eq(c.policies.v[0].failures.len, FAILURES_MAX);
	ck_assert_uint_eq(c.policies.v[0].bad, FAILURES_MAX + 5);
	for (int i = 0; i < POLICIES_MAX + 5; i++) {
		(void)snprintf(mx, sizeof(mx), "p%d.test", i);
		e.policy_domain = span_of(mx);
		counts_add(&c, &e);
	}
	ck_assert_uint_eq(c.policies.len, POLICIES_MAX);
	counts_fini(&c);
}
END_TEST

START_TEST(file_and_report)
{
	struct period p = { .begin_s = 86400, .end_s = 172800 };
	struct buf file = BUF_INIT(BUF_UNLIMITED), json =
	    BUF_INIT(BUF_UNLIMITED);
	struct counts c = { ARRAY_EMPTY };
	struct tlsrpt_event e = event(TLSRPT_NAME, "mx.a.test");
	struct rdomain *d;

	counts_add(&c, &e);
	buf_add_str(&file, "# counts of tlsrpt(8), version 1\n"
	    "failure\tlost\ndomain\tno domain\npolicy\tlost\ndomain\ta.test\n");
	counts_put(&c, &file);
	buf_add_str(&file, "failure\tno-such\t\t\t\t1\t\nnonsense\n");
	counts_fini(&c);
	ck_assert_int_eq(period_parse(&p, buf_span(&file)), 0);
	p.begin_s = 86400;
	p.end_s = 172800;
	d = hash_get(&p.domains, SPAN("a.test"));
	ck_assert_ptr_nonnull(d);
	ck_assert_uint_eq(p.domains.count, 1);
	conf.tlsrpt_organization = "Ex\"ample";
	conf.tlsrpt_contact = "r@x.test";
	report_json(d, &json);
	ck_assert_str_eq(json.data, "{\"organization-name\":\"Ex\\\"ample\","
	    "\"date-range\":{\"start-datetime\":\"1970-01-02T00:00:00Z\","
	    "\"end-datetime\":\"1970-01-02T23:59:59Z\"},"
	    "\"contact-info\":\"r@x.test\",\"report-id\":\"86400.a.test\","
	    "\"policies\":[{\"policy\":{\"policy-type\":\"sts\","
	    "\"policy-string\":[\"version: STSv1\",\"mode: testing\"],"
	    "\"policy-domain\":\"a.test\","
	    "\"mx-host\":[\"mx.a.test\",\"*.b.test\"]},"
	    "\"summary\":{\"total-successful-session-count\":0,"
	    "\"total-failure-session-count\":1},"
	    "\"failure-details\":[{\"result-type\":"
	    "\"certificate-host-mismatch\",\"sending-mta-ip\":\"192.0.2.2\","
	    "\"receiving-mx-hostname\":\"mx.a.test\","
	    "\"receiving-ip\":\"192.0.2.1\",\"failed-session-count\":1,"
	    "\"failure-reason-code\":\"say \\\"no\\\"????\"}]}]}\n");
	period_fini(&p);
	buf_fini(&file);
	buf_fini(&json);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("tlsrpt");
	TCase *t = tcase_create("count");

	tcase_add_test(t, same_things_are_added_up);
	tcase_add_test(t, kinds_are_bounded);
	tcase_add_test(t, file_and_report);
	suite_add_tcase(s, t);
	return s;
}
