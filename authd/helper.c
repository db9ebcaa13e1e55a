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

static const struct helper_ops *helper;

static int
on_frame(void *arg, struct ipc_conn *c, const struct ipc_frame *f)
{
	int rc;

	if (f->fd >= 0) {
		close(f->fd);
		return -1;
	}
	rc = helper->handle(c, f);
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
	struct sandbox_ids mail, ids;
	struct why why = WHY_INIT;

	if (sandbox_ids(&mail, &why) < 0)
		log_fatal("%s: %s", jail->name, why.text);
	sandbox_own_ids(jail, &mail, &ids);
	if (helper->prepare != NULL)
		helper->prepare();
	if (sandbox_enter(jail, &ids, jail->user == JAIL_ROOT, &why) < 0)
		log_fatal("%s: %s", jail->name, why.text);
	if (helper->start != NULL)
		helper->start();
	(void)ipc_conn_new(daemon_loop(), fd, &HELPER_PROTO, &ops, NULL);
	loop_run(daemon_loop());
	_exit(0);
}

int
helper_start(const struct jail *jail, const struct helper_ops *h,
    struct why *why)
{
	int fds[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return why_errno(why, "", "socketpair");
	helper = h;
	pid = daemon_fork(jail->name, &fds[1], 1);
	if (pid == 0)
		run(jail, fds[1]);
	close(fds[1]);
	if (pid < 0) {
		close(fds[0]);
		return why_errno(why, "", "cannot start %s", jail->name);
	}
	return fds[0];
}
