/* SPDX-License-Identifier: ISC */
/*
 * mailbox_copy - COPY and MOVE, and having expunged messages back.
 *
 * Within an account a copy is a record that names the bytes of the original:
 * nothing is read.  While the target's lock is held, the source is brought up
 * to date: so a compaction that gives the bytes another place either was seen
 * here, or will see the new record when it locks the target.
 */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "store/mailbox_internal.h"

struct source {
	struct mailbox		*m;
	ARRAY(uint32_t)		 records;
	uint64_t		 bytes;
	bool			 words;
	/* Keyword sets of the source, and what they are in the target. */
	ARRAY(uint32_t)		 from, to;
};

static void
collect(struct source *s, const struct ranges *uids)
{
	struct mailbox *m = s->m;

	s->records.len = 0;
	s->bytes = 0;
	for (size_t k = 0; k < uids->len; k++) {
		for (uint32_t i = record_find(m, uids->v[k].lo); i < m->shown;
		    i++) {
			const struct record *r = record_at(m, i);

			if (r->uid > uids->v[k].hi)
				break;
			if (r->flags & (MESSAGE_EXPUNGED | RECORD_OFFERED))
				continue;
			*ARRAY_PUSH(&s->records) = i;
			s->bytes += r->size != 0 ? r->size : r->len;
			s->words |= r->kwset != 0;
		}
	}
}

bool
mailbox_gone(struct mailbox *m, const struct ranges *uids)
{
	struct source s = { .m = m };
	bool gone;

	mailbox_settle(m);
	collect(&s, uids);
	gone = s.records.len < ranges_count(uids);
	ARRAY_FINI(&s.records);
	return gone;
}

static int
map_kwset(struct source *s, struct target *t, uint32_t kwset, uint32_t *out,
    struct why *why)
{
	const uint32_t *v;
	uint32_t n;
	struct span *names;
	bool failed;

	*out = 0;
	if (kwset == 0 || t->view == NULL)
		return 0;
	for (size_t i = 0; i < s->from.len; i++) {
		if (s->from.v[i] == kwset) {
			*out = s->to.v[i];
			return 0;
		}
	}
	n = mailbox_kwset(s->m, kwset, &v);
	names = mem_alloc_array(n + 1, sizeof(*names));
	for (uint32_t i = 0; i < n; i++)
		names[i] = span_of(mailbox_keyword(s->m, v[i]));
	*out = target_kwset(t, names, n, why, &failed);
	mem_free(names);
	if (failed)
		return -1;
	*ARRAY_PUSH(&s->from) = kwset;
	*ARRAY_PUSH(&s->to) = *out;
	return 0;
}

/* A record that shares the bytes. */
void
target_put_reference(struct target *t, const struct record *r,
    struct packed_arrival *a)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);

	a->segment = r->segment;
	a->offset = r->offset;
	a->len = r->len;
	a->crc = r->crc;
	a->size = r->size;
	/* Only what lies behind the message moves with it. */
	a->cache_len = r->flags & RECORD_BEHIND ? r->cache_len : 0;
	a->how |= PACKED_REF | record_how(r) |
	    (r->flags & RECORD_COPIED ? PACKED_COPIED : 0) |
	    (r->flags & RECORD_ZSTD ? PACKED_ZSTD : 0);
	packed_arrival_encode(&b, a);
	packed_put(t->p, PACKED_ARRIVAL, buf_span(&b));
	buf_fini(&b);
}

/* The bytes themselves, into another account or a maildir. */
static int
put_bytes(struct source *s, struct target *t, const struct record *r,
    struct packed_arrival *a, struct why *why)
{
	struct buf cache = BUF_INIT(BUF_UNLIMITED);
	struct packed_source src = { .head = SPAN_EMPTY };
	struct mailbox_content c;
	int rc;

	if (mailbox_content(s->m, r->uid, &c, why) < 0 && c.bytes.p == NULL)
		return -1;
	src.head = c.bytes;
	message_make_cache(c.bytes, &cache, NULL);
	src.cache = buf_span(&cache);
	rc = target_write(t, &src, a, why);
	mailbox_content_done(&c);
	buf_fini(&cache);
	return rc;
}

static int
copy_records(struct source *s, struct target *t, unsigned rights,
    struct why *why)
{
	struct mailbox *m = s->m;
	bool share = t->a == m->a && t->a->format == STORE_PACKED;
	uint32_t uid;

	if (packed_reserve(t->p, (uint32_t)s->records.len, why) < 0)
		return account_io(t->a, why);
	uid = t->p->head.state.uidnext;
	for (size_t i = 0; i < s->records.len; i++) {
		const struct record *r = record_at(m, s->records.v[i]);
		struct packed_arrival a = {
			.uid = uid + (uint32_t)i,
			.flags = target_flags(rights, r->flags),
			.date_us = r->date_us, .zone_min = r->zone_min,
			.save_us = clock_wall_us(),
			.how = PACKED_COPIED,
		};

		memcpy(a.guid, r->guid, sizeof(a.guid));
		if (map_kwset(s, t, rights & RIGHT_WRITE ? r->kwset : 0,
		    &a.kwset, why) < 0)
			return -1;
		if (share) {
			target_put_reference(t, r, &a);
			continue;
		}
		if (m->progress != NULL)
			m->progress(m->progress_arg, i, s->records.len);
		if (put_bytes(s, t, r, &a, why) < 0)
			return -1;
	}
	return 0;
}

static int
copy(struct mailbox *m, const struct ranges *uids, struct account *to,
    uint32_t dst, bool move, struct uid_result *out, struct why *why)
{
	struct source s = { .m = m };
	const struct acct_box *b;
	struct target t = { .p = NULL };
	bool same, locked = false;
	int rc = -1;
	uint32_t uid;

	to = account_at(to, &dst);
	same = to == m->a && dst == m->box;
	*out = (struct uid_result){ .from = &m->set1, .to = &m->set2 };
	m->told.len = 0;
	ranges_reset(&m->set1);
	ranges_reset(&m->set2);
	if (account_refresh(to, why) < 0)
		goto out;
	b = account_box_by_id(to, dst);
	if (b == NULL || b->gone || b->flags & BOX_NOSELECT) {
		(void)account_say(m->a, ACCOUNT_NONEXISTENT, why,
		    "no such mailbox");
		goto out;
	}
	if (account_need(to, dst, RIGHT_INSERT, why) < 0 || (move &&
	    (m->flags & MAILBOX_READONLY ? account_say(m->a, ACCOUNT_NOPERM,
	    why, "the mailbox is read-only") : account_need(m->a, m->box,
	    RIGHT_EXPUNGE | RIGHT_DELETE, why)) < 0)) {
		(void)account_fail(m->a, to->error != ACCOUNT_OK ? to->error :
		    m->a->error);
		goto out;
	}
	mailbox_settle(m);
again:
	collect(&s, uids);
	if ((to != m->a || !move) && account_quota_check(to, dst,
	    s.bytes, s.records.len, why) < 0) {
		(void)account_fail(m->a, to->error);
		goto out;
	}
	/* Two locks are taken in the order of the boxes, so that two movers
	 * never wait for each other. */
	if (move && !same && (to != m->a || m->box < dst)) {
		if (mailbox_lock(m, why) < 0)
			goto out;
		locked = true;
	}
	if (target_lock(&t, to, dst, s.words, m, why) < 0) {
		(void)account_fail(m->a, to->error);
		goto out;
	}
	if (move && !same && !locked) {
		if (mailbox_lock(m, why) < 0)
			goto out;
		locked = true;
	}
	if (!same && !locked && packed_catch_up(m->p, why) == -1) {
		(void)account_io(m->a, why);
		goto out;
	}
	/* Now that nobody can come in between, and before anything is put: the
	 * target's lock alone does not look where the files are. */
	if (m->md != NULL && m->p->locked && (maildir_view_sync(m, why) < 0 ||
	    maildir_view_prepare(m, uids, why) < 0))
		goto out;
	collect(&s, uids);
	if (s.words && t.view == NULL) {
		/* Keywords that somebody set meanwhile: once more, with a
		 * target that knows keywords. */
		target_unlock(&t);
		if (locked)
			mailbox_unlock(m);
		locked = false;
		goto again;
	}
	uid = t.p->head.state.uidnext;
	if (copy_records(&s, &t, account_rights(to, dst), why) < 0) {
		target_undo(&t);
		(void)account_fail(m->a, to->error);
		goto out;
	}
	if (target_flush(&t, why) < 0) {
		(void)account_fail(m->a, to->error);
		goto out;
	}
	for (size_t i = 0; i < s.records.len; i++) {
		uint32_t u = record_at(m, s.records.v[i])->uid;

		ranges_add(&m->set1, u, u);
	}
	if (s.records.len > 0)
		ranges_add(&m->set2, uid, uid + (uint32_t)s.records.len - 1);
	out->uidvalidity = t.p->head.uidvalidity;
	rc = 0;
	if (move) {
		rc = mailbox_flush_expunge(m, &m->set1, to == m->a ? dst : 0,
		    why);
		if (rc == 0) {
			out->expunged.modseq = s.records.len > 0 ?
			    m->p->head.state.modseq : 0;
			mailbox_take_out(m);
			out->expunged.v = m->told.v;
			out->expunged.n = m->told.len;
		}
	}
out:
	target_unlock(&t);
	if (locked)
		mailbox_unlock(m);
	ARRAY_FINI(&s.records);
	ARRAY_FINI(&s.from);
	ARRAY_FINI(&s.to);
	return rc;
}

void
mailbox_on_progress(struct mailbox *m, mailbox_progress_fn *fn, void *arg)
{
	m->progress = fn;
	m->progress_arg = arg;
}

int
mailbox_copy(struct mailbox *m, const struct ranges *uids, struct account *to,
    uint32_t dst, struct uid_result *out, struct why *why)
{
	return copy(m, uids, to, dst, false, out, why);
}

int
mailbox_move(struct mailbox *m, const struct ranges *uids, struct account *to,
    uint32_t dst, struct uid_result *out, struct why *why)
{
	return copy(m, uids, to, dst, true, out, why);
}
