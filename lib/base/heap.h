/* SPDX-License-Identifier: ISC */
/*
 * heap - a priority queue through an index inside the element.
 *
 * The element with the smallest key is first; equal keys come out in the
 * order of their seq, which heap_push() counts up.
 */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include "base/cc.h"

struct heap_node {
	int64_t		key;
	uint64_t	seq;	/* private */
	size_t		at;	/* private: index + 1, or 0 when on no heap */
};

struct heap {
	struct heap_node	**v;
	size_t			  len, alloc;
	uint64_t		  seq;
};

#define HEAP_INIT	((struct heap){ NULL, 0, 0, 0 })

void	 heap_push(struct heap *h, struct heap_node *n, int64_t key);
struct heap_node *heap_first(const struct heap *h);	/* NULL when empty */
struct heap_node *heap_pop(struct heap *h);		/* NULL when empty */
/* Change the key of an element; push it when it is on no heap. */
void	 heap_set(struct heap *h, struct heap_node *n, int64_t key);
void	 heap_remove(struct heap *h, struct heap_node *n); /* may be on none */
void	 heap_fini(struct heap *h);			/* not the elements */

#endif
