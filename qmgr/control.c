/* SPDX-License-Identifier: ISC */
/*
 * control - administrators' requests (public/qmgr, msg_qctl.h), and ETRN's
 * (private/flush).
 *
 * What a request may do depends on who is at the other end (SO_PEERCRED):
 * anybody who is in authorized_mailq_users lists, authorized_flush_users
 * flush, root and mail_owner do the rest.
 *
 * A request about one message is done at once (order.c).  One about all is a
 * job (ctl_job.c).
 */
#include <pwd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "conf/table.h"
#include "daemon/daemon.h"
#include "qmgr/control_priv.h"

#define LISTENER_FLUSH	1		/* in the order of services.c */

static struct {
	struct list	 clients;
	struct match_list *flushers, *listers, *sites;
	struct buf	 envelope;
} ct;

/* --- answers ----------------------------------------------------------------------- */

void
control_result(struct ctl *c, uint32_t tag, bool ok, uint32_t count,
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

void
control_envelope(struct ctl *c, uint32_t tag, const char *queue,
    const struct envelope *e)
{
	buf_reset(&ct.envelope);
	envelope_encode(&ct.envelope, e);
	send_entry(c, tag, queue, buf_span(&ct.envelope));
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
		control_result(c, tag, false, 0, "no queue id");
		return;
	}
	while (span_token(&arg, " ,", &name)) {
		queues = (named ? queues : 0) | queue_bit(name);
		named = true;
	}
	if (op == QCTL_REQUEUE)
		resolve_forget();
	if (span_is(id, "ALL")) {
		ctl_job_start(c, tag, op, queues, SPAN_EMPTY);
		return;
	}
	if (op == QCTL_FLUSH_ID)
		sched_flush(SPAN_EMPTY);
	control_result(c, tag, true, order_one(id, op, queues), "");
}

static void
flush_all(struct ctl *c, uint32_t tag)
{
	uint32_t n = qm.later.count;

	resolve_forget();
	sched_flush(SPAN_EMPTY);
	later_flush(&qm.later, clock_wall_us());
	LIST_FOREACH(l, &qm.messages)
		(void)order_active(LIST_ENTRY(l, struct message, link),
		    QCTL_FLUSH_ID);
	intake_pump();
	control_result(c, tag, true, n, "");
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
		control_result(c, tag, false, 0, why.text);
		return;
	}
	if (rc == 0) {
		ipc_begin(c->conn, QCTL_DENIED, tag);
		ipc_end(c->conn);
		return;
	}
	if (c->etrn) {
		control_result(c, tag, true, 0, "");
		if (ctl_job_site_waits(site))
			return;
	}
	log_info("flushing what waits for %.*s", SPAN_ARG(site));
	sched_flush(site);
	resolve_forget();
	ctl_job_start(c->etrn ? NULL : c, tag, QCTL_FLUSH_SITE, Q_DEFERRED, site);
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
	control_result(c, tag, true, 0, "");
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
		control_result(c, f->tag, false, 0, "permission denied");
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
			control_result(c, f->tag, false, 0,
			    "the log has not been read to its end");
			break;
		}
		ctl_job_start(c, f->tag, QCTL_LIST, Q_ACTIVE | Q_INCOMING,
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
	ctl_jobs_go();
}

static void
ctl_free(struct ctl *c)
{
	ctl_jobs_leave(c);
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
	ct.envelope = BUF_INIT(BUF_UNLIMITED);
	ctl_jobs_open();
	return control_config(why);
}

void
control_stop(void)
{
	while (!list_empty(&ct.clients))
		ctl_free(LIST_ENTRY(ct.clients.next, struct ctl, link));
	ctl_jobs_close();
	match_list_free(&ct.flushers);
	match_list_free(&ct.listers);
	buf_fini(&ct.envelope);
}
