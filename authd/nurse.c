/* SPDX-License-Identifier: ISC */
/*
 * nurse - the process that forks authd's helpers, and forks another one when
 * one has ended.
 *
 * It has root's rights, because the helpers need some of them, and no
 * conversation: authd can tell it where the log is, and otherwise only be
 * gone.  Its sandbox allows what any of the helpers is allowed, for filters
 * add up: with PAM much, without it no program.  When it ends authd begins
 * anew.
 */
#include "authd/helper.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "io/fd.h"

/* The next one follows after that; twice as long each time, unless the last
 * one has lived for long. */
#define WAIT_MS		500
#define WAIT_MAX_MS	60000
#define LONG_LIFE_MS	60000

static struct {
	struct ipc_conn	*authd;
	struct ward {
		pid_t		 pid;		/* 0: it has ended */
		int64_t		 born_ms, wait_ms;
		struct loop_timer *timer;
	} wards[HELPERS_MAX];
} g;

static void
moved_log(int fd)
{
	if (conf.maillog_file[0] != '\0')
		log_replace_fd(fd);
	else
		log_replace_socket(conf.syslog_facility, fd);
}

/* authd is gone; so are we. */
static void
on_end(void *arg, struct ipc_conn *c)
{
	log_finish();
	_exit(0);
}

/* --- a helper ------------------------------------------------------------------ */

static const struct helper *self;

static int
on_helper_frame(void *arg, struct ipc_conn *c, const struct ipc_frame *f)
{
	int rc;

	if (f->type == HELPER_LOG && f->fd >= 0) {
		moved_log(f->fd);
		return 0;
	}
	if (f->fd >= 0) {
		close(f->fd);
		return -1;
	}
	rc = self->ops->handle(c, f);
	mem_wipe((void *)(uintptr_t)f->body.p, f->body.len);
	return rc;
}

static const struct ipc_ops helper_side = {
	.on_frame = on_helper_frame, .on_end = on_end,
};

NORETURN static void
run(const struct helper *h, int fd)
{
	const struct jail *jail = h->jail;
	struct sandbox_ids mail, ids;
	struct why why = WHY_INIT;

	self = h;
	for (size_t i = 0; i < helpers_count; i++)
		if (&helpers[i] != h && helpers[i].ops != h->ops &&
		    helpers[i].ops->forget != NULL)
			helpers[i].ops->forget();
	if (sandbox_ids(&mail, &why) < 0)
		log_fatal("%s: %s", jail->name, why.text);
	sandbox_own_ids(jail, &mail, &ids);
	if (h->ops->prepare != NULL)
		h->ops->prepare();
	if (sandbox_enter(jail, &ids, jail->user == JAIL_ROOT, &why) < 0)
		log_fatal("%s: %s", jail->name, why.text);
	if (h->ops->start != NULL)
		h->ops->start();
	(void)ipc_conn_new(daemon_loop(), fd, &HELPER_PROTO, &helper_side,
	    NULL);
	loop_run(daemon_loop());
	_exit(0);
}

/* Takes fd. */
static int
bear(size_t i, int fd)
{
	struct ward *w = &g.wards[i];
	pid_t pid;

	pid = daemon_fork(helpers[i].jail->name, &fd, 1);
	if (pid == 0)
		run(&helpers[i], fd);
	close(fd);
	w->born_ms = clock_mono_ms();
	if (pid < 0)
		return -1;
	w->pid = pid;
	return 0;
}

/* --- one has ended ---------------------------------------------------------------- */

static void
wait_for_next(struct ward *w)
{
	if (w->wait_ms == 0 || clock_mono_ms() - w->born_ms > LONG_LIFE_MS)
		w->wait_ms = WAIT_MS;
	else
		w->wait_ms = MIN(w->wait_ms * 2, WAIT_MAX_MS);
	loop_timer_set(w->timer, w->wait_ms);
}

static void
again(void *arg)
{
	struct ward *w = arg;
	size_t i = (size_t)(w - g.wards);
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0) {
		log_warning("socketpair: %m");
		wait_for_next(w);
		return;
	}
	if (bear(i, fds[1]) == 0) {
		ipc_send_fd(g.authd, HELPER_BORN, (uint32_t)i, SPAN_EMPTY,
		    fds[0]);
	} else {
		log_warning("cannot start %s: %m", helpers[i].jail->name);
		wait_for_next(w);
	}
	close(fds[0]);
}

static void
say_ended(const struct ward *w, const char *name, int status)
{
	if (WIFSIGNALED(status))
		log_warning("process %s pid %d killed by signal %d%s", name,
		    (int)w->pid, WTERMSIG(status), WTERMSIG(status) == SIGSYS
		    ? " (it went beyond its sandbox)" : "");
	else
		log_warning("process %s pid %d exit status %d", name,
		    (int)w->pid, WEXITSTATUS(status));
}

static void
on_child(void *arg)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (size_t i = 0; i < helpers_count; i++) {
			struct ward *w = &g.wards[i];

			if (w->pid != pid)
				continue;
			say_ended(w, helpers[i].jail->name, status);
			w->pid = 0;
			wait_for_next(w);
		}
	}
}

/* --- authd ---------------------------------------------------------------------------- */

static int
on_frame(void *arg, struct ipc_conn *c, const struct ipc_frame *f)
{
	int fd = f->fd;

	if (f->type == HELPER_LOG && fd >= 0) {
		moved_log(fd);
		return 0;
	}
	fd_close(&fd);
	return -1;
}

static const struct ipc_ops ops = { .on_frame = on_frame, .on_end = on_end };

static void
enter_jail(void)
{
	const struct jail *row = sandbox_find("authd-nurse");
	struct sandbox_ids ids;
	struct why why = WHY_INIT;

	for (size_t i = 0; i < helpers_count; i++)
		if (helpers[i].jail->may & JAIL_PROGRAMS)
			row = sandbox_find("authd-nurse-pam");
	if (sandbox_ids(&ids, &why) < 0 ||
	    sandbox_enter(row, &ids, true, &why) < 0)
		log_fatal("%s: %s", row->name, why.text);
}

void
nurse_run(int fd)
{
	static const int ignored[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1 };
	struct sigaction ign = { .sa_handler = SIG_IGN };

	/* Whoever stops the system often signals all of its processes; we go
	 * when authd does, and so do the helpers. */
	for (size_t i = 0; i < ARRAY_LEN(ignored); i++)
		sigaction(ignored[i], &ign, NULL);
	for (size_t i = 0; i < helpers_count; i++) {
		g.wards[i].timer = loop_timer_new(daemon_loop(), again,
		    &g.wards[i]);
		if (bear(i, helpers[i].theirs) < 0) {
			log_warning("cannot start %s: %m",
			    helpers[i].jail->name);
			wait_for_next(&g.wards[i]);
		}
	}
	enter_jail();
	daemon_child_signal(SIGCHLD, on_child, NULL);
	on_child(NULL);		/* who ended before we could be told */
	g.authd = ipc_conn_new(daemon_loop(), fd, &HELPER_PROTO, &ops, NULL);
	loop_run(daemon_loop());
	_exit(0);
}
