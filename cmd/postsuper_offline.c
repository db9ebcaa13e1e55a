/* SPDX-License-Identifier: ISC */
/*
 * postsuper_offline - see postsuper_offline.h.
 */
#include "cmd/postsuper_offline.h"

#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "ipc/msg_qctl.h"
#include "queue/qlist.h"

#define STATE_SEGMENT	(4u << 20)	/* bytes, as qmgr's */

struct offline {
	const struct spool	*s;
	struct qlog		*state;
};

struct action {
	struct offline	*o;
	unsigned	 type;
	offline_wanted_fn *wanted;
	int		 rc;
	struct why	*why;
};

struct offline *
offline_begin(const struct spool *s, struct why *why)
{
	struct qlog_options opt = { .segment_size = STATE_SEGMENT,
	    .no_thread = true };
	struct offline *o = mem_zalloc(sizeof(*o));

	o->s = s;
	o->state = qlog_open(s->dirfd, "state", &opt, why);
	if (o->state == NULL) {
		mem_free(o);
		return NULL;
	}
	return o;
}

/* The record in log/ counts no more. */
static int
finish(struct offline *o, uint64_t seq, struct why *why)
{
	char entry[12];
	struct span part = { entry, sizeof(entry) };
	struct qlog_pos pos;

	num_put_le64(entry, seq);
	num_put_le32(entry + 8, QREC_ALL);
	if (qlog_append(o->state, QREC_FINISHED, &part, 1, &pos, why) < 0)
		return -1;
	return qlog_commit(o->state, why);
}

/* What the envelope says after the action. */
static void
change(unsigned type, struct envelope *e)
{
	switch (type) {
	case QCTL_HOLD:
		e->flags |= ENV_HOLD;
		break;
	case QCTL_EXPIRE:
		e->flags |= ENV_EXPIRE;
		break;
	case QCTL_EXPIRE_RELEASE:
		e->flags |= ENV_EXPIRE;
		FALLTHROUGH;
	default:
		e->flags &= ~(unsigned)ENV_HOLD;
		break;
	}
	e->next_us = clock_wall_us();
}

static int
act_on_log(struct action *a, const struct qlist_entry *entry)
{
	struct envelope e = *entry->envelope;

	if (a->type == QCTL_RELEASE || a->type == QCTL_REQUEUE)
		return 0;		/* it is tried at the next start */
	if (a->type != QCTL_DELETE) {
		if (entry->content.fd < 0)
			return why_set(a->why, "4.3.0", "the content cannot "
			    "be read");
		change(a->type, &e);
		if (qfile_create(a->o->s, a->type == QCTL_HOLD ? SPOOL_HOLD :
		    SPOOL_DEFERRED, &e, &entry->content, a->why) < 0 ||
		    spool_sync(a->o->s, a->why) < 0)
			return -1;
	}
	if (finish(a->o, entry->seq, a->why) < 0)
		return -1;
	return 1;
}

static int
act_on_file(struct action *a, const struct qlist_entry *entry)
{
	struct span id = entry->envelope->queue_id;
	bool held = strcmp(entry->queue, "hold") == 0;
	enum spool_queue from = held ? SPOOL_HOLD : SPOOL_DEFERRED, to = from;
	struct envelope e;
	struct qfile *f;
	int rc;

	if (strcmp(entry->queue, "corrupt") == 0)
		from = to = SPOOL_CORRUPT;
	if (a->type == QCTL_DELETE)
		return qfile_remove(a->o->s, from, id, a->why) < 0 ? -1 : 1;
	if (from == SPOOL_CORRUPT || (a->type == QCTL_HOLD && held) ||
	    (a->type == QCTL_RELEASE && !held))
		return 0;
	if (a->type == QCTL_HOLD)
		to = SPOOL_HOLD;
	else if (a->type != QCTL_EXPIRE)
		to = SPOOL_DEFERRED;
	f = qfile_open(a->o->s, from, id, a->why);
	if (f == NULL)
		return -1;
	e = *qfile_envelope(f);
	change(a->type, &e);
	rc = qfile_set_state(f, &e, a->why);
	if (rc == 0)
		rc = qfile_sync(f, a->why);
	if (rc == 0 && to != from)
		rc = qfile_move(a->o->s, id, from, to, a->why);
	qfile_close(&f);
	return rc < 0 ? -1 : 1;
}

static bool
on_entry(void *arg, const struct qlist_entry *entry)
{
	struct action *a = arg;

	if (!a->wanted(entry->queue)) {
		a->rc = 0;
		return true;
	}
	a->rc = entry->seq != 0 ? act_on_log(a, entry) :
	    act_on_file(a, entry);
	return false;
}

int
offline_act(struct offline *o, unsigned type, struct span id,
    offline_wanted_fn *wanted, struct why *why)
{
	struct action a = { .o = o, .type = type, .wanted = wanted,
		.why = why };

	if (qlist_find(o->s, id, on_entry, &a, why) < 0)
		return -1;
	return a.rc;
}

int
offline_end(struct offline **op, struct why *why)
{
	struct offline *o = *op;
	int rc;

	*op = NULL;
	if (o == NULL)
		return 0;
	rc = spool_sync(o->s, why);
	qlog_close(&o->state);
	mem_free(o);
	return rc;
}
