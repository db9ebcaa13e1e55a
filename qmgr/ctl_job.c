/* SPDX-License-Identifier: ISC */
/*
 * ctl_job - what is done to all messages, or shown of them: a piece each turn
 * of the loop, so that mail goes on meanwhile.
 *
 * An order is for the messages that are there when it comes, and misses none
 * that changes its queue meanwhile.  One that becomes active out of the log
 * gets the order in that moment (ctl_jobs_meet()); one that is due stays in
 * deferred/ until the job has been there (qm.paused).  Nothing keeps back mail
 * that comes after the order, or a message that has been dealt with.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "qmgr/control_priv.h"
#include "queue/queue_id.h"

#define PIECE		200		/* messages of a job in one turn */
#define PIECE_US	1000		/* and how long that may take */
#define OUT_HIGH	(1u << 20)	/* a listing waits for the reader */
#define JOBS_MAX	64		/* of one connection */

struct ctl_job {
	struct list	link;		/* ctl->jobs */
	struct list	all;		/* jobs */
	struct ctl	*c;		/* NULL: the client has gone */
	uint32_t	tag;
	unsigned	op, queues;
	unsigned	phase;		/* the bit of the queue it is at */
	bool		started;	/* that phase has been */
	bool		pauses;		/* what is due */
	char		*site;
	ARRAY(struct order_id) ids;
	size_t		at;
	unsigned	folder;		/* of hold/, to be read next */
	uint64_t	from_seq;
	uint64_t	upto_seq;	/* what is newer is not meant */
	uint32_t	count;
};

static struct {
	struct list	 all;
	struct loop_timer *timer;
} jobs;

/* It has been through deferred/: what is due there may go on. */
static void
unpause(struct ctl_job *j)
{
	if (j->pauses && --qm.paused == 0)
		intake_pump();
	j->pauses = false;
}

static void
job_free(struct ctl_job *j)
{
	if (j->c != NULL) {
		list_remove(&j->link);
		j->c->n_jobs--;
	}
	list_remove(&j->all);
	unpause(j);
	ARRAY_FINI(&j->ids);
	mem_free(j->site);
	mem_free(j);
}

static bool
add_held(void *arg, const char *id)
{
	struct ctl_job *j = arg;
	struct order_id k;

	if (queue_id_parse(span_of(id), &k.us, &k.seq) == 0)
		*ARRAY_PUSH(&j->ids) = k;
	return true;
}

static void
snapshot_active(struct ctl_job *j)
{
	LIST_FOREACH(l, &qm.messages) {
		const struct message *m = LIST_ENTRY(l, struct message, link);

		*ARRAY_PUSH(&j->ids) = (struct order_id){ m->id_us, m->id_seq };
	}
}

/* What is on its way to hold/; it may be there when its turn comes. */
static void
snapshot_going_to_hold(struct ctl_job *j)
{
	LIST_FOREACH(l, &qm.messages) {
		const struct message *m = LIST_ENTRY(l, struct message, link);

		if (m->fate == FATE_HOLD)
			*ARRAY_PUSH(&j->ids) = (struct order_id){ m->id_us,
			    m->id_seq };
	}
	j->folder = 0;
}

/* One folder of hold/: to read all of a long queue takes too long for a turn. */
static void
next_folder(struct ctl_job *j)
{
	struct why why = WHY_INIT;

	j->at = j->ids.len = 0;
	if (qfile_names(&qm.spool, SPOOL_HOLD, j->folder++, add_held, j,
	    &why) < 0)
		log_warning("hold/: %s", why.text);
}

static struct message *
by_id(struct order_id k)
{
	char id[QUEUE_ID_MAX];

	queue_id_make(k.us, k.seq, id);
	return message_find(span_of(id));
}

static void
list_waiting(void *arg, const struct envelope *e)
{
	struct ctl_job *j = arg;

	control_envelope(j->c, j->tag, "incoming", e);
}

static bool
site_matches(const struct envelope *e, struct span site)
{
	for (size_t i = 0; i < e->rcpts.len; i++) {
		const struct rcpt *r = &e->rcpts.v[i];
		ptrdiff_t at = span_rfind(r->addr, '@');

		if (r->fate != RCPT_PENDING)
			continue;
		if (at >= 0 && span_caseeq(span_from(r->addr, (size_t)at + 1),
		    site))
			return true;
		/* "host[192.0.2.1]:25" */
		if (r->relay.len >= site.len && span_caseeq(span_sub(r->relay,
		    0, site.len), site) && (r->relay.len == site.len ||
		    r->relay.p[site.len] == '['))
			return true;
	}
	return false;
}

static bool
flush_if_site(struct order_id k, struct span site)
{
	char id[QUEUE_ID_MAX];
	struct why why = WHY_INIT;
	struct qfile *f;
	bool hit;

	queue_id_make(k.us, k.seq, id);
	f = qfile_view(&qm.spool, SPOOL_DEFERRED, span_of(id), &why);
	if (f == NULL)
		return false;
	hit = site_matches(qfile_envelope(f), site);
	qfile_close(&f);
	return hit && order_deferred(k, QCTL_FLUSH_ID);
}

/* --- a piece of each queue; false: it is over -------------------------------------- */

/* Files are slow sometimes: the n-th message of a turn is begun in time only. */
static bool
in_time(size_t n)
{
	static int64_t until_us;

	if (n == 0)
		until_us = clock_mono_us() + PIECE_US;
	return n == 0 || (n < PIECE && clock_mono_us() < until_us);
}

static bool
piece_active(struct ctl_job *j)
{
	struct message *m;

	for (size_t n = 0; j->at < j->ids.len && in_time(n); n++) {
		m = by_id(j->ids.v[j->at++]);
		if (m == NULL)
			continue;
		if (j->op == QCTL_LIST) {
			message_fates(m);
			control_envelope(j->c, j->tag, "active", &m->env);
			j->count++;
		} else {
			j->count += order_active(m, j->op);
		}
	}
	return j->at < j->ids.len;
}

static bool
piece_incoming(struct ctl_job *j)
{
	struct message *m;

	if (j->op == QCTL_LIST)
		return intake_each(&j->from_seq, PIECE, list_waiting, j);
	for (size_t n = 0; in_time(n); n++) {
		m = intake_next(j->upto_seq);
		if (m == NULL)
			return false;
		j->count += order_active(m, j->op);
	}
	return true;
}

static bool
piece_deferred(struct ctl_job *j)
{
	for (size_t n = 0; j->at < qm.later.len && in_time(n); j->at++) {
		const struct later_item *l = later_at(&qm.later,
		    (uint32_t)j->at);
		struct order_id k;

		if (l == NULL)
			continue;
		n++;
		k = (struct order_id){ l->id_us, l->seq };
		j->count += j->op == QCTL_FLUSH_SITE ?
		    flush_if_site(k, span_of(j->site)) :
		    order_deferred(k, j->op);
	}
	return j->at < qm.later.len;
}

static bool
piece_held(struct ctl_job *j)
{
	if (j->at == j->ids.len) {
		if (j->folder == spool_folders(SPOOL_HOLD))
			return false;
		next_folder(j);
	}
	for (size_t n = 0; j->at < j->ids.len && in_time(n); n++)
		j->count += order_held(j->ids.v[j->at++], j->op);
	return true;
}

static bool
piece(struct ctl_job *j)
{
	if (!j->started) {
		j->started = true;
		j->at = 0;
		j->ids.len = 0;
		if (j->phase == Q_ACTIVE)
			snapshot_active(j);
		else if (j->phase == Q_HOLD)
			snapshot_going_to_hold(j);
	}
	switch (j->phase) {
	case Q_ACTIVE:
		return piece_active(j);
	case Q_INCOMING:
		return piece_incoming(j);
	case Q_DEFERRED:
		return piece_deferred(j);
	case Q_HOLD:
		return piece_held(j);
	default:
		return false;
	}
}

/* --- jobs --------------------------------------------------------------------------- */

static void
run_jobs(void *arg)
{
	bool again = false;

	LIST_FOREACH(l, &jobs.all) {
		struct ctl_job *j = LIST_ENTRY(l, struct ctl_job, all);

		if (j->c == NULL && j->op == QCTL_LIST) {
			job_free(j);
			continue;
		}
		if (j->op == QCTL_LIST && ipc_out_len(j->c->conn) > OUT_HIGH)
			continue;	/* on_drain() goes on */
		if (!(j->phase & j->queues) || !piece(j)) {
			if (j->phase == Q_DEFERRED)
				unpause(j);
			j->phase <<= 1;
			j->started = false;
			if (j->phase > Q_HOLD) {
				control_result(j->c, j->tag, true, j->count, "");
				job_free(j);
				continue;
			}
		}
		again = true;
	}
	if (again)
		loop_timer_set(jobs.timer, 0);
}

void
ctl_job_start(struct ctl *c, uint32_t tag, unsigned op, unsigned queues,
    struct span site)
{
	struct ctl_job *j;

	if (c != NULL && c->n_jobs >= JOBS_MAX) {
		control_result(c, tag, false, 0, "too many requests at a time");
		return;
	}
	j = mem_zalloc(sizeof(*j));
	j->c = c;
	j->tag = tag;
	j->op = op;
	j->queues = queues;
	j->phase = Q_ACTIVE;
	j->site = span_dup(site);
	j->upto_seq = intake_heard();
	/* A flush is for what waits: what becomes active has been flushed. */
	j->pauses = (queues & Q_DEFERRED) && op != QCTL_LIST &&
	    op != QCTL_FLUSH_SITE && op != QCTL_FLUSH_ID;
	qm.paused += j->pauses;
	if (c != NULL) {
		c->n_jobs++;
		list_append(&c->jobs, &j->link);
	}
	list_append(&jobs.all, &j->all);
	loop_timer_set(jobs.timer, 0);
}

void
ctl_jobs_meet(struct message *m)
{
	LIST_FOREACH(l, &jobs.all) {
		struct ctl_job *j = LIST_ENTRY(l, struct ctl_job, all);

		if (j->op == QCTL_LIST || !(j->queues & Q_INCOMING) ||
		    j->phase > Q_INCOMING || m->pos.seq > j->upto_seq)
			continue;
		/* It will be found among the active ones. */
		if ((j->queues & Q_ACTIVE) && j->phase == Q_ACTIVE &&
		    !j->started)
			continue;
		j->count += order_active(m, j->op);
	}
}

bool
ctl_job_site_waits(struct span site)
{
	LIST_FOREACH(l, &jobs.all) {
		const struct ctl_job *j = LIST_ENTRY(l, struct ctl_job, all);

		if (j->op == QCTL_FLUSH_SITE &&
		    span_caseeq(span_of(j->site), site))
			return true;
	}
	return false;
}

void
ctl_jobs_go(void)
{
	loop_timer_set(jobs.timer, 0);
}

void
ctl_jobs_leave(struct ctl *c)
{
	/* A listing has no reader any more: run_jobs() ends it. */
	while (!list_empty(&c->jobs)) {
		struct ctl_job *j = LIST_ENTRY(c->jobs.next, struct ctl_job,
		    link);

		list_remove(&j->link);
		j->c = NULL;
	}
}

void
ctl_jobs_open(void)
{
	list_init(&jobs.all);
	jobs.timer = loop_timer_new(qm.loop, run_jobs, NULL);
}

void
ctl_jobs_close(void)
{
	while (!list_empty(&jobs.all))
		job_free(LIST_ENTRY(jobs.all.next, struct ctl_job, all));
	loop_timer_free(&jobs.timer);
}
