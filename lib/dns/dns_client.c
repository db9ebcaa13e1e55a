/* SPDX-License-Identifier: ISC */
/*
 * dns_client - see dns_client.h.
 *
 * Questions lie in a table by tag.  When the connection ends, those that were
 * put are put again on the next one; what has waited too long is answered
 * with RESOLVER_AWAY, which is soon when nobody has been there for long.
 */
#include "dns/dns_client.h"

#include "base/hash.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"

#define CHECK_MS	1000
#define GONE_MS		50	/* a question waits, after DNS_AWAY_MS of nobody */

struct dns_query {
	struct list	 link;		/* client->all */
	struct dns_client *c;
	uint32_t	 tag;
	char		*name;
	enum dns_type	 type;
	unsigned	 flags;
	dns_fn		*fn;
	void		*arg;
	int64_t		 asked_ms;
	bool		 put;		/* on the present connection */
};

struct dns_client {
	struct loop	*loop;
	struct ipc_client *ipc;
	struct loop_timer *timer;
	struct list	 all;
	struct hash	 by_tag;
	uint32_t	 next_tag;	/* not used again soon: an answer may
					 * be on its way to who is gone */
	bool		 up;		/* it has said HELLO */
	int64_t		 down_ms;	/* since when it is not */
};

static struct span
tag_key(const uint32_t *tag)
{
	return span_make(tag, sizeof(*tag));
}

static void
query_free(struct dns_query *q)
{
	list_remove(&q->link);
	(void)hash_del(&q->c->by_tag, tag_key(&q->tag));
	mem_free(q->name);
	mem_free(q);
}

static void
put(struct dns_query *q)
{
	struct ipc_conn *conn = ipc_client_conn(q->c->ipc);
	struct resolver_ask m = { .name = span_of(q->name), .type = q->type,
	    .flags = q->flags };

	if (conn == NULL)
		return;
	q->put = true;
	resolver_ask_encode(ipc_begin(conn, RESOLVER_ASK, q->tag), &m);
	ipc_end(conn);
}

static void
answer(struct dns_query *q, const struct dns_answer *a)
{
	dns_fn *fn = q->fn;
	void *arg = q->arg;

	query_free(q);
	fn(arg, a);
}

static int
on_frame(void *arg, struct ipc_conn *conn, const struct ipc_frame *f)
{
	struct dns_client *c = arg;
	struct resolver_answer m;
	struct dns_answer a;
	struct dns_query *q;

	if (f->type != RESOLVER_ANSWER ||
	    resolver_answer_decode(&m, f->body) < 0)
		return -1;
	q = hash_get(&c->by_tag, tag_key(&f->tag));
	if (q == NULL || !q->put)
		return 0;	/* taken back while it was on its way */
	a = (struct dns_answer){
		.status = (enum resolver_status)m.status, .type = q->type,
		.secure = m.secure, .ttl = m.ttl, .name = m.name,
		.records = m.records, .text = m.text,
	};
	answer(q, &a);
	return 0;
}

static void
put_all(struct dns_client *c)
{
	LIST_FOREACH(l, &c->all) {
		struct dns_query *q = LIST_ENTRY(l, struct dns_query, link);

		if (!q->put)
			put(q);
	}
}

static void
on_up(void *arg, struct ipc_conn *conn)
{
	struct dns_client *c = arg;

	c->up = true;
	put_all(c);
}

static void
on_down(void *arg)
{
	struct dns_client *c = arg;

	if (c->up)
		c->down_ms = loop_now_ms(c->loop);
	c->up = false;
	LIST_FOREACH(l, &c->all)
		LIST_ENTRY(l, struct dns_query, link)->put = false;
}

static bool
gone(const struct dns_client *c)
{
	return !c->up && loop_now_ms(c->loop) - c->down_ms >= DNS_AWAY_MS;
}

/* Answer the first that has waited too long; its handler may do anything to
 * the others. */
static bool
expire_one(struct dns_client *c)
{
	int64_t now = loop_now_ms(c->loop);
	struct dns_answer a = { .status = RESOLVER_AWAY,
	    .text = SPAN("the resolver does not answer") };

	LIST_FOREACH(l, &c->all) {
		struct dns_query *q = LIST_ENTRY(l, struct dns_query, link);

		if (now - q->asked_ms < (gone(c) ? GONE_MS : c->up && q->put ?
		    DNS_TIMEOUT_MS : DNS_AWAY_MS))
			continue;
		a.type = q->type;
		a.name = SPAN_EMPTY;
		answer(q, &a);
		return true;
	}
	return false;
}

static void
on_timer(void *arg)
{
	struct dns_client *c = arg;

	put_all(c);
	while (expire_one(c))
		;
	if (!list_empty(&c->all))
		loop_timer_set(c->timer, gone(c) ? GONE_MS : CHECK_MS);
}

static const struct ipc_client_ops ops = {
	.on_frame = on_frame, .on_up = on_up, .on_down = on_down,
};

struct dns_client *
dns_client_new(struct loop *l, const char *path)
{
	struct dns_client *c = mem_zalloc(sizeof(*c));

	c->loop = l;
	c->down_ms = loop_now_ms(l);
	c->by_tag = HASH_INIT;
	list_init(&c->all);
	c->timer = loop_timer_new(l, on_timer, c);
	c->ipc = ipc_client_new(l, path, &RESOLVER_PROTO, &ops, c);
	return c;
}

void
dns_client_free(struct dns_client **cp)
{
	struct dns_client *c = *cp;

	*cp = NULL;
	if (c == NULL)
		return;
	while (!list_empty(&c->all))
		query_free(LIST_ENTRY(c->all.next, struct dns_query, link));
	ipc_client_free(&c->ipc);
	loop_timer_free(&c->timer);
	hash_fini(&c->by_tag, NULL);
	mem_free(c);
}

struct dns_query *
dns_ask(struct dns_client *c, struct span name, enum dns_type type,
    unsigned flags, dns_fn *fn, void *arg)
{
	struct dns_query *q = mem_zalloc(sizeof(*q));

	q->c = c;
	q->name = span_dup(span_sub(name, 0, RESOLVER_NAME_MAX));
	q->type = type;
	q->flags = flags;
	q->fn = fn;
	q->arg = arg;
	q->asked_ms = loop_now_ms(c->loop);
	do
		q->tag = ++c->next_tag;
	while (hash_find(&c->by_tag, tag_key(&q->tag)) != NULL);
	(void)hash_put(&c->by_tag, tag_key(&q->tag), q);
	if (list_empty(&c->all))
		loop_timer_set(c->timer, gone(c) ? GONE_MS : CHECK_MS);
	list_append(&c->all, &q->link);
	put(q);
	return q;
}

void
dns_cancel(struct dns_query **qp)
{
	struct dns_query *q = *qp;
	struct ipc_conn *conn;

	*qp = NULL;
	if (q == NULL)
		return;
	conn = q->put ? ipc_client_conn(q->c->ipc) : NULL;
	if (conn != NULL)
		ipc_send(conn, RESOLVER_CANCEL, q->tag, SPAN_EMPTY);
	query_free(q);
}
