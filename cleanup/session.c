/* SPDX-License-Identifier: ISC */
/*
 * session - clients' connections, their messages, and flow control.
 *
 * A client may be a smtpd that a stranger has taken over: every frame is
 * checked, what a connection can make us hold is bounded, and a frame that
 * makes no sense ends that connection only.  Frames for a tag that is not
 * known are ignored, because a RESULT that comes early crosses with them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "cleanup/cleanup.h"
#include "cleanup/quota_count.h"
#include "cleanup/settings.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "io/fault.h"
#include "io/fd.h"
#include "ipc/ipc.h"

#define SPACE_MS	1000	/* free space is looked at this often */
#define SETTINGS_MS	1000	/* between attempts to open tables */
#define EXPIRE_MS	60000	/* silent messages are looked for this often */
#define KEEP_FREE	(64u << 20)	/* bytes, until nothing is under way */

struct cleanup cl;

static struct {
	struct loop_timer	*expire;
	int64_t			 space_ms;	/* last look, monotonic */
	int64_t			 settings_ms;	/* last attempt to read them */
	struct loop_timer	*space;		/* set while there is none */
} se;

/* --- refusing ----------------------------------------------------------------- */

int
refuse(struct message *m, unsigned smtp, const char *code,
    const char *fmt, ...)
{
	char text[WHY_TEXT_MAX];
	va_list ap;

	if (m->refused != 0)
		return -1;
	m->refused = smtp;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	why_set(&m->why, code, "%s", text);
	return -1;
}

int
refuse_why(struct message *m, const struct why *why)
{
	return refuse(m, why_temporary(why) ? 451 : 550,
	    why->code[0] != '\0' ? why->code : "4.3.0", "%s", why->text);
}

/* --- flow control --------------------------------------------------------------- */

bool
session_crowded(void)
{
	return cl.held > (size_t)conf.cleanup_memory_limit;
}

/*
 * Not reading makes sense only while it is the disk we wait for: messages
 * that are half here cannot become complete when nobody reads them.
 */
static void
adjust_reading(void)
{
	size_t limit = (size_t)conf.cleanup_memory_limit;
	bool pause = cl.paused ? cl.committing > limit / 4 :
	    cl.committing > limit / 2;

	if (pause == cl.paused)
		return;
	cl.paused = pause;
	LIST_FOREACH(l, &cl.conns) {
		struct conn *c = LIST_ENTRY(l, struct conn, all);

		if (pause)
			ipc_pause(c->ipc);
		else
			ipc_resume(c->ipc);
	}
}

void
session_hold(struct message *m, size_t bytes)
{
	cl.held = cl.held - m->held + bytes;
	m->held = bytes;
}

void
session_committing(ptrdiff_t bytes)
{
	cl.committing = (size_t)((ptrdiff_t)cl.committing + bytes);
	adjust_reading();
}

static void
send_busy(struct conn *c)
{
	struct cleanup_busy busy = { .full = cl.full,
	    .delay_ms = cl.delay_ms };

	cleanup_busy_encode(ipc_begin(c->ipc, CLEANUP_BUSY, 0), &busy);
	ipc_end(c->ipc);
}

static void
set_busy(bool full, uint32_t delay_ms, const char *reason)
{
	if (full == cl.full && delay_ms == cl.delay_ms)
		return;
	if (full != cl.full) {
		if (full)
			log_warning("not enough free space in the queue: mail "
			    "is answered 452%s%s", *reason != '\0' ? ": " : "",
			    reason);
		else
			log_info("there is enough free space in the queue "
			    "again");
	}
	cl.full = full;
	cl.delay_ms = delay_ms;
	/* While clients hear of it no BEGIN comes that would make us look. */
	if (full)
		loop_timer_set(se.space, SPACE_MS);
	LIST_FOREACH(l, &cl.conns)
		send_busy(LIST_ENTRY(l, struct conn, all));
}

void
session_set_busy(bool full, uint32_t delay_ms)
{
	set_busy(full, delay_ms, "");
}

void
session_note_full(void)
{
	se.space_ms = clock_mono_ms();
	session_set_busy(true, cl.delay_ms);
}

bool
session_queue_full(void)
{
	int64_t now = loop_now_ms(cl.loop);
	uint64_t bytes, inodes;
	struct why why = WHY_INIT;

	if (se.space_ms != 0 && now - se.space_ms < SPACE_MS)
		return cl.full;
	se.space_ms = now;
	if (qlog_full(cl.log, &why) || commit_numbers(1, &why) < 0) {
		set_busy(true, cl.delay_ms, why.text);
		return cl.full;
	}
	if (spool_free(&cl.spool, &bytes, &inodes, &why) < 0) {
		log_warning("%s", why.text);
		return cl.full;
	}
	session_set_busy((conf.queue_minfree > 0 &&
	    bytes < (uint64_t)conf.queue_minfree) || inodes == 0,
	    cl.delay_ms);
	return cl.full;
}

static void
look_for_space(void *arg)
{
	if (session_queue_full())
		loop_timer_set(se.space, SPACE_MS);
}

void
session_flush_all(void)
{
	LIST_FOREACH(l, &cl.conns)
		stream_flush(ipc_conn_stream(LIST_ENTRY(l, struct conn,
		    all)->ipc));
}

/* --- messages --------------------------------------------------------------------- */

static void
message_free(struct message *m)
{
	if (m->state == MESSAGE_COMMITTING)
		session_committing(-(ptrdiff_t)m->held);
	session_hold(m, 0);
	cl.messages--;
	if (m->conn != NULL) {
		list_remove(&m->in_conn);
		m->conn->count--;
	}
	list_remove(&m->in_work);
	content_free(m);
	fd_close(&m->large_fd);
	if (m->large_tmp[0] != '\0')
		(void)fault_unlinkat(cl.spool.dirfd, m->large_tmp, 0);
	buf_fini(&m->out);
	buf_fini(&m->record);
	envelope_fini(&m->env);
	ARRAY_FINI(&m->bcc);
	arena_fini(&m->arena);
	mem_free(m);
	daemon_busy(-1);
}

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
 * Tables that cannot be opened at the start are tried again: until then mail
 * has to wait, but nothing has to be started once more.
 */
static bool
have_settings(void)
{
	struct why why = WHY_INIT;
	int64_t now = loop_now_ms(cl.loop);

	if (cl.set != NULL)
		return true;
	if (se.settings_ms != 0 && now - se.settings_ms < SETTINGS_MS)
		return false;
	se.settings_ms = now;
	cl.set = settings_new(&why);
	if (cl.set == NULL)
		log_error("%s: mail is answered 451 until this is put right",
		    why.text);
	return cl.set != NULL;
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
	if (!have_settings()) {
		turn_away(c, tag, 451, "4.3.5",
		    "Error: server configuration problem");
		return 0;
	}
	if (session_queue_full() || commit_numbers(1, &why) < 0 ||
	    qlog_broken(cl.log)) {
		turn_away(c, tag, 452, "4.3.1",
		    "Insufficient system storage");
		return 0;
	}
	if (c->count >= (size_t)conf.cleanup_connection_message_limit ||
	    (cl.messages > 0 && session_crowded())) {
		turn_away(c, tag, 452, "4.3.1",
		    "Too many messages under way; try again");
		return 0;
	}
	m = mem_zalloc(sizeof(*m));
	m->arena = ARENA_INIT;
	m->out = BUF_INIT(BUF_UNLIMITED);
	m->record = BUF_INIT(BUF_UNLIMITED);
	m->large_fd = -1;
	m->tag = tag;
	m->active_ms = loop_now_ms(cl.loop);
	copy = arena_alloc(&m->arena, body.len + 1);
	if (body.len > 0)
		memcpy(copy, body.p, body.len);
	if (envelope_decode(&m->env, span_make(copy, body.len), &why) < 0) {
		log_warning("bad envelope from pid %d: %s",
		    (int)ipc_conn_peer(c->ipc)->pid, why.text);
		arena_fini(&m->arena);
		mem_free(m);
		return -1;
	}
	if (choose_id(c, m) < 0) {
		log_warning("a queue id that is not its own from pid %d",
		    (int)ipc_conn_peer(c->ipc)->pid);
		envelope_fini(&m->env);
		arena_fini(&m->arena);
		mem_free(m);
		return -1;
	}
	m->conn = c;
	list_append(&c->messages, &m->in_conn);
	c->count++;
	cl.messages++;
	daemon_busy(1);
	(void)hash_put(&c->by_tag, span_make(&tag, sizeof(tag)), m);
	session_hold(m, sizeof(*m) + body.len +
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
		session_hold(m, sizeof(*m) + m->arena.used + m->out.alloc +
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
	session_hold(m, m->held + body.len);
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

/* --- mail of our own --------------------------------------------------------- */

struct post {
	struct list	 link;
	char		*rcpt;
	struct buf	 text;
};

static struct list posts = LIST_INIT(posts);
static struct loop_timer *post_timer;

static void
post_one(const struct post *p)
{
	struct message *m = mem_zalloc(sizeof(*m));
	struct why why = WHY_INIT;

	m->arena = ARENA_INIT;
	m->out = BUF_INIT(BUF_UNLIMITED);
	m->record = BUF_INIT(BUF_UNLIMITED);
	m->large_fd = -1;
	m->env = ENVELOPE_INIT;
	m->env.flags = ENV_LOCAL;
	m->env.sender = SPAN("");
	m->env.protocol = SPAN("local");
	m->env.arrival_us = clock_wall_us();
	ARRAY_PUSH(&m->env.rcpts)->addr = span_make(arena_span_dup(&m->arena,
	    span_of(p->rcpt)), strlen(p->rcpt));
	cl.messages++;
	daemon_busy(1);
	if (commit_numbers(1, &why) < 0) {
		log_warning("a notice to %s is lost: %s", p->rcpt, why.text);
		message_free(m);
		return;
	}
	commit_queue_id(m->queue_id);
	m->env.queue_id = span_of(m->queue_id);
	trace_id_make(m->trace_id);
	m->env.trace_id = span_of(m->trace_id);
	session_hold(m, sizeof(*m) + p->text.len);
	if (envelope_begin(m) == 0)
		content_begin(m);
	if (m->refused != 0 || content_write(m, buf_span(&p->text)) < 0 ||
	    content_end(m) < 0 || envelope_end(m) < 0) {
		log_warning("a notice to %s is lost: %s", p->rcpt,
		    m->why.text);
		message_free(m);
		return;
	}
	commit_message(m);
}

static void
post_all(void *arg)
{
	while (!list_empty(&posts)) {
		struct post *p = LIST_ENTRY(posts.next, struct post, link);

		list_remove(&p->link);
		if (have_settings())
			post_one(p);
		buf_fini(&p->text);
		mem_free(p->rcpt);
		mem_free(p);
	}
}

void
session_post(const char *rcpt, struct buf *text)
{
	struct post *p = mem_zalloc(sizeof(*p));

	if (post_timer == NULL)
		post_timer = loop_timer_new(cl.loop, post_all, NULL);
	p->rcpt = mem_strdup(rcpt);
	p->text = *text;
	*text = BUF_INIT(BUF_UNLIMITED);
	list_append(&posts, &p->link);
	loop_timer_set(post_timer, 0);
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
	(void)session_queue_full();
	if (cl.messages == 0)
		mem_give_back();
	loop_timer_set(se.expire, EXPIRE_MS);
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
	if (cl.full || cl.delay_ms > 0)
		send_busy(c);
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

/* --- start, reload, stop ------------------------------------------------------------- */

/* What a crash left in large/ under a temporary name. */
static void
sweep_large(void)
{
	struct why why = WHY_INIT;

	if (spool_sweep_tmp(&cl.spool, SPOOL_LARGE, &why) < 0)
		log_warning("%s", why.text);
}

int
cleanup_start(struct why *why)
{
	struct qlog_options opt = {
		.segment_size = (size_t)conf.queue_segment_size,
		.slots_max = (unsigned)conf.queue_segment_limit
	};

	cl.loop = daemon_loop();
	mem_keep_free(KEEP_FREE);
	list_init(&cl.conns);
	if (spool_open(&cl.spool, ".", why) < 0)
		return -1;
	cl.large_dirfd = open("large", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cl.large_dirfd < 0)
		return why_errno(why, "4.3.0", "open large/");
	cl.log = qlog_open(cl.spool.dirfd, "log", &opt, why);
	if (cl.log == NULL)
		return -1;
	(void)have_settings();
	sweep_large();
	if (commit_start(why) < 0)
		return -1;
	feed_start();
	se.space = loop_timer_new(cl.loop, look_for_space, NULL);
	(void)session_queue_full();
	se.expire = loop_timer_new(cl.loop, expire, NULL);
	loop_timer_set(se.expire, EXPIRE_MS);
	return 0;
}

int
cleanup_reload(struct why *why)
{
	struct settings *s = settings_new(why);

	if (s == NULL)
		return -1;		/* the old ones stay */
	settings_free(&cl.set);
	cl.set = s;
	se.space_ms = 0;
	(void)session_queue_full();
	return 0;
}

int
cleanup_check(struct why *why)
{
	struct settings *s = settings_new(why);

	if (s == NULL)
		return -1;
	settings_free(&s);
	return 0;
}

/* Messages under way go to their end; daemon_busy() counts them. */
void
cleanup_drain(void)
{
	feed_drain();
	quota_counters_end();
}
