/* SPDX-License-Identifier: ISC */
/*
 * sort_value - see sort_value.h.
 *
 * Numbers are counted into place by each byte in which they differ, the lowest
 * first.  Strings are numbers of eight bytes, and those that are the same in
 * these are sorted by the next eight.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "imapd/sort_value.h"

#define FEW	64u	/* values: comparing takes less than counting */
#define DEEP	64u	/* bytes that are the same: the same */

uint64_t
sort_prefix(struct span s, size_t at)
{
	uint64_t n = 0;

	for (size_t i = at; i < at + 8; i++)
		n = n << 8 | (i < s.len ? (unsigned char)s.p[i] : 0);
	return n;
}

int
sort_value_cmp(const struct sort_value *a, const struct sort_value *b)
{
	if (a->num != b->num)
		return a->num < b->num ? -1 : 1;
	return span_cmp(a->text, b->text);
}

static int
by_value(const void *a, const void *b)
{
	return sort_value_cmp(a, b);
}

static void
by_num(struct sort_value *v, struct sort_value *other, size_t n)
{
	struct sort_value *from = v, *to = other, *swap;
	uint64_t differ = 0;

	for (size_t i = 1; i < n; i++)
		differ |= v[i].num ^ v[0].num;
	for (unsigned shift = 0; shift < 64; shift += 8) {
		uint32_t places[257] = { 0 };

		if ((differ >> shift & 255) == 0)
			continue;
		for (size_t i = 0; i < n; i++)
			places[(from[i].num >> shift & 255) + 1]++;
		for (size_t i = 1; i < 256; i++)
			places[i] += places[i - 1];
		for (size_t i = 0; i < n; i++)
			to[places[from[i].num >> shift & 255]++] = from[i];
		swap = from;
		from = to;
		to = swap;
	}
	if (from != v)
		memcpy(v, from, n * sizeof(*v));
}

/* num is of the bytes at depth, up to which the strings are the same. */
static void
sort_from(struct sort_value *v, struct sort_value *other, size_t n,
    size_t depth)
{
	size_t end;

	if (n <= FEW || depth >= DEEP) {
		qsort(v, n, sizeof(*v), by_value);
		return;
	}
	by_num(v, other, n);
	for (size_t i = 0; i < n; i = end) {
		bool longer = false, alike = true;

		for (end = i; end < n && v[end].num == v[i].num; end++) {
			longer |= v[end].text.len > depth + 8;
			alike &= v[end].text.len == v[i].text.len;
		}
		if (end - i == 1 || (!longer && alike))
			continue;
		for (size_t k = i; k < end; k++)
			v[k].num = sort_prefix(v[k].text, depth + 8);
		sort_from(v + i, other, end - i, depth + 8);
	}
}

void
sort_values(struct sort_value *v, size_t n)
{
	struct sort_value *other = mem_alloc_array(n + 1, sizeof(*other));

	sort_from(v, other, n, 0);
	mem_free(other);
}
