/* SPDX-License-Identifier: ISC */
/*
 * cache - sessions that wait for more mail to the same destination.
 *
 * A session is kept only where there is reason to believe that more comes:
 * other deliveries with its key are under way or follow one another within a
 * second, or the administrator said so.
 */
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/daemon.h"
#include "smtp/smtp.h"

#define ROW_MS	1000		/* Postfix's limit for back-to-back deliveries */

struct place {
	struct list	 idle;		/* sessions, the freshest first */
	int64_t		 deliveries;
	int64_t		 ended_ms;	/* the last of them; 0: none has */
	bool		 in_a_row;	/* one began right after another */
};

static struct hash places = HASH_INIT;
static struct loop_timer *sweeping;	/* forgets what has ended */
static bool is_sweeping;
static bool draining;

static struct place *
place_get(const char *key)
{
	bool made;
	struct hash_entry *e = hash_enter(&places, span_of(key), &made);

	if (made) {
		struct place *p = e->value = mem_zalloc(sizeof(*p));

		list_init(&p->idle);
	}
	return e->value;
}

static bool
just_ended(const struct place *p)
{
	return p->ended_ms != 0 &&
	    loop_now_ms(daemon_loop()) - p->ended_ms <= ROW_MS;
}

static void
sweep_one(struct hash_entry *e, void *arg)
{
	struct place *p = e->value;
	bool *resting = arg;

	if (p->deliveries > 0 || !list_empty(&p->idle))
		return;
	if (just_ended(p)) {
		*resting = true;
		return;
	}
	(void)hash_del(&places, e->key);
	mem_free(p);
}

static void
sweep(void *arg)
{
	is_sweeping = false;
	hash_each(&places, sweep_one, &is_sweeping);
	if (is_sweeping)
		loop_timer_set(sweeping, ROW_MS);
}

/* Nothing is under way or kept there any more: it is forgotten in a moment. */
static void
place_rest(const struct place *p)
{
	if (p->deliveries > 0 || !list_empty(&p->idle))
		return;
	if (sweeping == NULL)
		sweeping = loop_timer_new(daemon_loop(), sweep, NULL);
	if (!is_sweeping)
		loop_timer_set(sweeping, ROW_MS);
	is_sweeping = true;
}

void
cache_count(const char *key, int delta)
{
	struct place *p = place_get(key);

	if (delta < 0)
		p->ended_ms = loop_now_ms(daemon_loop());
	else
		p->in_a_row = just_ended(p) ||
		    (p->in_a_row && p->deliveries > 0);
	p->deliveries += delta;
	place_rest(p);
}

struct session *
cache_take(const char *key)
{
	struct place *p = hash_get(&places, span_of(key));
	struct session *s;

	if (p == NULL || list_empty(&p->idle))
		return NULL;
	s = LIST_ENTRY(p->idle.next, struct session, idle);
	cache_remove(s);
	return s;
}

static void
on_idle(void *arg)
{
	struct session *s = arg;

	cache_remove(s);
	session_quit(s);
}

/* The destination is the first word of the key. */
static bool
listed(const char *key)
{
	struct span rest = span_of(set.cache_destinations), word;
	struct span dest = span_of(key);
	ptrdiff_t tab = span_find(dest, '\t');

	if (tab >= 0)
		dest = span_sub(dest, 0, (size_t)tab);
	while (span_token(&rest, " \t\r\n,", &word))
		if (span_caseeq(word, dest))
			return true;
	return false;
}

void
cache_put(struct session *s)
{
	struct place *p = place_get(s->key);
	int64_t age = loop_now_ms(daemon_loop()) - s->born_ms;
	bool more = set.cache_on_demand && (p->deliveries > 1 || p->in_a_row);

	if (draining || s->spent || set.cache_ms <= 0 ||
	    age >= set.reuse_ms ||
	    (set.reuse_count > 0 && s->used >= set.reuse_count) ||
	    !(more || listed(s->key))) {
		place_rest(p);
		session_quit(s);
		return;
	}
	session_set_state(s, S_IDLE);
	list_prepend(&p->idle, &s->idle);
	if (s->idle_timer == NULL)
		s->idle_timer = loop_timer_new(daemon_loop(), on_idle, s);
	loop_timer_set(s->idle_timer, set.cache_ms);
	stream_set_deadline(s->stream, 0);
}

void
cache_remove(struct session *s)
{
	struct place *p;

	if (!list_linked(&s->idle))
		return;
	list_remove(&s->idle);
	loop_timer_cancel(s->idle_timer);
	p = hash_get(&places, span_of(s->key));
	if (p != NULL)
		place_rest(p);
}

static void
collect(struct hash_entry *e, void *arg)
{
	struct place *p = e->value;
	struct list *all = arg;

	LIST_FOREACH(l, &p->idle) {
		list_remove(l);
		list_append(all, l);
	}
}

void
cache_drain(void)
{
	struct list all = LIST_INIT(all);

	draining = true;
	hash_each(&places, collect, &all);
	while (!list_empty(&all)) {
		struct session *s = LIST_ENTRY(all.next, struct session, idle);

		list_remove(&s->idle);
		loop_timer_cancel(s->idle_timer);
		session_quit(s);
	}
}
