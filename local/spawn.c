/* SPDX-License-Identifier: ISC */
/*
 * spawn - one client, one run of the program.
 *
 * The program is in a process group of its own.  When its time is up the
 * group is killed; when the mail system stops it is asked to end first.  A
 * reload lets it go on.  What it leaves running after its own end is its own
 * affair, as with inetd.
 */
#include "local/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "io/fd.h"

#define STOP_GRACE_MS	2000	/* from SIGTERM to SIGKILL at a stop */

static struct program entry;
static struct program_run run;

/* --- the entry --------------------------------------------------------------- */

int
spawn_parse(int argc, char *const *argv, struct program *out, struct why *why)
{
	*out = (struct program){ .argv = ARRAY_EMPTY };
	for (int i = 0; i < argc; i++) {
		if (strncmp(argv[i], "argv=", 5) == 0) {
			program_argv(out, argc - i, argv + i);
			break;
		}
		if (strncmp(argv[i], "user=", 5) != 0)
			return why_set(why, "", "unknown attribute \"%s\"",
			    argv[i]);
		if (program_user(out, argv[i] + 5, why) < 0)
			return -1;
	}
	return program_check(out, why);
}

int
spawn_pre_jail(struct why *why)
{
	static struct arena memory = ARENA_INIT;

	if (spawn_parse(daemon_argc(), daemon_argv(), &entry, why) < 0) {
		why_prefix(why, "service %s", daemon_service_name());
		return -1;
	}
	*ARRAY_PUSH(&entry.argv) = NULL;
	run = (struct program_run){ .uid = entry.uid, .gid = entry.gid,
	    .argv = (char *const *)entry.argv.v, .env = program_env(&memory),
	    .search = true };
	return 0;
}

int
spawn_check(struct why *why)
{
	if (daemon_judge(spawn_pre_jail(why), why) < 0)
		return -1;
	if (entry.missing != NULL)
		daemon_remark("service %s: %s: its clients are sent away",
		    daemon_service_name(), entry.missing);
	return 0;
}

/* --- a client ------------------------------------------------------------------- */

/* What the child says before it runs the program; nothing is well.  The end
 * of file is exec's: nobody has the other end any more. */
static struct span
hear(int fd, char *said, size_t size)
{
	size_t len = 0;

	while (len < size) {
		ssize_t n = read(fd, said + len, size - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	return span_trim(span_make(said, len));
}

/* The program's process, which has begun to run it; -1 has been logged. */
static pid_t
start(int client)
{
	char said[256];
	int report[2];
	struct span failure;
	pid_t pid = -1;

	if (pipe2(report, O_CLOEXEC) < 0) {
		log_warning("service %s: cannot make a pipe: %m",
		    daemon_service_name());
		return -1;
	}
	for (int64_t i = 0; i < conf.fork_attempts && pid < 0; i++) {
		if (i > 0)
			poll(NULL, 0, (int)conf.fork_delay * 1000);
		pid = fork();
	}
	if (pid == 0)
		program_exec(&run, client, client, report[1]);
	fd_close(&report[1]);
	if (pid < 0) {
		log_warning("service %s: cannot start a process: %m",
		    daemon_service_name());
		fd_close(&report[0]);
		return -1;
	}
	(void)setpgid(pid, pid);	/* whoever comes first */
	failure = hear(report[0], said, sizeof(said));
	fd_close(&report[0]);
	if (failure.len == 0)
		return pid;
	log_warning("service %s: cannot run the command: %.*s",
	    daemon_service_name(), SPAN_ARG(failure));
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return -1;
}

/* Until its end, which is ours to bring about when it takes too long or when
 * we are to stop. */
static void
wait_for(pid_t pid)
{
	int64_t limit_s = params_transport_int(daemon_service_name(),
	    "time_limit", conf.command_time_limit);
	struct pollfd p = { .fd = pidfd_open(pid, 0), .events = POLLIN };
	int rc;

	if (p.fd < 0) {
		log_warning("service %s: cannot watch the command: %m",
		    daemon_service_name());
		(void)kill(-pid, SIGKILL);
		return;
	}
	rc = daemon_wait(p.fd, limit_s * 1000);
	if (rc < 0) {
		(void)kill(-pid, SIGTERM);
		(void)poll(&p, 1, STOP_GRACE_MS);
	} else if (rc == 0)
		log_warning("%s: process id %d: command time limit exceeded",
		    run.argv[0], (int)pid);
	if (rc <= 0)
		(void)kill(-pid, SIGKILL);
	fd_close(&p.fd);
}

/* As Postfix says it. */
static void
say_end(int status)
{
	if (WIFSIGNALED(status))
		log_warning("command %s killed by signal %d", run.argv[0],
		    WTERMSIG(status));
	else if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
		log_warning("command %s exit status %d", run.argv[0],
		    WEXITSTATUS(status));
}

void
spawn_serve(int fd)
{
	int status = 0;
	pid_t pid = -1;

	if (entry.missing != NULL)
		log_warning("service %s: %s", daemon_service_name(),
		    entry.missing);
	else
		pid = start(fd);
	/* The client sees the end when the program's copy is closed. */
	fd_close(&fd);
	if (pid < 0)
		return;
	wait_for(pid);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return;
	if (!daemon_draining())
		say_end(status);
}
