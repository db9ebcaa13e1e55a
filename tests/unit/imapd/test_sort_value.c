/* SPDX-License-Identifier: ISC */
/*
 * sort_value: the same order as comparing gives.
 */
#include <check.h>
#include <stdlib.h>

#include "base/mem.h"
#include "imapd/sort_value.h"

static unsigned seed;

static unsigned
any(unsigned n)
{
	seed = seed * 1103515245u + 12345u;
	return (seed >> 12) % n;
}

static const struct { size_t n, len; unsigned letters, numbers; } cases[] = {
	{ 0, 0, 1, 0 }, { 1, 3, 2, 0 }, { 50, 20, 3, 0 }, { 1000, 3, 2, 0 },
	{ 1000, 20, 2, 0 }, { 1000, 40, 1, 0 }, { 500, 300, 1, 0 },
	{ 3000, 9, 200, 0 }, { 2000, 0, 1, 2 }, { 2000, 0, 1, 1u << 19 },
	{ 70, 100, 2, 0 },
};

/* Strings with many beginnings alike, also with NULs at their ends. */
START_TEST(as_comparing_does)
{
	size_t n = cases[_i].n;
	struct sort_value *v = mem_zalloc_array(n + 1, sizeof(*v));
	bool *seen = mem_zalloc_array(n + 1, sizeof(*seen));

	seed = (unsigned)_i;
	for (size_t i = 0; i < n; i++) {
		size_t len = cases[_i].len > 0 ?
		    any((unsigned)cases[_i].len + 1) : 0;
		char *p = mem_alloc(len + 1);

		for (size_t k = 0; k < len; k++)
			p[k] = (char)any(cases[_i].letters + 1);
		v[i].text = span_make(p, len);
		v[i].num = cases[_i].numbers > 0 ?
		    (uint64_t)any(cases[_i].numbers) << any(40) :
		    sort_prefix(v[i].text, 0);
		v[i].index = (uint32_t)i;
	}
	sort_values(v, n);
	for (size_t i = 0; i < n; i++) {
		ck_assert_uint_lt(v[i].index, n);
		ck_assert(!seen[v[i].index]);
		seen[v[i].index] = true;
		if (i == 0)
			continue;
		int rc = cases[_i].numbers > 0 ?
		    (v[i - 1].num > v[i].num) - (v[i - 1].num < v[i].num) :
		    span_cmp(v[i - 1].text, v[i].text);
		ck_assert_int_le(rc, 0);
		ck_assert((sort_value_cmp(&v[i - 1], &v[i]) == 0) ==
		    (rc == 0));
	}
	for (size_t i = 0; i < n; i++)
		mem_free((void *)(uintptr_t)v[i].text.p);
	mem_free(v);
	mem_free(seen);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("sort_value");
	TCase *t = tcase_create("sort_value");

	tcase_add_loop_test(t, as_comparing_does, 0, (int)ARRAY_LEN(cases));
	suite_add_tcase(s, t);
	return s;
}
