/* SPDX-License-Identifier: ISC */
/*
 * fork - the monitor's side of its nurseries (nursery.h): a new process is
 * asked for, and is known by a number of ours.  What is sent to it waits in
 * its control socket until it is there.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/daemon.h"
#include "io/fd.h"
#include "session/monitor.h"
#include "session/nursery.h"

/* One that has ended so soon after its start is not begun again at once. */
#define AGAIN_MS	1000

struct nursery {
	struct list	 link;		/* nurseries */
	struct ipc_conn	*ipc;		/* NULL: it has ended */
	pid_t		 pid;		/* 0: waited for */
	bool		 retired;
};

static struct list	nurseries;
static struct nursery	*current[2];	/* [1]: with texts; or NULL */
static int64_t		started_ms[2];
static struct hash	processes;	/* by process.id */
static uint32_t		last_id;

static struct span
key(const uint32_t *id)
{
	return span_make(id, sizeof(*id));
}

/* --- what a nursery says ------------------------------------------------------------ */

static int
on_born(struct span body)
{
	struct nursery_born m;
	struct process *p;

	if (nursery_born_decode(&m, body) < 0)
		return -1;
	p = hash_get(&processes, key(&m.id));
	if (p == NULL)
		return 0;
	if (m.pid == 0) {
		/* Its control socket has ended, too. */
		log_warning("cannot fork a session process: %s",
		    strerror((int)m.error));
		process_ended(p, 0);
	} else {
		p->pid = (pid_t)m.pid;
	}
	return 0;
}

static int
on_ended(struct span body)
{
	struct nursery_ended m;
	struct process *p;

	if (nursery_ended_decode(&m, body) < 0)
		return -1;
	p = hash_get(&processes, key(&m.id));
	if (p != NULL)
		process_ended(p, (int)m.status);
	return 0;
}

static int
on_frame(void *arg, struct ipc_conn *c, const struct ipc_frame *f)
{
	int fd = f->fd;

	fd_close(&fd);
	switch (f->type) {
	case NURSERY_BORN:
		return on_born(f->body);
	case NURSERY_ENDED:
		return on_ended(f->body);
	default:
		return -1;
	}
}

static void
orphan(struct hash_entry *e, void *arg)
{
	struct process *p = e->value;

	if (p->nursery != arg)
		return;
	p->nursery = NULL;
	process_ended(p, 0);	/* nobody will say how */
}

static void
settle(struct nursery *n)
{
	if (n->pid != 0 || n->ipc != NULL)
		return;
	list_remove(&n->link);
	mem_free(n);
}

static void
on_end(void *arg, struct ipc_conn *c)
{
	struct nursery *n = arg;

	ipc_conn_free(&n->ipc);
	for (size_t i = 0; i < ARRAY_LEN(current); i++)
		if (current[i] == n)
			current[i] = NULL;
	if (!n->retired)
		log_warning("nursery %d has ended", (int)n->pid);
	hash_each(&processes, orphan, n);
	settle(n);
}

static const struct ipc_ops ops = {
	.on_frame = on_frame,
	.on_end = on_end,
};

static struct nursery *
by_pid(pid_t pid)
{
	LIST_FOREACH(at, &nurseries) {
		struct nursery *n = LIST_ENTRY(at, struct nursery, link);

		if (n->pid == pid)
			return n;
	}
	return NULL;
}

void
nursery_reap(void)
{
	struct nursery *n;
	pid_t pid;
	int st;

	while ((pid = waitpid(-1, &st, WNOHANG)) > 0) {
		n = by_pid(pid);
		if (n == NULL)
			continue;
		if (WIFSIGNALED(st))
			log_warning("nursery %d was killed by signal %d",
			    (int)pid, WTERMSIG(st));
		if (monitor.draining)
			daemon_busy(-1);
		n->pid = 0;
		settle(n);	/* or once all is read that it said */
	}
}

/* --- beginning and end ---------------------------------------------------------------- */

static struct nursery *
start(bool texts, struct why *why)
{
	int64_t now = clock_mono_ms();
	struct nursery *n;
	int pair[2];
	pid_t pid;

	if (started_ms[texts] != 0 && now - started_ms[texts] < AGAIN_MS) {
		why_set(why, "4.3.0", "a nursery has just ended");
		return NULL;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
	    pair) < 0) {
		why_errno(why, "4.3.0", "socket pair");
		return NULL;
	}
	pid = daemon_fork("session-nurse", &pair[1], 1);
	if (pid == 0)
		nursery_run(pair[1], texts, monitor.engines);
	close(pair[1]);
	if (pid < 0) {
		why_errno(why, "4.3.0", "fork");
		close(pair[0]);
		return NULL;
	}
	started_ms[texts] = now;
	n = mem_zalloc(sizeof(*n));
	n->pid = pid;
	n->ipc = ipc_conn_new(monitor.loop, pair[0], &NURSERY_PROTO, &ops, n);
	list_append(&nurseries, &n->link);
	return n;
}

static void
retire(struct nursery **np)
{
	struct nursery *n = *np;

	*np = NULL;
	if (n == NULL)
		return;
	n->retired = true;
	ipc_send(n->ipc, NURSERY_RETIRE, 0, SPAN_EMPTY);
}

int
nursery_init(struct why *why)
{
	list_init(&nurseries);
	for (size_t i = 0; i < ARRAY_LEN(current); i++)
		if ((current[i] = start(i != 0, why)) == NULL)
			return -1;
	return 0;
}

void
nursery_renew(void)
{
	struct why why = WHY_INIT;

	for (size_t i = 0; i < ARRAY_LEN(current); i++) {
		retire(&current[i]);
		started_ms[i] = 0;
		current[i] = start(i != 0, &why);
		if (current[i] == NULL)
			log_warning("no nursery: %s", why.text);
	}
}

void
nursery_drain(void)
{
	for (size_t i = 0; i < ARRAY_LEN(current); i++)
		retire(&current[i]);
	LIST_FOREACH(at, &nurseries)
		if (LIST_ENTRY(at, struct nursery, link)->pid != 0)
			daemon_busy(1);
}

void
nursery_log_moved(void)
{
	LIST_FOREACH(at, &nurseries) {
		struct nursery *n = LIST_ENTRY(at, struct nursery, link);

		if (n->ipc != NULL)
			ipc_send_fd(n->ipc, NURSERY_LOG, 0, SPAN_EMPTY,
			    log_keep_fd());
	}
}

/* --- processes ------------------------------------------------------------------------ */

int
nursery_fork(struct process *p, bool texts, int *control, struct why *why)
{
	struct nursery_child m;
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	int pair[2];

	if (current[texts] == NULL &&
	    (current[texts] = start(texts, why)) == NULL)
		return -1;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
	    pair) < 0)
		return why_errno(why, "4.3.0", "socket pair");
	do {
		p->id = ++last_id;
	} while (hash_get(&processes, key(&p->id)) != NULL);
	hash_put(&processes, key(&p->id), p);
	p->nursery = current[texts];
	m.id = p->id;
	nursery_child_encode(&b, &m);
	ipc_send_fd(p->nursery->ipc, NURSERY_FORK, 0, buf_span(&b), pair[1]);
	buf_fini(&b);
	close(pair[1]);		/* the frame has its own */
	*control = pair[0];
	return 0;
}

void
nursery_kill(struct process *p)
{
	struct nursery_child m = { .id = p->id };

	if (p->nursery == NULL || p->nursery->ipc == NULL)
		return;
	nursery_child_encode(ipc_begin(p->nursery->ipc, NURSERY_KILL, 0), &m);
	ipc_end(p->nursery->ipc);
}

void
nursery_forget(struct process *p)
{
	hash_del(&processes, key(&p->id));
	p->nursery = NULL;
}
