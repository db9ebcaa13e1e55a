/* SPDX-License-Identifier: ISC */
/*
 * hash: entering, finding, deleting, walking; beside a plain array.
 */
#include <stdio.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/rnd.h"

#define N	5000

static struct span
name(int i, char b[16])
{
	snprintf(b, 16, "key %d", i);
	return span_of(b);
}

START_TEST(an_empty_table_has_nothing)
{
	struct hash h = HASH_INIT;

	ck_assert_ptr_null(hash_get(&h, SPAN("x")));
	ck_assert_ptr_null(hash_find(&h, SPAN("x")));
	ck_assert_ptr_null(hash_del(&h, SPAN("x")));
	hash_fini(&h, NULL);
}
END_TEST

START_TEST(it_agrees_with_an_array_over_random_steps)
{
	static void *want[N];
	struct hash h = HASH_INIT;
	size_t count = 0;
	char b[16];

	for (int step = 0; step < 10 * N; step++) {
		int i = (int)rnd_below(N);
		void *v = &want[rnd_below(N)];
		struct span k = name(i, b);

		switch (rnd_below(3)) {
		case 0:
			count += want[i] == NULL;
			ck_assert_ptr_eq(hash_put(&h, k, v), want[i]);
			want[i] = v;
			break;
		case 1:
			count -= want[i] != NULL;
			ck_assert_ptr_eq(hash_del(&h, k), want[i]);
			want[i] = NULL;
			break;
		default:
			ck_assert_ptr_eq(hash_get(&h, k), want[i]);
			break;
		}
		ck_assert_uint_eq(h.count, count);
	}
	hash_fini(&h, NULL);
	ck_assert_uint_eq(h.count, 0);
}
END_TEST

START_TEST(keys_are_copied_and_may_hold_nul)
{
	struct hash h = HASH_INIT;
	char k[] = "a\0b";
	struct hash_entry *e;
	bool made;

	e = hash_enter(&h, span_make(k, 3), &made);
	ck_assert(made);
	ck_assert_ptr_null(e->value);
	memset(k, 'x', 3);
	ck_assert_ptr_eq(hash_find(&h, SPAN("a\0b")), e);
	ck_assert_ptr_null(hash_find(&h, SPAN("a\0c")));
	ck_assert_ptr_null(hash_find(&h, SPAN("a")));
	ck_assert_ptr_eq(hash_enter(&h, SPAN("a\0b"), &made), e);
	ck_assert(!made);
	ck_assert_int_eq(e->key.p[3], '\0');
	(void)hash_enter(&h, SPAN_EMPTY, &made);
	ck_assert(made);
	ck_assert_ptr_nonnull(hash_find(&h, SPAN("")));
	hash_fini(&h, NULL);
}
END_TEST

struct walk {
	struct hash	*h;
	int		 seen;
};

static void
delete_every_second(struct hash_entry *e, void *arg)
{
	struct walk *w = arg;

	if (w->seen++ % 2)
		mem_free(hash_del(w->h, e->key));
}

START_TEST(a_walk_may_delete_what_it_stands_on)
{
	struct hash h = HASH_INIT;
	struct walk w = { &h, 0 };
	char b[16];

	for (int i = 0; i < 1000; i++)
		hash_put(&h, name(i, b), mem_alloc(1));
	hash_each(&h, delete_every_second, &w);
	ck_assert_int_eq(w.seen, 1000);
	ck_assert_uint_eq(h.count, 500);
	hash_fini(&h, mem_free);	/* the leak check sees the values */
}
END_TEST

START_TEST(the_hash_depends_on_every_byte)
{
	char b[40] = { 0 };
	uint64_t h;

	for (size_t n = 1; n < sizeof(b); n++) {
		h = hash_bytes(span_make(b, n));
		ck_assert_uint_eq(h, hash_bytes(span_make(b, n)));
		ck_assert_uint_ne(h, hash_bytes(span_make(b, n - 1)));
		for (size_t i = 0; i < n; i++) {
			b[i] ^= 1;
			ck_assert_uint_ne(h, hash_bytes(span_make(b, n)));
			b[i] ^= 1;
		}
	}
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("hash");
	TCase *t = tcase_create("hash");

	tcase_add_test(t, an_empty_table_has_nothing);
	tcase_add_test(t, it_agrees_with_an_array_over_random_steps);
	tcase_add_test(t, keys_are_copied_and_may_hold_nul);
	tcase_add_test(t, a_walk_may_delete_what_it_stands_on);
	tcase_add_test(t, the_hash_depends_on_every_byte);
	suite_add_tcase(s, t);
	return s;
}
