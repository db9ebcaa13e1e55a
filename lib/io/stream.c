/* SPDX-License-Identifier: ISC */
/*
 * stream - see stream.h: its life, its end, deadlines, layers.
 *
 * Handlers are called from the loop only: never from inside stream_write() and
 * the like.  Any handler may free its stream: the struct stays until the
 * innermost stream_enter()/stream_leave() pair is through.
 */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "io/fd.h"
#include "io/stream_priv.h"

/* What a layer may have to say by itself to a peer that does not read. */
#define LAYER_WIRE_MAX	(512 * 1024)

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

struct passed *
stream_passed(struct stream *s)
{
	if (s->passed == NULL)
		s->passed = mem_zalloc(sizeof(*s->passed));
	return s->passed;
}

bool
stream_leave(struct stream *s)
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

static unsigned finishing;	/* streams */

/* Everything but what a handler may be looking at. */
static void
release(struct stream *s)
{
	s->freed = true;
	finishing -= s->finishing;
	loop_defer_cancel(&s->later);
	loop_timer_free(&s->timer);
	loop_io_free(&s->io);
	fd_close(&s->fd);
	drop_fds(s);
	buf_fini(&s->out);
	if (s->layer != NULL)
		buf_fini(&s->layer->wire);
}

void
stream_update_io(struct stream *s)
{
	unsigned want = 0;

	if (!s->ended && !s->paused && !s->layer_waits &&
	    !(s->finishing && !s->shut))
		want |= LOOP_READ;
	if (s->blocked && (!s->ended || s->finishing || stream_hears(s)))
		want |= LOOP_WRITE;
	loop_io_want(s->io, want);
}

/* The stream is over; on_end follows at the end of the turn at the latest. */
void
stream_set_end(struct stream *s, enum stream_end end, int err)
{
	if (s->ended)
		return;
	s->ended = true;
	s->end = end;
	s->err = err;
	stream_update_io(s);
	loop_defer(s->loop, &s->later);
}

/* The same for an end after which the peer cannot be told anything. */
void
stream_set_broken(struct stream *s, enum stream_end end, int err)
{
	s->broken = true;
	stream_set_end(s, end, err);
}

static void
tell_end(struct stream *s)
{
	if (!s->ended || s->told || s->finishing)
		return;
	s->told = true;
	s->ops->on_end(s->arg, s, s->end);
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
		got = stream_receive(s, loop_shared(s->loop), LOOP_SHARED_LEN);
		if (got > 0 && shutdown(s->fd, SHUT_WR) == 0) {
			s->shut = true;
			stream_update_io(s);
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

	stream_enter(s);
	if (s->finishing) {
		finish_step(s);
		stream_leave(s);
		return;
	}
	if (s->kicked && !s->paused && !s->ended) {
		s->kicked = false;
		if (s->kept_len > 0)
			stream_show(s, span_make(s->kept, s->kept_len));
	}
	if (!s->freed && !s->finishing && s->layer_more && !s->paused &&
	    !s->ended && !s->layer_waits)
		stream_on_readable(s);
	if (!s->freed && !s->finishing && !s->blocked &&
	    (s->out.len > 0 || stream_wire_len(s) > 0)) {
		/*
		 * A producer that fills the stream from on_drain would keep
		 * the others waiting while its peer is quick: let the loop
		 * come round first.
		 */
		if (s->drained_turn == loop_turn(s->loop) && !s->ended)
			stream_set_blocked(s, true);
		else
			stream_flush(s);
	}
	if (!s->freed && !s->finishing && s->drain_due &&
	    (!s->ended || (stream_hears(s) && s->told))) {
		s->drain_due = false;
		if (s->out.len == 0 && s->ops->on_drain != NULL) {
			s->ops->on_drain(s->arg, s);
			if (!s->freed && s->out.len > 0)
				s->drained_turn = loop_turn(s->loop);
		}
	}
	if (!s->freed)
		tell_end(s);
	stream_leave(s);
}

static void
stream_ready(void *arg, unsigned events)
{
	struct stream *s = arg;

	stream_enter(s);
	if ((events & LOOP_READ) && s->paused && !s->finishing)
		stream_update_io(s);
	else if (events & LOOP_READ)
		stream_on_readable(s);
	if (!s->freed && (events & LOOP_WRITE)) {
		if (s->finishing) {
			finish_step(s);
		} else {
			stream_flush(s);
			stream_file_room(s);
			if (s->drain_due)
				loop_defer(s->loop, &s->later);
		}
	}
	stream_leave(s);
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
	stream_set_end(s, STREAM_TIMEOUT, ETIMEDOUT);
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
	stream_update_io(s);
	return s;
}

void
stream_free(struct stream **sp)
{
	struct stream *s = *sp;

	*sp = NULL;
	if (s == NULL || s->freed)
		return;
	stream_enter(s);
	release(s);
	stream_leave(s);
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
	stream_file_room(s);
	s->finishing = true;
	finishing++;
	s->ops = NULL;
	s->paused = false;
	stream_set_deadline(s, MAX(grace_ms, 1));
	stream_update_io(s);
	loop_defer(s->loop, &s->later);
}

unsigned
stream_finishing(void)
{
	return finishing;
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

void
stream_set_secret(struct stream *s, bool secret)
{
	s->secret = secret;
	s->out.secret = secret;
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

/* --- layers -------------------------------------------------------------------- */

void
stream_set_layer(struct stream *s, const struct stream_layer *l, void *arg,
    struct buf *rest)
{
	if (s->layer != NULL || (s->passed != NULL && s->passed->out.len > 0))
		log_panic("stream_set_layer: not a plain stream");
	stream_take_input(s, rest);
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
stream_layer_resume(struct stream *s)
{
	if (s->freed || s->ended)
		return;
	s->layer_more = true;
	s->layer_waits = false;
	stream_update_io(s);
	loop_defer(s->loop, &s->later);
}

struct loop *
stream_loop(const struct stream *s)
{
	return s->loop;
}
