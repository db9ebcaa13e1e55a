/* SPDX-License-Identifier: ISC */
/*
 * process - the users' processes: whose they are, conversation, end.
 *
 * A process is less trusted than we are: it runs what a user's clients send.
 * It may only speak of connections that it was given and has not given back;
 * a process that breaks the conversation is killed.
 *
 * It is over when its control socket has ended, which comes after all it has
 * said, and when it was waited for; in either order.
 */
#include <signal.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "io/fd.h"
#include "session/monitor.h"
#include "session/shares.h"

#define SPARE_MS	5	/* from when the last one was taken */

/* --- rest --------------------------------------------------------------------------------- */

/* So many fewer than there may be, so that nobody finds no room. */
static unsigned
reserve(void)
{
	unsigned limit = (unsigned)conf.session_process_limit;

	return MAX(limit / 8, MIN(limit, 2u));
}

/* Whether there are nearly as many processes as may be. */
static bool
crowded(void)
{
	return monitor.nprocesses - monitor.nleaving >=
	    (unsigned)conf.session_process_limit - reserve();
}

static void
rest_no_more(struct process *p)
{
	if (!list_linked(&p->rest))
		return;
	list_remove(&p->rest);
	monitor.nresting--;
}

/* It has no connections, and gets none any more. */
static void
dismiss(struct process *p)
{
	if (p->leaving || p->control == NULL)
		return;
	rest_no_more(p);
	p->leaving = true;
	monitor.nleaving++;
	if (p->user->process == p)
		p->user->process = NULL;
	ipc_send(p->control, CONTROL_LEAVE, 0, SPAN_EMPTY);
}

static struct process *
longest_at_rest(void)
{
	return list_empty(&monitor.resting) ? NULL :
	    LIST_ENTRY(monitor.resting.next, struct process, rest);
}

static void
rest_over(void *arg)
{
	struct loop_timer **timer = arg;
	int64_t most = conf.session_max_idle * 1000, now = clock_mono_ms();
	struct process *p;

	while ((p = longest_at_rest()) != NULL && now - p->rest_ms >= most)
		dismiss(p);
	if (p != NULL)
		loop_timer_set(*timer, p->rest_ms + most - now);
}

/*
 * A process that has nothing to do stays for the user's next connection.  It
 * purges the account when it leaves: from time to time it has to.
 */
static void
rest(struct process *p)
{
	static struct loop_timer *timer;
	int64_t now = clock_mono_ms();

	if (p->user->process != p || monitor.draining || p->hurried ||
	    conf.session_max_idle == 0 || crowded() ||
	    (conf.store_purge_interval > 0 &&
	    now - p->born_ms >= conf.store_purge_interval * 1000)) {
		dismiss(p);
		return;
	}
	p->rest_ms = now;
	list_append(&monitor.resting, &p->rest);
	monitor.nresting++;
	if (monitor.nresting > (unsigned)conf.session_idle_process_limit)
		dismiss(longest_at_rest());
	if (timer == NULL)
		timer = loop_timer_new(monitor.loop, rest_over, &timer);
	if (monitor.nresting == 1)
		loop_timer_set(timer, conf.session_max_idle * 1000);
}

void
process_lost(struct process *p)
{
	if (--p->nconns == 0 && p->control != NULL)
		rest(p);
}

void
process_retire(struct user *u)
{
	struct process *p = u->process;

	u->process = NULL;
	if (p != NULL && p->nconns == 0)
		dismiss(p);
}

void
process_rouse(void)
{
	struct process *p;

	while ((p = longest_at_rest()) != NULL)
		dismiss(p);
}

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

	if (p->control != NULL || !p->ended)
		return;
	nursery_forget(p);
	list_remove(&p->link);
	monitor.nprocesses--;
	monitor.nleaving -= p->leaving;
	u->processes--;
	mem_free(p);
	if (monitor.draining)
		daemon_busy(-1);
	user_settle(u);
}

static void
drop(struct process **pp)
{
	struct process *p = *pp;

	*pp = NULL;
	if (p == NULL)
		return;
	nursery_forget(p);
	ipc_conn_free(&p->control);	/* it leaves */
	mem_free(p);
}

void
process_drop_spares(void)
{
	for (size_t i = 0; i < ARRAY_LEN(monitor.spare); i++)
		drop(&monitor.spare[i]);
}

static void
on_end(void *arg, struct ipc_conn *c)
{
	struct process *p = arg;

	if (p == monitor.spare[p->texts]) {
		log_warning("spare session process %d has ended",
		    (int)p->pid);
		drop(&monitor.spare[p->texts]);
		return;
	}
	ipc_conn_free(&p->control);
	rest_no_more(p);
	if (p->user->process == p)
		p->user->process = NULL;
	lose_conns(p);
	process_over(p);
}

void
process_ended(struct process *p, int st)
{
	const char *name = p->user != NULL ? p->user->who.name :
	    "(nobody yet)";

	if (WIFSIGNALED(st))
		log_warning("session process %d of user %s was killed by "
		    "signal %d%s", (int)p->pid, name, WTERMSIG(st),
		    WTERMSIG(st) == SIGSYS
		    ? " (it went beyond its sandbox)" : "");
	else if (WEXITSTATUS(st) != 0)
		log_warning("session process %d of user %s: exit status %d",
		    (int)p->pid, name, WEXITSTATUS(st));
	p->ended = true;
	if (p->user != NULL)
		process_over(p);
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
on_return(struct process *p, struct span body, int fd)
{
	struct control_return m;
	struct conn *c;
	int rc = -1;

	if (fd >= 0 && control_return_decode(&m, body) == 0 &&
	    (c = conn_of(p, m.serial)) != NULL && c->engine->returns) {
		start_return(c, m.input, fd);
		conn_free(c);
		rc = 0;
	}
	fd_close(&fd);
	return rc;
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
	p->nconns--;
	hibernate(c, &m, fd);
	if (p->nconns == 0)
		dismiss(p);
	return 0;
}

/* Its mail lies elsewhere now: the connection is for another process. */
static int
on_stale(struct process *p, struct span body, int fd)
{
	struct control_conn m;
	struct why why = WHY_INIT;
	struct user *u = p->user;
	struct process *next;
	struct conn *c;

	if (fd < 0 || control_conn_decode(&m, body) < 0 ||
	    (c = conn_of(p, m.serial)) == NULL) {
		fd_close(&fd);
		return -1;
	}
	log_info("user %s: the mailbox's directory is another one; session "
	    "process %d leaves", u->who.name, (int)p->pid);
	c->process = NULL;
	p->nconns--;
	if (u->process == p)
		u->process = NULL;
	if (p->nconns == 0)
		dismiss(p);
	next = monitor.draining ? NULL : process_for(u, c->engine, &why);
	if (next != NULL) {
		c->changed = m.changed;
		process_give(next, c, fd, m.input, m.frozen ? &m.state : NULL);
	} else {
		log_warning("no session process for user %s: %s", u->who.name,
		    why.text);
		conn_free(c);
	}
	close(fd);
	return 0;
}

static int
on_idle(struct process *p, struct span body)
{
	struct control_idle m;

	if (control_idle_decode(&m, body) < 0)
		return -1;
	if (m.seen == p->sent)	/* else one is on its way */
		dismiss(p);
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
		process_retire(u);
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
	case CONTROL_RETURN:
		rc = on_return(p, f->body, fd);
		break;
	case CONTROL_STALE:
		rc = on_stale(p, f->body, fd);
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
		nursery_kill(p);
	}
	return rc;
}

static const struct ipc_ops control_ops = {
	.on_frame = on_frame,
	.on_end = on_end,
};

/* --- room for others --------------------------------------------------------------------- */

/*
 * When nearly as many processes as may be are there, those that rest leave, and
 * who has done nothing for the longest time hibernates, so that many thousands
 * of users can come at once: each new process asks another one.
 */
static void
make_room(void)
{
	struct process *p;

	while (crowded() && (p = longest_at_rest()) != NULL)
		dismiss(p);
	if (!crowded())
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
fork_process(bool texts, struct why *why)
{
	struct process *p = mem_zalloc(sizeof(*p));
	int control;

	p->texts = texts;
	if (nursery_fork(p, texts, &control, why) < 0) {
		mem_free(p);
		return NULL;
	}
	p->control = ipc_conn_new(monitor.loop, control, &CONTROL_PROTO,
	    &control_ops, p);
	return p;
}

static void
fork_spare(void *arg)
{
	struct process **spare = arg;
	struct why why = WHY_INIT;

	if (*spare == NULL && !monitor.draining)
		*spare = fork_process(spare == &monitor.spare[1], &why);
}

/*
 * So that nobody waits for a fork, one is made in advance, after the last one
 * was taken.
 */
static struct process *
take_spare(bool texts, struct why *why)
{
	static struct loop_timer *timer[2];
	struct process *p = monitor.spare[texts];

	monitor.spare[texts] = NULL;
	if (timer[texts] == NULL)
		timer[texts] = loop_timer_new(monitor.loop, fork_spare,
		    &monitor.spare[texts]);
	loop_timer_set(timer[texts], SPARE_MS);
	return p != NULL ? p : fork_process(texts, why);
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
	p->born_ms = clock_mono_ms();
}

static struct process *
process_new(struct user *u, bool texts, struct why *why)
{
	struct process *p;

	make_room();
	if (monitor.nprocesses >= (unsigned)conf.session_process_limit) {
		why_set(why, "4.3.2", "%u session processes, as many as "
		    "session_process_limit allows", monitor.nprocesses);
		return NULL;
	}
	if ((p = take_spare(texts, why)) == NULL)
		return NULL;
	give_to(p, u);
	list_append(&monitor.processes, &p->link);
	monitor.nprocesses++;
	u->processes++;
	return p;
}

/*
 * Who has a process without texts and needs one with them gets another; the
 * first one finishes what it has.
 */
struct process *
process_for(struct user *u, const struct engine *e, struct why *why)
{
	struct process *p = u->process;

	if (p != NULL && !p->texts && !e->no_texts)
		process_retire(u);
	if (u->process == NULL)
		u->process = process_new(u, !e->no_texts, why);
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
	p->nconns++;
	rest_no_more(p);
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
