/* SPDX-License-Identifier: ISC */
/*
 * tables - see tables.h.
 */
#include "smtp/tables.h"

#include "base/buf.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/mem.h"
#include "ipc/msg_rewrite.h"

#define WAIT_MS		10000	/* for rewrite to come back */
#define CHECK_MS	1000

struct table_query {
	struct list	 link;
	uint32_t	 tag;
	char		*maps;		/* what is left of them */
	struct span	 rest;
	struct buf	 keys;		/* or the address */
	size_t		 nwhole;
	bool		 map, propagate;	/* REWRITE_MAP */
	tables_fn	*fn;
	void		*arg;
	int64_t		 asked_ms;
	bool		 put;
};

static struct {
	struct loop	*loop;
	struct ipc_client *ipc;
	struct loop_timer *timer;
	struct list	 all;
	struct hash	 by_tag;
	uint32_t	 next_tag;
} g;

static struct span
tag_key(const uint32_t *tag)
{
	return span_make(tag, sizeof(*tag));
}

static void
query_free(struct table_query *q)
{
	list_remove(&q->link);
	(void)hash_del(&g.by_tag, tag_key(&q->tag));
	mem_free(q->maps);
	buf_fini(&q->keys);
	mem_free(q);
}

static void
answer(struct table_query *q, int rc, struct span value, const char *text)
{
	tables_fn *fn = q->fn;
	void *arg = q->arg;

	query_free(q);
	fn(arg, rc, value, text);
}

/* "type:{ a, b }" is one word. */
static struct span
next_map(struct span *rest)
{
	size_t depth = 0, i;
	struct span w;

	while (rest->len > 0 && strchr(" \t\r\n,", rest->p[0]) != NULL)
		*rest = span_from(*rest, 1);
	for (i = 0; i < rest->len; i++) {
		if (rest->p[i] == '{')
			depth++;
		else if (rest->p[i] == '}' && depth > 0)
			depth--;
		else if (depth == 0 && strchr(" \t\r\n,", rest->p[i]) != NULL)
			break;
	}
	w = span_sub(*rest, 0, i);
	*rest = span_from(*rest, i);
	return w;
}

static void
put_map(struct ipc_conn *c, const struct table_query *q)
{
	struct rewrite_map m = { .maps = span_sub(span_of(q->maps), 0, 4096),
	    .address = buf_span(&q->keys), .propagate = q->propagate };

	rewrite_map_encode(ipc_begin(c, REWRITE_MAP, q->tag), &m);
	ipc_end(c);
}

static void
put(struct table_query *q)
{
	struct ipc_conn *c = ipc_client_conn(g.ipc);
	struct span rest = q->rest;
	struct rewrite_lookup m = { .table = next_map(&rest),
	    .nwhole = (uint32_t)q->nwhole, .keys = buf_span(&q->keys) };

	if (c == NULL)
		return;
	q->put = true;
	if (q->map) {
		put_map(c, q);
		return;
	}
	m.table = span_sub(m.table, 0, 1024);
	rewrite_lookup_encode(ipc_begin(c, REWRITE_LOOKUP, q->tag), &m);
	ipc_end(c);
}

static int
on_frame(void *arg, struct ipc_conn *c, const struct ipc_frame *f)
{
	struct rewrite_found m;
	struct table_query *q;
	char text[600];

	if (f->type != REWRITE_FOUND || rewrite_found_decode(&m, f->body) < 0)
		return -1;
	q = hash_get(&g.by_tag, tag_key(&f->tag));
	if (q == NULL || !q->put)
		return 0;
	if (m.status != REWRITE_OK) {
		(void)snprintf(text, sizeof(text), "%.*s", SPAN_ARG(m.text));
		answer(q, -1, SPAN_EMPTY, text);
	} else if (m.found) {
		answer(q, 1, m.value, "");
	} else if (q->map) {
		answer(q, 0, SPAN_EMPTY, "");
	} else {
		struct span ahead;

		(void)next_map(&q->rest);
		ahead = q->rest;
		if (next_map(&ahead).len == 0)
			answer(q, 0, SPAN_EMPTY, "");
		else
			put(q);
	}
	return 0;
}

static void
put_all(void)
{
	LIST_FOREACH(l, &g.all) {
		struct table_query *q = LIST_ENTRY(l, struct table_query,
		    link);

		if (!q->put)
			put(q);
	}
}

static void
on_up(void *arg, struct ipc_conn *c)
{
	put_all();
}

static void
on_down(void *arg)
{
	LIST_FOREACH(l, &g.all)
		LIST_ENTRY(l, struct table_query, link)->put = false;
}

static bool
expire_one(void)
{
	int64_t now = loop_now_ms(g.loop);

	LIST_FOREACH(l, &g.all) {
		struct table_query *q = LIST_ENTRY(l, struct table_query,
		    link);

		if (now - q->asked_ms < WAIT_MS)
			continue;
		answer(q, -1, SPAN_EMPTY, "table look-up service is away");
		return true;
	}
	return false;
}

static void
on_timer(void *arg)
{
	put_all();
	while (expire_one())
		;
	if (!list_empty(&g.all))
		loop_timer_set(g.timer, CHECK_MS);
}

static const struct ipc_client_ops ops = {
	.on_frame = on_frame, .on_up = on_up, .on_down = on_down,
};

void
tables_start(struct loop *l, const char *path)
{
	g.loop = l;
	list_init(&g.all);
	g.by_tag = HASH_INIT;
	g.timer = loop_timer_new(l, on_timer, NULL);
	g.ipc = ipc_client_new(l, path, &REWRITE_PROTO, &ops, NULL);
}

static struct table_query *
query_new(const char *maps, tables_fn *fn, void *arg)
{
	struct table_query *q = mem_zalloc(sizeof(*q));

	q->maps = mem_strdup(maps);
	q->rest = span_of(q->maps);
	q->keys = BUF_INIT(BUF_UNLIMITED);
	q->fn = fn;
	q->arg = arg;
	q->asked_ms = loop_now_ms(g.loop);
	do
		q->tag = ++g.next_tag;
	while (hash_find(&g.by_tag, tag_key(&q->tag)) != NULL);
	(void)hash_put(&g.by_tag, tag_key(&q->tag), q);
	if (list_empty(&g.all))
		loop_timer_set(g.timer, CHECK_MS);
	list_append(&g.all, &q->link);
	return q;
}

struct table_query *
tables_ask(const char *maps, const struct span *keys, size_t n, size_t nwhole,
    tables_fn *fn, void *arg)
{
	struct table_query *q = query_new(maps, fn, arg);

	for (size_t i = 0; i < MIN(n, REWRITE_KEYS_MAX); i++)
		ipc_put_blob(&q->keys, span_sub(keys[i], 0, 1024), 1024,
		    "key");
	q->nwhole = MIN(nwhole, REWRITE_KEYS_MAX);
	put(q);
	return q;
}

struct table_query *
tables_map(const char *maps, struct span address, bool propagate,
    tables_fn *fn, void *arg)
{
	struct table_query *q = query_new(maps, fn, arg);

	buf_add_span(&q->keys, span_sub(address, 0, 1024));
	q->map = true;
	q->propagate = propagate;
	put(q);
	return q;
}

void
tables_cancel(struct table_query **qp)
{
	struct table_query *q = *qp;

	*qp = NULL;
	if (q != NULL)
		query_free(q);
}
