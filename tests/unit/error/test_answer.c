/* SPDX-License-Identifier: ISC */
/*
 * answer: what the next hop of error, retry and discard says.
 */
#include <check.h>

#include "error/error.h"

static const struct {
	enum error_way	 way;
	const char	*nexthop, *dsn, *text;
	unsigned	 outcome;
} cases[] = {
	{ ERROR_BOUNCE, "5.1.1 no such user", "5.1.1", "no such user",
	  DELIVER_BOUNCED },
	{ ERROR_BOUNCE, "no such user", "5.0.0", "no such user",
	  DELIVER_BOUNCED },
	{ ERROR_BOUNCE, "4.2.1 later", "5.2.1", "later", DELIVER_BOUNCED },
	{ ERROR_BOUNCE, "", "5.0.0",
	  "mail to this destination is not accepted", DELIVER_BOUNCED },
	{ ERROR_BOUNCE, "5.1.1", "5.1.1",
	  "mail to this destination is not accepted", DELIVER_BOUNCED },
	{ ERROR_BOUNCE, "5.1 text", "5.0.0", "5.1 text", DELIVER_BOUNCED },
	{ ERROR_DEFER, "4.3.2 not now", "4.3.2", "not now",
	  DELIVER_DEFERRED },
	{ ERROR_DEFER, "5.3.2 not now", "4.3.2", "not now",
	  DELIVER_DEFERRED },
	{ ERROR_DISCARD, "", "2.0.0", "discarded", DELIVER_DELIVERED },
	{ ERROR_DISCARD, "example.org", "2.0.0", "example.org",
	  DELIVER_DELIVERED },
};

START_TEST(the_next_hop_is_the_reason)
{
	struct error_answer a = error_parse(cases[_i].way,
	    span_of(cases[_i].nexthop));

	ck_assert_str_eq(a.dsn, cases[_i].dsn);
	ck_assert(span_is(a.text, cases[_i].text));
	ck_assert_uint_eq(a.outcome, cases[_i].outcome);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("answer");
	TCase *t = tcase_create("answer");

	tcase_add_loop_test(t, the_next_hop_is_the_reason, 0,
	    ARRAY_LEN(cases));
	suite_add_tcase(s, t);
	return s;
}
