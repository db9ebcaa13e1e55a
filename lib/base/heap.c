/* SPDX-License-Identifier: ISC */
/*
 * heap - see heap.h.  A binary heap in an array.
 */
#include "base/array.h"
#include "base/heap.h"
#include "base/log.h"

static bool
before(const struct heap_node *a, const struct heap_node *b)
{
	return a->key != b->key ? a->key < b->key : a->seq < b->seq;
}

static void
place(struct heap *h, size_t i, struct heap_node *n)
{
	h->v[i] = n;
	n->at = i + 1;
}

static void
sift_up(struct heap *h, size_t i)
{
	struct heap_node *n = h->v[i];
	size_t up;

	for (; i > 0; i = up) {
		up = (i - 1) / 2;
		if (!before(n, h->v[up]))
			break;
		place(h, i, h->v[up]);
	}
	place(h, i, n);
}

static void
sift_down(struct heap *h, size_t i)
{
	struct heap_node *n = h->v[i];
	size_t down;

	for (; (down = 2 * i + 1) < h->len; i = down) {
		if (down + 1 < h->len && before(h->v[down + 1], h->v[down]))
			down++;
		if (!before(h->v[down], n))
			break;
		place(h, i, h->v[down]);
	}
	place(h, i, n);
}

void
heap_push(struct heap *h, struct heap_node *n, int64_t key)
{
	if (n->at != 0)
		log_panic("heap_push: already on a heap");
	if (h->len == h->alloc)
		h->v = array_grow(h->v, &h->alloc, sizeof(h->v[0]));
	n->key = key;
	n->seq = h->seq++;
	place(h, h->len++, n);
	sift_up(h, h->len - 1);
}

struct heap_node *
heap_first(const struct heap *h)
{
	return h->len ? h->v[0] : NULL;
}

struct heap_node *
heap_pop(struct heap *h)
{
	struct heap_node *n = heap_first(h);

	if (n != NULL)
		heap_remove(h, n);
	return n;
}

void
heap_set(struct heap *h, struct heap_node *n, int64_t key)
{
	if (n->at == 0) {
		heap_push(h, n, key);
		return;
	}
	n->key = key;
	sift_up(h, n->at - 1);
	sift_down(h, n->at - 1);
}

void
heap_remove(struct heap *h, struct heap_node *n)
{
	size_t i = n->at - 1;
	struct heap_node *last;

	if (n->at == 0)
		return;
	if (i >= h->len || h->v[i] != n)
		log_panic("heap_remove: not on this heap");
	n->at = 0;
	last = h->v[--h->len];
	if (last == n)
		return;
	place(h, i, last);
	sift_up(h, i);
	sift_down(h, last->at - 1);
}

void
heap_fini(struct heap *h)
{
	mem_free(h->v);
	*h = HEAP_INIT;
}
