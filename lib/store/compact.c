/* SPDX-License-Identifier: ISC */
/*
 * compact - journals without what is over.
 *
 * A compacted journal has the keywords, then each message that is there, or
 * was expunged less than store_expunge_delay ago, with its flags and MODSEQ as
 * they are, then the expunges.  It says the same as the one before, so views
 * that come from it notice nothing; it replaces the old one by rename, under
 * the old one's lock, and whoever waited for that finds the old one without a
 * name and opens the new one.
 *
 * That an unsynced name comes back after a power cut is harmless: what was
 * written to the new file and acknowledged came after a sync of the
 * directory.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "store/mailbox_internal.h"

#define KEEP_MIN_S	3600	/* views may still show what was expunged */
#define EXPUNGES_MAX	65536	/* ranges told to QRESYNC clients */

struct compaction {
	struct mailbox	*m;
	struct buf	 out;
	int64_t		 before_us;	/* expunged earlier: it is over */
	struct buf	 name;
};

/* Whether the bytes and the record of an expunged message are kept. */
bool
record_is_kept(const struct mailbox *m, const struct record *r,
    int64_t before_us)
{
	struct expunge_time t;

	if (!(r->flags & MESSAGE_EXPUNGED))
		return true;
	/* What was moved lives on elsewhere. */
	return mailbox_expunge_time(m, r, &t) && t.when_us >= before_us &&
	    (t.moved == 0 || t.when_us >= clock_wall_us() -
	    KEEP_MIN_S * (int64_t)1000000);
}

int64_t
compact_before(const struct account *a)
{
	if (a->before_us != 0)
		return a->before_us;
	return clock_wall_us() - MAX(a->opt.expunge_delay_s, KEEP_MIN_S) *
	    1000000;
}

static void
put_words(struct compaction *c)
{
	const struct mailbox *m = c->m;
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	uint8_t le[8];

	for (size_t i = 0; i < m->keywords.len; i++) {
		buf_reset(&b);
		num_put_le32(le, (uint32_t)i);
		buf_add(&b, le, 4);
		buf_add_str(&b, m->keywords.v[i]);
		packed_record_encode(&c->out, PACKED_KEYWORD, 1, buf_span(&b));
	}
	for (size_t i = 0; i < m->kwsets.len; i++) {
		buf_reset(&b);
		num_put_le32(le, (uint32_t)i + 1);
		buf_add(&b, le, 4);
		for (uint32_t k = 0; k < m->kwsets.v[i].n; k++) {
			num_put_le32(le, m->kwsets.v[i].v[k]);
			buf_add(&b, le, 4);
		}
		packed_record_encode(&c->out, PACKED_KWSET, 1, buf_span(&b));
	}
	num_put_le32(le, m->recent_from);
	packed_record_encode(&c->out, PACKED_RECENT, 1, span_make(le, 4));
	buf_fini(&b);
}

/* A record of the old journal: arrivals go on with what is true now. */
static bool
copy_arrival(void *arg, const struct packed_record *pr)
{
	struct compaction *c = arg;
	struct packed_arrival a;
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	const struct record *r;
	uint32_t i;

	if (pr->type == PACKED_NAME) {
		buf_reset(&c->name);
		buf_add_span(&c->name, pr->payload);
	}
	if (pr->type != PACKED_ARRIVAL ||
	    packed_arrival_decode(&a, pr->payload) < 0)
		return true;
	i = record_find(c->m, a.uid);
	if (i >= record_count(c->m) ||
	    (r = record_at(c->m, i))->uid != a.uid ||
	    !record_is_kept(c->m, r, c->before_us))
		return true;
	a.flags = r->flags & RECORD_STORED;
	a.kwset = r->kwset;
	if (!(a.how & PACKED_FILE)) {
		/* In another place it is not where we append. */
		if (a.segment != r->segment || a.offset != r->offset)
			a.how |= PACKED_REF;
		a.segment = r->segment;
		a.offset = r->offset;
	}
	packed_arrival_encode(&b, &a);
	packed_record_encode(&c->out, PACKED_ARRIVAL, MAX(r->modseq, 1),
	    buf_span(&b));
	buf_fini(&b);
	return true;
}

static void
put_expunges(struct compaction *c)
{
	const struct mailbox *m = c->m;
	size_t from = m->times.len > EXPUNGES_MAX ?
	    m->times.len - EXPUNGES_MAX : 0;
	uint64_t history = m->history;
	uint8_t b[32];

	for (size_t i = 0; i < from; i++)
		history = MAX(history, m->times.v[i].modseq);
	num_put_le64(b, history);
	if (history > 0)
		packed_record_encode(&c->out, PACKED_HISTORY, 1,
		    span_make(b, 8));
	for (size_t i = 0; i < m->times.len; i++) {
		const struct expunge_time *t = &m->times.v[i];
		uint64_t bytes = 0;
		uint32_t n = 0;

		for (uint32_t k = record_find(m, t->first);
		    k < record_count(m); k++) {
			const struct record *r = record_at(m, k);

			if (r->uid > t->last)
				break;
			if (!(r->flags & MESSAGE_EXPUNGED) ||
			    r->modseq != t->modseq ||
			    !record_is_kept(m, r, c->before_us))
				continue;
			n++;
			bytes += r->size != 0 ? r->size : r->len;
		}
		if (i < from && n == 0)
			continue;
		num_put_le64(b, (uint64_t)t->when_us);
		num_put_le32(b + 8, n);
		num_put_le32(b + 12, t->moved);
		num_put_le64(b + 16, bytes);
		num_put_le32(b + 24, t->first);
		num_put_le32(b + 28, t->last);
		packed_record_encode(&c->out, PACKED_EXPUNGE_SET, t->modseq,
		    span_make(b, sizeof(b)));
	}
}

/* Something in it is over for good. */
static bool
has_waste(const struct mailbox *m, int64_t before_us)
{
	for (uint32_t i = 0; i < record_count(m); i++) {
		if (!record_is_kept(m, record_at(m, i), before_us))
			return true;
	}
	return false;
}

int
mailbox_compact(struct account *a, uint32_t box, enum compact_how how,
    struct why *why)
{
	struct mailbox *m = mailbox_open_whole(a, box, why);
	struct compaction c = { .m = m, .out = BUF_INIT(BUF_UNLIMITED),
	    .name = BUF_INIT(BUF_UNLIMITED),
	    .before_us = compact_before(a) };
	size_t damaged = 0;
	struct stat st;
	int64_t end = -1;
	int rc = -1;

	if (m == NULL)
		return -1;
	if (how == COMPACT_WASTE && !has_waste(m, c.before_us)) {
		mailbox_close(&m);
		return 0;
	}
	if (mailbox_lock(m, why) < 0)
		goto out;
	put_words(&c);
	if (fstat(m->p->jfd, &st) == 0)
		end = packed_scan_file(m->p->jfd, PACKED_START,
		    (uint64_t)st.st_size, &damaged, copy_arrival, &c);
	if (end < 0) {
		(void)store_fail(why, "cannot read", a->path);
		(void)account_io(a, why);
	} else if (damaged > 0 || end < st.st_size) {
		rc = 0;
	} else {
		if (c.name.len > 0)
			packed_record_encode(&c.out, PACKED_NAME, 1,
			    buf_span(&c.name));
		put_expunges(&c);
		rc = packed_replace(m->p, buf_span(&c.out), why) < 0 ?
		    account_io(a, why) : 1;
	}
	mailbox_unlock(m);
	/* Ours for writing is the old one. */
	for (size_t i = 0; rc == 1 && i < a->writers.len; i++) {
		if (a->writers.v[i]->box == box) {
			account_drop_writer(a, a->writers.v[i]);
			break;
		}
	}
out:
	buf_fini(&c.out);
	buf_fini(&c.name);
	mailbox_close(&m);
	return rc;
}
