/* SPDX-License-Identifier: ISC */
/*
 * submit - messages of all sessions to cleanup, over one connection.
 *
 * Each message is a tag.  Frames are gathered by the connection and written
 * once a loop turn, so many sessions' messages share a system call.  While
 * more than SMTPD_QUEUE_HIGH bytes lie there untaken, sessions that have
 * content wait (submit_full()) and go on when the output has drained.
 *
 * Queue ids are made here of numbers that cleanup grants, so that our log line
 * with the client comes before anything that others say of the message; log
 * analysers read in that order.  Without a number cleanup makes the id.
 *
 * When the connection ends, every message without a RESULT is answered as
 * failed: nobody was told that it is safe (contract 1).
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "ipc/tags.h"
#include "queue/queue_id.h"
#include "smtpd/smtpd.h"

static struct ipc_client *client;
static struct tags tags = TAGS_INIT;
static struct buf *frame;		/* between reserve and commit */
static bool busy_full;
static int64_t busy_delay_ms;

/* Numbers for queue ids; the older grant first. */
static struct grant {
	uint64_t next, end;
} grants[2];
static bool asked;			/* for another grant */

static int
on_result(const struct ipc_frame *f)
{
	struct cleanup_result res;
	struct session *s;

	if (cleanup_result_decode(&res, f->body) < 0)
		return -1;
	s = tags_get(&tags, f->tag);
	if (s == NULL)
		return 0;		/* aborted meanwhile */
	tags_del(&tags, f->tag);
	s->txn->tag = 0;
	data_result(s, &res);
	return 0;
}

static void
ask_numbers(struct ipc_conn *c)
{
	asked = true;
	ipc_send(c, CLEANUP_WANT_NUMBERS, 0, SPAN_EMPTY);
}

static int
on_numbers(const struct ipc_frame *f)
{
	struct grant *g = &grants[grants[0].next < grants[0].end];
	struct cleanup_numbers got;

	if (cleanup_numbers_decode(&got, f->body) < 0 || !asked)
		return -1;
	asked = false;
	*g = (struct grant){ got.first, got.first + got.count };
	return 0;
}

/* False: there is no number now. */
static bool
make_id(struct ipc_conn *c, char out[QUEUE_ID_MAX])
{
	uint64_t left = grants[0].end - grants[0].next;

	if (left == 0) {
		grants[0] = grants[1];
		grants[1] = (struct grant){ 0, 0 };
		left = grants[0].end - grants[0].next;
	}
	if (left < CLEANUP_NUMBERS_GRANT / 2 && !asked &&
	    grants[1].next == grants[1].end)
		ask_numbers(c);
	if (left == 0)
		return false;
	queue_id_make(clock_wall_us(), grants[0].next++, out);
	return true;
}

static int
on_frame(void *arg, struct ipc_conn *c, const struct ipc_frame *f)
{
	struct cleanup_busy b;

	if (f->fd >= 0)
		return -1;
	switch (f->type) {
	case CLEANUP_RESULT:
		return on_result(f);
	case CLEANUP_BUSY:
		if (cleanup_busy_decode(&b, f->body) < 0)
			return -1;
		busy_full = b.full;
		busy_delay_ms = b.delay_ms;
		return 0;
	case CLEANUP_NUMBERS:
		return on_numbers(f);
	default:
		return -1;
	}
}

static void
on_drain(void *arg, struct ipc_conn *c)
{
	session_room();
}

static void
lost(void *p)
{
	struct session *s = p;

	tags_del(&tags, s->txn->tag);
	s->txn->tag = 0;
	data_result(s, NULL);
}

static void
on_down(void *arg)
{
	if (tags.used > 0)
		log_warning("lost connection with cleanup: %zu messages "
		    "under way are refused for now", tags.used);
	busy_full = false;
	busy_delay_ms = 0;
	asked = false;
	grants[0] = grants[1] = (struct grant){ 0, 0 };
	tags_each(&tags, lost);
	session_room();
}

/* A message may have come, and asked, before. */
static void
on_up(void *arg, struct ipc_conn *c)
{
	if (!asked)
		ask_numbers(c);
}

static const struct ipc_client_ops ops = {
	.on_frame = on_frame,
	.on_drain = on_drain,
	.on_up = on_up,
	.on_down = on_down,
};

void
submit_start(struct loop *l, const char *path)
{
	client = ipc_client_new(l, path, &CLEANUP_PROTO, &ops, NULL);
}

bool
submit_ready(const char **text, int64_t *delay_ms)
{
	struct ipc_conn *c = ipc_client_conn(client);

	*delay_ms = 0;
	if (c == NULL) {
		log_warning("cleanup is not there: mail is refused for now");
		*text = "451 4.3.0 Error: queue file write error";
		return false;
	}
	if (busy_full) {
		*text = "452 4.3.1 Insufficient system storage";
		return false;
	}
	*delay_ms = busy_delay_ms;
	return true;
}

bool
submit_full(void)
{
	struct ipc_conn *c = ipc_client_conn(client);

	return c != NULL && ipc_out_len(c) > SMTPD_QUEUE_HIGH;
}

/* What cleanup, and everybody after it, knows of the client. */
static void
fill_client(struct session *s)
{
	struct envelope *e = &s->txn->env;
	const struct xforward *x = s->forward;
	uint64_t port = sock_addr_port(&s->addr);

	e->client_name = span_of(x && x->name ? x->name : s->name);
	e->client_addr = span_of(x && x->addr ? x->addr : s->addr_text);
	e->client_port = (uint32_t)port;
	e->helo = span_of(x && x->helo ? x->helo :
	    s->helo == NULL ? "" : s->helo);
	e->protocol = span_of(x && x->proto ? x->proto : session_with(s));
	e->tls = span_of(s->secured == NULL || s->secured->received == NULL ?
	    "" : s->secured->received);
	e->login = span_of(s->login == NULL ? "" : s->login);
	e->sasl_method = span_of(s->sasl_method == NULL ? "" :
	    s->sasl_method);
}

/* BCC actions are recipients that the client does not know of. */
static void
add_bcc(struct txn *t, struct envelope *e)
{
	for (; t->bcc_sent < t->bcc.len; t->bcc_sent++) {
		struct rcpt *r = ARRAY_PUSH(&e->rcpts);

		r->addr = t->bcc.v[t->bcc_sent];
		r->dsn_notify = DSN_NOTIFY_NEVER;
	}
}

int
submit_begin(struct session *s)
{
	struct ipc_conn *c = ipc_client_conn(client);
	struct txn *t = s->txn;
	size_t nrcpt = t->env.rcpts.len;
	char id[QUEUE_ID_MAX];

	if (c == NULL)
		return -1;
	t->tag = tags_add(&tags, s);
	if (t->tag == 0)
		return -1;
	fill_client(s);
	add_bcc(t, &t->env);
	if (make_id(c, id)) {
		t->env.queue_id = span_of(arena_strdup(&t->arena, id));
		data_log_client(s, t->env.queue_id);
	}
	envelope_encode(ipc_begin(c, CLEANUP_BEGIN, t->tag), &t->env);
	ipc_end(c);
	/* They are not the client's: LMTP counts its own. */
	t->env.rcpts.len = nrcpt;
	return 0;
}

char *
submit_reserve(struct session *s, size_t n)
{
	struct ipc_conn *c = ipc_client_conn(client);
	char *to;

	frame = ipc_begin(c, CLEANUP_CONTENT, s->txn->tag);
	to = buf_reserve(frame, n);
	if (to == NULL)
		log_panic("no room for %zu bytes of content", n);
	return to;
}

void
submit_commit(struct session *s, size_t n)
{
	buf_commit(frame, n);
	ipc_end(ipc_client_conn(client));
	frame = NULL;
}

/* What smtpd_end_of_data_restrictions have said. */
static void
send_change(struct txn *t)
{
	struct ipc_conn *c = ipc_client_conn(client);
	struct envelope e = ENVELOPE_INIT;

	e.flags = t->env.flags & ENV_HOLD;
	e.filter = t->env.filter;
	e.redirect = t->env.redirect;
	add_bcc(t, &e);
	envelope_encode(ipc_begin(c, CLEANUP_CHANGE, t->tag), &e);
	ipc_end(c);
	envelope_fini(&e);
}

void
submit_end(struct session *s)
{
	if (s->txn->changed)
		send_change(s->txn);
	ipc_send(ipc_client_conn(client), CLEANUP_END, s->txn->tag,
	    SPAN_EMPTY);
}

void
submit_abort(struct txn *t)
{
	struct ipc_conn *c;

	if (t->tag == 0)
		return;
	if (tags_get(&tags, t->tag) != NULL) {
		tags_del(&tags, t->tag);
		c = ipc_client_conn(client);
		if (c != NULL)
			ipc_send(c, CLEANUP_ABORT, t->tag, SPAN_EMPTY);
	}
	t->tag = 0;
}
