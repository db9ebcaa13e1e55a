/* SPDX-License-Identifier: ISC */
/*
 * mailbox_mend - records of an open mailbox that are made anew while its
 * numbers hold still: the journal was replaced, or the index, whose records are
 * looked at late, turns out to be damaged.
 *
 * What is mended has another number for each record and the same sequence
 * numbers.  Nothing of a damaged block is used for that, nor of any other: the
 * journal is read up to where the index was written, and the messages that are
 * there then are the index's records, in their order; what was read behind it
 * follows.  Where the journal does not say as many, because it is damaged, too,
 * or was replaced in this very moment, nobody can tell what the client's numbers
 * mean, and the view is lost: its client has to begin anew.
 */
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "store/mailbox_internal.h"

/* What is loaded goes to *old; the numbers of the view stay. */
static void
detach(struct mailbox *m, struct mailbox *old)
{
	*old = *m;
	m->p = NULL;
	m->map = NULL;
	m->base = NULL;
	m->nbase = m->base_last = 0;
	m->blocks = NULL;
	m->ready = NULL;
	m->nunready = 0;
	m->bad = false;
	memset(&m->sum, 0, sizeof(m->sum));
	m->extra.v = NULL;
	m->extra.len = m->extra.alloc = 0;
	memset(&m->keywords, 0, sizeof(m->keywords));
	memset(&m->kwsets, 0, sizeof(m->kwsets));
	memset(&m->vanished, 0, sizeof(m->vanished));
	m->names = BUF_INIT(BUF_UNLIMITED);
	m->checked = NULL;
	m->nchecked = 0;
	m->cachefd = -1;
	memset(&m->cache_maps, 0, sizeof(m->cache_maps));
	m->cache_number = m->cache_tail = 0;
	m->cache_later = true;
	m->nexpunged = 0;
	m->index_tail = 0;
	m->work = 0;
	memset(&m->scanned, 0, sizeof(m->scanned));
	/* Who matches records has to see all of them. */
	m->late = m->distrust = false;
}

static void
release(struct mailbox *old)
{
	packed_close(&old->p);
	index_unload(old);
	ARRAY_FINI(&old->extra);
	mailbox_cache_fini(old);
}

/* What is expunged and not in the view was told, or came and went. */
static void
leave_out(struct mailbox *m)
{
	uint64_t first = UINT64_MAX;
	uint32_t k = 0;

	for (uint32_t i = 0; i < m->shown && m->nexpunged > 0; i++) {
		struct record *r = record_at(m, i);

		if (k < m->count && m->order[k] == i) {
			k++;
			if (r->flags & MESSAGE_EXPUNGED)
				first = MIN(first, r->modseq);
		} else if (r->flags & MESSAGE_EXPUNGED &&
		    !(r->flags & RECORD_OFFERED)) {
			r->flags |= RECORD_OFFERED;
			m->nexpunged--;
		}
	}
	m->pending_from = first;
}

/* --- the journal was replaced ----------------------------------------------------- */

/* Match messages by UID.  -1: some are not there any more. */
static int
match(struct mailbox *m, const struct mailbox *old)
{
	uint32_t n = record_count(m), keep = 0;
	uint32_t *order = mem_alloc_array((size_t)old->count + 1,
	    sizeof(*order));

	m->shown = 0;
	for (uint32_t seq = 1; seq <= old->count; seq++) {
		const struct record *was = record_at(old,
		    record_of_seq(old, seq));
		uint32_t i = record_find(m, was->uid);
		struct record *r;

		if (i >= n || (r = record_at(m, i))->uid != was->uid) {
			/*
			 * Expunged long ago, and not in the new journal: it
			 * cannot be shown as pending.
			 */
			mem_free(order);
			return -1;
		}
		if (r->modseq != was->modseq || was->flags & RECORD_CHANGED) {
			r->flags |= RECORD_CHANGED;
			m->changed = true;
		}
		order[keep++] = i;
		m->shown = i + 1;
	}
	mem_free(m->order);
	m->order = order;
	m->count = keep;
	leave_out(m);
	return 0;
}

int
mailbox_reload(struct mailbox *m, struct why *why)
{
	/* By UIDs that a damaged index says nothing can be matched. */
	bool known = index_all_ready(m);
	struct mailbox old;

	detach(m, &old);
	if (mailbox_load(m, why) < 0) {
		bool none = m->a->error == ACCOUNT_NONEXISTENT;

		mailbox_unload(m);
		*m = old;
		if (!none)
			return -1;
		m->gone = true;
		return 1;
	}
	if (!known ||
	    m->p->head.uidvalidity != old.p->head.uidvalidity ||
	    memcmp(m->p->head.mailboxid, old.p->head.mailboxid, 16) != 0 ||
	    match(m, &old) < 0)
		m->gone = true;
	if (m->gone)
		m->count = m->shown = m->nrecent = 0;
	if (m->md != NULL)
		maildir_view_reloaded(m);
	release(&old);
	m->new_keywords = true;
	return 1;
}

/* --- the index was damaged -------------------------------------------------------- */

/*
 * m has what the journal said when the index was written: its messages are
 * old's records of the index.  Go on to tail, as far as old was.  -1: it is not
 * so.
 */
static int
renumber(struct mailbox *m, const struct mailbox *old, uint64_t tail)
{
	uint32_t *live, *order, n = record_count(m);
	int rc;

	m->order = NULL;
	m->count = m->shown = 0;
	(void)mailbox_take_in(m);
	live = m->order;
	m->order = NULL;
	if (m->count != old->nbase) {
		mem_free(live);
		return -1;
	}
	m->shown = n + (old->shown - old->nbase);
	m->p->upto = tail;
	rc = m->p->head.state.tail == tail ? 0 : packed_catch_up(m->p, NULL);
	m->p->upto = 0;
	if (rc < 0 || m->p->head.state.tail != tail ||
	    m->shown > record_count(m)) {
		mem_free(live);
		return -1;
	}
	order = mem_alloc_array((size_t)old->count + 1, sizeof(*order));
	for (uint32_t seq = 1; seq <= old->count; seq++) {
		uint32_t i = record_of_seq(old, seq);

		order[seq - 1] = i >= old->nbase ? n + (i - old->nbase) :
		    live != NULL ? live[i] : i;
	}
	mem_free(live);
	m->order = order;
	m->count = old->count;
	leave_out(m);
	return 0;
}

void
mailbox_mend(struct mailbox *m)
{
	uint64_t tail = m->p->head.state.tail;
	struct why why = WHY_INIT;
	struct mailbox old;
	int rc;

	detach(m, &old);
	m->distrust = true;
	m->upto = old.index_tail;
	rc = mailbox_load(m, &why);
	m->distrust = false;
	m->upto = 0;
	if (rc < 0) {
		log_warning("%s: %s", old.p->path, why.text);
		mailbox_unload(m);
		*m = old;
		index_unload(m);
		m->extra.len = 0;
		m->order = NULL;
	} else {
		m->p->upto = 0;
		if (m->p->head.generation != old.p->head.generation)
			rc = -1;
		else
			rc = renumber(m, &old, tail);
		m->new_keywords = old.new_keywords ||
		    m->keywords.len > old.keywords.len;
		release(&old);
	}
	mem_free(old.order);
	if (rc < 0) {
		log_warning("%s: what the index had is not in the journal: "
		    "who has it open has to open it again", m->p->path);
		m->order = NULL;
		m->count = m->shown = m->nrecent = m->nexpunged = 0;
		m->changed = false;
		m->gone = true;
	}
}
