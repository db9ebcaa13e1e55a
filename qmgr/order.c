/* SPDX-License-Identifier: ISC */
/*
 * order - what is done to one message because an administrator says so,
 * wherever it is: in memory, in deferred/, in hold/ or between them.
 */
#include <fcntl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "qmgr/control_priv.h"
#include "queue/queue_id.h"

bool
order_active(struct message *m, unsigned op)
{
	switch (op) {
	case QCTL_HOLD:
		message_end_with(m, FATE_HOLD);
		return true;
	case QCTL_DELETE:
		message_end_with(m, FATE_DELETE);
		return true;
	case QCTL_REQUEUE:
		m->env.attempts = 0;
		message_end_with(m, FATE_REQUEUE);
		return true;
	case QCTL_EXPIRE:
	case QCTL_EXPIRE_RELEASE:
		message_expire(m);
		return true;
	case QCTL_FLUSH_ID:
		m->next_us = clock_wall_us();	/* if it is just being filed */
		return true;
	default:
		return false;
	}
}

/* Change what a queue file says. */
static bool
file_change(const char *id, enum spool_queue q, unsigned set, unsigned clear,
    bool fresh)
{
	struct why why = WHY_INIT;
	struct qfile *f = qfile_open(&qm.spool, q, span_of(id), &why);
	struct envelope e;
	int rc;

	if (f == NULL) {
		log_warning("%s: %s", id, why.text);
		return false;
	}
	e = *qfile_envelope(f);		/* its arrays stay the file's */
	e.flags = (e.flags | set) & ~clear;
	e.next_us = clock_wall_us();
	if (fresh)
		e.attempts = 0;
	rc = qfile_set_state(f, &e, &why);
	if (rc < 0)
		log_warning("%s: %s", id, why.text);
	qfile_close(&f);
	file_dirty();
	return rc == 0;
}

static bool
move(const char *id, enum spool_queue from, enum spool_queue to)
{
	struct why why = WHY_INIT;

	if (qfile_move(&qm.spool, span_of(id), from, to, &why) < 0) {
		log_warning("%s: %s", id, why.text);
		return false;
	}
	file_dirty();
	return true;
}

static bool
unlink_file(const char *id, enum spool_queue q)
{
	struct why why = WHY_INIT;

	if (qfile_remove(&qm.spool, q, span_of(id), &why) < 0) {
		log_warning("%s: %s", id, why.text);
		return false;
	}
	log_info("%s: removed", id);
	file_dirty();
	return true;
}

bool
order_deferred(struct order_id k, unsigned op)
{
	const struct later_item *l = later_find(&qm.later, k.us, k.seq);
	unsigned flags = l->flags;
	char id[QUEUE_ID_MAX];

	queue_id_make(k.us, k.seq, id);
	switch (op) {
	case QCTL_HOLD:
		if (!move(id, SPOOL_DEFERRED, SPOOL_HOLD))
			return false;
		(void)later_remove(&qm.later, k.us, k.seq);
		log_info("%s: placed on hold", id);
		return true;
	case QCTL_DELETE:
		if (!unlink_file(id, SPOOL_DEFERRED))
			return false;
		(void)later_remove(&qm.later, k.us, k.seq);
		return true;
	case QCTL_EXPIRE:
	case QCTL_EXPIRE_RELEASE:
		if (!file_change(id, SPOOL_DEFERRED, ENV_EXPIRE, 0, false))
			return false;
		break;
	case QCTL_REQUEUE:
		if (!file_change(id, SPOOL_DEFERRED, 0, ENV_HOLD, true))
			return false;
		break;
	case QCTL_FLUSH_ID:
		break;
	default:
		return false;
	}
	later_put(&qm.later, k.us, k.seq, clock_wall_us(), flags);
	intake_pump();
	return true;
}

/* One that goes to hold/ as soon as agents have answered and its file is
 * durable.  The file may be there already: it is not to be touched yet. */
static bool
order_going_to_hold(struct message *m, unsigned op)
{
	if (m->fate != FATE_HOLD)
		return false;
	if (op == QCTL_EXPIRE_RELEASE)
		message_expire(m);
	else if (op != QCTL_RELEASE)
		return order_active(m, op);
	log_info("%.*s: released from hold", SPAN_ARG(m->env.queue_id));
	message_end_with(m, FATE_REQUEUE);
	return true;
}

bool
order_held(struct order_id k, unsigned op)
{
	char id[QUEUE_ID_MAX], path[SPOOL_PATH_MAX];
	struct message *m;

	queue_id_make(k.us, k.seq, id);
	if ((m = message_find(span_of(id))) != NULL)
		return order_going_to_hold(m, op);
	spool_path(SPOOL_HOLD, span_of(id), path);
	if (faccessat(qm.spool.dirfd, path, F_OK, 0) < 0)
		return false;
	switch (op) {
	case QCTL_DELETE:
		return unlink_file(id, SPOOL_HOLD);
	case QCTL_EXPIRE:
		return file_change(id, SPOOL_HOLD, ENV_EXPIRE, 0, false);
	case QCTL_REQUEUE:
	case QCTL_EXPIRE_RELEASE:
		if (!file_change(id, SPOOL_HOLD, op == QCTL_REQUEUE ? 0 :
		    ENV_EXPIRE, ENV_HOLD, op == QCTL_REQUEUE))
			return false;
		FALLTHROUGH;
	case QCTL_RELEASE:
		if (!move(id, SPOOL_HOLD, SPOOL_DEFERRED))
			return false;
		log_info("%s: released from hold", id);
		/* It may have been handed out before it was held. */
		later_put(&qm.later, k.us, k.seq, clock_wall_us(),
		    LATER_RECOVERED);
		intake_pump();
		return true;
	default:
		return false;
	}
}

bool
order_one(struct span id, unsigned op, unsigned queues)
{
	struct message *m = message_find(id);
	struct order_id k;

	if (queue_id_parse(id, &k.us, &k.seq) < 0)
		return false;
	if (m != NULL && (queues & (Q_ACTIVE | Q_INCOMING | Q_DEFERRED)))
		/* One that has a file in deferred/ is in both queues. */
		return order_active(m, op);
	if (m != NULL)
		return (queues & Q_HOLD) && order_going_to_hold(m, op);
	if ((queues & Q_DEFERRED) && later_find(&qm.later, k.us, k.seq) != NULL)
		return order_deferred(k, op);
	if ((queues & Q_HOLD) && order_held(k, op))
		return true;
	if ((queues & (Q_INCOMING | Q_ACTIVE)) &&
	    (m = intake_find(id)) != NULL)
		return order_active(m, op);
	return false;
}
