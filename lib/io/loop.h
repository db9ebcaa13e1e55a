/* SPDX-License-Identifier: ISC */
/*
 * loop - readiness, timers, signals, and "at the end of this turn".
 *
 * One loop a process, in one thread.  libevent's core lies underneath and is
 * seen by loop.c only.  A turn is: wait, call the handlers of all that is
 * ready, then call everything given to loop_defer().  Deferred calls are how
 * work is gathered: a stream writes once a turn, cleanup commits once a turn,
 * the log is flushed once a turn.
 *
 * Handlers never block.  A handler may free any object of the loop, its own
 * too: a freed object is not called again, not even in the same turn.
 */
#ifndef IO_LOOP_H
#define IO_LOOP_H

#include "base/cc.h"
#include "base/list.h"

struct loop;
struct loop_io;		/* one descriptor we wait for */
struct loop_timer;
struct loop_signal;

enum { LOOP_READ = 1, LOOP_WRITE = 2 };

struct loop *loop_new(void);
void	 loop_free(struct loop **l);
/* Until loop_stop(), called from any handler. */
void	 loop_run(struct loop *l);
void	 loop_stop(struct loop *l);
/*
 * For a process that speaks with one peer, which waits for each answer: after
 * a few waits of at most us microseconds, look for what comes next again and
 * again for so long before going to sleep.  Where nothing else runs, to be put
 * to sleep and woken costs more CPU than that.  It is done as long as hardly a
 * look is in vain: not when the peer is far away, or the machine busy.
 * 0: never, as at first.
 */
void	 loop_set_eager(struct loop *l, int64_t us);
/* Monotonic time of this turn: for deadlines, cheap. */
int64_t	 loop_now_ms(struct loop *l);
/* Counts the turns. */
uint64_t loop_turn(const struct loop *l);
/*
 * Memory for the time of one handler, the same for all of the loop's objects:
 * what a handler puts there is gone when the next one runs.
 */
#define LOOP_SHARED_LEN	(192 * 1024)
char	*loop_shared(struct loop *l);

typedef void loop_io_fn(void *arg, unsigned events);
/* Waits for nothing until loop_io_want().  Does not own or close fd. */
struct loop_io *loop_io_new(struct loop *l, int fd, loop_io_fn *fn, void *arg);
/* events: LOOP_READ | LOOP_WRITE, 0 for neither.  Level-triggered.  Cheap:
 * the kernel is told once a turn, and only when something changed. */
void	 loop_io_want(struct loop_io *io, unsigned events);
void	 loop_io_free(struct loop_io **io);

typedef void loop_fn(void *arg);
struct loop_timer *loop_timer_new(struct loop *l, loop_fn *fn, void *arg);
void	 loop_timer_set(struct loop_timer *t, int64_t in_ms);	/* once */
void	 loop_timer_cancel(struct loop_timer *t);
void	 loop_timer_free(struct loop_timer **t);

/*
 * Before whatever else is ready in that turn: a client who came after we were
 * told to reload does not meet the old settings.  Only SIGCHLD has to wait its
 * turn, for a child's last words are often ready beside it.
 */
struct loop_signal *loop_signal_new(struct loop *l, int signo, loop_fn *fn,
	    void *arg);
void	 loop_signal_free(struct loop_signal **s);

/*
 * Something to do once at the end of the turn.  Embedded in its owner, zeroed
 * at first; giving it again before it ran changes nothing.  A deferred call
 * made from a deferred call still runs in this turn.
 */
struct loop_defer {
	struct list	 link;		/* private */
	loop_fn		*fn;
	void		*arg;
};
void	 loop_defer(struct loop *l, struct loop_defer *d);
void	 loop_defer_cancel(struct loop_defer *d);	/* may not be queued */

/*
 * Run fn(arg) in a thread of its own and then done(arg) on the loop.  For
 * fdatasync, syncfs and the like, nothing else: fn may touch only what arg
 * holds.  One worker object runs one job at a time, and keeps its thread.
 */
struct loop_worker;
struct loop_worker *loop_worker_new(struct loop *l);
/* -1 when a job is running already. */
MUST_CHECK int loop_worker_start(struct loop_worker *w, loop_fn *fn,
	    loop_fn *done, void *arg);
bool	 loop_worker_busy(const struct loop_worker *w);
void	 loop_worker_free(struct loop_worker **w);	/* waits for the job */

#endif
