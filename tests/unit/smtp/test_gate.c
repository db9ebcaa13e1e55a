/* SPDX-License-Identifier: ISC */
/*
 * How many handshakes are under way: the limit, whose turn it is, and peers
 * that never finish.
 */
#include "smtp/gate.h"

#define LIMIT	3
#define MANY	100

static struct gate g;
static struct gate_pass p[MANY];

static void
setup(void)
{
	gate_init(&g, LIMIT);
	for (size_t i = 0; i < MANY; i++)
		p[i] = (struct gate_pass){ .state = PASS_NONE };
}

START_TEST(who_comes_first_begins_first)
{
	setup();
	for (size_t i = 0; i < MANY; i++)
		ck_assert_int_eq(gate_enter(&g, &p[i], 0), i < LIMIT);
	ck_assert_ptr_null(gate_next(&g, 1));
	for (size_t i = LIMIT; i < MANY; i++) {
		gate_leave(&g, &p[i - LIMIT], 1, true);
		ck_assert_ptr_eq(gate_next(&g, 1), &p[i]);
		ck_assert_ptr_null(gate_next(&g, 1));
	}
	for (size_t i = MANY - LIMIT; i < MANY; i++)
		gate_leave(&g, &p[i], 2, true);
	ck_assert_uint_eq(g.ncounted, 0);
	ck_assert_int_eq(gate_due_ms(&g, 2), -1);
}
END_TEST

START_TEST(a_limit_of_nothing_is_one)
{
	gate_init(&g, 0);
	p[0] = p[1] = (struct gate_pass){ .state = PASS_NONE };
	ck_assert(gate_enter(&g, &p[0], 0));
	ck_assert(!gate_enter(&g, &p[1], 0));
}
END_TEST

START_TEST(who_waits_may_go_and_who_never_came_too)
{
	setup();
	for (size_t i = 0; i < 6; i++)
		(void)gate_enter(&g, &p[i], 0);
	gate_leave(&g, &p[4], 0, false);
	gate_leave(&g, &p[4], 0, false);
	gate_leave(&g, &p[9], 0, false);
	ck_assert_uint_eq(g.ncounted, LIMIT);
	gate_leave(&g, &p[0], 0, false);
	gate_leave(&g, &p[1], 0, false);
	ck_assert_ptr_eq(gate_next(&g, 0), &p[3]);
	ck_assert_ptr_eq(gate_next(&g, 0), &p[5]);
	ck_assert_ptr_null(gate_next(&g, 0));
}
END_TEST

START_TEST(nobody_new_overtakes_those_who_wait)
{
	setup();
	for (size_t i = 0; i < 4; i++)
		(void)gate_enter(&g, &p[i], 0);
	gate_leave(&g, &p[0], 0, true);
	ck_assert(!gate_enter(&g, &p[4], 0));
	ck_assert_int_eq(gate_due_ms(&g, 0), 0);
	ck_assert_ptr_eq(gate_next(&g, 0), &p[3]);
	ck_assert_ptr_null(gate_next(&g, 0));
}
END_TEST

/* All hang: still everybody has begun after a known time. */
START_TEST(peers_that_hang_hold_up_nobody_for_long)
{
	size_t begun = 0;
	int64_t now = 0, due;

	setup();
	for (size_t i = 0; i < MANY; i++)
		begun += gate_enter(&g, &p[i], now);
	while ((due = gate_due_ms(&g, now)) >= 0) {
		ck_assert_int_gt(due, 0);
		ck_assert_int_le(due, GATE_PATIENCE_MAX_MS);
		ck_assert_ptr_null(gate_next(&g, now + due - 1));
		now += due;
		while (gate_next(&g, now) != NULL)
			begun++;
		ck_assert_uint_le(g.ncounted, LIMIT);
	}
	ck_assert_uint_eq(begun, MANY);
	ck_assert_int_le(now, GATE_PATIENCE_MAX_MS * (MANY / LIMIT + 1));
	/* They end at last, in any order, and change nothing. */
	for (size_t i = MANY; i-- > 0; )
		gate_leave(&g, &p[i], now + 300000, false);
	ck_assert_uint_eq(g.ncounted, 0);
	ck_assert(gate_enter(&g, &p[0], now));
}
END_TEST

/* n peers that take so long each; how long the next waits for a full gate. */
static int64_t
patience_after(int64_t took_ms)
{
	setup();
	for (size_t i = 0; i < 50; i++) {
		ck_assert(gate_enter(&g, &p[0], 0));
		gate_leave(&g, &p[0], took_ms, true);
	}
	for (size_t i = 0; i <= LIMIT; i++)
		(void)gate_enter(&g, &p[i], 0);
	return gate_due_ms(&g, 0);
}

START_TEST(patience_goes_by_what_is_usual)
{
	ck_assert_int_eq(patience_after(0), GATE_PATIENCE_MIN_MS);
	ck_assert_int_eq(patience_after(100), 400);
	ck_assert_int_eq(patience_after(100000), GATE_PATIENCE_MAX_MS);
	/* A clock that went back is no reason to wait for ever. */
	ck_assert_int_le(patience_after(-5000), GATE_PATIENCE_MAX_MS);
	ck_assert_int_ge(patience_after(-5000), GATE_PATIENCE_MIN_MS);
}
END_TEST

/* Those that count no more still tell what is usual when they finish. */
START_TEST(late_ones_make_the_gate_more_patient)
{
	int64_t before;

	setup();
	for (size_t i = 0; i <= LIMIT; i++)
		(void)gate_enter(&g, &p[i], 0);
	before = gate_due_ms(&g, 0);
	ck_assert_ptr_eq(gate_next(&g, before), &p[LIMIT]);
	ck_assert_int_eq(p[0].state, PASS_LATE);
	for (size_t i = 0; i < LIMIT; i++)
		gate_leave(&g, &p[i], 1900, true);
	for (size_t i = 0; i < LIMIT; i++)
		(void)gate_enter(&g, &p[i], before);
	ck_assert_int_gt(gate_due_ms(&g, before), before);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("gate");
	TCase *t = tcase_create("gate");

	tcase_add_test(t, who_comes_first_begins_first);
	tcase_add_test(t, a_limit_of_nothing_is_one);
	tcase_add_test(t, who_waits_may_go_and_who_never_came_too);
	tcase_add_test(t, nobody_new_overtakes_those_who_wait);
	tcase_add_test(t, peers_that_hang_hold_up_nobody_for_long);
	tcase_add_test(t, patience_goes_by_what_is_usual);
	tcase_add_test(t, late_ones_make_the_gate_more_patient);
	suite_add_tcase(s, t);
	return s;
}
