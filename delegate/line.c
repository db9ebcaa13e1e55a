/* SPDX-License-Identifier: ISC */
/*
 * line - one connection to a policy service.
 *
 * A request is written, an answer is read, and the line is idle until the next
 * request.  What comes unasked shows that the other end has lost its place: an
 * answer of its would be taken for another's, so such a line is closed.
 */
#include <errno.h>
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "daemon/daemon.h"
#include "delegate/delegate.h"
#include "io/stream.h"

struct line {
	struct list	 link;		/* of server->lines */
	struct server	*server;
	struct question	*q;		/* NULL: idle */
	struct dial	*dial;		/* being connected */
	struct stream	*stream;
	int64_t		 until_ms;	/* it may be used so long */
	uint32_t	 asked;		/* requests so far */
	uint32_t	 limit;		/* of those; 0: none */
	char		 instance[65];	/* whose request was the last */
};

static void on_read(void *arg, struct stream *st);
static void on_end(void *arg, struct stream *st, enum stream_end why);

static const struct stream_ops ops = { .on_read = on_read, .on_end = on_end };

static void
line_free(struct line *l)
{
	list_remove(&l->link);
	l->server->nlines--;
	if (l->q != NULL)
		l->q->line = NULL;
	dial_cancel(&l->dial);
	stream_free(&l->stream);
	mem_free(l);
}

/* The question's attempt has failed, and so has the line. */
static void
line_failed(struct line *l, const char *reason, bool stale)
{
	struct question *q = l->q;
	struct server *srv = l->server;

	line_free(l);
	if (q != NULL)
		server_failed(q, reason, stale);
	server_next(srv);
}

void
line_drop(struct line **lp)
{
	struct line *l = *lp;
	struct server *srv = l->server;

	*lp = NULL;
	line_free(l);
	server_next(srv);
}

static bool
worn_out(const struct line *l)
{
	return loop_now_ms(daemon_loop()) >= l->until_ms ||
	    (l->limit > 0 && l->asked >= l->limit) || !l->server->named;
}

void
lines_close_idle(struct server *srv)
{
	LIST_FOREACH(i, &srv->lines) {
		struct line *l = LIST_ENTRY(i, struct line, link);

		if (l->q == NULL)
			line_free(l);
	}
}

struct line *
line_idle(struct server *srv, const struct question *q)
{
	struct line *best = NULL;

	if (q->fresh)
		return NULL;
	LIST_FOREACH(i, &srv->lines) {
		struct line *l = LIST_ENTRY(i, struct line, link);

		if (l->q != NULL)
			break;		/* the idle ones are first */
		if (worn_out(l)) {
			line_free(l);
			continue;
		}
		/* SMTPD_POLICY_README: one message, one connection. */
		if (strcmp(l->instance, q->instance) == 0)
			return l;
		if (best == NULL)
			best = l;
	}
	return best;
}

void
line_ask(struct line *l, struct question *q)
{
	l->q = q;
	q->line = l;
	l->asked++;
	l->limit = q->m.requests;
	(void)snprintf(l->instance, sizeof(l->instance), "%s", q->instance);
	list_remove(&l->link);
	list_append(&l->server->lines, &l->link);
	stream_write_span(l->stream, q->m.request);
	stream_set_deadline(l->stream, q->m.timeout_ms);
}

static void
on_dialled(void *arg, int fd, const char *reason)
{
	struct line *l = arg;

	l->dial = NULL;
	if (fd < 0) {
		line_failed(l, reason, false);
		return;
	}
	l->stream = stream_new(daemon_loop(), fd, REPLY_MAX,
	    2 * DELEGATE_REQUEST_MAX, &ops, l);
	line_ask(l, l->q);
}

void
line_open(struct server *srv, struct question *q)
{
	struct line *l = mem_zalloc(sizeof(*l));

	l->server = srv;
	l->q = q;
	q->line = l;
	l->until_ms = loop_now_ms(daemon_loop()) + q->m.ttl_ms;
	srv->nlines++;
	list_append(&srv->lines, &l->link);
	l->dial = dial_start(&srv->where, q->m.timeout_ms, on_dialled, l);
}

/* The answer is there; the line waits for the next request. */
static void
rest(struct line *l)
{
	struct question *q = l->q;
	int64_t left = l->until_ms - loop_now_ms(daemon_loop());

	q->line = NULL;
	l->q = NULL;
	list_remove(&l->link);
	list_prepend(&l->server->lines, &l->link);
	stream_set_deadline(l->stream, MAX(1, MIN(left, q->m.idle_ms)));
}

static void
on_read(void *arg, struct stream *st)
{
	struct line *l = arg;
	struct span in = stream_input(st), action;
	struct server *srv = l->server;
	struct question *q = l->q;
	const char *reason = NULL;
	size_t used;

	if (q == NULL) {
		if (in.len > 0) {
			log_warning("server %s speaks unasked: the connection "
			    "is closed", srv->shown);
			line_free(l);
		}
		return;
	}
	switch (reply_parse(in, &action, &used, &reason)) {
	case 0:
		return;
	case 1:
		break;
	default:
		line_failed(l, reason, false);
		return;
	}
	if (used < in.len) {
		log_warning("server %s says more than its answer: the "
		    "connection is closed", srv->shown);
		line_free(l);
		server_answered(q, action);
	} else {
		rest(l);
		server_answered(q, action);
		stream_consume(st, used);
		if (worn_out(l))
			line_free(l);
	}
	server_next(srv);
}

static void
on_end(void *arg, struct stream *st, enum stream_end why)
{
	struct line *l = arg;
	bool stale = l->asked > 1 && stream_input(st).len == 0;

	switch (why) {
	case STREAM_EOF:
		line_failed(l, "Connection closed by the server", stale);
		break;
	case STREAM_TIMEOUT:
		line_failed(l, strerror(ETIMEDOUT), false);
		break;
	case STREAM_OVERFLOW:
		line_failed(l, "the answer is too long", false);
		break;
	default:
		line_failed(l, strerror(stream_errno(st)), stale);
		break;
	}
}
