/* SPDX-License-Identifier: ISC */
/*
 * compress - see compress.h.
 *
 * What is written in one turn is flushed to a byte boundary once, so that the
 * client can read all of it.  What a client sends can grow a thousandfold; it
 * is inflated only into the room that the stream has, so its limits hold.
 *
 * Behind UNAUTHENTICATE a client goes on in the clear, perhaps in the same
 * packet.  So we inflate up to one mark of the client's at a time (what a flush
 * leaves, or the end of its data) and let the engine look before we go on.
 */
#include <zlib.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "imapd/compress.h"

/* A window of 8 KiB and small tables: 40 KiB a connection, not 256, for a few
 * per cent more bytes. */
#define WINDOW_BITS	(-13)
#define MEM_LEVEL	5
#define WAITING_MAX	(1u << 20)	/* compressed bytes we keep */

struct compress {
	struct stream	*stream;
	z_stream	 in, out;
	struct buf	 waiting;	/* compressed, not inflated yet */
	uint32_t	 tail;		/* the last four bytes inflated */
	unsigned long	 block;		/* total_out when this block began */
	bool		 at_mark;	/* all before it is inflated */
	bool		 ended;		/* the client's data has */
	bool		 ending;	/* compress_stop() */
	size_t		 last;		/* bytes of output until then */
};

/* What Z_SYNC_FLUSH and Z_FULL_FLUSH leave: an empty stored block. */
#define MARK_TAIL	0x0000ffffu

/* One block, or what there is of it. */
static int
inflate_block(struct compress *c)
{
	const Bytef *from = c->in.next_in;
	int rc = inflate(&c->in, Z_BLOCK);

	if (rc == Z_BUF_ERROR)
		return rc;	/* nothing was there to be done */
	if (c->in.next_in - from > 4)
		from = c->in.next_in - 4;
	for (; from < c->in.next_in; from++)
		c->tail = c->tail << 8 | *from;
	c->ended = rc == Z_STREAM_END;
	c->at_mark = false;
	/* The end of a block that is not the last, and of a byte. */
	if (rc == Z_OK && (c->in.data_type & (128 + 64 + 7)) == 128) {
		c->at_mark = c->in.total_out == c->block &&
		    c->tail == MARK_TAIL;
	}
	if (c->in.data_type & 128)
		c->block = c->in.total_out;
	return rc;
}

static enum stream_layer_says
inflate_some(struct compress *c, struct span in, char *to, size_t room,
    size_t *used, size_t *put)
{
	int rc;

	c->in.next_in = (Bytef *)(uintptr_t)in.p;
	c->in.avail_in = (uInt)in.len;
	c->in.next_out = (Bytef *)to;
	c->in.avail_out = (uInt)room;
	do {
		rc = inflate_block(c);
	} while (rc == Z_OK && c->in.avail_in > 0 && c->in.avail_out > 0 &&
	    !(c->at_mark && (c->ending || c->in.avail_out < room)));
	*used = in.len - c->in.avail_in;
	*put = room - c->in.avail_out;
	if (c->ending && (c->ended || c->at_mark))
		return LAYER_WAITS;
	if (rc == Z_STREAM_END)
		return LAYER_EOF;
	if (rc != Z_OK && rc != Z_BUF_ERROR)
		return LAYER_BROKEN;
	return c->in.avail_out == 0 || c->in.avail_in > 0 ? LAYER_MORE :
	    LAYER_HUNGRY;
}

static enum stream_layer_says
layer_input(void *arg, struct span in, char *to, size_t room, size_t *put)
{
	struct compress *c = arg;
	enum stream_layer_says says;
	size_t used;

	*put = 0;
	if (c->waiting.len == 0) {
		says = inflate_some(c, in, to, room, &used, put);
		in = span_from(in, used);
		if (in.len > 0 && buf_put_span(&c->waiting, in) != 0)
			return LAYER_BROKEN;
		return says;
	}
	if (buf_put_span(&c->waiting, in) != 0)
		return LAYER_BROKEN;
	says = inflate_some(c, buf_span(&c->waiting), to, room, &used, put);
	buf_consume(&c->waiting, used);
	if (c->waiting.len == 0)
		buf_fini(&c->waiting);
	return says;
}

static ssize_t
layer_output(void *arg, struct span plain)
{
	struct compress *c = arg;
	unsigned char out[16384];
	int flush = Z_SYNC_FLUSH;

	c->out.next_in = (Bytef *)(uintptr_t)plain.p;
	c->out.avail_in = (uInt)MIN(plain.len, 1u << 30);
	plain.len = c->out.avail_in;
	if (c->ending) {
		if (plain.len > c->last)
			return -1;
		c->last -= plain.len;
		flush = c->last == 0 ? Z_FINISH : Z_SYNC_FLUSH;
	}
	do {
		c->out.next_out = out;
		c->out.avail_out = sizeof(out);
		if (deflate(&c->out, flush) == Z_STREAM_ERROR)
			return -1;
		stream_layer_send(c->stream, out,
		    sizeof(out) - c->out.avail_out);
	} while (c->out.avail_out == 0);
	return (ssize_t)plain.len;
}

static void
layer_close(void *arg)
{
}

static void
layer_eof(void *arg)
{
}

static void
layer_free(void *arg)
{
	struct compress *c = arg;

	inflateEnd(&c->in);
	deflateEnd(&c->out);
	buf_fini(&c->waiting);
	mem_free(c);
}

static const struct stream_layer layer = {
	.input = layer_input, .output = layer_output, .close = layer_close,
	.eof = layer_eof, .free = layer_free,
};

void
compress_start(struct stream *s)
{
	struct compress *c = mem_zalloc(sizeof(*c));

	c->stream = s;
	c->waiting = BUF_INIT(WAITING_MAX);
	if (inflateInit2(&c->in, -15) != Z_OK || deflateInit2(&c->out,
	    Z_DEFAULT_COMPRESSION, Z_DEFLATED, WINDOW_BITS, MEM_LEVEL,
	    Z_DEFAULT_STRATEGY) != Z_OK)
		log_fatal("zlib: out of memory");
	stream_set_layer(s, &layer, c, &c->waiting);
	if (c->waiting.len > 0)
		stream_layer_resume(s);
}

bool
compress_active(const struct stream *s)
{
	return stream_layer_arg(s, &layer) != NULL;
}

void
compress_stop(struct stream *s)
{
	struct compress *c = stream_layer_arg(s, &layer);

	c->ending = true;
	c->last = stream_out_len(s);
}

bool
compress_stopped(struct stream *s, struct buf *rest)
{
	struct compress *c = stream_layer_arg(s, &layer);
	struct span in = buf_span(&c->waiting);

	if (!c->ended && !c->at_mark)
		return false;
	/* A client may end its data as well, behind the flush. */
	if (!c->ended && in.len >= 2 && in.p[0] == 3 && in.p[1] == 0)
		in = span_from(in, 2);
	buf_add_span(rest, in);
	buf_wipe(&c->waiting);
	return true;
}
