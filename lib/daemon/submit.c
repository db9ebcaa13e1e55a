/* SPDX-License-Identifier: ISC */
/*
 * submit - see submit.h.
 *
 * One connection to cleanup, a tag for each message.  What is attached is read
 * from its file in pieces, as fast as cleanup takes them.  When cleanup goes
 * away, everything that had no answer is sent again from the start.
 */
#include "daemon/submit.h"

#include <errno.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "io/fd.h"
#include "ipc/msg_cleanup.h"

#define OUT_HIGH	(1u << 20)	/* bytes that cleanup has not taken */
#define AGAIN_MS	1000		/* cleanup is away */

struct submission {
	struct list	link;
	uint32_t	tag;		/* 0: not begun */
	struct buf	envelope, head, tail;
	int		fd;
	uint64_t	offset, len;
	uint64_t	sent;		/* bytes of head, file and tail */
	bool		ended;
	submit_fn	*done;
	void		*arg;
};

static struct {
	struct loop	*loop;
	struct ipc_client *client;
	struct loop_timer *timer;
	struct list	 all;
	struct hash	 by_tag;
	uint32_t	 next_tag;
} sm;

static struct span
tag_key(const uint32_t *tag)
{
	return span_make(tag, sizeof(*tag));
}

static void
submission_free(struct submission *s)
{
	if (s->tag != 0)
		(void)hash_del(&sm.by_tag, tag_key(&s->tag));
	list_remove(&s->link);
	buf_fini(&s->envelope);
	buf_fini(&s->head);
	buf_fini(&s->tail);
	fd_close(&s->fd);
	mem_free(s);
	daemon_busy(-1);
}

static void
finish(struct submission *s, bool ok, struct span queue_id, struct span text)
{
	submit_fn *done = s->done;
	void *arg = s->arg;

	/* queue_id and text belong to the frame, not to s. */
	submission_free(s);
	if (done != NULL)
		done(arg, ok, queue_id, text);
}

/* The next piece into tmp: from head, the file, or tail.  0 at the end. */
static ssize_t
next_piece(struct submission *s, char *tmp, size_t size)
{
	uint64_t at = s->sent;
	struct span from;

	if (at < s->head.len) {
		from = span_from(buf_span(&s->head), (size_t)at);
	} else if ((at -= s->head.len) < s->len) {
		ssize_t n;

		do
			n = pread(s->fd, tmp, (size_t)MIN(s->len - at,
			    (uint64_t)size), (off_t)(s->offset + at));
		while (n < 0 && errno == EINTR);
		if (n <= 0)
			return -1;
		/* A NUL is no character of a message. */
		for (ssize_t i = 0; i < n; i++)
			if (tmp[i] == '\0')
				tmp[i] = '?';
		return n;
	} else {
		from = span_from(buf_span(&s->tail), (size_t)(at - s->len));
	}
	from = span_sub(from, 0, size);
	if (from.len > 0)
		memcpy(tmp, from.p, from.len);
	return (ssize_t)from.len;
}

static void
send_some(struct submission *s, struct ipc_conn *c)
{
	static char piece[CLEANUP_CHUNK_MAX];

	if (s->tag == 0) {
		do
			s->tag = ++sm.next_tag;
		while (s->tag == 0 ||
		    hash_find(&sm.by_tag, tag_key(&s->tag)) != NULL);
		(void)hash_put(&sm.by_tag, tag_key(&s->tag), s);
		s->sent = 0;
		s->ended = false;
		ipc_send(c, CLEANUP_BEGIN, s->tag, buf_span(&s->envelope));
	}
	while (!s->ended && ipc_out_len(c) < OUT_HIGH) {
		ssize_t n = next_piece(s, piece, sizeof(piece));

		if (n < 0) {
			ipc_send(c, CLEANUP_ABORT, s->tag, SPAN_EMPTY);
			finish(s, false, SPAN_EMPTY,
			    SPAN("the message cannot be read"));
			return;
		}
		if (n == 0) {
			ipc_send(c, CLEANUP_END, s->tag, SPAN_EMPTY);
			s->ended = true;
			return;
		}
		s->sent += (uint64_t)n;
		ipc_send(c, CLEANUP_CONTENT, s->tag,
		    span_make(piece, (size_t)n));
	}
}

static void
send_all(void *arg)
{
	struct ipc_conn *c;

	if (list_empty(&sm.all))
		return;
	c = ipc_client_conn(sm.client);
	if (c == NULL) {
		loop_timer_set(sm.timer, AGAIN_MS);
		return;
	}
	LIST_FOREACH(l, &sm.all) {
		struct submission *s = LIST_ENTRY(l, struct submission, link);

		if (ipc_out_len(c) >= OUT_HIGH)
			break;		/* on_drain() goes on */
		if (!s->ended)
			send_some(s, c);
	}
}

static int
on_frame(void *arg, struct ipc_conn *c, const struct ipc_frame *f)
{
	struct cleanup_result r;
	struct submission *s;
	char text[600];

	if (f->type == CLEANUP_BUSY)
		return 0;	/* a notice that is refused comes again */
	if (f->type != CLEANUP_RESULT ||
	    cleanup_result_decode(&r, f->body) < 0)
		return -1;
	s = hash_get(&sm.by_tag, tag_key(&f->tag));
	if (s == NULL)
		return 0;
	if (r.code.len > 0 && r.code.p[0] == '2') {
		finish(s, true, r.queue_id, SPAN_EMPTY);
		return 0;
	}
	(void)snprintf(text, sizeof(text), "%.*s %.*s", SPAN_ARG(r.code),
	    (int)MIN(r.text.len, 450), r.text.p != NULL ? r.text.p : "");
	finish(s, false, SPAN_EMPTY, span_of(text));
	return 0;
}

static void
on_drain(void *arg, struct ipc_conn *c)
{
	send_all(NULL);
}

static void
on_up(void *arg, struct ipc_conn *c)
{
	send_all(NULL);
}

static void
on_down(void *arg)
{
	LIST_FOREACH(l, &sm.all) {
		struct submission *s = LIST_ENTRY(l, struct submission, link);

		if (s->tag != 0)
			(void)hash_del(&sm.by_tag, tag_key(&s->tag));
		s->tag = 0;
		s->ended = false;
	}
	loop_timer_set(sm.timer, AGAIN_MS);
}

static const struct ipc_client_ops ops = {
	.on_frame = on_frame, .on_drain = on_drain, .on_up = on_up,
	.on_down = on_down,
};

struct submission *
submit(struct buf *envelope, struct buf *head, int fd, uint64_t offset,
    uint64_t len, struct buf *tail, submit_fn *done, void *arg)
{
	struct submission *s = mem_zalloc(sizeof(*s));

	s->envelope = *envelope;
	s->head = *head;
	s->tail = *tail;
	*envelope = *head = *tail = BUF_INIT(BUF_UNLIMITED);
	s->fd = fd;
	s->offset = offset;
	s->len = len;
	s->done = done;
	s->arg = arg;
	list_append(&sm.all, &s->link);
	daemon_busy(1);
	loop_timer_set(sm.timer, 0);
	return s;
}

void
submit_detach(struct submission *s)
{
	s->done = NULL;
}

void
submit_start(struct loop *l)
{
	char path[128];

	sm.loop = l;
	list_init(&sm.all);
	sm.by_tag = HASH_INIT;
	sm.timer = loop_timer_new(l, send_all, NULL);
	(void)snprintf(path, sizeof(path), "private/%s",
	    conf.cleanup_service_name);
	sm.client = ipc_client_new(l, daemon_socket_path(path),
	    &CLEANUP_PROTO, &ops, NULL);
}
