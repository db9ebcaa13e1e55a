/* SPDX-License-Identifier: ISC */
/*
 * helper - see helper.h: what both have in common.
 */
#include "authd/helper.h"

#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "daemon/daemon.h"

static helper_fn *handle;

static int
on_frame(void *arg, struct ipc_conn *c, const struct ipc_frame *f)
{
	int rc;

	if (f->fd >= 0) {
		close(f->fd);
		return -1;
	}
	rc = handle(c, f);
	mem_wipe((void *)(uintptr_t)f->body.p, f->body.len);
	return rc;
}

/* authd is gone; so are we. */
static void
on_end(void *arg, struct ipc_conn *c)
{
	log_finish();
	_exit(0);
}

static const struct ipc_ops ops = {
	.on_frame = on_frame, .on_end = on_end,
};

NORETURN static void
run(const struct jail *jail, int fd)
{
	struct sandbox_ids ids = { .uid = geteuid(), .gid = getegid(),
	    .root = geteuid() == 0 };
	struct why why = WHY_INIT;

	if (sandbox_enter(jail, &ids, true, &why) < 0)
		log_fatal("%s: %s", jail->name, why.text);
	(void)ipc_conn_new(daemon_loop(), fd, &HELPER_PROTO, &ops, NULL);
	loop_run(daemon_loop());
	_exit(0);
}

int
helper_start(const char *name, const struct jail *jail, helper_fn *fn,
    struct why *why)
{
	int fds[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return why_errno(why, "", "socketpair");
	handle = fn;
	pid = daemon_fork(name, &fds[1], 1);
	if (pid == 0)
		run(jail, fds[1]);
	close(fds[1]);
	if (pid < 0) {
		close(fds[0]);
		return why_errno(why, "", "cannot start %s", name);
	}
	return fds[0];
}
