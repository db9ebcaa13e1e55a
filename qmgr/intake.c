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
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "qmgr/intake_priv.h"
#include "queue/queue_id.h"

#define PUMP_MAX	500	/* messages made active in one turn */
#define PUMP_MS		10	/* and how long that may take */
#define NEW_SHARE	5	/* a fifth of the room is for new mail only */
#define TICK_MS		1000
#define DUE_MAX_MS	60000	/* look again, whatever the clock did */
#define FILE_RETRY_US	INT64_C(60000000)
#define SLOT_COPY_MAX	500	/* messages of a slot made files at a time */
#define JUMP_US		INT64_C(60000000)

struct intake intake;

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
	buf_reset(&intake.blob);
	envelope_encode(&intake.blob, qfile_envelope(f));
	qfile_close(&f);
	m = message_new(FROM_FILE, NULL, c.offset, c.len,
	    buf_span(&intake.blob), &why);
	if (m == NULL) {
		log_warning("%s: %s", id, why.text);
		return NULL;
	}
	/* Gone or not by then: its record in the log, if any, is not news. */
	if (!intake.first_done)
		(void)hash_put(&intake.held, span_of(id), &intake);
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
bool
intake_room(bool deferred)
{
	/* Those that wait for a checkpoint only are not active, but bounded
	 * too: a hung agent must not fill the memory. */
	return !qm.draining && !(deferred && qm.paused > 0) &&
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
	if (in_ms <= 0 && !intake_room(true))
		in_ms = DUE_MAX_MS;
	loop_timer_set(intake.due_timer, MAX(0, MIN(in_ms, DUE_MAX_MS)));
}

static void
pump(void *arg)
{
	int64_t now = clock_wall_us();
	int64_t until_ms = clock_mono_ms() + PUMP_MS;
	bool more = false;

	for (size_t n = 0; intake_room(false); n++) {
		const struct later_item *due = later_first(&qm.later);
		bool have_new = !backlog_empty();
		struct message *m;

		if (due != NULL && (due->next_us > now || !intake_room(true)))
			due = NULL;
		if (due == NULL && !have_new)
			break;
		if (n == PUMP_MAX || clock_mono_ms() > until_ms) {
			more = true;
			break;
		}
		intake.later_turn = !intake.later_turn;
		if (due != NULL && (intake.later_turn || !have_new))
			(void)intake_file(due->id_us, due->seq,
			    due->flags & LATER_RECOVERED);
		else if ((m = intake_next(UINT64_MAX)) != NULL)
			ctl_jobs_meet(m);
	}
	if (more)
		loop_timer_set(intake.pump_timer, 0);	/* others' turn first */
	due_timer_set();
}

static void
on_pump_timer(void *arg)
{
	intake_scan();
	pump(NULL);
}

void
intake_pump(void)
{
	if (intake.pump_timer != NULL)
		loop_defer(qm.loop, &intake.pump);
}

/* --- once a second ------------------------------------------------------------------------ */

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

	loop_timer_set(intake.tick, TICK_MS);
	(void)ipc_client_conn(intake.feed);
	intake_send_load();
	if (offset - intake.clock_offset > JUMP_US ||
	    intake.clock_offset - offset > JUMP_US) {
		log_warning("the clock was set %s by %lld seconds",
		    offset > intake.clock_offset ? "forward" : "back",
		    llabs(offset - intake.clock_offset) / 1000000);
		/* Waits go on: nothing is due later for a clock that was
		 * set back.  One that was set forward may have been asleep,
		 * or late before; then what it says is due is due. */
		if (offset < intake.clock_offset)
			later_shift(&qm.later, offset - intake.clock_offset);
		intake_pump();
	}
	intake.clock_offset = offset;
	intake.ticks++;
	if (intake.ticks % 10 == 0) {
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
	(void)hash_put(&intake.held, span_of(id), &intake);
	return true;
}

bool
intake_synced(void)
{
	return intake.synced;
}

int
intake_start(struct why *why)
{
	int64_t now = clock_wall_us();

	intake.record = intake.blob = BUF_INIT(BUF_UNLIMITED);
	intake.skip = intake.held = intake.large = HASH_INIT;
	intake.found = state_take_entries(qm.state);
	intake.pump = (struct loop_defer){ .fn = pump };
	intake.clock_offset = now - clock_mono_us();
	if (qfile_each(&qm.spool, SPOOL_HOLD, found_held, NULL, why) < 0 ||
	    qfile_each(&qm.spool, SPOOL_DEFERRED, found_deferred, &now,
	    why) < 0)
		return -1;
	intake.pump_timer = loop_timer_new(qm.loop, on_pump_timer, NULL);
	intake.due_timer = loop_timer_new(qm.loop, on_pump_timer, NULL);
	intake.tick = loop_timer_new(qm.loop, on_tick, NULL);
	loop_timer_set(intake.tick, TICK_MS);
	intake_feed_start();
	intake_pump();
	return 0;
}

void
intake_stop(void)
{
	ipc_client_free(&intake.feed);
	loop_timer_free(&intake.pump_timer);
	loop_timer_free(&intake.due_timer);
	loop_timer_free(&intake.tick);
	loop_defer_cancel(&intake.pump);
	ARRAY_FINI(&intake.backlog);
	hash_fini(&intake.skip, NULL);
	hash_fini(&intake.held, NULL);
	hash_fini(&intake.large, NULL);
	state_entries_fini(&intake.found);
	buf_fini(&intake.record);
	buf_fini(&intake.blob);
}
