/* SPDX-License-Identifier: ISC */
/*
 * Mail exchangers in order, and policies for TLS.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "smtp/peers.h"
#include "smtp/policy.h"

static void
add(struct peers *p, const char *ip, uint32_t pref)
{
	struct peer *x = ARRAY_PUSH(p);

	ck_assert_int_eq(sock_addr_parse(span_of(ip), 25, &x->addr), 0);
	(void)snprintf(x->host, sizeof(x->host), "%s", ip);
	x->pref = pref;
}

static bool
is_self(const struct sock_addr *a)
{
	char ip[SOCK_ADDR_TEXT_MAX];

	sock_addr_text(a, ip);
	return strcmp(ip, "192.0.2.9") == 0;
}

START_TEST(what_is_not_better_than_we_are_is_left_out)
{
	struct peers p = { .len = 0 };
	uint32_t pref = 0;

	add(&p, "192.0.2.1", 10);
	add(&p, "192.0.2.2", 20);
	add(&p, "192.0.2.9", 20);
	add(&p, "192.0.2.3", 30);
	ck_assert(!peers_drop_self(&p, is_self, &pref));
	ck_assert_uint_eq(p.len, 1);
	ck_assert_str_eq(p.v[0].host, "192.0.2.1");
	p.len = 0;
	add(&p, "192.0.2.9", 10);
	add(&p, "192.0.2.3", 30);
	ck_assert(peers_drop_self(&p, is_self, &pref));
	ck_assert_uint_eq(pref, 10);
	peers_fini(&p);
}
END_TEST

START_TEST(order_is_by_preference_and_then_by_chance)
{
	unsigned first[2] = { 0, 0 };

	for (int n = 0; n < 400; n++) {
		struct peers p = { .len = 0 };

		add(&p, "192.0.2.3", 20);
		add(&p, "192.0.2.1", 10);
		add(&p, "192.0.2.2", 10);
		peers_order(&p, true, AF_UNSPEC, true, 0);
		ck_assert_uint_eq(p.len, 3);
		ck_assert_str_eq(p.v[2].host, "192.0.2.3");
		first[strcmp(p.v[0].host, "192.0.2.1") == 0]++;
		peers_fini(&p);
	}
	/* Both come first, about as often: 100 is 10 deviations away. */
	ck_assert_uint_gt(first[0], 100);
	ck_assert_uint_gt(first[1], 100);
}
END_TEST

START_TEST(a_limit_leaves_both_families)
{
	struct peers p = { .len = 0 };

	for (int i = 0; i < 6; i++)
		add(&p, "2001:db8::1", 10);
	add(&p, "192.0.2.1", 20);
	peers_order(&p, false, AF_INET6, true, 3);
	ck_assert_uint_eq(p.len, 3);
	ck_assert_int_eq(p.v[0].addr.sa.sa_family, AF_INET6);
	ck_assert_int_eq(p.v[2].addr.sa.sa_family, AF_INET);
	peers_fini(&p);
}
END_TEST

static const struct {
	const char	*in;
	int		 level;		/* -1: refused */
	const char	*match, *protocols;
} policies[] = {
	{ "none", TLS_LEVEL_NONE, NULL, NULL },
	{ "encrypt protocols=TLSv1.2:TLSv1.3", TLS_LEVEL_ENCRYPT, NULL,
	  "TLSv1.2 TLSv1.3" },
	{ "secure match=a.test:.b.test ciphers=high", TLS_LEVEL_SECURE,
	  "a.test:.b.test", NULL },
	{ "Verify match=a match=b", TLS_LEVEL_VERIFY, "a:b", NULL },
	{ "dane-only", TLS_LEVEL_DANE_ONLY, NULL, NULL },
	{ "", -1, NULL, NULL },
	{ "very", -1, NULL, NULL },
	{ "secure match", -1, NULL, NULL },
	{ "secure match=", -1, NULL, NULL },
	{ "secure color=red", -1, NULL, NULL },
	{ "verify tafile=/x exclude=a:b connection_reuse=no",
	  TLS_LEVEL_VERIFY, NULL, NULL },
	{ "encrypt connection_reuse=perhaps", -1, NULL, NULL },
};

START_TEST(tls_policies)
{
	struct policy p;
	struct why why = WHY_INIT;
	int rc = policy_parse(span_of(policies[_i].in), &p, &why);

	ck_assert_int_eq(rc, policies[_i].level < 0 ? -1 : 0);
	if (rc < 0)
		return;
	ck_assert_int_eq((int)p.level, policies[_i].level);
	ck_assert_pstr_eq(p.match, policies[_i].match);
	ck_assert_pstr_eq(p.protocols, policies[_i].protocols);
	policy_fini(&p);
}
END_TEST

START_TEST(policies_are_looked_up_by_parents_too)
{
	struct span keys[POLICY_KEYS_MAX];

	ck_assert_uint_eq(policy_keys(SPAN("a.b.test"), keys), 3);
	ck_assert(span_is(keys[0], "a.b.test"));
	ck_assert(span_is(keys[1], ".b.test"));
	ck_assert(span_is(keys[2], ".test"));
	/* As written, and nothing else. */
	ck_assert_uint_eq(policy_keys(SPAN("[a.b.test]:587"), keys), 1);
	ck_assert_uint_eq(policy_keys(SPAN("a.b.test:587"), keys), 1);
}
END_TEST

START_TEST(names_for_certificates)
{
	struct policy_names n = { .len = 0 };

	policy_match_names("hostname, nexthop:dot-nexthop x.test", "mx.test",
	    "d.test", &n);
	ck_assert_uint_eq(n.len, 4);
	ck_assert_str_eq(n.v[0], "mx.test");
	ck_assert_str_eq(n.v[1], "d.test");
	ck_assert_str_eq(n.v[2], ".d.test");
	ck_assert_str_eq(n.v[3], "x.test");
	policy_names_fini(&n);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("peers");
	TCase *t = tcase_create("peers");

	tcase_add_test(t, what_is_not_better_than_we_are_is_left_out);
	tcase_add_test(t, order_is_by_preference_and_then_by_chance);
	tcase_add_test(t, a_limit_leaves_both_families);
	tcase_add_loop_test(t, tls_policies, 0,
	    sizeof(policies) / sizeof(policies[0]));
	tcase_add_test(t, policies_are_looked_up_by_parents_too);
	tcase_add_test(t, names_for_certificates);
	suite_add_tcase(s, t);
	return s;
}
