/* SPDX-License-Identifier: ISC */
/*
 * server - the policy services that the configuration names, their
 * connections, and the questions that wait for one.
 *
 * Who takes over a client can ask these, and nobody else.
 */
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "conf/values.h"
#include "conf/words.h"
#include "daemon/daemon.h"
#include "delegate/delegate.h"

static struct hash servers;	/* spec -> struct server; kept for good */

/* --- the configuration ------------------------------------------------------- */

static void
add(struct span spec)
{
	struct hash_entry *h;
	struct endpoint where;
	struct why why = WHY_INIT;
	struct server *srv;
	bool made;

	/* smtpd has reported what is wrong with it. */
	if (spec.len > DELEGATE_SERVER_MAX ||
	    endpoint_parse(spec, &where, &why) < 0)
		return;
	h = hash_enter(&servers, spec, &made);
	if (made) {
		srv = mem_zalloc(sizeof(*srv));
		srv->spec = span_dup(spec);
		srv->shown = strchr(srv->spec, ':') + 1;
		list_init(&srv->lines);
		list_init(&srv->waiting);
		h->value = srv;
	}
	srv = h->value;
	srv->where = where;
	srv->named = true;
}

/* check_policy_service inet:host:port, or { inet:host:port, ... }. */
static void
scan(void *arg, const char *name, struct span value, bool is_class)
{
	struct span word, inside;

	while (words_next(&value, &word) == 1) {
		if (!span_caseis(word, "check_policy_service") ||
		    words_next(&value, &word) != 1)
			continue;
		if (words_unbrace(word, &inside) &&
		    words_next(&inside, &word) != 1)
			continue;
		add(word);
	}
}

static void
forget(struct hash_entry *h, void *arg)
{
	struct server *srv = h->value;

	srv->named = false;
}

static void
close_unnamed(struct hash_entry *h, void *arg)
{
	struct server *srv = h->value;

	if (!srv->named)
		lines_close_idle(srv);
}

void
servers_read(void)
{
	hash_each(&servers, forget, NULL);
	values_each(scan, NULL);
	hash_each(&servers, close_unnamed, NULL);
}

struct server *
servers_find(struct span spec)
{
	struct server *srv = hash_get(&servers, spec);

	return srv != NULL && srv->named ? srv : NULL;
}

/* --- questions ------------------------------------------------------------------ */

void
server_ask(struct question *q)
{
	struct server *srv = q->server;
	struct line *l = line_idle(srv, q);

	if (l != NULL)
		line_ask(l, q);
	else if (srv->nlines < LINES_MAX)
		line_open(srv, q);
	else
		list_append(&srv->waiting, &q->link);
}

void
server_next(struct server *srv)
{
	while (!list_empty(&srv->waiting)) {
		struct question *q = LIST_ENTRY(srv->waiting.next,
		    struct question, link);
		struct line *l = line_idle(srv, q);

		if (l == NULL && srv->nlines >= LINES_MAX)
			return;
		list_remove(&q->link);
		if (l != NULL)
			line_ask(l, q);
		else
			line_open(srv, q);
	}
}

void
server_cancel(struct question *q)
{
	list_remove(&q->link);
	if (q->line != NULL)
		line_drop(&q->line);
}

void
server_answered(struct question *q, struct span action)
{
	question_answer(q, true, action, "");
}

static void
on_again(void *arg)
{
	struct question *q = arg;

	loop_timer_free(&q->again);
	server_ask(q);
}

void
server_failed(struct question *q, const char *reason, bool stale)
{
	/* It had been closed before it was asked: that costs no attempt. */
	if (stale && !q->fresh) {
		q->fresh = true;
		server_ask(q);
		return;
	}
	q->fresh = false;
	if (++q->tried >= q->m.tries) {
		log_warning("problem talking to server %s: %s",
		    q->server->shown, reason);
		question_answer(q, false, SPAN_EMPTY, reason);
		return;
	}
	log_info("problem talking to server %s: %s; trying again",
	    q->server->shown, reason);
	q->again = loop_timer_new(daemon_loop(), on_again, q);
	loop_timer_set(q->again, q->m.delay_ms);
}
