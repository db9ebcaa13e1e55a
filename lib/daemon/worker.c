/* SPDX-License-Identifier: ISC */
/*
 * worker - the worker shape: one client at a time, in plain blocking code.
 *
 * Signals and master's messages are looked at only in daemon_wait(): between
 * clients, and between the requests of one client.  A batch under way is
 * always finished first.
 */
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/daemon_priv.h"
#include "io/fd.h"

#define SHORTAGE_MS	1000

static volatile sig_atomic_t got_term, got_hup, got_usr1;
static int	 signal_fd = -1;	/* an eventfd: wakes poll(2) */
static bool	 leaving;		/* exit after this request */
/* A client is there whose first request has not come yet: we took it, so it
 * is served even when we are to make room for a new process. */
static bool	 owed;

static void
on_signal(int signo)
{
	static const uint64_t one = 1;
	int saved = errno;

	if (signo == SIGHUP)
		got_hup = 1;
	else if (signo == SIGUSR1)
		got_usr1 = 1;
	else if (got_term++ > 0)
		_exit(0);	/* told twice: at once */
	if (write(signal_fd, &one, sizeof(one)) < 0)
		errno = saved;	/* it is readable already */
	errno = saved;
}

static void
do_signals(void)
{
	uint64_t n;

	if (read(signal_fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
		log_warning("eventfd: %m");
	if (got_term) {
		daemon_state.draining = true;
		leaving = true;
	}
	if (got_usr1) {
		got_usr1 = 0;
		daemon_reopen_log();
	}
	if (got_hup) {
		got_hup = 0;
		if (daemon_state.d->reload != NULL)
			daemon_reload();
		else
			leaving = true;
	}
}

static void
do_status(void)
{
	struct master_msg m;
	int rc;

	while ((rc = daemon_hear(&m)) == 1) {
		if (m.type == MASTER_MSG_DRAIN) {
			daemon_state.draining = true;
			leaving = true;
		} else if (m.type == MASTER_MSG_RETIRE)
			leaving = true;
		else if (m.type == MASTER_MSG_QUERY)
			daemon_tell(MASTER_MSG_COUNT, (uint32_t)daemon_state.busy);
		else if (m.type == MASTER_MSG_WAKEUP &&
		    daemon_state.d->wakeup != NULL)
			daemon_state.d->wakeup();
	}
	if (rc < 0) {
		log_info("master is gone; finishing");
		fd_close(&daemon_state.status_fd);
		daemon_state.draining = true;
		leaving = true;
	}
}

/*
 * Wait for any of the n descriptors in p[2...]; p[0] and p[1] are ours.  As
 * daemon_wait().
 */
static int
wait_for(struct pollfd *p, size_t n, int64_t timeout_ms)
{
	int64_t end = clock_mono_ms() + timeout_ms, left = -1;

	log_flush();
	for (;;) {
		daemon_alive();
		p[0] = (struct pollfd){ .fd = signal_fd, .events = POLLIN };
		p[1] = (struct pollfd){
			.fd = daemon_state.status_fd, .events = POLLIN,
		};
		if (leaving && !(owed && !daemon_state.draining))
			return -1;
		if (timeout_ms >= 0) {
			left = end - clock_mono_ms();
			left = MAX(left, 0);
		}
		/* Wake up for the watchdog too. */
		if (left < 0 || left > 60 * 1000)
			left = MIN(60, MAX(conf.daemon_timeout / 4, 1)) * 1000;
		/* And for lines that syslog has not taken. */
		if (log_retry_ms() >= 0)
			left = MIN(left, log_retry_ms());
		if (poll(p, (nfds_t)n + 2, (int)left) < 0) {
			if (errno != EINTR && errno != EAGAIN)
				log_fatal("poll: %m");
			for (size_t i = 0; i < n + 2; i++)
				p[i].revents = 0;
		}
		if (p[0].revents != 0)
			do_signals();
		if (p[1].revents != 0)
			do_status();
		/* What master asked for may have logged something. */
		log_flush();
		if (leaving && !(owed && !daemon_state.draining))
			return -1;
		for (size_t i = 2; i < n + 2; i++)
			if (p[i].revents != 0)
				return 1;
		if (timeout_ms >= 0 && clock_mono_ms() >= end)
			return 0;
	}
}

int
daemon_wait(int fd, int64_t timeout_ms)
{
	struct pollfd p[3];
	int rc;

	p[2] = (struct pollfd){ .fd = fd, .events = POLLIN };
	rc = wait_for(p, 1, timeout_ms);
	owed = false;
	return rc;
}

/*
 * One client, if there is one; a sister process may have been faster.  True
 * when one was served.
 */
static bool
serve_one(int *listener)
{
	struct sock_addr peer;
	int fd;

	fd = sock_accept(*listener, &peer);
	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
		    errno == ENOMEM) {
			log_warning("cannot accept: %m; trying again in %d s",
			    SHORTAGE_MS / 1000);
			poll(NULL, 0, SHORTAGE_MS);
		} else if (sock_listener_shut(*listener)) {
			/* Master takes it away, and will tell us to go. */
			fd_close(listener);
		}
		return false;
	}
	daemon_state.busy = 1;
	owed = true;
	daemon_tell(MASTER_MSG_BUSY, 1);
	fd_set_nonblock(fd, false);
	daemon_state.d->serve(fd);
	daemon_state.busy = 0;
	owed = false;
	return true;
}

void
daemon_run_worker(void)
{
	struct daemon_state *s = &daemon_state;
	struct sigaction act = { .sa_handler = on_signal,
	    .sa_flags = SA_RESTART };
	int64_t used = 0, idle_ms = -1;
	struct pollfd p[2 + MASTER_LISTEN_MAX];
	int rc;

	signal_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (signal_fd < 0)
		log_fatal("eventfd: %m");
	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGINT, &act, NULL);
	sigaction(SIGHUP, &act, NULL);
	sigaction(SIGUSR1, &act, NULL);
	if (s->master && !s->keep && conf.max_idle != PARAM_UNLIMITED)
		idle_ms = conf.max_idle * 1000;
	daemon_tell(MASTER_MSG_READY, 0);
	for (;;) {
		for (size_t i = 0; i < s->listeners.len; i++)
			p[2 + i] = (struct pollfd){
				.fd = s->listeners.v[i], .events = POLLIN,
			};
		rc = wait_for(p, s->listeners.len, idle_ms);
		if (rc <= 0)
			break;
		for (size_t i = 0; i < s->listeners.len && !leaving; i++) {
			if (p[2 + i].revents == 0 ||
			    !serve_one(&s->listeners.v[i]))
				continue;
			used++;
			if (s->master && used >= conf.max_use)
				leaving = true;
			if (!leaving)
				daemon_tell(MASTER_MSG_AVAIL, 0);
		}
	}
	for (size_t i = 0; i < s->listeners.len; i++)
		fd_close(&s->listeners.v[i]);
	daemon_tell(MASTER_MSG_EXITING, 0);
	if (s->d->drain != NULL)
		s->d->drain();
	log_flush();
}
