/* SPDX-License-Identifier: ISC */
/*
 * session - the daemons that ask, and their questions by tag.
 */
#include "base/log.h"
#include "base/mem.h"
#include "daemon/daemon.h"
#include "delegate/delegate.h"

static unsigned nquestions;

static void
question_free(struct question *q)
{
	client_question_end(&q->of);
	loop_timer_free(&q->timer);
	loop_timer_free(&q->again);
	server_cancel(q);
	mem_free(q->request);
	mem_free(q->instance);
	mem_free(q);
	nquestions--;
}

static void
send_answer(struct client *c, uint32_t tag, bool ok, struct span action,
    const char *text)
{
	struct delegate_answer m = { .ok = ok, .action = action,
	    .text = span_sub(span_of(text), 0, 512) };

	delegate_answer_encode(client_answer(c, DELEGATE_ANSWER, tag), &m);
	client_sent(c);
}

void
question_answer(struct question *q, bool ok, struct span action,
    const char *text)
{
	send_answer(q->of.client, q->of.tag, ok, action, text);
	question_free(q);
}

static void
on_timeout(void *arg)
{
	struct question *q = arg;

	log_warning("problem talking to server %s: %u questions are asked at "
	    "a time, and others wait", q->server->shown, q->server->nlines);
	question_answer(q, false, SPAN_EMPTY, "no answer in time");
}

static int
on_ask(struct client *c, const struct ipc_frame *f)
{
	struct delegate_ask m;
	struct server *srv;
	struct question *q;

	if (delegate_ask_decode(&m, f->body) < 0 || m.tries == 0 ||
	    m.timeout_ms == 0 || !request_valid(m.request) ||
	    client_question_find(c, f->tag) != NULL)
		return -1;
	srv = servers_find(m.server);
	if (srv == NULL) {
		log_warning("no setting names the policy service \"%.*s\"",
		    SPAN_ARG(span_sub(m.server, 0, 100)));
		send_answer(c, f->tag, false, SPAN_EMPTY,
		    "no setting names this policy service");
		return 0;
	}
	if (nquestions >= QUESTIONS_MAX) {
		send_answer(c, f->tag, false, SPAN_EMPTY,
		    "too many questions");
		return 0;
	}
	nquestions++;
	q = mem_zalloc(sizeof(*q));
	client_question_begin(c, f->tag, &q->of);
	q->server = srv;
	q->m = m;
	q->request = span_dup(m.request);
	q->m.request = span_make(q->request, m.request.len);
	q->instance = span_dup(m.instance);
	q->m.server = q->m.instance = SPAN_EMPTY;
	list_init(&q->link);
	q->timer = loop_timer_new(daemon_loop(), on_timeout, q);
	loop_timer_set(q->timer, DELEGATE_QUEUE_MS +
	    (int64_t)m.tries * (2 * (int64_t)m.timeout_ms + m.delay_ms));
	server_ask(q);
	return 0;
}

static void
drop(struct client_question *of)
{
	question_free(CONTAINER_OF(of, struct question, of));
}

static int
on_frame(struct client *c, const struct ipc_frame *f)
{
	struct client_question *q;

	switch (f->type) {
	case DELEGATE_ASK:
		return on_ask(c, f);
	case DELEGATE_CANCEL:
		q = client_question_find(c, f->tag);
		if (q != NULL)
			drop(q);
		return 0;
	default:
		return -1;
	}
}

static const struct client_kind kind = {
	.proto = &DELEGATE_PROTO, .on_frame = on_frame, .drop = drop,
};

void
session_start(int fd, const struct sock_addr *peer, int index)
{
	clients_add(&kind, fd);
}
