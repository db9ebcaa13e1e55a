/* SPDX-License-Identifier: ISC */
/*
 * ranges: each operation beside a plain array of bits.
 */
#include <check.h>
#include <string.h>

#include "base/ranges.h"

#define N 64

static void
same(const struct ranges *r, const bool *bits)
{
	struct ranges_walk w = { 0 };
	uint64_t n = 0;
	uint32_t next;

	for (uint32_t i = 0; i < N; i++) {
		ck_assert_int_eq(ranges_has(r, i), bits[i]);
		n += bits[i];
		if (bits[i]) {
			ck_assert(ranges_next(r, &w, &next));
			ck_assert_uint_eq(next, i);
		}
	}
	ck_assert(!ranges_next(r, &w, &next));
	ck_assert_uint_eq(ranges_count(r), n);
	for (size_t i = 0; i < r->len; i++) {
		ck_assert_uint_le(r->v[i].lo, r->v[i].hi);
		if (i > 0)	/* a gap between them */
			ck_assert_uint_gt(r->v[i].lo, r->v[i - 1].hi + 1);
	}
}

START_TEST(behaves_as_bits)
{
	struct ranges a = RANGES_INIT, b = RANGES_INIT;
	bool abits[N] = { 0 }, bbits[N] = { 0 };
	uint32_t seed = 12345;

	for (int step = 0; step < 2000; step++) {
		uint32_t lo, hi;

		seed = seed * 1103515245 + 12345;
		lo = seed >> 8 & (N - 1);
		hi = MIN(lo + (seed >> 16 & 7), N - 1);
		switch (seed >> 24 & 7) {
		case 0: case 1: case 2:
			ranges_add(&a, lo, hi);
			memset(abits + lo, 1, hi - lo + 1);
			break;
		case 3: case 4:
			ranges_remove(&a, lo, hi);
			memset(abits + lo, 0, hi - lo + 1);
			break;
		case 5:
			ranges_intersect(&a, &b);
			for (int i = 0; i < N; i++)
				abits[i] = abits[i] && bbits[i];
			break;
		case 6:
			ranges_merge(&a, &b);
			for (int i = 0; i < N; i++)
				abits[i] = abits[i] || bbits[i];
			break;
		default:
			ranges_copy(&b, &a);
			memcpy(bbits, abits, sizeof(bbits));
			ranges_remove(&b, lo, hi);
			memset(bbits + lo, 0, hi - lo + 1);
		}
		same(&a, abits);
		same(&b, bbits);
	}
	ranges_fini(&a);
	ranges_fini(&b);
}
END_TEST

START_TEST(ends_of_the_numbers)
{
	struct ranges r = RANGES_INIT;
	struct buf b = BUF_INIT(100);
	struct ranges_walk w = { 0 };
	uint32_t n;

	ranges_add(&r, UINT32_MAX - 1, UINT32_MAX);
	ranges_add(&r, 0, 0);
	ranges_add(&r, 5, 5);
	ranges_add(&r, 6, 7);
	ranges_print(&r, &b);
	ck_assert_str_eq(b.data, "0,5:7,4294967294:4294967295");
	for (int i = 0; i < 6; i++)
		ck_assert(ranges_next(&r, &w, &n));
	ck_assert_uint_eq(n, UINT32_MAX);
	ck_assert(!ranges_next(&r, &w, &n));
	ranges_remove(&r, 0, UINT32_MAX);
	ck_assert_uint_eq(r.len, 0);
	ranges_add(&r, 0, UINT32_MAX);
	ck_assert_uint_eq(ranges_count(&r), (uint64_t)UINT32_MAX + 1);
	ranges_remove(&r, UINT32_MAX, UINT32_MAX);
	ranges_remove(&r, 0, 0);
	buf_reset(&b);
	ranges_print(&r, &b);
	ck_assert_str_eq(b.data, "1:4294967294");
	buf_fini(&b);
	ranges_fini(&r);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("ranges");
	TCase *t = tcase_create("ranges");

	tcase_add_test(t, behaves_as_bits);
	tcase_add_test(t, ends_of_the_numbers);
	suite_add_tcase(s, t);
	return s;
}
