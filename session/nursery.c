/* SPDX-License-Identifier: ISC */
/*
 * nursery - see nursery.h: the process.
 */
#include "session/nursery.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/daemon.h"
#include "io/fd.h"
#include "mail/charset.h"
#include "session/process.h"

struct child {
	struct list	link;
	uint32_t	id;
	pid_t		pid;
};

static struct nursery {
	const struct engine *const *engines;
	struct ipc_conn	*monitor;	/* NULL: it is gone */
	bool		 retired;
	struct hash	 by_id, by_pid;	/* struct child */
} nursery;

static struct span
key_id(const struct child *c)
{
	return span_make(&c->id, sizeof(c->id));
}

static struct span
key_pid(const struct child *c)
{
	return span_make(&c->pid, sizeof(c->pid));
}

static void
leave_when_empty(void)
{
	if (!nursery.retired || nursery.by_id.count > 0)
		return;
	if (nursery.monitor != NULL)	/* the last end is to be known */
		stream_flush(ipc_conn_stream(nursery.monitor));
	log_flush();
	_exit(0);
}

/* --- children ---------------------------------------------------------------------- */

static void
say_born(uint32_t id, pid_t pid, int error)
{
	struct nursery_born m = { .id = id, .pid = (uint32_t)pid,
		.error = (uint32_t)error };

	nursery_born_encode(ipc_begin(nursery.monitor, NURSERY_BORN, 0), &m);
	ipc_end(nursery.monitor);
}

static void
bear(uint32_t id, int fd)
{
	struct child *c;
	pid_t pid;

	pid = daemon_fork("session-spare", &fd, 1);
	if (pid == 0) {
		struct session_process_args args = {
			.control = fd, .engines = nursery.engines,
		};

		session_process_run(&args);
	}
	if (pid < 0) {
		say_born(id, 0, errno);
		return;
	}
	c = mem_zalloc(sizeof(*c));
	c->id = id;
	c->pid = pid;
	hash_put(&nursery.by_id, key_id(c), c);
	hash_put(&nursery.by_pid, key_pid(c), c);
	say_born(id, pid, 0);
}

static void
on_child(void *arg)
{
	struct nursery_ended m;
	struct child *c;
	pid_t pid;
	int st;

	while ((pid = waitpid(-1, &st, WNOHANG)) > 0) {
		c = hash_get(&nursery.by_pid, span_make(&pid, sizeof(pid)));
		if (c == NULL)
			continue;
		if (nursery.monitor != NULL) {
			m = (struct nursery_ended){ .id = c->id,
				.status = (uint32_t)st };
			nursery_ended_encode(ipc_begin(nursery.monitor,
			    NURSERY_ENDED, 0), &m);
			ipc_end(nursery.monitor);
		}
		hash_del(&nursery.by_pid, key_pid(c));
		hash_del(&nursery.by_id, key_id(c));
		mem_free(c);
	}
	leave_when_empty();
}

/* --- the monitor ------------------------------------------------------------------- */

static int
on_frame(void *arg, struct ipc_conn *ipc, const struct ipc_frame *f)
{
	struct nursery_child m;
	struct child *c;
	int fd = f->fd;

	if (f->type == NURSERY_LOG && fd >= 0) {
		log_replace_fd(fd);
		return 0;
	}
	if (f->type == NURSERY_RETIRE && fd < 0) {
		nursery.retired = true;
		leave_when_empty();
		return 0;
	}
	if (nursery_child_decode(&m, f->body) == 0) {
		c = hash_get(&nursery.by_id, span_make(&m.id, sizeof(m.id)));
		if (f->type == NURSERY_FORK && fd >= 0 && c == NULL &&
		    !nursery.retired) {
			bear(m.id, fd);
			close(fd);
			return 0;
		}
		/* It is still there, or waits for us: no other has its pid. */
		if (f->type == NURSERY_KILL && c != NULL)
			kill(c->pid, SIGKILL);
		if (f->type == NURSERY_KILL && fd < 0)
			return 0;
	}
	fd_close(&fd);
	return -1;
}

static void
on_end(void *arg, struct ipc_conn *ipc)
{
	ipc_conn_free(&nursery.monitor);
	nursery.retired = true;
	leave_when_empty();
}

static const struct ipc_ops ops = {
	.on_frame = on_frame,
	.on_end = on_end,
};

void
nursery_run(int fd, bool texts, const struct engine *const *engines)
{
	struct sigaction ign = { .sa_handler = SIG_IGN };

	if (texts)
		charset_preload();
	/* The first thing that a child's malloc() does is to tidy up; done
	 * here, it touches no pages there. */
	mem_give_back();
	nursery.engines = engines;
	daemon_child_signal(SIGCHLD, on_child, NULL);
	/* Whoever stops the system often signals all of its processes; we go
	 * when the monitor does. */
	sigaction(SIGTERM, &ign, NULL);
	sigaction(SIGINT, &ign, NULL);
	sigaction(SIGHUP, &ign, NULL);
	sigaction(SIGUSR1, &ign, NULL);
	nursery.monitor = ipc_conn_new(daemon_loop(), fd, &NURSERY_PROTO, &ops,
	    NULL);
	loop_run(daemon_loop());
	_exit(0);
}
