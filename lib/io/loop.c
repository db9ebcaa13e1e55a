/* SPDX-License-Identifier: ISC */
/*
 * loop - see loop.h.  The only file that sees libevent.
 *
 * What a descriptor is waited for is told to libevent once a turn, before the
 * wait: a stream that is paused and resumed, or writes and drains, within a
 * turn costs no system call.  Libevent can do that itself (its epoll change
 * list), but it then tells the kernel to forget a descriptor only after we
 * have closed it, and an open file that another process shares (a listener, a
 * descriptor that was passed) would go on waking us for ever.  Here freeing
 * is done at once and only changes wait.
 *
 * Timers are a heap of our own with one timer of libevent's for the earliest:
 * most connections have a deadline, and libevent's would cost each of them
 * three times the memory.
 */
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/fd.h"
#include "io/loop.h"

struct loop {
	struct event_base	*base;
	struct list		 changed;	/* loop_io.change */
	struct list		 deferred;	/* loop_defer.link */
	ARRAY(struct due)	 timers;	/* a heap, the earliest first */
	struct event		 tick;		/* for the earliest */
	int64_t			 tick_us;	/* set for then; 0: not set */
	int64_t			 now_us;	/* 0: not asked this turn */
	uint64_t		 turn;
	bool			 stop;
	struct loop_timer	*log_timer;	/* of lines not sent yet */
	char			*shared;
	int64_t			 eager_us;	/* 0: never */
	int			 points;	/* EAGER_* */
	bool			 woken;		/* something has happened */
};

struct loop_io {
	struct loop	*loop;
	loop_io_fn	*fn;
	void		*arg;
	unsigned	 want, have;
	struct list	 change;
	struct event	 read;
	struct event	*write;		/* while it is waited for; mostly
					 * NULL: sockets have room */
};

/* A place in the heap. */
struct due {
	int64_t			 at_us;
	struct loop_timer	*timer;
};

struct loop_timer {
	struct loop	*loop;
	loop_fn		*fn;
	void		*arg;
	size_t		 place;		/* in the heap, from 1; 0: not set */
};

struct loop_signal {
	struct loop	*loop;
	loop_fn		*fn;
	void		*arg;
	struct event	 event;
};

/* What is ready in one turn is called in this order. */
enum priority {
	PRIO_ORDERS,		/* signals but SIGCHLD */
	PRIO_REST,		/* what events have when nothing is said */
	PRIORITIES
};

static void
libevent_says(int severity, const char *text)
{
	if (severity == EVENT_LOG_DEBUG)
		log_debug("libevent: %s", text);
	else
		log_warning("libevent: %s", text);
}

static void tick(evutil_socket_t fd, short events, void *arg);
static void apply_timers(struct loop *l);
static void io_ready_write(evutil_socket_t fd, short events, void *arg);

struct loop *
loop_new(void)
{
	struct loop *l = mem_zalloc(sizeof(*l));
	struct event_config *cfg;

	event_set_log_callback(libevent_says);
	event_set_mem_functions(mem_alloc, realloc, mem_free);
	cfg = event_config_new();
	if (cfg == NULL ||
	    event_config_set_flag(cfg, EVENT_BASE_FLAG_NOLOCK) < 0 ||
	    /* The environment has no say in how we wait. */
	    event_config_set_flag(cfg, EVENT_BASE_FLAG_IGNORE_ENV) < 0)
		log_fatal("libevent: no configuration");
	l->base = event_base_new_with_config(cfg);
	event_config_free(cfg);
	if (l->base == NULL || event_base_priority_init(l->base,
	    PRIORITIES) < 0)
		log_fatal("libevent: no event base: %m");
	if (event_assign(&l->tick, l->base, -1, 0, tick, l) < 0)
		log_panic("loop_new: no timer");
	list_init(&l->changed);
	list_init(&l->deferred);
	return l;
}

void
loop_free(struct loop **lp)
{
	struct loop *l = *lp;

	*lp = NULL;
	if (l == NULL)
		return;
	loop_timer_free(&l->log_timer);
	(void)event_del(&l->tick);
	event_base_free(l->base);
	ARRAY_FINI(&l->timers);
	mem_free(l->shared);
	mem_free(l);
}

static void
switch_event(struct event *e, bool on)
{
	if ((on ? event_add(e, NULL) : event_del(e)) < 0)
		log_fatal("cannot wait for descriptor %d: %m",
		    (int)event_get_fd(e));
}

static void
switch_write(struct loop_io *io, bool on)
{
	if (on) {
		io->write = mem_alloc(sizeof(*io->write));
		if (event_assign(io->write, io->loop->base,
			event_get_fd(&io->read), EV_WRITE | EV_PERSIST,
			io_ready_write, io) < 0)
			log_panic("loop: cannot wait for writing");
		switch_event(io->write, true);
	} else {
		switch_event(io->write, false);
		mem_free(io->write);
		io->write = NULL;
	}
}

static void
apply_changes(struct loop *l)
{
	LIST_FOREACH(at, &l->changed) {
		struct loop_io *io = LIST_ENTRY(at, struct loop_io, change);
		unsigned diff = io->want ^ io->have;

		list_remove(at);
		if (diff & io->want & LOOP_READ)
			switch_event(&io->read, true);
		if (diff & LOOP_WRITE)
			switch_write(io, io->want & LOOP_WRITE);
		io->have = io->want | (io->have & LOOP_READ);
	}
}

static void
run_deferred(struct loop *l)
{
	while (!list_empty(&l->deferred)) {
		struct loop_defer *d = LIST_ENTRY(l->deferred.next,
		    struct loop_defer, link);

		list_remove(&d->link);
		d->fn(d->arg);
	}
}

/* --- waiting --------------------------------------------------------------- */

/*
 * Whether looking pays: a wait that turned out short earns a point, a look in
 * vain costs as many as it takes short waits to make good for it.
 */
#define EAGER_MIN	3	/* points, to look at all */
#define EAGER_MAX	64
#define EAGER_LOSS	32

static void
turn(struct loop *l, int flags)
{
	if (event_base_loop(l->base, flags) < 0)
		log_fatal("libevent: cannot wait: %m");
}

/* Look again and again instead of sleeping; false: nothing came in time. */
static bool
look(struct loop *l, int64_t until_us)
{
	do {
		turn(l, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		if (l->woken)
			return true;
	} while (clock_mono_us() < until_us);
	return false;
}

/* The wait of a loop that can be eager; see loop_set_eager(). */
static void
wait_eagerly(struct loop *l)
{
	int64_t begin = clock_mono_us();

	l->woken = false;
	if (l->points >= EAGER_MIN) {
		if (look(l, begin + l->eager_us)) {
			l->points = MIN(l->points + 1, EAGER_MAX);
			return;
		}
		l->points = MAX(l->points - EAGER_LOSS, -EAGER_LOSS);
		turn(l, EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY);
		return;
	}
	turn(l, EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY);
	/* Handlers have run since; now_us is from before the first. */
	if (l->woken && l->now_us - begin <= l->eager_us)
		l->points++;
	else
		l->points = MIN(l->points, 0);
}

void
loop_set_eager(struct loop *l, int64_t us)
{
	l->eager_us = us;
	l->points = 0;
}

/* --- the log ----------------------------------------------------------------- */

static void
do_nothing(void *arg)
{
}

/* Lines that syslog did not take need another turn, whatever else happens. */
static void
flush_later(struct loop *l)
{
	if (l->log_timer == NULL)
		l->log_timer = loop_timer_new(l, do_nothing, NULL);
	if (l->log_timer->place == 0)
		loop_timer_set(l->log_timer, log_retry_ms());
}

void
loop_run(struct loop *l)
{
	l->stop = false;
	for (;;) {
		/* First what we have to say of a matter, then the streams,
		 * from which others hear of it: the log is in order. */
		log_flush();
		run_deferred(l);
		log_flush();
		if (l->stop)
			return;
		if (log_retry_ms() >= 0)
			flush_later(l);
		apply_changes(l);
		apply_timers(l);
		l->now_us = 0;
		l->turn++;
		if (l->eager_us > 0)
			wait_eagerly(l);
		else
			turn(l, EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY);
	}
}

void
loop_stop(struct loop *l)
{
	l->stop = true;
}

static int64_t
now_us(struct loop *l)
{
	if (l->now_us == 0)
		l->now_us = clock_mono_us();
	return l->now_us;
}

/* Something is ready: note when, if that decides how we wait. */
static void
wake(struct loop *l)
{
	if (l->eager_us == 0 || l->woken)
		return;
	l->woken = true;
	(void)now_us(l);
}

int64_t
loop_now_ms(struct loop *l)
{
	return now_us(l) / 1000;
}

uint64_t
loop_turn(const struct loop *l)
{
	return l->turn;
}

char *
loop_shared(struct loop *l)
{
	if (l->shared == NULL)
		l->shared = mem_alloc(LOOP_SHARED_LEN);
	return l->shared;
}

/* --- descriptors ---------------------------------------------------------- */

/* What was ready when the turn began may not be wanted any more. */
static void
io_ready_read(evutil_socket_t fd, short events, void *arg)
{
	struct loop_io *io = arg;

	wake(io->loop);
	if (io->want & LOOP_READ) {
		io->fn(io->arg, LOOP_READ);
	} else {
		io->have &= ~(unsigned)LOOP_READ;
		switch_event(&io->read, false);
	}
}

static void
io_ready_write(evutil_socket_t fd, short events, void *arg)
{
	struct loop_io *io = arg;

	wake(io->loop);
	if (io->want & LOOP_WRITE)
		io->fn(io->arg, LOOP_WRITE);
}

struct loop_io *
loop_io_new(struct loop *l, int fd, loop_io_fn *fn, void *arg)
{
	struct loop_io *io = mem_zalloc(sizeof(*io));

	io->loop = l;
	io->fn = fn;
	io->arg = arg;
	if (event_assign(&io->read, l->base, fd, EV_READ | EV_PERSIST,
		io_ready_read, io) < 0)
		log_panic("loop_io_new: descriptor %d", fd);
	return io;
}

void
loop_io_want(struct loop_io *io, unsigned events)
{
	io->want = events;
	if ((io->want | (io->have & LOOP_READ)) != io->have &&
	    !list_linked(&io->change))
		list_append(&io->loop->changed, &io->change);
}

void
loop_io_free(struct loop_io **iop)
{
	struct loop_io *io = *iop;

	*iop = NULL;
	if (io == NULL)
		return;
	list_remove(&io->change);
	(void)event_del(&io->read);
	if (io->write != NULL)
		switch_write(io, false);
	mem_free(io);
}

/* --- timers ---------------------------------------------------------------- */

static void
put_timer(struct loop *l, size_t place, struct due d)
{
	l->timers.v[place - 1] = d;
	d.timer->place = place;
}

/* Find d's place, from a hole on: up or down. */
static void
sift(struct loop *l, size_t hole, struct due d)
{
	size_t n = l->timers.len, child;

	for (; hole > 1 && l->timers.v[hole / 2 - 1].at_us > d.at_us;
	    hole /= 2)
		put_timer(l, hole, l->timers.v[hole / 2 - 1]);
	for (; (child = 2 * hole) <= n; hole = child) {
		if (child < n && l->timers.v[child].at_us <
		    l->timers.v[child - 1].at_us)
			child++;
		if (l->timers.v[child - 1].at_us >= d.at_us)
			break;
		put_timer(l, hole, l->timers.v[child - 1]);
	}
	put_timer(l, hole, d);
}

struct loop_timer *
loop_timer_new(struct loop *l, loop_fn *fn, void *arg)
{
	struct loop_timer *t = mem_zalloc(sizeof(*t));

	t->loop = l;
	t->fn = fn;
	t->arg = arg;
	return t;
}

void
loop_timer_set(struct loop_timer *t, int64_t in_ms)
{
	struct loop *l = t->loop;
	struct due d = { now_us(l) + MAX(in_ms, 0) * 1000, t };

	if (t->place == 0) {
		*ARRAY_PUSH(&l->timers) = d;
		t->place = l->timers.len;
	}
	sift(l, t->place, d);
}

void
loop_timer_cancel(struct loop_timer *t)
{
	struct loop *l = t->loop;
	size_t hole = t->place;
	struct due last;

	if (hole == 0)
		return;
	t->place = 0;
	last = l->timers.v[--l->timers.len];
	if (last.timer != t)
		sift(l, hole, last);
}

void
loop_timer_free(struct loop_timer **tp)
{
	struct loop_timer *t = *tp;

	*tp = NULL;
	if (t == NULL)
		return;
	loop_timer_cancel(t);
	mem_free(t);
}

/* Call what is due, and no more than were set when we began: one who sets a
 * timer to 0 each time does not keep us here. */
static void
tick(evutil_socket_t fd, short events, void *arg)
{
	struct loop *l = arg;
	int64_t now = now_us(l);

	wake(l);
	l->tick_us = 0;
	for (size_t n = l->timers.len; n > 0 && l->timers.len > 0; n--) {
		struct due d = l->timers.v[0];

		if (d.at_us > now)
			return;
		loop_timer_cancel(d.timer);
		d.timer->fn(d.timer->arg);
	}
}

/* Before we wait: have libevent call tick() when the first timer is due. */
static void
apply_timers(struct loop *l)
{
	int64_t at = l->timers.len > 0 ? l->timers.v[0].at_us : 0, left;
	struct timeval tv;

	if (at == l->tick_us)
		return;
	/* Later than set: tick() will see that nothing is due yet. */
	if (at == 0 || (l->tick_us != 0 && at > l->tick_us))
		return;
	l->tick_us = at;
	left = MAX(at - now_us(l), 0);
	tv.tv_sec = (time_t)(left / 1000000);
	tv.tv_usec = (suseconds_t)(left % 1000000);
	if (event_add(&l->tick, &tv) < 0)
		log_fatal("cannot set a timer: %m");
}

/* --- signals --------------------------------------------------------------- */

static void
signal_came(evutil_socket_t signo, short events, void *arg)
{
	struct loop_signal *s = arg;

	wake(s->loop);
	s->fn(s->arg);
}

struct loop_signal *
loop_signal_new(struct loop *l, int signo, loop_fn *fn, void *arg)
{
	struct loop_signal *s = mem_zalloc(sizeof(*s));

	s->loop = l;
	s->fn = fn;
	s->arg = arg;
	if (event_assign(&s->event, l->base, signo, EV_SIGNAL | EV_PERSIST,
		signal_came, s) < 0 || event_priority_set(&s->event,
		signo == SIGCHLD ? PRIO_REST : PRIO_ORDERS) < 0 ||
	    event_add(&s->event, NULL) < 0)
		log_fatal("cannot wait for signal %d: %m", signo);
	return s;
}

void
loop_signal_free(struct loop_signal **sp)
{
	struct loop_signal *s = *sp;

	*sp = NULL;
	if (s == NULL)
		return;
	(void)event_del(&s->event);
	mem_free(s);
}

/* --- the end of the turn --------------------------------------------------- */

void
loop_defer(struct loop *l, struct loop_defer *d)
{
	if (!list_linked(&d->link))
		list_append(&l->deferred, &d->link);
}

void
loop_defer_cancel(struct loop_defer *d)
{
	list_remove(&d->link);
}

/* --- workers ---------------------------------------------------------------- */

struct loop_worker {
	struct loop_io	*io;
	int		 wake_fd;	/* eventfd: the job is done */
	bool		 busy;		/* the loop's view */
	bool		 started;
	pthread_t	 thread;
	loop_fn		*done;
	void		*arg;
	pthread_mutex_t	 lock;		/* for what follows */
	pthread_cond_t	 cond;
	loop_fn		*job;		/* NULL: none */
	bool		 quit;
};

static void *
worker_thread(void *arg)
{
	struct loop_worker *w = arg;
	const uint64_t one = 1;
	loop_fn *job;

	pthread_mutex_lock(&w->lock);
	for (;;) {
		while (w->job == NULL && !w->quit)
			pthread_cond_wait(&w->cond, &w->lock);
		if (w->job == NULL)
			break;
		job = w->job;
		pthread_mutex_unlock(&w->lock);
		job(w->arg);
		pthread_mutex_lock(&w->lock);
		w->job = NULL;
		while (write(w->wake_fd, &one, sizeof(one)) < 0 &&
		    errno == EINTR)
			;
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

static void
worker_done(void *arg, unsigned events)
{
	struct loop_worker *w = arg;
	uint64_t count;

	if (read(w->wake_fd, &count, sizeof(count)) != sizeof(count))
		return;
	w->busy = false;
	w->done(w->arg);	/* may free w */
}

struct loop_worker *
loop_worker_new(struct loop *l)
{
	struct loop_worker *w = mem_zalloc(sizeof(*w));

	w->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (w->wake_fd < 0)
		log_fatal("eventfd: %m");
	w->io = loop_io_new(l, w->wake_fd, worker_done, w);
	loop_io_want(w->io, LOOP_READ);
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->cond, NULL);
	return w;
}

/* The thread starts with the first job: the daemon may fork before that. */
static void
start_thread(struct loop_worker *w)
{
	sigset_t all, old;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&w->thread, NULL, worker_thread, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err != 0) {
		errno = err;
		log_fatal("cannot start a thread: %m");
	}
	w->started = true;
}

int
loop_worker_start(struct loop_worker *w, loop_fn *fn, loop_fn *done, void *arg)
{
	if (w->busy)
		return -1;
	if (!w->started)
		start_thread(w);
	w->busy = true;
	w->done = done;
	pthread_mutex_lock(&w->lock);
	w->arg = arg;
	w->job = fn;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
	return 0;
}

bool
loop_worker_busy(const struct loop_worker *w)
{
	return w->busy;
}

void
loop_worker_free(struct loop_worker **wp)
{
	struct loop_worker *w = *wp;

	*wp = NULL;
	if (w == NULL)
		return;
	if (w->started) {
		pthread_mutex_lock(&w->lock);
		w->quit = true;
		pthread_cond_signal(&w->cond);
		pthread_mutex_unlock(&w->lock);
		pthread_join(w->thread, NULL);
	}
	loop_io_free(&w->io);
	fd_close(&w->wake_fd);
	pthread_cond_destroy(&w->cond);
	pthread_mutex_destroy(&w->lock);
	mem_free(w);
}
