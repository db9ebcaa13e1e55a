/* SPDX-License-Identifier: ISC */
/*
 * helper - see helper.h: authd's side.
 */
#include "authd/helper.h"

#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/daemon.h"
#include "io/fd.h"

struct helper helpers[HELPERS_MAX];
size_t helpers_count;

static struct {
	int		 fd;
	struct ipc_conn	*conn;
} nurse = { .fd = -1 };

struct helper *
helper_add(const char *row, const struct helper_ops *ops,
    const struct helper_client *client, void *arg)
{
	struct helper *h;

	if (helpers_count == HELPERS_MAX)
		log_panic("more helpers than there may be");
	h = &helpers[helpers_count++];
	*h = (struct helper){ .jail = sandbox_find(row), .ops = ops,
	    .client = client, .arg = arg, .ours = -1, .theirs = -1 };
	return h;
}

struct ipc_conn *
helper_conn(const struct helper *h)
{
	return h->conn;
}

/* --- a helper -------------------------------------------------------------------- */

static int
on_frame(void *arg, struct ipc_conn *c, const struct ipc_frame *f)
{
	struct helper *h = arg;

	if (f->fd >= 0) {
		close(f->fd);
		return -1;
	}
	return h->client->on_frame(h->arg, f);
}

static void
on_end(void *arg, struct ipc_conn *c)
{
	struct helper *h = arg;

	log_warning("lost the process %s; another one follows",
	    h->jail->name);
	ipc_conn_free(&h->conn);
	h->client->on_lost(h->arg);
}

static const struct ipc_ops ops = {
	.on_frame = on_frame, .on_end = on_end,
};

/* Takes fd. */
static void
begin(struct helper *h, int fd)
{
	/* It has ended, when there is another one: we had not read so far. */
	if (h->conn != NULL)
		on_end(h, h->conn);
	h->conn = ipc_conn_new(daemon_loop(), fd, &HELPER_PROTO, &ops, h);
}

/* --- the nurse --------------------------------------------------------------------- */

static int
on_nurse_frame(void *arg, struct ipc_conn *c, const struct ipc_frame *f)
{
	int fd = f->fd;

	if (f->type != HELPER_BORN || fd < 0 || f->tag >= helpers_count) {
		fd_close(&fd);
		return -1;
	}
	begin(&helpers[f->tag], fd);
	return 0;
}

static void
on_nurse_end(void *arg, struct ipc_conn *c)
{
	/* We cannot fork another one: it would know hashes, and be nobody. */
	log_fatal("lost the process authd-nurse: beginning anew");
}

static const struct ipc_ops nurse_ops = {
	.on_frame = on_nurse_frame, .on_end = on_nurse_end,
};

static int
make_ends(struct helper *h, struct why *why)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return why_errno(why, "", "socketpair");
	h->ours = fds[0];
	h->theirs = fds[1];
	return 0;
}

int
helpers_fork(struct why *why)
{
	int keep[HELPERS_MAX + 1], fds[2], n = 0;
	pid_t pid;

	for (size_t i = 0; i < helpers_count; i++) {
		if (make_ends(&helpers[i], why) < 0)
			return -1;
		keep[n++] = helpers[i].theirs;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return why_errno(why, "", "socketpair");
	keep[n++] = fds[1];
	pid = daemon_fork("authd-nurse", keep, (size_t)n);
	if (pid == 0)
		nurse_run(fds[1]);
	close(fds[1]);
	nurse.fd = fds[0];
	if (pid < 0)
		return why_errno(why, "", "cannot start authd-nurse");
	for (size_t i = 0; i < helpers_count; i++) {
		fd_close(&helpers[i].theirs);
		if (helpers[i].ops->forget != NULL)
			helpers[i].ops->forget();
	}
	return 0;
}

void
helpers_start(struct loop *l)
{
	nurse.conn = ipc_conn_new(l, nurse.fd, &HELPER_PROTO, &nurse_ops,
	    NULL);
	for (size_t i = 0; i < helpers_count; i++)
		begin(&helpers[i], helpers[i].ours);
}

void
helpers_log_moved(void)
{
	int fd = log_keep_fd();

	if (fd < 0)
		return;
	if (nurse.conn != NULL)
		ipc_send_fd(nurse.conn, HELPER_LOG, 0, SPAN_EMPTY, fd);
	for (size_t i = 0; i < helpers_count; i++)
		if (helpers[i].conn != NULL)
			ipc_send_fd(helpers[i].conn, HELPER_LOG, 0,
			    SPAN_EMPTY, fd);
}
