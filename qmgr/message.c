/* SPDX-License-Identifier: ISC */
/*
 * message - the life of a message in memory, up to the end of its round
 * (round.c).
 *
 * All changes of a recipient's state go through rcpt_set(), which keeps the
 * counters.  When they say that something is to be done (assign more
 * recipients, or the round is over), message_settle() runs at the end of the
 * turn, so that no caller finds a message gone under its hands.
 */
#include "qmgr/message_priv.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "mail/address.h"
#include "mail/dsn.h"
#include "queue/queue_id.h"

#define PARTIAL_MS	500	/* progress of an unfinished message */
#define PARTIAL_FILES	10	/* ... in a queue file every so many ticks */

struct qmgr qm;

static struct list partials = LIST_INIT(partials);
static struct loop_timer *partial_timer;
static unsigned partial_tick;

/* --- counters ---------------------------------------------------------------- */

static uint32_t *
counter(struct message *m, enum rcpt_state s)
{
	switch (s) {
	case R_FRESH:
		return &m->n_fresh;
	case R_RESOLVING:
	case R_QUEUED:
	case R_SENT:
		return &m->n_assigned;
	case R_SETTLING:
		return &m->n_settling;
	case R_DELIVERED:
		return &m->n_delivered;
	case R_DEFERRED:
		return &m->n_deferred;
	case R_BOUNCED:
		return &m->n_bounced;
	case R_DONE:
		break;
	}
	return NULL;
}

bool
message_has_work(const struct message *m)
{
	return m->n_assigned > 0 || (m->n_fresh > 0 && m->fate == FATE_NONE &&
	    !m->expired);
}

void
message_count_active(struct message *m)
{
	bool active = !m->over && message_has_work(m);

	if (active == m->active)
		return;
	m->active = active;
	if (active) {
		qm.n_active++;
	} else {
		qm.n_active--;
		intake_pump();
	}
}

static void
queue_settle(struct message *m)
{
	if (!m->over)
		loop_defer(qm.loop, &m->settle);
}

void
rcpt_set(struct message *m, uint32_t i, enum rcpt_state to)
{
	struct mrcpt *r = &m->mr[i];
	uint32_t *from_n = counter(m, r->state), *to_n = counter(m, to);

	if (from_n != NULL) {
		(*from_n)--;
		if (from_n == &m->n_assigned)
			qm.n_rcpts--;
	}
	if (to_n != NULL) {
		(*to_n)++;
		if (to_n == &m->n_assigned)
			qm.n_rcpts++;
	}
	if (to == R_RESOLVING)
		m->n_resolving++;
	if (r->state == R_RESOLVING && --m->n_resolving == 0)
		queue_settle(m);	/* its jobs may go */
	r->state = (uint8_t)to;
	if (to == R_FRESH && i < m->next_fresh)
		m->next_fresh = i;
	message_count_active(m);
	if (to == R_DELIVERED && m->source != FROM_FILE && message_has_work(m) &&
	    !m->partial_queued) {
		m->partial_queued = true;
		list_append(&partials, &m->wait);
		if (partials.next->next == &partials)
			loop_timer_set(partial_timer, PARTIAL_MS);
	}
	if (m->n_assigned == 0 ||
	    (m->n_fresh > 0 && m->n_assigned <
	    (uint32_t)conf.qmgr_message_recipient_window / 2))
		queue_settle(m);
}

/* Messages that go on for long: tell state/ what is done of them. */
static void
on_partial_timer(void *arg)
{
	partial_tick++;
	LIST_FOREACH(l, &partials) {
		struct message *m = LIST_ENTRY(l, struct message, wait);

		list_remove(&m->wait);
		m->partial_queued = false;
		if (m->source == FROM_FILE || m->over)
			continue;
		for (uint32_t i = 0; i < m->env.rcpts.len; i++) {
			struct finished f = {
				.seq = m->pos.seq, .rcpt = i,
				.slot = m->pos.slot,
				.generation = m->pos.generation,
			};

			if (m->mr[i].state != R_DELIVERED || m->mr[i].noted)
				continue;
			m->mr[i].noted = true;
			state_note(qm.state, &f, false);
		}
	}
}

/* --- coming and going -------------------------------------------------------- */

struct message *
message_find(struct span id)
{
	return hash_get(&qm.by_id, id);
}

bool
message_expansion_untold(const struct rcpt *r)
{
	return r->fate == RCPT_DELIVERED &&
	    (r->dsn_notify & DSN_NOTIFY_SUCCESS) != 0 &&
	    span_is(r->text, RCPT_TEXT_EXPANDED);
}

struct message *
message_new(enum message_source src, const struct qlog_pos *pos, uint64_t off,
    uint64_t len, struct span envelope, struct why *why)
{
	struct message *m = mem_zalloc(sizeof(*m));

	if (partial_timer == NULL)
		partial_timer = loop_timer_new(qm.loop, on_partial_timer,
		    NULL);
	m->blob = mem_alloc(envelope.len + 1);
	if (envelope.len > 0)
		memcpy(m->blob, envelope.p, envelope.len);
	m->env = ENVELOPE_INIT;
	m->texts = ARENA_INIT;
	list_init(&m->jobs);
	m->settle.fn = message_settle;
	m->settle.arg = m;
	if (envelope_decode(&m->env, span_make(m->blob, envelope.len),
	    why) < 0)
		goto bad;
	if (queue_id_parse(m->env.queue_id, &m->id_us, &m->id_seq) < 0) {
		why_set(why, "4.3.0", "bad queue id");
		goto bad;
	}
	if (message_find(m->env.queue_id) != NULL) {
		why_set(why, "4.3.0", "%.*s: is active already",
		    SPAN_ARG(m->env.queue_id));
		goto bad;
	}
	m->source = src;
	if (pos != NULL)
		m->pos = *pos;
	m->off = off;
	m->len = len;
	m->mr = mem_zalloc_array(MAX(m->env.rcpts.len, 1), sizeof(*m->mr));
	m->n_fresh = (uint32_t)m->env.rcpts.len;
	for (uint32_t i = 0; i < m->env.rcpts.len; i++) {
		if (m->env.rcpts.v[i].fate == RCPT_PENDING)
			continue;
		m->mr[i].state = R_DONE;
		m->n_fresh--;
		if (message_expansion_untold(&m->env.rcpts.v[i])) {
			m->mr[i].state = R_DELIVERED;
			m->mr[i].notify_success = m->mr[i].expanded = true;
		}
	}
	list_append(&qm.messages, &m->link);
	qm.n_messages++;
	hash_put(&qm.by_id, m->env.queue_id, m);
	return m;
bad:
	envelope_fini(&m->env);
	mem_free(m->blob);
	mem_free(m);
	return NULL;
}

void
message_free(struct message *m)
{
	if (m->refs > 0 || m->n_assigned > 0 || m->n_settling > 0)
		log_panic("%.*s: freed while it is under way",
		    SPAN_ARG(m->env.queue_id));
	if (m->active) {
		m->active = false;
		qm.n_active--;
	}
	loop_defer_cancel(&m->settle);
	notice_forget(m);
	hash_del(&qm.by_id, m->env.queue_id);
	list_remove(&m->link);
	list_remove(&m->wait);
	qm.n_messages--;
	envelope_fini(&m->env);
	arena_fini(&m->texts);
	mem_free(m->mr);
	mem_free(m->blob);
	mem_free(m);
	intake_pump();
}

/* REDIRECT (access and header_checks): everything to one address. */
static void
redirect(struct message *m)
{
	bool first = true;

	for (uint32_t i = 0; i < m->env.rcpts.len; i++) {
		if (m->mr[i].state != R_FRESH)
			continue;
		if (first) {
			m->env.rcpts.v[i].addr = m->env.redirect;
			first = false;
			continue;
		}
		m->env.rcpts.v[i].fate = RCPT_REMOVED;
		rcpt_set(m, i, R_DONE);
	}
}

void
message_activate(struct message *m, bool recovered)
{
	struct buf tmp = BUF_INIT(ADDRESS_MAX * 2 + 16);
	int64_t now = clock_wall_us();

	m->active_us = now;
	if (recovered) {
		qm.count.recovered++;
		for (uint32_t i = 0; i < m->env.rcpts.len; i++)
			m->mr[i].recovered = true;
	}
	if (m->env.flags & ENV_HOLD) {
		m->fate = FATE_HOLD;
	} else if (m->env.hold_until_us > now && !(m->env.flags & ENV_EXPIRE)) {
		m->fate = FATE_REQUEUE;		/* FUTURERELEASE: RFC 4865 */
		m->next_us = m->env.hold_until_us;
	} else {
		qm.count.active++;
		log_info("%.*s: from=<%s>, size=%llu, nrcpt=%zu "
		    "(queue active)", SPAN_ARG(m->env.queue_id),
		    address_show(m->env.sender, &tmp),
		    (unsigned long long)m->env.size, m->env.rcpts.len);
	}
	buf_fini(&tmp);
	if (m->env.flags & ENV_EXPIRE)
		m->expired = true;
	if (m->env.redirect.len > 0)
		redirect(m);
	message_count_active(m);
	queue_settle(m);
	message_feed(m);
}

/* Resolve and queue recipients, as many as the limits allow.  A message with
 * very many recipients has only a window of them assigned at a time, so that
 * the queues of its destinations stay open to others. */
void
message_feed(struct message *m)
{
	uint32_t n = (uint32_t)m->env.rcpts.len;

	if (m->over || m->fate != FATE_NONE || m->expired || qm.draining)
		return;
	for (; m->n_fresh > 0 && m->next_fresh < n; m->next_fresh++) {
		uint32_t i = m->next_fresh;

		if (m->n_assigned >=
		    (uint64_t)conf.qmgr_message_recipient_window)
			return;
		if (qm.n_rcpts >= (uint64_t)conf.qmgr_message_recipient_limit &&
		    m->n_assigned >=
		    MAX(1, (uint64_t)conf.qmgr_message_recipient_minimum))
			return;		/* some always: nobody starves */
		if (m->mr[i].state != R_FRESH)
			continue;
		rcpt_set(m, i, R_RESOLVING);
		resolve_rcpt(m, i);
	}
}

/* --- outcomes of one recipient ------------------------------------------------- */

static void
set_reason(struct message *m, uint32_t i, const char *dsn, struct span text)
{
	struct rcpt *r = &m->env.rcpts.v[i];

	r->dsn = span_of(arena_strdup(&m->texts, dsn));
	r->text = span_make(arena_span_dup(&m->texts, text), text.len);
	r->tried_us = clock_wall_us();
}

void
rcpt_defer(struct message *m, uint32_t i, const char *dsn, struct span text)
{
	set_reason(m, i, dsn, text);
	qm.count.deferred++;
	rcpt_set(m, i, R_DEFERRED);
}

void
rcpt_bounce(struct message *m, uint32_t i, const char *dsn, struct span text)
{
	if (conf.soft_bounce) {
		char soft[16];

		(void)snprintf(soft, sizeof(soft), "4%s", dsn[0] == '5' ?
		    dsn + 1 : ".3.0");
		rcpt_defer(m, i, soft, text);
		return;
	}
	set_reason(m, i, dsn, text);
	qm.count.bounced++;
	rcpt_set(m, i, R_BOUNCED);
}

void
rcpt_defer_logged(struct message *m, uint32_t i, const char *dsn,
    struct span text)
{
	log_rcpt(m, i, "none", dsn, "deferred", text);
	rcpt_defer(m, i, dsn, text);
}

void
rcpt_bounce_logged(struct message *m, uint32_t i, const char *dsn,
    struct span text)
{
	log_rcpt(m, i, "none", dsn, conf.soft_bounce ? "SOFTBOUNCE"
	    : "bounced", text);
	rcpt_bounce(m, i, dsn, text);
}

void
rcpt_drop_logged(struct message *m, uint32_t i, struct span text)
{
	log_rcpt(m, i, "none", "2.0.0", "sent", text);
	m->soon = true;
	rcpt_set(m, i, R_DELIVERED);
}

/* --- what an administrator wants ------------------------------------------------ */

void
message_end_with(struct message *m, enum message_fate fate)
{
	if (m->fate == FATE_DELETE)
		return;
	m->fate = fate;
	if (fate == FATE_REQUEUE)
		m->next_us = clock_wall_us();
	if (m->over) {
		if (fate == FATE_DELETE && m->n_notices > 0) {
			notice_forget(m);
			m->n_notices = 0;
			message_conclude(m);
		}
		return;		/* otherwise seen when the file is there */
	}
	sched_withdraw(m);
	resolve_message_gone(m);
	message_count_active(m);
	queue_settle(m);
}

void
message_expire(struct message *m)
{
	m->env.flags |= ENV_EXPIRE;
	m->expired = true;
	if (m->over) {
		m->late_expire = true;
		return;
	}
	sched_withdraw(m);
	resolve_message_gone(m);
	message_count_active(m);
	queue_settle(m);
}
