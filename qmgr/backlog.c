/* SPDX-License-Identifier: ISC */
/*
 * backlog - messages of the log that wait for room (intake.c).
 */
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/num.h"
#include "conf/params.h"
#include "io/fd.h"
#include "qmgr/intake_priv.h"

static struct span
seq_key(const uint64_t *seq)
{
	return span_make(seq, sizeof(*seq));
}

static bool
skipped(uint64_t seq)
{
	return intake.skip.count > 0 &&
	    hash_find(&intake.skip, seq_key(&seq)) != NULL;
}

void
backlog_skip(uint64_t seq)
{
	(void)hash_put(&intake.skip, seq_key(&seq), &intake);
}

bool
backlog_empty(void)
{
	return intake.head == intake.backlog.len && intake.cursor == 0;
}

uint64_t
intake_heard(void)
{
	/* While the log is read, the feed knows of more. */
	return MAX(qm.book.counted, intake.target);
}

size_t
intake_backlog(void)
{
	size_t n = intake.backlog.len - intake.head;

	/* With a cursor the book knows better. */
	if (intake.cursor != 0 && qm.book.unfinished > n)
		n = qm.book.unfinished;
	return n;
}

static bool
backlog_full(void)
{
	return intake.backlog.len - intake.head >=
	    (size_t)conf.qmgr_backlog_limit;
}

void
backlog_push(const struct qlog_pos *pos, bool large)
{
	if (intake.cursor != 0)
		return;
	if (backlog_full()) {
		intake.cursor = pos->seq;
		return;
	}
	if (intake.head > 1024 && intake.head > intake.backlog.len / 2) {
		intake.backlog.len -= intake.head;
		memmove(intake.backlog.v, intake.backlog.v + intake.head,
		    intake.backlog.len * sizeof(intake.backlog.v[0]));
		intake.head = 0;
	}
	*ARRAY_PUSH(&intake.backlog) = (struct waiting){
		.seq = pos->seq, .offset = pos->offset, .slot = pos->slot,
		.generation = pos->generation, .len = pos->len, .large = large,
	};
}

static bool
refill_record(void *arg, const struct qlog_pos *pos, uint16_t type,
    int64_t wall_us, struct span payload)
{
	if (pos->seq > qm.book.counted || backlog_full()) {
		if (pos->seq <= qm.book.counted)
			intake.cursor = pos->seq;
		return false;
	}
	intake.cursor = pos->seq + 1;
	if ((type != QREC_MESSAGE && type != QREC_LARGE) ||
	    state_entries_all(&intake.found, pos->seq))
		return true;
	*ARRAY_PUSH(&intake.backlog) = (struct waiting){
		.seq = pos->seq, .offset = pos->offset, .slot = pos->slot,
		.generation = pos->generation, .len = pos->len,
		.large = type == QREC_LARGE,
	};
	return true;
}

/* The backlog is used up: go on at the cursor. */
static void
refill(void)
{
	struct qlog_visit v = { .record = refill_record };
	struct why why = WHY_INIT;

	intake.backlog.len = intake.head = 0;
	if (qlog_scan(qm.spool.dirfd, "log", intake.cursor, &v, &why) < 0) {
		log_error("log/: %s", why.text);
		return;
	}
	if (intake.cursor > qm.book.counted)
		intake.cursor = 0;
}

static bool
backlog_first(struct waiting *w)
{
	for (;;) {
		if (intake.head == intake.backlog.len) {
			if (intake.cursor != 0)
				refill();
			if (intake.head == intake.backlog.len)
				return false;
		}
		*w = intake.backlog.v[intake.head];
		if (!skipped(w->seq))
			return true;
		(void)hash_del(&intake.skip, seq_key(&w->seq));
		intake.head++;
	}
}

void
backlog_lost(const struct waiting *w, const struct why *why)
{
	struct finished f = {
		.seq = w->seq, .rcpt = QREC_ALL, .slot = w->slot,
		.generation = w->generation,
	};
	char path[64];

	(void)snprintf(path, sizeof(path), "corrupt/record.%llu",
	    (unsigned long long)w->seq);
	if (intake.record.len > 0 && fd_replace_file(qm.spool.dirfd, path, 0600,
	    intake.record.data, intake.record.len) < 0) {
		log_error("%s: %s: %m", path, why->text);
		return;		/* it stays in the log */
	}
	log_error("log/%02u.seg: record %llu: %s; its bytes are in %s",
	    w->slot, (unsigned long long)w->seq, why->text,
	    intake.record.len > 0 ? path : "the segment");
	if (intake.record.len > 0)
		state_note(qm.state, &f, false);
}

static int
slot_fd(uint32_t slot, uint32_t generation, struct why *why)
{
	struct book_slot *s = book_slot(&qm.book, slot, generation);

	if (s == NULL)
		return why_set(why, "4.3.0", "log slot %u.%u is unknown",
		    slot, generation);
	if (s->fd < 0)
		s->fd = qlog_open_slot(qm.spool.dirfd, "log", slot, why);
	return s->fd;
}

/* What state/ knew of single recipients. */
static void
mark_finished(struct message *m, uint64_t seq)
{
	const struct state_entry *e;
	size_t n = state_entries_find(&intake.found, seq, &e);

	for (; n > 0; n--, e++) {
		if (e->rcpt >= m->env.rcpts.len ||
		    m->mr[e->rcpt].state != R_FRESH)
			continue;
		m->env.rcpts.v[e->rcpt].fate = RCPT_DELIVERED;
		m->mr[e->rcpt].noted = true;
		rcpt_set(m, e->rcpt, R_DONE);
	}
}

struct message *
backlog_start(const struct qlog_pos *pos, bool large, size_t content_skip,
    struct span envelope, struct why *why)
{
	struct message *m;

	m = message_new(large ? FROM_LARGE : FROM_LOG, pos,
	    pos->offset + QLOG_HEADER_LEN + content_skip,
	    pos->len - content_skip, envelope, why);
	if (m == NULL)
		return NULL;
	if (large) {
		m->off = 0;
		m->len = m->env.size;
	}
	mark_finished(m, pos->seq);
	message_activate(m, pos->seq <= intake.recovered_upto);
	return m;
}

static struct message *
start_waiting(const struct waiting *w, struct why *why)
{
	struct qlog_pos pos = {
		.slot = w->slot, .generation = w->generation,
		.offset = w->offset, .len = w->len, .seq = w->seq,
	};
	int fd = slot_fd(w->slot, w->generation, why);
	uint32_t n;

	buf_reset(&intake.record);
	if (fd < 0 || qlog_read(fd, &pos, &intake.record, why) < 0)
		return NULL;
	if (intake.record.len < 4 ||
	    (n = num_get_le32(intake.record.data)) > intake.record.len - 4) {
		why_set(why, "4.3.0", "damaged");
		return NULL;
	}
	return backlog_start(&pos, w->large, 4 + (size_t)n,
	    span_make(intake.record.data + 4, n), why);
}

struct message *
intake_next(uint64_t upto)
{
	struct waiting w;

	while (backlog_first(&w) && w.seq <= upto) {
		struct why why = WHY_INIT;
		struct message *m;

		intake.head++;
		m = start_waiting(&w, &why);
		if (m != NULL)
			return m;
		backlog_lost(&w, &why);
	}
	return NULL;
}

struct seek {
	struct span	 id;
	struct message	*m;
	uint64_t	*from;
	size_t		 left;
	bool		 more;
	void		(*fn)(void *, const struct envelope *);
	void		*arg;
};

static bool
waiting_record(const struct qlog_pos *pos, uint16_t type)
{
	return (type == QREC_MESSAGE || type == QREC_LARGE) &&
	    !state_entries_all(&intake.found, pos->seq) && !skipped(pos->seq);
}

static bool
seek_record(void *arg, const struct qlog_pos *pos, uint16_t type,
    int64_t wall_us, struct span payload)
{
	struct seek *k = arg;
	struct envelope e = ENVELOPE_INIT;
	struct span content;
	struct why why = WHY_INIT;

	if (pos->seq > qm.book.counted)
		return false;
	if (!waiting_record(pos, type) ||
	    qmsg_parse(type, payload, &e, &content, &why) < 0)
		return true;
	if (k->fn != NULL) {
		if (k->left == 0) {
			k->more = true;
			envelope_fini(&e);
			return false;
		}
		k->left--;
		k->fn(k->arg, &e);
		*k->from = pos->seq + 1;
	} else if (span_eq(e.queue_id, k->id)) {
		uint32_t n = num_get_le32(payload.p);
		envelope_fini(&e);
		k->m = backlog_start(pos, type == QREC_LARGE, 4 + (size_t)n,
		    span_make(payload.p + 4, n), &why);
		if (k->m != NULL)
			backlog_skip(pos->seq);
		return false;
	}
	envelope_fini(&e);
	return true;
}

static void
seek(struct seek *k, uint64_t from)
{
	struct qlog_visit v = { .record = seek_record, .arg = k };
	struct why why = WHY_INIT;

	if (qlog_scan(qm.spool.dirfd, "log", from, &v, &why) < 0)
		log_error("log/: %s", why.text);
}

struct message *
intake_find(struct span id)
{
	struct seek k = { .id = id };
	struct waiting w;

	if (!backlog_first(&w))
		return NULL;
	seek(&k, w.seq);
	return k.m;
}

bool
intake_each(uint64_t *from_seq, size_t max,
    void (*fn)(void *arg, const struct envelope *e), void *arg)
{
	struct seek k = { .from = from_seq, .left = max, .fn = fn, .arg = arg };
	struct waiting w;

	if (!backlog_first(&w))
		return false;
	if (*from_seq < w.seq)
		*from_seq = w.seq;
	seek(&k, *from_seq);
	return k.more;
}
