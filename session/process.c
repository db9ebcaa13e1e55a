/* SPDX-License-Identifier: ISC */
/*
 * process - the users' processes: fork, conversation, end.
 *
 * A process is less trusted than we are: it runs what a user's clients send.
 * It may only speak of connections that it was given and has not given back;
 * a process that breaks the conversation is killed.
 *
 * It is over when its control socket has ended, which comes after all it has
 * said, and when it was waited for; in either order.
 */
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "io/fd.h"
#include "session/monitor.h"
#include "session/process.h"
#include "session/shares.h"

#define SPARE_MS	5	/* from when the last one was taken */

/* --- the end ---------------------------------------------------------------------------- */

/* Its connections are closed: they were open in it alone. */
static void
lose_conns(struct process *p)
{
	unsigned n = 0;

	LIST_FOREACH(at, &p->user->conns) {
		struct conn *c = LIST_ENTRY(at, struct conn, of_user);

		n += c->process == p;
	}
	if (n == 0)
		return;
	log_warning("session process %d of user %s has ended with %u "
	    "connection%s", (int)p->pid, p->user->who.name, n,
	    n == 1 ? "" : "s");
	LIST_FOREACH(at, &p->user->conns) {
		struct conn *c = LIST_ENTRY(at, struct conn, of_user);

		/* p still counts, so that the user stays. */
		if (c->process == p)
			conn_free(c);
	}
}

static void
process_over(struct process *p)
{
	struct user *u = p->user;

	if (p->control != NULL || p->pid != 0)
		return;
	list_remove(&p->link);
	monitor.nprocesses--;
	u->processes--;
	mem_free(p);
	if (monitor.draining)
		daemon_busy(-1);
	user_settle(u);
}

static void
on_end(void *arg, struct ipc_conn *c)
{
	struct process *p = arg;

	if (p == monitor.spare) {
		log_warning("spare session process %d has ended",
		    (int)p->pid);
		process_drop_spare();
		return;
	}
	ipc_conn_free(&p->control);
	if (p->user->process == p)
		p->user->process = NULL;
	lose_conns(p);
	process_over(p);
}

static struct process *
process_by_pid(pid_t pid)
{
	LIST_FOREACH(at, &monitor.processes) {
		struct process *p = LIST_ENTRY(at, struct process, link);

		if (p->pid == pid)
			return p;
	}
	return NULL;
}

void
process_reap(void)
{
	struct process *p;
	pid_t pid;
	int st;

	while ((pid = waitpid(-1, &st, WNOHANG)) > 0) {
		p = process_by_pid(pid);
		if (p == NULL)
			continue;
		if (WIFSIGNALED(st))
			log_warning("session process %d of user %s was killed "
			    "by signal %d%s", (int)pid, p->user->who.name,
			    WTERMSIG(st), WTERMSIG(st) == SIGSYS
			    ? " (it went beyond its sandbox)" : "");
		else if (WEXITSTATUS(st) != 0)
			log_warning("session process %d of user %s: exit "
			    "status %d", (int)pid, p->user->who.name,
			    WEXITSTATUS(st));
		p->pid = 0;
		process_over(p);
	}
}

/* --- what it says ------------------------------------------------------------------------- */

/* A connection that p has; NULL: it has none of that number. */
static struct conn *
conn_of(struct process *p, uint32_t serial)
{
	struct conn *c = conn_find(serial);

	return c != NULL && c->process == p ? c : NULL;
}

static int
on_done(struct process *p, struct span body)
{
	struct control_done m;
	struct conn *c;

	if (control_done_decode(&m, body) < 0 ||
	    (c = conn_of(p, m.serial)) == NULL)
		return -1;
	conn_free(c);
	return 0;
}

static int
on_watch(struct process *p, struct span body, int fd)
{
	struct control_watch m;
	struct conn *c;

	if (fd < 0 || control_watch_decode(&m, body) < 0 ||
	    (c = conn_of(p, m.serial)) == NULL ||
	    c->watches.len >= SESSION_WATCH_MAX) {
		fd_close(&fd);
		return -1;
	}
	hibernate_watch(c, &m, fd);
	return 0;
}

static int
on_frozen(struct process *p, struct span body, int fd)
{
	struct control_frozen m;
	struct conn *c;

	if (fd < 0 || control_frozen_decode(&m, body) < 0 ||
	    (c = conn_of(p, m.serial)) == NULL) {
		fd_close(&fd);
		return -1;
	}
	c->process = NULL;
	hibernate(c, &m, fd);
	return 0;
}

static int
on_idle(struct process *p, struct span body)
{
	struct control_idle m;

	if (control_idle_decode(&m, body) < 0)
		return -1;
	if (m.seen != p->sent)
		return 0;	/* one is on its way */
	p->leaving = true;
	if (p->user->process == p)
		p->user->process = NULL;
	ipc_send(p->control, CONTROL_LEAVE, 0, SPAN_EMPTY);
	return 0;
}

/* --- what others share ------------------------------------------------------------ */

static struct shares shares;

static void
add_share(void *arg, const struct session_user *owner)
{
	ARRAY(const struct session_user *) *to = arg;

	*ARRAY_PUSH(to) = owner;
}

static void
find_shares(const struct user *u, void *to)
{
	struct why why = WHY_INIT;

	if (shares_load(&shares, &why) < 0)
		log_warning("no mail of others is shown: %s", why.text);
	shares_each(&shares, &u->who, add_share, to);
}

struct renewed {
	struct span	ident;
	const struct user *owner;
};

static void
renew(struct hash_entry *e, void *arg)
{
	const struct renewed *r = arg;
	struct user *u = e->value;

	if (u != r->owner && shares_ident_is(r->ident, &u->who))
		u->process = NULL;
}

/* The next connection of who is concerned gets a process that knows. */
static void
on_share(struct process *p, const struct control_share *m)
{
	struct renewed r = { .ident = m->ident, .owner = p->user };
	struct why why = WHY_INIT;
	int rc = shares_note(&p->user->who, m->ident, m->on, &why);

	if (rc < 0)
		log_warning("user %s, shared mailboxes: %s",
		    p->user->who.name, why.text);
	if (rc > 0)
		hash_each(&monitor.users, renew, &r);
}

static int
on_frame(void *arg, struct ipc_conn *ipc, const struct ipc_frame *f)
{
	struct process *p = arg;
	struct control_share share;
	int rc, fd = f->fd;

	/* A spare one has nothing to say. */
	switch (p->user != NULL ? f->type : 0) {
	case CONTROL_WATCH:
		rc = on_watch(p, f->body, fd);
		break;
	case CONTROL_FROZEN:
		rc = on_frozen(p, f->body, fd);
		break;
	case CONTROL_DONE:
		fd_close(&fd);
		rc = on_done(p, f->body);
		break;
	case CONTROL_IDLE:
		fd_close(&fd);
		rc = on_idle(p, f->body);
		break;
	case CONTROL_SHARE:
		fd_close(&fd);
		rc = control_share_decode(&share, f->body);
		if (rc == 0)
			on_share(p, &share);
		break;
	default:
		fd_close(&fd);
		rc = -1;
	}
	if (rc < 0) {
		log_warning("session process %d of user %s broke its "
		    "conversation; killed", (int)p->pid,
		    p->user != NULL ? p->user->who.name : "(nobody yet)");
		if (p->pid > 0)
			kill(p->pid, SIGKILL);
	}
	return rc;
}

static const struct ipc_ops control_ops = {
	.on_frame = on_frame,
	.on_end = on_end,
};

/* --- room for others --------------------------------------------------------------------- */

/*
 * When nearly as many processes as may be are there, who has done nothing for
 * the longest time hibernates, so that many thousands of users can come at
 * once: each new process asks another one.
 */
static void
make_room(void)
{
	unsigned limit = (unsigned)conf.session_process_limit;
	struct process *p;

	if (monitor.nprocesses < limit - MAX(limit / 8, MIN(limit, 2u)))
		return;
	LIST_FOREACH(at, &monitor.processes) {
		p = LIST_ENTRY(at, struct process, link);
		if (p->hurried || p->control == NULL || p->leaving)
			continue;
		p->hurried = true;
		ipc_send(p->control, CONTROL_HURRY, 0, SPAN_EMPTY);
		list_remove(&p->link);
		list_append(&monitor.processes, &p->link);
		return;
	}
}

/* --- the beginning -------------------------------------------------------------------------- */

/* One that waits to be told whose it is. */
static struct process *
fork_process(struct why *why)
{
	struct process *p;
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
	    pair) < 0) {
		why_errno(why, "4.3.0", "socket pair");
		return NULL;
	}
	pid = daemon_fork("session-spare", &pair[1], 1);
	if (pid == 0) {
		struct session_process_args args = {
			.control = pair[1], .engines = monitor.engines,
		};

		session_process_run(&args);
	}
	close(pair[1]);
	if (pid < 0) {
		why_errno(why, "4.3.0", "fork");
		close(pair[0]);
		return NULL;
	}
	p = mem_zalloc(sizeof(*p));
	p->pid = pid;
	p->control = ipc_conn_new(monitor.loop, pair[0], &CONTROL_PROTO,
	    &control_ops, p);
	return p;
}

static void
fork_spare(void *arg)
{
	struct why why = WHY_INIT;

	if (monitor.spare == NULL && !monitor.draining)
		monitor.spare = fork_process(&why);
}

/*
 * A fork takes milliseconds when many thousands of clients hibernate here: all
 * of their descriptors are copied and closed again.  So one is made in
 * advance, after the last one was taken, when nobody waits for it.
 */
static struct process *
take_spare(struct why *why)
{
	static struct loop_timer *timer;
	struct process *p = monitor.spare;

	monitor.spare = NULL;
	if (timer == NULL)
		timer = loop_timer_new(monitor.loop, fork_spare, NULL);
	loop_timer_set(timer, SPARE_MS);
	return p != NULL ? p : fork_process(why);
}

void
process_drop_spare(void)
{
	struct process *p = monitor.spare;

	monitor.spare = NULL;
	if (p == NULL)
		return;
	ipc_conn_free(&p->control);	/* it leaves */
	mem_free(p);
}

/* Tell a process whose it is, and who shares with him. */
static void
give_to(struct process *p, struct user *u)
{
	ARRAY(const struct session_user *) shared = ARRAY_EMPTY;
	struct auth_user a;

	find_shares(u, &shared);
	for (size_t i = 0; i < shared.len; i++) {
		session_user_tell(shared.v[i], &a);
		auth_user_encode(ipc_begin(p->control, CONTROL_SHARES, 0), &a);
		ipc_end(p->control);
	}
	ARRAY_FINI(&shared);
	ipc_send(p->control, CONTROL_USER, 0, u->key);
	p->user = u;
}

static struct process *
process_new(struct user *u, struct why *why)
{
	struct process *p;

	make_room();
	if (monitor.nprocesses >= (unsigned)conf.session_process_limit) {
		why_set(why, "4.3.2", "%u session processes, as many as "
		    "session_process_limit allows", monitor.nprocesses);
		return NULL;
	}
	if ((p = take_spare(why)) == NULL)
		return NULL;
	give_to(p, u);
	list_append(&monitor.processes, &p->link);
	monitor.nprocesses++;
	u->processes++;
	return p;
}

struct process *
process_for(struct user *u, struct why *why)
{
	if (u->process == NULL)
		u->process = process_new(u, why);
	return u->process;
}

void
process_give(struct process *p, struct conn *c, int fd, struct span input,
    const struct span *state)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	struct control_conn m = {
		.serial = c->serial,
		.service = span_of(c->engine->service),
		.facts = span_make(c->facts, c->facts_len),
		.input = input,
		.frozen = state != NULL,
		.changed = c->changed,
		.state = state != NULL ? *state : SPAN_EMPTY,
	};

	control_conn_encode(&b, &m);
	ipc_send_fd(p->control, CONTROL_CONN, 0, buf_span(&b), fd);
	buf_fini(&b);
	p->sent++;
	p->hurried = false;
	list_remove(&p->link);
	list_append(&monitor.processes, &p->link);
	c->process = p;
	c->changed = false;
}

void
process_drain(struct process *p, enum session_stop why, uint32_t serial)
{
	struct control_drain m = { .why = why, .serial = serial };

	if (p->control == NULL)
		return;
	control_drain_encode(ipc_begin(p->control, CONTROL_DRAIN, 0), &m);
	ipc_end(p->control);
}
