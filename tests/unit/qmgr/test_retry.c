/* SPDX-License-Identifier: ISC */
/*
 * retry: backoff, lifetimes and the concurrency window.
 */
#include <check.h>

#include "conf/params.h"
#include "qmgr/retry.h"

#define S	INT64_C(1000000)

/* min 300 s, max 4000 s: age, seconds until the next attempt. */
static const struct {
	int64_t	age, wait;
} backoff[] = {
	{ 0, 300 }, { 299, 300 }, { 300, 300 }, { 301, 301 }, { 3999, 3999 },
	{ 4000, 4000 }, { 4001, 4000 }, { 400000, 4000 },
	{ -5000, 300 },		/* the clock was set back */
};

START_TEST(waits_as_long_again_within_limits)
{
	int64_t now = 1000000 * S;

	ck_assert_int_eq(retry_next_us(now, now - backoff[_i].age * S, 300,
	    4000), now + backoff[_i].wait * S);
}
END_TEST

START_TEST(a_stored_time_is_never_far_away)
{
	ck_assert_int_eq(retry_found_us(50 * S, 9, 100 * S, 10), 50 * S);
	ck_assert_int_eq(retry_found_us(105 * S, 9, 100 * S, 10), 105 * S);
	ck_assert_int_eq(retry_found_us(100000 * S, 9, 100 * S, 10),
	    110 * S);
	/* Stored by a clock that was 900 s ahead, for 7 s later. */
	ck_assert_int_eq(retry_found_us(1007 * S, 1000 * S, 100 * S, 10),
	    107 * S);
	ck_assert_int_eq(retry_found_us(100 * S, 100 * S, 100 * S, 10),
	    100 * S);
	ck_assert_int_eq(retry_found_us(9999 * S, 1000 * S, 100 * S, 10),
	    110 * S);
}
END_TEST

START_TEST(expires_at_its_lifetime)
{
	ck_assert(!retry_expired(1000 * S, 501 * S, 500));
	ck_assert(retry_expired(1000 * S, 500 * S, 500));
	ck_assert(!retry_expired(100 * S, 500 * S, 0));	/* from the future */
	ck_assert(retry_expired(500 * S, 500 * S, 0));
}
END_TEST

static const struct {
	const char	*text;
	int		 kind;		/* -1: refused */
	double		 value;
} parse[] = {
	{ "1", FEEDBACK_CONST, 1 },
	{ "0.5", FEEDBACK_CONST, 0.5 },
	{ "1/4", FEEDBACK_CONST, 0.25 },
	{ "1/concurrency", FEEDBACK_1_N, 1 },
	{ "1 / sqrt_concurrency", FEEDBACK_1_SQRT_N, 1 },
	{ "0.5/concurrency", FEEDBACK_1_N, 0.5 },
	{ "0", FEEDBACK_CONST, 0 },
	{ "2", -1, 0 }, { "", -1, 0 }, { "/", -1, 0 }, { "1/0", -1, 0 },
	{ "x", -1, 0 }, { "1/x", -1, 0 }, { "-1", -1, 0 }, { "1e0", -1, 0 },
	{ "3/2", -1, 0 }, { "inf", -1, 0 }, { "0x1", -1, 0 },
};

START_TEST(feedback_is_a_number_or_by_concurrency)
{
	struct feedback f = { FEEDBACK_CONST, -1 };
	int rc = feedback_parse(span_of(parse[_i].text), &f);

	ck_assert_int_eq(rc, parse[_i].kind < 0 ? -1 : 0);
	if (rc == 0) {
		ck_assert_int_eq((int)f.kind, parse[_i].kind);
		ck_assert(f.value > parse[_i].value - 1e-9 &&
		    f.value < parse[_i].value + 1e-9);
	}
}
END_TEST

static struct window_limits
limits(int64_t initial, int64_t limit, double pos, double neg, int64_t cohorts)
{
	return (struct window_limits){
		.initial = initial, .limit = limit,
		.positive = { FEEDBACK_CONST, pos },
		.negative = { FEEDBACK_CONST, neg },
		.failed_cohorts = cohorts,
	};
}

START_TEST(grows_by_one_a_delivery_up_to_the_limit)
{
	struct window_limits lim = limits(5, 20, 1, 1, 1);
	struct window w;

	window_init(&w, &lim);
	ck_assert_int_eq(w.size, 5);
	for (int i = 0; i < 100; i++)
		window_good(&w, &lim, w.size);
	ck_assert_int_eq(w.size, 20);
}
END_TEST

START_TEST(does_not_grow_while_it_is_not_used)
{
	struct window_limits lim = limits(5, 20, 1, 1, 1);
	struct window w;

	window_init(&w, &lim);
	for (int i = 0; i < 100; i++)
		window_good(&w, &lim, 1);
	ck_assert_int_eq(w.size, 6);
}
END_TEST

START_TEST(four_good_ones_make_one_with_a_quarter)
{
	struct window_limits lim = limits(5, 20, 0.25, 1, 1);
	struct window w;

	window_init(&w, &lim);
	for (int i = 0; i < 3; i++)
		window_good(&w, &lim, w.size);
	ck_assert_int_eq(w.size, 5);
	window_good(&w, &lim, w.size);
	ck_assert_int_eq(w.size, 6);
}
END_TEST

START_TEST(a_cohort_of_failures_kills_a_destination)
{
	struct window_limits lim = limits(5, 20, 1, 0, 1);
	struct window w;

	window_init(&w, &lim);
	for (int i = 0; i < 4; i++)
		ck_assert(!window_bad(&w, &lim));
	ck_assert(window_bad(&w, &lim));
	ck_assert_int_eq(w.size, 0);
	window_good(&w, &lim, 1);	/* a late answer: it lives again */
	ck_assert_int_eq(w.size, 5);
}
END_TEST

START_TEST(a_success_forgives)
{
	struct window_limits lim = limits(5, 20, 0, 0, 1);
	struct window w;

	window_init(&w, &lim);
	for (int i = 0; i < 100; i++) {
		ck_assert(!window_bad(&w, &lim));
		window_good(&w, &lim, w.size);
	}
}
END_TEST

START_TEST(failures_shrink_it_but_not_to_nothing)
{
	struct window_limits lim = limits(5, 20, 1, 1, 0);
	struct window w;

	window_init(&w, &lim);
	ck_assert(!window_bad(&w, &lim));
	ck_assert_int_eq(w.size, 4);
	for (int i = 0; i < 100; i++)
		ck_assert(!window_bad(&w, &lim));
	ck_assert_int_eq(w.size, 1);
}
END_TEST

START_TEST(no_limit_is_no_problem)
{
	struct window_limits lim = limits(5, PARAM_UNLIMITED, 1, 1, 1);
	struct window w;

	window_init(&w, &lim);
	for (int i = 0; i < 1000; i++)
		window_good(&w, &lim, w.size);
	ck_assert_int_eq(w.size, 1005);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("retry");
	TCase *t = tcase_create("retry");

	tcase_add_loop_test(t, waits_as_long_again_within_limits, 0,
	    ARRAY_LEN(backoff));
	tcase_add_test(t, a_stored_time_is_never_far_away);
	tcase_add_test(t, expires_at_its_lifetime);
	tcase_add_loop_test(t, feedback_is_a_number_or_by_concurrency, 0,
	    ARRAY_LEN(parse));
	tcase_add_test(t, grows_by_one_a_delivery_up_to_the_limit);
	tcase_add_test(t, does_not_grow_while_it_is_not_used);
	tcase_add_test(t, four_good_ones_make_one_with_a_quarter);
	tcase_add_test(t, a_cohort_of_failures_kills_a_destination);
	tcase_add_test(t, a_success_forgives);
	tcase_add_test(t, failures_shrink_it_but_not_to_nothing);
	tcase_add_test(t, no_limit_is_no_problem);
	suite_add_tcase(s, t);
	return s;
}
