/* SPDX-License-Identifier: ISC */
/*
 * intake_log - how messages are heard of: from the log after a start, and from
 * cleanup's feed (intake.c).
 */
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "io/fd.h"
#include "qmgr/intake_priv.h"
#include "queue/queue_id.h"

#define SCAN_RECORDS	20000	/* of the log, in one turn */
#define SCAN_MS		100
#define ORPHAN_US	INT64_C(3600000000)

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
	    hash_find(&intake.held, e->queue_id) != NULL;
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

	if (pos->seq > intake.target)
		return false;
	if (++sc->n > SCAN_RECORDS || clock_mono_ms() > sc->until_ms) {
		sc->stopped = true;
		return false;
	}
	if (!message || state_entries_all(&intake.found, pos->seq)) {
		(void)book_count(&qm.book, pos, false, now);
		return true;
	}
	if (!book_count(&qm.book, pos, true, now))
		return true;
	if (!intake.first_done && qmsg_parse(type, payload, &e, &content,
	    &why) == 0) {
		bool filed = is_filed(&e);

		if (filed) {
			struct finished f = {
				.seq = pos->seq, .rcpt = QREC_ALL,
				.slot = pos->slot,
				.generation = pos->generation,
				.large = type == QREC_LARGE,
			};

			if (queue_id_parse(e.queue_id, &f.id_us,
			    &f.id_seq) == 0)
				state_note(qm.state, &f, false);
			if (intake.cursor != 0)	/* it will be seen again */
				backlog_skip(pos->seq);
		} else if (type == QREC_LARGE) {
			(void)hash_put(&intake.large, e.queue_id, &intake);
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

	if (hash_find(&intake.large, span_of(id)) != NULL ||
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

	intake.first_done = true;
	if (qfile_each(&qm.spool, SPOOL_LARGE, orphan, NULL, &why) < 0)
		log_warning("large/: %s", why.text);
	hash_fini(&intake.held, NULL);
	hash_fini(&intake.large, NULL);
	intake.held = intake.large = HASH_INIT;
	log_info("%u messages in the log, %u deferred", qm.book.unfinished,
	    qm.later.count);
}

void
intake_scan(void)
{
	struct scanning sc = { .until_ms = clock_mono_ms() + SCAN_MS };
	struct qlog_visit v = {
		.record = scan_record, .damage = scan_damage, .arg = &sc
	};
	struct why why = WHY_INIT;

	if (intake.synced || !intake.subscribed)
		return;
	if (qlog_scan(qm.spool.dirfd, "log", qm.book.any ?
	    qm.book.counted + 1 : 0, &v, &why) < 0) {
		log_error("log/: %s", why.text);
		loop_timer_set(intake.pump_timer, 1000);
		return;
	}
	if (sc.stopped) {
		loop_timer_set(intake.pump_timer, 0);
		intake_pump();
		return;
	}
	intake.synced = true;
	if (!intake.first_done)
		first_scan_done();
	intake_pump();
}

/* --- the feed --------------------------------------------------------------------------- */

static void
release_slot(void *arg, uint32_t slot, uint32_t generation)
{
	struct ipc_conn *c = ipc_client_conn(intake.feed);
	struct feed_release r = { .slot = slot, .generation = generation };

	agents_drop_segment(slot, generation);
	if (c == NULL || !intake.subscribed)
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

	if (!intake.synced) {
		/* It is durable and will be read from the log. */
		intake.target = MAX(intake.target, fm->seq);
		return;
	}
	if (!book_count(&qm.book, &pos, true, loop_now_ms(qm.loop)))
		return;
	if (backlog_empty() && intake_room(false)) {
		struct waiting w = {
			.seq = pos.seq, .offset = pos.offset,
			.slot = pos.slot, .generation = pos.generation,
			.len = pos.len, .large = fm->large,
		};

		if (backlog_start(&pos, fm->large, fm->content_skip,
		    fm->envelope, &why) != NULL)
			return;
		buf_reset(&intake.record);
		backlog_lost(&w, &why);
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
		intake.subscribed = true;
		intake.synced = false;
		intake.target = at.seq;
		if (!intake.first_done && intake.recovered_upto == 0)
			intake.recovered_upto = at.seq;
		book_release_again(&qm.book);
		intake_scan();
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
		intake.synced = false;
		ipc_send(c, FEED_SUBSCRIBE, 0, SPAN_EMPTY);
		return 0;
	default:
		return -1;
	}
}

static void
feed_up(void *arg, struct ipc_conn *c)
{
	intake.synced = intake.subscribed = false;
	intake.load_sent_active = intake.load_sent_incoming = 0;
	ipc_send(c, FEED_SUBSCRIBE, 0, SPAN_EMPTY);
}

static void
feed_down(void *arg)
{
	intake.synced = intake.subscribed = false;
}

static const struct ipc_client_ops feed_ops = {
	.on_frame = feed_frame, .on_up = feed_up, .on_down = feed_down,
};

void
intake_send_load(void)
{
	struct feed_load l = {
		.incoming = (uint32_t)MIN(intake_backlog(), UINT32_MAX),
		.active = qm.n_active,
	};
	struct ipc_conn *c = ipc_client_conn(intake.feed);

	if (c == NULL || !intake.subscribed || (l.incoming ==
	    intake.load_sent_incoming && l.active == intake.load_sent_active))
		return;
	intake.load_sent_incoming = l.incoming;
	intake.load_sent_active = l.active;
	feed_load_encode(ipc_begin(c, FEED_LOAD, 0), &l);
	ipc_end(c);
}

void
intake_feed_start(void)
{
	qm.book.release = release_slot;
	intake.feed = ipc_client_new(qm.loop,
	    daemon_socket_path("private/feed"), &FEED_PROTO, &feed_ops, NULL);
	(void)ipc_client_conn(intake.feed);
}
