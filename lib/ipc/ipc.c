/* SPDX-License-Identifier: ISC */
/*
 * ipc - see ipc.h: the end that lives on a loop.
 *
 * A frame is shown to its handler where it lies in the stream's input; the
 * stream is told how long it is, and calls again when all of it is there.
 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "ipc/wire.h"
#include "io/fd.h"

/*
 * Output memory that a connection keeps.  There are few of them, and to get
 * it afresh each turn would cost a page fault for each 4 KiB.
 */
#define OUT_KEEP	(128 * 1024)

struct ipc_conn {
	struct stream		*stream;
	const struct ipc_proto	*proto;
	const struct ipc_ops	*ops;
	void			*arg;
	struct sock_cred	 peer;
	/* From ipc_begin() to ipc_end(). */
	struct ipc_header	 header;
	struct buf		*frame;		/* the stream's output */
	size_t			 start;		/* of the frame, in it */
	struct buf		 lost;		/* where nothing is written
						 * any more */
	unsigned		 depth;		/* handlers under way */
	bool			 ready, ended, freed;
};

static void
enter(struct ipc_conn *c)
{
	c->depth++;
}

static void
leave(struct ipc_conn *c)
{
	if (--c->depth == 0 && c->freed)
		mem_free(c);
}

static void
tell_end(struct ipc_conn *c)
{
	if (c->freed || c->ended)
		return;
	c->ended = true;
	stream_pause(c->stream);
	stream_set_deadline(c->stream, 0);
	c->ops->on_end(c->arg, c);
}

static void
break_off(struct ipc_conn *c, const char *broken)
{
	log_warning("%s: process %d (uid %u) broke the conversation: %s",
	    c->proto->name, (int)c->peer.pid, (unsigned)c->peer.uid, broken);
	tell_end(c);
}

/* Handle one whole frame.  -1 with *broken; NULL when the handler said so. */
static int
handle(struct ipc_conn *c, const struct ipc_header *h, struct span body,
    const char **broken)
{
	struct ipc_frame f = { h->type, h->tag, body, -1 };

	if (!c->ready) {
		if (ipc_hello_check(body, c->proto, broken) < 0)
			return -1;
		c->ready = true;
		stream_set_deadline(c->stream, 0);
		if (c->ops->on_ready != NULL)
			c->ops->on_ready(c->arg, c);
		return 0;
	}
	if (h->nfds > 0) {
		f.fd = stream_take_fd(c->stream);
		if (f.fd < 0) {
			*broken = "a descriptor is missing";
			return -1;
		}
	}
	*broken = "a frame that its receiver refused";
	return c->ops->on_frame(c->arg, c, &f);
}

static void
conn_read(void *arg, struct stream *s)
{
	struct ipc_conn *c = arg;
	const char *broken = NULL;
	struct ipc_header h;
	struct span in;
	int rc = 0;

	enter(c);
	while (!c->freed && !c->ended && !stream_paused(s)) {
		in = stream_input(s);
		if (in.len < IPC_HEADER_LEN) {
			stream_want(s, IPC_HEADER_LEN);
			break;
		}
		rc = ipc_header_get(&h, in.p, c->proto, c->ready, &broken);
		if (rc < 0)
			break;
		if (in.len - IPC_HEADER_LEN < h.len) {
			stream_want(s, IPC_HEADER_LEN + h.len);
			break;
		}
		stream_consume(s, IPC_HEADER_LEN + h.len);
		rc = handle(c, &h, span_sub(in, IPC_HEADER_LEN, h.len),
		    &broken);
		if (rc < 0)
			break;
	}
	if (rc < 0 && !c->freed && !c->ended)
		break_off(c, broken);
	leave(c);
}

static void
conn_drain(void *arg, struct stream *s)
{
	struct ipc_conn *c = arg;

	enter(c);
	if (!c->ended && c->ops->on_drain != NULL)
		c->ops->on_drain(c->arg, c);
	leave(c);
}

static void
conn_end(void *arg, struct stream *s, enum stream_end why)
{
	struct ipc_conn *c = arg;

	enter(c);
	if (why == STREAM_TIMEOUT)
		break_off(c, "no HELLO in time");
	else if (why == STREAM_OVERFLOW)
		break_off(c, "it does not take what we send");
	else
		tell_end(c);
	leave(c);
}

static const struct stream_ops stream_ops = {
	.on_read = conn_read, .on_drain = conn_drain, .on_end = conn_end,
};

struct ipc_conn *
ipc_conn_new(struct loop *l, int fd, const struct ipc_proto *p,
    const struct ipc_ops *ops, void *arg)
{
	struct ipc_conn *c = mem_zalloc(sizeof(*c));
	struct buf hello = BUF_INIT(BUF_UNLIMITED);

	c->proto = p;
	c->ops = ops;
	c->arg = arg;
	c->lost = BUF_INIT(BUF_UNLIMITED);
	c->lost.secret = p->secret;
	if (sock_peer_cred(fd, &c->peer) < 0)
		c->peer = (struct sock_cred){ (uid_t)-1, (gid_t)-1, 0 };
	c->stream = stream_new(l, fd, p->frame_max + IPC_HEADER_LEN,
	    p->out_max + p->frame_max + IPC_HEADER_LEN, &stream_ops, c);
	stream_set_secret(c->stream, p->secret);
	stream_want(c->stream, IPC_HEADER_LEN);
	stream_set_deadline(c->stream, IPC_HELLO_MS);
	stream_keep_out(c->stream, OUT_KEEP);
	ipc_hello_put(&hello, p);
	stream_write_span(c->stream, buf_span(&hello));
	buf_fini(&hello);
	return c;
}

void
ipc_conn_free(struct ipc_conn **cp)
{
	struct ipc_conn *c = *cp;

	*cp = NULL;
	if (c == NULL || c->freed)
		return;
	enter(c);
	c->freed = true;
	stream_free(&c->stream);
	buf_wipe(&c->lost);
	leave(c);
}

static void
put_header(struct ipc_conn *c, char raw[IPC_HEADER_LEN],
    const struct ipc_header *h)
{
	if (h->len > c->proto->frame_max)
		log_panic("%s: a frame of %u bytes is over the limit of %zu",
		    c->proto->name, h->len, c->proto->frame_max);
	ipc_header_put(raw, h);
}

struct buf *
ipc_begin(struct ipc_conn *c, uint16_t type, uint32_t tag)
{
	static const char room[IPC_HEADER_LEN];

	c->header = (struct ipc_header){ .type = type, .tag = tag };
	c->frame = c->freed ? NULL : stream_out_begin(c->stream);
	if (c->frame == NULL) {
		buf_wipe(&c->lost);
		c->frame = &c->lost;
	}
	c->start = c->frame->len;
	buf_add(c->frame, room, sizeof(room));
	return c->frame;
}

void
ipc_end(struct ipc_conn *c)
{
	struct buf *b = c->frame;

	c->header.len = (uint32_t)MIN(b->len - c->start - IPC_HEADER_LEN,
	    UINT32_MAX);
	put_header(c, b->data + c->start, &c->header);
	if (b != &c->lost)
		stream_out_end(c->stream, c->start);
	c->frame = NULL;
}

static void
send_frame(struct ipc_conn *c, const struct ipc_header *h, struct span body)
{
	char raw[IPC_HEADER_LEN];

	put_header(c, raw, h);
	stream_write(c->stream, raw, sizeof(raw));
	stream_write_span(c->stream, body);
}

void
ipc_send(struct ipc_conn *c, uint16_t type, uint32_t tag, struct span body)
{
	if (c->freed)
		return;
	send_frame(c, &(struct ipc_header){ .type = type, .tag = tag,
	    .len = (uint32_t)MIN(body.len, UINT32_MAX) }, body);
}

void
ipc_send_fd(struct ipc_conn *c, uint16_t type, uint32_t tag, struct span body,
    int fd)
{
	if (c->freed)
		return;
	stream_write_fd(c->stream, fd);
	send_frame(c, &(struct ipc_header){ .type = type, .tag = tag,
	    .nfds = 1, .len = (uint32_t)MIN(body.len, UINT32_MAX) }, body);
}

size_t
ipc_out_len(const struct ipc_conn *c)
{
	return c->freed ? 0 : stream_out_len(c->stream);
}

void
ipc_pause(struct ipc_conn *c)
{
	if (!c->freed)
		stream_pause(c->stream);
}

void
ipc_resume(struct ipc_conn *c)
{
	if (!c->freed && !c->ended)
		stream_resume(c->stream);
}

bool
ipc_conn_ready(const struct ipc_conn *c)
{
	return c->ready;
}

const struct sock_cred *
ipc_conn_peer(const struct ipc_conn *c)
{
	return &c->peer;
}

struct stream *
ipc_conn_stream(struct ipc_conn *c)
{
	return c->stream;
}
