/* SPDX-License-Identifier: ISC */
/*
 * room - flow control: the memory of messages under way, the free space of the
 * queue, and what clients are told of it.
 */
#include "base/clock.h"
#include "base/log.h"
#include "cleanup/cleanup.h"
#include "conf/params.h"
#include "ipc/ipc.h"

#define SPACE_MS	1000	/* free space is looked at this often */

static int64_t looked_ms;		/* the last time, monotonic; 0: never */
static struct loop_timer *timer;	/* set while there is none */

/* --- memory ---------------------------------------------------------------------- */

bool
room_crowded(void)
{
	return cl.held > (size_t)conf.cleanup_memory_limit;
}

/*
 * Not reading makes sense only while it is the disk we wait for: messages
 * that are half here cannot become complete when nobody reads them.
 */
static void
adjust_reading(void)
{
	size_t limit = (size_t)conf.cleanup_memory_limit;
	bool pause = cl.paused ? cl.committing > limit / 4 :
	    cl.committing > limit / 2;

	if (pause == cl.paused)
		return;
	cl.paused = pause;
	LIST_FOREACH(l, &cl.conns) {
		struct conn *c = LIST_ENTRY(l, struct conn, all);

		if (pause)
			ipc_pause(c->ipc);
		else
			ipc_resume(c->ipc);
	}
}

void
room_hold(struct message *m, size_t bytes)
{
	cl.held = cl.held - m->held + bytes;
	m->held = bytes;
}

void
room_committing(ptrdiff_t bytes)
{
	cl.committing = (size_t)((ptrdiff_t)cl.committing + bytes);
	adjust_reading();
}

/* --- space ------------------------------------------------------------------------- */

static void
send_busy(struct conn *c)
{
	struct cleanup_busy busy = { .full = cl.full,
	    .delay_ms = cl.delay_ms };

	cleanup_busy_encode(ipc_begin(c->ipc, CLEANUP_BUSY, 0), &busy);
	ipc_end(c->ipc);
}

void
room_tell(struct conn *c)
{
	if (cl.full || cl.delay_ms > 0)
		send_busy(c);
}

static void
set_busy(bool full, uint32_t delay_ms, const char *reason)
{
	if (full == cl.full && delay_ms == cl.delay_ms)
		return;
	if (full != cl.full) {
		if (full)
			log_warning("not enough free space in the queue: mail "
			    "is answered 452%s%s", *reason != '\0' ? ": " : "",
			    reason);
		else
			log_info("there is enough free space in the queue "
			    "again");
	}
	cl.full = full;
	cl.delay_ms = delay_ms;
	/* While clients hear of it no BEGIN comes that would make us look. */
	if (full)
		loop_timer_set(timer, SPACE_MS);
	LIST_FOREACH(l, &cl.conns)
		send_busy(LIST_ENTRY(l, struct conn, all));
}

void
room_set_busy(bool full, uint32_t delay_ms)
{
	set_busy(full, delay_ms, "");
}

void
room_note_full(void)
{
	looked_ms = clock_mono_ms();
	room_set_busy(true, cl.delay_ms);
}

bool
room_full(void)
{
	int64_t now = loop_now_ms(cl.loop);
	uint64_t bytes, inodes;
	struct why why = WHY_INIT;

	if (looked_ms != 0 && now - looked_ms < SPACE_MS)
		return cl.full;
	looked_ms = now;
	if (qlog_full(cl.log, &why) || commit_numbers(1, &why) < 0) {
		set_busy(true, cl.delay_ms, why.text);
		return cl.full;
	}
	if (spool_free(&cl.spool, &bytes, &inodes, &why) < 0) {
		log_warning("%s", why.text);
		return cl.full;
	}
	room_set_busy((conf.queue_minfree > 0 &&
	    bytes < (uint64_t)conf.queue_minfree) || inodes == 0,
	    cl.delay_ms);
	return cl.full;
}

static void
look_for_space(void *arg)
{
	if (room_full())
		loop_timer_set(timer, SPACE_MS);
}

void
room_start(void)
{
	timer = loop_timer_new(cl.loop, look_for_space, NULL);
	(void)room_full();
}

void
room_look_again(void)
{
	looked_ms = 0;
	(void)room_full();
}
