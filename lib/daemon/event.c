/* SPDX-License-Identifier: ISC */
/*
 * event - the event-loop shape: many clients, one loop, no blocking.
 *
 * A process takes clients while it has fewer than process_client_limit; then
 * it says BUSY, and master starts another for the next client.  It takes them
 * again when an eighth of them has gone, so that a client that comes and goes
 * at the limit does not make the two talk all the time.
 */
#include <errno.h>
#include <unistd.h>

#include "base/array.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/daemon_priv.h"
#include "io/fd.h"

/* Clients accepted before others get their turn.  Enough to keep up with a
 * burst, few enough that sessions under way do not feel it. */
#define ACCEPTS_PER_TURN	16
/* How long we leave the listeners alone when descriptors or memory are out. */
#define SHORTAGE_MS		1000
/* After the last session: what it wrote last is still on its way out. */
#define LINGER_MS		20
/* Memory is looked at so long after a client has come or gone. */
#define TIDY_MS			10000
#define TIDY_BYTES		(4u << 20)

struct listener {
	int		 fd;
	int		 index;
	struct loop_io	*io;
	bool		 shut;		/* master has shut it down */
};

static ARRAY(struct listener *) listeners;
static struct loop_io		*status_io;
static struct loop_timer	*idle_timer;	/* max_idle */
static struct loop_timer	*shortage_timer;
static struct loop_timer	*end_timer;	/* exits */
static struct loop_timer	*alive_timer;
static struct loop_timer	*tidy_timer;
static bool			 tidy_set, tidy_again;
static bool			 accepting;
static bool			 shortage;
static bool			 retired;	/* listeners are closed */
static bool			 running;

static void
exit_now(void *arg)
{
	loop_stop(daemon_state.loop);
}

static void
drain_overdue(void *arg)
{
	log_warning("%lld clients have not finished in daemon_timeout; "
	    "exiting", (long long)daemon_state.busy);
	loop_stop(daemon_state.loop);
}

/* Look at the listeners or not, and tell master about a change. */
static void
set_accepting(bool on)
{
	struct daemon_state *s = &daemon_state;

	if (on == accepting || retired)
		return;
	accepting = on;
	for (size_t i = 0; i < listeners.len; i++)
		loop_io_want(listeners.v[i]->io,
		    on && !listeners.v[i]->shut ? LOOP_READ : 0);
	daemon_tell(on ? MASTER_MSG_AVAIL : MASTER_MSG_BUSY, (uint32_t)s->busy);
}

static void
consider(void)
{
	int64_t limit = conf.process_client_limit;
	int64_t busy = daemon_state.busy;

	if (!running)
		return;
	if (retired) {
		if (busy == 0)
			loop_timer_set(end_timer, LINGER_MS);
		return;
	}
	if (shortage || busy >= limit)
		set_accepting(false);
	else if (busy <= limit - limit / 8)
		set_accepting(true);
	if (daemon_state.master && !daemon_state.keep &&
	    conf.max_idle != PARAM_UNLIMITED) {
		if (busy == 0)
			loop_timer_set(idle_timer, conf.max_idle * 1000);
		else
			loop_timer_cancel(idle_timer);
	}
}

/*
 * What many clients needed at the same time (handshakes, above all) lies in
 * holes between what they have now: half of the process, when they stay.
 */
static void
tidy(void *arg)
{
	mem_tidy(TIDY_BYTES);
	/* And once more when all is quiet. */
	tidy_set = tidy_again;
	if (tidy_set)
		loop_timer_set(tidy_timer, TIDY_MS);
	tidy_again = false;
}

void
daemon_busy(int delta)
{
	bool was_idle = daemon_state.busy == 0;

	daemon_state.busy += delta;
	if (daemon_state.busy < 0)
		log_panic("fewer than no clients");
	tidy_again = tidy_set;
	if (running && !tidy_set) {
		tidy_set = true;
		loop_timer_set(tidy_timer, TIDY_MS);
	}
	/* Only the edges matter; this is called for every client or job. */
	if (was_idle || daemon_state.busy == 0 || !accepting ||
	    daemon_state.busy >= conf.process_client_limit)
		consider();
}

/* Take no more clients; exit when the present ones have gone. */
static void
retire(void)
{
	if (retired)
		return;
	set_accepting(false);
	retired = true;
	for (size_t i = 0; i < listeners.len; i++) {
		loop_io_free(&listeners.v[i]->io);
		fd_close(&listeners.v[i]->fd);
	}
	loop_timer_cancel(idle_timer);
	loop_timer_cancel(shortage_timer);
	daemon_tell(MASTER_MSG_EXITING, (uint32_t)daemon_state.busy);
	if (daemon_state.d->retire != NULL)
		daemon_state.d->retire();
	consider();
}

static void
drain(void)
{
	if (daemon_state.draining) {
		log_info("told to stop twice; exiting with %lld clients",
		    (long long)daemon_state.busy);
		loop_stop(daemon_state.loop);
		return;
	}
	daemon_state.draining = true;
	if (conf.daemon_timeout != PARAM_UNLIMITED) {
		struct loop_timer *t;

		t = loop_timer_new(daemon_state.loop, drain_overdue, NULL);
		loop_timer_set(t, conf.daemon_timeout * 1000);
	}
	retire();
	if (daemon_state.d->drain != NULL)
		daemon_state.d->drain();
	consider();
}

static void
on_term(void *arg)
{
	drain();
}

static void
on_hup(void *arg)
{
	if (daemon_state.d->reload != NULL)
		daemon_reload();
	else
		retire();
}

static void
on_usr1(void *arg)
{
	daemon_reopen_log();
}

static void
on_idle(void *arg)
{
	retire();
}

static void
on_shortage_over(void *arg)
{
	shortage = false;
	consider();
}

static void
on_alive(void *arg)
{
	daemon_alive();
	loop_timer_set(alive_timer, daemon_alive_ms());
}

static void
on_status(void *arg, unsigned events)
{
	struct master_msg m;
	int rc;

	while ((rc = daemon_hear(&m)) == 1) {
		switch (m.type) {
		case MASTER_MSG_WAKEUP:
			if (daemon_state.d->wakeup != NULL)
				daemon_state.d->wakeup();
			break;
		case MASTER_MSG_QUERY:
			daemon_tell(MASTER_MSG_COUNT, (uint32_t)daemon_state.busy);
			break;
		case MASTER_MSG_DRAIN:
			if (!daemon_state.draining)
				drain();
			break;
		case MASTER_MSG_RETIRE:
			retire();
			break;
		default:
			break;
		}
	}
	if (rc < 0) {
		log_info("master is gone; finishing");
		loop_io_free(&status_io);
		fd_close(&daemon_state.status_fd);
		if (!daemon_state.draining)
			drain();
	}
}

/* Master takes it away, and will tell us to go: do not turn round until then. */
static bool
is_shut(struct listener *l)
{
	if (!sock_listener_shut(l->fd))
		return false;
	l->shut = true;
	loop_io_want(l->io, 0);
	return true;
}

static void
on_client(void *arg, unsigned events)
{
	struct listener *l = arg;
	struct sock_addr peer;
	int fd;

	for (int n = 0; n < ACCEPTS_PER_TURN && accepting; n++) {
		fd = sock_accept(l->fd, &peer);
		if (fd >= 0) {
			daemon_state.d->accept(fd, &peer, l->index);
			continue;
		}
		switch (errno) {
		case EAGAIN:
			if (n == 0)	/* or a sister process was faster */
				(void)is_shut(l);
			return;
		case EMFILE:
		case ENFILE:
		case ENOBUFS:
		case ENOMEM:
			log_warning("cannot accept: %m; %lld clients; "
			    "trying again in %d s",
			    (long long)daemon_state.busy, SHORTAGE_MS / 1000);
			shortage = true;
			loop_timer_set(shortage_timer, SHORTAGE_MS);
			consider();
			return;
		default:
			/* The client went away again, or the network did:
			 * the next one may be well (accept(2)). */
			log_debug("accept: %m");
			if (is_shut(l))
				return;
			break;
		}
	}
}

void
daemon_run_events(void)
{
	struct daemon_state *s = &daemon_state;
	struct loop *loop = s->loop;
	struct loop_signal *term, *intr, *hup, *usr1;
	sigset_t all;

	term = loop_signal_new(loop, SIGTERM, on_term, NULL);
	intr = loop_signal_new(loop, SIGINT, on_term, NULL);
	hup = loop_signal_new(loop, SIGHUP, on_hup, NULL);
	usr1 = loop_signal_new(loop, SIGUSR1, on_usr1, NULL);
	idle_timer = loop_timer_new(loop, on_idle, NULL);
	shortage_timer = loop_timer_new(loop, on_shortage_over, NULL);
	end_timer = loop_timer_new(loop, exit_now, NULL);
	alive_timer = loop_timer_new(loop, on_alive, NULL);
	tidy_timer = loop_timer_new(loop, tidy, NULL);
	on_alive(NULL);
	for (size_t i = 0; i < s->listeners.len; i++) {
		struct listener *l = mem_zalloc(sizeof(*l));

		l->fd = s->listeners.v[i];
		l->index = (int)i;
		l->io = loop_io_new(loop, l->fd, on_client, l);
		*ARRAY_PUSH(&listeners) = l;
	}
	daemon_tell(MASTER_MSG_READY, 0);
	if (s->status_fd >= 0) {
		status_io = loop_io_new(loop, s->status_fd, on_status, NULL);
		loop_io_want(status_io, LOOP_READ);
	}
	log_flush();
	running = true;
	consider();
	loop_run(loop);

	/* Sessions that are left belong to the process: it ends here.  Not by
	 * a signal that comes when its handler is gone. */
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	loop_signal_free(&term);
	loop_signal_free(&intr);
	loop_signal_free(&hup);
	loop_signal_free(&usr1);
	for (size_t i = 0; i < listeners.len; i++) {
		loop_io_free(&listeners.v[i]->io);
		mem_free(listeners.v[i]);
	}
	ARRAY_FINI(&listeners);
}
