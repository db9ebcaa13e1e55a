/* SPDX-License-Identifier: ISC */
/*
 * mailbox_apply - what a record of the journal means to an open mailbox.
 *
 * Flags are changed in the record at once; that they were changed by others
 * is noted for the next refresh.  An expunge only marks the record: it stays
 * in the view until it may be told.
 */
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "store/mailbox_internal.h"

#define VANISHED_MAX	262144	/* ranges of expunges kept for QRESYNC */

struct record *
record_shown(const struct mailbox *m, uint32_t seq)
{
	if (seq == 0 || seq > m->count)
		return NULL;
	if (!record_is_ready(m, record_of_seq(m, seq))) {
		/* What it shows stays the same. */
		struct mailbox *w = (struct mailbox *)(uintptr_t)m;

		if (!index_block_ready(w, record_of_seq(m, seq) /
		    RECORD_BLOCK))
			mailbox_mend(w);
		if (seq > m->count)
			return NULL;
	}
	return record_at(m, record_of_seq(m, seq));
}

/* The same where not all are ready. */
static uint32_t
find_unready(const struct mailbox *m, uint32_t uid)
{
	struct mailbox *w = (struct mailbox *)(uintptr_t)m;
	uint32_t lo = m->nbase, hi = record_count(m);

	if (uid <= m->base_last) {
		uint32_t b = index_block_of(m, uid);

		if (!index_block_ready(w, b)) {
			mailbox_mend(w);
			return record_find(m, uid);
		}
		lo = b * RECORD_BLOCK;
		hi = MIN(m->nbase, lo + RECORD_BLOCK);
	}
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (record_at(m, mid)->uid < uid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

uint32_t
record_find(const struct mailbox *m, uint32_t uid)
{
	uint32_t lo = 0, hi = record_count(m);

	if (m->nunready > 0)
		return find_unready(m, uid);
	/* Mostly UIDs have few holes: look there first. */
	if (hi > 0) {
		uint32_t first = record_at(m, 0)->uid;
		uint32_t guess = uid > first ? MIN(uid - first, hi - 1) : 0;
		uint32_t at = record_at(m, guess)->uid;

		if (at == uid)
			return guess;
		/* UIDs grow by at least one a record. */
		if (at < uid)
			lo = guess + 1;
		else
			hi = guess;
	}
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (record_at(m, mid)->uid < uid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct record *
record_by_uid(const struct mailbox *m, uint32_t uid)
{
	uint32_t i = record_find(m, uid);
	struct record *r;

	if (i >= record_count(m))
		return NULL;
	r = record_at(m, i);
	return r->uid == uid && !(r->flags & RECORD_OFFERED) ? r : NULL;
}

/* --- keywords ----------------------------------------------------------------- */

uint32_t
mailbox_keyword_count(const struct mailbox *m)
{
	return (uint32_t)m->keywords.len;
}

const char *
mailbox_keyword(const struct mailbox *m, uint32_t number)
{
	return number < m->keywords.len ? m->keywords.v[number] : NULL;
}

int64_t
mailbox_keyword_find(const struct mailbox *m, struct span name)
{
	for (size_t i = 0; i < m->keywords.len; i++) {
		if (span_caseis(name, m->keywords.v[i]))
			return (int64_t)i;
	}
	return -1;
}

uint32_t
mailbox_kwset(const struct mailbox *m, uint32_t kwset, const uint32_t **v)
{
	if (kwset == 0 || kwset > m->kwsets.len) {
		*v = NULL;
		return 0;
	}
	*v = m->kwsets.v[kwset - 1].v;
	return m->kwsets.v[kwset - 1].n;
}

bool
mailbox_kwset_has(const struct mailbox *m, uint32_t kwset, uint32_t number)
{
	const uint32_t *v;
	uint32_t n = mailbox_kwset(m, kwset, &v);

	for (uint32_t i = 0; i < n; i++) {
		if (v[i] == number)
			return true;
	}
	return false;
}

uint32_t
mailbox_kwset_number(struct mailbox *m, const uint32_t *v, uint32_t n)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	uint8_t le[4];
	struct kwset *k;

	if (n == 0)
		return 0;
	for (size_t i = 0; i < m->kwsets.len; i++) {
		if (m->kwsets.v[i].n == n && memcmp(m->kwsets.v[i].v, v,
		    n * sizeof(*v)) == 0)
			return (uint32_t)i + 1;
	}
	/* At once, so that the next message finds it; the record that goes
	 * with it says the same again. */
	k = ARRAY_PUSH(&m->kwsets);
	k->n = n;
	k->v = mem_alloc_array(n, sizeof(*v));
	memcpy(k->v, v, n * sizeof(*v));
	num_put_le32(le, (uint32_t)m->kwsets.len);
	buf_add(&b, le, sizeof(le));
	for (uint32_t i = 0; i < n; i++) {
		num_put_le32(le, v[i]);
		buf_add(&b, le, sizeof(le));
	}
	packed_put(m->p, PACKED_KWSET, buf_span(&b));
	buf_fini(&b);
	return (uint32_t)m->kwsets.len;
}

int64_t
mailbox_keyword_number(struct mailbox *m, struct span name, struct why *why)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	int64_t n = mailbox_keyword_find(m, name);
	uint8_t le[4];

	if (n >= 0)
		return n;
	if (name.len == 0 || name.len > MAILBOX_KEYWORD_MAX ||
	    m->keywords.len >= MAILBOX_KEYWORDS_MAX)
		return account_say(m->a, ACCOUNT_LIMIT, why, "too many "
		    "keywords, or too long a one");
	n = (int64_t)m->keywords.len;
	*ARRAY_PUSH(&m->keywords) = span_dup(name);
	m->new_keywords = true;
	num_put_le32(le, (uint32_t)n);
	buf_add(&b, le, sizeof(le));
	buf_add_span(&b, name);
	packed_put(m->p, PACKED_KEYWORD, buf_span(&b));
	buf_fini(&b);
	return n;
}

void
mailbox_keywords_fini(struct mailbox *m)
{
	for (size_t i = 0; i < m->keywords.len; i++)
		mem_free(m->keywords.v[i]);
	ARRAY_FINI(&m->keywords);
	for (size_t i = 0; i < m->kwsets.len; i++)
		mem_free(m->kwsets.v[i].v);
	ARRAY_FINI(&m->kwsets);
}

static void
apply_keyword(struct mailbox *m, struct span in)
{
	struct span name = span_from(in, 4);
	uint32_t n;

	if (in.len < 5 || name.len > MAILBOX_KEYWORD_MAX || span_has_nul(name))
		return;
	n = num_get_le32(in.p);
	if (n < m->keywords.len || n >= MAILBOX_KEYWORDS_MAX)
		return;
	/* A record in between was lost: its number keeps its place. */
	while (m->keywords.len < n) {
		char *lost = mem_printf("keyword-%zu", m->keywords.len);

		*ARRAY_PUSH(&m->keywords) = lost;
	}
	*ARRAY_PUSH(&m->keywords) = span_dup(name);
	m->new_keywords = true;
}

static void
apply_kwset(struct mailbox *m, struct span in)
{
	struct kwset *k;
	uint32_t number, n = (uint32_t)(in.len / 4);

	if (n < 1 || n > MAILBOX_KEYWORDS_MAX)
		return;
	number = num_get_le32(in.p);
	/* Each is said once, in order; a gap is damage and is left empty. */
	if (number <= m->kwsets.len || number - m->kwsets.len > 65536)
		return;
	while (m->kwsets.len < number)
		(void)ARRAY_PUSH(&m->kwsets);
	k = &m->kwsets.v[number - 1];
	k->v = mem_alloc_array(n, sizeof(*k->v));
	for (uint32_t i = 1; i < n; i++) {
		uint32_t kw = num_get_le32(in.p + 4 * i);

		if (kw < m->keywords.len)
			k->v[k->n++] = kw;
	}
}

/* --- messages ------------------------------------------------------------------- */

/* It came (by 1) or went (-1), or its flags are about to be, or were, changed. */
static void
count_record(struct mailbox *m, const struct record *r, int by)
{
	uint64_t size = r->size != 0 ? r->size : r->len;
	struct mailbox_sum *s = &m->sum;

	s->messages += (uint32_t)by;
	s->bytes += (uint64_t)by * size;
	s->unseen += r->flags & STORE_SEEN ? 0 : (uint32_t)by;
	if (r->flags & STORE_DELETED) {
		s->deleted += (uint32_t)by;
		s->deleted_bytes += (uint64_t)by * size;
	}
}

static uint32_t
record_flags(const struct packed_arrival *a)
{
	uint32_t f = a->flags & RECORD_STORED;

	if (a->how & PACKED_ENDED)
		f |= RECORD_ENDED;
	else if (a->how & PACKED_OPEN)
		f |= RECORD_OPEN;
	if (a->cache_len > 0 && !(a->how & PACKED_FILE))
		f |= RECORD_BEHIND;
	if (a->how & PACKED_ZSTD)
		f |= RECORD_ZSTD;
	return a->how & PACKED_COPIED ? f | RECORD_COPIED : f;
}

static void
apply_arrival(struct mailbox *m, const struct packed_record *pr, bool own)
{
	struct packed_arrival a;
	struct record *r;

	(void)own;
	if (packed_arrival_decode(&a, pr->payload) < 0)
		return;
	/* UIDs only grow; anything else is damage. */
	if (a.uid <= record_last_uid(m))
		return;
	r = ARRAY_PUSH(&m->extra);
	*r = (struct record){
		.uid = a.uid, .flags = record_flags(&a),
		.modseq = pr->modseq, .kwset = a.kwset, .segment = a.segment,
		.offset = a.how & PACKED_FILE ? m->names.len : a.offset,
		.len = a.len, .size = a.size, .date_us = a.date_us,
		.save_s = (uint32_t)((a.save_us != 0 ? a.save_us : a.date_us) /
		    1000000),
		.crc = a.crc, .cache_len = a.cache_len,
		.zone_min = (int16_t)a.zone_min,
	};
	if (a.how & PACKED_FILE) {
		uint8_t le[2];

		num_put_le16(le, (uint16_t)a.queue_id.len);
		buf_add(&m->names, le, sizeof(le));
		buf_add_span(&m->names, a.queue_id);
	}
	memcpy(r->guid, a.guid, sizeof(r->guid));
	if (m->sum.unseen == 0)
		m->sum.first_unseen = record_count(m) - 1;
	count_record(m, r, 1);
}

static void
set_flags(struct mailbox *m, uint32_t i, uint32_t flags, uint32_t kwset,
    uint64_t modseq, bool own)
{
	struct record *r = record_at(m, i);

	if (r->flags & MESSAGE_EXPUNGED)
		return;
	count_record(m, r, -1);
	r->flags = (r->flags & ~RECORD_STORED) | (flags & RECORD_STORED);
	if (!(r->flags & STORE_SEEN))
		m->sum.first_unseen = MIN(m->sum.first_unseen, i);
	count_record(m, r, 1);
	r->kwset = kwset;
	r->modseq = modseq;
	m->work++;
	if (!own && !m->loading && i < m->shown) {
		r->flags |= RECORD_CHANGED;
		m->changed = true;
	}
}

static void
set_expunged(struct mailbox *m, uint32_t i, uint64_t modseq)
{
	struct record *r = record_at(m, i);

	if (r->flags & MESSAGE_EXPUNGED)
		return;
	count_record(m, r, -1);
	r->flags |= MESSAGE_EXPUNGED;
	r->modseq = modseq;
	m->work++;
	if (m->nexpunged++ == 0)
		m->pending_from = modseq;
}

/* The next range of a set of UIDs as records [*lo, *hi), all ready; false at the
 * end, or when they cannot be: the view will be made anew. */
static bool
next_records(struct mailbox *m, struct span *set, uint32_t *lo,
    uint32_t *hi, struct uid_pair *uids)
{
	while (set->len >= 8) {
		uint32_t first = num_get_le32(set->p);
		uint32_t last = num_get_le32(set->p + 4);

		*set = span_from(*set, 8);
		if (first > last)
			continue;
		if (!index_uids_ready(m, first, last))
			return false;
		*lo = record_find(m, first);
		*hi = last == UINT32_MAX ? record_count(m) :
		    record_find(m, last + 1);
		uids->first = first;
		uids->last = last;
		return true;
	}
	return false;
}

static void
note_vanished(struct mailbox *m, uint32_t first, uint32_t last,
    uint64_t modseq)
{
	struct vanished *v;

	if (m->vanished.len > 0) {
		v = &m->vanished.v[m->vanished.len - 1];
		if (v->modseq == modseq && v->last + 1 == first) {
			v->last = last;
			return;
		}
	}
	if (m->vanished.len >= VANISHED_MAX) {
		/* Forget the older half. */
		size_t half = m->vanished.len / 2;

		for (size_t i = 0; i < half; i++)
			m->history = MAX(m->history, m->vanished.v[i].modseq);
		m->vanished.len -= half;
		memmove(m->vanished.v, m->vanished.v + half,
		    m->vanished.len * sizeof(m->vanished.v[0]));
	}
	*ARRAY_PUSH(&m->vanished) = (struct vanished){ modseq, first, last };
}

static void
apply_flags(struct mailbox *m, const struct packed_record *pr, bool own)
{
	struct span set = span_from(pr->payload, 8);
	uint32_t flags, kwset, lo, hi;
	struct uid_pair u;

	if (pr->payload.len < 8)
		return;
	flags = num_get_le32(pr->payload.p);
	kwset = num_get_le32(pr->payload.p + 4);
	while (next_records(m, &set, &lo, &hi, &u)) {
		for (; lo < hi; lo++)
			set_flags(m, lo, flags, kwset, pr->modseq, own);
	}
}

static void
apply_expunge(struct mailbox *m, const struct packed_record *pr)
{
	struct span set = span_from(pr->payload, 24);
	struct uid_pair u;
	uint32_t lo, hi;

	if (pr->payload.len < 24)
		return;
	while (next_records(m, &set, &lo, &hi, &u)) {
		if (m->whole)
			*ARRAY_PUSH(&m->times) = (struct expunge_time){
				pr->modseq,
				(int64_t)num_get_le64(pr->payload.p),
				u.first, u.last,
				num_get_le32(pr->payload.p + 12),
			};
		note_vanished(m, u.first, u.last, pr->modseq);
		for (; lo < hi; lo++)
			set_expunged(m, lo, pr->modseq);
	}
}

static void
apply_moved(struct mailbox *m, const struct packed_record *pr)
{
	for (struct span in = pr->payload; in.len >= 16;
	    in = span_from(in, 16)) {
		uint32_t uid = num_get_le32(in.p), i;
		struct record *r;

		if (!index_uids_ready(m, uid, uid))
			return;
		i = record_find(m, uid);
		if (i >= record_count(m) || (r = record_at(m, i))->uid != uid)
			continue;
		r->segment = num_get_le32(in.p + 4);
		r->offset = num_get_le64(in.p + 8);
	}
}

static void
apply_scanned(struct mailbox *m, const struct packed_record *pr)
{
	const char *p = pr->payload.p;

	if (pr->payload.len < 32)
		return;
	m->scanned.cur.tv_sec = (time_t)num_get_le64(p);
	m->scanned.cur.tv_nsec = (long)num_get_le32(p + 8);
	m->scanned.nnew = num_get_le32(p + 12);
	m->scanned.new.tv_sec = (time_t)num_get_le64(p + 16);
	m->scanned.new.tv_nsec = (long)num_get_le32(p + 24);
	m->scanned.uidnext = num_get_le32(p + 28);
	m->scanned.at = pr->end;
}

/* As the first versions wrote them, one UID a record. */
static void
apply_single(struct mailbox *m, const struct packed_record *pr, bool own)
{
	struct span in = pr->payload;
	uint32_t uid, i;

	if (in.len < (pr->type == PACKED_FLAGS ? 8u : 4u))
		return;
	uid = num_get_le32(in.p);
	if (!index_uids_ready(m, uid, uid))
		return;
	i = record_find(m, uid);
	if (i >= record_count(m) || record_at(m, i)->uid != uid)
		return;
	if (pr->type == PACKED_FLAGS) {
		set_flags(m, i, num_get_le32(in.p + 4), record_at(m, i)->kwset,
		    pr->modseq, own);
	} else {
		note_vanished(m, uid, uid, pr->modseq);
		set_expunged(m, i, pr->modseq);
	}
}

void
mailbox_apply(void *arg, const struct packed_record *r, bool own)
{
	struct mailbox *m = arg;

	own = own && !m->foreign;
	switch (r->type) {
	case PACKED_ARRIVAL:
		apply_arrival(m, r, own);
		break;
	case PACKED_FLAGS:
	case PACKED_EXPUNGE:
		apply_single(m, r, own);
		break;
	case PACKED_FLAGS_SET:
		apply_flags(m, r, own);
		break;
	case PACKED_EXPUNGE_SET:
		apply_expunge(m, r);
		break;
	case PACKED_KEYWORD:
		apply_keyword(m, r->payload);
		break;
	case PACKED_KWSET:
		apply_kwset(m, r->payload);
		break;
	case PACKED_MOVED:
		apply_moved(m, r);
		break;
	case PACKED_RECENT:
		if (r->payload.len >= 4)
			m->recent_from = MAX(m->recent_from,
			    num_get_le32(r->payload.p));
		break;
	case PACKED_DELETED:
		m->gone = true;
		break;
	case PACKED_RESTORED:
		m->gone = false;
		break;
	case PACKED_SCANNED:
		apply_scanned(m, r);
		break;
	case PACKED_HISTORY:
		if (r->payload.len >= 8)
			m->history = MAX(m->history,
			    num_get_le64(r->payload.p));
		break;
	default:
		break;
	}
}

void
packed_set_encode(struct buf *b, const struct ranges *r, size_t *at)
{
	size_t end = MIN(r->len, *at + PACKED_SET_MAX);
	uint8_t le[8];

	for (; *at < end; (*at)++) {
		num_put_le32(le, r->v[*at].lo);
		num_put_le32(le + 4, r->v[*at].hi);
		buf_add(b, le, sizeof(le));
	}
}
