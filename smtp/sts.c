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
#include "ipc/asker.h"
#include "ipc/msg_mtasts.h"

#define CACHE_MAX	5000		/* domains */
#define AWAY_MS		10000		/* for mtasts to come back */
#define WAIT_MS		(700 * 1000)	/* more than any fetch takes */

struct kept {
	struct list	 link;		/* least recently made first */
	struct hash_entry *entry;
	struct sts	*sts;
	int64_t		 until_ms;
};

struct sts_query {
	struct question	 q;
	char		 domain[DNS_NAME_MAX + 1];
	sts_fn		*fn;
	void		*arg;
};

static struct {
	struct loop	*loop;
	struct asker	*asker;
	struct list	 kept;
	struct hash	 by_name;
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

static struct sts_query *
query(struct question *q)
{
	return CONTAINER_OF(q, struct sts_query, q);
}

/* It has been forgotten. */
static void
answer(struct sts_query *q, struct sts *s)
{
	sts_fn *fn = q->fn;
	void *arg = q->arg;

	mem_free(q);
	fn(arg, s);
}

static void
put(struct question *q, struct ipc_conn *c)
{
	struct mtasts_ask m = { .domain = span_of(query(q)->domain) };

	mtasts_ask_encode(ipc_begin(c, MTASTS_ASK, q->tag), &m);
	ipc_end(c);
}

static int
on_answer(struct question *q, const struct ipc_frame *f)
{
	struct mtasts_policy m;
	struct sts *s;

	if (mtasts_policy_decode(&m, f->body) < 0)
		return -1;
	s = sts_new(&m);
	keep(query(q)->domain, s, m.ttl);
	asker_forget(g.asker, q);
	answer(query(q), s);
	return 0;
}

static void
on_lost(struct question *q)
{
	answer(query(q), NULL);
}

static const struct asker_ops ops = {
	.put = put, .answer = on_answer, .lost = on_lost,
	.answer_type = MTASTS_POLICY, .wait_ms = WAIT_MS, .away_ms = AWAY_MS,
};

void
sts_start(struct loop *l, const char *path)
{
	g.loop = l;
	list_init(&g.kept);
	g.by_name = HASH_INIT;
	g.asker = asker_new(l, path, &MTASTS_PROTO, &ops);
}

struct sts_query *
sts_ask(struct span domain, sts_fn *fn, void *arg)
{
	struct sts_query *q = mem_zalloc(sizeof(*q));

	(void)snprintf(q->domain, sizeof(q->domain), "%.*s",
	    SPAN_ARG(domain));
	q->fn = fn;
	q->arg = arg;
	asker_ask(g.asker, &q->q);
	return q;
}

void
sts_cancel(struct sts_query **qp)
{
	struct sts_query *q = *qp;

	*qp = NULL;
	if (q == NULL)
		return;
	asker_forget(g.asker, &q->q);
	mem_free(q);
}
