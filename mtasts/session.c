/* SPDX-License-Identifier: ISC */
/*
 * session - the clients of the policy daemon: questions in, answers out
 * (msg_mtasts.h).
 */
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/daemon.h"
#include "mtasts/mtasts.h"

struct session {
	struct list	 link;
	struct ipc_conn	*conn;
	struct hash	 by_tag;
};

struct question {
	struct waiter	 w;
	struct session	*s;
	uint32_t	 tag;
};

static struct list sessions = LIST_INIT(sessions);

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

	mtasts_policy_encode(ipc_begin(q->s->conn, MTASTS_POLICY, q->tag), p);
	ipc_end(q->s->conn);
	question_free(q);
}

static int
on_frame(void *arg, struct ipc_conn *c, const struct ipc_frame *f)
{
	struct session *s = arg;
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
session_end(struct session *s)
{
	list_remove(&s->link);
	hash_each(&s->by_tag, free_one, NULL);
	hash_fini(&s->by_tag, NULL);
	ipc_conn_free(&s->conn);
	mem_free(s);
	daemon_busy(-1);
}

static void
on_end(void *arg, struct ipc_conn *c)
{
	session_end(arg);
}

static const struct ipc_ops ops = {
	.on_frame = on_frame, .on_end = on_end,
};

void
session_start(int fd, const struct sock_addr *peer, int index)
{
	struct session *s = mem_zalloc(sizeof(*s));

	daemon_busy(1);
	s->by_tag = HASH_INIT;
	list_append(&sessions, &s->link);
	s->conn = ipc_conn_new(daemon_loop(), fd, &MTASTS_PROTO, &ops, s);
}

/* Clients put their questions again, to the next process. */
void
session_retire(void)
{
	domain_save();
	LIST_FOREACH(l, &sessions)
		session_end(LIST_ENTRY(l, struct session, link));
}
