/* SPDX-License-Identifier: ISC */
/*
 * mansio start, start-fg, stop, abort, reload, flush, logrotate - master's
 * life.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/span.h"
#include "cmd/mansio.h"
#include "daemon/services.h"
#include "ipc/msg_master.h"

#define POLL_MS		20
#define EXTRA_MS	8000	/* beyond stop_time_limit, before we give up */

int
mansio_start(int argc, char **argv)
{
	const char *args[] = { "-w", NULL, NULL };
	pid_t pid;

	if (argc != 1)
		return mansio_usage(argv[0]);
	/* A configuration that is wrong is master's to report, with all that
	 * is wrong in master.cf too; we need to know where master is. */
	if (params_load_flags(mansio_config_dir(), NULL, 0, PARAMS_KEEP_GOING,
	    NULL, NULL) < 0 && conf.daemon_directory == NULL)
		mansio_load();
	pid = mansio_master_pid();
	if (pid != 0)
		log_fatal("the mail system is already running (pid %d)",
		    (int)pid);
	if (strcmp(argv[0], "start-fg") == 0)
		args[0] = "-d";
	if (mansio_verbose())
		args[1] = "-v";
	mansio_exec(conf.daemon_directory, "master", args);
}

int
mansio_stop(int argc, char **argv)
{
	int64_t end;
	pid_t pid;

	if (argc != 1)
		return mansio_usage(argv[0]);
	mansio_load_anyhow();
	pid = mansio_master_pid();
	if (pid == 0) {
		log_error("the mail system is not running");
		return MANSIO_FAILED;
	}
	if (kill(pid, SIGTERM) < 0) {
		log_error("cannot stop pid %d: %m", (int)pid);
		return MANSIO_FAILED;
	}
	if (strcmp(argv[0], "abort") == 0) {
		poll(NULL, 0, 2 * POLL_MS);
		if (mansio_master_pid() == pid)
			(void)kill(pid, SIGTERM);
	}
	end = clock_mono_ms() + conf.stop_time_limit * 1000 + EXTRA_MS;
	while (mansio_master_pid() == pid) {
		if (clock_mono_ms() >= end) {
			log_error("pid %d does not stop", (int)pid);
			return MANSIO_FAILED;
		}
		poll(NULL, 0, POLL_MS);
	}
	return MANSIO_OK;
}

/* --- reload ------------------------------------------------------------------------ */

static void
report(void *arg, enum log_level level, const char *line)
{
	if (level >= LOG_LEVEL_ERROR)
		log_error("%s", line);
	else if (level == LOG_LEVEL_WARNING)
		log_warning("%s", line);
	else if (mansio_verbose())
		log_info("%s", line);
}

/* Ask master and wait for what it says.  NULL with why. */
static struct ipc_sync *
ask(uint16_t request, int64_t timeout_ms, struct why *why)
{
	char *path = mem_printf("%s/%s", conf.queue_directory,
	    MASTER_CTL_PATH);
	struct ipc_sync *s;

	s = ipc_sync_connect(path, &MASTER_CTL_PROTO, timeout_ms, why);
	mem_free(path);
	if (s != NULL && (ipc_sync_send(s, request, 1, SPAN_EMPTY, why) < 0 ||
	    ipc_sync_flush(s, why) < 0))
		ipc_sync_free(&s);
	return s;
}

int
mansio_reload(int argc, char **argv)
{
	struct why why = WHY_INIT;
	struct master_ctl_result r;
	struct services plan;
	struct ipc_frame f;
	struct ipc_sync *s;
	int status = MANSIO_FAILED;

	if (argc != 1)
		return mansio_usage(argv[0]);
	/* What is wrong is said here, to the person who asked. */
	if (services_judge(mansio_config_dir(), NULL, 0, &plan, report,
	    NULL) < 0) {
		log_error("not reloaded: the configuration has errors");
		return MANSIO_FAILED;
	}
	services_fini(&plan);
	if (mansio_master_pid() == 0) {
		log_error("the mail system is not running");
		return MANSIO_FAILED;
	}
	s = ask(MASTER_CTL_RELOAD, 60000, &why);
	if (s == NULL) {
		log_error("cannot reach master: %s", why.text);
		return MANSIO_FAILED;
	}
	if (ipc_sync_recv(s, &f, -1, &why) != 1 ||
	    f.type != MASTER_CTL_RESULT ||
	    master_ctl_result_decode(&r, f.body) < 0)
		log_error("no answer from master: %s", why.text);
	else if (!r.ok)
		log_error("not reloaded: %.*s", SPAN_ARG(r.text));
	else
		status = MANSIO_OK;
	ipc_sync_free(&s);
	return status;
}

int
mansio_flush(int argc, char **argv)
{
	const char *args[] = { "-f", NULL };

	if (argc != 1)
		return mansio_usage(argv[0]);
	mansio_load_anyhow();
	mansio_exec(conf.command_directory, "postqueue", args);
}

/* --- logrotate --------------------------------------------------------------------- */

static int
compress(const char *file)
{
	int status;
	pid_t pid;

	pid = fork();
	if (pid == 0) {
		execlp(conf.maillog_file_compressor,
		    conf.maillog_file_compressor, file, (char *)NULL);
		log_error("cannot execute maillog_file_compressor %s: %m",
		    conf.maillog_file_compressor);
		_exit(1);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

/* The format is the administrator's own, and strftime() is bounded. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static size_t
format_time(char *out, size_t size, const char *fmt, const struct tm *tm)
{
	return strftime(out, size, fmt, tm);
}
#pragma GCC diagnostic pop

int
mansio_logrotate(int argc, char **argv)
{
	char suffix[128], *aside;
	struct stat st;
	struct tm tm;
	time_t now = time(NULL);
	pid_t pid;
	int status = MANSIO_OK;

	if (argc != 1)
		return mansio_usage(argv[0]);
	mansio_load_anyhow();
	if (conf.maillog_file[0] == '\0' ||
	    stat(conf.maillog_file, &st) < 0 || !S_ISREG(st.st_mode))
		log_fatal("maillog_file is not set to a file that exists");
	localtime_r(&now, &tm);
	if (format_time(suffix, sizeof(suffix),
	    conf.maillog_file_rotate_suffix, &tm) == 0)
		log_fatal("maillog_file_rotate_suffix is empty or too long");
	aside = mem_printf("%s.%s", conf.maillog_file, suffix);
	if (access(aside, F_OK) == 0)
		log_fatal("%s exists already", aside);
	if (rename(conf.maillog_file, aside) < 0)
		log_fatal("cannot rename %s to %s: %m", conf.maillog_file,
		    aside);
	pid = mansio_master_pid();
	if (pid != 0) {
		if (kill(pid, SIGUSR1) < 0)
			log_fatal("cannot tell pid %d: %m", (int)pid);
		/* Daemons write to the old file until they hear of it. */
		for (int i = 0; i < 100 && access(conf.maillog_file,
		    F_OK) < 0; i++)
			poll(NULL, 0, POLL_MS);
		poll(NULL, 0, 1000);
	}
	if (compress(aside) < 0) {
		log_error("could not compress %s", aside);
		status = MANSIO_FAILED;
	}
	mem_free(aside);
	return status;
}
