/* SPDX-License-Identifier: ISC */
/*
 * Next hops, and services of them.
 */
#include "route/nexthop.h"

static const struct {
	const char	*in;
	bool		 lmtp;
	int		 kind;		/* -1: refused */
	const char	*name;
	unsigned	 port;
} hops[] = {
	{ "example.org", false, HOP_DOMAIN, "example.org", 25 },
	{ "example.org:587", false, HOP_DOMAIN, "example.org", 587 },
	{ "example.org:submission", false, HOP_DOMAIN, "example.org", 587 },
	{ "[mx.example.org]", false, HOP_HOST, "mx.example.org", 25 },
	{ "[mx.example.org]:2525", false, HOP_HOST, "mx.example.org", 2525 },
	{ "[192.0.2.1]", false, HOP_ADDRESS, "192.0.2.1", 25 },
	{ "[192.0.2.1]:26", false, HOP_ADDRESS, "192.0.2.1", 26 },
	{ "[2001:db8::1]", false, HOP_ADDRESS, "2001:db8::1", 25 },
	{ "[ipv6:2001:db8::1]:26", false, HOP_ADDRESS, "2001:db8::1", 26 },
	{ "[IPv6:2001:db8::1]", false, HOP_ADDRESS, "2001:db8::1", 25 },
	{ "mailbox.example.org", true, HOP_HOST, "mailbox.example.org", 25 },
	{ "inet:mailbox.example.org:24", true, HOP_HOST,
	  "mailbox.example.org", 24 },
	{ "inet:[127.0.0.1]:24", true, HOP_ADDRESS, "127.0.0.1", 24 },
	{ "unix:private/lmtp", true, HOP_UNIX, "private/lmtp", 25 },
	{ "unix:/run/lmtp", true, HOP_UNIX, "/run/lmtp", 25 },
	{ "", false, -1, NULL, 0 },
	{ "[]", false, -1, NULL, 0 },
	{ "[mx", false, -1, NULL, 0 },
	{ "[mx]x", false, -1, NULL, 0 },
	{ "mx:", false, -1, NULL, 0 },
	{ "mx:0", false, -1, NULL, 0 },
	{ "mx:65536", false, -1, NULL, 0 },
	{ "mx:nosuchservice", false, -1, NULL, 0 },
	{ ":25", false, -1, NULL, 0 },
	{ "unix:", true, -1, NULL, 0 },
};

START_TEST(next_hops)
{
	struct why why = WHY_INIT;
	struct hop h;
	int rc = hop_parse(span_of(hops[_i].in), hops[_i].lmtp, 25, &h, &why);

	ck_assert_int_eq(rc, hops[_i].kind < 0 ? -1 : 0);
	if (rc < 0) {
		/* The administrator's mistake: mail waits. */
		ck_assert_str_eq(why.code, "4.3.5");
		return;
	}
	ck_assert_int_eq((int)h.kind, hops[_i].kind);
	ck_assert_str_eq(h.name, hops[_i].name);
	ck_assert_uint_eq(h.port, hops[_i].port);
}
END_TEST

static const struct {
	const char	*in, *port, *services, *want;
} services[] = {
	{ "example.org:submission", "smtp", "submission", "submission" },
	{ "example.org:Submission", "smtp", "submission", "Submission" },
	{ "example.org:submissions", "smtp", "submission, submissions",
	  "submissions" },
	{ "example.org:587", "smtp", "submission", NULL },
	{ "example.org", "smtp", "submission", NULL },
	{ "example.org", "smtp", "submission smtp", "smtp" },
	{ "example.org", "", "smtp", NULL },
	{ "[example.org]:submission", "smtp", "submission", NULL },
	{ "[192.0.2.1]:submission", "smtp", "submission", NULL },
	{ "example.org:submission", "smtp", "", NULL },
};

START_TEST(services_of_next_hops)
{
	struct why why = WHY_INIT;
	struct hop h;

	ck_assert_int_eq(hop_parse(span_of(services[_i].in), false, 25, &h,
	    &why), 0);
	ck_assert_pstr_eq(hop_service(&h, services[_i].port,
	    services[_i].services), services[_i].want);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("nexthop");
	TCase *t = tcase_create("nexthop");

	tcase_add_loop_test(t, next_hops, 0, ARRAY_LEN(hops));
	tcase_add_loop_test(t, services_of_next_hops, 0, ARRAY_LEN(services));
	suite_add_tcase(s, t);
	return s;
}
