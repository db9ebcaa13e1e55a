/* SPDX-License-Identifier: ISC */
/*
 * ipc_sync - see ipc.h: the end that blocks, with a deadline on every call.
 *
 * The socket itself never blocks: all waiting is in wait_for().
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/fd.h"
#include "ipc/wire.h"

#define READ_CHUNK	(64 * 1024)
#define GATHER_MAX	(256 * 1024)	/* bytes; more is sent at once */
#define KEEP_MAX	(512 * 1024)	/* bytes of buffer between calls */
#define FDS_KEPT_MAX	16

struct ipc_sync {
	int			 fd;
	const struct ipc_proto	*proto;
	int64_t			 timeout_ms;
	struct sock_cred	 peer;
	bool			 ready;
	bool			 eof;
	struct buf		 in;
	size_t			 in_at;		/* handed out before this */
	struct buf		 out;
	ARRAY(int)		 fds;
};

/* 1: ready; 0: not in time; -1 with errno.  until: monotonic ms. */
static int
wait_for(struct ipc_sync *s, short events, int64_t until)
{
	struct pollfd p = { .fd = s->fd, .events = events };
	int64_t left;
	int n;

	do {
		left = MAX(until - clock_mono_ms(), 0);
		n = poll(&p, 1, (int)MIN(left, 1000 * 1000));
	} while ((n < 0 && errno == EINTR) || (n == 0 && left > 1000 * 1000));
	return n;
}

static int
fail(const struct ipc_sync *s, struct why *why, const char *what)
{
	return why_errno(why, "4.3.0", "%s service: %s", s->proto->name, what);
}

static int
broken(const struct ipc_sync *s, struct why *why, const char *what)
{
	log_warning("%s: process %d (uid %u) broke the conversation: %s",
	    s->proto->name, (int)s->peer.pid, (unsigned)s->peer.uid, what);
	return why_set(why, "4.3.0", "%s service: broken conversation: %s",
	    s->proto->name, what);
}

/* Send n bytes, the first of them with fd unless that is -1. */
static int
transmit(struct ipc_sync *s, const char *p, size_t n, int fd, int64_t until,
    struct why *why)
{
	union {
		struct cmsghdr	align;
		char		bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov;
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c;
	ssize_t sent;
	int rc;

	if (fd >= 0) {
		memset(&control, 0, sizeof(control));
		m.msg_control = control.bytes;
		m.msg_controllen = sizeof(control.bytes);
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(int));
	}
	while (n > 0) {
		iov = (struct iovec){ (void *)(uintptr_t)p, n };
		sent = sendmsg(s->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent > 0) {
			p += sent;
			n -= (size_t)sent;
			m.msg_control = NULL;
			m.msg_controllen = 0;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return fail(s, why, "write");
		rc = wait_for(s, POLLOUT, until);
		if (rc == 0)
			errno = ETIMEDOUT;
		if (rc <= 0)
			return fail(s, why, "write");
	}
	return 0;
}

static int64_t
until_default(const struct ipc_sync *s, int64_t timeout_ms)
{
	return clock_mono_ms() + (timeout_ms < 0 ? s->timeout_ms : timeout_ms);
}

static void
shrink(struct buf *b)
{
	if (b->len == 0 && b->alloc > KEEP_MAX)
		buf_fini(b);
}

static int
flush_until(struct ipc_sync *s, int fd, int64_t until, struct why *why)
{
	int rc;

	if (s->out.len == 0)
		return 0;
	rc = transmit(s, s->out.data, s->out.len, fd, until, why);
	buf_reset(&s->out);
	shrink(&s->out);
	return rc;
}

int
ipc_sync_flush(struct ipc_sync *s, struct why *why)
{
	return flush_until(s, -1, until_default(s, -1), why);
}

static void
put_frame(struct ipc_sync *s, struct ipc_header h, struct span body)
{
	char raw[IPC_HEADER_LEN];

	if (body.len > s->proto->frame_max)
		log_panic("%s: a frame of %zu bytes is over the limit of %zu",
		    s->proto->name, body.len, s->proto->frame_max);
	h.len = (uint32_t)body.len;
	ipc_header_put(raw, &h);
	buf_add(&s->out, raw, sizeof(raw));
	buf_add_span(&s->out, body);
}

int
ipc_sync_send(struct ipc_sync *s, uint16_t type, uint32_t tag,
    struct span body, struct why *why)
{
	put_frame(s, (struct ipc_header){ .type = type, .tag = tag }, body);
	return s->out.len < GATHER_MAX ? 0 : ipc_sync_flush(s, why);
}

int
ipc_sync_send_fd(struct ipc_sync *s, uint16_t type, uint32_t tag,
    struct span body, int fd, struct why *why)
{
	int64_t until = until_default(s, -1);

	if (flush_until(s, -1, until, why) < 0)
		return -1;
	put_frame(s, (struct ipc_header){ .type = type, .tag = tag,
	    .nfds = 1 }, body);
	return flush_until(s, fd, until, why);
}

static void
take_fds(struct ipc_sync *s, struct msghdr *m)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			if (s->fds.len < FDS_KEPT_MAX)
				*ARRAY_PUSH(&s->fds) = fd;
			else
				fd_close(&fd);
		}
	}
}

/*
 * Read what has arrived.  1: something came, or the end (s->eof); 0: nothing
 * there; -1 with why.
 */
static int
read_some(struct ipc_sync *s, struct why *why)
{
	union {
		struct cmsghdr	align;
		char		bytes[CMSG_SPACE(FDS_KEPT_MAX * sizeof(int))];
	} control;
	struct iovec iov;
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t got;

	if (s->in_at > 0) {
		buf_consume(&s->in, s->in_at);
		s->in_at = 0;
	}
	iov.iov_len = READ_CHUNK;
	iov.iov_base = buf_reserve(&s->in, READ_CHUNK);
	do
		got = recvmsg(s->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return errno == EAGAIN ? 0 : fail(s, why, "read");
	if (m.msg_controllen > 0)
		take_fds(s, &m);
	if (got == 0)
		s->eof = true;
	buf_commit(&s->in, (size_t)got);
	return 1;
}

static int
take_fd(struct ipc_sync *s)
{
	int fd;

	if (s->fds.len == 0)
		return -1;
	fd = s->fds.v[0];
	s->fds.len--;
	memmove(s->fds.v, s->fds.v + 1, s->fds.len * sizeof(s->fds.v[0]));
	return fd;
}

/* 1: *f from what was read; 0: not all there; -1 with why. */
static int
parse(struct ipc_sync *s, struct ipc_frame *f, struct why *why)
{
	struct span in = span_from(buf_span(&s->in), s->in_at);
	const char *text;
	struct ipc_header h;

	if (in.len < IPC_HEADER_LEN)
		return 0;
	if (ipc_header_get(&h, in.p, s->proto, s->ready, &text) < 0)
		return broken(s, why, text);
	if (in.len - IPC_HEADER_LEN < h.len)
		return 0;
	*f = (struct ipc_frame){ h.type, h.tag,
	    span_sub(in, IPC_HEADER_LEN, h.len), -1 };
	s->in_at += IPC_HEADER_LEN + h.len;
	if (h.nfds > 0 && (f->fd = take_fd(s)) < 0)
		return broken(s, why, "a descriptor is missing");
	return 1;
}

static int
receive(struct ipc_sync *s, struct ipc_frame *f, int64_t until,
    struct why *why)
{
	int rc;

	if (s->in_at == s->in.len) {
		buf_reset(&s->in);
		s->in_at = 0;
		shrink(&s->in);
	}
	for (;;) {
		if ((rc = parse(s, f, why)) != 0)
			return rc;
		if (s->eof) {
			if (s->in_at < s->in.len)
				return broken(s, why, "half a frame");
			if (why != NULL)
				*why = WHY_INIT;
			return -1;
		}
		if ((rc = read_some(s, why)) < 0)
			return -1;
		if (rc > 0)
			continue;
		rc = wait_for(s, POLLIN, until);
		if (rc < 0)
			return fail(s, why, "poll");
		if (rc == 0)
			return 0;
	}
}

int
ipc_sync_recv(struct ipc_sync *s, struct ipc_frame *f, int64_t timeout_ms,
    struct why *why)
{
	if (ipc_sync_flush(s, why) < 0)
		return -1;
	return receive(s, f, until_default(s, timeout_ms), why);
}

static int
exchange_hello(struct ipc_sync *s, int64_t until, struct why *why)
{
	struct ipc_frame f;
	const char *text;
	int rc;

	ipc_hello_put(&s->out, s->proto);
	if (flush_until(s, -1, until, why) < 0)
		return -1;
	rc = receive(s, &f, until, why);
	if (rc == 0) {
		errno = ETIMEDOUT;
		return fail(s, why, "no HELLO");
	}
	if (rc < 0) {
		if (s->eof)
			why_set(why, "4.3.0",
			    "%s service: closed the connection",
			    s->proto->name);
		return -1;
	}
	if (ipc_hello_check(f.body, s->proto, &text) < 0)
		return broken(s, why, text);
	s->ready = true;
	return 0;
}

static struct ipc_sync *
sync_new(int fd, const struct ipc_proto *p, int64_t timeout_ms, int64_t until,
    struct why *why)
{
	struct ipc_sync *s = mem_zalloc(sizeof(*s));

	s->fd = fd;
	s->proto = p;
	s->timeout_ms = timeout_ms;
	s->in = BUF_INIT(BUF_UNLIMITED);	/* the header checks bound it */
	s->out = BUF_INIT(BUF_UNLIMITED);
	if (sock_peer_cred(fd, &s->peer) < 0)
		s->peer = (struct sock_cred){ (uid_t)-1, (gid_t)-1, 0 };
	if (exchange_hello(s, until, why) < 0)
		ipc_sync_free(&s);
	return s;
}

struct ipc_sync *
ipc_sync_connect(const char *path, const struct ipc_proto *p,
    int64_t timeout_ms, struct why *why)
{
	int64_t until = clock_mono_ms() + timeout_ms;
	int fd = sock_connect_unix(path, timeout_ms);

	if (fd < 0) {
		why_errno(why, "4.3.0", "connect to %s", path);
		return NULL;
	}
	return sync_new(fd, p, timeout_ms, until, why);
}

struct ipc_sync *
ipc_sync_accept(int fd, const struct ipc_proto *p, int64_t timeout_ms,
    struct why *why)
{
	(void)fd_set_cloexec(fd, true);
	return sync_new(fd, p, timeout_ms, clock_mono_ms() + timeout_ms, why);
}

void
ipc_sync_free(struct ipc_sync **sp)
{
	struct ipc_sync *s = *sp;

	*sp = NULL;
	if (s == NULL)
		return;
	fd_close(&s->fd);
	for (size_t i = 0; i < s->fds.len; i++)
		fd_close(&s->fds.v[i]);
	ARRAY_FINI(&s->fds);
	buf_fini(&s->in);
	buf_fini(&s->out);
	mem_free(s);
}

int
ipc_sync_fd(const struct ipc_sync *s)
{
	return s->fd;
}

const struct sock_cred *
ipc_sync_peer(const struct ipc_sync *s)
{
	return &s->peer;
}
