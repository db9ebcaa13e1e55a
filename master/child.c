/* SPDX-License-Identifier: ISC */
/*
 * child - one process of a service, from fork to its end.
 *
 * A child is less trusted than we are: what it says is checked against the
 * table of what can be said when, and one that says anything else is ended.
 * We signal only processes that we started and have not reaped yet, so a
 * process id can never have become somebody else's.
 */
#include "master/master.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "io/fd.h"

#define MESSAGES_PER_TURN 64	/* of one child, before others get a turn */
/* A process that ends badly within this time has died at once; so many in a
 * row and the service waits. */
#define QUICK_MS	1000
#define QUICK_DEATHS	5

#define BAD	CHILD_STATES

/* Which state a message leads to; BAD: cannot be said in this state. */
static const enum child_state next_state[][CHILD_STATES] = {
	/*			 STARTING      AVAIL	      BUSY
	 *			 EXITING */
	[MASTER_MSG_READY]   = { CHILD_AVAIL,  BAD,	      BAD,
				 BAD },
	[MASTER_MSG_AVAIL]   = { BAD,	       CHILD_AVAIL,   CHILD_AVAIL,
				 BAD },
	[MASTER_MSG_BUSY]    = { BAD,	       CHILD_BUSY,    CHILD_BUSY,
				 BAD },
	[MASTER_MSG_EXITING] = { CHILD_EXITING, CHILD_EXITING, CHILD_EXITING,
				 CHILD_EXITING },
	[MASTER_MSG_COUNT]   = { BAD,	       CHILD_AVAIL,   CHILD_BUSY,
				 CHILD_EXITING },
	[MASTER_MSG_FAILED]  = { BAD,	       CHILD_AVAIL,   CHILD_BUSY,
				 CHILD_EXITING },
};

const char *
child_state_name(enum child_state st)
{
	static const char *const names[] = {
		[CHILD_STARTING] = "starting", [CHILD_AVAIL] = "available",
		[CHILD_BUSY] = "busy", [CHILD_EXITING] = "exiting",
	};

	return st < CHILD_STATES ? names[st] : "?";
}

/* --- talking --------------------------------------------------------------------- */

void
child_tell(struct child *c, enum master_msg_type t, int fd)
{
	struct master_msg m = { .type = t };
	union {
		struct cmsghdr	h;
		char		space[CMSG_SPACE(sizeof(int))];
	} control = { .space = { 0 } };
	struct iovec iov = { .iov_base = &m, .iov_len = sizeof(m) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (c->status_fd < 0)
		return;
	if (fd >= 0) {
		struct cmsghdr *h = &control.h;

		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(h), &fd, sizeof(fd));
	}
	if (t == MASTER_MSG_DRAIN || t == MASTER_MSG_RETIRE)
		c->told = true;
	/* A child that is stuck finds out when it reads again; we never wait
	 * for one. */
	if (sendmsg(c->status_fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 &&
	    errno != EPIPE && errno != ECONNRESET)
		log_warning("process %s pid %d does not listen: %m",
		    c->svc->plan->program, (int)c->pid);
}

void
child_signal(struct child *c, int signo)
{
	if (signo == SIGTERM || signo == SIGKILL)
		c->told = true;
	if (signo == SIGHUP && !c->ready) {
		c->hup = true;	/* it has no handler yet */
		return;
	}
	if (kill(c->pid, signo) < 0)
		log_warning("signal %d to %s pid %d: %m", signo,
		    c->svc->plan->program, (int)c->pid);
}

static void
hang_up(struct child *c)
{
	loop_io_free(&c->io);
	fd_close(&c->status_fd);
	c->state = CHILD_EXITING;
}

static void
on_message(struct child *c, const struct master_msg *m)
{
	enum child_state next = BAD;

	if (m->type < ARRAY_LEN(next_state) && m->type >= MASTER_MSG_READY)
		next = next_state[m->type][c->state];
	if (next == BAD) {
		log_warning("process %s pid %d: unexpected message %u while "
		    "%s; ending it", c->svc->plan->program, (int)c->pid,
		    (unsigned)m->type, child_state_name(c->state));
		hang_up(c);
		(void)kill(c->pid, SIGKILL);
		return;
	}
	c->state = next;
	if (m->type != MASTER_MSG_FAILED && m->type != MASTER_MSG_READY)
		c->clients = m->value;
	if (m->type == MASTER_MSG_EXITING)
		c->orderly = true;
	if (m->type == MASTER_MSG_READY) {
		c->ready = true;
		if (c->hup)
			child_signal(c, SIGHUP);
		c->hup = false;
	}
	if (m->type == MASTER_MSG_BUSY || m->type == MASTER_MSG_COUNT)
		c->svc->used = true;
	if (m->type == MASTER_MSG_COUNT && c->asked) {
		c->asked = false;
		control_child_answered();
	}
}

/* What it has said so far; at most MESSAGES_PER_TURN. */
static void
read_messages(struct child *c)
{
	struct master_msg m;
	ssize_t n = -1;

	for (int i = 0; i < MESSAGES_PER_TURN && c->status_fd >= 0; i++) {
		n = recv(c->status_fd, &m, sizeof(m), MSG_DONTWAIT |
		    MSG_TRUNC);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		if ((size_t)n != sizeof(m))
			m.type = 0;	/* which is never right */
		on_message(c, &m);
	}
	if (c->status_fd >= 0 && n == 0)
		hang_up(c);		/* SIGCHLD comes */
}

static void
on_status(void *arg, unsigned events)
{
	struct child *c = arg;

	read_messages(c);
	if (!master.started)
		loop_defer(master.loop, &master.startup_defer);
	svc_consider(c->svc);
}

/* --- starting ---------------------------------------------------------------------- */

static void
push(char ***to, size_t *n, const char *text)
{
	*to = mem_realloc_array(*to, *n + 2, sizeof(**to));
	(*to)[(*n)++] = mem_strdup(text);
	(*to)[*n] = NULL;
}

static char **
make_argv(const struct svc *s)
{
	const struct plan *p = s->plan;
	char **argv = NULL, count[16];
	size_t n = 0;

	snprintf(count, sizeof(count), "%zu", s->listeners.len);
	push(&argv, &n, p->command);
	push(&argv, &n, "-n");
	push(&argv, &n, p->name);
	push(&argv, &n, "-t");
	push(&argv, &n, p->type);
	push(&argv, &n, "-c");
	push(&argv, &n, master.config_dir);
	push(&argv, &n, "-s");
	push(&argv, &n, count);
	if (master.log_fd >= 0)
		push(&argv, &n, master.log_syslog ? "-y" : "-l");
	if (master.settings_fd >= 0)
		push(&argv, &n, "-m");
	if (p->flags & PLAN_SINGLE)
		push(&argv, &n, "-k");
	if (p->flags & PLAN_UNPRIV)
		push(&argv, &n, "-u");
	if (master.debug)
		push(&argv, &n, "-v");
	for (size_t i = 0; i < master.overrides.len; i++) {
		push(&argv, &n, "-o");
		push(&argv, &n, master.overrides.v[i]);
	}
	for (size_t i = 0; i < p->options.len; i++)
		push(&argv, &n, p->options.v[i]);
	return argv;
}

static void
free_argv(char **argv)
{
	for (size_t i = 0; argv[i] != NULL; i++)
		mem_free(argv[i]);
	mem_free(argv);
}

/*
 * In the new process: give descriptors their numbers.  All are first copied
 * out of the way, because one may sit at the number of another.
 */
static void
place_descriptors(const struct svc *s, int status)
{
	int high = MASTER_LISTEN_FD + (int)s->listeners.len + 1;
	int from[3 + MASTER_LISTEN_MAX], to[3 + MASTER_LISTEN_MAX];
	size_t n = 0;

	from[n] = status;
	to[n++] = MASTER_STATUS_FD;
	if (master.log_fd >= 0) {
		from[n] = master.log_fd;
		to[n++] = MASTER_LOG_FD;
	}
	for (size_t i = 0; i < s->listeners.len; i++) {
		from[n] = s->listeners.v[i]->fd;
		to[n++] = MASTER_LISTEN_FD + (int)i;
	}
	if (master.settings_fd >= 0) {
		from[n] = master.settings_fd;
		to[n++] = MASTER_LISTEN_FD + (int)s->listeners.len;
	}
	for (size_t i = 0; i < n; i++) {
		from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, high);
		if (from[i] < 0)
			_exit(126);
	}
	for (size_t i = 0; i < n; i++)
		if (dup2(from[i], to[i]) < 0)	/* without close-on-exec */
			_exit(126);
}

/* Nobody's terminal or pipe is held open by a daemon. */
static void
place_standard(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (fd < 0 || dup2(fd, STDIN_FILENO) < 0 ||
	    dup2(fd, STDOUT_FILENO) < 0 ||
	    (!master.foreground && dup2(fd, STDERR_FILENO) < 0))
		_exit(126);
}

NORETURN static void
run(const struct svc *s, int status, char **argv)
{
	place_descriptors(s, status);
	place_standard();
	execv(s->plan->program, argv);
	log_error("cannot execute %s: %m", s->plan->program);
	log_flush();
	_exit(126);
}

struct child *
child_start(struct svc *s)
{
	sigset_t all, old;
	struct child *c;
	int pair[2];
	char **argv;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    0, pair) < 0) {
		log_warning("socketpair: %m -- throttling");
		svc_throttle(s);
		return NULL;
	}
	argv = make_argv(s);
	/* A signal for the child must not run our handler in it: it waits
	 * until the daemon has its own. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	pid = fork();
	if (pid == 0)
		run(s, pair[1], argv);
	sigprocmask(SIG_SETMASK, &old, NULL);
	free_argv(argv);
	close(pair[1]);
	if (pid < 0) {
		log_warning("fork: %m -- throttling");
		close(pair[0]);
		svc_throttle(s);
		return NULL;
	}
	log_debug("started %s pid %d for %s", s->plan->program, (int)pid,
	    s->plan->name);
	c = mem_zalloc(sizeof(*c));
	c->svc = s;
	c->pid = pid;
	c->status_fd = pair[0];
	c->state = CHILD_STARTING;
	c->started_ms = clock_mono_ms();
	c->io = loop_io_new(master.loop, c->status_fd, on_status, c);
	loop_io_want(c->io, LOOP_READ);
	list_append(&s->children, &c->link);
	s->started++;
	return c;
}

/* --- the end ------------------------------------------------------------------------- */

static bool
killed_by_somebody(int status)
{
	return WIFSIGNALED(status) && (WTERMSIG(status) == SIGKILL ||
	    WTERMSIG(status) == SIGTERM || WTERMSIG(status) == SIGINT ||
	    WTERMSIG(status) == SIGHUP);
}

/*
 * Say how it ended and decide whether the service has to wait.  A process
 * that fails before it is ready will fail again; one that somebody killed
 * will not.
 */
static void
judge(struct child *c, int status)
{
	struct svc *s = c->svc;
	const char *program = s->plan->program;
	bool bad = !(WIFEXITED(status) && WEXITSTATUS(status) == 0);

	if (bad && !(c->told && WIFSIGNALED(status))) {
		s->crashed++;
		if (WIFEXITED(status))
			log_warning("process %s pid %d exit status %d",
			    program, (int)c->pid, WEXITSTATUS(status));
		else
			log_warning("process %s pid %d killed by signal %d%s",
			    program, (int)c->pid, WTERMSIG(status),
			    WTERMSIG(status) == SIGSYS
			    ? " (it went beyond its sandbox)" : "");
	}
	if (c->told || master.stopping || s->removed ||
	    killed_by_somebody(status))
		return;
	if (!c->ready) {
		log_warning("%s: bad command startup -- throttling", program);
		svc_throttle(s);
		return;
	}
	/* A single job's process has no reason to end by itself either; one
	 * that said it would was told to, by somebody's SIGTERM: that is no
	 * other than the SIGKILL above. */
	if ((!bad && (c->orderly || (s->plan->flags & PLAN_SINGLE) == 0)) ||
	    clock_mono_ms() - c->started_ms > QUICK_MS)
		s->quick_deaths = 0;
	else if (++s->quick_deaths >= QUICK_DEATHS) {
		log_warning("%s: %d processes have ended at once -- "
		    "throttling", program, QUICK_DEATHS);
		svc_throttle(s);
	}
}

static void
forget(struct svc *s)
{
	for (size_t i = 0; i < master.services.len; i++) {
		if (master.services.v[i] == s) {
			ARRAY_DROP(&master.services, i);
			break;
		}
	}
	svc_free(&s);
}

static struct child *
find(pid_t pid)
{
	for (size_t i = 0; i < master.services.len; i++) {
		LIST_FOREACH(l, &master.services.v[i]->children) {
			struct child *c = LIST_ENTRY(l, struct child, link);

			if (c->pid == pid)
				return c;
		}
	}
	return NULL;
}

static void
reap(struct child *c, int status)
{
	struct svc *s = c->svc;
	bool asked;

	read_messages(c);	/* a short life may be all in there */
	judge(c, status);
	hang_up(c);
	asked = c->asked;
	list_remove(&c->link);
	mem_free(c);
	if (asked)
		control_child_answered();
	if (s->removed && list_empty(&s->children))
		forget(s);
	else
		svc_consider(s);
}

void
child_reap_all(void)
{
	struct child *c;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (reload_reaped(pid, status))
			continue;
		c = find(pid);
		if (c != NULL)
			reap(c, status);
		/* Else an orphan that we inherited, as process 1 of a
		 * container does. */
	}
	if (!master.started)
		loop_defer(master.loop, &master.startup_defer);
	if (master.stopping)
		stop_step();
}
