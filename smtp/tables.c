/* SPDX-License-Identifier: ISC */
/*
 * tables - see tables.h.
 */
#include "smtp/tables.h"

#include "base/buf.h"
#include "base/mem.h"
#include "ipc/asker.h"
#include "ipc/msg_rewrite.h"

#define WAIT_MS		10000	/* for rewrite to come back, or to answer */

struct table_query {
	struct question	 q;
	char		*maps;		/* what is left of them */
	struct span	 rest;
	struct buf	 keys;		/* or the address */
	size_t		 nwhole;
	bool		 map, propagate;	/* REWRITE_MAP */
	tables_fn	*fn;
	void		*arg;
};

static struct asker *asker;

static struct table_query *
query(struct question *q)
{
	return CONTAINER_OF(q, struct table_query, q);
}

static void
query_free(struct table_query *q)
{
	mem_free(q->maps);
	buf_fini(&q->keys);
	mem_free(q);
}

/* It has been forgotten. */
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

	rewrite_map_encode(ipc_begin(c, REWRITE_MAP, q->q.tag), &m);
	ipc_end(c);
}

static void
put(struct question *question, struct ipc_conn *c)
{
	struct table_query *q = query(question);
	struct span rest = q->rest;
	struct rewrite_lookup m = { .table = next_map(&rest),
	    .nwhole = (uint32_t)q->nwhole, .keys = buf_span(&q->keys) };

	if (q->map) {
		put_map(c, q);
		return;
	}
	m.table = span_sub(m.table, 0, 1024);
	rewrite_lookup_encode(ipc_begin(c, REWRITE_LOOKUP, question->tag), &m);
	ipc_end(c);
}

/* Nothing in this table: whether there is another. */
static bool
has_next(struct table_query *q)
{
	struct span ahead;

	if (q->map)
		return false;
	(void)next_map(&q->rest);
	ahead = q->rest;
	return next_map(&ahead).len > 0;
}

static int
on_answer(struct question *question, const struct ipc_frame *f)
{
	struct table_query *q = query(question);
	struct rewrite_found m;
	char text[600];

	if (rewrite_found_decode(&m, f->body) < 0)
		return -1;
	if (m.status == REWRITE_OK && !m.found && has_next(q)) {
		asker_again(asker, question);
		return 0;
	}
	asker_forget(asker, question);
	(void)snprintf(text, sizeof(text), "%.*s", SPAN_ARG(m.text));
	if (m.status != REWRITE_OK)
		answer(q, -1, SPAN_EMPTY, text);
	else if (m.found)
		answer(q, 1, m.value, "");
	else
		answer(q, 0, SPAN_EMPTY, "");
	return 0;
}

static void
on_lost(struct question *q)
{
	answer(query(q), -1, SPAN_EMPTY, "table look-up service is away");
}

static const struct asker_ops ops = {
	.put = put, .answer = on_answer, .lost = on_lost,
	.answer_type = REWRITE_FOUND, .wait_ms = WAIT_MS, .away_ms = WAIT_MS,
};

void
tables_start(struct loop *l, const char *path)
{
	asker = asker_new(l, path, &REWRITE_PROTO, &ops);
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
	asker_ask(asker, &q->q);
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
	asker_ask(asker, &q->q);
	return q;
}

void
tables_cancel(struct table_query **qp)
{
	struct table_query *q = *qp;

	*qp = NULL;
	if (q == NULL)
		return;
	asker_forget(asker, &q->q);
	query_free(q);
}
