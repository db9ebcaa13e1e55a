/* SPDX-License-Identifier: ISC */
/*
 * service - when to start a process, when to wait, when to give up for a
 * while.
 *
 * svc_consider() is the only place that decides; whatever changes calls it.
 * A listener is watched only while no process of the service would take the
 * client, another may be started, and the service is not being punished.
 */
#include "master/master.h"

#include <errno.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "io/fd.h"

#define LISTEN_RETRY_MS	1000
#define FULL_SAID_MS	60000	/* say "process limit" at most so often */

unsigned
svc_live(const struct svc *s)
{
	unsigned n = 0;

	LIST_FOREACH(l, &s->children) {
		struct child *c = LIST_ENTRY(l, struct child, link);

		/* One that is not gone yet still owns a single job's files. */
		if (c->state != CHILD_EXITING ||
		    (s->plan->flags & PLAN_SINGLE))
			n++;
	}
	return n;
}

unsigned
svc_avail(const struct svc *s)
{
	unsigned n = 0;

	LIST_FOREACH(l, &s->children) {
		struct child *c = LIST_ENTRY(l, struct child, link);

		if (c->state == CHILD_STARTING || c->state == CHILD_AVAIL)
			n++;
	}
	return n;
}

static bool
all_open(const struct svc *s)
{
	for (size_t i = 0; i < s->listeners.len; i++)
		if (s->listeners.v[i]->fd < 0)
			return false;
	return true;
}

static bool
full(const struct svc *s)
{
	return s->plan->maxproc > 0 &&
	    svc_live(s) >= (uint64_t)s->plan->maxproc;
}

/* As Postfix says it, for the tools that look for it. */
static void
say_full(struct svc *s)
{
	int64_t now = clock_mono_ms();

	if (s->full_said_ms != 0 && now - s->full_said_ms < FULL_SAID_MS)
		return;
	s->full_said_ms = now;
	log_warning("service \"%s\" (%s) has reached its process limit "
	    "\"%lld\": new clients may experience noticeable delays",
	    s->plan->name, s->plan->sockets.v[0].text,
	    (long long)s->plan->maxproc);
	log_warning("to avoid this condition, increase the process count in "
	    "master.cf or reduce the service time per client");
}

static void
watch(struct svc *s, bool on)
{
	s->watched = on;
	for (size_t i = 0; i < s->listeners.len; i++)
		if (s->listeners.v[i]->io != NULL)
			loop_io_want(s->listeners.v[i]->io,
			    on ? LOOP_READ : 0);
}

void
svc_consider(struct svc *s)
{
	bool may;

	if (s->removed || stop_reached(s->plan->stage)) {
		watch(s, false);
		return;
	}
	may = !s->throttled && !full(s) && all_open(s);
	if (may && !master.stopping && (s->plan->flags & PLAN_PRESTART) &&
	    svc_live(s) == 0) {
		(void)child_start(s);
		may = !s->throttled && !full(s);
	}
	watch(s, may && svc_avail(s) == 0);
	if (full(s) && !s->throttled && svc_avail(s) == 0 &&
	    (s->plan->flags & PLAN_SINGLE) == 0)
		say_full(s);
}

static void
on_client_waits(void *arg, unsigned events)
{
	struct listener *l = arg;
	struct svc *s = l->svc;

	s->used = true;
	(void)child_start(s);
	svc_consider(s);
}

static void
on_throttle_over(void *arg)
{
	struct svc *s = arg;

	s->throttled = false;
	s->quick_deaths = 0;
	svc_consider(s);
}

void
svc_throttle(struct svc *s)
{
	s->throttled = true;
	loop_timer_set(s->throttle_timer, conf.service_throttle_time * 1000);
}

/* --- listeners ------------------------------------------------------------------- */

static void
attach(struct listener *l)
{
	l->io = loop_io_new(master.loop, l->fd, on_client_waits, l);
}

/* A listener that a reload could not open because its address was still in
 * use by one that went away. */
static void
on_listen_retry(void *arg)
{
	struct svc *s = arg;
	struct why why = WHY_INIT;
	bool missing = false;

	for (size_t i = 0; i < s->listeners.len; i++) {
		struct listener *l = s->listeners.v[i];

		if (l->fd >= 0)
			continue;
		if (listener_open(l, &why) < 0) {
			missing = true;
			continue;
		}
		log_info("service \"%s\": now listening on %s",
		    s->plan->name, l->text);
		attach(l);
		/* Processes that run do not have this one. */
		LIST_FOREACH(at, &s->children)
			child_tell(LIST_ENTRY(at, struct child, link),
			    MASTER_MSG_RETIRE, -1);
	}
	if (missing)
		loop_timer_set(s->listen_timer, LISTEN_RETRY_MS);
	svc_consider(s);
}

static void
on_wakeup(void *arg)
{
	struct svc *s = arg;
	struct child *to = NULL;

	loop_timer_set(s->wakeup_timer, s->plan->wakeup * 1000);
	if (s->removed || master.stopping ||
	    (s->plan->wakeup_if_used && !s->used))
		return;
	LIST_FOREACH(l, &s->children) {
		struct child *c = LIST_ENTRY(l, struct child, link);

		if (c->state == CHILD_AVAIL || c->state == CHILD_STARTING)
			to = c;
	}
	if (to == NULL && !s->throttled && !full(s) && all_open(s))
		to = child_start(s);
	if (to != NULL)
		child_tell(to, MASTER_MSG_WAKEUP, -1);
	svc_consider(s);
}

void
svc_start_listening(struct svc *s)
{
	if (s->plan->wakeup > 0)
		loop_timer_set(s->wakeup_timer, 0);
	for (size_t i = 0; i < s->listeners.len; i++) {
		if (s->listeners.v[i]->fd < 0)
			loop_timer_set(s->listen_timer, 0);
		else if (s->listeners.v[i]->io == NULL)
			attach(s->listeners.v[i]);
	}
}

struct svc *
svc_new(struct plan *p)
{
	struct svc *s = mem_zalloc(sizeof(*s));

	s->plan = p;
	list_init(&s->children);
	s->throttle_timer = loop_timer_new(master.loop, on_throttle_over, s);
	s->wakeup_timer = loop_timer_new(master.loop, on_wakeup, s);
	s->listen_timer = loop_timer_new(master.loop, on_listen_retry, s);
	for (size_t i = 0; i < p->sockets.len; i++) {
		struct listener *l = mem_zalloc(sizeof(*l));

		l->text = mem_strdup(p->sockets.v[i].text);
		l->addr = p->sockets.v[i].addr;
		l->fd = -1;
		l->svc = s;
		*ARRAY_PUSH(&s->listeners) = l;
	}
	return s;
}

void
svc_unlisten(struct svc *s)
{
	for (size_t i = 0; i < s->listeners.len; i++) {
		struct listener *l = s->listeners.v[i];

		listener_close(l, true);
		mem_free(l->text);
		mem_free(l);
	}
	ARRAY_FINI(&s->listeners);
}

void
svc_free(struct svc **sp)
{
	struct svc *s = *sp;

	*sp = NULL;
	if (s == NULL)
		return;
	svc_unlisten(s);
	loop_timer_free(&s->throttle_timer);
	loop_timer_free(&s->wakeup_timer);
	loop_timer_free(&s->listen_timer);
	plan_free(&s->plan);
	mem_free(s);
}

bool
svc_all_prestarted(void)
{
	for (size_t i = 0; i < master.services.len; i++) {
		struct svc *s = master.services.v[i];
		bool ready = s->throttled ||
		    (s->plan->flags & PLAN_PRESTART) == 0;

		LIST_FOREACH(l, &s->children)
			ready = ready ||
			    LIST_ENTRY(l, struct child, link)->ready;
		if (!ready)
			return false;
	}
	return true;
}
