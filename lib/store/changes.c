/* SPDX-License-Identifier: ISC */
/*
 * changes - an account's change journal: which mailboxes have changed since.
 *
 * The journals of the mailboxes, and of the list, say what has changed, each
 * in MODSEQs of its own.  Here they get an order in common: whoever asks for
 * the account's state looks how far each of them is, and writes down those
 * that have gone on since the last look; that is the next state.  So a
 * delivery or a STORE pays nothing, nothing has to be kept in step with it,
 * and what is lost of this file is found again: an entry is only "from this
 * MODSEQ to that one".  What happened between two looks is one change.
 *
 * The file is a journal as the others (packed.h), and a state is its MODSEQ:
 * so numbers that were told and lost with the power are not given again, and
 * what is asked since such a number is answered from the last one before it
 * that is known, which says too much, never too little.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "store/mailbox_internal.h"

#define ENTRY_LEN	48
#define ENTRIES_MAX	4096	/* then the older half is forgotten */

struct entry {
	uint64_t	state, from, to;
	int64_t		seen_us;
	uint32_t	box, uidnext_from, uidnext_to, validity;
	bool		gone;
};

struct changes {
	struct packed	*p;
	ARRAY(struct entry) v;
	uint64_t	 history;	/* complete above this state */
};

static void
apply(void *arg, const struct packed_record *r, bool own)
{
	struct changes *c = arg;
	const char *p = r->payload.p;
	struct entry *e;

	(void)own;
	if (r->type == PACKED_HISTORY && r->payload.len >= 8)
		c->history = MAX(c->history, num_get_le64(p));
	if (r->type != PACKED_CHANGE || r->payload.len < ENTRY_LEN)
		return;
	e = ARRAY_PUSH(&c->v);
	*e = (struct entry){
		.state = r->modseq, .box = num_get_le32(p),
		.gone = num_get_le32(p + 4), .from = num_get_le64(p + 8),
		.to = num_get_le64(p + 16),
		.seen_us = (int64_t)num_get_le64(p + 24),
		.uidnext_from = num_get_le32(p + 32),
		.uidnext_to = num_get_le32(p + 36),
		.validity = num_get_le32(p + 40),
	};
}

static void
encode(const struct entry *e, uint8_t b[ENTRY_LEN])
{
	num_put_le32(b, e->box);
	num_put_le32(b + 4, e->gone);
	num_put_le64(b + 8, e->from);
	num_put_le64(b + 16, e->to);
	num_put_le64(b + 24, (uint64_t)e->seen_us);
	num_put_le32(b + 32, e->uidnext_from);
	num_put_le32(b + 36, e->uidnext_to);
	num_put_le32(b + 40, e->validity);
	num_put_le32(b + 44, 0);
}

static void
close_changes(struct changes *c)
{
	packed_close(&c->p);
	ARRAY_FINI(&c->v);
}

/* Open it, locked and read. */
static int
open_changes(struct account *a, struct changes *c, struct why *why)
{
	for (int turn = 0; turn < PACKED_TURNS; turn++) {
		int rc;

		*c = (struct changes){ .p = packed_open(a->dirfd, a->path, 0,
		    &a->epoch, PACKED_WRITE | PACKED_CREATE | PACKED_CHANGES |
		    (a->format == STORE_MAILDIR ? PACKED_ALONE : 0), 0,
		    why) };
		if (c->p == NULL)
			return account_io(a, why);
		c->p->keep = true;
		c->p->hook = apply;
		c->p->hook_arg = c;
		packed_rewind(c->p);
		if ((rc = packed_lock(c->p, why)) == 0)
			return 0;
		close_changes(c);
		if (rc != PACKED_GONE)
			return account_io(a, why);
	}
	return account_say(a, ACCOUNT_INUSE, why, "the change journal is "
	    "being replaced");
}

static const struct entry *
last_of(const struct changes *c, uint32_t box)
{
	for (size_t i = c->v.len; i-- > 0;) {
		if (c->v.v[i].box == box)
			return &c->v.v[i];
	}
	return NULL;
}

/* --- looking ---------------------------------------------------------------------- */

/* How far a mailbox is.  1; 0 it is gone meanwhile; -1. */
static int
look_at(struct account *a, uint32_t box, struct entry *now, struct why *why)
{
	struct mailbox *m = NULL;
	struct packed *p;
	int rc;

	if (a->format == STORE_MAILDIR) {
		/* What other programs did is taken in. */
		m = mailbox_open_inside(a, box, 0, why);
		p = m != NULL ? m->p : NULL;
	} else {
		p = account_journal(a, box, 0, why);
	}
	if (p == NULL)
		return a->error == ACCOUNT_NONEXISTENT ? 0 : -1;
	rc = packed_catch_up(p, why);
	now->to = p->head.state.modseq;
	now->uidnext_to = p->head.state.uidnext;
	now->validity = p->head.uidvalidity;
	if (m != NULL)
		mailbox_close(&m);
	else
		packed_close(&p);
	return rc == -1 ? account_io(a, why) : rc >= 0;
}

static void
put_change(struct changes *c, struct entry *now)
{
	const struct entry *was = last_of(c, now->box);
	uint8_t b[ENTRY_LEN];

	now->seen_us = clock_wall_us();
	now->uidnext_from = 1;
	if (was != NULL && was->gone && now->gone)
		return;
	if (was != NULL && !was->gone && was->validity == now->validity) {
		if (!now->gone && was->to == now->to)
			return;
		/* Fewer than there were: it was made anew from messages. */
		if (now->gone || was->to < now->to) {
			now->from = was->to;
			now->uidnext_from = was->uidnext_to;
		}
	}
	encode(now, b);
	packed_put(c->p, PACKED_CHANGE, span_make(b, sizeof(b)));
}

/*
 * The older half goes, but for what was last said of each mailbox.  The lock
 * is ours; c is closed then.
 */
static int
shorten(struct account *a, struct changes *c, struct why *why)
{
	struct buf out = BUF_INIT(BUF_UNLIMITED);
	uint8_t b[ENTRY_LEN];
	size_t half = c->v.len / 2;
	int rc;

	num_put_le64(b, c->v.v[half].state);
	packed_record_encode(&out, PACKED_HISTORY, 1, span_make(b, 8));
	for (size_t i = 0; i < c->v.len; i++) {
		const struct entry *e = &c->v.v[i];

		if (i <= half && last_of(c, e->box) != e)
			continue;
		encode(e, b);
		packed_record_encode(&out, PACKED_CHANGE, e->state,
		    span_make(b, sizeof(b)));
	}
	rc = packed_replace(c->p, buf_span(&out), why);
	buf_fini(&out);
	return rc < 0 ? account_io(a, why) : 0;
}

static int
look(struct account *a, struct changes *c, struct why *why)
{
	struct entry list = { .box = 0, .uidnext_to = 1,
	    .to = a->list->head.state.modseq,
	    .validity = a->list->head.uidvalidity };

	put_change(c, &list);
	for (size_t i = 0; i < a->boxes.len; i++) {
		struct entry now = { .box = a->boxes.v[i].box };
		int rc;

		if (a->boxes.v[i].flags & BOX_NOSELECT)
			continue;
		rc = a->boxes.v[i].gone ? 0 : look_at(a, now.box, &now, why);
		if (rc < 0)
			return -1;
		now.gone = rc == 0;
		if (now.gone && last_of(c, now.box) == NULL)
			continue;
		put_change(c, &now);
	}
	if (packed_flush(c->p, why) < 0)
		return account_io(a, why);
	account_wrote(a, c->p);
	return 0;
}

/* --- telling ---------------------------------------------------------------------- */

/* One change a mailbox, of all that came after since. */
static void
tell(const struct changes *c, uint64_t since,
    void (*fn)(void *arg, const struct account_change *ch), void *arg)
{
	for (size_t i = 0; i < c->v.len; i++) {
		const struct entry *e = &c->v.v[i];
		struct account_change ch = {
			.box = e->box, .from = e->from,
			.uidnext = e->uidnext_from,
		};
		bool first = e->state > since;

		/* Before since, or told with an earlier one. */
		for (size_t k = 0; k < i && first; k++)
			first = c->v.v[k].box != e->box ||
			    c->v.v[k].state <= since;
		if (!first)
			continue;
		for (size_t k = i; k < c->v.len; k++) {
			const struct entry *l = &c->v.v[k];

			if (l->box != e->box)
				continue;
			/* It was made anew: all of it is another. */
			if (l->from == 0 && !l->gone) {
				ch.from = 0;
				ch.uidnext = 1;
			}
			ch.to = l->to;
			ch.gone = l->gone;
			ch.seen_us = l->seen_us;
		}
		fn(arg, &ch);
	}
}

int
account_changes(struct account *a, const struct account_state *since,
    struct account_state *now,
    void (*fn)(void *arg, const struct account_change *ch), void *arg,
    struct why *why)
{
	struct changes c;
	int rc = -1;

	if (account_refresh(a, why) < 0 || open_changes(a, &c, why) < 0)
		return -1;
	if (look(a, &c, why) == 0) {
		/* Of this file, also when it was shortened. */
		now->validity = num_get_le32(c.p->head.mailboxid);
		now->number = c.p->head.state.modseq;
		rc = since != NULL && since->validity == now->validity &&
		    since->number <= now->number && since->number >= c.history;
		if (fn != NULL)
			tell(&c, rc == 1 ? since->number : 0, fn, arg);
		if (c.v.len > ENTRIES_MAX && shorten(a, &c, why) < 0)
			rc = -1;
	}
	close_changes(&c);
	return rc;
}
