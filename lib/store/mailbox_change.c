/* SPDX-License-Identifier: ISC */
/*
 * mailbox_change - flags and expunges of an open mailbox.
 *
 * A STORE on ten thousand messages is one record for each combination of
 * flags that results, with the UIDs as ranges; all in one write.
 */
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "store/mailbox_internal.h"

/* What the view had of a message before it learned what others did. */
struct before {
	uint32_t	uid, flags, kwset;
	uint64_t	modseq;
};

/* Messages that will have the same flags. */
struct group {
	uint32_t	flags, kwset;
	uint32_t	last;		/* the record added last */
	struct ranges	uids;
};

struct plan {
	ARRAY(struct group) groups;
	size_t		recent;		/* group used last */
	/* Of keyword sets that were met, what they become. */
	ARRAY(uint32_t)	from, to;
	ARRAY(uint32_t)	numbers;	/* of the keywords asked for */
	ARRAY(struct before) before;	/* ascending */
	uint64_t	n;		/* messages */
};

static void
plan_fini(struct plan *pl)
{
	for (size_t i = 0; i < pl->groups.len; i++)
		ranges_fini(&pl->groups.v[i].uids);
	ARRAY_FINI(&pl->groups);
	ARRAY_FINI(&pl->from);
	ARRAY_FINI(&pl->to);
	ARRAY_FINI(&pl->numbers);
	ARRAY_FINI(&pl->before);
}

static void
plan_add(struct mailbox *m, struct plan *pl, uint32_t i, uint32_t flags,
    uint32_t kwset)
{
	uint32_t uid = record_at(m, i)->uid, lo = uid;
	struct group *g = NULL;
	size_t k = pl->recent;

	if (k < pl->groups.len && pl->groups.v[k].flags == flags &&
	    pl->groups.v[k].kwset == kwset)
		g = &pl->groups.v[k];
	for (k = 0; g == NULL && k < pl->groups.len; k++) {
		if (pl->groups.v[k].flags == flags &&
		    pl->groups.v[k].kwset == kwset) {
			g = &pl->groups.v[k];
			pl->recent = k;
		}
	}
	if (g == NULL) {
		pl->recent = pl->groups.len;
		g = ARRAY_PUSH(&pl->groups);
		g->flags = flags;
		g->kwset = kwset;
		g->uids = RANGES_INIT;
	} else if (g->last + 1 == i) {
		/* No message lies between: so a hole costs no new range. */
		lo = record_at(m, g->last)->uid + 1;
	}
	g->last = i;
	pl->n++;
	ranges_add(&g->uids, lo, uid);
}

static int
by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* What a keyword set becomes by the request. */
static uint32_t
new_kwset(struct mailbox *m, struct plan *pl, enum flags_op op, uint32_t old)
{
	ARRAY(uint32_t) v = ARRAY_EMPTY;
	const uint32_t *have;
	uint32_t n, set;

	for (size_t i = 0; i < pl->from.len; i++) {
		if (pl->from.v[i] == old)
			return pl->to.v[i];
	}
	n = op == FLAGS_REPLACE ? 0 : mailbox_kwset(m, old, &have);
	for (uint32_t i = 0; i < n; i++) {
		bool asked = false;

		for (size_t k = 0; k < pl->numbers.len; k++)
			asked |= pl->numbers.v[k] == have[i];
		if (!asked)
			*ARRAY_PUSH(&v) = have[i];
	}
	for (size_t k = 0; k < pl->numbers.len && op != FLAGS_REMOVE; k++)
		*ARRAY_PUSH(&v) = pl->numbers.v[k];
	if (v.len > 1) {
		size_t keep = 1;

		qsort(v.v, v.len, sizeof(v.v[0]), by_number);
		for (size_t i = 1; i < v.len; i++) {
			if (v.v[i] != v.v[keep - 1])
				v.v[keep++] = v.v[i];
		}
		v.len = keep;
	}
	set = mailbox_kwset_number(m, v.v, (uint32_t)v.len);
	ARRAY_FINI(&v);
	*ARRAY_PUSH(&pl->from) = old;
	*ARRAY_PUSH(&pl->to) = set;
	return set;
}

/* Which flags the rights allow to change. */
static uint32_t
allowed(unsigned rights)
{
	return (rights & RIGHT_SEEN ? STORE_SEEN : 0) |
	    (rights & RIGHT_DELETE ? STORE_DELETED : 0) |
	    (rights & RIGHT_WRITE ? STORE_ANSWERED | STORE_FLAGGED |
	    STORE_DRAFT : 0);
}

/* RFC 4314 4: refused where none of the flags may be changed. */
static bool
may_change_some(unsigned rights, const struct flags_request *rq)
{
	if (rq->op == FLAGS_REPLACE)
		return allowed(rights) != 0;
	if (rq->flags == 0 && rq->nkeywords == 0)
		return true;
	return (allowed(rights) & rq->flags) != 0 ||
	    (rights & RIGHT_WRITE && rq->nkeywords > 0);
}

/* --- UNCHANGEDSINCE ------------------------------------------------------------------ */

static void
note_before(struct mailbox *m, const struct flags_request *rq,
    struct plan *pl)
{
	for (size_t k = 0; k < rq->uids->len; k++) {
		for (uint32_t i = record_find(m, rq->uids->v[k].lo);
		    i < m->shown; i++) {
			const struct record *r = record_at(m, i);

			if (r->uid > rq->uids->v[k].hi)
				break;
			*ARRAY_PUSH(&pl->before) = (struct before){ r->uid,
			    r->flags & RECORD_STORED, r->kwset, r->modseq };
		}
	}
}

static const struct before *
find_before(const struct plan *pl, uint32_t uid)
{
	size_t lo = 0, hi = pl->before.len;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (pl->before.v[mid].uid < uid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < pl->before.len && pl->before.v[lo].uid == uid ?
	    &pl->before.v[lo] : NULL;
}

/*
 * RFC 7162 3.1.12: what the request adds or removes was not touched since the
 * client knew the message, only other flags were.
 */
static bool
was_left_alone(const struct mailbox *m, const struct flags_request *rq,
    const struct plan *pl, const struct record *r)
{
	const struct before *b = find_before(pl, r->uid);

	if (b == NULL || MAX(b->modseq, 1) > rq->unchanged_since ||
	    ((b->flags ^ r->flags) & rq->flags) != 0)
		return false;
	for (size_t i = 0; i < pl->numbers.len; i++) {
		uint32_t n = pl->numbers.v[i];

		if (mailbox_kwset_has(m, b->kwset, n) !=
		    mailbox_kwset_has(m, r->kwset, n))
			return false;
	}
	return true;
}

static void
make_plan(struct mailbox *m, const struct flags_request *rq, struct plan *pl,
    uint32_t mask)
{
	bool words = m->rights & RIGHT_WRITE &&
	    (rq->op == FLAGS_REPLACE || rq->nkeywords > 0);

	for (size_t k = 0; k < rq->uids->len; k++) {
		uint32_t hi = rq->uids->v[k].hi;

		for (uint32_t i = record_find(m, rq->uids->v[k].lo);
		    i < m->shown; i++) {
			struct record *r = record_at(m, i);
			uint32_t flags = r->flags & RECORD_STORED;
			uint32_t kwset = r->kwset;

			if (r->uid > hi)
				break;
			if (r->flags & (MESSAGE_EXPUNGED | RECORD_OFFERED))
				continue;
			if (MAX(r->modseq, 1) > rq->unchanged_since &&
			    !was_left_alone(m, rq, pl, r)) {
				ranges_add(&m->set2, r->uid, r->uid);
				continue;
			}
			if (rq->op == FLAGS_REPLACE)
				flags = (flags & ~mask) | (rq->flags & mask);
			else if (rq->op == FLAGS_ADD)
				flags |= rq->flags & mask;
			else
				flags &= ~(rq->flags & mask);
			if (words)
				kwset = new_kwset(m, pl, rq->op, kwset);
			if (flags == (r->flags & RECORD_STORED) &&
			    kwset == r->kwset)
				continue;
			plan_add(m, pl, i, flags, kwset);
			ranges_add(&m->set1, r->uid, r->uid);
		}
	}
}

static void
put_groups(struct mailbox *m, const struct plan *pl)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	uint8_t le[8];

	for (size_t i = 0; i < pl->groups.len; i++) {
		const struct group *g = &pl->groups.v[i];

		for (size_t at = 0; at < g->uids.len;) {
			buf_reset(&b);
			num_put_le32(le, g->flags);
			num_put_le32(le + 4, g->kwset);
			buf_add(&b, le, sizeof(le));
			packed_set_encode(&b, &g->uids, &at);
			packed_put(m->p, PACKED_FLAGS_SET, buf_span(&b));
		}
	}
	buf_fini(&b);
}

int
mailbox_store_flags(struct mailbox *m, const struct flags_request *rq,
    struct flags_result *out, struct why *why)
{
	uint32_t mask = allowed(m->rights);
	struct plan pl = { .recent = 0 };
	uint64_t generation = 0;
	int rc = -1;

	*out = (struct flags_result){ .changed = &m->set1,
	    .modified = &m->set2 };
	ranges_reset(&m->set1);
	ranges_reset(&m->set2);
	if (m->flags & MAILBOX_READONLY)
		return account_say(m->a, ACCOUNT_NOPERM, why, "the mailbox is "
		    "read-only");
	if (!may_change_some(m->rights, rq))
		return account_say(m->a, ACCOUNT_NOPERM, why, "permission "
		    "denied");
	if (rq->unchanged_since != UINT64_MAX && rq->op != FLAGS_REPLACE) {
		mailbox_settle(m);
		note_before(m, rq, &pl);
		generation = m->p->head.generation;
	}
	if (mailbox_lock(m, why) < 0) {
		plan_fini(&pl);
		return -1;
	}
	/* Sets of keywords have other numbers in a new journal. */
	if (generation != m->p->head.generation)
		pl.before.len = 0;
	if (m->md != NULL && maildir_view_prepare(m, rq->uids, why) < 0)
		goto out;
	for (size_t i = 0; i < rq->nkeywords; i++) {
		int64_t n;

		/* Removing one that nobody has makes none. */
		if (!(m->rights & RIGHT_WRITE))
			break;
		if (rq->op == FLAGS_REMOVE)
			n = mailbox_keyword_find(m, rq->keywords[i]);
		else if ((n = mailbox_keyword_number(m, rq->keywords[i],
		    why)) < 0)
			goto out;
		if (n >= 0)
			*ARRAY_PUSH(&pl.numbers) = (uint32_t)n;
	}
	make_plan(m, rq, &pl, mask);
	rc = 0;
	m->files_done = 0;
	m->files_goal = pl.n;
	for (size_t i = 0; rc == 0 && m->md != NULL && i < pl.groups.len; i++)
		rc = maildir_view_rename(m, &pl.groups.v[i].uids,
		    pl.groups.v[i].flags, why);
	put_groups(m, &pl);
	if (rc == 0)
		rc = mailbox_flush(m, why);
	if (m->md != NULL)
		(rc == 0 ? maildir_view_done : maildir_view_undo)(m);
	if (rc == 0 && m->set1.len > 0)
		out->modseq = m->p->head.state.modseq;
out:
	m->files_goal = 0;
	mailbox_unlock(m);
	plan_fini(&pl);
	out->keywords = m->new_keywords;
	m->new_keywords = false;
	return rc;
}

/* --- expunging -------------------------------------------------------------------- */

/*
 * Put an expunge of the UIDs in set, whose lock is ours.  moved: the box they
 * went to, or 0.
 */
void
mailbox_put_expunge(struct mailbox *m, const struct ranges *set,
    uint32_t moved)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	uint8_t h[24];

	for (size_t at = 0; at < set->len;) {
		size_t from = at;
		uint64_t bytes = 0;
		uint32_t n = 0;

		buf_reset(&b);
		buf_add(&b, h, sizeof(h));
		packed_set_encode(&b, set, &at);
		for (; from < at; from++) {
			for (uint32_t i = record_find(m, set->v[from].lo);
			    i < record_count(m); i++) {
				const struct record *r = record_at(m, i);

				if (r->uid > set->v[from].hi)
					break;
				if (r->flags & MESSAGE_EXPUNGED)
					continue;
				n++;
				bytes += r->size != 0 ? r->size : r->len;
			}
		}
		num_put_le64(b.data, (uint64_t)clock_wall_us());
		num_put_le32(b.data + 8, n);
		num_put_le32(b.data + 12, moved);
		num_put_le64(b.data + 16, bytes);
		packed_put(m->p, PACKED_EXPUNGE_SET, buf_span(&b));
	}
	buf_fini(&b);
}

int
mailbox_flush_expunge(struct mailbox *m, const struct ranges *set,
    uint32_t moved, struct why *why)
{
	int rc = 0;

	/* What this may find is written first. */
	if (m->md != NULL && maildir_view_prepare(m, set, why) < 0)
		return -1;
	mailbox_put_expunge(m, set, moved);
	if (m->md != NULL)
		rc = maildir_view_expunge(m, set, moved != 0, why);
	if (rc == 0)
		rc = mailbox_flush(m, why);
	if (m->md != NULL)
		(rc == 0 ? maildir_view_done : maildir_view_undo)(m);
	return rc;
}

int
mailbox_expunge(struct mailbox *m, const struct ranges *uids, bool force,
    struct expunge_result *out, struct why *why)
{
	static const struct range everything = { 1, UINT32_MAX };
	const struct ranges all = {
		(struct range *)(uintptr_t)&everything, 1, 1 };
	uint32_t last = UINT32_MAX;
	int rc = -1;

	*out = (struct expunge_result){ .n = 0 };
	m->told.len = 0;
	if (m->flags & MAILBOX_READONLY)
		return account_say(m->a, ACCOUNT_NOPERM, why, "the mailbox is "
		    "read-only");
	if (account_need(m->a, m->box, RIGHT_EXPUNGE, why) < 0)
		return -1;
	if (mailbox_lock(m, why) < 0)
		return -1;
	ranges_reset(&m->set1);
	m->files_done = m->files_goal = 0;
	if (uids == NULL)
		uids = &all;
	for (size_t k = 0; k < uids->len; k++) {
		for (uint32_t i = record_find(m, uids->v[k].lo);
		    i < record_count(m); i++) {
			const struct record *r = record_at(m, i);

			if (r->uid > uids->v[k].hi)
				break;
			if (r->flags & MESSAGE_EXPUNGED ||
			    !(force || r->flags & STORE_DELETED))
				continue;
			ranges_add(&m->set1, last != UINT32_MAX &&
			    last + 1 == i ? record_at(m, last)->uid + 1 :
			    r->uid, r->uid);
			last = i;
			m->files_goal++;
		}
	}
	rc = mailbox_flush_expunge(m, &m->set1, 0, why);
	m->files_goal = 0;
	if (rc < 0)
		goto out;
	if (m->set1.len > 0)
		out->modseq = m->p->head.state.modseq;
	mailbox_take_out(m);
	out->v = m->told.v;
	out->n = m->told.len;
out:
	mailbox_unlock(m);
	return rc;
}
