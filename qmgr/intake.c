/* SPDX-License-Identifier: ISC */
/*
 * intake - which messages become active, and when.
 *
 * New messages are told by cleanup's feed, or read from the log after a
 * start, after cleanup's restart, or after a gap.  Each is counted in the
 * book once, in order.  One that finds no room waits as a position in the
 * backlog; beyond qmgr_backlog_limit only the first left-out seq is kept
 * (the cursor), and the log is read again from there.  Deferred messages
 * wait in qm.later.  When there is room the two take turns.
 *
 * After a start everything up to the first AT may have been handed out by
 * the process before us: it is delivered with `recovered` set, and so is
 * every deferred message that was found on disk.  A queue file wins over the
 * log record with the same id.
 */
#include "qmgr/qmgr.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "io/fd.h"
#include "queue/queue_id.h"

#define SCAN_RECORDS	20000	/* of the log, in one turn */
#define SCAN_MS		100
#define PUMP_MAX	500	/* messages made active in one turn */
#define PUMP_MS		10	/* and how long that may take */
#define NEW_SHARE	5	/* a fifth of the room is for new mail only */
#define TICK_MS		1000
#define DUE_MAX_MS	60000	/* look again, whatever the clock did */
#define FILE_RETRY_US	INT64_C(60000000)
#define SLOT_COPY_MAX	500	/* messages of a slot made files at a time */
#define JUMP_US		INT64_C(60000000)
#define ORPHAN_US	INT64_C(3600000000)

struct waiting {
	uint64_t	seq, offset;
	uint32_t	slot, generation, len;
	bool		large;
};

static struct {
	struct ipc_client *feed;
	struct loop_timer *pump_timer, *due_timer, *tick;
	struct loop_defer  pump;
	ARRAY(struct waiting) backlog;
	size_t		 head;
	uint64_t	 cursor;	/* first seq left out of it; 0 none */
	struct hash	 skip;		/* seqs there that have gone ahead */
	struct state_entries found;	/* what state/ said at the start */
	struct hash	 held;		/* ids in hold/, and of files that were
					 * taken up, until the first scan */
	struct hash	 large;		/* ids of large files in use, ditto */
	bool		 subscribed, synced, first_done;
	uint64_t	 target;	/* durable up to here: read up to here */
	uint64_t	 recovered_upto;
	bool		 later_turn;	/* whose turn it is */
	uint32_t	 load_sent_incoming, load_sent_active;
	int64_t		 clock_offset;	/* wall - monotonic */
	unsigned	 ticks;
	struct buf	 record, blob;
} in;

static void	 scan(void);

/* --- the backlog ------------------------------------------------------------------ */

static struct span
seq_key(const uint64_t *seq)
{
	return span_make(seq, sizeof(*seq));
}

static bool
skipped(uint64_t seq)
{
	return in.skip.count > 0 &&
	    hash_find(&in.skip, seq_key(&seq)) != NULL;
}

size_t
intake_backlog(void)
{
	size_t n = in.backlog.len - in.head;

	/* With a cursor the book knows better. */
	if (in.cursor != 0 && qm.book.unfinished > n)
		n = qm.book.unfinished;
	return n;
}

static void
backlog_push(const struct qlog_pos *pos, bool large)
{
	if (in.cursor != 0)
		return;
	if (in.backlog.len - in.head >= (size_t)conf.qmgr_backlog_limit) {
		in.cursor = pos->seq;
		return;
	}
	if (in.head > 1024 && in.head > in.backlog.len / 2) {
		in.backlog.len -= in.head;
		memmove(in.backlog.v, in.backlog.v + in.head,
		    in.backlog.len * sizeof(in.backlog.v[0]));
		in.head = 0;
	}
	*ARRAY_PUSH(&in.backlog) = (struct waiting){
		.seq = pos->seq, .offset = pos->offset, .slot = pos->slot,
		.generation = pos->generation, .len = pos->len, .large = large,
	};
}

static bool
refill_record(void *arg, const struct qlog_pos *pos, uint16_t type,
    int64_t wall_us, struct span payload)
{
	if (pos->seq > qm.book.counted ||
	    in.backlog.len - in.head >= (size_t)conf.qmgr_backlog_limit) {
		if (pos->seq <= qm.book.counted)
			in.cursor = pos->seq;
		return false;
	}
	in.cursor = pos->seq + 1;
	if ((type != QREC_MESSAGE && type != QREC_LARGE) ||
	    state_entries_all(&in.found, pos->seq))
		return true;
	*ARRAY_PUSH(&in.backlog) = (struct waiting){
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

	in.backlog.len = in.head = 0;
	if (qlog_scan(qm.spool.dirfd, "log", in.cursor, &v, &why) < 0) {
		log_error("log/: %s", why.text);
		return;
	}
	if (in.cursor > qm.book.counted)
		in.cursor = 0;
}

static bool
backlog_first(struct waiting *w)
{
	for (;;) {
		if (in.head == in.backlog.len) {
			if (in.cursor != 0)
				refill();
			if (in.head == in.backlog.len)
				return false;
		}
		*w = in.backlog.v[in.head];
		if (!skipped(w->seq))
			return true;
		(void)hash_del(&in.skip, seq_key(&w->seq));
		in.head++;
	}
}

/* The record could not be read: keep what there is, and go on. */
static void
record_lost(const struct waiting *w, const struct why *why)
{
	struct finished f = {
		.seq = w->seq, .rcpt = QREC_ALL, .slot = w->slot,
		.generation = w->generation,
	};
	char path[64];

	(void)snprintf(path, sizeof(path), "corrupt/record.%llu",
	    (unsigned long long)w->seq);
	if (in.record.len > 0 && fd_replace_file(qm.spool.dirfd, path, 0600,
	    in.record.data, in.record.len) < 0) {
		log_error("%s: %s: %m", path, why->text);
		return;		/* it stays in the log */
	}
	log_error("log/%02u.seg: record %llu: %s; its bytes are in %s",
	    w->slot, (unsigned long long)w->seq, why->text,
	    in.record.len > 0 ? path : "the segment");
	if (in.record.len > 0)
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
	size_t n = state_entries_find(&in.found, seq, &e);

	for (; n > 0; n--, e++) {
		if (e->rcpt >= m->env.rcpts.len ||
		    m->mr[e->rcpt].state != R_FRESH)
			continue;
		m->env.rcpts.v[e->rcpt].fate = RCPT_DELIVERED;
		m->mr[e->rcpt].noted = true;
		rcpt_set(m, e->rcpt, R_DONE);
	}
}

static struct message *
start_message(const struct qlog_pos *pos, bool large, size_t content_skip,
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
	message_activate(m, pos->seq <= in.recovered_upto);
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

	buf_reset(&in.record);
	if (fd < 0 || qlog_read(fd, &pos, &in.record, why) < 0)
		return NULL;
	if (in.record.len < 4 ||
	    (n = num_get_le32(in.record.data)) > in.record.len - 4) {
		why_set(why, "4.3.0", "damaged");
		return NULL;
	}
	return start_message(&pos, w->large, 4 + (size_t)n,
	    span_make(in.record.data + 4, n), why);
}

struct message *
intake_next(void)
{
	struct waiting w;

	while (backlog_first(&w)) {
		struct why why = WHY_INIT;
		struct message *m;

		in.head++;
		m = start_waiting(&w, &why);
		if (m != NULL)
			return m;
		record_lost(&w, &why);
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
	    !state_entries_all(&in.found, pos->seq) && !skipped(pos->seq);
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
		uint64_t seq = pos->seq;

		envelope_fini(&e);
		k->m = start_message(pos, type == QREC_LARGE, 4 + (size_t)n,
		    span_make(payload.p + 4, n), &why);
		if (k->m != NULL)
			(void)hash_put(&in.skip, seq_key(&seq), k->m);
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

/* --- deferred messages ---------------------------------------------------------- */

struct message *
intake_file(int64_t id_us, uint64_t seq, bool recovered)
{
	char id[QUEUE_ID_MAX];
	struct why why = WHY_INIT;
	struct message *m;
	struct qfile *f;
	struct qmsg_content c;

	queue_id_make(id_us, seq, id);
	(void)later_remove(&qm.later, id_us, seq);
	f = qfile_open(&qm.spool, SPOOL_DEFERRED, span_of(id), &why);
	if (f == NULL) {
		if (strstr(why.text, "damaged") != NULL) {
			struct why why2 = WHY_INIT;

			log_error("%s: %s; moved to corrupt/", id, why.text);
			if (qfile_move(&qm.spool, span_of(id), SPOOL_DEFERRED,
			    SPOOL_CORRUPT, &why2) < 0)
				log_error("%s: %s", id, why2.text);
		} else if (faccessat(qm.spool.dirfd, "deferred", F_OK, 0) < 0 ||
		    strstr(why.text, "No such file") == NULL) {
			log_warning("%s: %s", id, why.text);
			later_put(&qm.later, id_us, seq, clock_wall_us() +
			    FILE_RETRY_US, recovered ? LATER_RECOVERED : 0);
		}
		return NULL;
	}
	c = qfile_content(f);
	buf_reset(&in.blob);
	envelope_encode(&in.blob, qfile_envelope(f));
	qfile_close(&f);
	m = message_new(FROM_FILE, NULL, c.offset, c.len, buf_span(&in.blob),
	    &why);
	if (m == NULL) {
		log_warning("%s: %s", id, why.text);
		return NULL;
	}
	/* Gone or not by then: its record in the log, if any, is not news. */
	if (!in.first_done)
		(void)hash_put(&in.held, span_of(id), &in);
	m->file_queue = SPOOL_DEFERRED;
	m->env.flags &= ~(unsigned)ENV_HOLD;
	message_activate(m, recovered);
	return m;
}

/* --- making messages active -------------------------------------------------------- */

static uint64_t
share(int64_t limit, bool deferred)
{
	return (uint64_t)limit - (deferred ? (uint64_t)limit / NEW_SHARE : 0);
}

/*
 * A long queue that comes back at once, after a release or when a large site
 * is up again, leaves room for mail that nobody has tried yet.
 */
static bool
room(bool deferred)
{
	/* Those that wait for a checkpoint only are not active, but bounded
	 * too: a hung agent must not fill the memory. */
	return !qm.draining && qm.paused == 0 &&
	    qm.n_active < share(conf.qmgr_message_active_limit, deferred) &&
	    qm.n_rcpts < share(conf.qmgr_message_recipient_limit, deferred) &&
	    qm.n_messages < (uint64_t)conf.qmgr_message_active_limit * 8;
}

static void
due_timer_set(void)
{
	const struct later_item *first = later_first(&qm.later);
	int64_t in_ms;

	if (first == NULL)
		return;
	in_ms = (first->next_us - clock_wall_us()) / 1000 + 1;
	/* Who makes room calls intake_pump(). */
	if (in_ms <= 0 && !room(true))
		in_ms = DUE_MAX_MS;
	loop_timer_set(in.due_timer, MAX(0, MIN(in_ms, DUE_MAX_MS)));
}

static void
pump(void *arg)
{
	int64_t now = clock_wall_us();
	int64_t until_ms = clock_mono_ms() + PUMP_MS;
	bool more = false;

	for (size_t n = 0; room(false); n++) {
		const struct later_item *due = later_first(&qm.later);
		bool have_new = in.head < in.backlog.len || in.cursor != 0;

		if (due != NULL && (due->next_us > now || !room(true)))
			due = NULL;
		if (due == NULL && !have_new)
			break;
		if (n == PUMP_MAX || clock_mono_ms() > until_ms) {
			more = true;
			break;
		}
		in.later_turn = !in.later_turn;
		if (due != NULL && (in.later_turn || !have_new))
			(void)intake_file(due->id_us, due->seq,
			    due->flags & LATER_RECOVERED);
		else
			(void)intake_next();
	}
	if (more)
		loop_timer_set(in.pump_timer, 0);	/* others' turn first */
	due_timer_set();
}

static void
on_pump_timer(void *arg)
{
	scan();		/* does nothing when the log has been read */
	pump(NULL);
}

void
intake_pump(void)
{
	if (in.pump_timer != NULL)
		loop_defer(qm.loop, &in.pump);
}

/* --- the log ------------------------------------------------------------------------- */

struct scanning {
	size_t	n;
	int64_t	until_ms;
	bool	stopped;
};

/* First scan: is there a queue file with this id? */
static bool
is_filed(const struct envelope *e)
{
	int64_t id_us;
	uint64_t id_seq;

	if (queue_id_parse(e->queue_id, &id_us, &id_seq) < 0)
		return false;
	return later_find(&qm.later, id_us, id_seq) != NULL ||
	    message_find(e->queue_id) != NULL ||
	    hash_find(&in.held, e->queue_id) != NULL;
}

static bool
scan_record(void *arg, const struct qlog_pos *pos, uint16_t type,
    int64_t wall_us, struct span payload)
{
	struct scanning *sc = arg;
	bool message = type == QREC_MESSAGE || type == QREC_LARGE;
	struct envelope e = ENVELOPE_INIT;
	struct span content;
	struct why why = WHY_INIT;
	int64_t now = loop_now_ms(qm.loop);

	if (pos->seq > in.target)
		return false;
	if (++sc->n > SCAN_RECORDS || clock_mono_ms() > sc->until_ms) {
		sc->stopped = true;
		return false;
	}
	if (!message || state_entries_all(&in.found, pos->seq)) {
		(void)book_count(&qm.book, pos, false, now);
		return true;
	}
	if (!book_count(&qm.book, pos, true, now))
		return true;
	if (!in.first_done && qmsg_parse(type, payload, &e, &content,
	    &why) == 0) {
		bool filed = is_filed(&e);

		if (filed) {
			struct finished f = {
				.seq = pos->seq, .rcpt = QREC_ALL,
				.slot = pos->slot,
				.generation = pos->generation,
				.large = type == QREC_LARGE,
			};
			uint64_t seq = pos->seq;

			if (queue_id_parse(e.queue_id, &f.id_us,
			    &f.id_seq) == 0)
				state_note(qm.state, &f, false);
			if (in.cursor != 0)	/* it will be seen again */
				(void)hash_put(&in.skip, seq_key(&seq), &in);
		} else if (type == QREC_LARGE) {
			(void)hash_put(&in.large, e.queue_id, &in);
		}
		envelope_fini(&e);
		if (filed)
			return true;
	}
	backlog_push(pos, type == QREC_LARGE);
	return true;
}

static void
scan_damage(void *arg, uint32_t slot, uint64_t offset, struct span bytes)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "corrupt/segment.%u.%llu", slot,
	    (unsigned long long)offset);
	log_error("log/: acknowledged mail in slot %u at %llu is damaged; "
	    "%zu bytes are kept in %s", slot, (unsigned long long)offset,
	    bytes.len, path);
	if (fd_replace_file(qm.spool.dirfd, path, 0600, bytes.p,
	    bytes.len) < 0)
		log_error("%s: %m", path);
}

/* Large files that no message of the log has: left by a crash. */
static bool
orphan(void *arg, const char *id, int64_t mtime_us,
    int64_t changed_us)
{
	struct why why = WHY_INIT;

	if (hash_find(&in.large, span_of(id)) != NULL ||
	    mtime_us > clock_wall_us() - ORPHAN_US)
		return true;
	log_info("%s: large file belongs to no message: removed", id);
	if (qfile_remove(&qm.spool, SPOOL_LARGE, span_of(id), &why) < 0)
		log_warning("%s: %s", id, why.text);
	return true;
}

static void
first_scan_done(void)
{
	struct why why = WHY_INIT;

	in.first_done = true;
	if (qfile_each(&qm.spool, SPOOL_LARGE, orphan, NULL, &why) < 0)
		log_warning("large/: %s", why.text);
	hash_fini(&in.held, NULL);
	hash_fini(&in.large, NULL);
	in.held = in.large = HASH_INIT;
	log_info("%u messages in the log, %u deferred", qm.book.unfinished,
	    qm.later.count);
}

static void
scan(void)
{
	struct scanning sc = { .until_ms = clock_mono_ms() + SCAN_MS };
	struct qlog_visit v = {
		.record = scan_record, .damage = scan_damage, .arg = &sc
	};
	struct why why = WHY_INIT;

	if (in.synced || !in.subscribed)
		return;
	if (qlog_scan(qm.spool.dirfd, "log", qm.book.any ?
	    qm.book.counted + 1 : 0, &v, &why) < 0) {
		log_error("log/: %s", why.text);
		loop_timer_set(in.pump_timer, 1000);
		return;
	}
	if (sc.stopped) {
		loop_timer_set(in.pump_timer, 0);
		intake_pump();
		return;
	}
	in.synced = true;
	if (!in.first_done)
		first_scan_done();
	intake_pump();
}

/* --- the feed --------------------------------------------------------------------------- */

static void
release_slot(void *arg, uint32_t slot, uint32_t generation)
{
	struct ipc_conn *c = ipc_client_conn(in.feed);
	struct feed_release r = { .slot = slot, .generation = generation };

	agents_drop_segment(slot, generation);
	if (c == NULL || !in.subscribed)
		return;		/* said again when it is back */
	feed_release_encode(ipc_begin(c, FEED_RELEASE, 0), &r);
	ipc_end(c);
}

void
intake_finished(void *arg, const struct finished *f)
{
	if (f->rcpt != QREC_ALL)
		return;
	if (f->large) {
		char id[QUEUE_ID_MAX];
		struct why why = WHY_INIT;

		queue_id_make(f->id_us, f->id_seq, id);
		if (qfile_remove(&qm.spool, SPOOL_LARGE, span_of(id),
		    &why) < 0)
			log_warning("%s: %s", id, why.text);
	}
	book_finish(&qm.book, f->slot, f->generation);
}

static void
on_message(const struct ipc_frame *f, const struct feed_message *fm)
{
	struct qlog_pos pos = {
		.slot = fm->slot, .generation = fm->generation,
		.offset = fm->offset, .len = fm->len, .seq = fm->seq,
	};
	struct why why = WHY_INIT;

	if (!in.synced) {
		/* It is durable and will be read from the log. */
		in.target = MAX(in.target, fm->seq);
		return;
	}
	if (!book_count(&qm.book, &pos, true, loop_now_ms(qm.loop)))
		return;
	if (in.head == in.backlog.len && in.cursor == 0 && room(false)) {
		struct waiting w = {
			.seq = pos.seq, .offset = pos.offset,
			.slot = pos.slot, .generation = pos.generation,
			.len = pos.len, .large = fm->large,
		};

		if (start_message(&pos, fm->large, fm->content_skip,
		    fm->envelope, &why) != NULL)
			return;
		buf_reset(&in.record);
		record_lost(&w, &why);
		return;
	}
	backlog_push(&pos, fm->large);
	intake_pump();
}

static int
feed_frame(void *arg, struct ipc_conn *c, const struct ipc_frame *f)
{
	struct feed_message fm;
	struct feed_release rel;
	struct feed_at at;

	switch (f->type) {
	case FEED_AT:
		if (feed_at_decode(&at, f->body) < 0)
			return -1;
		in.subscribed = true;
		in.synced = false;
		in.target = at.seq;
		if (!in.first_done && in.recovered_upto == 0)
			in.recovered_upto = at.seq;
		book_release_again(&qm.book);
		scan();
		return 0;
	case FEED_MESSAGE:
		if (feed_message_decode(&fm, f->body) < 0 ||
		    fm.content_skip > fm.len)
			return -1;
		on_message(f, &fm);
		return 0;
	case FEED_RELEASED:
		if (feed_release_decode(&rel, f->body) < 0)
			return -1;
		if (book_slot(&qm.book, rel.slot, rel.generation) != NULL)
			book_forget(&qm.book, rel.slot);
		return 0;
	case FEED_GAP:
		if (feed_at_decode(&at, f->body) < 0)
			return -1;
		log_info("behind cleanup: reading the log from %llu",
		    (unsigned long long)at.seq);
		in.synced = false;
		ipc_send(c, FEED_SUBSCRIBE, 0, SPAN_EMPTY);
		return 0;
	default:
		return -1;
	}
}

static void
feed_up(void *arg, struct ipc_conn *c)
{
	in.synced = in.subscribed = false;
	in.load_sent_active = in.load_sent_incoming = 0;
	ipc_send(c, FEED_SUBSCRIBE, 0, SPAN_EMPTY);
}

static void
feed_down(void *arg)
{
	in.synced = in.subscribed = false;
}

static const struct ipc_client_ops feed_ops = {
	.on_frame = feed_frame, .on_up = feed_up, .on_down = feed_down,
};

/* --- once a second ------------------------------------------------------------------------ */

static void
send_load(void)
{
	struct feed_load l = {
		.incoming = (uint32_t)MIN(intake_backlog(), UINT32_MAX),
		.active = qm.n_active,
	};
	struct ipc_conn *c = ipc_client_conn(in.feed);

	if (c == NULL || !in.subscribed || (l.incoming ==
	    in.load_sent_incoming && l.active == in.load_sent_active))
		return;
	in.load_sent_incoming = l.incoming;
	in.load_sent_active = l.active;
	feed_load_encode(ipc_begin(c, FEED_LOAD, 0), &l);
	ipc_end(c);
}

/* A few messages hold a slot of the log: move them out of it. */
static void
empty_old_slots(void)
{
	int64_t now = loop_now_ms(qm.loop);
	unsigned n = 0;

	for (size_t i = 0; i < qm.book.slots.len; i++) {
		struct book_slot *s = &qm.book.slots.v[i];

		if (!s->used || !s->closed || s->released ||
		    s->unfinished == 0 || now - s->closed_ms <
		    conf.queue_segment_hold_time * 1000)
			continue;
		LIST_FOREACH(l, &qm.messages) {
			struct message *m = LIST_ENTRY(l, struct message,
			    link);

			if (m->source != FROM_FILE && !m->over &&
			    !m->copying && m->pos.slot == s->slot &&
			    m->pos.generation == s->generation &&
			    n++ < SLOT_COPY_MAX)
				file_copy(m);
		}
	}
}

static void
on_tick(void *arg)
{
	int64_t offset = clock_wall_us() - clock_mono_us();

	loop_timer_set(in.tick, TICK_MS);
	(void)ipc_client_conn(in.feed);
	send_load();
	if (offset - in.clock_offset > JUMP_US ||
	    in.clock_offset - offset > JUMP_US) {
		log_warning("the clock was set %s by %lld seconds",
		    offset > in.clock_offset ? "forward" : "back",
		    llabs(offset - in.clock_offset) / 1000000);
		/* Waits go on: nothing is due later for a clock that was
		 * set back.  One that was set forward may have been asleep,
		 * or late before; then what it says is due is due. */
		if (offset < in.clock_offset)
			later_shift(&qm.later, offset - in.clock_offset);
		intake_pump();
	}
	in.clock_offset = offset;
	in.ticks++;
	if (in.ticks % 10 == 0) {
		empty_old_slots();
		state_release_below(qm.state, book_min_seq(&qm.book));
	}
}

/* --- start and stop ------------------------------------------------------------------------- */

static bool
found_deferred(void *arg, const char *id, int64_t next_us,
    int64_t changed_us)
{
	int64_t id_us, now = *(int64_t *)arg;
	uint64_t seq;

	if (queue_id_parse(span_of(id), &id_us, &seq) < 0)
		return true;
	later_put(&qm.later, id_us, seq, retry_found_us(next_us, changed_us,
	    now, conf.maximal_backoff_time), LATER_RECOVERED);
	return true;
}

static bool
found_held(void *arg, const char *id, int64_t next_us,
    int64_t changed_us)
{
	(void)hash_put(&in.held, span_of(id), &in);
	return true;
}

bool
intake_synced(void)
{
	return in.synced;
}

int
intake_start(struct why *why)
{
	int64_t now = clock_wall_us();

	in.record = in.blob = BUF_INIT(BUF_UNLIMITED);
	in.skip = in.held = in.large = HASH_INIT;
	in.found = state_take_entries(qm.state);
	in.pump = (struct loop_defer){ .fn = pump };
	in.clock_offset = now - clock_mono_us();
	qm.book.release = release_slot;
	if (qfile_each(&qm.spool, SPOOL_HOLD, found_held, NULL, why) < 0 ||
	    qfile_each(&qm.spool, SPOOL_DEFERRED, found_deferred, &now,
	    why) < 0)
		return -1;
	in.pump_timer = loop_timer_new(qm.loop, on_pump_timer, NULL);
	in.due_timer = loop_timer_new(qm.loop, on_pump_timer, NULL);
	in.tick = loop_timer_new(qm.loop, on_tick, NULL);
	loop_timer_set(in.tick, TICK_MS);
	in.feed = ipc_client_new(qm.loop, daemon_socket_path("private/feed"),
	    &FEED_PROTO, &feed_ops, NULL);
	(void)ipc_client_conn(in.feed);
	intake_pump();
	return 0;
}

void
intake_stop(void)
{
	ipc_client_free(&in.feed);
	loop_timer_free(&in.pump_timer);
	loop_timer_free(&in.due_timer);
	loop_timer_free(&in.tick);
	loop_defer_cancel(&in.pump);
	ARRAY_FINI(&in.backlog);
	hash_fini(&in.skip, NULL);
	hash_fini(&in.held, NULL);
	hash_fini(&in.large, NULL);
	state_entries_fini(&in.found);
	buf_fini(&in.record);
	buf_fini(&in.blob);
}
