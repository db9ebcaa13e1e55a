/* SPDX-License-Identifier: ISC */
/*
 * later - the messages that wait in deferred/, by time of next attempt.
 *
 * There may be a million of them, so an entry is what makes the file's name
 * and nothing more (the name is made again from it): with its place in the
 * heap and in the table it takes about 60 bytes.  Bodies and envelopes stay
 * on disk until the message is due.
 */
#ifndef QMGR_LATER_H
#define QMGR_LATER_H

#include "base/cc.h"

enum {
	LATER_RECOVERED = 1,	/* may have been handed out before */
};

struct later_item {
	uint64_t	seq;		/* both from the queue id */
	int64_t		id_us;
	int64_t		next_us;	/* wall clock */
	uint32_t	heap_at;	/* private; UINT32_MAX: a free entry */
	uint32_t	flags;
};

struct later {
	struct later_item	*v;	/* entries, with holes */
	uint32_t		 len, alloc, free_head;
	uint32_t		*heap;	/* indices into v */
	uint32_t		 count, heap_alloc;
	uint32_t		*table;	/* index + 1 into v, 0 empty */
	uint32_t		 table_size;	/* a power of two, or 0 */
};

#define LATER_INIT	((struct later){ .free_head = UINT32_MAX })

/* Add, or change the time and flags of one that is there. */
void	 later_put(struct later *l, int64_t id_us, uint64_t seq,
	    int64_t next_us, unsigned flags);
/* NULL when it is not there.  Good until the next change. */
const struct later_item *later_find(const struct later *l, int64_t id_us,
	    uint64_t seq);
bool	 later_remove(struct later *l, int64_t id_us, uint64_t seq);
/* The one that is due first; NULL when empty. */
const struct later_item *later_first(const struct later *l);
/* Everything that is due after now_us is due at now_us. */
void	 later_flush(struct later *l, int64_t now_us);
/* Everything is due by delta_us later, or earlier. */
void	 later_shift(struct later *l, int64_t delta_us);
/* Entry number i of l->len, NULL for a hole: to walk over all. */
const struct later_item *later_at(const struct later *l, uint32_t i);
void	 later_fini(struct later *l);

#endif
