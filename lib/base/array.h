/* SPDX-License-Identifier: ISC */
/*
 * array - a growing array of one type.
 *
 *	ARRAY(struct rcpt) rcpts = ARRAY_EMPTY;
 *	*ARRAY_PUSH(&rcpts) = (struct rcpt){ ... };
 *	for (size_t i = 0; i < rcpts.len; i++)
 *		use(&rcpts.v[i]);
 *	ARRAY_FINI(&rcpts);
 *
 * Pushing may move the elements.  The caller checks any limit on len first.
 */
#ifndef BASE_ARRAY_H
#define BASE_ARRAY_H

#include <string.h>

#include "base/mem.h"

#define ARRAY(T)	struct { T *v; size_t len, alloc; }
#define ARRAY_EMPTY	{ NULL, 0, 0 }

void	*array_grow(void *v, size_t *alloc, size_t size);

/* A pointer to a new last element, zeroed. */
#define ARRAY_PUSH(a) (							\
	(a)->len == (a)->alloc						\
	? (void)((a)->v = array_grow((a)->v, &(a)->alloc,		\
	    sizeof((a)->v[0])))						\
	: (void)0,							\
	memset(&(a)->v[(a)->len], 0, sizeof((a)->v[0])),		\
	&(a)->v[(a)->len++])
#define ARRAY_FINI(a)	\
	(mem_free((a)->v), (a)->v = NULL, (a)->len = (a)->alloc = 0)
/* Remove element i; the last one takes its place. */
#define ARRAY_DROP(a, i)	((a)->v[i] = (a)->v[--(a)->len])

#endif
