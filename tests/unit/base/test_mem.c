/* SPDX-License-Identifier: ISC */
/*
 * mem, arena, rnd: sizes that overflow, alignment, reuse.
 */
#include <stdalign.h>

#include "base/arena.h"
#include "base/mem.h"
#include "base/rnd.h"

START_TEST(a_product_that_overflows_ends_the_process)
{
	volatile size_t huge = SIZE_MAX / 2;

	mem_alloc_array(huge, 3);
}
END_TEST

START_TEST(memory_that_is_not_there_ends_the_process)
{
	volatile size_t huge = SIZE_MAX / 2;

	mem_zalloc(huge);
}
END_TEST

START_TEST(nothing_can_be_allocated)
{
	void *p = mem_alloc(0), *q = mem_zalloc_array(0, 5);

	ck_assert_ptr_nonnull(p);
	ck_assert_ptr_nonnull(q);
	p = mem_realloc_array(p, 0, 8);
	ck_assert_ptr_nonnull(p);
	mem_free(p);
	mem_free(q);
	mem_free(NULL);
}
END_TEST

START_TEST(strings)
{
	char *p = mem_strndup("abc", 2);

	ck_assert_str_eq(p, "ab");
	mem_free(p);
	p = mem_strndup("abc", 9);
	ck_assert_str_eq(p, "abc");
	mem_free(p);
	p = mem_strndup(NULL, 0);
	ck_assert_str_eq(p, "");
	mem_free(p);
	p = mem_printf("%d-%s", 3, "x");
	ck_assert_str_eq(p, "3-x");
	mem_wipe(p, 3);
	ck_assert_mem_eq(p, "\0\0\0", 3);
	mem_free(p);
}
END_TEST

START_TEST(arena_memory_is_aligned_and_apart)
{
	struct arena a = ARENA_INIT;
	char *v[200];

	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < ARRAY_LEN(v); i++) {
			v[i] = arena_alloc(&a, i * 7);
			ck_assert_uint_eq(
			    (uintptr_t)v[i] % alignof(max_align_t), 0);
			memset(v[i], (int)i, i * 7);
		}
		for (size_t i = 0; i < ARRAY_LEN(v); i++)
			for (size_t k = 0; k < i * 7; k++)
				ck_assert_int_eq((unsigned char)v[i][k],
				    (int)i);
		arena_reset(&a);
		ck_assert_uint_eq(a.used, 0);
	}
	arena_fini(&a);
}
END_TEST

START_TEST(arena_keeps_its_first_chunk_over_reset)
{
	struct arena a = ARENA_INIT;
	void *first = arena_alloc(&a, 10);

	(void)arena_alloc(&a, 100000);
	arena_reset(&a);
	ck_assert_ptr_eq(arena_alloc(&a, 10), first);
	ck_assert_str_eq(arena_strdup(&a, "x"), "x");
	ck_assert_str_eq(arena_span_dup(&a, SPAN_EMPTY), "");
	ck_assert_str_eq(arena_printf(&a, "%s-%d", "y", 7), "y-7");
	ck_assert_int_eq(*(char *)arena_zalloc(&a, 1), 0);
	arena_fini(&a);
	arena_fini(&a);
}
END_TEST

START_TEST(random_numbers_stay_below_their_bound)
{
	bool seen[7] = { false };

	for (int i = 0; i < 2000; i++) {
		uint64_t v = rnd_below(7);

		ck_assert_uint_lt(v, 7);
		seen[v] = true;
	}
	for (int i = 0; i < 7; i++)
		ck_assert(seen[i]);
	ck_assert_uint_eq(rnd_below(1), 0);
	ck_assert_uint_ne(rnd_u64(), rnd_u64());
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("mem");
	TCase *t = tcase_create("mem");

	tcase_add_exit_test(t, a_product_that_overflows_ends_the_process, 1);
	tcase_add_exit_test(t, memory_that_is_not_there_ends_the_process, 1);
	tcase_add_test(t, nothing_can_be_allocated);
	tcase_add_test(t, strings);
	tcase_add_test(t, arena_memory_is_aligned_and_apart);
	tcase_add_test(t, arena_keeps_its_first_chunk_over_reset);
	tcase_add_test(t, random_numbers_stay_below_their_bound);
	suite_add_tcase(s, t);
	return s;
}
