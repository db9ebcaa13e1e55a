/* SPDX-License-Identifier: ISC */
/*
 * arena - memory that is freed all at once.
 *
 * A session owns one, each transaction another; handlers allocate and never
 * free.  Memory comes in chunks; the first chunk stays over arena_reset() so
 * that a steady state allocates nothing.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/cc.h"
#include "base/span.h"

struct arena_chunk;

struct arena {
	struct arena_chunk	*first, *last;
	size_t			 used;	/* bytes handed out since reset */
};

#define ARENA_INIT	((struct arena){ NULL, NULL, 0 })

void	*arena_alloc(struct arena *a, size_t n);	/* aligned for any type */
void	*arena_zalloc(struct arena *a, size_t n);
char	*arena_strdup(struct arena *a, const char *s);
char	*arena_span_dup(struct arena *a, struct span s);/* with a final '\0' */
char	*arena_printf(struct arena *a, const char *fmt, ...) PRINTF(2, 3);
void	 arena_reset(struct arena *a);			/* all is free again */
void	 arena_fini(struct arena *a);

#endif
