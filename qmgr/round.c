/* SPDX-License-Identifier: ISC */
/*
 * round - the end of a message's round: notices, then its end or a queue file.
 *
 * A round is over when no recipient is with rewrite, in a job, with an agent,
 * or waits for a checkpoint.  Then notices are asked for; the message stays
 * until they are durable; then it is finished, or filed for later.
 */
#include "qmgr/message_priv.h"

#include "base/clock.h"
#include "base/log.h"
#include "conf/params.h"
#include "io/fd.h"
#include "mail/address.h"
#include "mail/dsn.h"

static bool
wants_failure(const struct rcpt *r)
{
	return !(r->dsn_notify & DSN_NOTIFY_NEVER) &&
	    (r->dsn_notify == 0 || (r->dsn_notify & DSN_NOTIFY_FAILURE));
}

static bool
wants_delay(const struct rcpt *r)
{
	return !(r->dsn_notify & DSN_NOTIFY_NEVER) &&
	    (r->dsn_notify == 0 || (r->dsn_notify & DSN_NOTIFY_DELAY));
}

/* Everything that did not get there is returned now. */
static void
expire(struct message *m)
{
	struct buf tmp = BUF_INIT(ADDRESS_MAX * 2 + 16);

	for (uint32_t i = 0; i < m->env.rcpts.len; i++) {
		struct rcpt *r = &m->env.rcpts.v[i];

		if (m->mr[i].state != R_DEFERRED && m->mr[i].state != R_FRESH)
			continue;
		if (r->text.len == 0) {
			r->dsn = SPAN("4.3.0");
			r->text = SPAN("message is administratively expired");
		}
		qm.count.bounced++;
		rcpt_set(m, i, R_BOUNCED);
	}
	log_info("%.*s: from=<%s>, status=%s, returned to sender",
	    SPAN_ARG(m->env.queue_id), address_show(m->env.sender, &tmp),
	    (m->env.flags & ENV_EXPIRE) ? "force-expired" : "expired");
	buf_fini(&tmp);
}

bool
message_notice_has(const struct message *m, uint32_t i, enum bounce_kind kind)
{
	const struct rcpt *r = &m->env.rcpts.v[i];
	const struct mrcpt *mr = &m->mr[i];

	switch (kind) {
	case BOUNCE_FAILURE:
	case BOUNCE_DOUBLE:
		return mr->state == R_BOUNCED && wants_failure(r) &&
		    (kind == BOUNCE_DOUBLE) == (m->env.sender.len == 0);
	case BOUNCE_DELAY:
		return mr->state == R_DEFERRED && wants_delay(r);
	case BOUNCE_SUCCESS:
	case BOUNCE_RELAYED:
	case BOUNCE_EXPANDED:
		if (mr->state != R_DELIVERED || !mr->notify_success ||
		    m->env.sender.len == 0)
			return false;
		return kind == (mr->relayed ? BOUNCE_RELAYED :
		    mr->expanded ? BOUNCE_EXPANDED : BOUNCE_SUCCESS);
	case BOUNCE_VERIFY:
		/* A failure may have its notice before this one has. */
		return (m->env.flags & ENV_REPORT) && m->env.sender.len > 0 &&
		    !message_expansion_untold(r) && (mr->state == R_DELIVERED ||
		    mr->state == R_DEFERRED || mr->state == R_BOUNCED ||
		    (mr->state == R_DONE && r->fate == RCPT_BOUNCED));
	}
	return false;
}

static void
request_notices(struct message *m)
{
	static const enum bounce_kind kinds[] = {
		BOUNCE_FAILURE, BOUNCE_DOUBLE, BOUNCE_SUCCESS, BOUNCE_RELAYED,
		BOUNCE_EXPANDED, BOUNCE_DELAY, BOUNCE_VERIFY
	};
	bool due[ARRAY_LEN(kinds)] = { false };
	bool warn = conf.delay_warning_time > 0 && !m->env.warned &&
	    m->env.sender.len > 0 && retry_expired(clock_wall_us(),
	    m->env.arrival_us, conf.delay_warning_time);

	if (m->env.flags & ENV_NO_BOUNCE)
		return;
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		if ((kinds[k] == BOUNCE_DELAY && !warn) ||
		    (kinds[k] != BOUNCE_VERIFY && (m->env.flags & ENV_PROBE)))
			continue;
		for (uint32_t i = 0; i < m->env.rcpts.len && !due[k]; i++)
			due[k] = message_notice_has(m, i, kinds[k]);
		m->n_notices += due[k];
	}
	/* All are counted before the first can be answered. */
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
		if (due[k])
			notice_request(m, kinds[k]);
}

void
message_settle(void *arg)
{
	struct message *m = arg;
	bool expired;

	if (m->over)
		return;
	message_feed(m);
	if (m->n_resolving == 0)
		sched_release(m);
	if (message_has_work(m) || m->n_assigned > 0 || m->n_settling > 0 ||
	    m->refs > 0)
		return;
	m->over = true;
	message_count_active(m);
	if (m->partial_queued) {
		m->partial_queued = false;
		list_remove(&m->wait);
	}
	if (m->fate != FATE_NONE && !(m->fate == FATE_REQUEUE && m->expired)) {
		message_conclude(m);
		return;
	}
	if (m->env.flags & ENV_PROBE) {
		if (!(m->env.flags & ENV_REPORT))
			verify_report(m);
		request_notices(m);
		if (m->n_notices == 0)
			message_conclude(m);
		return;
	}
	expired = retry_expired(clock_wall_us(), m->env.arrival_us,
	    m->env.sender.len == 0 ? conf.bounce_queue_lifetime
	    : conf.maximal_queue_lifetime);
	if (m->n_deferred + m->n_fresh > 0 && (m->expired || expired))
		expire(m);
	request_notices(m);
	if (m->n_notices == 0)
		message_conclude(m);
}

void
message_notice_done(struct message *m, enum bounce_kind kind, bool ok,
    struct span text)
{
	if (ok && kind == BOUNCE_DELAY)
		m->env.warned = true;
	if (ok && kind == BOUNCE_VERIFY)
		m->env.flags &= ~(unsigned)ENV_REPORT;
	if (kind == BOUNCE_FAILURE || kind == BOUNCE_DOUBLE) {
		if (!ok)
			log_warning("%.*s: no notice could be sent: %.*s",
			    SPAN_ARG(m->env.queue_id), SPAN_ARG(text));
		for (uint32_t i = 0; i < m->env.rcpts.len; i++) {
			if (m->mr[i].state != R_BOUNCED)
				continue;
			if (ok)
				m->env.rcpts.v[i].fate = RCPT_BOUNCED;
			rcpt_set(m, i, ok ? R_DONE : R_DEFERRED);
		}
	}
	for (uint32_t i = 0; kind == BOUNCE_EXPANDED &&
	    i < m->env.rcpts.len; i++)
		if (message_expansion_untold(&m->env.rcpts.v[i]))
			m->env.rcpts.v[i].dsn_notify &=
			    ~(unsigned)DSN_NOTIFY_SUCCESS;
	m->soon = true;
	if (--m->n_notices == 0)
		message_conclude(m);
}

/* The fates as they are, for the queue file and for listings. */
void
message_fates(struct message *m)
{
	for (uint32_t i = 0; i < m->env.rcpts.len; i++) {
		struct rcpt *r = &m->env.rcpts.v[i];

		if (m->mr[i].state == R_DELIVERED)
			r->fate = RCPT_DELIVERED;
	}
}

/* Notices are durable, nothing is under way: finish it or file it. */
void
message_conclude(struct message *m)
{
	bool keep = false;

	if ((m->env.flags & ENV_PROBE) && m->fate != FATE_HOLD &&
	    m->fate != FATE_REQUEUE) {
		message_gone(m);
		return;
	}
	message_fates(m);
	for (uint32_t i = 0; i < m->env.rcpts.len; i++) {
		switch ((enum rcpt_state)m->mr[i].state) {
		case R_BOUNCED:
			/* A held message has sent no notice: try again. */
			if (m->fate == FATE_HOLD || m->fate == FATE_REQUEUE) {
				keep = true;
				break;
			}
			m->env.rcpts.v[i].fate = RCPT_BOUNCED;
			break;
		case R_FRESH:
		case R_DEFERRED:
			keep = true;
			break;
		default:
			break;
		}
	}
	if (m->fate == FATE_DELETE || !keep) {
		message_gone(m);
		return;
	}
	switch (m->fate) {
	case FATE_HOLD:
		m->env.flags |= ENV_HOLD;
		m->env.next_us = clock_wall_us();
		file_message(m, SPOOL_HOLD);
		return;
	case FATE_REQUEUE:
		m->env.flags &= ~(unsigned)ENV_HOLD;
		m->env.next_us = m->next_us;
		break;
	default:
		m->env.attempts++;
		m->env.next_us = retry_next_us(clock_wall_us(),
		    m->env.arrival_us, conf.minimal_backoff_time,
		    conf.maximal_backoff_time);
		if (m->env.flags & ENV_EXPIRE)
			m->env.next_us = clock_wall_us();
		break;
	}
	m->next_us = m->env.next_us;
	file_message(m, SPOOL_DEFERRED);
}

/* Finished: nobody needs it any more. */
void
message_gone(struct message *m)
{
	qm.count.removed++;
	log_info("%.*s: removed", SPAN_ARG(m->env.queue_id));
	if (m->source == FROM_FILE) {
		file_remove(m);
	} else {
		struct finished f = {
			.seq = m->pos.seq, .rcpt = QREC_ALL,
			.slot = m->pos.slot,
			.generation = m->pos.generation,
			.large = m->source == FROM_LARGE,
			.id_us = m->id_us, .id_seq = m->id_seq,
		};

		state_note(qm.state, &f, m->soon);
	}
	message_free(m);
}

/* The queue where its file is then. */
static enum spool_queue
move_file(struct message *m, enum spool_queue from, enum spool_queue to)
{
	struct why why = WHY_INIT;

	if (qfile_move(&qm.spool, m->env.queue_id, from, to, &why) == 0)
		return to;
	log_warning("%.*s: %s", SPAN_ARG(m->env.queue_id), why.text);
	return from;
}

/* Its queue file, or the new state in it, is as durable as it must be. */
void
message_filed(struct message *m, enum spool_queue q)
{
	bool recovered = false;

	if (m->source != FROM_FILE) {
		struct finished f = {
			.seq = m->pos.seq, .rcpt = QREC_ALL,
			.slot = m->pos.slot,
			.generation = m->pos.generation,
			.large = m->source == FROM_LARGE,
			.id_us = m->id_us, .id_seq = m->id_seq,
		};

		state_note(qm.state, &f, false);
		m->source = FROM_FILE;
	}
	for (uint32_t i = 0; i < m->env.rcpts.len; i++)
		if (m->mr[i].recovered && m->env.rcpts.v[i].fate ==
		    RCPT_PENDING)
			recovered = true;
	/* Somebody may have given an order while the file was written. */
	if (m->fate == FATE_DELETE) {
		message_gone(m);
		return;
	}
	if (m->fate == FATE_HOLD && q != SPOOL_HOLD)
		q = move_file(m, q, SPOOL_HOLD);
	else if (m->fate == FATE_REQUEUE && q == SPOOL_HOLD)
		q = move_file(m, q, SPOOL_DEFERRED);
	if (m->late_expire) {
		m->file_queue = q;
		m->late_expire = false;
		m->next_us = m->env.next_us = clock_wall_us();
		file_message(m, q);
		return;
	}
	if (q == SPOOL_DEFERRED)
		later_put(&qm.later, m->id_us, m->id_seq, m->next_us,
		    recovered ? LATER_RECOVERED : 0);
	message_free(m);
}
