/* SPDX-License-Identifier: ISC */
/*
 * child - a process forked from a daemon, not executed: daemon_fork().
 *
 * The parent's loop shares its epoll instance with us: removing a descriptor
 * from it here would remove it there.  So it is left alone, its descriptor is
 * closed with all the others, and a new loop begins.  Signals are blocked
 * over the fork, because the parent's handlers write to a descriptor that
 * will be another's here.
 */
#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/daemon_priv.h"

static struct loop_timer *alive_timer;

static void
on_alive(void *arg)
{
	daemon_alive();
	loop_timer_set(alive_timer, daemon_alive_ms());
}

static int
by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* Close all descriptors from 3 on but those in keep, which is sorted. */
static void
close_others(const int *keep, size_t n)
{
	unsigned from = 3;

	for (size_t i = 0; i < n; i++) {
		if (keep[i] < 3)
			continue;
		if ((unsigned)keep[i] > from)
			close_range(from, (unsigned)keep[i] - 1, 0);
		from = (unsigned)keep[i] + 1;
	}
	close_range(from, ~0u, 0);
}

static void
become_child(const char *name, const int *keep, size_t n)
{
	struct daemon_state *s = &daemon_state;
	ARRAY(int) fds = ARRAY_EMPTY;
	int log_fd = log_keep_fd();

	for (size_t i = 0; i < n; i++)
		*ARRAY_PUSH(&fds) = keep[i];
	if (log_fd >= 0)
		*ARRAY_PUSH(&fds) = log_fd;
	qsort(fds.v, fds.len, sizeof(fds.v[0]), by_number);
	close_others(fds.v, fds.len);
	ARRAY_FINI(&fds);
	/* Handlers and mask are as at the start of a program again. */
	daemon_reset_signals();
	s->status_fd = -1;
	s->master = false;
	s->listeners.len = 0;
	s->busy = 0;
	s->draining = false;
	(void)prctl(PR_SET_NAME, name);
	s->loop = loop_new();
	daemon_watchdog_start();
	alive_timer = loop_timer_new(s->loop, on_alive, NULL);
	on_alive(NULL);
}

pid_t
daemon_fork(const char *name, const int *keep, size_t n)
{
	sigset_t all, was;
	pid_t pid;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &was);
	pid = fork();
	if (pid == 0)
		become_child(name, keep, n);
	else
		sigprocmask(SIG_SETMASK, &was, NULL);
	return pid;
}

/* --- signals -------------------------------------------------------------- */

/*
 * The loop's own signals cannot be used here: the library has them bound to
 * the parent's loop.
 */
static struct child_signal {
	int	 fd;
	loop_fn	*fn;
	void	*arg;
} child_signals[NSIG];

static void
signal_came(int signo)
{
	static const uint64_t one = 1;
	int saved = errno;

	/* When that fails, it is readable already. */
	if (write(child_signals[signo].fd, &one, sizeof(one)) < 0)
		errno = saved;
	errno = saved;
}

static void
signal_ready(void *arg, unsigned events)
{
	struct child_signal *s = arg;
	uint64_t n;

	if (read(s->fd, &n, sizeof(n)) == sizeof(n))
		s->fn(s->arg);
}

void
daemon_child_signal(int signo, loop_fn *fn, void *arg)
{
	struct sigaction act = { .sa_handler = signal_came };
	struct child_signal *s = &child_signals[signo];

	s->fn = fn;
	s->arg = arg;
	s->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->fd < 0)
		log_fatal("eventfd: %m");
	loop_io_want(loop_io_new(daemon_loop(), s->fd, signal_ready, s),
	    LOOP_READ);
	sigaction(signo, &act, NULL);
}
