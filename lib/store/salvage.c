/* SPDX-License-Identifier: ISC */
/*
 * salvage - a journal that is damaged in the middle, written anew.
 *
 * All records that can be read stay as they are, in their order.  What the
 * damaged ones said is put together from what else there is:
 *
 * - the index, where it was written behind the damage, has every message with
 *   what was true then: arrivals that are missing get their places back, with
 *   their UIDs, and flags, expunges and places that the rest of the journal
 *   does not tell are added at the end.  No client notices anything.
 * - else the damage itself is looked through.  An arrival in it is believed
 *   when its segment, offset, length, checksum and GUID lead to a message: one
 *   wrong bit in the record of a COPY of thousands costs one of them.  Who has
 *   seen the mailbox meanwhile has seen these go; so they come back as new
 *   messages.  The flags of all may be older ones, and are told again.
 *
 * Whatever was expunged in a record that is lost comes back, unless the index
 * knows better.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "io/fd.h"
#include "store/mailbox_internal.h"

static bool
pass_over(void *arg, const struct packed_record *r)
{
	return true;
}

bool
mailbox_damaged(struct mailbox *m)
{
	size_t damaged = 0;
	uint64_t tail;
	int64_t end;

	/* Or it could be a record that is being written. */
	if (mailbox_lock(m, NULL) < 0)
		return true;
	tail = m->p->head.state.tail;
	end = packed_scan_file(m->p->jfd, PACKED_START, tail, &damaged,
	    pass_over, NULL);
	mailbox_unlock(m);
	return end < 0 || damaged > 0 || (uint64_t)end < tail;
}

struct gap {
	uint64_t	from, to;	/* in the journal */
	uint32_t	after, before;	/* UIDs that came around it */
};

struct salvage {
	struct mailbox	*w;		/* what the journal says */
	struct mailbox	*k;		/* what the index knows, too; or NULL */
	struct buf	 old, out;	/* records */
	ARRAY(struct gap) gaps;
	ARRAY(struct packed_arrival) found;
	uint32_t	 k_at;		/* the next of k's records */
	uint32_t	 last_uid, inserted;
	uint64_t	 modseq;	/* of what is added */
	bool		 covered;	/* k knows all that is lost */
};

/* --- from the index --------------------------------------------------------------- */

static void
put_arrival(struct salvage *s, const struct packed_arrival *a, uint64_t modseq)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);

	packed_arrival_encode(&b, a);
	packed_record_encode(&s->out, PACKED_ARRIVAL, modseq, buf_span(&b));
	buf_fini(&b);
}

static void
put_record_of(struct salvage *s, const struct record *r)
{
	struct packed_arrival a = {
		.uid = r->uid, .flags = r->flags & RECORD_STORED,
		.segment = r->segment, .crc = r->crc, .offset = r->offset,
		.len = r->len, .date_us = r->date_us, .kwset = r->kwset,
		.save_us = (int64_t)r->save_s * 1000000, .size = r->size,
		.cache_len = r->flags & RECORD_BEHIND ? r->cache_len : 0,
		.zone_min = r->zone_min,
		.how = record_how(r) |
		    (r->flags & RECORD_COPIED ? PACKED_COPIED : 0) |
		    (r->flags & RECORD_ZSTD ? PACKED_ZSTD : 0),
	};

	memcpy(a.guid, r->guid, sizeof(a.guid));
	if (r->segment == PACKED_NO_SEGMENT) {
		a.how |= PACKED_FILE;
		a.queue_id = record_base(s->k, r);
		a.offset = 0;
	} else {
		a.how |= PACKED_REF;
	}
	put_arrival(s, &a, MAX(r->modseq, 1));
	s->inserted++;
}

/* Those that the index has and the journal did not have before this UID. */
static void
put_missing(struct salvage *s, uint32_t before)
{
	const struct record *r;

	for (; s->k != NULL && s->k_at < record_count(s->k) &&
	    (r = record_at(s->k, s->k_at))->uid < before; s->k_at++) {
		if (!(r->flags & MESSAGE_EXPUNGED) && r->uid > s->last_uid)
			put_record_of(s, r);
	}
}

static const struct record *
live(const struct mailbox *m, uint32_t uid)
{
	uint32_t i = record_find(m, uid);
	const struct record *r = i < record_count(m) ? record_at(m, i) : NULL;

	return r != NULL && r->uid == uid && !(r->flags & MESSAGE_EXPUNGED) ?
	    r : NULL;
}

static void
put_set(struct salvage *s, unsigned type, const void *head, size_t n,
    const struct ranges *set)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);

	for (size_t at = 0; at < set->len;) {
		buf_reset(&b);
		buf_add(&b, head, n);
		packed_set_encode(&b, set, &at);
		packed_record_encode(&s->out, type, s->modseq, buf_span(&b));
	}
	buf_fini(&b);
}

static void
put_flags(struct salvage *s, const struct record *like,
    struct ranges *set)
{
	uint8_t head[8];

	if (set->len == 0)
		return;
	num_put_le32(head, like->flags & RECORD_STORED);
	num_put_le32(head + 4, like->kwset);
	put_set(s, PACKED_FLAGS_SET, head, sizeof(head), set);
	ranges_reset(set);
}

/* What is true of messages that are there. */
static void
put_state(struct salvage *s)
{
	const struct mailbox *v = s->k != NULL ? s->k : s->w;
	struct ranges set = RANGES_INIT;
	const struct record *like = NULL;

	for (uint32_t i = 0; i < record_count(v); i++) {
		const struct record *r = record_at(v, i), *is;
		uint8_t le[16];

		if (r->flags & MESSAGE_EXPUNGED)
			continue;
		is = live(s->w, r->uid);
		if (is != NULL && (is->segment != r->segment ||
		    (is->segment != PACKED_NO_SEGMENT &&
		    is->offset != r->offset))) {
			num_put_le32(le, r->uid);
			num_put_le32(le + 4, r->segment);
			num_put_le64(le + 8, r->offset);
			packed_record_encode(&s->out, PACKED_MOVED, s->modseq,
			    span_make(le, sizeof(le)));
		}
		if (s->covered && is != NULL && is->kwset == r->kwset &&
		    ((is->flags ^ r->flags) & RECORD_STORED) == 0)
			continue;
		if (like != NULL && (like->kwset != r->kwset ||
		    ((like->flags ^ r->flags) & RECORD_STORED) != 0))
			put_flags(s, like, &set);
		like = r;
		ranges_add(&set, r->uid, r->uid);
	}
	put_flags(s, like, &set);
	ranges_fini(&set);
}

/* What is expunged, where only the index says so. */
static void
put_expunged(struct salvage *s)
{
	struct ranges set = RANGES_INIT;
	uint8_t head[24] = { 0 };
	uint64_t bytes = 0;
	uint32_t n = 0;

	for (uint32_t i = 0; s->k != NULL && i < record_count(s->w); i++) {
		const struct record *r = record_at(s->w, i);

		if (r->flags & MESSAGE_EXPUNGED || live(s->k, r->uid) != NULL)
			continue;
		ranges_add(&set, r->uid, r->uid);
		bytes += r->size != 0 ? r->size : r->len;
		n++;
	}
	num_put_le64(head, (uint64_t)clock_wall_us());
	num_put_le32(head + 8, n);
	num_put_le64(head + 16, bytes);
	put_set(s, PACKED_EXPUNGE_SET, head, sizeof(head), &set);
	ranges_fini(&set);
}

/* Words first: what says them once more is passed over. */
static void
put_words(struct salvage *s)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	uint8_t le[4];

	for (size_t i = 0; s->k != NULL && i < s->k->keywords.len; i++) {
		buf_reset(&b);
		num_put_le32(le, (uint32_t)i);
		buf_add(&b, le, sizeof(le));
		buf_add_str(&b, s->k->keywords.v[i]);
		packed_record_encode(&s->out, PACKED_KEYWORD, 1, buf_span(&b));
	}
	for (size_t i = 0; s->k != NULL && i < s->k->kwsets.len; i++) {
		buf_reset(&b);
		num_put_le32(le, (uint32_t)i + 1);
		buf_add(&b, le, sizeof(le));
		for (uint32_t n = 0; n < s->k->kwsets.v[i].n; n++) {
			num_put_le32(le, s->k->kwsets.v[i].v[n]);
			buf_add(&b, le, sizeof(le));
		}
		packed_record_encode(&s->out, PACKED_KWSET, 1, buf_span(&b));
	}
	buf_fini(&b);
}

/* --- from the damage -------------------------------------------------------------- */

struct moved {
	uint32_t		uid;
	struct packed_arrival	*a;
};

static bool
find_moved(void *arg, const struct packed_record *r)
{
	struct moved *mv = arg;

	for (struct span in = r->type == PACKED_MOVED ? r->payload :
	    SPAN_EMPTY; in.len >= 16; in = span_from(in, 16)) {
		if (num_get_le32(in.p) == mv->uid) {
			mv->a->segment = num_get_le32(in.p + 4);
			mv->a->offset = num_get_le64(in.p + 8);
		}
	}
	return true;
}

/* Whether it does; what the message does not say of itself is forgotten. */
static bool
leads_to_a_message(struct account *a, struct packed_arrival *ar)
{
	uint8_t h[PACKED_MESSAGE_HEADER];
	struct packed_message m;
	char name[PACKED_NAME_MAX];
	bool is;
	int fd;

	packed_name(ar->segment, "seg", name);
	if ((fd = packed_open_checked(a->dirfd, name, O_RDONLY)) < 0)
		return false;
	is = fd_pread_all(fd, h, sizeof(h), (off_t)ar->offset) == 0 &&
	    packed_message_decode(&m, span_make(h, sizeof(h))) == 0 &&
	    m.len == ar->len && m.crc == ar->crc &&
	    memcmp(m.guid, ar->guid, sizeof(m.guid)) == 0 &&
	    packed_check_bytes(fd, ar->offset + sizeof(h), ar->len,
	    ar->crc) == 1;
	close(fd);
	if (!is)
		return false;
	ar->date_us = m.date_us;
	if (ar->save_us < 0 || ar->save_us > clock_wall_us())
		ar->save_us = 0;
	ar->size = 0;
	ar->cache_len = 0;
	ar->flags &= RECORD_STORED;
	ar->how = PACKED_REF | PACKED_COPIED | (m.zstd ? PACKED_ZSTD : 0);
	return true;
}

static bool
was_expunged(const struct mailbox *w, uint32_t uid)
{
	for (size_t i = 0; i < w->times.len; i++) {
		if (w->times.v[i].first <= uid && uid <= w->times.v[i].last)
			return true;
	}
	return false;
}

static void
look_through(struct salvage *s, const struct gap *g)
{
	const struct mailbox *v = s->k != NULL ? s->k : s->w;
	uint32_t last = g->after;

	for (uint64_t at = g->from; at + 8 <= g->to; at += 8) {
		struct packed_arrival a;
		struct moved mv = { 0, &a };

		if (packed_arrival_decode(&a, span_sub(buf_span(&s->old),
		    (size_t)(at - PACKED_START), (size_t)(g->to - at))) < 0 ||
		    a.uid <= last || a.uid >= g->before ||
		    a.how & PACKED_FILE || a.segment == PACKED_NO_SEGMENT)
			continue;
		mv.uid = a.uid;
		(void)packed_scan(buf_span(&s->old), PACKED_START, NULL,
		    find_moved, &mv);
		if (live(v, a.uid) != NULL || was_expunged(s->w, a.uid) ||
		    !leads_to_a_message(s->w->a, &a))
			continue;
		last = a.uid;
		if (a.kwset > v->kwsets.len)
			a.kwset = 0;
		*ARRAY_PUSH(&s->found) = a;
	}
}

/* --- all of it -------------------------------------------------------------------- */

struct uids {
	uint32_t	first, last;
};

static bool
note_uids(void *arg, const struct packed_record *r)
{
	struct packed_arrival a;
	struct uids *u = arg;

	if (r->type == PACKED_ARRIVAL &&
	    packed_arrival_decode(&a, r->payload) == 0) {
		if (u->first == 0)
			u->first = a.uid;
		u->last = MAX(u->last, a.uid);
	}
	return true;
}

static void
note_gap(struct salvage *s, uint64_t from, uint64_t to)
{
	if (from < to)
		*ARRAY_PUSH(&s->gaps) = (struct gap){ from, to, s->last_uid,
		    UINT32_MAX };
}

/* Copy what can be read, and put in between what the index has. */
static void
copy_records(struct salvage *s)
{
	struct span all = buf_span(&s->old);
	uint64_t end = PACKED_START, pos = end, size = end + all.len;
	struct packed_record r;

	while (pos < size) {
		struct uids u = { 0, 0 };
		struct span one;

		if (packed_record_decode(span_from(all, (size_t)(pos -
		    PACKED_START)), pos, &r) == 0) {
			pos += 8;
			continue;
		}
		note_gap(s, end, pos);
		one = span_sub(all, (size_t)(pos - PACKED_START),
		    (size_t)(r.end - pos));
		(void)packed_scan(one, pos, NULL, note_uids, &u);
		if (u.first != 0) {
			for (size_t i = s->gaps.len; i-- > 0 &&
			    s->gaps.v[i].before == UINT32_MAX;)
				s->gaps.v[i].before = u.first;
			put_missing(s, u.first);
			s->last_uid = MAX(s->last_uid, u.last);
			put_missing(s, u.last + 1);
		}
		buf_add_span(&s->out, one);
		pos = end = r.end;
	}
	note_gap(s, end, size);
	put_missing(s, UINT32_MAX);
}

static int
read_journal(struct salvage *s, struct why *why)
{
	struct packed *p = s->w->p;
	struct stat st;
	size_t n;

	if (fstat(p->jfd, &st) < 0 || st.st_size < PACKED_START)
		return store_fail(why, "cannot read", p->path);
	n = (size_t)st.st_size - PACKED_START;
	if (fd_pread_all(p->jfd, buf_reserve(&s->old, n), n,
	    PACKED_START) < 0)
		return store_fail(why, "cannot read", p->path);
	buf_commit(&s->old, n);
	return 0;
}

/* The view of the index, as far as the journal goes; or none. */
static void
take_index(struct salvage *s)
{
	if (s->k == NULL)
		return;
	mailbox_settle(s->k);
	if (s->k->index_tail == 0 || packed_catch_up(s->k->p, NULL) < 0 ||
	    s->k->bad || s->k->gone ||
	    s->k->p->head.generation != s->w->p->head.generation)
		mailbox_close(&s->k);
}

static int
put_all(struct salvage *s, struct why *why)
{
	struct packed *p = s->w->p;
	uint32_t uid;
	uint8_t le[8];

	s->modseq = p->head.state.modseq + 1;
	put_words(s);
	copy_records(s);
	s->covered = s->k != NULL;
	for (size_t i = 0; i < s->gaps.len; i++) {
		if (s->k != NULL && s->gaps.v[i].to <= s->k->index_tail)
			continue;
		s->covered = false;
		look_through(s, &s->gaps.v[i]);
	}
	put_state(s);
	put_expunged(s);
	if (packed_reserve(p, (uint32_t)s->found.len, why) < 0)
		return -1;
	uid = p->head.state.uidnext;
	for (size_t i = 0; i < s->found.len; i++) {
		s->found.v[i].uid = uid + (uint32_t)i;
		put_arrival(s, &s->found.v[i], s->modseq);
	}
	/* Of expunges nobody knows which were lost. */
	num_put_le64(le, s->modseq);
	packed_record_encode(&s->out, PACKED_HISTORY, s->modseq,
	    span_make(le, sizeof(le)));
	p->head.state.modseq = s->modseq;
	p->head.state.uidnext = uid + (uint32_t)s->found.len;
	/* What the old one counted is not what is there. */
	p->head.state.totals = false;
	return packed_replace(p, buf_span(&s->out), why);
}

int
mailbox_salvage(struct account *a, uint32_t box, struct why *why)
{
	struct salvage s = { .old = BUF_INIT(BUF_UNLIMITED),
	    .out = BUF_INIT(BUF_UNLIMITED) };
	int rc = -1;

	s.k = mailbox_open_inside(a, box, 0, NULL);
	if ((s.w = mailbox_open_whole(a, box, why)) == NULL)
		goto out;
	if (mailbox_lock(s.w, why) < 0)
		goto out;
	take_index(&s);
	if (read_journal(&s, why) == 0 && put_all(&s, why) == 0) {
		log_warning("%s: the journal of mailbox %u was damaged in %zu "
		    "places: %u messages are there by its index, %zu were "
		    "found again", a->path, (unsigned)box, s.gaps.len,
		    (unsigned)s.inserted, s.found.len);
		rc = 0;
	} else {
		(void)account_io(a, why);
	}
	mailbox_unlock(s.w);
	/* Ours for writing is the old one. */
	for (size_t i = 0; i < a->writers.len; i++) {
		if (a->writers.v[i]->box == box) {
			account_drop_writer(a, a->writers.v[i]);
			break;
		}
	}
out:
	mailbox_close(&s.w);
	mailbox_close(&s.k);
	ARRAY_FINI(&s.gaps);
	ARRAY_FINI(&s.found);
	buf_fini(&s.old);
	buf_fini(&s.out);
	return rc;
}
