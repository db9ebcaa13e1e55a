/* SPDX-License-Identifier: ISC */
/*
 * sched - whose turn it is.
 *
 * Each transport has a queue per destination, each queue the jobs of its
 * messages.  Three round-robins make it fair: transports take turns, within a
 * transport the queues that can send, within a queue the messages, each with
 * at most a recipient limit's worth.  So a message of 50,000 recipients delays
 * one of a single recipient by one delivery.
 *
 * The concurrency limit of a destination counts agents, not messages: with a
 * batch limit above 1 (transports whose agents work one after the other) an
 * agent may hold that many of one destination and they count as one.  So
 * "2 at a time for one mailbox" and "fifty in one batch" go together.
 *
 * Agents are filled first to last, so that batches stay large; another is
 * opened only when all have been full for a while and seem to wait rather
 * than to work.
 */
#include "qmgr/qmgr.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "mail/address.h"

#define FULL_MS		20	/* all agents full this long: open another */
#define DISPATCH_MAX	2000	/* deliveries of a transport in one visit */
#define FAILURES_MAX	3	/* agents that died in a row */

static struct loop_defer run_defer;
static struct loop_timer *wake_timer;
static struct buf key_buf, fold_buf;
static int64_t cpus;

static void	 dispatch(struct transport *t);

/* --- queues --------------------------------------------------------------------- */

static bool
queue_dead(const struct queue *q)
{
	return q->window.size <= 0;
}

static void
wake_set(struct queue *q, int64_t at_ms)
{
	struct heap_node *first;

	heap_set(&qm.wakes, &q->wake, at_ms);
	first = heap_first(&qm.wakes);
	if (first == &q->wake)
		loop_timer_set(wake_timer, MAX(0, at_ms -
		    loop_now_ms(qm.loop)));
}

static void
queue_free_if_idle(struct queue *q)
{
	if (q->n_jobs > 0 || q->busy > 0 || q->wake.at != 0)
		return;
	list_remove(&q->ready);
	(void)hash_del(&q->t->queues, q->entry->key);
	ARRAY_FINI(&q->slots);
	mem_free(q->nexthop);
	mem_free(q->dead_text);
	mem_free(q);
}

static void
queue_ready(struct queue *q)
{
	if (list_empty(&q->jobs) || q->blocked || queue_dead(q) ||
	    list_linked(&q->ready))
		return;
	if (q->not_before_ms > loop_now_ms(qm.loop)) {
		wake_set(q, q->not_before_ms);
		return;
	}
	list_append(&q->t->ready, &q->ready);
	sched_kick(q->t);
}

static struct queue *
queue_get(struct transport *t, struct span nexthop, struct span address)
{
	struct hash_entry *e;
	struct queue *q;
	struct span local, domain, user, ext;
	bool made;

	buf_reset(&key_buf);
	address_fold(nexthop, true, &key_buf);
	if (t->p.recipient_limit == 1) {
		/* The destination is the recipient, without extension. */
		address_split(address, &local, &domain);
		if (address_split_ext(local, conf.recipient_delimiter, &user,
		    &ext))
			local = user;
		buf_add_char(&key_buf, '\0');
		buf_reset(&fold_buf);
		buf_add_span(&fold_buf, local);
		buf_add_char(&fold_buf, '@');
		buf_add_span(&fold_buf, domain);
		address_fold(buf_span(&fold_buf), true, &key_buf);
	}
	e = hash_enter(&t->queues, buf_span(&key_buf), &made);
	if (!made)
		return e->value;
	q = e->value = mem_zalloc(sizeof(*q));
	q->entry = e;
	q->t = t;
	list_init(&q->jobs);
	q->nexthop = span_dup(nexthop);
	window_init(&q->window, &t->p.window);
	return q;
}

/* Take all recipients off a job and free it. */
static void
job_dissolve(struct job *j, void (*fn)(struct message *m, uint32_t i,
    const struct queue *q, const char *text), const char *text)
{
	struct message *m = j->m;
	struct queue *q = j->q;

	list_remove(&j->queue_link);
	list_remove(&j->message_link);
	q->n_jobs--;
	for (uint32_t i = j->first, n = j->count; n > 0; n--) {
		uint32_t next = m->mr[i].next;

		fn(m, i, q, text);
		i = next;
	}
	mem_free(j);
}

static void
defer_dead(struct message *m, uint32_t i, const struct queue *q,
    const char *text)
{
	char tmp[700];

	(void)snprintf(tmp, sizeof(tmp),
	    "delivery temporarily suspended: %s", q->dead_text != NULL ?
	    q->dead_text : "the destination does not answer");
	rcpt_defer_logged(m, i, q->dead_dsn[0] != '\0' ? q->dead_dsn :
	    "4.4.1", span_of(tmp));
}

static void
defer_text(struct message *m, uint32_t i, const struct queue *q,
    const char *text)
{
	rcpt_defer_logged(m, i, "4.3.0", span_of(text));
}

static void
make_fresh(struct message *m, uint32_t i, const struct queue *q,
    const char *text)
{
	rcpt_set(m, i, R_FRESH);
}

static void
queue_dissolve(struct queue *q, void (*fn)(struct message *, uint32_t,
    const struct queue *, const char *), const char *text)
{
	while (!list_empty(&q->jobs))
		job_dissolve(LIST_ENTRY(q->jobs.next, struct job, queue_link),
		    fn, text);
	list_remove(&q->ready);
}

/* Deliveries fail as a whole: leave the destination alone for a while, and
 * tell everything that waits for it. */
static void
queue_die(struct queue *q)
{
	log_debug("%s: destination %s is dead for now", q->t->name,
	    q->nexthop);
	wake_set(q, loop_now_ms(qm.loop) + conf.minimal_backoff_time * 1000);
	queue_dissolve(q, defer_dead, NULL);
}

static void
on_wake(void *arg)
{
	int64_t now = loop_now_ms(qm.loop);
	struct heap_node *n;

	while ((n = heap_first(&qm.wakes)) != NULL && n->key <= now) {
		struct queue *q = CONTAINER_OF(n, struct queue, wake);

		(void)heap_pop(&qm.wakes);
		if (queue_dead(q))
			window_init(&q->window, &q->t->p.window);
		queue_ready(q);
		queue_free_if_idle(q);
	}
	if (n != NULL)
		loop_timer_set(wake_timer, n->key - now);
}

/* --- transports ------------------------------------------------------------------ */

static bool
transport_dead(const struct transport *t)
{
	return t->dead_until_ms > loop_now_ms(qm.loop);
}

static void
on_transport_timer(void *arg)
{
	struct transport *t = arg;

	dispatch(t);
}

static struct transport *
transport_get(struct span name)
{
	bool made;
	struct hash_entry *e = hash_enter(&qm.by_name, name, &made);
	struct transport *t;
	char path[128];

	if (!made)
		return e->value;
	t = e->value = mem_zalloc(sizeof(*t));
	t->name = span_dup(name);
	(void)snprintf(path, sizeof(path), "private/%s", t->name);
	t->path = mem_strdup(daemon_socket_path(path));
	t->queues = HASH_INIT;
	list_init(&t->ready);
	list_init(&t->agents);
	list_append(&qm.transports, &t->link);
	config_transport(t->name, &t->p);
	t->timer = loop_timer_new(qm.loop, on_transport_timer, t);
	return t;
}

void
sched_kick(struct transport *t)
{
	if (!list_linked(&t->round))
		list_append(&qm.round, &t->round);
	loop_defer(qm.loop, &run_defer);
}

static void
dissolve_one(struct hash_entry *e, void *arg)
{
	struct queue *q = e->value;

	queue_dissolve(q, defer_text, arg);
	queue_free_if_idle(q);
}

static void
transport_die(struct transport *t, const char *text)
{
	log_warning("transport %s is not used for %llds: %s", t->name,
	    (long long)conf.transport_retry_time, text);
	(void)snprintf(t->dead_text, sizeof(t->dead_text), "%s", text);
	t->dead_until_ms = loop_now_ms(qm.loop) +
	    conf.transport_retry_time * 1000;
	t->failures = 0;
	hash_each(&t->queues, dissolve_one, t->dead_text);
}

void
transport_failed(struct transport *t, const char *text)
{
	if (!transport_dead(t) && ++t->failures >= FAILURES_MAX)
		transport_die(t, text);
}

/* --- recipients come in ------------------------------------------------------------ */

void
sched_assign(struct message *m, uint32_t i, struct span transport,
    struct span nexthop, struct span address, struct span sender)
{
	struct transport *t;
	struct queue *q;
	struct job *j = NULL;

	if (transport.len == 0 || transport.len > 64 ||
	    span_find(transport, '/') >= 0) {
		rcpt_defer_logged(m, i, "4.3.5",
		    SPAN("bad transport name from the address resolver"));
		return;
	}
	t = transport_get(transport);
	if (transport_dead(t)) {
		rcpt_defer_logged(m, i, "4.3.0", span_of(t->dead_text));
		return;
	}
	q = queue_get(t, nexthop, address);
	if (queue_dead(q)) {
		defer_dead(m, i, q, NULL);
		return;
	}
	rcpt_set(m, i, R_QUEUED);
	m->mr[i].next = NO_RCPT;
	if (t->p.recipient_limit != 1) {
		LIST_FOREACH(l, &m->jobs) {
			j = LIST_ENTRY(l, struct job, message_link);
			if (j->q == q && span_eq(j->sender, sender))
				break;
			j = NULL;
		}
	}
	if (j != NULL) {
		m->mr[j->last].next = i;
		j->last = i;
		j->count++;
		return;
	}
	j = mem_zalloc(sizeof(*j));
	j->m = m;
	j->q = q;
	if (sender.len > 0)
		j->sender = span_make(arena_span_dup(&m->texts, sender),
		    sender.len);
	j->first = j->last = i;
	j->count = 1;
	q->n_jobs++;
	list_append(&m->jobs, &j->message_link);
}

/*
 * Recipients that share a destination go together, so nothing goes before the
 * last question about the message is answered.
 */
void
sched_release(struct message *m)
{
	LIST_FOREACH(l, &m->jobs) {
		struct job *j = LIST_ENTRY(l, struct job, message_link);
		struct queue *q = j->q;

		if (list_linked(&j->queue_link))
			continue;
		/* It may have died meanwhile. */
		if (transport_dead(q->t)) {
			job_dissolve(j, defer_text, q->t->dead_text);
			queue_free_if_idle(q);
		} else if (queue_dead(q)) {
			job_dissolve(j, defer_dead, NULL);
		} else {
			list_append(&q->jobs, &j->queue_link);
			queue_ready(q);
		}
	}
}

void
sched_withdraw(struct message *m)
{
	while (!list_empty(&m->jobs)) {
		struct job *j = LIST_ENTRY(m->jobs.next, struct job,
		    message_link);
		struct queue *q = j->q;

		job_dissolve(j, make_fresh, NULL);
		queue_free_if_idle(q);
	}
}

/* --- deliveries go out -------------------------------------------------------------- */

enum { BLOCKED, FULL, CHOSEN };

static int
choose(struct queue *q, struct agent **out)
{
	struct transport *t = q->t;

	for (size_t i = 0; i < q->slots.len; i++) {
		struct slot_use *s = &q->slots.v[i];

		if (s->n < (uint64_t)t->p.batch_limit && agent_room(s->agent)) {
			*out = s->agent;
			return CHOSEN;
		}
	}
	if (q->busy >= q->window.size)
		return BLOCKED;
	LIST_FOREACH(l, &t->agents) {
		struct agent *a = LIST_ENTRY(l, struct agent, link);
		bool used = false;

		if (!agent_room(a))
			continue;
		for (size_t i = 0; i < q->slots.len; i++)
			used |= q->slots.v[i].agent == a;
		if (used)
			continue;
		*out = a;
		return CHOSEN;
	}
	return FULL;
}

static void
take_slot(struct queue *q, struct agent *a)
{
	if (q->t->p.batch_limit > 1) {
		for (size_t i = 0; i < q->slots.len; i++) {
			if (q->slots.v[i].agent != a)
				continue;
			q->slots.v[i].n++;
			return;
		}
		*ARRAY_PUSH(&q->slots) = (struct slot_use){ a, 1 };
	}
	q->busy++;
}

static void
give_slot(struct queue *q, const struct agent *a)
{
	for (size_t i = 0; i < q->slots.len; i++) {
		if (q->slots.v[i].agent != a)
			continue;
		if (--q->slots.v[i].n > 0)
			return;
		ARRAY_DROP(&q->slots, i);
		break;
	}
	q->busy--;
}

/* Everything is full: another agent, or wait for one of these. */
static bool
grow(struct transport *t)
{
	int64_t now = loop_now_ms(qm.loop);
	bool slow = true;

	if (t->p.process_limit > 0 && t->n_agents >=
	    (uint64_t)t->p.process_limit) {
		/* One may be resting: look again even without an answer. */
		loop_timer_set(t->timer, 5 * FULL_MS);
		return false;
	}
	if (t->n_agents > 0) {
		if (t->full_since_ms == 0)
			t->full_since_ms = now;
		if (now - t->full_since_ms < FULL_MS) {
			loop_timer_set(t->timer, FULL_MS);
			return false;
		}
		if (now < t->careful_until_ms) {
			loop_timer_set(t->timer, 5 * FULL_MS);
			return false;
		}
		LIST_FOREACH(l, &t->agents)
			slow &= agent_slow(LIST_ENTRY(l, struct agent, link));
		if (!slow && t->n_agents >= (uint64_t)cpus) {
			loop_timer_set(t->timer, FULL_MS);
			return false;
		}
	}
	t->full_since_ms = 0;
	if (agent_open(t) == NULL) {
		if (t->n_agents == 0)
			transport_die(t, "mail transport unavailable");
		return false;
	}
	return true;
}

static void
dispatch(struct transport *t)
{
	int64_t now = loop_now_ms(qm.loop);

	list_remove(&t->round);
	if (qm.draining)
		return;
	for (unsigned n = 0; !list_empty(&t->ready); n++) {
		struct queue *q = LIST_ENTRY(t->ready.next, struct queue,
		    ready);
		struct agent *a = NULL;
		struct delivery *d;
		struct job *j;
		bool more;

		if (n >= DISPATCH_MAX) {
			loop_timer_set(t->timer, 0);
			return;
		}
		if (t->not_before_ms > now) {
			loop_timer_set(t->timer, t->not_before_ms - now);
			return;
		}
		if (list_empty(&q->jobs) || queue_dead(q)) {
			list_remove(&q->ready);
			queue_free_if_idle(q);
			continue;
		}
		switch (choose(q, &a)) {
		case BLOCKED:
			q->blocked = true;
			list_remove(&q->ready);
			continue;
		case FULL:
			if (!grow(t))
				return;
			continue;
		default:
			break;
		}
		t->full_since_ms = 0;
		j = LIST_ENTRY(q->jobs.next, struct job, queue_link);
		more = (uint64_t)j->count > (uint64_t)t->p.recipient_limit;
		if (more) {	/* the others' turn before its next part */
			list_remove(&j->queue_link);
			list_append(&q->jobs, &j->queue_link);
		}
		/* It may free the job, and the queue stays: it is busy. */
		take_slot(q, a);
		d = agent_deliver(a, j, (uint32_t)MIN(
		    (uint64_t)t->p.recipient_limit, UINT32_MAX));
		list_remove(&q->ready);
		if (d == NULL) {
			give_slot(q, a);
		} else {
			d->q = q;
			if (t->p.transport_rate_delay > 0)
				t->not_before_ms = now +
				    t->p.transport_rate_delay * 1000;
			if (t->p.rate_delay > 0) {
				q->not_before_ms = now +
				    t->p.rate_delay * 1000;
			}
		}
		queue_ready(q);
		queue_free_if_idle(q);
	}
}

static void
run(void *arg)
{
	struct list now = LIST_INIT(now);

	/* Those that are kicked meanwhile come next time round. */
	while (!list_empty(&qm.round)) {
		struct list *l = qm.round.next;

		list_remove(l);
		list_append(&now, l);
	}
	while (!list_empty(&now))
		dispatch(LIST_ENTRY(now.next, struct transport, round));
}

void
sched_delivery_done(struct delivery *d)
{
	struct queue *q = d->q;

	give_slot(q, d->agent);
	q->blocked = false;
	if (d->down) {
		if (!queue_dead(q) && window_bad(&q->window, &q->t->p.window))
			queue_die(q);
	} else if (d->good && !queue_dead(q)) {
		window_good(&q->window, &q->t->p.window, q->busy + 1);
	}
	if (q->t->p.rate_delay > 0) {
		q->not_before_ms = loop_now_ms(qm.loop) +
		    q->t->p.rate_delay * 1000;
		/* An idle queue is kept until then: it is what remembers. */
		if (!queue_dead(q))
			wake_set(q, q->not_before_ms);
	}
	queue_ready(q);
	queue_free_if_idle(q);
	if (!list_empty(&d->agent->t->ready))
		sched_kick(d->agent->t);
}

/* --- administration --------------------------------------------------------------------- */

static void
revive(struct hash_entry *e, void *arg)
{
	struct queue *q = e->value;
	const struct span *site = arg;

	if (!queue_dead(q) || (site->len > 0 &&
	    !span_caseis(*site, q->nexthop)))
		return;
	window_init(&q->window, &q->t->p.window);
	heap_remove(&qm.wakes, &q->wake);
	queue_ready(q);
	queue_free_if_idle(q);
}

void
sched_flush(struct span site)
{
	LIST_FOREACH(l, &qm.transports) {
		struct transport *t = LIST_ENTRY(l, struct transport, link);

		if (site.len == 0)
			t->dead_until_ms = 0;
		hash_each(&t->queues, revive, &site);
		sched_kick(t);
	}
}

void
sched_config(void)
{
	LIST_FOREACH(l, &qm.transports) {
		struct transport *t = LIST_ENTRY(l, struct transport, link);

		config_transport(t->name, &t->p);
	}
}

void
sched_start(void)
{
	key_buf = fold_buf = BUF_INIT(BUF_UNLIMITED);
	run_defer = (struct loop_defer){ .fn = run };
	wake_timer = loop_timer_new(qm.loop, on_wake, NULL);
	cpus = MAX(1, sysconf(_SC_NPROCESSORS_ONLN));
	qm.wakes = HEAP_INIT;
	qm.by_name = HASH_INIT;
	list_init(&qm.transports);
	list_init(&qm.round);
}
