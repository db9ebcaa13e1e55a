/* SPDX-License-Identifier: ISC */
/*
 * session - clients' connections and their messages.
 *
 * A client may be a smtpd that a stranger has taken over: every frame is
 * checked, what a connection can make us hold is bounded, and a frame that
 * makes no sense ends that connection only.  Frames for a tag that is not
 * known are ignored, because a RESULT that comes early crosses with them.
 */
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "cleanup/cleanup.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "io/fd.h"
#include "ipc/ipc.h"

#define EXPIRE_MS	60000	/* silent messages are looked for this often */

static struct loop_timer *expiry;

void
session_flush_all(void)
{
	LIST_FOREACH(l, &cl.conns)
		stream_flush(ipc_conn_stream(LIST_ENTRY(l, struct conn,
		    all)->ipc));
}

/* --- messages --------------------------------------------------------------------- */

static void
untag(struct message *m)
{
	if (m->conn != NULL)
		(void)hash_del(&m->conn->by_tag,
		    span_make(&m->tag, sizeof(m->tag)));
}

void
session_result(struct message *m)
{
	struct cleanup_result r = {
		.code = m->refused != 0 ? span_of(m->why.code) :
		    SPAN("2.0.0"),
		.smtp = m->refused != 0 ? m->refused : 250,
		.text = span_of(m->refused != 0 ? m->why.text : ""),
		.queue_id = span_of(m->queue_id),
		.discard = m->discard
	};

	if (m->conn != NULL) {
		if (m->state == MESSAGE_OPEN)
			untag(m);
		cleanup_result_encode(ipc_begin(m->conn->ipc, CLEANUP_RESULT,
		    m->tag), &r);
		ipc_end(m->conn->ipc);
	}
	message_free(m);
}

static struct message *
find(struct conn *c, uint32_t tag)
{
	return hash_get(&c->by_tag, span_make(&tag, sizeof(tag)));
}

/* Refused before there is a message. */
static void
turn_away(struct conn *c, uint32_t tag, unsigned smtp, const char *code,
    const char *text)
{
	struct cleanup_result r = { .code = span_of(code), .smtp = smtp,
	    .text = span_of(text), .queue_id = SPAN("") };

	cleanup_result_encode(ipc_begin(c->ipc, CLEANUP_RESULT, tag), &r);
	ipc_end(c->ipc);
}

/*
 * The id that the client has made of a number that is its own, or one of
 * ours.  -1: it has used a number that it has not.
 */
static int
choose_id(struct conn *c, struct message *m)
{
	struct span given = m->env.queue_id;
	int64_t us;
	uint64_t n;

	if (given.len == 0 || c->grants[0].end == 0) {
		commit_queue_id(m->queue_id);
		return 0;
	}
	if (queue_id_parse(given, &us, &n) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(c->grants); i++) {
		struct grant *g = &c->grants[i];

		if (n < g->next || n >= g->end)
			continue;
		/* The same number may not be written in another way. */
		queue_id_make(us, n, m->queue_id);
		if (!span_is(given, m->queue_id))
			return -1;
		g->next = n + 1;
		if (i > 0 || g->next == g->end) {
			c->grants[0] = i > 0 ? *g : c->grants[1];
			c->grants[1] = (struct grant){ 0, 0 };
		}
		return 0;
	}
	return -1;
}

static int
on_want_numbers(struct conn *c)
{
	struct cleanup_numbers grant = { .count = CLEANUP_NUMBERS_GRANT };
	struct grant *g = &c->grants[c->grants[0].next < c->grants[0].end];
	struct why why = WHY_INIT;

	if (g->next < g->end)
		return -1;
	if (commit_numbers(grant.count, &why) < 0)
		grant.count = 0;
	grant.first = commit_grant(grant.count);
	*g = (struct grant){ grant.first, grant.first + grant.count };
	cleanup_numbers_encode(ipc_begin(c->ipc, CLEANUP_NUMBERS, 0), &grant);
	ipc_end(c->ipc);
	return 0;
}

static int
on_begin(struct conn *c, uint32_t tag, struct span body)
{
	struct message *m;
	struct why why = WHY_INIT;
	char *copy;

	if (find(c, tag) != NULL)
		return -1;		/* two messages with one tag */
	if (daemon_draining()) {
		turn_away(c, tag, 421, "4.3.2", "Service shutting down");
		return 0;
	}
	if (!settings_ready()) {
		turn_away(c, tag, 451, "4.3.5",
		    "Error: server configuration problem");
		return 0;
	}
	if (room_full() || commit_numbers(1, &why) < 0 ||
	    qlog_broken(cl.log)) {
		turn_away(c, tag, 452, "4.3.1",
		    "Insufficient system storage");
		return 0;
	}
	if (c->count >= (size_t)conf.cleanup_connection_message_limit ||
	    (cl.messages > 0 && room_crowded())) {
		turn_away(c, tag, 452, "4.3.1",
		    "Too many messages under way; try again");
		return 0;
	}
	m = message_new();
	m->tag = tag;
	m->active_ms = loop_now_ms(cl.loop);
	copy = arena_alloc(&m->arena, body.len + 1);
	if (body.len > 0)
		memcpy(copy, body.p, body.len);
	if (envelope_decode(&m->env, span_make(copy, body.len), &why) < 0) {
		log_warning("bad envelope from pid %d: %s",
		    (int)ipc_conn_peer(c->ipc)->pid, why.text);
		message_free(m);
		return -1;
	}
	if (choose_id(c, m) < 0) {
		log_warning("a queue id that is not its own from pid %d",
		    (int)ipc_conn_peer(c->ipc)->pid);
		message_free(m);
		return -1;
	}
	m->conn = c;
	list_append(&c->messages, &m->in_conn);
	c->count++;
	(void)hash_put(&c->by_tag, span_make(&tag, sizeof(tag)), m);
	room_hold(m, sizeof(*m) + body.len +
	    m->env.rcpts.alloc * sizeof(struct rcpt));
	m->env.queue_id = span_of(m->queue_id);
	if (m->env.trace_id.len == 0) {
		trace_id_make(m->trace_id);
		m->env.trace_id = span_of(m->trace_id);
	}
	if (m->env.arrival_us == 0)
		m->env.arrival_us = clock_wall_us();
	if (m->env.rcpts.len == 0) {
		refuse(m, 554, "5.5.1", "Error: no valid recipients");
		session_result(m);
		return 0;
	}
	if (envelope_begin(m) < 0) {
		session_result(m);
		return 0;
	}
	content_begin(m);
	if (m->refused != 0)
		session_result(m);
	return 0;
}

static int
on_content(struct conn *c, uint32_t tag, struct span body)
{
	struct message *m = find(c, tag);

	if (body.len > CLEANUP_CHUNK_MAX)
		return -1;
	if (m == NULL)
		return 0;
	m->active_ms = loop_now_ms(cl.loop);
	if (content_write(m, body) < 0)
		session_result(m);
	else
		room_hold(m, sizeof(*m) + m->arena.used + m->out.alloc +
		    m->env.rcpts.alloc * sizeof(struct rcpt));
	return 0;
}

static int
on_change(struct conn *c, uint32_t tag, struct span body)
{
	struct message *m = find(c, tag);
	struct envelope e;
	struct why why = WHY_INIT;

	if (m == NULL)
		return 0;
	if (m->changed)
		return -1;
	m->changed = true;
	body = span_make(arena_span_dup(&m->arena, body), body.len);
	if (envelope_decode(&e, body, &why) < 0 ||
	    e.rcpts.len > ENVELOPE_RCPT_MAX - m->bcc.len) {
		log_warning("%s: bad change of an envelope from pid %d: %s",
		    m->queue_id, (int)ipc_conn_peer(c->ipc)->pid, why.text);
		return -1;
	}
	m->env.flags |= e.flags & ENV_HOLD;
	if (e.filter.len > 0)
		m->env.filter = e.filter;
	if (e.redirect.len > 0)
		m->env.redirect = e.redirect;
	for (size_t i = 0; i < e.rcpts.len; i++)
		*ARRAY_PUSH(&m->bcc) = e.rcpts.v[i].addr;
	envelope_fini(&e);
	room_hold(m, m->held + body.len);
	return 0;
}

static int
on_end_of_message(struct conn *c, uint32_t tag)
{
	struct message *m = find(c, tag);

	if (m == NULL)
		return 0;
	if (content_end(m) < 0 || envelope_end(m) < 0) {
		session_result(m);
		return 0;
	}
	untag(m);
	commit_message(m);
	return 0;
}

static void
on_abort(struct conn *c, uint32_t tag)
{
	struct message *m = find(c, tag);

	if (m != NULL) {
		untag(m);
		message_free(m);
		return;
	}
	LIST_FOREACH(l, &c->messages) {
		m = LIST_ENTRY(l, struct message, in_conn);
		if (m->tag != tag)
			continue;
		list_remove(&m->in_conn);
		c->count--;
		commit_forget(m);
		return;
	}
}

static int
on_frame(void *arg, struct ipc_conn *ipc, const struct ipc_frame *f)
{
	struct conn *c = arg;

	if (f->fd >= 0) {
		int fd = f->fd;

		fd_close(&fd);
		return -1;
	}
	switch (f->type) {
	case CLEANUP_BEGIN:
		return on_begin(c, f->tag, f->body);
	case CLEANUP_CONTENT:
		return on_content(c, f->tag, f->body);
	case CLEANUP_END:
		return f->body.len != 0 ? -1 : on_end_of_message(c, f->tag);
	case CLEANUP_ABORT:
		if (f->body.len != 0)
			return -1;
		on_abort(c, f->tag);
		return 0;
	case CLEANUP_CHANGE:
		return on_change(c, f->tag, f->body);
	case CLEANUP_WANT_NUMBERS:
		return f->body.len != 0 ? -1 : on_want_numbers(c);
	default:
		return -1;
	}
}

static void
on_end(void *arg, struct ipc_conn *ipc)
{
	struct conn *c = arg;

	while (!list_empty(&c->messages)) {
		struct message *m = LIST_ENTRY(c->messages.next,
		    struct message, in_conn);

		list_remove(&m->in_conn);
		m->conn = NULL;
		if (m->state == MESSAGE_OPEN)
			message_free(m);
		else
			commit_forget(m);
	}
	list_remove(&c->all);
	hash_fini(&c->by_tag, NULL);
	ipc_conn_free(&c->ipc);
	mem_free(c);
}

/* A client that is silent for long has forgotten its message. */
static void
expire(void *arg)
{
	int64_t before = loop_now_ms(cl.loop) - conf.ipc_timeout * 1000;

	LIST_FOREACH(l, &cl.conns) {
		struct conn *c = LIST_ENTRY(l, struct conn, all);

		LIST_FOREACH(k, &c->messages) {
			struct message *m = LIST_ENTRY(k, struct message,
			    in_conn);

			if (m->state != MESSAGE_OPEN || m->active_ms > before)
				continue;
			log_warning("%s: nothing came for %lld s: dropped",
			    m->queue_id, (long long)conf.ipc_timeout);
			refuse(m, 421, "4.4.2", "Error: timeout exceeded");
			session_result(m);
		}
	}
	(void)room_full();
	if (cl.messages == 0)
		mem_give_back();
	loop_timer_set(expiry, EXPIRE_MS);
}

/* root, mail_owner, or, when we run as neither (tests), ourselves. */
static bool
peer_allowed(int fd)
{
	struct sock_cred cred;

	return sock_peer_cred(fd, &cred) == 0 && (cred.uid == 0 ||
	    cred.uid == daemon_mail_uid() || cred.uid == geteuid());
}

void
session_start(void)
{
	expiry = loop_timer_new(cl.loop, expire, NULL);
	loop_timer_set(expiry, EXPIRE_MS);
}

void
session_accept(int fd)
{
	static const struct ipc_ops ops = { .on_frame = on_frame,
	    .on_end = on_end };
	struct conn *c = mem_zalloc(sizeof(*c));

	list_init(&c->messages);
	c->ipc = ipc_conn_new(cl.loop, fd, &CLEANUP_PROTO, &ops, c);
	list_append(&cl.conns, &c->all);
	if (cl.paused)
		ipc_pause(c->ipc);
	room_tell(c);
}

void
cleanup_accept(int fd, const struct sock_addr *peer, int listener)
{
	if (!peer_allowed(fd)) {
		log_warning("connection from a user who may not");
		fd_close(&fd);
	} else if (listener == 1)
		feed_accept(fd);
	else
		session_accept(fd);
}
