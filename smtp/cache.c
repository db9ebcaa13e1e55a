/* SPDX-License-Identifier: ISC */
/*
 * cache - sessions that wait for more mail to the same destination.
 *
 * A session is kept only where there is reason to believe that more comes:
 * other deliveries with its key are under way, or the administrator said so.
 */
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/daemon.h"
#include "smtp/smtp.h"

struct place {
	struct list	 idle;		/* sessions, the freshest first */
	int64_t		 deliveries;
};

static struct hash places = HASH_INIT;
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

static void
place_drop(const char *key, struct place *p)
{
	if (p->deliveries > 0 || !list_empty(&p->idle))
		return;
	(void)hash_del(&places, span_of(key));
	mem_free(p);
}

void
cache_count(const char *key, int delta)
{
	struct place *p = place_get(key);

	p->deliveries += delta;
	place_drop(key, p);
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
	bool busy = set.cache_on_demand && p->deliveries > 1;

	if (draining || s->spent || set.cache_ms <= 0 ||
	    age >= set.reuse_ms ||
	    (set.reuse_count > 0 && s->used >= set.reuse_count) ||
	    !(busy || listed(s->key))) {
		place_drop(s->key, p);
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
		place_drop(s->key, p);
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
