/* SPDX-License-Identifier: ISC */
/*
 * lookup - questions to rewrite and quotad, over one connection each, with a
 * cache.
 *
 * A question that is under way already is not asked twice: whoever asks it
 * again waits for the same answer.  Answers are kept for REWRITE_TTL_MS, the
 * LOOKUP_CACHE_MAX latest of them; "unlisted" and failures are never kept,
 * so that a new account works at once.
 *
 * The key of an entry is the question itself: its kind and the body of its
 * frame, which can so be sent again.
 */
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "ipc/asker.h"
#include "smtpd/smtpd.h"

#define LOOKUP_CACHE_MAX	8192
/* Answers larger than this are used and not kept. */
#define LOOKUP_VALUE_MAX	4096
/* An address or a name; REWRITE_KEYS_MAX of them fit into a question. */
#define LOOKUP_KEY_MAX		1020
/* A message's size need not be known better than this, bytes. */
#define ROOM_STEP		65536u

struct kind;

struct entry {
	struct question	 q;		/* while it is under way, */
	struct asker	*asker;		/* with this one */
	bool		 under_way;
	const struct kind *kind;
	struct list	 lru;		/* when it is kept */
	struct list	 waiters;	/* struct ask.link, when not */
	int64_t		 expires;
	struct answer	 answer;
	char		*body;		/* what answer points into */
	struct span	 key;		/* the table's */
};

static struct loop *loop;
static struct asker *rewrite, *quotad;
static struct hash entries;
static size_t nunder_way;
static struct list lru = LIST_INIT(lru);

/* --- answers ------------------------------------------------------------------- */

static void
entry_free(struct entry *e)
{
	if (e->key.len > 0)
		hash_del(&entries, e->key);
	list_remove(&e->lru);
	mem_free(e->body);
	mem_free(e);
}

/* Tell everybody who waits.  A waiter may ask again, the same even: new ones
 * are not for this answer. */
static void
tell(struct entry *e, const struct answer *a)
{
	struct list waiters;

	if (list_empty(&e->waiters))
		return;
	waiters = e->waiters;
	waiters.next->prev = waiters.prev->next = &waiters;
	list_init(&e->waiters);
	while (!list_empty(&waiters)) {
		struct ask *ask = LIST_ENTRY(waiters.next, struct ask, link);

		list_remove(&ask->link);
		ask->fn(ask, a);
	}
}

/* Not to be found by those who ask from now on. */
static void
tell_once(struct entry *e, const struct answer *a)
{
	hash_del(&entries, e->key);
	e->key = SPAN_EMPTY;
	tell(e, a);
	entry_free(e);
}

static void
ended(struct entry *e)
{
	e->under_way = false;
	nunder_way--;
}

static void
keep(struct entry *e)
{
	e->expires = loop_now_ms(loop) + REWRITE_TTL_MS;
	list_prepend(&lru, &e->lru);
	while (entries.count - nunder_way > LOOKUP_CACHE_MAX &&
	    lru.prev != &e->lru)
		entry_free(LIST_ENTRY(lru.prev, struct entry, lru));
}

static void
take(struct entry *e, const struct answer *a, bool good, size_t body_len)
{
	asker_forget(e->asker, &e->q);
	ended(e);
	if (good && body_len <= LOOKUP_VALUE_MAX) {
		e->answer = *a;
		keep(e);
		tell(e, a);
	} else {
		tell_once(e, a);
	}
}

static int
on_resolved(struct entry *e, struct span body)
{
	struct rewrite_resolved r;
	struct answer a = { .status = ANSWER_OK };

	if (rewrite_resolved_decode(&r, body) < 0)
		return -1;
	a.status = r.status == REWRITE_OK ? ANSWER_OK :
	    r.status == REWRITE_INVALID ? ANSWER_INVALID : ANSWER_TEMPFAIL;
	a.text = r.text;
	a.class = r.class;
	a.listed = r.listed;
	a.alias = r.alias;
	a.routed = r.routed;
	a.address = r.address;
	a.relocated = r.relocated;
	a.rule = r.rule;
	/* A virtual alias domain has it for what is in no table. */
	if (r.class != CLASS_VIRTUAL_ALIAS)
		a.refused = span_is(r.transport, "error") ? 550 :
		    span_is(r.transport, "retry") ? 450 : 0;
	a.nexthop = r.nexthop;
	if (a.status == ANSWER_OK && (a.class < CLASS_LOCAL))
		return -1;
	take(e, &a, a.status == ANSWER_OK && a.listed &&
	    r.relocated.len == 0 && a.refused == 0, body.len);
	return 0;
}

static int
on_found(struct entry *e, struct span body)
{
	struct rewrite_found f;
	struct answer a = { .status = ANSWER_OK };

	if (rewrite_found_decode(&f, body) < 0)
		return -1;
	if (f.status != REWRITE_OK)
		a.status = ANSWER_TEMPFAIL;
	a.text = f.text;
	a.found = f.found;
	a.key = f.key;
	a.value = f.value;
	take(e, &a, a.status == ANSWER_OK, body.len);
	return 0;
}

static int
on_room(struct entry *e, struct span body)
{
	struct quota_answer q;
	struct answer a = { .status = ANSWER_OK };

	if (quota_answer_decode(&q, body) < 0)
		return -1;
	a.room = q.room;
	a.never = q.never;
	a.text = q.text;
	take(e, &a, a.room, body.len);
	return 0;
}

static const struct kind {
	uint16_t	 ask, answer;	/* types of frames */
	bool		 quota;		/* it is quotad's, not rewrite's */
	int		(*take)(struct entry *e, struct span body);
} kinds[] = {
	{ REWRITE_RESOLVE, REWRITE_RESOLVED, false, on_resolved },
	{ REWRITE_LOOKUP, REWRITE_FOUND, false, on_found },
	{ QUOTA_ASK, QUOTA_ANSWER, true, on_room },
};
enum { RESOLVE, LOOKUP, ROOM };

/* --- questions ----------------------------------------------------------------- */

static struct entry *
entry(struct question *q)
{
	return CONTAINER_OF(q, struct entry, q);
}

static void
put(struct question *q, struct ipc_conn *c)
{
	const struct entry *e = entry(q);

	ipc_send(c, e->kind->ask, q->tag, span_from(e->key, 1));
}

static int
on_answer(struct question *q, const struct ipc_frame *f)
{
	struct entry *e = entry(q);

	/* Question and answer must be of one kind. */
	if (f->type == e->kind->answer) {
		mem_free(e->body);
		e->body = mem_alloc(f->body.len + 1);
		if (f->body.len > 0)
			memcpy(e->body, f->body.p, f->body.len);
		if (e->kind->take(e, span_make(e->body, f->body.len)) == 0)
			return 0;
	}
	log_warning("%s sent an answer that breaks its schema",
	    e->kind->quota ? "quotad" : "rewrite");
	return -1;
}

static void
on_lost(struct question *q)
{
	struct entry *e = entry(q);
	struct answer away = { .status = ANSWER_TEMPFAIL,
	    .text = span_of(e->kind->quota ? "the quota service is away" :
	    "the rewrite service is away") };

	log_warning("%s does not answer: a look-up has failed",
	    e->kind->quota ? "quotad" : "rewrite");
	ended(e);
	tell_once(e, &away);
}

static const struct asker_ops ops = {
	.put = put, .answer = on_answer, .lost = on_lost,
	.wait_ms = SMTPD_WAIT_MS, .away_ms = SMTPD_AWAY_MS,
};

void
lookup_start(struct loop *l, const char *path)
{
	loop = l;
	rewrite = asker_new(l, path, &REWRITE_PROTO, &ops);
	quotad = asker_new(l, "private/quotad", &QUOTA_PROTO, &ops);
}

void
lookup_cancel(struct ask *a)
{
	list_remove(&a->link);
}

/* The first byte of an entry's key is its kind's number, the rest its frame. */
static struct buf
question(int kind)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);

	buf_add_char(&b, (char)kind);
	return b;
}

/* Ask what is in the cache, under way, or neither; takes b. */
static void
ask(struct ask *a, struct buf *b)
{
	struct span key = buf_span(b);
	struct hash_entry *he;
	struct entry *e;
	bool made;

	he = hash_enter(&entries, key, &made);
	e = he->value;
	if (!made && !e->under_way && e->expires < loop_now_ms(loop)) {
		entry_free(e);
		he = hash_enter(&entries, key, &made);
	}
	buf_fini(b);
	if (!made && !e->under_way) {
		list_remove(&e->lru);
		list_prepend(&lru, &e->lru);
		a->fn(a, &e->answer);
		return;
	}
	if (!made) {
		list_append(&e->waiters, &a->link);
		return;
	}
	e = mem_zalloc(sizeof(*e));
	he->value = e;
	e->key = he->key;
	e->kind = &kinds[(size_t)e->key.p[0]];
	e->under_way = true;
	nunder_way++;
	list_init(&e->waiters);
	list_append(&e->waiters, &a->link);
	e->asker = e->kind->quota ? quotad : rewrite;
	asker_ask(e->asker, &e->q);
}

void
lookup_resolve(struct ask *a, struct span addr, bool want_listed)
{
	struct rewrite_resolve q = {
		.address = addr, .want_listed = want_listed
	};
	struct buf b = question(RESOLVE);

	rewrite_resolve_encode(&b, &q);
	ask(a, &b);
}

void
lookup_room(struct ask *a, struct span addr, uint64_t bytes)
{
	struct quota_ask q = { .address = addr };
	struct buf b = question(ROOM);

	/* One answer for all sizes up to the next step. */
	q.bytes = MIN(bytes, UINT64_MAX - ROOM_STEP) / ROOM_STEP * ROOM_STEP;
	quota_ask_encode(&b, &q);
	ask(a, &b);
}

void
lookup_table(struct ask *a, struct span table, const struct lookup_keys *keys)
{
	struct rewrite_lookup q = { .table = table, .nwhole = keys->nwhole };
	struct buf b = question(LOOKUP), k = BUF_INIT(BUF_UNLIMITED);

	for (unsigned i = 0; i < keys->n; i++)
		ipc_put_blob(&k, keys->v[i], LOOKUP_KEY_MAX, "keys");
	q.keys = buf_span(&k);
	rewrite_lookup_encode(&b, &q);
	buf_fini(&k);
	ask(a, &b);
}
