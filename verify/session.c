/* SPDX-License-Identifier: ISC */
/*
 * session - the clients of verify: questions, and what probes have found.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "daemon/clients.h"
#include "daemon/daemon.h"
#include "verify/verify.h"

#define WAITERS_MAX	10000	/* questions that wait for a probe, in all */

/* A question that waits for a probe. */
struct question {
	struct client_question of;
	struct list	 entry_link;
	struct entry	*e;
	struct loop_timer *timer;
};

static unsigned nquestions;

static void
answer(struct client *c, uint32_t tag, enum verify_status status,
    struct span text)
{
	struct verify_result m = { .status = status, .text = text };

	verify_result_encode(client_answer(c, VERIFY_RESULT, tag), &m);
	client_sent(c);
}

static void
question_free(struct question *q)
{
	client_question_end(&q->of);
	list_remove(&q->entry_link);
	loop_timer_free(&q->timer);
	nquestions--;
	mem_free(q);
}

/* The probe takes longer than the client waits. */
static void
on_timeout(void *arg)
{
	struct question *q = arg;

	answer(q->of.client, q->of.tag, q->e->status, span_of(q->e->text));
	question_free(q);
}

static void
wait_for_probe(struct client *c, struct entry *e, uint32_t tag,
    uint32_t wait_ms)
{
	struct question *q = mem_zalloc(sizeof(*q));

	client_question_begin(c, tag, &q->of);
	q->e = e;
	q->timer = loop_timer_new(daemon_loop(), on_timeout, q);
	loop_timer_set(q->timer, wait_ms);
	list_append(&e->waiters, &q->entry_link);
	nquestions++;
}

static void
on_query(struct client *c, uint32_t tag, const struct verify_query *m)
{
	int64_t now = clock_wall_us() / 1000000;
	struct entry *e;

	if (m->address.len == 0 || probe_is_sender(m->address)) {
		answer(c, tag, VERIFY_OK, SPAN("is always deliverable"));
		return;
	}
	e = cache_enter(m->address);
	if (cache_is_due(e, now)) {
		if (cache_pending() >=
		    (uint64_t)conf.address_verify_pending_request_limit) {
			log_warning("too many addresses are being verified "
			    "(address_verify_pending_request_limit)");
		} else {
			cache_probed(e, now);
			probe_send(m->address);
		}
	}
	if (e->status != VERIFY_UNKNOWN || m->wait_ms == 0 ||
	    nquestions >= WAITERS_MAX)
		answer(c, tag, e->status, span_of(e->text));
	else
		wait_for_probe(c, e, tag, m->wait_ms);
}

static void
on_update(const struct verify_update *m)
{
	struct entry *e = cache_find(m->address);

	if (e == NULL)
		return;		/* nobody has asked, or long ago */
	(void)cache_update(e, (enum verify_status)m->status, m->text,
	    clock_wall_us() / 1000000);
	/* Who waits hears it, kept or not. */
	while (!list_empty(&e->waiters)) {
		struct question *q = LIST_ENTRY(e->waiters.next,
		    struct question, entry_link);

		answer(q->of.client, q->of.tag,
		    (enum verify_status)m->status, m->text);
		question_free(q);
	}
}

static int
on_frame(struct client *c, const struct ipc_frame *f)
{
	struct verify_query query;
	struct verify_update update;

	switch (f->type) {
	case VERIFY_QUERY:
		if (verify_query_decode(&query, f->body) < 0 ||
		    client_question_find(c, f->tag) != NULL)
			return -1;
		on_query(c, f->tag, &query);
		return 0;
	case VERIFY_UPDATE:
		if (verify_update_decode(&update, f->body) < 0)
			return -1;
		on_update(&update);
		return 0;
	default:
		return -1;
	}
}

static void
drop(struct client_question *of)
{
	question_free(CONTAINER_OF(of, struct question, of));
}

static const struct client_kind kind = {
	.proto = &VERIFY_PROTO, .on_frame = on_frame, .drop = drop,
};

void
session_start(int fd, const struct sock_addr *peer, int index)
{
	clients_add(&kind, fd);
}
