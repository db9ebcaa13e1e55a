/* SPDX-License-Identifier: ISC */
/*
 * agent - one connection to a delivery agent.
 *
 * A worker behind it does its batch one after the other, so the batch is kept
 * to about BATCH_US of its time: long enough to make batching pay, short
 * enough that nobody waits long behind somebody slow.
 *
 * When the connection ends, what was not answered, and what waits for a
 * checkpoint, may have been done or not: it is handed out again with
 * `recovered` set.  What has brought down several agents is deferred.
 */
#include "qmgr/qmgr.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "io/fd.h"
#include "mail/dsn.h"

#define BATCH_US	50000	/* of work that an agent has at hand */
#define WINDOW_FIRST	16	/* messages, before it has been measured */
#define WINDOW_MAX	256
#define AVERAGE_N	16	/* deliveries that one measurement spans */
#define CRASHES_MAX	3	/* agents that one recipient may bring down */
#define CAREFUL_MS	10000	/* after a crash: one at a time */
#define REST_MS		100	/* after RETURNED: no new work for it */
#define SLOW_MS		30	/* without an answer: it waits for something */
#define SLOW_US		2000	/* a delivery on average: the same */
#define HELLO_MS	60000
#define CHECK_MS	1000

static struct buf envelope_buf, body_buf;
static ARRAY(struct rcpt) rcpts_tmp;

static void	 agent_free(struct agent *a);

/* --- content ------------------------------------------------------------------------ */

int
message_content(struct message *m, bool *close_it, struct why *why)
{
	char path[SPOOL_PATH_MAX];
	struct book_slot *s;
	int fd;

	*close_it = m->source != FROM_LOG;
	if (m->source == FROM_LOG) {
		s = book_slot(&qm.book, m->pos.slot, m->pos.generation);
		if (s == NULL)
			return why_set(why, "4.3.0", "log slot %u.%u is gone",
			    m->pos.slot, m->pos.generation);
		if (s->fd < 0)
			s->fd = qlog_open_slot(qm.spool.dirfd, "log",
			    m->pos.slot, why);
		return s->fd;
	}
	spool_path(m->source == FROM_LARGE ? SPOOL_LARGE : m->file_queue,
	    m->env.queue_id, path);
	fd = openat(qm.spool.dirfd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return why_errno(why, "4.3.0", "open %s", path);
	return fd;
}

/* --- handing out ---------------------------------------------------------------------- */

bool
agent_room(const struct agent *a)
{
	int64_t now = loop_now_ms(qm.loop);
	uint32_t window = now < a->t->careful_until_ms ? 1 :
	    a->capacity > 0 ? a->capacity : a->window;

	return !a->retiring && a->n < window && now >= a->rest_until_ms &&
	    ipc_out_len(a->conn) < DELIVER_PROTO.out_max / 2;
}

bool
agent_slow(const struct agent *a)
{
	return a->capacity > 0 || a->us_each > SLOW_US ||
	    loop_now_ms(qm.loop) - a->progress_ms > SLOW_MS;
}

static void
send_segment(struct agent *a, uint32_t slot, uint32_t generation, int fd)
{
	struct deliver_segment seg = { .segment = slot };

	while (a->known.len <= slot)
		*ARRAY_PUSH(&a->known) = 0;
	if (a->known.v[slot] == (uint64_t)generation + 1)
		return;
	a->known.v[slot] = (uint64_t)generation + 1;
	buf_reset(&body_buf);
	deliver_segment_encode(&body_buf, &seg);
	ipc_send_fd(a->conn, DELIVER_SEGMENT, 0, buf_span(&body_buf), fd);
}

void
agents_drop_segment(uint32_t slot, uint32_t generation)
{
	LIST_FOREACH(lt, &qm.transports) {
		struct transport *t = LIST_ENTRY(lt, struct transport, link);

		LIST_FOREACH(la, &t->agents) {
			struct agent *a = LIST_ENTRY(la, struct agent, link);
			struct deliver_segment seg = { .segment = slot };

			if (slot >= a->known.len || a->known.v[slot] !=
			    (uint64_t)generation + 1)
				continue;
			a->known.v[slot] = 0;
			deliver_segment_encode(ipc_begin(a->conn, DELIVER_DROP,
			    0), &seg);
			ipc_end(a->conn);
		}
	}
}

static uint32_t
tag_take(struct agent *a, struct delivery *d)
{
	for (uint32_t n = 0; n < a->tags.len; n++) {
		uint32_t at = (a->free_tag + n) % (uint32_t)a->tags.len;

		if (a->tags.v[at] == NULL) {
			a->tags.v[at] = d;
			a->free_tag = at + 1;
			return at;
		}
	}
	*ARRAY_PUSH(&a->tags) = d;
	return (uint32_t)a->tags.len - 1;
}

static void
encode_envelope(struct message *m, const struct delivery *d)
{
	struct envelope e = m->env;

	rcpts_tmp.len = 0;
	for (uint32_t k = 0; k < d->n; k++) {
		struct rcpt *r = ARRAY_PUSH(&rcpts_tmp);

		*r = m->env.rcpts.v[d->idx[k]];
		/* Earlier reasons are none of the agent's business. */
		r->dsn = r->text = r->relay = SPAN_EMPTY;
		r->tried_us = 0;
	}
	e.rcpts.v = rcpts_tmp.v;
	e.rcpts.len = d->n;
	if (d->sender.len > 0)
		e.sender = d->sender;	/* SRS: a bounce of ours still goes to
					 * the message's own */
	buf_reset(&envelope_buf);
	envelope_encode(&envelope_buf, &e);
}

/* Take the next n recipients off the job, freeing it with the last one. */
static struct delivery *
take_recipients(struct agent *a, struct job *j, uint32_t n, bool *recovered)
{
	struct message *m = j->m;
	struct delivery *d;

	n = MIN(n, j->count);
	d = mem_zalloc(sizeof(*d) + n * sizeof(d->idx[0]));
	d->agent = a;
	d->m = m;
	d->n = d->open = n;
	d->sender = j->sender;
	for (uint32_t k = 0; k < n; k++) {
		uint32_t i = j->first;

		d->idx[k] = i;
		*recovered |= m->mr[i].recovered;
		j->first = m->mr[i].next;
	}
	j->count -= n;
	if (j->count == 0) {
		j->q->n_jobs--;
		list_remove(&j->queue_link);
		list_remove(&j->message_link);
		mem_free(j);
	}
	return d;
}

struct delivery *
agent_deliver(struct agent *a, struct job *j, uint32_t n)
{
	struct message *m = j->m;
	struct queue *q = j->q;
	struct deliver_message dm;
	struct why why = WHY_INIT;
	bool recovered = false, close_fd;
	struct delivery *d = take_recipients(a, j, n, &recovered);
	int fd = message_content(m, &close_fd, &why);

	if (fd < 0) {
		log_warning("%.*s: %s", SPAN_ARG(m->env.queue_id), why.text);
		for (uint32_t k = 0; k < d->n; k++)
			rcpt_defer_logged(m, d->idx[k], "4.3.0",
			    SPAN("the message cannot be read now"));
		mem_free(d);
		return NULL;
	}
	for (uint32_t k = 0; k < d->n; k++)
		rcpt_set(m, d->idx[k], R_SENT);
	d->tag = tag_take(a, d);
	list_append(&a->deliveries, &d->link);
	m->refs++;
	if (a->n++ == 0) {
		a->last_us = clock_mono_us();
		a->progress_ms = loop_now_ms(qm.loop);
	}
	qm.deliveries++;
	encode_envelope(m, d);
	dm = (struct deliver_message){
		.segment = m->source == FROM_LOG ? m->pos.slot : DELIVER_FILE,
		.offset = m->off, .len = m->len,
		.nexthop = span_of(q->nexthop),
		.attempt = m->env.attempts + 1,
		.recovered = recovered,
		.active_us = (uint64_t)m->active_us,
		.envelope = buf_span(&envelope_buf),
	};
	if (m->source == FROM_LOG) {
		send_segment(a, m->pos.slot, m->pos.generation, fd);
		d->lent = true;
		d->lent_slot = m->pos.slot;
		d->lent_generation = m->pos.generation;
		book_lend(&qm.book, d->lent_slot, d->lent_generation);
		deliver_message_encode(ipc_begin(a->conn, DELIVER_MESSAGE,
		    d->tag), &dm);
		ipc_end(a->conn);
	} else {
		buf_reset(&body_buf);
		deliver_message_encode(&body_buf, &dm);
		ipc_send_fd(a->conn, DELIVER_MESSAGE, d->tag,
		    buf_span(&body_buf), fd);
		if (close_fd)
			fd_close(&fd);
	}
	return d;
}

/* --- answers ------------------------------------------------------------------------------ */

static void
delivery_end(struct delivery *d)
{
	struct agent *a = d->agent;
	struct message *m = d->m;

	a->tags.v[d->tag] = NULL;
	a->n--;
	qm.deliveries--;
	list_remove(&d->link);
	if (d->lent)
		book_return(&qm.book, d->lent_slot, d->lent_generation);
	sched_delivery_done(d);
	m->refs--;
	if (m->n_assigned == 0)
		loop_defer(qm.loop, &m->settle);
	mem_free(d);
}

static void
measure(struct agent *a)
{
	int64_t now = clock_mono_us();

	a->acc_us += now - a->last_us;
	a->last_us = now;
	if (++a->acc_n < AVERAGE_N && a->acc_us < 2 * BATCH_US)
		return;
	a->us_each = (a->us_each + (double)a->acc_us / a->acc_n) / 2;
	a->acc_us = 0;
	a->acc_n = 0;
	a->window = a->us_each * WINDOW_MAX <= BATCH_US ? WINDOW_MAX
	    : (uint32_t)(BATCH_US / a->us_each);
	if (a->window < 1)
		a->window = 1;
}

static void
keep_reason(struct message *m, uint32_t i, const struct deliver_status *st,
    const char *dsn)
{
	struct rcpt *r = &m->env.rcpts.v[i];

	r->dsn = span_of(arena_strdup(&m->texts, dsn));
	r->text = span_make(arena_span_dup(&m->texts, st->text), st->text.len);
	r->relay = span_make(arena_span_dup(&m->texts, st->relay),
	    st->relay.len);
}

static void
delivered(struct agent *a, struct message *m, uint32_t i,
    const struct deliver_status *st, const char *dsn)
{
	const struct rcpt *r = &m->env.rcpts.v[i];
	struct mrcpt *mr = &m->mr[i];
	bool want = (r->dsn_notify & DSN_NOTIFY_SUCCESS) ||
	    (m->env.warned && conf.confirm_delay_cleared);

	if (m->env.flags & (ENV_PROBE | ENV_REPORT))
		keep_reason(m, i, st, dsn);	/* for what is told of it */

	qm.count.delivered++;
	if (want && !span_is(st->action, "none")) {
		keep_reason(m, i, st, dsn);
		mr->notify_success = true;
		mr->relayed = span_is(st->action, "relayed");
		mr->expanded = span_is(st->action, "expanded");
	}
	if (st->serial == 0) {
		m->soon = true;		/* it cannot be recognised again */
		rcpt_set(m, i, R_DELIVERED);
		return;
	}
	if (a->settling_head > 1024 &&
	    a->settling_head > a->settling.len / 2) {
		a->settling.len -= a->settling_head;
		memmove(a->settling.v, a->settling.v + a->settling_head,
		    a->settling.len * sizeof(a->settling.v[0]));
		a->settling_head = 0;
	}
	*ARRAY_PUSH(&a->settling) = (struct settling){
		.serial = st->serial, .m = m, .rcpt = i
	};
	rcpt_set(m, i, R_SETTLING);
}

static void
returned(struct agent *a, struct message *m, uint32_t i)
{
	a->rest_until_ms = loop_now_ms(qm.loop) + REST_MS;
	if (++m->mr[i].returns > 100) {
		rcpt_defer_logged(m, i, "4.3.0",
		    SPAN("mail transport is too busy"));
		return;
	}
	rcpt_set(m, i, R_FRESH);
}

static int
on_status(struct agent *a, uint32_t tag, const struct deliver_status *st)
{
	struct delivery *d = tag < a->tags.len ? a->tags.v[tag] : NULL;
	struct message *m;
	char dsn[16];
	uint32_t i;

	if (d == NULL || st->rcpt >= d->n || d->idx[st->rcpt] == NO_RCPT ||
	    st->outcome < DELIVER_DELIVERED)
		return -1;
	m = d->m;
	i = d->idx[st->rcpt];
	d->idx[st->rcpt] = NO_RCPT;
	a->t->failures = 0;
	measure(a);
	if (!dsn_code_valid(st->dsn) || span_copy(st->dsn, dsn,
	    sizeof(dsn)) < 0)
		(void)snprintf(dsn, sizeof(dsn), "%c.0.0", st->outcome ==
		    DELIVER_DELIVERED ? '2' : st->outcome == DELIVER_BOUNCED ?
		    '5' : '4');
	if (st->outcome == DELIVER_DEFERRED && st->site_down) {
		d->down = true;
		(void)snprintf(d->q->dead_dsn, sizeof(d->q->dead_dsn), "%s",
		    dsn);
		mem_free(d->q->dead_text);
		d->q->dead_text = span_dup(span_sub(st->text, 0, 500));
	} else if (st->outcome != DELIVER_RETURNED) {
		d->good = true;
	}
	switch ((enum deliver_outcome)st->outcome) {
	case DELIVER_DELIVERED:
		delivered(a, m, i, st, dsn);
		break;
	case DELIVER_BOUNCED:
	case DELIVER_DEFERRED:
		m->env.rcpts.v[i].relay = span_make(arena_span_dup(&m->texts,
		    st->relay), st->relay.len);
		if (st->outcome == DELIVER_BOUNCED)
			rcpt_bounce(m, i, dsn, st->text);
		else
			rcpt_defer(m, i, dsn, st->text);
		break;
	case DELIVER_RETURNED:
		returned(a, m, i);
		break;
	case DELIVER_BEST_MX:
		resolve_best_mx(m, i, st->text);
		break;
	}
	if (--d->open == 0)
		delivery_end(d);
	return 0;
}

static void
on_checkpoint(struct agent *a, uint64_t serial)
{
	while (a->settling_head < a->settling.len &&
	    a->settling.v[a->settling_head].serial <= serial) {
		struct settling *s = &a->settling.v[a->settling_head++];

		rcpt_set(s->m, s->rcpt, R_DELIVERED);
	}
	if (a->settling_head == a->settling.len)
		a->settling.len = a->settling_head = 0;
}

static int
on_frame(void *arg, struct ipc_conn *c, const struct ipc_frame *f)
{
	struct agent *a = arg;
	struct deliver_status st;
	struct deliver_checkpoint cp;
	struct deliver_capacity cap;

	a->progress_ms = loop_now_ms(qm.loop);
	switch (f->type) {
	case DELIVER_STATUS:
		if (deliver_status_decode(&st, f->body) < 0 ||
		    on_status(a, f->tag, &st) < 0)
			break;
		return 0;
	case DELIVER_CHECKPOINT:
		if (deliver_checkpoint_decode(&cp, f->body) < 0)
			break;
		on_checkpoint(a, cp.serial);
		return 0;
	case DELIVER_CAPACITY:
		if (deliver_capacity_decode(&cap, f->body) < 0)
			break;
		a->retiring = cap.deliveries == 0;
		a->capacity = MAX(cap.deliveries, 1);
		if (!list_empty(&a->t->ready))
			sched_kick(a->t);
		return 0;
	default:
		break;
	}
	log_warning("transport %s: bad answer from the delivery agent",
	    a->t->name);
	return -1;
}

/* --- the end of a connection --------------------------------------------------------------- */

static void
agent_lost(struct agent *a, const char *reason)
{
	struct transport *t = a->t;
	bool had_work = a->n > 0 || a->settling_head < a->settling.len;

	if (had_work) {
		log_warning("transport %s: %s with %u deliveries under way",
		    t->name, reason, a->n);
		t->careful_until_ms = loop_now_ms(qm.loop) + CAREFUL_MS;
	}
	/* Nothing new for it while its work is taken back. */
	list_remove(&a->link);
	t->n_agents--;
	for (size_t k = a->settling_head; k < a->settling.len; k++) {
		struct settling *s = &a->settling.v[k];

		s->m->mr[s->rcpt].recovered = true;
		rcpt_set(s->m, s->rcpt, R_FRESH);
	}
	while (!list_empty(&a->deliveries)) {
		struct delivery *d = LIST_ENTRY(a->deliveries.next,
		    struct delivery, link);
		struct message *m = d->m;

		for (uint32_t k = 0; k < d->n; k++) {
			uint32_t i = d->idx[k];

			if (i == NO_RCPT)
				continue;
			m->mr[i].recovered = true;
			if (++m->mr[i].crashes >= CRASHES_MAX) {
				m->mr[i].crashes = 0;
				rcpt_defer_logged(m, i, "4.3.0",
				    SPAN("unknown mail transport error"));
			} else {
				rcpt_set(m, i, R_FRESH);
			}
		}
		d->good = d->down = false;
		delivery_end(d);
	}
	if (had_work || !ipc_conn_ready(a->conn))
		transport_failed(t, "unknown mail transport error");
	agent_free(a);
}

static void
on_end(void *arg, struct ipc_conn *c)
{
	agent_lost(arg, "connection lost");
}

static void
on_drain(void *arg, struct ipc_conn *c)
{
	struct agent *a = arg;

	if (!list_empty(&a->t->ready))
		sched_kick(a->t);
}

static void
on_timer(void *arg)
{
	struct agent *a = arg;
	int64_t now = loop_now_ms(qm.loop);
	bool busy = a->n > 0 || a->settling_head < a->settling.len;

	if (!ipc_conn_ready(a->conn) && now - a->opened_ms > HELLO_MS) {
		agent_lost(a, "no answer from the delivery agent");
		return;
	}
	if (busy && now - a->progress_ms > conf.ipc_timeout * 1000) {
		agent_lost(a, "no progress of a delivery agent for "
		    "$ipc_timeout");
		return;
	}
	if (!busy && now - a->progress_ms > conf.ipc_idle * 1000) {
		agent_lost(a, "idle");
		return;
	}
	if (!list_empty(&a->t->ready))
		sched_kick(a->t);
	loop_timer_set(a->timer, CHECK_MS);
}

static const struct ipc_ops ops = {
	.on_frame = on_frame, .on_drain = on_drain, .on_end = on_end,
};

struct agent *
agent_open(struct transport *t)
{
	int fd = sock_connect_unix(t->path, 0);
	struct agent *a;

	if (envelope_buf.max == 0)
		envelope_buf = body_buf = BUF_INIT(BUF_UNLIMITED);
	if (fd < 0) {
		log_warning("connect to transport private/%s: %m", t->name);
		return NULL;
	}
	a = mem_zalloc(sizeof(*a));
	a->t = t;
	list_init(&a->deliveries);
	a->window = WINDOW_FIRST;
	a->us_each = (double)BATCH_US / WINDOW_FIRST;
	a->opened_ms = a->progress_ms = loop_now_ms(qm.loop);
	a->conn = ipc_conn_new(qm.loop, fd, &DELIVER_PROTO, &ops, a);
	a->timer = loop_timer_new(qm.loop, on_timer, a);
	loop_timer_set(a->timer, CHECK_MS);
	list_append(&t->agents, &a->link);
	t->n_agents++;
	return a;
}

static void
agent_free(struct agent *a)
{
	ipc_conn_free(&a->conn);
	loop_timer_free(&a->timer);
	ARRAY_FINI(&a->tags);
	ARRAY_FINI(&a->settling);
	ARRAY_FINI(&a->known);
	mem_free(a);
}
