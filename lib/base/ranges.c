/* SPDX-License-Identifier: ISC */
/*
 * ranges - see ranges.h.
 */
#include "base/ranges.h"

void
ranges_fini(struct ranges *r)
{
	ARRAY_FINI(r);
}

void
ranges_reset(struct ranges *r)
{
	r->len = 0;
}

void
ranges_copy(struct ranges *to, const struct ranges *from)
{
	if (to == from)
		return;
	to->len = 0;
	for (size_t i = 0; i < from->len; i++)
		*ARRAY_PUSH(to) = from->v[i];
}

size_t
ranges_at(const struct ranges *r, uint32_t n)
{
	size_t lo = 0, hi = r->len;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (r->v[mid].hi < n)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

bool
ranges_has(const struct ranges *r, uint32_t n)
{
	size_t i = ranges_at(r, n);

	return i < r->len && r->v[i].lo <= n;
}

/* Put at for the ranges [from, to). */
static void
replace(struct ranges *r, size_t from, size_t to, const struct range *with,
    size_t n)
{
	size_t tail = r->len - to;

	while (r->alloc < from + n + tail)
		r->v = array_grow(r->v, &r->alloc, sizeof(r->v[0]));
	if (tail > 0)
		memmove(r->v + from + n, r->v + to, tail * sizeof(r->v[0]));
	if (n > 0)
		memcpy(r->v + from, with, n * sizeof(r->v[0]));
	r->len = from + n + tail;
}

void
ranges_add(struct ranges *r, uint32_t lo, uint32_t hi)
{
	struct range all;
	size_t from, to;

	if (r->len == 0 || (lo > 0 && lo - 1 > r->v[r->len - 1].hi)) {
		*ARRAY_PUSH(r) = (struct range){ lo, hi };
		return;
	}
	if (lo > 0 && lo - 1 == r->v[r->len - 1].hi) {
		r->v[r->len - 1].hi = hi;
		return;
	}
	/* All ranges that overlap or touch become one. */
	from = ranges_at(r, lo > 0 ? lo - 1 : 0);
	all = (struct range){ lo, hi };
	for (to = from; to < r->len; to++) {
		if (hi < UINT32_MAX && r->v[to].lo > hi + 1)
			break;
		all.lo = MIN(all.lo, r->v[to].lo);
		all.hi = MAX(all.hi, r->v[to].hi);
	}
	replace(r, from, to, &all, 1);
}

void
ranges_remove(struct ranges *r, uint32_t lo, uint32_t hi)
{
	struct range left[2];
	size_t from = ranges_at(r, lo), to, n = 0;

	for (to = from; to < r->len && r->v[to].lo <= hi; to++) {
		if (r->v[to].lo < lo)
			left[n++] = (struct range){ r->v[to].lo, lo - 1 };
		if (r->v[to].hi > hi)
			left[n++] = (struct range){ hi + 1, r->v[to].hi };
	}
	if (to > from)
		replace(r, from, to, left, n);
}

uint64_t
ranges_count(const struct ranges *r)
{
	uint64_t n = 0;

	for (size_t i = 0; i < r->len; i++)
		n += (uint64_t)r->v[i].hi - r->v[i].lo + 1;
	return n;
}

bool
ranges_next(const struct ranges *r, struct ranges_walk *w, uint32_t *n)
{
	for (; w->i < r->len; w->i++) {
		w->next = MAX(w->next, r->v[w->i].lo);
		if (w->next <= r->v[w->i].hi) {
			*n = (uint32_t)w->next++;
			return true;
		}
	}
	return false;
}

void
ranges_intersect(struct ranges *a, const struct ranges *b)
{
	struct ranges out = RANGES_INIT;

	for (size_t i = 0, j = 0; i < a->len && j < b->len;) {
		uint32_t lo = MAX(a->v[i].lo, b->v[j].lo);
		uint32_t hi = MIN(a->v[i].hi, b->v[j].hi);

		if (lo <= hi)
			ranges_add(&out, lo, hi);
		if (a->v[i].hi < b->v[j].hi)
			i++;
		else
			j++;
	}
	ranges_fini(a);
	*a = out;
}

void
ranges_merge(struct ranges *a, const struct ranges *b)
{
	for (size_t i = 0; i < b->len; i++)
		ranges_add(a, b->v[i].lo, b->v[i].hi);
}

void
ranges_print(const struct ranges *r, struct buf *out)
{
	for (size_t i = 0; i < r->len; i++) {
		buf_addf(out, "%s%u", i > 0 ? "," : "", r->v[i].lo);
		if (r->v[i].hi != r->v[i].lo)
			buf_addf(out, ":%u", r->v[i].hi);
	}
}
