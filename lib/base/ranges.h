/* SPDX-License-Identifier: ISC */
/*
 * ranges - a set of 32-bit numbers, kept as ranges: UIDs, sequence numbers.
 *
 * Ranges are sorted, do not touch and are never empty.  Adding numbers in
 * ascending order is constant time each; ranges_add() in any order keeps the
 * set sorted.  Number 0 is as good as any other here.
 */
#ifndef BASE_RANGES_H
#define BASE_RANGES_H

#include "base/array.h"
#include "base/buf.h"
#include "base/cc.h"

struct range {
	uint32_t	lo, hi;		/* both are in it; lo <= hi */
};

struct ranges {
	struct range	*v;
	size_t		 len, alloc;	/* an ARRAY() */
};

#define RANGES_INIT	((struct ranges){ NULL, 0, 0 })

void	 ranges_fini(struct ranges *r);
void	 ranges_reset(struct ranges *r);
void	 ranges_copy(struct ranges *to, const struct ranges *from);
void	 ranges_add(struct ranges *r, uint32_t lo, uint32_t hi);
void	 ranges_remove(struct ranges *r, uint32_t lo, uint32_t hi);
bool	 ranges_has(const struct ranges *r, uint32_t n);
/* The index of the first range whose hi is n or more; r->len for none. */
size_t	 ranges_at(const struct ranges *r, uint32_t n);
uint64_t ranges_count(const struct ranges *r);
/* Keep what is in b, too. */
void	 ranges_intersect(struct ranges *a, const struct ranges *b);
void	 ranges_merge(struct ranges *a, const struct ranges *b);
/* One number after the other, ascending; w is zeros at first. */
struct ranges_walk {
	size_t		i;
	uint64_t	next;
};
bool	 ranges_next(const struct ranges *r, struct ranges_walk *w,
	    uint32_t *n);
/* Append "1:3,5" (RFC 3501 sequence-set). */
void	 ranges_print(const struct ranges *r, struct buf *out);

#endif
