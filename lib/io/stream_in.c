/* SPDX-License-Identifier: ISC */
/*
 * stream_in - the input of a stream.
 *
 * kept[] holds what the handler has left (kept_len bytes).  New bytes are read
 * into the loop's shared memory, behind a gap that is as large as what is
 * kept; when the handler is to be called, a small rest is copied into the gap
 * and the handler sees one span.  So a stream between two messages owns no
 * memory, and a rest is copied as often as the handler asks for it.  A rest
 * larger than GAP_MAX stays in kept[], which grows as bytes really arrive,
 * never because a peer has announced them.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "io/fd.h"
#include "io/stream_priv.h"

#define GAP_MAX		(64 * 1024)
#define READ_MAX	(LOOP_SHARED_LEN - GAP_MAX)
/*
 * With a layer: bytes of the socket lie at the end of the shared memory while
 * they are transformed into its beginning.
 */
#define LAYER_READ_MAX	(32 * 1024)
/* Room that a rest gets beyond its length: it will grow. */
#define KEPT_SPARE	256

static void
keep_room(struct stream *s, size_t n)
{
	size_t want;

	if (n <= s->kept_alloc)
		return;
	want = MAX(s->kept_alloc * 2, n + KEPT_SPARE);
	if (want > s->in_max && n <= s->in_max)
		want = s->in_max;
	if (s->secret && s->kept != NULL) {
		char *fresh = mem_alloc(want);

		memcpy(fresh, s->kept, s->kept_len);
		mem_wipe(s->kept, s->kept_alloc);
		mem_free(s->kept);
		s->kept = fresh;
	} else {
		s->kept = mem_realloc_array(s->kept, want, 1);
	}
	s->kept_alloc = want;
}

/* Keep what the handler has left of the span it saw. */
void
stream_keep_rest(struct stream *s, struct span rest)
{
	if (rest.len == 0) {
		if (s->secret && s->kept != NULL)
			mem_wipe(s->kept, s->kept_alloc);
		mem_free(s->kept);
		s->kept = NULL;
		s->kept_alloc = s->kept_len = 0;
		return;
	}
	if (s->kept != NULL && rest.p >= s->kept &&
	    rest.p < s->kept + s->kept_alloc) {
		memmove(s->kept, rest.p, rest.len);
		if (s->secret)
			mem_wipe(s->kept + rest.len,
			    s->kept_alloc - rest.len);
	} else {
		s->kept_len = 0;
		keep_room(s, rest.len);
		memcpy(s->kept, rest.p, rest.len);
	}
	s->kept_len = rest.len;
	/* After a large message the rest of the next one needs no megabytes. */
	if (s->kept_alloc > GAP_MAX && s->kept_len < s->kept_alloc / 4) {
		s->kept_alloc = s->kept_len + KEPT_SPARE;
		s->kept = mem_realloc_array(s->kept, s->kept_alloc, 1);
	}
}

/* Call on_read with input; false when the stream is gone. */
bool
stream_show(struct stream *s, struct span input)
{
	char *shared = loop_shared(s->loop);
	bool in_shared = input.p == shared;

	stream_enter(s);
	s->input = input;
	s->consumed = 0;
	s->want = 1;
	s->kicked = false;
	s->showing = true;
	s->ops->on_read(s->arg, s);
	s->showing = false;
	if (!s->freed) {
		size_t consumed = s->consumed;

		stream_keep_rest(s, s->input);
		s->input = SPAN_EMPTY;
		if (consumed == 0 && s->kept_len >= s->in_max && !s->paused &&
		    !s->finishing)
			stream_set_end(s, STREAM_OVERFLOW, EMSGSIZE);
	}
	if (in_shared && s->secret)
		mem_wipe(shared, input.len);
	return stream_leave(s);
}

static void
take_fds(struct stream *s, struct msghdr *m)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			if (stream_passed(s)->in.len < FDS_KEPT_MAX)
				*ARRAY_PUSH(&s->passed->in) = fd;
			else
				fd_close(&fd);
		}
	}
}

ssize_t
stream_receive(struct stream *s, char *to, size_t n)
{
	union {
		struct cmsghdr	align;
		char		bytes[CMSG_SPACE(FDS_KEPT_MAX * sizeof(int))];
	} control;
	struct iovec iov = { to, n };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t got;

	switch (s->kind) {
	case KIND_SOCKET:
		return recv(s->fd, to, n, MSG_DONTWAIT);
	case KIND_UNIX:
		got = recvmsg(s->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		if (got >= 0 && m.msg_controllen > 0)
			take_fds(s, &m);
		return got;
	default:
		return read(s->fd, to, n);
	}
}

/*
 * The same through the layer: plain bytes; -1 with EAGAIN when what came gave
 * none.
 */
static ssize_t
receive_layer(struct stream *s, char *to, size_t room)
{
	char *raw = loop_shared(s->loop) + LOOP_SHARED_LEN - LAYER_READ_MAX;
	struct span in = SPAN_EMPTY;
	size_t put = 0;

	if (!s->layer_more) {
		ssize_t n = stream_receive(s, raw, LAYER_READ_MAX);

		if (n == 0)
			s->layer->ops->eof(s->layer->arg);
		if (n <= 0)
			return n;
		in = span_make(raw, (size_t)n);
	}
	s->layer_more = false;
	switch (s->layer->ops->input(s->layer->arg, in, to, room, &put)) {
	case LAYER_HUNGRY:
		break;
	case LAYER_MORE:
		s->layer_more = true;
		break;
	case LAYER_WAITS:
		s->layer_waits = true;
		stream_update_io(s);
		break;
	case LAYER_EOF:
		if (put == 0)
			return 0;
		s->layer_more = true;	/* it says so again */
		break;
	case LAYER_BROKEN:
		if (put == 0) {
			errno = EPROTO;
			return -1;
		}
		s->layer_more = true;
		break;
	}
	if (s->layer_more)
		loop_defer(s->loop, &s->later);
	if (put == 0)
		errno = EAGAIN;
	return put > 0 ? (ssize_t)put : -1;
}

/*
 * The peer has closed: show what it has not seen whole, then end.  A handler
 * that has paused, or wants to be shown the rest again, is not done yet: the
 * end of the input is found again when it goes on.
 */
static void
end_of_input(struct stream *s)
{
	if (s->kept_len > 0 && (s->want > s->kept_len || s->kicked)) {
		if (!stream_show(s, span_make(s->kept, s->kept_len)))
			return;
		if (s->kept_len > 0 && (s->paused || s->kicked)) {
			s->layer_more = s->layer != NULL;
			return;
		}
	}
	stream_set_end(s, STREAM_EOF, 0);
	stream_flush(s);
}

/* Input is thrown away: our last words are on the way (stream_finish()). */
static void
discard_input(struct stream *s)
{
	ssize_t got = stream_receive(s, loop_shared(s->loop), LOOP_SHARED_LEN);

	if (got > 0 || (got < 0 && (errno == EINTR || errno == EAGAIN)))
		return;
	stream_free(&s);
}

void
stream_on_readable(struct stream *s)
{
	char *shared = loop_shared(s->loop), *to;
	size_t room, have = s->kept_len;
	bool in_place = have > GAP_MAX;
	ssize_t got;

	if (s->finishing) {
		discard_input(s);
		return;
	}
	if (have >= s->in_max) {
		/* Only when in_max was lowered below what is kept. */
		stream_show(s, span_make(s->kept, have));
		return;
	}
	room = MIN(s->layer == NULL ? READ_MAX : READ_MAX - LAYER_READ_MAX,
	    s->in_max - have);
	if (in_place) {
		keep_room(s, have + MIN(room, GAP_MAX));
		room = MIN(room, s->kept_alloc - have);
		to = s->kept + have;
	} else {
		to = shared + have;
	}
	got = s->layer == NULL ? stream_receive(s, to, room) :
	    receive_layer(s, to, room);
	if (got < 0) {
		if (errno == EPROTO && s->layer != NULL) {
			/* An alert may be on its way to the peer. */
			stream_set_end(s, STREAM_ERROR, errno);
		} else if (errno != EAGAIN && errno != EINTR) {
			stream_set_broken(s, STREAM_ERROR, errno);
		}
		return;
	}
	if (got == 0) {
		end_of_input(s);
		return;
	}
	s->total_in += (size_t)got;
	have += (size_t)got;
	if (in_place) {
		s->kept_len = have;
	} else if (have < s->want && have < s->in_max) {
		keep_room(s, have);
		memcpy(s->kept + s->kept_len, to, (size_t)got);
		s->kept_len = have;
	}
	if (have < s->want && have < s->in_max) {
		stream_ack(s);
		return;
	}
	if (!in_place && s->kept_len > 0)
		memcpy(shared, s->kept, s->kept_len);
	if (stream_show(s, span_make(in_place ? s->kept : shared, have)) &&
	    s->kept_len > 0 && !s->paused)
		stream_ack(s);
}

/* --- what the owner calls ---------------------------------------------------- */

struct span
stream_input(const struct stream *s)
{
	return s->input;
}

void
stream_consume(struct stream *s, size_t n)
{
	if (n > s->input.len)
		log_panic("stream_consume: %zu of %zu bytes", n, s->input.len);
	s->input = span_from(s->input, n);
	s->consumed += n;
}

void
stream_want(struct stream *s, size_t n)
{
	s->want = MAX(n, 1);
}

void
stream_kick(struct stream *s)
{
	if (s->freed || s->ended)
		return;
	s->kicked = true;
	loop_defer(s->loop, &s->later);
}

void
stream_pause(struct stream *s)
{
	/* The loop is told when input comes: mostly none does before the
	 * stream goes on, and two system calls are saved. */
	if (s->freed || s->paused)
		return;
	s->paused = true;
}

void
stream_resume(struct stream *s)
{
	if (s->freed || !s->paused)
		return;
	s->paused = false;
	stream_update_io(s);
	stream_kick(s);	/* and what the layer has kept back */
}

bool
stream_paused(const struct stream *s)
{
	return s->paused;
}

void
stream_ack(struct stream *s)
{
	int on = 1;

	if (s->kind == KIND_SOCKET && !s->freed)
		(void)setsockopt(s->fd, IPPROTO_TCP, TCP_QUICKACK, &on,
		    sizeof(on));
}

void
stream_set_in_max(struct stream *s, size_t in_max)
{
	s->in_max = in_max;
}

int
stream_take_fd(struct stream *s)
{
	struct passed *p = s->passed;
	int fd;

	if (p == NULL || p->in.len == 0)
		return -1;
	fd = p->in.v[0];
	p->in.len--;
	memmove(p->in.v, p->in.v + 1, p->in.len * sizeof(p->in.v[0]));
	return fd;
}

void
stream_put_back(struct stream *s, struct span d)
{
	if (s->freed || d.len == 0)
		return;
	if (s->showing)
		log_panic("stream_put_back: from within on_read");
	keep_room(s, s->kept_len + d.len);
	memmove(s->kept + d.len, s->kept, s->kept_len);
	memcpy(s->kept, d.p, d.len);
	s->kept_len += d.len;
	s->total_in += d.len;
	stream_kick(s);
}

void
stream_take_input(struct stream *s, struct buf *to)
{
	if (s->showing) {
		buf_add_span(to, s->input);
		stream_consume(s, s->input.len);
	} else {
		buf_add(to, s->kept, s->kept_len);
		stream_keep_rest(s, SPAN_EMPTY);
	}
	s->kicked = false;
}

size_t
stream_in_len(const struct stream *s)
{
	return s->showing ? s->input.len : s->kept_len;
}

uint64_t
stream_bytes_in(const struct stream *s)
{
	return s->total_in;
}
