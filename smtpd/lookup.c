/* SPDX-License-Identifier: ISC */
/*
 * lookup - questions to rewrite and quotad, over one connection each, with a
 * cache.
 *
 * A question that is under way already is not asked twice: whoever asks it
 * again waits for the same answer.  Answers are kept for REWRITE_TTL_MS, the
 * LOOKUP_CACHE_MAX latest of them; "unlisted" and failures are never kept,
 * so that a new account works at once.
 */
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "ipc/tags.h"
#include "smtpd/smtpd.h"

#define LOOKUP_CACHE_MAX	8192
/* Answers larger than this are used and not kept. */
#define LOOKUP_VALUE_MAX	4096
/* An address or a name; REWRITE_KEYS_MAX of them fit into a question. */
#define LOOKUP_KEY_MAX		1020
/* A message's size need not be known better than this, bytes. */
#define ROOM_STEP		65536u

struct entry {
	struct list	 lru;		/* when it is kept */
	struct list	 waiters;	/* struct ask.link, when not */
	uint32_t	 tag;		/* 0: not under way */
	int64_t		 expires;
	struct answer	 answer;
	char		*body;		/* what answer points into */
	struct span	 key;		/* the table's */
};

static struct loop *loop;
/* Who answers; the first byte of an entry's key is one of kinds. */
static struct peer {
	const char		*name, *kinds;
	struct ipc_client	*client;
} rewrite = { "rewrite", "RT", NULL }, quotad = { "quotad", "Q", NULL };
static struct hash entries;
static struct list lru = LIST_INIT(lru);
static struct tags tags = TAGS_INIT;

static void
entry_free(struct entry *e)
{
	hash_del(&entries, e->key);
	list_remove(&e->lru);
	tags_del(&tags, e->tag);
	mem_free(e->body);
	mem_free(e);
}

/* Tell everybody who waits.  A waiter may ask again, the same even. */
static void
tell(struct entry *e, const struct answer *a)
{
	struct list waiters;

	if (list_empty(&e->waiters))
		return;
	/* Move them over: new ones are not for this answer. */
	waiters = e->waiters;
	waiters.next->prev = waiters.prev->next = &waiters;
	list_init(&e->waiters);
	while (!list_empty(&waiters)) {
		struct ask *ask = LIST_ENTRY(waiters.next, struct ask, link);

		list_remove(&ask->link);
		ask->fn(ask, a);
	}
}

static void
failed(struct entry *e, const char *text)
{
	struct answer a = {
		.status = ANSWER_TEMPFAIL, .text = span_of(text)
	};
	struct list waiters;

	/* The entry goes first: an asker may ask again and make a new one. */
	if (list_empty(&e->waiters)) {
		entry_free(e);
		return;
	}
	waiters = e->waiters;
	waiters.next->prev = waiters.prev->next = &waiters;
	list_init(&e->waiters);
	entry_free(e);
	while (!list_empty(&waiters)) {
		struct ask *ask = LIST_ENTRY(waiters.next, struct ask, link);

		list_remove(&ask->link);
		ask->fn(ask, &a);
	}
}

static void
keep(struct entry *e)
{
	e->expires = loop_now_ms(loop) + REWRITE_TTL_MS;
	list_prepend(&lru, &e->lru);
	while (entries.count - tags.used > LOOKUP_CACHE_MAX &&
	    lru.prev != &e->lru)
		entry_free(LIST_ENTRY(lru.prev, struct entry, lru));
}

static void
take(struct entry *e, const struct answer *a, bool good, size_t body_len)
{
	tags_del(&tags, e->tag);
	e->tag = 0;
	if (good && body_len <= LOOKUP_VALUE_MAX) {
		e->answer = *a;
		keep(e);
		tell(e, a);
		return;
	}
	/* Not to be found by those who ask from now on. */
	hash_del(&entries, e->key);
	e->key = SPAN_EMPTY;
	tell(e, a);
	mem_free(e->body);
	mem_free(e);
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

static bool
is_of(const struct entry *e, const struct peer *p)
{
	return strchr(p->kinds, e->key.p[0]) != NULL;
}

static int
decode(struct entry *e, unsigned type, struct span body)
{
	/* Question and answer must be of one kind. */
	switch (e->key.p[0]) {
	case 'R':
		return type == REWRITE_RESOLVED ? on_resolved(e, body) : -1;
	case 'T':
		return type == REWRITE_FOUND ? on_found(e, body) : -1;
	default:
		return type == QUOTA_ANSWER ? on_room(e, body) : -1;
	}
}

static int
on_frame(void *arg, struct ipc_conn *c, const struct ipc_frame *f)
{
	const struct peer *from = arg;
	struct entry *e;
	char *copy;
	int rc;

	if (f->fd >= 0)
		return -1;
	e = tags_get(&tags, f->tag);
	if (e == NULL)
		return 0;
	if (!is_of(e, from))
		return -1;
	copy = f->body.len > 0 ? mem_alloc(f->body.len) : NULL;
	if (copy != NULL)
		memcpy(copy, f->body.p, f->body.len);
	e->body = copy;
	rc = decode(e, f->type, span_make(copy, f->body.len));
	if (rc < 0)
		log_warning("%s sent an answer that breaks its schema",
		    from->name);
	return rc;
}

static void
away(struct entry *e)
{
	failed(e, is_of(e, &quotad) ? "the quota service is away" :
	    "the rewrite service is away");
}

static void
lost_rewrite(void *p)
{
	if (is_of(p, &rewrite))
		away(p);
}

static void
lost_quotad(void *p)
{
	if (is_of(p, &quotad))
		away(p);
}

static void
on_down(void *arg)
{
	const struct peer *p = arg;

	if (tags.used > 0)
		log_warning("lost connection with %s: look-ups under way "
		    "have failed", p->name);
	tags_each(&tags, p == &quotad ? lost_quotad : lost_rewrite);
}

static const struct ipc_client_ops ops = {
	.on_frame = on_frame,
	.on_down = on_down,
};

void
lookup_start(struct loop *l, const char *path)
{
	loop = l;
	rewrite.client = ipc_client_new(l, path, &REWRITE_PROTO, &ops,
	    &rewrite);
	quotad.client = ipc_client_new(l, "private/quotad", &QUOTA_PROTO,
	    &ops, &quotad);
}

void
lookup_cancel(struct ask *a)
{
	list_remove(&a->link);
}

/*
 * The entry for key: answered (fn was called: NULL), or under way with the
 * asker waiting (NULL), or new: the caller sends the question.
 */
static struct entry *
find_or_make(struct ask *a, struct span key, struct peer *peer)
{
	struct hash_entry *he;
	struct entry *e;
	bool made;

	he = hash_enter(&entries, key, &made);
	e = he->value;
	if (!made && e->tag == 0 && e->expires < loop_now_ms(loop)) {
		entry_free(e);
		he = hash_enter(&entries, key, &made);
	}
	if (!made) {
		if (e->tag == 0) {
			list_remove(&e->lru);
			list_prepend(&lru, &e->lru);
			a->fn(a, &e->answer);
		} else {
			list_append(&e->waiters, &a->link);
		}
		return NULL;
	}
	e = mem_zalloc(sizeof(*e));
	he->value = e;
	e->key = he->key;
	list_init(&e->waiters);
	list_append(&e->waiters, &a->link);
	if (ipc_client_conn(peer->client) == NULL ||
	    (e->tag = tags_add(&tags, e)) == 0) {
		away(e);
		return NULL;
	}
	return e;
}

void
lookup_resolve(struct ask *a, struct span addr, bool want_listed)
{
	struct buf key = BUF_INIT(BUF_UNLIMITED);
	struct rewrite_resolve q = {
		.address = addr, .want_listed = want_listed
	};
	struct ipc_conn *c;
	struct entry *e;

	buf_add_str(&key, want_listed ? "RL" : "R-");
	buf_add_span(&key, addr);
	e = find_or_make(a, buf_span(&key), &rewrite);
	buf_fini(&key);
	if (e == NULL)
		return;
	c = ipc_client_conn(rewrite.client);
	rewrite_resolve_encode(ipc_begin(c, REWRITE_RESOLVE, e->tag), &q);
	ipc_end(c);
}

void
lookup_room(struct ask *a, struct span addr, uint64_t bytes)
{
	struct buf key = BUF_INIT(BUF_UNLIMITED);
	struct quota_ask q = { .address = addr, .bytes = bytes };
	struct ipc_conn *c;
	struct entry *e;

	/* One answer for all sizes up to the next step. */
	q.bytes = MIN(bytes, UINT64_MAX - ROOM_STEP) / ROOM_STEP * ROOM_STEP;
	buf_addf(&key, "Q%llu ", (unsigned long long)q.bytes);
	buf_add_span(&key, addr);
	e = find_or_make(a, buf_span(&key), &quotad);
	buf_fini(&key);
	if (e == NULL)
		return;
	c = ipc_client_conn(quotad.client);
	quota_ask_encode(ipc_begin(c, QUOTA_ASK, e->tag), &q);
	ipc_end(c);
}

void
lookup_table(struct ask *a, struct span table, const struct lookup_keys *keys)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED), k = BUF_INIT(BUF_UNLIMITED);
	struct rewrite_lookup q = { .table = table, .nwhole = keys->nwhole };
	struct ipc_conn *c;
	struct entry *e;

	buf_add_char(&b, 'T');
	buf_add_span(&b, table);
	buf_add_char(&b, '\0');
	ipc_put_u32(&b, keys->nwhole, REWRITE_KEYS_MAX, "nwhole");
	for (unsigned i = 0; i < keys->n; i++)
		ipc_put_blob(&k, keys->v[i], LOOKUP_KEY_MAX, "keys");
	buf_add_span(&b, buf_span(&k));
	e = find_or_make(a, buf_span(&b), &rewrite);
	if (e != NULL) {
		q.keys = buf_span(&k);
		c = ipc_client_conn(rewrite.client);
		rewrite_lookup_encode(ipc_begin(c, REWRITE_LOOKUP, e->tag),
		    &q);
		ipc_end(c);
	}
	buf_fini(&b);
	buf_fini(&k);
}
