/* SPDX-License-Identifier: ISC */
/*
 * stream - see stream.h.
 *
 * Input.  kept[] holds what the handler has left (kept_len bytes).  New bytes
 * are read into the loop's shared memory, behind a gap that is as large as
 * what is kept; when the handler is to be called, a small rest is copied into
 * the gap and the handler sees one span.  So a stream between two messages
 * owns no memory, and a rest is copied as often as the handler asks for it.
 * A rest larger than GAP_MAX stays in kept[], which grows as bytes really
 * arrive, never because a peer has announced them.
 *
 * Calls.  Handlers are called from the loop only: never from inside
 * stream_write() and the like.  Any handler may free its stream: the struct
 * stays until the innermost enter()/leave() pair is through.
 */
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/array.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/fd.h"
#include "io/stream.h"

#define GAP_MAX		(64 * 1024)
#define READ_MAX	(LOOP_SHARED_LEN - GAP_MAX)
#define FDS_KEPT_MAX	16
/*
 * With a layer: bytes of the socket lie at the end of the shared memory while
 * they are transformed into its beginning, and output is transformed in
 * pieces, so that a fast writer does not hold all of it twice.
 */
#define LAYER_READ_MAX	(32 * 1024)
#define LAYER_SEAL_MAX	(64 * 1024)
/* What a layer may have to say by itself to a peer that does not read. */
#define LAYER_WIRE_MAX	(512 * 1024)
/* Room that a rest gets beyond its length: it will grow. */
#define KEPT_SPARE	256

struct fd_out {
	int	fd;
	size_t	at;		/* its place among the bytes of out */
};

/* Descriptors on their way, both ways: made with the first. */
struct passed {
	ARRAY(int)		 in;
	ARRAY(struct fd_out)	 out;
};

/* What lies between the buffers and the socket. */
struct layered {
	const struct stream_layer *ops;
	void			*arg;
	struct buf		 wire;		/* output, transformed */
	size_t			 wire_at;	/* sent already */
};

enum stream_kind { KIND_SOCKET, KIND_UNIX, KIND_OTHER };

struct stream {
	struct loop		*loop;
	struct loop_io		*io;
	int			 fd;
	enum stream_kind	 kind;
	const struct stream_ops	*ops;
	void			*arg;

	size_t			 in_max, want;
	struct span		 input;		/* what on_read may see now */
	size_t			 consumed;	/* of input, by this call */
	char			*kept;
	size_t			 kept_len, kept_alloc;
	uint64_t		 total_in, total_out;

	struct buf		 out;
	size_t			 out_at;	/* sent already */
	size_t			 out_max;	/* unsent bytes */
	size_t			 keep_out;	/* memory that out may keep */
	uint64_t		 drained_turn;

	struct passed		*passed;	/* NULL: none */
	struct layered		*layer;		/* NULL: none */

	struct loop_defer	 later;
	struct loop_timer	*timer;
	int64_t			 deadline, armed;	/* 0: none */

	int			 err;
	unsigned		 depth;		/* handlers under way */
	enum stream_end		 end;
	bool			 ended;		/* end is to be told, or was */
	bool			 told;
	bool			 broken;	/* nothing can be written */
	bool			 paused, kicked, drain_due, blocked;
	bool			 finishing, shut;
	bool			 showing;	/* on_read looks at input */
	bool			 layer_more;	/* input without the socket */
	bool			 layer_waits;	/* for stream_layer_resume() */
	bool			 layer_closed;
	bool			 end_output;	/* shut down when all is out */
	bool			 freed;
	bool			 secret;	/* see stream_set_secret() */
};

static void stream_later(void *);

static void
enter(struct stream *s)
{
	s->depth++;
}

static void
drop_fds(struct stream *s)
{
	struct passed *p = s->passed;

	if (p == NULL)
		return;
	s->passed = NULL;
	for (size_t i = 0; i < p->in.len; i++)
		fd_close(&p->in.v[i]);
	for (size_t i = 0; i < p->out.len; i++)
		fd_close(&p->out.v[i].fd);
	ARRAY_FINI(&p->in);
	ARRAY_FINI(&p->out);
	mem_free(p);
}

static struct passed *
passed(struct stream *s)
{
	if (s->passed == NULL)
		s->passed = mem_zalloc(sizeof(*s->passed));
	return s->passed;
}

/* What the layer has made and the socket has not taken. */
static size_t
wire_len(const struct stream *s)
{
	return s->layer == NULL ? 0 : s->layer->wire.len - s->layer->wire_at;
}

/* Whether the stream is still there. */
static bool
leave(struct stream *s)
{
	if (--s->depth > 0 || !s->freed)
		return !s->freed;
	if (s->layer != NULL)
		s->layer->ops->free(s->layer->arg);
	mem_free(s->layer);
	if (s->secret && s->kept != NULL)
		mem_wipe(s->kept, s->kept_alloc);
	mem_free(s->kept);
	mem_free(s);
	return false;
}

/* Everything but what a handler may be looking at. */
static void
release(struct stream *s)
{
	s->freed = true;
	loop_defer_cancel(&s->later);
	loop_timer_free(&s->timer);
	loop_io_free(&s->io);
	fd_close(&s->fd);
	drop_fds(s);
	buf_fini(&s->out);
	if (s->layer != NULL)
		buf_fini(&s->layer->wire);
}

/* The peer has ended its side only. */
static bool
hears(const struct stream *s)
{
	return s->ended && s->end == STREAM_EOF && !s->broken;
}

static void
update_io(struct stream *s)
{
	unsigned want = 0;

	if (!s->ended && !s->paused && !s->layer_waits &&
	    !(s->finishing && !s->shut))
		want |= LOOP_READ;
	if (s->blocked && (!s->ended || s->finishing || hears(s)))
		want |= LOOP_WRITE;
	loop_io_want(s->io, want);
}

/* The stream is over; on_end follows at the end of the turn at the latest. */
static void
set_end(struct stream *s, enum stream_end end, int err)
{
	if (s->ended)
		return;
	s->ended = true;
	s->end = end;
	s->err = err;
	update_io(s);
	loop_defer(s->loop, &s->later);
}

/* The same for an end after which the peer cannot be told anything. */
static void
set_broken(struct stream *s, enum stream_end end, int err)
{
	s->broken = true;
	set_end(s, end, err);
}

static void
tell_end(struct stream *s)
{
	if (!s->ended || s->told || s->finishing)
		return;
	s->told = true;
	s->ops->on_end(s->arg, s, s->end);
}

/* --- reading --------------------------------------------------------------- */

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
static void
keep_rest(struct stream *s, struct span rest)
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
static bool
show(struct stream *s, struct span input)
{
	char *shared = loop_shared(s->loop);
	bool secret = s->secret && input.p == shared;

	enter(s);
	s->input = input;
	s->consumed = 0;
	s->want = 1;
	s->kicked = false;
	s->showing = true;
	s->ops->on_read(s->arg, s);
	s->showing = false;
	if (!s->freed) {
		size_t consumed = s->consumed;

		keep_rest(s, s->input);
		s->input = SPAN_EMPTY;
		if (consumed == 0 && s->kept_len >= s->in_max && !s->paused &&
		    !s->finishing)
			set_end(s, STREAM_OVERFLOW, EMSGSIZE);
	}
	if (secret)
		mem_wipe(shared, input.len);
	return leave(s);
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
			if (passed(s)->in.len < FDS_KEPT_MAX)
				*ARRAY_PUSH(&s->passed->in) = fd;
			else
				fd_close(&fd);
		}
	}
}

static ssize_t
receive(struct stream *s, char *to, size_t n)
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
		ssize_t n = receive(s, raw, LAYER_READ_MAX);

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
		update_io(s);
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
		if (!show(s, span_make(s->kept, s->kept_len)))
			return;
		if (s->kept_len > 0 && (s->paused || s->kicked)) {
			s->layer_more = s->layer != NULL;
			return;
		}
	}
	set_end(s, STREAM_EOF, 0);
	stream_flush(s);
}

/* Input is thrown away: our last words are on the way (stream_finish()). */
static void
discard_input(struct stream *s)
{
	ssize_t got = receive(s, loop_shared(s->loop), LOOP_SHARED_LEN);

	if (got > 0 || (got < 0 && (errno == EINTR || errno == EAGAIN)))
		return;
	stream_free(&s);
}

static void
on_readable(struct stream *s)
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
		show(s, span_make(s->kept, have));
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
	got = s->layer == NULL ? receive(s, to, room) :
	    receive_layer(s, to, room);
	if (got < 0) {
		if (errno == EPROTO && s->layer != NULL) {
			/* An alert may be on its way to the peer. */
			set_end(s, STREAM_ERROR, errno);
		} else if (errno != EAGAIN && errno != EINTR) {
			set_broken(s, STREAM_ERROR, errno);
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
	if (have < s->want && have < s->in_max)
		return;
	if (in_place) {
		show(s, span_make(s->kept, have));
	} else {
		if (s->kept_len > 0)
			memcpy(shared, s->kept, s->kept_len);
		show(s, span_make(shared, have));
	}
}

/* --- writing --------------------------------------------------------------- */

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

static void
set_blocked(struct stream *s, bool on)
{
	if (s->blocked == on)
		return;
	s->blocked = on;
	update_io(s);
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
	size_t len = wire_len(s);

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
		set_broken(s, STREAM_ERROR, EPROTO);
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
	set_blocked(s, false);
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

	if (s->freed || s->broken || (s->out.len == 0 && wire_len(s) == 0))
		return;
	for (;;) {
		bool wire = wire_len(s) > 0;

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
			if (s->out_at > s->out.len / 2)
				compact(s);
			set_blocked(s, true);
			return;
		}
		if (n < 0) {
			set_broken(s, STREAM_ERROR, errno);
			return;
		}
		if (wire)
			s->layer->wire_at += (size_t)n;
		else
			s->out_at += (size_t)n;
	}
	flushed(s);
}

/* Whether bytes wait for the peer to take some; a layer that never got
 * through its handshake does not count. */
static bool
stream_unsent(const struct stream *s)
{
	return s->blocked || (s->layer == NULL && s->out.len > 0);
}

/* Closes once all is written; see stream_finish(). */
static void
finish_step(struct stream *s)
{
	ssize_t got;

	stream_flush(s);
	if (!s->broken && stream_unsent(s))
		return;
	if (!s->broken && s->layer != NULL && !s->layer_closed) {
		s->layer_closed = true;
		s->layer->ops->close(s->layer->arg);
		stream_flush(s);
		if (!s->broken && stream_unsent(s))
			return;
	}
	if (!s->broken && s->kind != KIND_OTHER && !s->shut) {
		/*
		 * Closing a socket with unread input resets the connection,
		 * and the peer may lose our last reply: take the input first,
		 * and when there is some, wait for the peer's end.
		 */
		got = receive(s, loop_shared(s->loop), LOOP_SHARED_LEN);
		if (got > 0 && shutdown(s->fd, SHUT_WR) == 0) {
			s->shut = true;
			update_io(s);
			return;
		}
	} else if (s->shut) {
		return;
	}
	stream_free(&s);
}

/*
 * The end of the turn: input that is to be shown again, output, and the news
 * that all of it is gone or that the stream is over.
 */
static void
stream_later(void *arg)
{
	struct stream *s = arg;

	enter(s);
	if (s->finishing) {
		finish_step(s);
		leave(s);
		return;
	}
	if (s->kicked && !s->paused && !s->ended) {
		s->kicked = false;
		if (s->kept_len > 0)
			show(s, span_make(s->kept, s->kept_len));
	}
	if (!s->freed && !s->finishing && s->layer_more && !s->paused &&
	    !s->ended && !s->layer_waits)
		on_readable(s);
	if (!s->freed && !s->finishing && !s->blocked &&
	    (s->out.len > 0 || wire_len(s) > 0)) {
		/*
		 * A producer that fills the stream from on_drain would keep
		 * the others waiting while its peer is quick: let the loop
		 * come round first.
		 */
		if (s->drained_turn == loop_turn(s->loop) && !s->ended)
			set_blocked(s, true);
		else
			stream_flush(s);
	}
	if (!s->freed && !s->finishing && s->drain_due &&
	    (!s->ended || (hears(s) && s->told))) {
		s->drain_due = false;
		if (s->out.len == 0 && s->ops->on_drain != NULL) {
			s->ops->on_drain(s->arg, s);
			if (!s->freed && s->out.len > 0)
				s->drained_turn = loop_turn(s->loop);
		}
	}
	if (!s->freed)
		tell_end(s);
	leave(s);
}

static void
stream_ready(void *arg, unsigned events)
{
	struct stream *s = arg;

	enter(s);
	if ((events & LOOP_READ) && s->paused && !s->finishing)
		update_io(s);
	else if (events & LOOP_READ)
		on_readable(s);
	if (!s->freed && (events & LOOP_WRITE)) {
		if (s->finishing) {
			finish_step(s);
		} else {
			stream_flush(s);
			if (s->drain_due)
				loop_defer(s->loop, &s->later);
		}
	}
	leave(s);
}

/* --- deadlines -------------------------------------------------------------- */

static void
arm(struct stream *s)
{
	int64_t left = s->deadline - loop_now_ms(s->loop);

	s->armed = s->deadline;
	loop_timer_set(s->timer, MAX(left, 1));
}

/* The deadline may have moved since the timer was set, which is why moving
 * it is cheap. */
static void
timer_fired(void *arg)
{
	struct stream *s = arg;

	s->armed = 0;
	if (s->deadline == 0 || (s->ended && !s->finishing))
		return;
	if (loop_now_ms(s->loop) < s->deadline) {
		arm(s);
		return;
	}
	if (s->finishing) {
		stream_free(&s);
		return;
	}
	stream_flush(s);
	set_end(s, STREAM_TIMEOUT, ETIMEDOUT);
}

void
stream_set_deadline(struct stream *s, int64_t in_ms)
{
	if (s->freed)
		return;
	s->deadline = in_ms > 0 ? loop_now_ms(s->loop) + in_ms : 0;
	if (s->deadline == 0)
		return;
	if (s->timer == NULL)
		s->timer = loop_timer_new(s->loop, timer_fired, s);
	if (s->armed == 0 || s->deadline < s->armed)
		arm(s);
}

/* --- what the owner calls ---------------------------------------------------- */

static enum stream_kind
kind_of(int fd)
{
	int domain;
	socklen_t len = sizeof(domain);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0)
		return KIND_OTHER;
	return domain == AF_UNIX ? KIND_UNIX : KIND_SOCKET;
}

struct stream *
stream_new(struct loop *l, int fd, size_t in_max, size_t out_max,
    const struct stream_ops *ops, void *arg)
{
	struct stream *s = mem_zalloc(sizeof(*s));

	(void)fd_set_nonblock(fd, true);
	(void)fd_set_cloexec(fd, true);
	s->loop = l;
	s->fd = fd;
	s->kind = kind_of(fd);
	s->ops = ops;
	s->arg = arg;
	s->in_max = in_max;
	s->want = 1;
	s->out = BUF_INIT(BUF_UNLIMITED);
	s->out_max = out_max;
	s->drained_turn = UINT64_MAX;
	s->later.fn = stream_later;
	s->later.arg = s;
	s->io = loop_io_new(l, fd, stream_ready, s);
	update_io(s);
	return s;
}

void
stream_free(struct stream **sp)
{
	struct stream *s = *sp;

	*sp = NULL;
	if (s == NULL || s->freed)
		return;
	enter(s);
	release(s);
	leave(s);
}

void
stream_finish(struct stream **sp, int64_t grace_ms)
{
	struct stream *s = *sp;

	*sp = NULL;
	if (s == NULL || s->freed)
		return;
	if (s->broken) {
		stream_free(&s);
		return;
	}
	s->finishing = true;
	s->ops = NULL;
	s->paused = false;
	stream_set_deadline(s, MAX(grace_ms, 1));
	update_io(s);
	loop_defer(s->loop, &s->later);
}

int
stream_fd(const struct stream *s)
{
	return s->fd;
}

int
stream_errno(const struct stream *s)
{
	return s->err;
}

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
	update_io(s);
	stream_kick(s);	/* and what the layer has kept back */
}

bool
stream_paused(const struct stream *s)
{
	return s->paused;
}

void
stream_set_in_max(struct stream *s, size_t in_max)
{
	s->in_max = in_max;
}

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
	set_broken(s, STREAM_OVERFLOW, EMSGSIZE);
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
		set_broken(s, STREAM_OVERFLOW, EMSGSIZE);
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

void
stream_set_secret(struct stream *s, bool secret)
{
	s->secret = secret;
	s->out.secret = secret;
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
	p = passed(s);
	if (p->out.len >= FDS_KEPT_MAX &&
	    p->out.v[p->out.len - FDS_KEPT_MAX].at == s->out.len)
		log_panic("stream_write_fd: too many at one place");
	own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (own < 0) {
		set_broken(s, STREAM_ERROR, errno);
		return;
	}
	*ARRAY_PUSH(&p->out) = (struct fd_out){ own, s->out.len };
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
stream_set_ops(struct stream *s, const struct stream_ops *ops, void *arg)
{
	s->ops = ops;
	s->arg = arg;
}

const struct stream_ops *
stream_ops_of(const struct stream *s, void **arg)
{
	*arg = s->arg;
	return s->ops;
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

/* --- layers -------------------------------------------------------------------- */

void
stream_set_layer(struct stream *s, const struct stream_layer *l, void *arg,
    struct buf *rest)
{
	if (s->layer != NULL || (s->passed != NULL && s->passed->out.len > 0))
		log_panic("stream_set_layer: not a plain stream");
	if (s->showing) {
		buf_add_span(rest, s->input);
		stream_consume(s, s->input.len);
	} else {
		buf_add(rest, s->kept, s->kept_len);
		keep_rest(s, SPAN_EMPTY);
	}
	s->kicked = false;
	s->layer = mem_zalloc(sizeof(*s->layer));
	s->layer->ops = l;
	s->layer->arg = arg;
	s->layer->wire = BUF_INIT(LAYER_WIRE_MAX);
	buf_add(&s->layer->wire, s->out.data + s->out_at, stream_out_len(s));
	s->out_at = 0;
	buf_fini(&s->out);
}

void *
stream_layer_arg(const struct stream *s, const struct stream_layer *l)
{
	return s->layer != NULL && s->layer->ops == l ? s->layer->arg : NULL;
}

void
stream_layer_send(struct stream *s, const void *p, size_t n)
{
	if (s->freed || s->broken)
		return;
	if (buf_put(&s->layer->wire, p, n) < 0) {
		set_broken(s, STREAM_OVERFLOW, EMSGSIZE);
		return;
	}
	loop_defer(s->loop, &s->later);
}

void
stream_layer_resume(struct stream *s)
{
	if (s->freed || s->ended)
		return;
	s->layer_more = true;
	s->layer_waits = false;
	update_io(s);
	loop_defer(s->loop, &s->later);
}

struct loop *
stream_loop(const struct stream *s)
{
	return s->loop;
}
