/* SPDX-License-Identifier: ISC */
/*
 * later: the index of deferred messages, against a plain array.
 */
#include <check.h>
#include <stdlib.h>

#include "qmgr/later.h"

#define N	5000

static struct {
	bool		there;
	int64_t		next;
} model[N];

static void
compare(struct later *l)
{
	uint32_t n = 0;
	int64_t min = INT64_MAX;

	for (unsigned i = 0; i < N; i++) {
		const struct later_item *it = later_find(l, 1000 + i, i);

		ck_assert_int_eq(it != NULL, model[i].there);
		if (!model[i].there)
			continue;
		n++;
		ck_assert_int_eq(it->next_us, model[i].next);
		if (model[i].next < min)
			min = model[i].next;
	}
	ck_assert_uint_eq(l->count, n);
	if (n == 0)
		ck_assert_ptr_null(later_first(l));
	else
		ck_assert_int_eq(later_first(l)->next_us, min);
}

START_TEST(does_what_an_array_would_do)
{
	struct later l = LATER_INIT;
	unsigned seed = 7;

	for (unsigned round = 0; round < 60000; round++) {
		unsigned i = (unsigned)rand_r(&seed) % N;

		if (rand_r(&seed) % 3 == 0) {
			ck_assert_int_eq(later_remove(&l, 1000 + i, i),
			    model[i].there);
			model[i].there = false;
		} else {
			model[i].there = true;
			model[i].next = rand_r(&seed) % 1000;
			later_put(&l, 1000 + i, i, model[i].next, i & 1);
		}
		if (round % 10000 == 0)
			compare(&l);
	}
	compare(&l);
	later_fini(&l);
}
END_TEST

START_TEST(comes_out_by_time_then_age)
{
	struct later l = LATER_INIT;

	later_put(&l, 1, 30, 500, 0);
	later_put(&l, 1, 10, 500, 0);
	later_put(&l, 1, 20, 100, 0);
	ck_assert_uint_eq(later_first(&l)->seq, 20);
	ck_assert(later_remove(&l, 1, 20));
	ck_assert_uint_eq(later_first(&l)->seq, 10);
	ck_assert(later_remove(&l, 1, 10));
	ck_assert_uint_eq(later_first(&l)->seq, 30);
	later_fini(&l);
}
END_TEST

START_TEST(flush_makes_all_due_and_keeps_the_order)
{
	struct later l = LATER_INIT;
	int64_t last = INT64_MIN;

	for (unsigned i = 0; i < 1000; i++)
		later_put(&l, 1, i, (int64_t)(i * 7919 % 1000), 0);
	later_shift(&l, -250);
	ck_assert_int_eq(later_first(&l)->next_us, -250);
	ck_assert_int_eq(later_find(&l, 1, 1)->next_us, 919 - 250);
	later_flush(&l, 500);
	for (unsigned n = 1000; n > 0; n--) {
		const struct later_item *it = later_first(&l);

		ck_assert_int_le(it->next_us, 500);
		ck_assert_int_ge(it->next_us, last);
		last = it->next_us;
		ck_assert(later_remove(&l, it->id_us, it->seq));
	}
	later_fini(&l);
}
END_TEST

START_TEST(the_same_seq_with_another_time_is_another_message)
{
	struct later l = LATER_INIT;

	later_put(&l, 1, 5, 10, 0);
	ck_assert_ptr_null(later_find(&l, 2, 5));
	ck_assert(!later_remove(&l, 2, 5));
	ck_assert_ptr_nonnull(later_find(&l, 1, 5));
	later_fini(&l);
}
END_TEST

/* A million deferred messages in memory: at most 200 bytes each. */
START_TEST(a_message_takes_little_memory)
{
	struct later l = LATER_INIT;
	uint64_t bytes;

	for (uint64_t i = 0; i < 1000000; i++)
		later_put(&l, (int64_t)i, i, (int64_t)(i * 31 % 4000), 0);
	bytes = (uint64_t)l.alloc * sizeof(l.v[0]) +
	    (uint64_t)l.heap_alloc * sizeof(l.heap[0]) +
	    (uint64_t)l.table_size * sizeof(l.table[0]);
	ck_assert_uint_le(bytes / 1000000, 100);
	later_fini(&l);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("later");
	TCase *t = tcase_create("later");

	tcase_set_timeout(t, 60);
	tcase_add_test(t, does_what_an_array_would_do);
	tcase_add_test(t, comes_out_by_time_then_age);
	tcase_add_test(t, flush_makes_all_due_and_keeps_the_order);
	tcase_add_test(t, the_same_seq_with_another_time_is_another_message);
	tcase_add_test(t, a_message_takes_little_memory);
	suite_add_tcase(s, t);
	return s;
}
