/* SPDX-License-Identifier: ISC */
/*
 * mailbox_load - opening a mailbox, and seeing what others did.
 */
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "store/mailbox_internal.h"

#define COMPACT_MIN	(8u << 20)	/* bytes of journal */
#define COMPACT_EACH	1024u		/* and for each message */

/* --- the journal, and the records from it ----------------------------------------- */

static int
load_once(struct mailbox *m, struct why *why)
{
	unsigned how = m->flags & MAILBOX_READONLY ? 0 : PACKED_WRITE;
	int rc;

	/* Also who only looks notes what it learned, where it may. */
	m->p = account_journal(m->a, m->box, how | PACKED_WRITE |
	    account_may_make(m->a, m->box), why);
	if (m->p == NULL && how == 0 && m->a->error != ACCOUNT_NONEXISTENT)
		m->p = account_journal(m->a, m->box, 0, why);
	if (m->p == NULL)
		return -1;
	m->p->hook = mailbox_apply;
	m->p->hook_arg = m;
	m->loading = true;
	if (m->whole || m->distrust || index_load(m, m->late) == 0) {
		/* UIDNEXT and MODSEQ of the head stay, as lower bounds. */
		packed_rewind(m->p);
	}
	m->p->upto = m->upto;
	rc = packed_catch_up(m->p, why);
	m->loading = false;
	/* Who looks for what is over wants to see it. */
	if (m->whole)
		m->gone = false;
	return rc;
}

int
mailbox_load(struct mailbox *m, struct why *why)
{
	for (int turn = 0; turn < PACKED_TURNS; turn++) {
		int rc = load_once(m, why);

		if (rc >= 0 && !m->bad)
			return 0;
		if (rc == -1)
			return -1;
		/* What the journal says needs a record that is damaged. */
		m->distrust |= m->bad;
		mailbox_unload(m);
	}
	return account_say(m->a, ACCOUNT_INUSE, why, "the mailbox is being "
	    "replaced");
}

void
mailbox_unload(struct mailbox *m)
{
	if (m->p != NULL)
		account_wrote(m->a, m->p);
	packed_close(&m->p);
	index_unload(m);
	ARRAY_FINI(&m->extra);
	ARRAY_FINI(&m->times);
	mailbox_cache_fini(m);
}

/* --- the view -------------------------------------------------------------------------- */

void
mailbox_need_order(struct mailbox *m)
{
	if (m->order != NULL)
		return;
	m->order = mem_alloc_array((size_t)m->count + 1, sizeof(*m->order));
	for (uint32_t i = 0; i < m->count; i++)
		m->order[i] = i;
}

void
mailbox_take_out(struct mailbox *m)
{
	uint32_t keep = 0, taken = 0;

	if (m->nexpunged == 0)
		return;
	for (uint32_t seq = 1; seq <= m->count; seq++) {
		uint32_t i = record_of_seq(m, seq);
		struct record *r = record_at(m, i);

		if (!record_marked(m, i, MESSAGE_EXPUNGED)) {
			if (taken > 0)
				m->order[keep] = i;
			keep++;
			continue;
		}
		mailbox_need_order(m);
		*ARRAY_PUSH(&m->told) = (struct mailbox_expunge){
			seq - taken, r->uid };
		r->flags |= RECORD_OFFERED;
		if (mailbox_is_recent(m, r->uid))
			m->nrecent--;
		m->nexpunged--;
		taken++;
	}
	m->count = keep;
}

uint32_t
mailbox_take_in(struct mailbox *m)
{
	uint32_t n = record_count(m), arrived = 0;

	if (m->nexpunged == 0 && m->order == NULL) {
		/* None of them is gone: no need to look at each. */
		arrived = n - m->shown;
		m->count += arrived;
		m->shown = n;
		return arrived;
	}
	for (uint32_t i = m->shown; i < n && m->order == NULL; i++) {
		if (record_marked(m, i, MESSAGE_EXPUNGED))
			mailbox_need_order(m);
	}
	if (m->order != NULL && m->shown < n)
		m->order = mem_realloc_array(m->order, (size_t)m->count +
		    (n - m->shown) + 1, sizeof(*m->order));
	for (uint32_t i = m->shown; i < n; i++) {
		if (record_marked(m, i, MESSAGE_EXPUNGED)) {
			/* Came and went before we looked. */
			record_at(m, i)->flags |= RECORD_OFFERED;
			m->nexpunged--;
			continue;
		}
		if (m->order != NULL)
			m->order[m->count] = i;
		m->count++;
		arrived++;
	}
	m->shown = n;
	return arrived;
}

uint32_t
mailbox_first_recent(const struct mailbox *m, uint32_t from)
{
	/* The index says so, and records do not leave. */
	if (m->nunready > 0 && from == m->sum.recent_from &&
	    from <= m->base_last)
		return m->sum.recent_at;
	return record_find(m, from);
}

static int lock_view(struct mailbox *m, struct why *why);

/*
 * Claim the messages that nobody has opened the mailbox for yet: \Recent.
 * Only one session gets each.  (RFC 3501 2.3.2)  Returns how many messages
 * came between the last look and the lock.
 */
static uint32_t
claim_recent(struct mailbox *m)
{
	uint32_t next = m->p->head.state.uidnext, from, arrived = 0;
	uint8_t le[4];

	if (!(m->flags & MAILBOX_RECENT) || m->recent_from >= next)
		return 0;
	from = m->recent_from;
	if (!(m->flags & MAILBOX_READONLY) && m->p->writable) {
		if (lock_view(m, NULL) < 0)
			return 0;
		from = m->recent_from;
		next = m->p->head.state.uidnext;
		if (from < next) {
			num_put_le32(le, next);
			bool dirty = m->p->jdirty;

			/*
			 * SELECT does not wait for a sync of it: after a power
			 * cut they are recent to the next one, too, which is
			 * what RFC 3501 wants where it is not known.
			 */
			packed_put(m->p, PACKED_RECENT,
			    span_make(le, sizeof(le)));
			(void)packed_flush(m->p, NULL);
			m->p->jdirty = dirty;
		}
		mailbox_unlock(m);
		arrived = mailbox_take_in(m);
	}
	if (from < next) {
		uint32_t i = MIN(mailbox_first_recent(m, from), m->shown);
		size_t n = m->recent.len;

		for (; m->order != NULL && i < m->shown; i++)
			m->nrecent += !record_marked(m, i, RECORD_OFFERED);
		m->nrecent += m->shown - i;
		if (n > 0 && m->recent.v[n - 1].last == from - 1)
			m->recent.v[n - 1].last = next - 1;
		else
			*ARRAY_PUSH(&m->recent) = (struct uid_pair){ from,
			    next - 1 };
	}
	m->recent_from = MAX(m->recent_from, next);
	return arrived;
}

static struct mailbox *
open_view(struct account *a, uint32_t box, unsigned flags, unsigned rights,
    bool whole, struct why *why)
{
	struct mailbox *m = mem_zalloc(sizeof(*m));

	m->a = a;
	m->box = box;
	m->flags = flags;
	m->rights = rights;
	m->cachefd = -1;
	m->recent_from = 1;
	m->names = BUF_INIT(BUF_UNLIMITED);
	a->views++;
	m->whole = whole;
	/* The files of a maildir are looked for by what the records say. */
	m->late = flags & MAILBOX_LATER && a->format != STORE_MAILDIR;
	if (mailbox_load(m, why) < 0)
		goto fail;
	if (a->format == STORE_MAILDIR && !whole && maildir_view_open(m, why) < 0)
		goto fail;
	m->cache_later = true;
	if (!m->late)
		mailbox_note_cache(m);
	(void)mailbox_take_in(m);
	(void)claim_recent(m);
	m->new_keywords = false;
	m->changed = false;
	return m;
fail:
	mailbox_close(&m);
	return NULL;
}

struct mailbox *
mailbox_open_inside(struct account *a, uint32_t box, unsigned flags,
    struct why *why)
{
	return open_view(a, box, flags, RIGHT_ALL, false, why);
}

struct mailbox *
mailbox_open_whole(struct account *a, uint32_t box, struct why *why)
{
	return open_view(a, box, 0, RIGHT_ALL, true, why);
}

bool
mailbox_expunge_time(const struct mailbox *m, const struct record *r,
    struct expunge_time *out)
{
	size_t lo = 0, hi = m->times.len;

	/* In the order of the journal: by MODSEQ. */
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (m->times.v[mid].modseq < r->modseq)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < m->times.len && m->times.v[lo].modseq == r->modseq; lo++) {
		const struct expunge_time *t = &m->times.v[lo];

		if (t->first <= r->uid && r->uid <= t->last) {
			*out = *t;
			return true;
		}
	}
	return false;
}

struct mailbox *
mailbox_open(struct account *a, uint32_t box, unsigned flags,
    struct why *why)
{
	const struct acct_box *b;
	unsigned rights;

	a = account_at(a, &box);
	if (account_refresh(a, why) < 0)
		return NULL;
	b = account_box_by_id(a, box);
	if (b == NULL || b->gone || b->flags & BOX_NOSELECT) {
		(void)account_say(a, ACCOUNT_NONEXISTENT, why,
		    "no such mailbox");
		return NULL;
	}
	if (account_need(a, box, RIGHT_READ, why) < 0)
		return NULL;
	rights = account_rights(a, box);
	if (!(rights & (RIGHT_SEEN | RIGHT_WRITE | RIGHT_DELETE |
	    RIGHT_EXPUNGE | RIGHT_INSERT)))
		flags |= MAILBOX_READONLY;
	return open_view(a, box, flags, rights, false, why);
}

void
mailbox_tidy(struct mailbox *m)
{
	if (!m->gone)
		index_save(m, false);
}

/*
 * Most of a journal that has grown to many times of what it says is flags and
 * expunges of long ago.
 */
static bool
worth_compacting(const struct mailbox *m)
{
	return !m->gone && m->p->writable && m->p->head.state.tail >
	    COMPACT_MIN + (uint64_t)m->count * COMPACT_EACH;
}

void
mailbox_close(struct mailbox **mp)
{
	struct mailbox *m = *mp;
	struct account *a;
	bool compact = false;
	uint32_t box;

	if (m == NULL)
		return;
	*mp = NULL;
	if (m->p != NULL && !m->whole) {
		index_save(m, false);
		compact = worth_compacting(m);
	}
	maildir_view_close(m);
	mailbox_unload(m);
	mailbox_uidls_free(m);
	mem_free(m->order);
	ARRAY_FINI(&m->told);
	ARRAY_FINI(&m->told_flags);
	ARRAY_FINI(&m->recent);
	ranges_fini(&m->set1);
	ranges_fini(&m->set2);
	m->a->views--;
	a = m->a;
	box = m->box;
	mem_free(m);
	/* Only when nobody else of ours has it open: it takes the lock. */
	if (compact && mailbox_compact(a, box, COMPACT_NOW, NULL) < 0)
		log_warning("%s: cannot compact a journal", a->path);
}

/* --- refreshing -------------------------------------------------------------------------- */

static void
collect_flags(struct mailbox *m)
{
	if (!m->changed)
		return;
	for (uint32_t seq = 1; seq <= m->count; seq++) {
		uint32_t i = record_of_seq(m, seq);
		struct record *r = record_at(m, i);

		if (!record_marked(m, i, RECORD_CHANGED))
			continue;
		r->flags &= ~RECORD_CHANGED;
		if (!(r->flags & MESSAGE_EXPUNGED))
			*ARRAY_PUSH(&m->told_flags) = seq;
	}
	m->changed = false;
}

int
mailbox_refresh(struct mailbox *m, unsigned flags, struct mailbox_changes *c,
    struct why *why)
{
	int rc;

	*c = (struct mailbox_changes){ .count = m->count };
	m->told.len = 0;
	m->told_flags.len = 0;
	rc = m->gone ? 0 : packed_catch_up(m->p, why);
	if (rc == PACKED_GONE)
		rc = mailbox_reload(m, why);
	if (rc < 0)
		return account_io(m->a, why);
	if (m->bad)
		mailbox_mend(m);
	if (m->md != NULL && !m->gone && maildir_view_sync(m, why) < 0)
		return -1;
	if (m->gone) {
		c->gone = true;
		return 1;
	}
	if (flags & MAILBOX_EXPUNGES)
		mailbox_take_out(m);
	c->arrived = mailbox_take_in(m);
	if (c->arrived > 0)
		c->arrived += claim_recent(m);
	collect_flags(m);
	c->expunged = m->told.v;
	c->nexpunged = m->told.len;
	c->flags = m->told_flags.v;
	c->nflags = m->told_flags.len;
	c->count = m->count;
	c->keywords = m->new_keywords;
	c->pending = m->nexpunged > 0;
	m->new_keywords = false;
	return c->nexpunged > 0 || c->arrived > 0 || c->nflags > 0 ||
	    c->keywords;
}

/* --- changing --------------------------------------------------------------------------- */

/* With records that are not ready: for what touches none of them. */
static int
lock_late(struct mailbox *m, struct why *why)
{
	for (int turn = 0; turn < PACKED_TURNS; turn++) {
		int rc;

		if (m->gone)
			return account_say(m->a, ACCOUNT_NONEXISTENT, why,
			    "the mailbox was deleted");
		rc = packed_lock(m->p, why);
		if (rc == 0 && (m->gone || m->bad)) {
			packed_unlock(m->p);
			if (m->bad)
				mailbox_mend(m);
			continue;
		}
		if (rc == 0) {
			m->kw_mark = m->keywords.len;
			m->set_mark = m->kwsets.len;
			return 0;
		}
		if (rc == -1 || mailbox_reload(m, why) < 0)
			return account_io(m->a, why);
	}
	return account_say(m->a, ACCOUNT_INUSE, why, "the mailbox is being "
	    "replaced");
}

int
mailbox_lock_journal(struct mailbox *m, struct why *why)
{
	mailbox_settle(m);
	return lock_late(m, why);
}

static int
lock_view(struct mailbox *m, struct why *why)
{
	if (lock_late(m, why) < 0)
		return -1;
	if (m->md == NULL || maildir_view_sync_locked(m, why) == 0)
		return 0;
	mailbox_unlock(m);
	return -1;
}

int
mailbox_lock(struct mailbox *m, struct why *why)
{
	mailbox_settle(m);
	return lock_view(m, why);
}

void
mailbox_unlock(struct mailbox *m)
{
	/* Keywords whose records were not written are none. */
	while (m->keywords.len > m->kw_mark)
		mem_free(m->keywords.v[--m->keywords.len]);
	while (m->kwsets.len > m->set_mark)
		mem_free(m->kwsets.v[--m->kwsets.len].v);
	packed_drop(m->p);
	packed_unlock(m->p);
}

int
mailbox_flush(struct mailbox *m, struct why *why)
{
	if (packed_flush(m->p, why) < 0)
		return account_io(m->a, why);
	m->kw_mark = m->keywords.len;
	m->set_mark = m->kwsets.len;
	account_wrote(m->a, m->p);
	return 0;
}
