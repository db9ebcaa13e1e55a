/* SPDX-License-Identifier: ISC */
/*
 * session - the daemons that ask, and their questions by tag.
 */
#include "base/log.h"
#include "base/mem.h"
#include "daemon/clients.h"
#include "daemon/daemon.h"
#include "delegate/delegate.h"

struct session {
	struct client	 client;
	struct hash	 by_tag;
};

static unsigned nquestions;

static struct span
tag_key(const uint32_t *tag)
{
	return span_make(tag, sizeof(*tag));
}

static void
question_free(struct question *q)
{
	(void)hash_del(&q->s->by_tag, tag_key(&q->tag));
	loop_timer_free(&q->timer);
	loop_timer_free(&q->again);
	server_cancel(q);
	mem_free(q->request);
	mem_free(q->instance);
	mem_free(q);
	nquestions--;
}

static void
send_answer(struct session *s, uint32_t tag, bool ok, struct span action,
    const char *text)
{
	struct delegate_answer m = { .ok = ok, .action = action,
	    .text = span_sub(span_of(text), 0, 512) };

	delegate_answer_encode(client_answer(&s->client, DELEGATE_ANSWER,
	    tag), &m);
	client_sent(&s->client);
}

void
question_answer(struct question *q, bool ok, struct span action,
    const char *text)
{
	send_answer(q->s, q->tag, ok, action, text);
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
on_ask(struct session *s, const struct ipc_frame *f)
{
	struct delegate_ask m;
	struct server *srv;
	struct question *q;

	if (delegate_ask_decode(&m, f->body) < 0 || m.tries == 0 ||
	    m.timeout_ms == 0 || !request_valid(m.request) ||
	    hash_find(&s->by_tag, tag_key(&f->tag)) != NULL)
		return -1;
	srv = servers_find(m.server);
	if (srv == NULL) {
		log_warning("no setting names the policy service \"%.*s\"",
		    SPAN_ARG(span_sub(m.server, 0, 100)));
		send_answer(s, f->tag, false, SPAN_EMPTY,
		    "no setting names this policy service");
		return 0;
	}
	if (nquestions >= QUESTIONS_MAX) {
		send_answer(s, f->tag, false, SPAN_EMPTY,
		    "too many questions");
		return 0;
	}
	nquestions++;
	q = mem_zalloc(sizeof(*q));
	q->s = s;
	q->tag = f->tag;
	q->server = srv;
	q->m = m;
	q->request = span_dup(m.request);
	q->m.request = span_make(q->request, m.request.len);
	q->instance = span_dup(m.instance);
	q->m.server = q->m.instance = SPAN_EMPTY;
	list_init(&q->link);
	(void)hash_put(&s->by_tag, tag_key(&q->tag), q);
	q->timer = loop_timer_new(daemon_loop(), on_timeout, q);
	loop_timer_set(q->timer, DELEGATE_QUEUE_MS +
	    (int64_t)m.tries * (2 * (int64_t)m.timeout_ms + m.delay_ms));
	server_ask(q);
	return 0;
}

static int
on_frame(struct client *c, const struct ipc_frame *f)
{
	struct session *s = CONTAINER_OF(c, struct session, client);
	struct question *q;

	switch (f->type) {
	case DELEGATE_ASK:
		return on_ask(s, f);
	case DELEGATE_CANCEL:
		q = hash_get(&s->by_tag, tag_key(&f->tag));
		if (q != NULL)
			question_free(q);
		return 0;
	default:
		return -1;
	}
}

static void
begin(struct client *c)
{
	CONTAINER_OF(c, struct session, client)->by_tag = HASH_INIT;
}

static void
free_one(struct hash_entry *e, void *arg)
{
	question_free(e->value);
}

static void
end(struct client *c)
{
	struct session *s = CONTAINER_OF(c, struct session, client);

	hash_each(&s->by_tag, free_one, NULL);
	hash_fini(&s->by_tag, NULL);
}

static const struct client_kind kind = {
	.proto = &DELEGATE_PROTO, .size = sizeof(struct session),
	.begin = begin, .on_frame = on_frame, .end = end,
};

void
session_start(int fd, const struct sock_addr *peer, int index)
{
	clients_add(&kind, fd);
}
