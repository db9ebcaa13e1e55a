/* SPDX-License-Identifier: ISC */
/*
 * domain - what we know of each domain, and when to look again.
 *
 * A policy is in force until its max_age is over, whatever became of later
 * looks (RFC 8461 3.3, 5.1): who can keep us from the policy host must not be
 * able to do away with the policy.  A failure is not repeated for a while.
 * Policies that are in use are fetched again long before they expire.
 *
 * Domains that have a policy and those that have none are bounded apart: mail
 * to many domains without one must not drive out a policy.
 */
#include <stdio.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "io/saver.h"
#include "mtasts/mtasts.h"

#define CHECK_MIN_S	60		/* between looks at a TXT record */
#define CHECK_MAX_S	3600
#define RETRY_S		300		/* after a failure, RFC 8461 3.3 */
#define REFRESH_S	86400		/* age at which it is fetched anew */
#define UNUSED_S	(30 * 86400)	/* then nobody fetches it anew */
#define SWEEP_MS	(60 * 1000)
#define SWEEP_JOBS	8		/* looks that a sweep begins */
#define JOBS_MAX	256		/* looks under way */
#define SAVE_MS		2000		/* changes are gathered */

struct domain {
	struct list	 link;		/* with[], least recently used first */
	char		 name[DNS_NAME_MAX + 1];
	bool		 has;		/* there is a policy */
	struct policy	 policy;
	int64_t		 next_s;	/* not to look before; 0 at once */
	enum mtasts_result result;	/* of the last look */
	char		 text[256];
	struct fetch	*job;
	struct list	 waiters;
};

static struct {
	struct hash	 by_name;
	struct list	 with[2];	/* [has] */
	size_t		 count[2];
	size_t		 jobs;
	struct loop_timer *sweep;
	struct saver	*saver;
} g;

/* --- the file ------------------------------------------------------------------------- */

static bool
in_force(const struct domain *d, int64_t now)
{
	/* A clock that was set back makes nothing live for ever. */
	return d->has && now < d->policy.fetched_s + d->policy.max_age &&
	    now > d->policy.fetched_s - 86400;
}

static void
all_text(void *arg, struct buf *out)
{
	LIST_FOREACH(l, &g.with[1]) {
		const struct domain *d = LIST_ENTRY(l, struct domain, link);

		store_put(out, d->name, &d->policy);
	}
}

static void
changed(void)
{
	saver_changed(g.saver);
}

void
domain_save(void)
{
	saver_flush(g.saver);
}

/* --- domains ----------------------------------------------------------------------------- */

static void
file_under(struct domain *d, bool has)
{
	list_remove(&d->link);
	g.count[d->has]--;
	d->has = has;
	g.count[has]++;
	list_append(&g.with[has], &d->link);
}

static void
domain_free(struct domain *d)
{
	list_remove(&d->link);
	g.count[d->has]--;
	(void)hash_del(&g.by_name, span_of(d->name));
	mem_free(d->policy.mx);
	mem_free(d);
}

/* Room for one more: the least recently used that nobody waits for. */
static void
make_room(bool has)
{
	while (g.count[has] >= (size_t)conf.mtasts_cache_limit) {
		struct domain *victim = NULL;

		LIST_FOREACH(l, &g.with[has]) {
			struct domain *d = LIST_ENTRY(l, struct domain, link);

			if (d->job == NULL) {
				victim = d;
				break;
			}
		}
		if (victim == NULL)
			return;
		if (has)
			log_info("%s: its policy is dropped: "
			    "mtasts_cache_limit", victim->name);
		domain_free(victim);
	}
}

static struct domain *
domain_new(const char *name, bool has)
{
	struct domain *d;

	make_room(has);
	d = mem_zalloc(sizeof(*d));
	(void)snprintf(d->name, sizeof(d->name), "%s", name);
	d->has = has;
	g.count[has]++;
	list_init(&d->waiters);
	list_append(&g.with[has], &d->link);
	(void)hash_put(&g.by_name, span_of(d->name), d);
	return d;
}

static void
forget_policy(struct domain *d)
{
	mem_free(d->policy.mx);
	d->policy = (struct policy){ .mx = NULL };
	file_under(d, false);
	changed();
}

static void
loaded(void *arg, const char *name, struct policy *p)
{
	struct domain *d = hash_get(&g.by_name, span_of(name));

	if (d != NULL || g.count[1] >= (size_t)conf.mtasts_cache_limit) {
		mem_free(p->mx);
		return;
	}
	d = domain_new(name, true);
	d->policy = *p;
}

/* --- answers ----------------------------------------------------------------------------- */

static void
describe(const struct domain *d, struct mtasts_policy *m)
{
	int64_t now = clock_wall_s();

	*m = (struct mtasts_policy){ .result = d->result,
	    .text = span_of(d->text),
	    .ttl = (uint32_t)MIN(MAX(d->next_s - now, 1), CHECK_MAX_S) };
	if (!in_force(d, now))
		return;
	m->found = true;
	m->mode = d->policy.mode;
	m->id = span_of(d->policy.id);
	m->mx = span_of(d->policy.mx);
	m->max_age = d->policy.max_age;
	m->left = (uint32_t)MIN(d->policy.fetched_s + d->policy.max_age -
	    now, (int64_t)STS_AGE_MAX);
}

static void
answer_all(struct domain *d)
{
	struct mtasts_policy m;

	describe(d, &m);
	while (!list_empty(&d->waiters)) {
		struct waiter *w = LIST_ENTRY(d->waiters.next, struct waiter,
		    link);

		list_remove(&w->link);
		w->fn(w, &m);
	}
}

/* --- a look ------------------------------------------------------------------------------- */

static void
take_policy(struct domain *d, const char *id, const struct sts_policy *p)
{
	struct buf mx = BUF_INIT(BUF_UNLIMITED);
	int64_t used = d->policy.used_s;
	bool news = !d->has || strcmp(d->policy.id, id) != 0;

	for (size_t i = 0; i < p->nmx; i++) {
		buf_add_str(&mx, i > 0 ? " " : "");
		buf_add_span(&mx, p->mx[i]);
	}
	mem_free(d->policy.mx);
	d->policy = (struct policy){ .mode = p->mode, .max_age = p->max_age,
	    .fetched_s = clock_wall_s(),
	    .used_s = d->has ? used : clock_wall_s(), .mx = buf_take(&mx) };
	(void)snprintf(d->policy.id, sizeof(d->policy.id), "%s", id);
	if (!d->has) {
		make_room(true);
		file_under(d, true);
	}
	if (news)
		log_info("%s: MTA-STS policy id=%s mode=%s max_age=%u mx=%s",
		    d->name, id, sts_mode_name(p->mode), p->max_age,
		    d->policy.mx);
	changed();
}

static bool
is_failure(enum mtasts_result r)
{
	return r != MTASTS_OK && r != MTASTS_ABSENT;
}

static void
on_fetched(void *arg, const struct fetch_result *r)
{
	struct domain *d = arg;
	int64_t now = clock_wall_s();

	d->job = NULL;
	g.jobs--;
	d->result = r->result;
	(void)snprintf(d->text, sizeof(d->text), "%s", r->text);
	d->next_s = now + (is_failure(r->result) && r->result != MTASTS_DNS ?
	    RETRY_S : MIN(MAX(r->ttl, CHECK_MIN_S), CHECK_MAX_S));
	if (r->policy != NULL)
		take_policy(d, r->id, r->policy);
	else if (d->has && !in_force(d, now))
		forget_policy(d);
	if (is_failure(r->result))
		log_info("%s: MTA-STS: %s%s", d->name, r->text,
		    d->has ? "; the policy seen before stays in force" : "");
	answer_all(d);
}

/* full: fetch the policy even when the record has not changed. */
static void
look(struct domain *d, bool full)
{
	g.jobs++;
	d->job = fetch_begin(d->name, d->has && !full ? d->policy.id : "",
	    on_fetched, d);
}

static bool
is_stale(const struct domain *d, int64_t now)
{
	int64_t age = now - d->policy.fetched_s;

	return age >= REFRESH_S || age >= (int64_t)d->policy.max_age / 2;
}

/* Policies that are used are fetched before they expire (RFC 8461 3.3);
 * those that have expired go. */
static void
on_sweep(void *arg)
{
	int64_t now = clock_wall_s();
	size_t begun = 0;

	LIST_FOREACH(l, &g.with[1]) {
		struct domain *d = LIST_ENTRY(l, struct domain, link);

		if (d->job != NULL)
			continue;
		if (!in_force(d, now)) {
			forget_policy(d);
		} else if (is_stale(d, now) && now >= d->next_s &&
		    now - d->policy.used_s < UNUSED_S && begun < SWEEP_JOBS &&
		    g.jobs < JOBS_MAX) {
			look(d, true);
			begun++;
		}
	}
	loop_timer_set(g.sweep, SWEEP_MS);
}

/* --- public -------------------------------------------------------------------------------- */

static void
touch(struct domain *d, int64_t now)
{
	list_remove(&d->link);
	list_append(&g.with[d->has], &d->link);
	if (!d->has)
		return;
	/* To the day is enough for the file. */
	if (now / 86400 != d->policy.used_s / 86400)
		changed();
	d->policy.used_s = now;
}

void
domain_ask(struct span name, bool fresh, struct waiter *w)
{
	int64_t now = clock_wall_s();
	struct domain *d = hash_get(&g.by_name, name);
	struct mtasts_policy m;
	char text[DNS_NAME_MAX + 1];
	bool stale = false;

	if (d == NULL) {
		(void)snprintf(text, sizeof(text), "%.*s", SPAN_ARG(name));
		d = domain_new(text, false);
	}
	touch(d, now);
	if (d->job == NULL && (now >= d->next_s || fresh)) {
		if (g.jobs < JOBS_MAX) {
			stale = in_force(d, now) && is_stale(d, now);
			look(d, fresh || stale || (d->has &&
			    !in_force(d, now)));
		} else {
			d->result = MTASTS_BUSY;
			(void)snprintf(d->text, sizeof(d->text),
			    "too many domains are being looked at");
		}
	}
	/* A fetch may take long; what is in force is good meanwhile. */
	if (d->job != NULL && !(stale && !fresh)) {
		list_append(&d->waiters, &w->link);
		return;
	}
	describe(d, &m);
	list_init(&w->link);
	w->fn(w, &m);
}

void
domain_leave(struct waiter *w)
{
	list_remove(&w->link);
}

void
domain_start(void)
{
	g.by_name = HASH_INIT;
	list_init(&g.with[0]);
	list_init(&g.with[1]);
	g.saver = saver_new(daemon_loop(), store_path(), 0600, SAVE_MS,
	    all_text, NULL);
	g.sweep = loop_timer_new(daemon_loop(), on_sweep, NULL);
	store_load(loaded, NULL);
	loop_timer_set(g.sweep, SWEEP_MS);
}
