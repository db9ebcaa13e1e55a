/* SPDX-License-Identifier: ISC */
/*
 * introspect - see introspect.h: questions, answers, and the cache.
 */
#include "authd/introspect.h"

#include "auth/digest.h"
#include "authd/helper.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rnd.h"
#include "conf/params.h"
#include "http/web.h"
#include "ipc/tags.h"

#define WAITING_MAX	1000		/* questions under way */
#define KEPT_MAX	20000		/* answers; then the oldest go */
#define KEEP_BAD_MS	10000		/* at most, that a token is bad */

struct kept {
	struct list	 link;		/* oldest first */
	struct span	 key;		/* the table's: a MAC of the token */
	bool		 good;
	int64_t		 end_ms;
	char		*user;
};

struct introspect_job {
	uint32_t	 tag;
	unsigned char	 mac[DIGEST_MAX];
	introspect_fn	*fn;
	void		*arg;
};

static struct {
	struct helper	*helper;	/* NULL: not configured */
	struct tags	 jobs;
	struct hash	 kept;
	struct list	 by_age;
	unsigned char	 key[32];
} g = { .by_age = LIST_INIT(g.by_age) };

/* --- what is kept -------------------------------------------------------------- */

static void
kept_free(struct kept *k)
{
	list_remove(&k->link);
	(void)hash_del(&g.kept, k->key);
	mem_free(k->user);
	mem_free(k);
}

static void
keep(const struct introspect_job *j, const struct token_answer *a)
{
	int64_t ms = conf.authd_oauth_introspection_cache_time * 1000, left;
	struct hash_entry *h;
	struct kept *k;
	bool made;

	if (a->result == TOKEN_BAD)
		ms = MIN(ms, KEEP_BAD_MS);
	if (a->result == TOKEN_GOOD && a->end_s < INT64_MAX / 2000) {
		left = ((int64_t)a->end_s - clock_wall_s()) * 1000;
		ms = MIN(ms, left);
	}
	if (ms <= 0)
		return;
	k = hash_get(&g.kept, span_make(j->mac, 32));
	if (k != NULL)
		kept_free(k);
	h = hash_enter(&g.kept, span_make(j->mac, 32), &made);
	k = h->value = mem_zalloc(sizeof(*k));
	k->key = h->key;
	k->good = a->result == TOKEN_GOOD;
	k->end_ms = clock_mono_ms() + ms;
	k->user = span_dup(a->user);
	list_append(&g.by_age, &k->link);
	if (g.kept.count > KEPT_MAX)
		kept_free(LIST_ENTRY(g.by_age.next, struct kept, link));
}

void
introspect_forget(void)
{
	while (!list_empty(&g.by_age))
		kept_free(LIST_ENTRY(g.by_age.next, struct kept, link));
}

enum introspect_result
introspect_known(struct span token, struct buf *user)
{
	unsigned char mac[DIGEST_MAX];
	struct kept *k;

	digest_hmac(DIGEST_SHA256, span_make(g.key, sizeof(g.key)), token,
	    mac);
	k = hash_get(&g.kept, span_make(mac, 32));
	if (k == NULL)
		return INTROSPECT_UNKNOWN;
	if (k->end_ms <= clock_mono_ms()) {
		kept_free(k);
		return INTROSPECT_UNKNOWN;
	}
	if (!k->good)
		return INTROSPECT_BAD;
	buf_reset(user);
	return buf_put_str(user, k->user) < 0 ? INTROSPECT_BAD :
	    INTROSPECT_GOOD;
}

/* --- questions ------------------------------------------------------------------ */

static void
job_free(struct introspect_job *j)
{
	tags_del(&g.jobs, j->tag);
	mem_free(j);
}

static int
on_frame(void *arg, const struct ipc_frame *f)
{
	struct introspect_job *j = tags_get(&g.jobs, f->tag);
	struct token_answer m;

	if (f->type != TOKEN_ANSWER || token_answer_decode(&m, f->body) < 0)
		return -1;
	if (j == NULL)
		return 0;
	if (m.result == TOKEN_UNKNOWN)
		log_warning("%s: %.*s", conf.authd_oauth_introspection_url,
		    SPAN_ARG(m.text));
	else if (m.result == TOKEN_BAD)
		log_info("token refused: %.*s", SPAN_ARG(m.text));
	if (m.result != TOKEN_UNKNOWN)
		keep(j, &m);
	j->fn(j->arg, m.result == TOKEN_GOOD ? INTROSPECT_GOOD :
	    m.result == TOKEN_BAD ? INTROSPECT_BAD : INTROSPECT_UNKNOWN,
	    m.user);
	job_free(j);
	return 0;
}

static void
lost(void *p)
{
	struct introspect_job *j = p;

	j->fn(j->arg, INTROSPECT_UNKNOWN, SPAN(""));
	job_free(j);
}

static void
on_lost(void *arg)
{
	tags_each(&g.jobs, lost);
}

static const struct helper_client helper_side = {
	.on_frame = on_frame, .on_lost = on_lost,
};

int
introspect_check(struct why *why)
{
	const char *url = conf.authd_oauth_introspection_url;
	struct web_url u;

	if (url[0] == '\0' || web_url_parse(span_of(url), &u) == 0)
		return 0;
	return why_set(why, "", "authd_oauth_introspection_url: \"%s\" is no "
	    "https: URL", url);
}

int
introspect_open(struct why *why)
{
	if (introspect_check(why) < 0)
		return -1;
	rnd_bytes(g.key, sizeof(g.key));
	if (conf.authd_oauth_introspection_url[0] == '\0')
		return 0;
	if (introspect_helper_load(why) < 0)
		return -1;
	g.helper = helper_add("authd-introspect", &introspect_helper_ops,
	    &helper_side, NULL);
	return 0;
}

/* NULL: it is away. */
static struct ipc_conn *
process(void)
{
	return g.helper != NULL ? helper_conn(g.helper) : NULL;
}

struct introspect_job *
introspect_ask(struct span token, introspect_fn *fn, void *arg)
{
	struct token_ask m = { token };
	struct ipc_conn *c = process();
	struct introspect_job *j;

	if (c == NULL || g.jobs.used >= WAITING_MAX)
		return NULL;
	j = mem_zalloc(sizeof(*j));
	j->fn = fn;
	j->arg = arg;
	digest_hmac(DIGEST_SHA256, span_make(g.key, sizeof(g.key)), token,
	    j->mac);
	j->tag = tags_add(&g.jobs, j);
	token_ask_encode(ipc_begin(c, TOKEN_ASK, j->tag), &m);
	ipc_end(c);
	return j;
}

void
introspect_cancel(struct introspect_job **jp)
{
	struct introspect_job *j = *jp;

	*jp = NULL;
	if (j == NULL)
		return;
	if (process() != NULL)
		ipc_send(process(), TOKEN_CANCEL, j->tag, SPAN(""));
	job_free(j);
}
