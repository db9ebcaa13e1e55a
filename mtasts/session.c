/* SPDX-License-Identifier: ISC */
/*
 * session - the clients of the policy daemon: questions in, answers out
 * (msg_mtasts.h).
 */
#include "base/hash.h"
#include "base/mem.h"
#include "daemon/clients.h"
#include "mtasts/mtasts.h"

struct session {
	struct client	 client;
	struct hash	 by_tag;
};

struct question {
	struct waiter	 w;
	struct session	*s;
	uint32_t	 tag;
};

static struct span
tag_key(const uint32_t *tag)
{
	return span_make(tag, sizeof(*tag));
}

static void
question_free(struct question *q)
{
	domain_leave(&q->w);
	(void)hash_del(&q->s->by_tag, tag_key(&q->tag));
	mem_free(q);
}

static void
on_policy(struct waiter *w, const struct mtasts_policy *p)
{
	struct question *q = LIST_ENTRY(w, struct question, w);

	mtasts_policy_encode(client_answer(&q->s->client, MTASTS_POLICY,
	    q->tag), p);
	client_sent(&q->s->client);
	question_free(q);
}

static int
on_frame(struct client *c, const struct ipc_frame *f)
{
	struct session *s = CONTAINER_OF(c, struct session, client);
	struct mtasts_ask m;
	struct question *q;

	if (f->type != MTASTS_ASK || mtasts_ask_decode(&m, f->body) < 0 ||
	    !dns_name_valid(m.domain) ||
	    hash_find(&s->by_tag, tag_key(&f->tag)) != NULL ||
	    s->by_tag.count >= MTASTS_PENDING_MAX)
		return -1;
	q = mem_zalloc(sizeof(*q));
	q->s = s;
	q->tag = f->tag;
	q->w.fn = on_policy;
	(void)hash_put(&s->by_tag, tag_key(&q->tag), q);
	domain_ask(m.domain, m.fresh, &q->w);
	return 0;
}

static void
free_one(struct hash_entry *e, void *arg)
{
	question_free(e->value);
}

static void
begin(struct client *c)
{
	CONTAINER_OF(c, struct session, client)->by_tag = HASH_INIT;
}

static void
end(struct client *c)
{
	struct session *s = CONTAINER_OF(c, struct session, client);

	hash_each(&s->by_tag, free_one, NULL);
	hash_fini(&s->by_tag, NULL);
}

static const struct client_kind kind = {
	.proto = &MTASTS_PROTO, .size = sizeof(struct session),
	.begin = begin, .on_frame = on_frame, .end = end,
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
