/* SPDX-License-Identifier: ISC */
/*
 * sts - see sts.h.
 *
 * Where mtasts is away, a domain whose policy we do not know cannot be told
 * from one without: its mail waits.
 */
#include "smtp/sts.h"

#include <stdio.h>

#include "base/hash.h"
#include "base/list.h"
#include "base/mem.h"
#include "dns/dns.h"
#include "ipc/msg_mtasts.h"

#define CACHE_MAX	5000		/* domains */
#define CHECK_MS	1000
#define AWAY_MS		10000		/* for mtasts to come back */
#define WAIT_MS		(700 * 1000)	/* more than any fetch takes */

struct kept {
	struct list	 link;		/* least recently made first */
	struct hash_entry *entry;
	struct sts	*sts;
	int64_t		 until_ms;
};

struct sts_query {
	struct list	 link;
	uint32_t	 tag;
	char		 domain[DNS_NAME_MAX + 1];
	sts_fn		*fn;
	void		*arg;
	int64_t		 asked_ms;
	bool		 put;
};

static struct {
	struct loop	*loop;
	struct ipc_client *ipc;
	struct loop_timer *timer;
	struct list	 all, kept;
	struct hash	 by_tag, by_name;
	uint32_t	 next_tag;
} g;

/* --- policies -------------------------------------------------------------------- */

struct sts *
sts_ref(struct sts *s)
{
	if (s != NULL)
		s->refs++;
	return s;
}

void
sts_drop(struct sts **sp)
{
	struct sts *s = *sp;

	*sp = NULL;
	if (s == NULL || --s->refs > 0)
		return;
	mem_free(s->mx);
	mem_free(s);
}

bool
sts_active(const struct sts *s)
{
	return s != NULL && s->found && s->mode != STS_NONE;
}

bool
sts_has_host(const struct sts *s, const char *host)
{
	struct span rest = span_of(s->mx), word;

	while (span_token(&rest, " ", &word))
		if (sts_pattern_matches(word, span_of(host)))
			return true;
	return false;
}

static struct sts *
sts_new(const struct mtasts_policy *m)
{
	struct sts *s = mem_zalloc(sizeof(*s));

	s->refs = 1;
	s->found = m->found;
	s->mode = (enum sts_mode)m->mode;
	s->result = m->result;
	s->max_age = m->max_age;
	s->mx = span_dup(m->mx);
	(void)snprintf(s->id, sizeof(s->id), "%.*s", SPAN_ARG(m->id));
	return s;
}

/* --- the cache --------------------------------------------------------------------- */

static void
kept_free(struct kept *k)
{
	list_remove(&k->link);
	(void)hash_del(&g.by_name, k->entry->key);
	sts_drop(&k->sts);
	mem_free(k);
}

static void
keep(const char *domain, struct sts *s, uint32_t ttl)
{
	struct hash_entry *e;
	struct kept *k;
	bool made;

	k = hash_get(&g.by_name, span_of(domain));
	if (k != NULL)
		kept_free(k);
	if (g.by_name.count >= CACHE_MAX)
		kept_free(LIST_ENTRY(g.kept.next, struct kept, link));
	e = hash_enter(&g.by_name, span_of(domain), &made);
	k = mem_zalloc(sizeof(*k));
	k->entry = e;
	k->sts = sts_ref(s);
	k->until_ms = loop_now_ms(g.loop) + (int64_t)ttl * 1000;
	e->value = k;
	list_append(&g.kept, &k->link);
}

struct sts *
sts_cached(struct span domain)
{
	struct kept *k = hash_get(&g.by_name, domain);

	if (k == NULL)
		return NULL;
	if (loop_now_ms(g.loop) < k->until_ms)
		return sts_ref(k->sts);
	kept_free(k);
	return NULL;
}

/* --- questions ------------------------------------------------------------------------ */

static struct span
tag_key(const uint32_t *tag)
{
	return span_make(tag, sizeof(*tag));
}

static void
query_free(struct sts_query *q)
{
	list_remove(&q->link);
	(void)hash_del(&g.by_tag, tag_key(&q->tag));
	mem_free(q);
}

static void
answer(struct sts_query *q, struct sts *s)
{
	sts_fn *fn = q->fn;
	void *arg = q->arg;

	query_free(q);
	fn(arg, s);
}

static void
put(struct sts_query *q)
{
	struct ipc_conn *c = ipc_client_conn(g.ipc);
	struct mtasts_ask m = { .domain = span_of(q->domain) };

	if (c == NULL)
		return;
	q->put = true;
	mtasts_ask_encode(ipc_begin(c, MTASTS_ASK, q->tag), &m);
	ipc_end(c);
}

static int
on_frame(void *arg, struct ipc_conn *c, const struct ipc_frame *f)
{
	struct mtasts_policy m;
	struct sts_query *q;
	struct sts *s;

	if (f->type != MTASTS_POLICY ||
	    mtasts_policy_decode(&m, f->body) < 0)
		return -1;
	q = hash_get(&g.by_tag, tag_key(&f->tag));
	if (q == NULL || !q->put)
		return 0;
	s = sts_new(&m);
	keep(q->domain, s, m.ttl);
	answer(q, s);
	return 0;
}

static void
put_all(void)
{
	LIST_FOREACH(l, &g.all) {
		struct sts_query *q = LIST_ENTRY(l, struct sts_query, link);

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
		LIST_ENTRY(l, struct sts_query, link)->put = false;
}

static bool
expire_one(void)
{
	int64_t now = loop_now_ms(g.loop);

	LIST_FOREACH(l, &g.all) {
		struct sts_query *q = LIST_ENTRY(l, struct sts_query, link);

		if (now - q->asked_ms < (q->put ? WAIT_MS : AWAY_MS))
			continue;
		answer(q, NULL);
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
sts_start(struct loop *l, const char *path)
{
	g.loop = l;
	list_init(&g.all);
	list_init(&g.kept);
	g.by_tag = g.by_name = HASH_INIT;
	g.timer = loop_timer_new(l, on_timer, NULL);
	g.ipc = ipc_client_new(l, path, &MTASTS_PROTO, &ops, NULL);
}

struct sts_query *
sts_ask(struct span domain, sts_fn *fn, void *arg)
{
	struct sts_query *q = mem_zalloc(sizeof(*q));

	(void)snprintf(q->domain, sizeof(q->domain), "%.*s",
	    SPAN_ARG(domain));
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
	put(q);
	return q;
}

void
sts_cancel(struct sts_query **qp)
{
	struct sts_query *q = *qp;

	*qp = NULL;
	if (q != NULL)
		query_free(q);
}
