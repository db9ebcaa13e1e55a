/* SPDX-License-Identifier: ISC */
/*
 * Questions where no resolver is: answered, and soon once that is known.
 */
#include "dns/dns_client.h"

static struct loop *loop;
static unsigned answers;
static bool late;

static void
on_answer(void *arg, const struct dns_answer *a)
{
	ck_assert_int_eq(a->status, RESOLVER_AWAY);
	ck_assert(dns_temporary(a->status));
	answers++;
	loop_stop(loop);
}

static void
too_late(void *arg)
{
	late = true;
}

START_TEST(a_resolver_that_is_not_there)
{
	struct dns_client *c;
	struct loop_timer *t;

	loop = loop_new();
	c = dns_client_new(loop, "/nowhere/resolver");
	t = loop_timer_new(loop, too_late, NULL);
	/* A moment's patience: it may be starting. */
	loop_timer_set(t, DNS_AWAY_MS - 1000);
	(void)dns_ask(c, SPAN("a.test"), DNS_A, 0, on_answer, NULL);
	loop_run(loop);
	ck_assert_uint_eq(answers, 1);
	ck_assert(late);
	/* Now it is known: nobody else pays. */
	late = false;
	loop_timer_set(t, DNS_AWAY_MS - 1000);
	(void)dns_ask(c, SPAN("b.test"), DNS_A, 0, on_answer, NULL);
	(void)dns_ask(c, SPAN("c.test"), DNS_A, 0, on_answer, NULL);
	loop_run(loop);
	ck_assert(!late);
	ck_assert_uint_ge(answers, 2);
	loop_timer_free(&t);
	dns_client_free(&c);
	loop_free(&loop);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("dns_client");
	TCase *t = tcase_create("away");

	tcase_set_timeout(t, 60);
	tcase_add_test(t, a_resolver_that_is_not_there);
	suite_add_tcase(s, t);
	return s;
}
