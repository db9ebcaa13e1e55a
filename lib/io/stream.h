/* SPDX-License-Identifier: ISC */
/*
 * stream - a connection on the loop: buffered, bounded, with deadlines.
 *
 * Reading.  Bytes that arrive are shown to on_read through stream_input();
 * the handler takes what it can use with stream_consume() and leaves the
 * rest, which is kept (at most in_max bytes) and shown again with what comes
 * next.  When in_max bytes lie there and on_read has consumed none of them,
 * the stream ends with STREAM_OVERFLOW.  An idle stream holds no buffer:
 * bytes are read into the loop's shared buffer and only what is left over
 * after on_read is copied, so spans are good until the handler returns.
 *
 * Writing.  stream_write() gathers; all that a turn produced goes out in one
 * system call at its end.  stream_out_len() is what the peer has not taken
 * yet; a producer stops at its own high-water mark and goes on in on_drain,
 * which is called when the output has become empty.  Beyond out_max the
 * stream ends with STREAM_OVERFLOW.
 *
 * Deadlines.  stream_set_deadline() bounds the wait for whatever comes next;
 * moving it costs nothing, so set it at every command.
 *
 * End.  on_end is called once, for any end but our own stream_free(); nothing
 * is read any more, and the owner calls stream_free(), from on_end or later.
 * After STREAM_EOF the peer may still listen: output and on_drain go on.
 * A last word ("421 timeout") may be written before that and sent with
 * stream_finish(); where the connection is broken, writes are dropped.
 *
 * Layers.  A layer (TLS, tls/tls.h) transforms the bytes between the socket
 * and the two buffers, and no caller changes; see stream_set_layer().
 */
#ifndef IO_STREAM_H
#define IO_STREAM_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"
#include "io/loop.h"

enum stream_end {
	STREAM_EOF,		/* the peer closed; all input was shown */
	STREAM_ERROR,		/* errno in stream_errno() */
	STREAM_TIMEOUT,		/* the deadline passed */
	STREAM_OVERFLOW		/* in_max or out_max */
};

struct stream;

struct stream_ops {
	void	(*on_read)(void *arg, struct stream *s);
	void	(*on_drain)(void *arg, struct stream *s);	/* may be NULL */
	void	(*on_end)(void *arg, struct stream *s, enum stream_end why);
};

/*
 * Takes fd, which is made non-blocking and close-on-exec.  Reads at once
 * unless stream_pause() follows.
 */
struct stream *stream_new(struct loop *l, int fd, size_t in_max,
	    size_t out_max, const struct stream_ops *ops, void *arg);
/* Closes; what was not written yet is lost.  *s becomes NULL. */
void	 stream_free(struct stream **s);
/*
 * Write out what is there, then close and free, within grace_ms.  The caller
 * has nothing to do with *s any more; no handler is called.  Input that has
 * come is thrown away before the close, so that no reset overtakes our last
 * words.
 */
void	 stream_finish(struct stream **s, int64_t grace_ms);
/* How many of this process's streams still do that. */
unsigned stream_finishing(void);

int	 stream_fd(const struct stream *s);
int	 stream_errno(const struct stream *s);
struct span stream_input(const struct stream *s);
void	 stream_consume(struct stream *s, size_t n);
/* Do not call on_read before n bytes of input lie there, counted after what
 * has been consumed.  Holds until the next on_read; at the end of the peer's
 * data and after a kick on_read sees what there is. */
void	 stream_want(struct stream *s, size_t n);
/* Call on_read again at the end of this turn though nothing new has come, if
 * input lies there (to go on with pipelined input). */
void	 stream_kick(struct stream *s);
/* Stop and go on reading; the deadline goes on counting.  Going on is also a
 * kick. */
void	 stream_pause(struct stream *s);
void	 stream_resume(struct stream *s);
bool	 stream_paused(const struct stream *s);
/*
 * The peer is in the middle of what it says: acknowledge what has come.  One
 * that writes in small pieces and has not turned off Nagle's algorithm sends
 * the next piece only then, and the kernel waits 40 ms for words of ours that
 * the acknowledgement could go with.  Input that the handler leaves is
 * acknowledged without this.
 */
void	 stream_ack(struct stream *s);
void	 stream_set_in_max(struct stream *s, size_t in_max);
void	 stream_set_out_max(struct stream *s, size_t out_max);

/*
 * Put bytes in front of the input, as if the peer had sent them first: what
 * another process has read of this connection and not used.  They are shown
 * at the end of this turn.  Not from within on_read.
 */
void	 stream_put_back(struct stream *s, struct span d);
/* Take all input that lies there, from within on_read or not, for another
 * process to put back. */
void	 stream_take_input(struct stream *s, struct buf *to);
/* How much input lies there that the handler has left. */
size_t	 stream_in_len(const struct stream *s);
/* What the owner was shown and what it wrote, all in all. */
uint64_t stream_bytes_in(const struct stream *s);
uint64_t stream_bytes_out(const struct stream *s);

/* Never fails: an overflow or error comes as on_end later in the turn. */
void	 stream_write(struct stream *s, const void *p, size_t n);
void	 stream_write_span(struct stream *s, struct span d);
void	 stream_printf(struct stream *s, const char *fmt, ...) PRINTF(2, 3);
size_t	 stream_out_len(const struct stream *s);
/*
 * The same without a copy: append to what stream_out_begin() returns, do
 * nothing else with s, and tell stream_out_end() the length that it had.  NULL:
 * nothing is written any more.
 */
struct buf *stream_out_begin(struct stream *s);
void	 stream_out_end(struct stream *s, size_t start);
/* Output memory of up to n bytes stays with the stream, for a connection that
 * has much to send each turn; mostly 0. */
void	 stream_keep_out(struct stream *s, size_t n);
/*
 * Send a file from *at to end, which goes on, without taking it into memory:
 * for much that is sent again and again.  What was written before goes first.
 * The file's bytes hold still until the peer has them.  True: all is sent.
 * False: the rest is for the next on_drain, if the stream has not ended.  Not
 * with a layer.
 */
MUST_CHECK bool	 stream_send_file(struct stream *s, int fd, off_t *at,
	    off_t end);
/* Pass a descriptor (UNIX sockets); it travels with the next byte
 * written or, seen by the reader, a little before it; never alone.  It is
 * duplicated here, and the caller keeps its own. */
void	 stream_write_fd(struct stream *s, int fd);
/* The next descriptor received, or -1; the caller owns it.  At most 16 are
 * kept; more are closed. */
int	 stream_take_fd(struct stream *s);
/* End our side once all is written (shutdown(2)); input goes on.  Not with a
 * layer. */
void	 stream_end_output(struct stream *s);
/* Try to write now instead of at the end of the turn. */
void	 stream_flush(struct stream *s);

/*
 * Whether there are passwords in what is read and written: then no copy of it
 * stays in memory once the reader has consumed it, or the peer has it.
 */
void	 stream_set_secret(struct stream *s, bool secret);

void	 stream_set_deadline(struct stream *s, int64_t in_ms);	/* 0: none */

/*
 * Who is called from now on.  For an owner that hands its stream to another,
 * and for a layer that keeps the owner out during its handshake.
 */
void	 stream_set_ops(struct stream *s, const struct stream_ops *ops,
	    void *arg);
const struct stream_ops *stream_ops_of(const struct stream *s, void **arg);

/* --- layers: what lies between the socket and the buffers --------------------- */

enum stream_layer_says {
	LAYER_HUNGRY,		/* nothing more without new bytes */
	LAYER_MORE,		/* call again: more plain bytes are there */
	LAYER_WAITS,		/* nothing before stream_layer_resume() */
	LAYER_EOF,		/* the peer has ended its side in good order */
	LAYER_BROKEN		/* it cannot go on: STREAM_ERROR, EPROTO */
};

/*
 * A layer's handlers run inside the stream's own work: they may call
 * stream_layer_send() and nothing else of the stream; what is for others they
 * put off with loop_defer().
 */
struct stream_layer {
	/*
	 * Bytes from the socket, all of which the layer takes over; in.len is
	 * 0 when it is to go on with what it has.  Puts at most room plain
	 * bytes at to and their number into *put.
	 */
	enum stream_layer_says (*input)(void *arg, struct span in, char *to,
		    size_t room, size_t *put);
	/*
	 * Turn plain bytes into bytes for the socket with
	 * stream_layer_send().  Returns how many it took; 0: not now (it says
	 * stream_layer_resume() later); -1: it is broken.
	 */
	ssize_t	(*output)(void *arg, struct span plain);
	/* All is written and the socket is about to be closed: last bytes. */
	void	(*close)(void *arg);
	/* The socket has ended without LAYER_EOF. */
	void	(*eof)(void *arg);
	void	(*free)(void *arg);
};

/*
 * Put a layer in, once, to be freed with the stream.  Output that was written
 * before goes out as it is; plain input that nobody has consumed is moved to
 * rest.  A stream with a layer passes no descriptors.
 */
void	 stream_set_layer(struct stream *s, const struct stream_layer *l,
	    void *arg, struct buf *rest);
/* The layer's arg, when the stream has that layer; else NULL. */
void	*stream_layer_arg(const struct stream *s,
	    const struct stream_layer *l);
void	 stream_layer_send(struct stream *s, const void *p, size_t n);
/* Call input and output again at the end of this turn. */
void	 stream_layer_resume(struct stream *s);
struct loop *stream_loop(const struct stream *s);

#endif
