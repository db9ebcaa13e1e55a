/* SPDX-License-Identifier: ISC */
/*
 * session - the clients of the policy daemon: questions in, answers out
 * (msg_mtasts.h).
 */
#include "base/mem.h"
#include "daemon/clients.h"
#include "mtasts/mtasts.h"

struct question {
	struct client_question of;
	struct waiter	 w;
};

static void
question_free(struct question *q)
{
	domain_leave(&q->w);
	client_question_end(&q->of);
	mem_free(q);
}

static void
on_policy(struct waiter *w, const struct mtasts_policy *p)
{
	struct question *q = LIST_ENTRY(w, struct question, w);

	mtasts_policy_encode(client_answer(q->of.client, MTASTS_POLICY,
	    q->of.tag), p);
	client_sent(q->of.client);
	question_free(q);
}

static int
on_frame(struct client *c, const struct ipc_frame *f)
{
	struct mtasts_ask m;
	struct question *q;

	if (f->type != MTASTS_ASK || mtasts_ask_decode(&m, f->body) < 0 ||
	    !dns_name_valid(m.domain) ||
	    client_question_find(c, f->tag) != NULL ||
	    c->questions.count >= MTASTS_PENDING_MAX)
		return -1;
	q = mem_zalloc(sizeof(*q));
	q->w.fn = on_policy;
	client_question_begin(c, f->tag, &q->of);
	domain_ask(m.domain, m.fresh, &q->w);
	return 0;
}

static void
drop(struct client_question *of)
{
	question_free(CONTAINER_OF(of, struct question, of));
}

static const struct client_kind kind = {
	.proto = &MTASTS_PROTO, .on_frame = on_frame, .drop = drop,
};

void
session_start(int fd, const struct sock_addr *peer, int index)
{
	clients_add(&kind, fd);
}

void
session_retire(void)
{
	domain_save();
	clients_drain();
}
