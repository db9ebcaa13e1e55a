/* SPDX-License-Identifier: ISC */
/*
 * mailbox_look - what an open mailbox says of itself and of its messages, as
 * its view shows them: no I/O, and nothing changes.
 */
#include <string.h>

#include "store/mailbox_internal.h"

/* Not a flag of the record: to write it into each of a million that have just
 * been mapped would take longer than all the rest of opening. */
bool
mailbox_is_recent(const struct mailbox *m, uint32_t uid)
{
	for (size_t i = m->recent.len; i-- > 0;) {
		if (uid >= m->recent.v[i].first)
			return uid <= m->recent.v[i].last;
	}
	return false;
}

struct account *
mailbox_account(const struct mailbox *m)
{
	return m->a->parent != NULL ? m->a->parent : m->a;
}

uint32_t
mailbox_box(const struct mailbox *m)
{
	return m->a->base | m->box;
}

bool
mailbox_is_mounted(const struct mailbox *m)
{
	return m->a->parent != NULL;
}

unsigned
mailbox_rights(const struct mailbox *m)
{
	return m->rights;
}

bool
mailbox_refresh_rights(struct mailbox *m)
{
	m->rights = account_rights(m->a, m->box);
	return m->rights & RIGHT_READ;
}

bool
mailbox_readonly(const struct mailbox *m)
{
	return m->flags & MAILBOX_READONLY;
}

uint32_t
mailbox_count(const struct mailbox *m)
{
	return m->count;
}

uint32_t
mailbox_recent(const struct mailbox *m)
{
	return m->nrecent;
}

uint32_t
mailbox_uidvalidity(const struct mailbox *m)
{
	return m->p->head.uidvalidity;
}

uint32_t
mailbox_uidnext(const struct mailbox *m)
{
	uint32_t last = m->shown == 0 ? 0 : m->shown == m->nbase ?
	    m->base_last : record_at(m, m->shown - 1)->uid;

	/* Records that are not shown yet must not be passed over. */
	return m->shown < record_count(m) ? last + 1 :
	    MAX(m->p->head.state.uidnext, last + 1);
}

uint64_t
mailbox_modseq(const struct mailbox *m)
{
	return MAX(m->p->head.state.modseq, 1);
}

uint64_t
mailbox_modseq_told(const struct mailbox *m)
{
	return m->nexpunged == 0 ? mailbox_modseq(m) :
	    MAX(MIN(m->pending_from, mailbox_modseq(m)), 2) - 1;
}

const uint8_t *
mailbox_id(const struct mailbox *m)
{
	return m->p->head.mailboxid;
}

bool
mailbox_message(const struct mailbox *m, uint32_t seq,
    struct mailbox_message *out)
{
	const struct record *r = record_shown(m, seq);

	if (r == NULL)
		return false;
	*out = (struct mailbox_message){
		.uid = r->uid, .flags = (r->flags & (RECORD_STORED |
		    MESSAGE_EXPUNGED)) | (mailbox_is_recent(m, r->uid) ?
		    MESSAGE_RECENT : 0),
		.kwset = r->kwset, .modseq = MAX(r->modseq, 1),
		.size = r->size != 0 ? r->size : r->len,
		.date_us = r->date_us, .zone_min = r->zone_min,
		.save_s = r->save_s,
	};
	memcpy(out->emailid, r->guid, sizeof(out->emailid));
	return true;
}

uint32_t
mailbox_uid(const struct mailbox *m, uint32_t seq)
{
	const struct record *r = record_shown(m, seq);

	return r != NULL ? r->uid : 0;
}

const uint8_t *
mailbox_emailid(const struct mailbox *m, uint32_t seq, bool *copied)
{
	const struct record *r = record_shown(m, seq);

	if (r == NULL)
		return NULL;
	*copied = r->flags & RECORD_COPIED;
	return r->guid;
}

struct span
mailbox_file(const struct mailbox *m, uint32_t seq)
{
	const struct record *r = record_shown(m, seq);

	return r != NULL && r->segment == PACKED_NO_SEGMENT ?
	    record_base(m, r) : SPAN_EMPTY;
}

/* The first sequence number whose record's number is at least i. */
static uint32_t
seq_of_record(const struct mailbox *m, uint32_t i)
{
	uint32_t lo = 0, hi = m->count;

	if (m->order == NULL)
		return MIN(i, m->count) + 1;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (m->order[mid] < i)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo + 1;
}

uint32_t
mailbox_seq_from(const struct mailbox *m, uint32_t uid)
{
	uint32_t i = record_find(m, uid);

	return seq_of_record(m, i);
}

uint32_t
mailbox_seq(const struct mailbox *m, uint32_t uid)
{
	uint32_t seq = mailbox_seq_from(m, uid);

	return mailbox_uid(m, seq) == uid && uid != 0 ? seq : 0;
}

uint32_t
mailbox_first_unseen(const struct mailbox *m)
{
	const struct record *r;

	if (m->sum.unseen == 0)
		return 0;
	for (uint32_t seq = seq_of_record(m, m->sum.first_unseen);
	    (r = record_shown(m, seq)) != NULL; seq++) {
		if (!(r->flags & STORE_SEEN))
			return seq;
	}
	return 0;
}

/* --- QRESYNC ------------------------------------------------------------------------------- */

void
mailbox_vanished_before(const struct mailbox *m, uint64_t modseq,
    struct ranges *out)
{
	for (size_t i = 0; i < m->vanished.len; i++) {
		const struct vanished *v = &m->vanished.v[i];

		if (v->modseq <= modseq)
			ranges_add(out, v->first, v->last);
	}
}

int
mailbox_vanished(struct mailbox *m, uint64_t modseq, struct ranges *out,
    struct why *why)
{
	uint32_t next = mailbox_uidnext(m);

	(void)why;
	if (modseq >= m->history) {
		for (size_t i = 0; i < m->vanished.len; i++) {
			const struct vanished *v = &m->vanished.v[i];

			if (v->modseq > modseq)
				ranges_add(out, v->first, v->last);
		}
	} else if (next > 1) {
		ranges_add(out, 1, next - 1);
	}
	/* A set may name more than what was there: a message that is in the
	 * view has not vanished for it. */
	for (size_t i = 0; i < out->len;) {
		struct range r = out->v[i];
		uint32_t seq = mailbox_seq_from(m, r.lo);
		uint32_t uid = mailbox_uid(m, seq);

		if (uid == 0 || uid > r.hi) {
			i++;
			continue;
		}
		ranges_remove(out, uid, uid);
		/* Go on in what is left of it. */
		i = ranges_at(out, uid);
	}
	return 0;
}
