/* SPDX-License-Identifier: ISC */
/*
 * stream_priv - what the files of the stream share: stream.c (life, end,
 * deadlines, layers), stream_in.c and stream_out.c.
 */
#ifndef IO_STREAM_PRIV_H
#define IO_STREAM_PRIV_H

#include "base/array.h"
#include "base/buf.h"
#include "io/stream.h"

#define FDS_KEPT_MAX	16

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
	bool			 file_waits;	/* for room: stream_send_file() */
	bool			 finishing, shut;
	bool			 showing;	/* on_read looks at input */
	bool			 layer_more;	/* input without the socket */
	bool			 layer_waits;	/* for stream_layer_resume() */
	bool			 layer_closed;
	bool			 end_output;	/* shut down when all is out */
	bool			 freed;
	bool			 secret;	/* see stream_set_secret() */
};

/* --- stream.c ---------------------------------------------------------------- */

/* Around every call of a handler; leave: whether the stream is still there. */
static inline void
stream_enter(struct stream *s)
{
	s->depth++;
}

bool	 stream_leave(struct stream *s);
/* Tell the loop what we wait for. */
void	 stream_update_io(struct stream *s);
/* The stream is over; on_end follows at the end of the turn at the latest. */
void	 stream_set_end(struct stream *s, enum stream_end end, int err);
/* The same for an end after which the peer cannot be told anything. */
void	 stream_set_broken(struct stream *s, enum stream_end end, int err);
/* The place for descriptors on their way. */
struct passed *stream_passed(struct stream *s);

/* The peer has ended its side only. */
static inline bool
stream_hears(const struct stream *s)
{
	return s->ended && s->end == STREAM_EOF && !s->broken;
}

/* What the layer has made and the socket has not taken. */
static inline size_t
stream_wire_len(const struct stream *s)
{
	return s->layer == NULL ? 0 : s->layer->wire.len - s->layer->wire_at;
}

/* --- stream_in.c ------------------------------------------------------------- */

void	 stream_on_readable(struct stream *s);
/* Call on_read with input; false when the stream is gone. */
bool	 stream_show(struct stream *s, struct span input);
/* Keep what the handler has left of the span it saw. */
void	 stream_keep_rest(struct stream *s, struct span rest);
/* What recv() says, without the layer. */
ssize_t	 stream_receive(struct stream *s, char *to, size_t n);

/* --- stream_out.c ------------------------------------------------------------ */

/* Whether the loop is to tell when the socket takes more. */
void	 stream_set_blocked(struct stream *s, bool on);
/* There is room for what stream_send_file() has left, or it is given up. */
void	 stream_file_room(struct stream *s);

#endif
