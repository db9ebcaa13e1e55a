/* SPDX-License-Identifier: ISC */
/*
 * heap and list: order, ties, removal from the middle.
 */
#include <signal.h>

#include "base/array.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/rnd.h"

#define N	2000

START_TEST(equal_keys_come_out_in_the_order_they_went_in)
{
	static struct heap_node n[N];
	struct heap h = HEAP_INIT;

	for (int i = 0; i < N; i++)
		heap_push(&h, &n[i], i % 3);
	for (int k = 0; k < 3; k++)
		for (int i = k; i < N; i += 3)
			ck_assert_ptr_eq(heap_pop(&h), &n[i]);
	ck_assert_ptr_null(heap_pop(&h));
	ck_assert_ptr_null(heap_first(&h));
	heap_fini(&h);
}
END_TEST

START_TEST(random_steps_keep_the_order)
{
	static struct heap_node n[N];
	struct heap h = HEAP_INIT;
	int64_t last = -1;
	size_t on = 0;

	for (int step = 0; step < 10 * N; step++) {
		struct heap_node *e = &n[rnd_below(N)];

		on += e->at == 0;
		heap_set(&h, e, (int64_t)rnd_below(100));
		e = &n[rnd_below(N)];
		on -= e->at != 0;
		heap_remove(&h, e);
		heap_remove(&h, e);
		ck_assert_uint_eq(h.len, on);
		for (size_t i = 0; i < N && step % 1000 == 0; i++)
			ck_assert(n[i].at == 0 || h.v[n[i].at - 1] == &n[i]);
	}
	while (heap_first(&h) != NULL) {
		ck_assert_int_ge(heap_first(&h)->key, last);
		last = heap_pop(&h)->key;
	}
	heap_fini(&h);
}
END_TEST

START_TEST(pushing_twice_panics)
{
	struct heap_node n = { 0 };
	struct heap h = HEAP_INIT;

	heap_push(&h, &n, 1);
	heap_push(&h, &n, 2);
}
END_TEST

struct item {
	int		n;
	struct list	link;
};

START_TEST(a_list_can_lose_the_element_the_loop_is_at)
{
	struct item v[10] = { { 0 } };
	struct list head = LIST_INIT(head);
	int sum = 0;

	ck_assert(list_empty(&head));
	for (int i = 0; i < 10; i++) {
		v[i].n = i;
		ck_assert(!list_linked(&v[i].link));
		list_remove(&v[i].link);	/* on none: does nothing */
		list_append(&head, &v[i].link);
		ck_assert(list_linked(&v[i].link));
	}
	LIST_FOREACH(l, &head) {
		if (LIST_ENTRY(l, struct item, link)->n % 2)
			list_remove(l);
	}
	list_remove(&v[0].link);
	list_prepend(&head, &v[9].link);
	LIST_FOREACH(l, &head)
		sum = sum * 10 + LIST_ENTRY(l, struct item, link)->n;
	ck_assert_int_eq(sum, 92468);
}
END_TEST

START_TEST(arrays_grow_and_drop)
{
	ARRAY(int) a = ARRAY_EMPTY;

	for (int i = 0; i < 1000; i++) {
		int *p = ARRAY_PUSH(&a);

		ck_assert_int_eq(*p, 0);
		*p = i;
	}
	ARRAY_DROP(&a, 0);
	ck_assert_uint_eq(a.len, 999);
	ck_assert_int_eq(a.v[0], 999);
	ck_assert_int_eq(a.v[998], 998);
	ARRAY_FINI(&a);
	ck_assert_uint_eq(a.len, 0);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("heap");
	TCase *t = tcase_create("heap");

	tcase_add_test(t, equal_keys_come_out_in_the_order_they_went_in);
	tcase_add_test(t, random_steps_keep_the_order);
	tcase_add_test_raise_signal(t, pushing_twice_panics, SIGABRT);
	tcase_add_test(t, a_list_can_lose_the_element_the_loop_is_at);
	tcase_add_test(t, arrays_grow_and_drop);
	suite_add_tcase(s, t);
	return s;
}
