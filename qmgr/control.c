/* SPDX-License-Identifier: ISC */
/*
 * control - administrators' requests (public/qmgr, msg_qctl.h), and ETRN's
 * (private/flush).
 *
 * What a request may do depends on who is at the other end (SO_PEERCRED):
 * anybody who is in authorized_mailq_users lists, authorized_flush_users
 * flush, root and mail_owner do the rest.
 *
 * A request about one message is done at once.  One about all is a job that
 * does a piece each turn, so that mail goes on meanwhile.
 */
#include "qmgr/qmgr.h"

#include <fcntl.h>
#include <pwd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "conf/table.h"
#include "daemon/daemon.h"
#include "queue/queue_id.h"

#define PIECE		200		/* messages of a job in one turn */
#define OUT_HIGH	(1u << 20)	/* a listing waits for the reader */
#define JOBS_MAX	64		/* of one connection */
#define LISTENER_FLUSH	1		/* in the order of services.c */

enum {
	Q_ACTIVE = 1, Q_INCOMING = 2, Q_DEFERRED = 4, Q_HOLD = 8,
	Q_ALL = Q_ACTIVE | Q_INCOMING | Q_DEFERRED | Q_HOLD
};

struct ctl {
	struct ipc_conn	*conn;
	struct list	link;
	struct list	jobs;
	unsigned	n_jobs;
	bool		admin, flush, list;
	bool		etrn;		/* came by private/flush */
};

struct id {
	int64_t		us;
	uint64_t	seq;
};

struct ctl_job {
	struct list	link;		/* ctl->jobs */
	struct list	all;		/* jobs */
	struct ctl	*c;		/* NULL: the client has gone */
	uint32_t	tag;
	unsigned	op, queues;
	unsigned	phase;		/* the bit of the queue it is at */
	bool		started;	/* that phase has been */
	char		*site;
	ARRAY(struct id) ids;
	size_t		at;
	uint64_t	from_seq;
	uint32_t	count;
};

static struct {
	struct list	 clients, jobs;
	struct loop_timer *timer;
	struct match_list *flushers, *listers, *sites;
	struct buf	 envelope;
} ct;

/* --- answers ----------------------------------------------------------------------- */

static void
send_result(struct ctl *c, uint32_t tag, bool ok, uint32_t count,
    const char *text)
{
	struct qctl_result r = {
		.ok = ok, .count = count, .text = span_of(text)
	};

	if (c == NULL)
		return;
	qctl_result_encode(ipc_begin(c->conn, QCTL_RESULT, tag), &r);
	ipc_end(c->conn);
}

static void
send_entry(struct ctl *c, uint32_t tag, const char *queue, struct span body)
{
	struct qctl_entry e = { .queue = span_of(queue), .envelope = body };

	qctl_entry_encode(ipc_begin(c->conn, QCTL_ENTRY, tag), &e);
	ipc_end(c->conn);
}

static void
send_envelope(struct ctl *c, uint32_t tag, const char *queue,
    const struct envelope *e)
{
	buf_reset(&ct.envelope);
	envelope_encode(&ct.envelope, e);
	send_entry(c, tag, queue, buf_span(&ct.envelope));
}

/* --- one message ---------------------------------------------------------------------- */

static bool
active_do(struct message *m, unsigned op)
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

static bool
deferred_do(struct id k, unsigned op)
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
going_to_hold_do(struct message *m, unsigned op)
{
	if (m->fate != FATE_HOLD)
		return false;
	if (op == QCTL_EXPIRE_RELEASE)
		message_expire(m);
	else if (op != QCTL_RELEASE)
		return active_do(m, op);
	log_info("%.*s: released from hold", SPAN_ARG(m->env.queue_id));
	message_end_with(m, FATE_REQUEUE);
	return true;
}

static bool
held_do(struct id k, unsigned op)
{
	char id[QUEUE_ID_MAX], path[SPOOL_PATH_MAX];
	struct message *m;

	queue_id_make(k.us, k.seq, id);
	if ((m = message_find(span_of(id))) != NULL)
		return going_to_hold_do(m, op);
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

static bool
one_do(struct span id, unsigned op, unsigned queues)
{
	struct message *m = message_find(id);
	struct id k;

	if (queue_id_parse(id, &k.us, &k.seq) < 0)
		return false;
	if (m != NULL && (queues & (Q_ACTIVE | Q_INCOMING | Q_DEFERRED)))
		/* One that has a file in deferred/ is in both queues. */
		return active_do(m, op);
	if (m != NULL)
		return (queues & Q_HOLD) && going_to_hold_do(m, op);
	if ((queues & Q_DEFERRED) && later_find(&qm.later, k.us, k.seq) != NULL)
		return deferred_do(k, op);
	if ((queues & Q_HOLD) && held_do(k, op))
		return true;
	if ((queues & (Q_INCOMING | Q_ACTIVE)) &&
	    (m = intake_find(id)) != NULL)
		return active_do(m, op);
	return false;
}

/* --- jobs -------------------------------------------------------------------------------- */

static void
job_free(struct ctl_job *j)
{
	if (j->c != NULL) {
		list_remove(&j->link);
		j->c->n_jobs--;
	}
	list_remove(&j->all);
	if (j->op != QCTL_LIST && --qm.paused == 0)
		intake_pump();
	ARRAY_FINI(&j->ids);
	mem_free(j->site);
	mem_free(j);
}

static bool
add_held(void *arg, const char *id, int64_t next_us,
    int64_t changed_us)
{
	struct ctl_job *j = arg;
	struct id k;

	if (queue_id_parse(span_of(id), &k.us, &k.seq) == 0)
		*ARRAY_PUSH(&j->ids) = k;
	return true;
}

static void
snapshot_active(struct ctl_job *j)
{
	LIST_FOREACH(l, &qm.messages) {
		const struct message *m = LIST_ENTRY(l, struct message, link);

		*ARRAY_PUSH(&j->ids) = (struct id){ m->id_us, m->id_seq };
	}
}

/* What lies in hold/ and what is on its way there, which may be the same. */
static void
snapshot_held(struct ctl_job *j)
{
	struct why why = WHY_INIT;

	if (qfile_each(&qm.spool, SPOOL_HOLD, add_held, j, &why) < 0)
		log_warning("hold/: %s", why.text);
	LIST_FOREACH(l, &qm.messages) {
		const struct message *m = LIST_ENTRY(l, struct message, link);

		if (m->fate == FATE_HOLD)
			*ARRAY_PUSH(&j->ids) = (struct id){ m->id_us,
			    m->id_seq };
	}
}

static struct message *
by_id(struct id k)
{
	char id[QUEUE_ID_MAX];

	queue_id_make(k.us, k.seq, id);
	return message_find(span_of(id));
}

static void
list_waiting(void *arg, const struct envelope *e)
{
	struct ctl_job *j = arg;

	send_envelope(j->c, j->tag, "incoming", e);
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
flush_if_site(struct id k, struct span site)
{
	char id[QUEUE_ID_MAX];
	struct why why = WHY_INIT;
	struct qfile *f;
	bool hit;

	queue_id_make(k.us, k.seq, id);
	f = qfile_open(&qm.spool, SPOOL_DEFERRED, span_of(id), &why);
	if (f == NULL)
		return false;
	hit = site_matches(qfile_envelope(f), site);
	qfile_close(&f);
	return hit && deferred_do(k, QCTL_FLUSH_ID);
}

/* A piece of the phase that is under way; false: the phase is over. */
static bool
piece(struct ctl_job *j)
{
	size_t n = 0;
	struct message *m;

	if (!j->started) {
		j->started = true;
		j->at = 0;
		j->ids.len = 0;
		if (j->phase == Q_ACTIVE)
			snapshot_active(j);
		else if (j->phase == Q_HOLD)
			snapshot_held(j);
	}
	switch (j->phase) {
	case Q_ACTIVE:
		for (; j->at < j->ids.len && n < PIECE; n++) {
			m = by_id(j->ids.v[j->at++]);
			if (m == NULL)
				continue;
			if (j->op == QCTL_LIST) {
				message_fates(m);
				send_envelope(j->c, j->tag, "active", &m->env);
				j->count++;
			} else {
				j->count += active_do(m, j->op);
			}
		}
		return j->at < j->ids.len;
	case Q_INCOMING:
		if (j->op == QCTL_LIST)
			return intake_each(&j->from_seq, PIECE, list_waiting,
			    j);
		for (; n < PIECE; n++) {
			m = intake_next();
			if (m == NULL)
				return false;
			j->count += active_do(m, j->op);
		}
		return true;
	case Q_DEFERRED:
		for (; j->at < qm.later.len && n < PIECE; j->at++) {
			const struct later_item *l = later_at(&qm.later,
			    (uint32_t)j->at);
			struct id k;

			if (l == NULL)
				continue;
			n++;
			k = (struct id){ l->id_us, l->seq };
			j->count += j->op == QCTL_FLUSH_SITE
			    ? flush_if_site(k, span_of(j->site))
			    : deferred_do(k, j->op);
		}
		return j->at < qm.later.len;
	case Q_HOLD:
		for (; j->at < j->ids.len && n < PIECE; n++)
			j->count += held_do(j->ids.v[j->at++], j->op);
		return j->at < j->ids.len;
	default:
		return false;
	}
}

static void
run_jobs(void *arg)
{
	bool again = false;

	LIST_FOREACH(l, &ct.jobs) {
		struct ctl_job *j = LIST_ENTRY(l, struct ctl_job, all);

		if (j->c == NULL && j->op == QCTL_LIST) {
			job_free(j);
			continue;
		}
		if (j->op == QCTL_LIST && ipc_out_len(j->c->conn) > OUT_HIGH)
			continue;	/* on_drain() goes on */
		if (!(j->phase & j->queues) || !piece(j)) {
			j->phase <<= 1;
			j->started = false;
			if (j->phase > Q_HOLD) {
				send_result(j->c, j->tag, true, j->count, "");
				job_free(j);
				continue;
			}
		}
		again = true;
	}
	if (again)
		loop_timer_set(ct.timer, 0);
}

static void
start_job(struct ctl *c, uint32_t tag, unsigned op, unsigned queues,
    struct span site)
{
	struct ctl_job *j;

	if (c != NULL && c->n_jobs >= JOBS_MAX) {
		send_result(c, tag, false, 0, "too many requests at a time");
		return;
	}
	j = mem_zalloc(sizeof(*j));
	j->c = c;
	j->tag = tag;
	j->op = op;
	j->queues = queues;
	j->phase = Q_ACTIVE;
	j->site = span_dup(site);
	/* What is done to all must not miss those that change queues. */
	if (op != QCTL_LIST)
		qm.paused++;
	if (c != NULL) {
		c->n_jobs++;
		list_append(&c->jobs, &j->link);
	}
	list_append(&ct.jobs, &j->all);
	loop_timer_set(ct.timer, 0);
}

/* --- requests ----------------------------------------------------------------------------- */

static unsigned
queue_bit(struct span name)
{
	if (span_is(name, "active"))
		return Q_ACTIVE;
	if (span_is(name, "incoming"))
		return Q_INCOMING;
	if (span_is(name, "deferred"))
		return Q_DEFERRED;
	if (span_is(name, "hold"))
		return Q_HOLD;
	return 0;
}

/* "ID" or "ALL", and the queues it may be in, when not all. */
static void
on_id(struct ctl *c, uint32_t tag, unsigned op, struct span arg)
{
	struct span id, name;
	unsigned queues = op == QCTL_HOLD ? Q_ALL & ~Q_HOLD :
	    op == QCTL_RELEASE ? Q_HOLD : Q_ALL;
	bool named = false;

	if (!span_token(&arg, " ", &id)) {
		send_result(c, tag, false, 0, "no queue id");
		return;
	}
	while (span_token(&arg, " ,", &name)) {
		queues = (named ? queues : 0) | queue_bit(name);
		named = true;
	}
	if (op == QCTL_REQUEUE)
		resolve_forget();
	if (span_is(id, "ALL")) {
		start_job(c, tag, op, queues, SPAN_EMPTY);
		return;
	}
	if (op == QCTL_FLUSH_ID)
		sched_flush(SPAN_EMPTY);
	send_result(c, tag, true, one_do(id, op, queues), "");
}

static void
flush_all(struct ctl *c, uint32_t tag)
{
	uint32_t n = qm.later.count;

	resolve_forget();
	sched_flush(SPAN_EMPTY);
	later_flush(&qm.later, clock_wall_us());
	LIST_FOREACH(l, &qm.messages)
		(void)active_do(LIST_ENTRY(l, struct message, link),
		    QCTL_FLUSH_ID);
	intake_pump();
	send_result(c, tag, true, n, "");
}

static bool
site_job_waits(struct span site)
{
	LIST_FOREACH(l, &ct.jobs) {
		const struct ctl_job *j = LIST_ENTRY(l, struct ctl_job, all);

		if (j->op == QCTL_FLUSH_SITE &&
		    span_caseeq(span_of(j->site), site))
			return true;
	}
	return false;
}

/*
 * A client of ETRN hears that it is begun, not how it ended: that may take
 * long, and is nobody's business.  Nor do many who ask for the same make many
 * jobs of it.
 */
static void
flush_site(struct ctl *c, uint32_t tag, struct span site)
{
	struct why why = WHY_INIT;
	int rc = match_list_string(ct.sites, site, &why);

	if (rc < 0) {
		log_warning("fast_flush_domains: %s", why.text);
		send_result(c, tag, false, 0, why.text);
		return;
	}
	if (rc == 0) {
		ipc_begin(c->conn, QCTL_DENIED, tag);
		ipc_end(c->conn);
		return;
	}
	if (c->etrn) {
		send_result(c, tag, true, 0, "");
		if (site_job_waits(site))
			return;
	}
	log_info("flushing what waits for %.*s", SPAN_ARG(site));
	sched_flush(site);
	resolve_forget();
	start_job(c->etrn ? NULL : c, tag, QCTL_FLUSH_SITE, Q_DEFERRED, site);
}

static void
send_number(struct ctl *c, uint32_t tag, const char *key, uint64_t n)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)n);
	send_entry(c, tag, key, span_of(text));
}

static void
send_status(struct ctl *c, uint32_t tag)
{
	send_number(c, tag, "active", qm.n_active);
	send_number(c, tag, "in_memory", qm.n_messages);
	send_number(c, tag, "recipients", qm.n_rcpts);
	send_number(c, tag, "incoming", intake_backlog());
	send_number(c, tag, "deferred", qm.later.count);
	send_number(c, tag, "deliveries", qm.deliveries);
	send_number(c, tag, "in_log", qm.book.unfinished);
	send_number(c, tag, "done_active", qm.count.active);
	send_number(c, tag, "done_delivered", qm.count.delivered);
	send_number(c, tag, "done_deferred", qm.count.deferred);
	send_number(c, tag, "done_bounced", qm.count.bounced);
	send_number(c, tag, "done_removed", qm.count.removed);
	send_number(c, tag, "done_recovered", qm.count.recovered);
	send_result(c, tag, true, 0, "");
}

static int
on_frame(void *arg, struct ipc_conn *conn, const struct ipc_frame *f)
{
	struct ctl *c = arg;
	struct qctl_arg a;
	bool may = f->type == QCTL_LIST || f->type == QCTL_STATUS ? c->list :
	    f->type <= QCTL_FLUSH_ID ? c->flush : c->admin;

	if (f->type < QCTL_FLUSH_ALL || f->type > QCTL_STATUS)
		return -1;
	if (f->type != QCTL_FLUSH_ALL && f->type < QCTL_LIST &&
	    qctl_arg_decode(&a, f->body) < 0)
		return -1;
	if (c->etrn && f->type != QCTL_FLUSH_SITE)
		return -1;
	if (!may) {
		send_result(c, f->tag, false, 0, "permission denied");
		return 0;
	}
	switch (f->type) {
	case QCTL_FLUSH_ALL:
		flush_all(c, f->tag);
		break;
	case QCTL_FLUSH_SITE:
		flush_site(c, f->tag, a.arg);
		break;
	case QCTL_LIST:
		/* There may be more in the log than we know of (yet): who
		 * asks reads it himself. */
		if (!intake_synced()) {
			send_result(c, f->tag, false, 0,
			    "the log has not been read to its end");
			break;
		}
		start_job(c, f->tag, QCTL_LIST, Q_ACTIVE | Q_INCOMING,
		    SPAN_EMPTY);
		break;
	case QCTL_STATUS:
		send_status(c, f->tag);
		break;
	default:
		on_id(c, f->tag, f->type, a.arg);
		break;
	}
	return 0;
}

static void
on_drain(void *arg, struct ipc_conn *conn)
{
	loop_timer_set(ct.timer, 0);
}

static void
ctl_free(struct ctl *c)
{
	/* What was begun for all is done for all; a listing has no reader. */
	while (!list_empty(&c->jobs)) {
		struct ctl_job *j = LIST_ENTRY(c->jobs.next, struct ctl_job,
		    link);

		list_remove(&j->link);
		j->c = NULL;
	}
	list_remove(&c->link);
	ipc_conn_free(&c->conn);
	mem_free(c);
}

static void
on_end(void *arg, struct ipc_conn *conn)
{
	ctl_free(arg);
}

static const struct ipc_ops ops = {
	.on_frame = on_frame, .on_drain = on_drain, .on_end = on_end,
};

static bool
listed(struct match_list *list, const char *value, const char *title,
    uid_t uid)
{
	struct why why = WHY_INIT;
	struct passwd pw, *found = NULL;
	char text[4096], number[32];
	const char *user = number;
	int rc;

	if (strcmp(value, "static:anyone") == 0)
		return true;
	(void)snprintf(number, sizeof(number), "%lu", (unsigned long)uid);
	if (getpwuid_r(uid, &pw, text, sizeof(text), &found) == 0 &&
	    found != NULL)
		user = pw.pw_name;
	rc = match_list_string(list, span_of(user), &why);
	if (rc < 0)
		log_warning("%s: %s", title, why.text);
	return rc == 1;
}

void
control_accept(int fd, const struct sock_addr *peer, int index)
{
	struct ctl *c = mem_zalloc(sizeof(*c));
	const struct sock_cred *cred;

	list_init(&c->jobs);
	list_append(&ct.clients, &c->link);
	c->conn = ipc_conn_new(qm.loop, fd, &QCTL_PROTO, &ops, c);
	cred = ipc_conn_peer(c->conn);
	if (cred == NULL)
		return;		/* may do nothing */
	c->admin = cred->uid == 0 || cred->uid == daemon_mail_uid();
	if (index == LISTENER_FLUSH) {
		c->etrn = true;
		c->flush = c->admin;
		c->admin = false;
		return;
	}
	c->list = c->admin || listed(ct.listers, conf.authorized_mailq_users,
	    "authorized_mailq_users", cred->uid);
	c->flush = c->admin || listed(ct.flushers,
	    conf.authorized_flush_users, "authorized_flush_users", cred->uid);
}

int
control_config(struct why *why)
{
	struct match_list *f, *l, *s;

	f = match_list_new("authorized_flush_users",
	    conf.authorized_flush_users, 0, why);
	l = match_list_new("authorized_mailq_users",
	    conf.authorized_mailq_users, 0, why);
	s = match_list_new("fast_flush_domains", conf.fast_flush_domains,
	    match_parent_flag("fast_flush_domains"), why);
	if (f == NULL || l == NULL || s == NULL) {
		match_list_free(&s);
		match_list_free(&f);
		match_list_free(&l);
		return -1;
	}
	match_list_free(&ct.flushers);
	match_list_free(&ct.listers);
	match_list_free(&ct.sites);
	ct.sites = s;
	ct.flushers = f;
	ct.listers = l;
	return 0;
}

int
control_start(struct why *why)
{
	list_init(&ct.clients);
	list_init(&ct.jobs);
	ct.envelope = BUF_INIT(BUF_UNLIMITED);
	ct.timer = loop_timer_new(qm.loop, run_jobs, NULL);
	return control_config(why);
}

void
control_stop(void)
{
	while (!list_empty(&ct.clients))
		ctl_free(LIST_ENTRY(ct.clients.next, struct ctl, link));
	while (!list_empty(&ct.jobs))
		job_free(LIST_ENTRY(ct.jobs.next, struct ctl_job, all));
	loop_timer_free(&ct.timer);
	match_list_free(&ct.flushers);
	match_list_free(&ct.listers);
	buf_fini(&ct.envelope);
}
