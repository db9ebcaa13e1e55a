/* SPDX-License-Identifier: ISC */
/*
 * dns_client - see dns_client.h.
 */
#include "dns/dns_client.h"

#include "base/mem.h"
#include "dns/dns_filter.h"
#include "ipc/asker.h"

struct dns_query {
	struct question	 q;
	struct dns_client *c;
	char		*name;
	enum dns_type	 type;
	unsigned	 flags;
	dns_fn		*fn;
	void		*arg;
};

struct dns_client {
	struct asker	*asker;
	struct maps	*filter;
};

static struct dns_query *
query(struct question *q)
{
	return CONTAINER_OF(q, struct dns_query, q);
}

static void
query_free(struct dns_query *q)
{
	mem_free(q->name);
	mem_free(q);
}

/* It has been forgotten. */
static void
answer(struct dns_query *q, const struct dns_answer *a)
{
	dns_fn *fn = q->fn;
	void *arg = q->arg;

	query_free(q);
	fn(arg, a);
}

static void
put(struct question *question, struct ipc_conn *conn)
{
	struct dns_query *q = query(question);
	struct resolver_ask m = { .name = span_of(q->name), .type = q->type,
	    .flags = q->flags };

	resolver_ask_encode(ipc_begin(conn, RESOLVER_ASK, question->tag), &m);
	ipc_end(conn);
}

/* kept has the records that are left, and must outlive a. */
static void
filter(const struct dns_query *q, struct dns_answer *a, struct buf *kept)
{
	int n;

	if (q->c->filter == NULL || maps_empty(q->c->filter) ||
	    a->status != RESOLVER_OK)
		return;
	n = dns_filter(q->c->filter, a, a->name.len > 0 ? a->name :
	    span_of(q->name), kept);
	a->records = n > 0 ? buf_span(kept) : SPAN_EMPTY;
	if (n <= 0)
		a->status = n == 0 ? RESOLVER_FILTERED : RESOLVER_SERVFAIL;
}

static int
on_answer(struct question *question, const struct ipc_frame *f)
{
	struct dns_query *q = query(question);
	struct buf kept = BUF_INIT(BUF_UNLIMITED);
	struct resolver_answer m;
	struct dns_answer a;

	if (resolver_answer_decode(&m, f->body) < 0)
		return -1;
	a = (struct dns_answer){
		.status = (enum resolver_status)m.status, .type = q->type,
		.secure = m.secure, .ttl = m.ttl, .name = m.name,
		.records = m.records, .text = m.text,
	};
	filter(q, &a, &kept);
	asker_forget(q->c->asker, question);
	answer(q, &a);
	buf_fini(&kept);
	return 0;
}

static void
on_lost(struct question *question)
{
	struct dns_query *q = query(question);
	struct dns_answer a = { .status = RESOLVER_AWAY, .type = q->type,
	    .name = SPAN_EMPTY, .text = SPAN("the resolver does not answer") };

	answer(q, &a);
}

static const struct asker_ops ops = {
	.put = put, .answer = on_answer, .lost = on_lost,
	.answer_type = RESOLVER_ANSWER,
	.wait_ms = DNS_TIMEOUT_MS, .away_ms = DNS_AWAY_MS,
};

struct dns_client *
dns_client_new(struct loop *l, const char *path)
{
	struct dns_client *c = mem_zalloc(sizeof(*c));

	c->asker = asker_new(l, path, &RESOLVER_PROTO, &ops);
	return c;
}

void
dns_client_filter(struct dns_client *c, struct maps *m)
{
	c->filter = m;
}

void
dns_client_free(struct dns_client **cp)
{
	struct dns_client *c = *cp;
	struct question *q;

	*cp = NULL;
	if (c == NULL)
		return;
	while ((q = asker_any(c->asker)) != NULL) {
		asker_forget(c->asker, q);
		query_free(query(q));
	}
	asker_free(&c->asker);
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
	asker_ask(c->asker, &q->q);
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
	conn = asker_conn(q->c->asker, &q->q);
	if (conn != NULL)
		ipc_send(conn, RESOLVER_CANCEL, q->q.tag, SPAN_EMPTY);
	asker_forget(q->c->asker, &q->q);
	query_free(q);
}
