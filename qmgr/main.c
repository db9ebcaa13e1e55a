/* SPDX-License-Identifier: ISC */
/*
 * qmgr - the queue manager: one process that owns the queue.
 *
 * It learns of new messages from cleanup, schedules their delivery, hands
 * batches to the delivery agents, and keeps what cannot be delivered yet.  It
 * never looks into a message, and does no network I/O.  qmgr.h shows how its
 * parts hang together; ARCHITECTURE.md what becomes durable when.
 */
#include "qmgr/qmgr.h"

#include <time.h>

#include "base/log.h"
#include "conf/params.h"
#include "daemon/daemon.h"

#define LOCK_TRIES	100	/* of 100 ms: the one before us is leaving */
#define DRAIN_MS	10000
#define DRAIN_LOOK_MS	20

static struct loop_timer *drain_timer;
static int64_t drain_until_ms;

static int
pre_jail(struct why *why)
{
	/* Half an edit in master.cf must not stop the mail. */
	if (config_master(why) < 0)
		log_warning("%s: process limits are the default", why->text);
	*why = WHY_INIT;
	return 0;
}

static int
open_state(struct why *why)
{
	const struct timespec pause = { .tv_nsec = 100000000 };

	for (unsigned n = 0; n < LOCK_TRIES; n++) {
		*why = WHY_INIT;
		qm.state = state_open(qm.loop, qm.spool.dirfd,
		    intake_finished, NULL, why);
		if (qm.state != NULL)
			return 0;
		if (strstr(why->text, "in use") == NULL)
			break;
		nanosleep(&pause, NULL);
	}
	return -1;
}

static int
start(struct why *why)
{
	qm.loop = daemon_loop();
	qm.book = BOOK_INIT;
	qm.later = LATER_INIT;
	list_init(&qm.messages);
	qm.by_id = HASH_INIT;
	if (spool_open(&qm.spool, ".", why) < 0 || open_state(why) < 0)
		return -1;
	sched_start();
	file_start();
	resolve_start();
	notice_start();
	if (control_start(why) < 0)
		return -1;
	return intake_start(why);
}

static int
reload(struct why *why)
{
	struct why why2 = WHY_INIT;

	/* What was opened before the jail may be out of reach now. */
	if (config_master(&why2) < 0)
		log_warning("reload: %s; process limits stay as they were",
		    why2.text);
	resolve_forget();
	sched_config();
	return control_config(why);
}

/* Whether all that agents have was answered, and what they said is kept. */
static bool
settled(void)
{
	LIST_FOREACH(l, &qm.messages)
		if (LIST_ENTRY(l, struct message, link)->n_settling > 0)
			return false;
	return qm.deliveries == 0 && state_pending(qm.state) == 0 &&
	    file_pending() == 0;
}

static void
on_drain_timer(void *arg)
{
	state_flush(qm.state);
	if (!settled() && loop_now_ms(qm.loop) < drain_until_ms) {
		loop_timer_set(drain_timer, DRAIN_LOOK_MS);
		return;
	}
	log_debug("drained: %llu deliveries are left",
	    (unsigned long long)qm.deliveries);
	daemon_busy(-1);
}

static void
drain(void)
{
	qm.draining = true;
	daemon_busy(1);
	drain_until_ms = loop_now_ms(qm.loop) + DRAIN_MS;
	drain_timer = loop_timer_new(qm.loop, on_drain_timer, NULL);
	loop_timer_set(drain_timer, 0);
}

static const struct daemon qmgr = {
	.name		= "qmgr",
	.pre_jail	= pre_jail,
	.start		= start,
	.accept		= control_accept,
	.reload		= reload,
	.drain		= drain,
};

int
main(int argc, char **argv)
{
	return daemon_main(&qmgr, argc, argv);
}
