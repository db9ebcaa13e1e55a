/* SPDX-License-Identifier: ISC */
/*
 * tags - numbers for things that are under way, and back.
 *
 * A tag is an index and a generation: an answer that comes after its asker
 * has gone finds nothing, even when the index is in use again.  0 is never a
 * tag.
 */
#ifndef IPC_TAGS_H
#define IPC_TAGS_H

#include "base/array.h"
#include "base/cc.h"

#define TAGS_INDEX_BITS	20

struct tag_slot {
	void		*p;
	uint32_t	 gen, next;
};

struct tags {
	ARRAY(struct tag_slot) slots;
	uint32_t	free;		/* index + 1 of the first free one */
	size_t		used;
};

#define TAGS_INIT	{ ARRAY_EMPTY, 0, 0 }

uint32_t tags_add(struct tags *t, void *p);	/* 0: all are in use */
void	*tags_get(const struct tags *t, uint32_t tag);	/* NULL: unknown */
void	 tags_del(struct tags *t, uint32_t tag);
/* Every one that is in use; fn may delete any. */
void	 tags_each(struct tags *t, void (*fn)(void *p));

#endif
