/* SPDX-License-Identifier: ISC */
/*
 * stream_out - the output of a stream: gathered, and written at the end of the
 * turn.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "io/fd.h"
#include "io/stream_priv.h"

/* Output is transformed by a layer in pieces, so that a fast writer does not
 * hold all of it twice. */
#define LAYER_SEAL_MAX	(64 * 1024)

/*
 * Send some of out; what send() says.  Descriptors travel with the first byte
 * after them, so a call ends where the next ones are due.
 */
static ssize_t
transmit(struct stream *s)
{
	union {
		struct cmsghdr	align;
		char		bytes[CMSG_SPACE(FDS_KEPT_MAX * sizeof(int))];
	} control;
	struct iovec iov = { s->out.data + s->out_at, s->out.len - s->out_at };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct passed *p = s->passed;
	size_t nfds = 0, all = p == NULL ? 0 : p->out.len;
	struct cmsghdr *c;
	ssize_t n;

	if (s->kind == KIND_OTHER)
		return write(s->fd, iov.iov_base, iov.iov_len);
	while (nfds < all && p->out.v[nfds].at == s->out_at)
		nfds++;
	if (nfds < all)
		iov.iov_len = p->out.v[nfds].at - s->out_at;
	if (nfds > 0) {
		memset(&control, 0, sizeof(control));
		m.msg_control = control.bytes;
		m.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		for (size_t i = 0; i < nfds; i++)
			memcpy(CMSG_DATA(c) + i * sizeof(int),
			    &p->out.v[i].fd, sizeof(int));
	}
	n = sendmsg(s->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n > 0 && nfds > 0) {
		for (size_t i = 0; i < nfds; i++)
			fd_close(&p->out.v[i].fd);
		p->out.len -= nfds;
		memmove(p->out.v, p->out.v + nfds,
		    p->out.len * sizeof(p->out.v[0]));
	}
	return n;
}

void
stream_set_blocked(struct stream *s, bool on)
{
	if (s->blocked == on)
		return;
	s->blocked = on;
	stream_update_io(s);
}

/* Move what is left to the front. */
static void
compact(struct stream *s)
{
	for (size_t i = 0; s->passed != NULL && i < s->passed->out.len; i++)
		s->passed->out.v[i].at -= s->out_at;
	buf_consume(&s->out, s->out_at);
	s->out_at = 0;
}

/* Send some of what the layer has made. */
static ssize_t
transmit_wire(struct stream *s)
{
	const char *p = s->layer->wire.data + s->layer->wire_at;
	size_t len = stream_wire_len(s);

	if (s->kind == KIND_OTHER)
		return write(s->fd, p, len);
	return send(s->fd, p, len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Have the layer transform some output; false: there is nothing to send. */
static bool
seal(struct stream *s)
{
	struct span plain;
	ssize_t n;

	buf_reset(&s->layer->wire);
	s->layer->wire_at = 0;
	plain = span_make(s->out.data + s->out_at,
	    MIN(stream_out_len(s), (size_t)LAYER_SEAL_MAX));
	if (plain.len == 0)
		return false;
	n = s->layer->ops->output(s->layer->arg, plain);
	if (n < 0) {
		stream_set_broken(s, STREAM_ERROR, EPROTO);
		return false;
	}
	s->out_at += (size_t)n;
	return s->layer->wire.len > 0;
}

/* All is gone: give the memory back. */
static void
flushed(struct stream *s)
{
	bool had = s->out.len > 0;

	compact(s);
	if (s->secret || s->out.alloc > s->keep_out)
		buf_fini(&s->out);
	if (s->layer != NULL) {
		buf_fini(&s->layer->wire);
		s->layer->wire_at = 0;
	}
	stream_set_blocked(s, false);
	if (s->end_output)
		(void)shutdown(s->fd, SHUT_WR);
	if (!had)
		return;
	s->drain_due = true;
	if (s->ops != NULL && s->ops->on_drain != NULL)
		loop_defer(s->loop, &s->later);
}

void
stream_flush(struct stream *s)
{
	ssize_t n;

	if (s->freed || s->broken || (s->out.len == 0 && stream_wire_len(s) == 0))
		return;
	for (;;) {
		bool wire = stream_wire_len(s) > 0;

		if (!wire && s->layer != NULL)
			wire = seal(s);
		if (s->broken)
			return;
		if (!wire && stream_out_len(s) == 0)
			break;
		if (!wire && s->layer != NULL)
			return;		/* not before its handshake is done */
		n = wire ? transmit_wire(s) : transmit(s);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			/* What is moved is a third of what was sent. */
			if (s->out_at > s->out.len / 4 * 3)
				compact(s);
			stream_set_blocked(s, true);
			return;
		}
		if (n < 0) {
			stream_set_broken(s, STREAM_ERROR, errno);
			return;
		}
		if (wire)
			s->layer->wire_at += (size_t)n;
		else
			s->out_at += (size_t)n;
	}
	flushed(s);
}

/* --- what the owner calls ---------------------------------------------------- */

void
stream_set_out_max(struct stream *s, size_t out_max)
{
	s->out_max = MAX(out_max, stream_out_len(s));
}

/* Whether there is somebody to write for, within the limit. */
static bool
can_write(struct stream *s, size_t n)
{
	if (s->freed || s->broken)
		return false;
	if (n <= s->out_max - stream_out_len(s))
		return true;
	stream_set_broken(s, STREAM_OVERFLOW, EMSGSIZE);
	return false;
}

void
stream_write(struct stream *s, const void *p, size_t n)
{
	if (n == 0 || !can_write(s, n))
		return;
	/* Bytes that were sent do not count, but they may still lie there. */
	if (s->out.len > s->out_max || n > s->out_max - s->out.len)
		compact(s);
	buf_add(&s->out, p, n);
	s->total_out += n;
	loop_defer(s->loop, &s->later);
}

struct buf *
stream_out_begin(struct stream *s)
{
	if (s->freed || s->broken)
		return NULL;
	if (s->out.len > s->out_max / 2 && s->out_at > s->out.len / 2)
		compact(s);
	return &s->out;
}

void
stream_out_end(struct stream *s, size_t start)
{
	size_t n = s->out.len - start;

	if (s->freed || s->broken || n == 0)
		return;
	if (stream_out_len(s) > s->out_max) {
		buf_trunc(&s->out, start);
		stream_set_broken(s, STREAM_OVERFLOW, EMSGSIZE);
		return;
	}
	s->total_out += n;
	loop_defer(s->loop, &s->later);
}

void
stream_keep_out(struct stream *s, size_t n)
{
	s->keep_out = n;
}

void
stream_write_span(struct stream *s, struct span d)
{
	stream_write(s, d.p, d.len);
}

void
stream_printf(struct stream *s, const char *fmt, ...)
{
	struct buf text = BUF_INIT(BUF_UNLIMITED);
	va_list ap;
	int rc;

	va_start(ap, fmt);
	rc = buf_vprintf(&text, fmt, ap);
	va_end(ap);
	if (rc == 0)
		stream_write(s, text.data, text.len);
	buf_fini(&text);
}

size_t
stream_out_len(const struct stream *s)
{
	return s->out.len - s->out_at;
}

void
stream_write_fd(struct stream *s, int fd)
{
	struct passed *p;
	int own;

	if (s->freed || s->broken)
		return;
	if (s->kind != KIND_UNIX || s->layer != NULL)
		log_panic("stream_write_fd: not a plain UNIX socket");
	/* Sixteen in a row without a byte between them: none takes so many. */
	p = stream_passed(s);
	if (p->out.len >= FDS_KEPT_MAX &&
	    p->out.v[p->out.len - FDS_KEPT_MAX].at == s->out.len)
		log_panic("stream_write_fd: too many at one place");
	own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (own < 0) {
		stream_set_broken(s, STREAM_ERROR, errno);
		return;
	}
	*ARRAY_PUSH(&p->out) = (struct fd_out){ own, s->out.len };
}

bool
stream_send_file(struct stream *s, int fd, off_t *at, off_t end)
{
	ssize_t n;

	if (s->layer != NULL || (s->passed != NULL && s->passed->out.len > 0))
		log_panic("stream_send_file: not a plain stream");
	stream_flush(s);
	if (s->freed || s->broken || s->out.len > 0)
		return false;
	while (*at < end) {
		n = sendfile(s->fd, fd, at, (size_t)(end - *at));
		if (n > 0) {
			s->total_out += (uint64_t)n;
		} else if (n < 0 && errno == EAGAIN) {
			s->file_waits = true;
			stream_set_blocked(s, true);
			return false;
		} else if (n == 0 || errno != EINTR) {
			/* A file that is shorter cannot be made good for. */
			stream_set_broken(s, STREAM_ERROR, n == 0 ? EIO :
			    errno);
			return false;
		}
	}
	return true;
}

void
stream_file_room(struct stream *s)
{
	if (!s->file_waits)
		return;
	s->file_waits = false;
	stream_set_blocked(s, s->out.len > 0);
	s->drain_due = true;
}

uint64_t
stream_bytes_out(const struct stream *s)
{
	return s->total_out;
}

void
stream_end_output(struct stream *s)
{
	if (s->freed || s->broken || s->end_output)
		return;
	s->end_output = true;
	if (stream_out_len(s) == 0)
		(void)shutdown(s->fd, SHUT_WR);
}

void
stream_layer_send(struct stream *s, const void *p, size_t n)
{
	if (s->freed || s->broken)
		return;
	if (buf_put(&s->layer->wire, p, n) < 0) {
		stream_set_broken(s, STREAM_OVERFLOW, EMSGSIZE);
		return;
	}
	loop_defer(s->loop, &s->later);
}
