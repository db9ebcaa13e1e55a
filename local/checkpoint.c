/* SPDX-License-Identifier: ISC */
/*
 * checkpoint - see checkpoint.h.
 *
 * The main thread does everything but syncfs(); the checkpoint thread gets a
 * list of descriptors and gives back a result through an eventfd, so that
 * only one thread ever writes to the connection.
 */
#include "local/checkpoint.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

static struct {
	struct store		*store;
	checkpoint_fn		*durable;
	uint64_t		 serial;	/* what a delivery gets now */
	int64_t			 last_ms;	/* when one was begun */
	pthread_t		 thread;
	pthread_mutex_t		 lock;
	pthread_cond_t		 more;
	int			 event;		/* one is done */
	struct store_sync	*sync;		/* under way */
	bool			 busy, done, failed;
	uint64_t		 sync_serial;
	struct why		 why;		/* failed */
} g = {
	.event = -1, .serial = 1,
	.lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER,
};

static void *
run(void *arg)
{
	static const uint64_t one = 1;

	for (;;) {
		struct why why = WHY_INIT;
		struct store_sync *y;
		int rc;

		pthread_mutex_lock(&g.lock);
		while (!g.busy || g.done)
			pthread_cond_wait(&g.more, &g.lock);
		y = g.sync;
		pthread_mutex_unlock(&g.lock);

		rc = store_sync_run(y, &why);

		pthread_mutex_lock(&g.lock);
		g.done = true;
		g.failed = rc < 0;
		g.why = why;
		pthread_mutex_unlock(&g.lock);
		if (write(g.event, &one, sizeof(one)) < 0)
			log_panic("eventfd: %m");
	}
	return arg;
}

static void
begin(void)
{
	pthread_mutex_lock(&g.lock);
	g.sync = store_sync_begin(g.store);
	g.sync_serial = g.serial++;
	g.busy = true;
	g.done = false;
	pthread_cond_signal(&g.more);
	pthread_mutex_unlock(&g.lock);
	g.last_ms = clock_mono_ms();
}

void
checkpoint_end(void)
{
	bool done;
	uint64_t n;

	pthread_mutex_lock(&g.lock);
	done = g.busy && g.done;
	pthread_mutex_unlock(&g.lock);
	if (!done)
		return;
	if (read(g.event, &n, sizeof(n)) < 0 && errno != EAGAIN)
		log_warning("eventfd: %m");
	if (g.failed) {
		/*
		 * Which deliveries are lost nobody can say; the kernel tells
		 * an error once and then forgets it.  Promise nothing more.
		 */
		log_error("%s; exiting, so that all deliveries since the last "
		    "checkpoint are made again", g.why.text);
		log_flush();
		_exit(1);
	}
	store_sync_free(&g.sync);
	g.busy = false;
	g.durable(g.sync_serial);
	store_synced(g.store);
}

int64_t
checkpoint_poll(void)
{
	int64_t left;

	checkpoint_end();
	if (g.busy || !store_dirty(g.store))
		return -1;
	left = g.last_ms + CHECKPOINT_MS - clock_mono_ms();
	if (left > 0 && left <= CHECKPOINT_MS)
		return left;
	begin();
	return -1;
}

bool
checkpoint_idle(void)
{
	return !g.busy && !store_dirty(g.store);
}

void
checkpoint_finish(void)
{
	while (!checkpoint_idle()) {
		struct pollfd p = { .fd = g.event, .events = POLLIN };

		if (!g.busy)
			begin();
		(void)poll(&p, 1, 1000);
		checkpoint_end();
	}
}

int
checkpoint_event(void)
{
	return g.event;
}

uint64_t
checkpoint_serial(void)
{
	return g.serial;
}

int
checkpoint_start(struct store *store, checkpoint_fn *durable, struct why *why)
{
	sigset_t all, old;
	int rc;

	g.store = store;
	g.durable = durable;
	g.event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (g.event < 0)
		return why_errno(why, "", "eventfd");
	/* Signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&g.thread, NULL, run, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc != 0) {
		errno = rc;
		return why_errno(why, "", "cannot make the checkpoint thread");
	}
	return 0;
}
