/* SPDX-License-Identifier: ISC */
/*
 * book - see book.h.
 */
#include "qmgr/book.h"

#include "base/log.h"
#include "io/fd.h"

static void
release_if_done(struct book *b, struct book_slot *s)
{
	if (!s->used || !s->closed || s->released || s->unfinished > 0 ||
	    s->lent > 0)
		return;
	s->released = true;
	if (s->fd >= 0)
		fd_close(&s->fd);
	if (b->release != NULL)
		b->release(b->arg, s->slot, s->generation);
}

bool
book_count(struct book *b, const struct qlog_pos *pos, bool unfinished,
    int64_t now_ms)
{
	struct book_slot *s;

	if ((b->any && pos->seq <= b->counted) || pos->slot >= BOOK_SLOT_MAX)
		return false;
	while (b->slots.len <= pos->slot)
		ARRAY_PUSH(&b->slots)->fd = -1;
	s = &b->slots.v[pos->slot];
	if (b->any && b->current != pos->slot) {
		struct book_slot *old = &b->slots.v[b->current];

		old->closed = true;
		old->closed_ms = now_ms;
		release_if_done(b, old);
		s = &b->slots.v[pos->slot];
	}
	if (!s->used || s->generation != pos->generation) {
		if (s->used && s->unfinished > 0)
			log_panic("log slot %u was reused with %u messages "
			    "unfinished", pos->slot, s->unfinished);
		fd_close(&s->fd);
		*s = (struct book_slot){
			.used = true, .slot = pos->slot,
			.generation = pos->generation,
			.first_seq = pos->seq, .fd = -1,
		};
	}
	s->last_seq = pos->seq;
	if (unfinished) {
		s->unfinished++;
		b->unfinished++;
	}
	b->current = pos->slot;
	b->counted = pos->seq;
	b->any = true;
	return true;
}

struct book_slot *
book_slot(struct book *b, uint32_t slot, uint32_t generation)
{
	struct book_slot *s;

	if (slot >= b->slots.len)
		return NULL;
	s = &b->slots.v[slot];
	return s->used && s->generation == generation ? s : NULL;
}

void
book_finish(struct book *b, uint32_t slot, uint32_t generation)
{
	struct book_slot *s = book_slot(b, slot, generation);

	if (s == NULL || s->unfinished == 0)
		log_panic("log slot %u.%u has no message to finish", slot,
		    generation);
	s->unfinished--;
	b->unfinished--;
	release_if_done(b, s);
}

void
book_lend(struct book *b, uint32_t slot, uint32_t generation)
{
	struct book_slot *s = book_slot(b, slot, generation);

	if (s == NULL || s->released)
		log_panic("log slot %u.%u is lent after its release", slot,
		    generation);
	s->lent++;
}

void
book_return(struct book *b, uint32_t slot, uint32_t generation)
{
	struct book_slot *s = book_slot(b, slot, generation);

	if (s == NULL || s->lent == 0)
		log_panic("log slot %u.%u was not lent", slot, generation);
	s->lent--;
	release_if_done(b, s);
}

void
book_release_again(struct book *b)
{
	for (size_t i = 0; i < b->slots.len; i++) {
		struct book_slot *s = &b->slots.v[i];

		if (s->used && s->released && b->release != NULL)
			b->release(b->arg, s->slot, s->generation);
	}
}

uint64_t
book_min_seq(const struct book *b)
{
	uint64_t min = b->any ? b->counted + 1 : 0;

	for (size_t i = 0; i < b->slots.len; i++)
		if (b->slots.v[i].used && b->slots.v[i].first_seq < min)
			min = b->slots.v[i].first_seq;
	return min;
}

void
book_forget(struct book *b, uint32_t slot)
{
	if (slot < b->slots.len && b->slots.v[slot].released)
		b->slots.v[slot].used = false;
}

void
book_fini(struct book *b)
{
	for (size_t i = 0; i < b->slots.len; i++)
		fd_close(&b->slots.v[i].fd);
	ARRAY_FINI(&b->slots);
	b->any = false;
}
