/* SPDX-License-Identifier: ISC */
/*
 * logfile - the log: a file, our standard output, or syslog (syslog.c).
 *
 * master alone opens it; children inherit the descriptor and get a new one
 * after rotation.  A jailed daemon has no way to open it.
 */
#include "master/master.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/span.h"
#include "conf/params.h"
#include "io/fd.h"

static bool
to_stdout(void)
{
	return strcmp(conf.maillog_file, "/dev/stdout") == 0;
}

/* Its folder, when it is missing: a fresh instance has no log/ yet. */
static void
make_folder(const char *file)
{
	const char *slash = strrchr(file, '/');
	char *dir;

	if (slash == NULL || slash == file)
		return;
	dir = mem_strndup(file, (size_t)(slash - file));
	if (access(dir, F_OK) < 0 && fd_mkdir_p(dir, 0755) < 0)
		log_warning("cannot make %s: %m", dir);
	mem_free(dir);
}

/* A descriptor, -1 with why, or -2 for syslog. */
static int
open_it(struct why *why)
{
	mode_t mode = (mode_t)strtol(conf.maillog_file_permissions, NULL, 8);
	int fd;

	if (conf.maillog_file[0] == '\0')
		return -2;
	if (to_stdout()) {
		if (!master.foreground)
			return why_set(why, "", "%s: maillog_file = "
			    "/dev/stdout needs mansio start-fg",
			    params_origin("maillog_file"));
		fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	} else {
		make_folder(conf.maillog_file);
		fd = open(conf.maillog_file, O_WRONLY | O_APPEND | O_CREAT |
		    O_CLOEXEC | O_NOCTTY, mode);
	}
	if (fd < 0)
		return why_errno(why, "", "%s: maillog_file %s",
		    params_origin("maillog_file"), conf.maillog_file);
	return fd;
}

static void
set_tag(void)
{
	char *tag = mem_printf("%s/master", conf.syslog_name[0] != '\0'
	    ? conf.syslog_name : "mansio");

	log_set_tag(tag);
	mem_free(tag);
}

/* Instead of a file, if there was one. */
static int
open_syslog(struct why *why)
{
	int old = master.log_syslog ? -1 : master.log_fd;

	master.log_syslog = true;
	if (syslog_open(why) < 0) {
		master.log_syslog = old < 0;
		return -1;
	}
	fd_close(&old);
	return 0;
}

int
logfile_open(struct why *why)
{
	int fd = open_it(why), copy;

	if (fd == -1)
		return -1;
	set_tag();
	log_flush();
	if (fd == -2)
		return open_syslog(why);
	/* The log has a descriptor of its own, for children there is ours. */
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (copy < 0) {
		close(fd);
		return why_errno(why, "", "log");
	}
	syslog_close();
	log_replace_fd(copy);
	fd_close(&master.log_fd);
	master.log_fd = fd;
	master.log_syslog = false;
	return 0;
}

void
logfile_tell_children(void)
{
	for (size_t i = 0; i < master.services.len; i++) {
		LIST_FOREACH(l, &master.services.v[i]->children) {
			child_tell(LIST_ENTRY(l, struct child, link),
			    master.log_syslog ? MASTER_MSG_SYSLOG
			    : MASTER_MSG_LOG, master.log_fd);
		}
	}
}

void
logfile_reopen(void)
{
	struct why why = WHY_INIT;

	if (logfile_open(&why) < 0) {
		log_error("%s; going on with the old log", why.text);
		return;
	}
	/* A socket of syslog that they have is the same one. */
	if (!master.log_syslog)
		logfile_tell_children();
}
