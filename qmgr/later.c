/* SPDX-License-Identifier: ISC */
/*
 * later - see later.h.  A heap of indices, and a table with linear probing
 * (and shifting back on removal, so that it needs no tombstones).
 */
#include "qmgr/later.h"

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"

#define NONE	UINT32_MAX

/* Sequence numbers are ours and count up: a multiplication spreads them. */
static uint32_t
table_home(const struct later *l, uint64_t seq)
{
	return (uint32_t)((seq * 0x9e3779b97f4a7c15ULL) >> 32) &
	    (l->table_size - 1);
}

static void
table_insert(struct later *l, uint32_t i)
{
	uint32_t at = table_home(l, l->v[i].seq);

	while (l->table[at] != 0)
		at = (at + 1) & (l->table_size - 1);
	l->table[at] = i + 1;
}

static void
table_grow(struct later *l)
{
	uint32_t size = l->table_size == 0 ? 64 : l->table_size * 2;

	mem_free(l->table);
	l->table = mem_zalloc_array(size, sizeof(*l->table));
	l->table_size = size;
	for (uint32_t i = 0; i < l->len; i++)
		if (l->v[i].heap_at != NONE)
			table_insert(l, i);
}

/* The place in the table, or NONE. */
static uint32_t
table_find(const struct later *l, int64_t id_us, uint64_t seq)
{
	uint32_t at, i;

	if (l->table_size == 0)
		return NONE;
	for (at = table_home(l, seq); (i = l->table[at]) != 0;
	    at = (at + 1) & (l->table_size - 1))
		if (l->v[i - 1].seq == seq && l->v[i - 1].id_us == id_us)
			return at;
	return NONE;
}

static void
table_remove(struct later *l, uint32_t at)
{
	uint32_t mask = l->table_size - 1, next = at;

	for (;;) {
		uint32_t home;

		next = (next + 1) & mask;
		if (l->table[next] == 0)
			break;
		home = table_home(l, l->v[l->table[next] - 1].seq);
		/* Move it back unless its home lies behind the hole. */
		if (((next - home) & mask) < ((next - at) & mask))
			continue;
		l->table[at] = l->table[next];
		at = next;
	}
	l->table[at] = 0;
}

static bool
before(const struct later *l, uint32_t a, uint32_t b)
{
	const struct later_item *x = &l->v[a], *y = &l->v[b];

	return x->next_us != y->next_us ? x->next_us < y->next_us
	    : x->seq < y->seq;
}

static void
heap_place(struct later *l, uint32_t at, uint32_t i)
{
	l->heap[at] = i;
	l->v[i].heap_at = at;
}

static void
heap_up(struct later *l, uint32_t at)
{
	uint32_t i = l->heap[at];

	while (at > 0 && before(l, i, l->heap[(at - 1) / 2])) {
		heap_place(l, at, l->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	heap_place(l, at, i);
}

static void
heap_down(struct later *l, uint32_t at)
{
	uint32_t i = l->heap[at];

	for (;;) {
		uint32_t child = 2 * at + 1;

		if (child >= l->count)
			break;
		if (child + 1 < l->count &&
		    before(l, l->heap[child + 1], l->heap[child]))
			child++;
		if (!before(l, l->heap[child], i))
			break;
		heap_place(l, at, l->heap[child]);
		at = child;
	}
	heap_place(l, at, i);
}

void
later_put(struct later *l, int64_t id_us, uint64_t seq, int64_t next_us,
    unsigned flags)
{
	uint32_t at = table_find(l, id_us, seq), i;

	if (at != NONE) {
		i = l->table[at] - 1;
		l->v[i].next_us = next_us;
		l->v[i].flags = flags;
		heap_up(l, l->v[i].heap_at);
		heap_down(l, l->v[i].heap_at);
		return;
	}
	if (l->free_head != NONE) {
		i = l->free_head;
		l->free_head = l->v[i].flags;
	} else {
		if (l->len == l->alloc) {
			if (l->alloc >= NONE / 2)
				log_fatal("too many deferred messages");
			l->alloc = l->alloc == 0 ? 64
			    : l->alloc + l->alloc / 2;
			l->v = mem_realloc_array(l->v, l->alloc,
			    sizeof(*l->v));
		}
		i = l->len++;
	}
	if (l->count == l->heap_alloc) {
		l->heap_alloc = l->heap_alloc == 0 ? 64
		    : l->heap_alloc + l->heap_alloc / 2;
		l->heap = mem_realloc_array(l->heap, l->heap_alloc,
		    sizeof(*l->heap));
	}
	l->v[i] = (struct later_item){
		.seq = seq, .id_us = id_us, .next_us = next_us,
		.flags = flags, .heap_at = NONE,
	};
	if ((uint64_t)(l->count + 1) * 3 > (uint64_t)l->table_size * 2)
		table_grow(l);	/* this entry is still marked as a hole */
	heap_place(l, l->count, i);
	l->count++;
	table_insert(l, i);
	heap_up(l, l->count - 1);
}

const struct later_item *
later_find(const struct later *l, int64_t id_us, uint64_t seq)
{
	uint32_t at = table_find(l, id_us, seq);

	return at == NONE ? NULL : &l->v[l->table[at] - 1];
}

bool
later_remove(struct later *l, int64_t id_us, uint64_t seq)
{
	uint32_t at = table_find(l, id_us, seq), i, h;

	if (at == NONE)
		return false;
	i = l->table[at] - 1;
	table_remove(l, at);
	h = l->v[i].heap_at;
	l->count--;
	if (h != l->count) {
		heap_place(l, h, l->heap[l->count]);
		heap_up(l, h);
		heap_down(l, l->v[l->heap[h]].heap_at);
	}
	l->v[i].heap_at = NONE;
	l->v[i].flags = l->free_head;
	l->free_head = i;
	return true;
}

const struct later_item *
later_first(const struct later *l)
{
	return l->count == 0 ? NULL : &l->v[l->heap[0]];
}

/* min(x, now) grows with x, so the heap stays a heap. */
void
later_flush(struct later *l, int64_t now_us)
{
	for (uint32_t i = 0; i < l->len; i++)
		if (l->v[i].heap_at != NONE && l->v[i].next_us > now_us)
			l->v[i].next_us = now_us;
}

void
later_shift(struct later *l, int64_t delta_us)
{
	for (uint32_t i = 0; i < l->len; i++)
		if (l->v[i].heap_at != NONE)
			l->v[i].next_us += delta_us;
}

const struct later_item *
later_at(const struct later *l, uint32_t i)
{
	return i >= l->len || l->v[i].heap_at == NONE ? NULL : &l->v[i];
}

void
later_fini(struct later *l)
{
	mem_free(l->v);
	mem_free(l->heap);
	mem_free(l->table);
	*l = LATER_INIT;
}
