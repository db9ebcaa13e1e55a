/* SPDX-License-Identifier: ISC */
/*
 * probe - what can a process do that is in a row of the sandbox table?
 *
 *	probe config_dir row attempt [argument]
 *
 * Enters the row as the daemon would, with the queue directory as working
 * directory, makes one attempt and prints "ok" or the error's text; an
 * attempt that ends the process prints nothing.  Attempts:
 *
 *	open PATH, write PATH, connect PATH (a UNIX socket), inet PORT,
 *	exec, fork, ptrace PID, memory PID (look into it), kill PID, root
 *	(become it), mount, module (remove one), mknod PATH (a device)
 *
 * For session-user the user is vmail's ids MANSIO_PROBE_UID (and group), and
 * its mail MANSIO_PROBE_MAIL.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "daemon/sandbox.h"

static void
problem(void *arg, bool is_error, const char *line)
{
	if (is_error)
		log_fatal("%s", line);
}

static bool
try_inet(const char *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	a.sin_port = htons((uint16_t)strtoul(port, NULL, 10));
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0;
}

static bool
try_unix(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	return fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0;
}

static bool
try_fork(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	if (pid > 0)
		(void)waitpid(pid, NULL, 0);
	return pid > 0;
}

static bool
try_memory(const char *pid)
{
	char *path = mem_printf("/proc/%s/mem", pid);
	bool ok = open(path, O_RDONLY | O_CLOEXEC) >= 0;

	mem_free(path);
	return ok;
}

/* Who may finds that there is nothing of that name. */
static bool
try_system(const char *what)
{
	return (strcmp(what, "mount") == 0 ?
	    mount("none", "/no such place", "tmpfs", 0, NULL) :
	    (int)syscall(SYS_delete_module, "no such module", 0)) == 0 ||
	    errno == ENOENT;
}

static bool
try(const char *what, const char *arg)
{
	static char name[] = "true";
	char *argv[] = { name, NULL };
	pid_t pid = (pid_t)strtol(arg, NULL, 10);

	if (strcmp(what, "open") == 0)
		return open(arg, O_RDONLY | O_CLOEXEC) >= 0;
	if (strcmp(what, "write") == 0)
		return open(arg, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) >= 0;
	if (strcmp(what, "connect") == 0)
		return try_unix(arg);
	if (strcmp(what, "inet") == 0)
		return try_inet(arg);
	if (strcmp(what, "exec") == 0)
		return execv("/bin/true", argv) == 0;
	if (strcmp(what, "fork") == 0)
		return try_fork();
	if (strcmp(what, "ptrace") == 0)
		return ptrace(PTRACE_ATTACH, pid, NULL, NULL) == 0;
	if (strcmp(what, "memory") == 0)
		return try_memory(arg);
	if (strcmp(what, "mount") == 0 || strcmp(what, "module") == 0)
		return try_system(what);
	if (strcmp(what, "mknod") == 0)
		return mknod(arg, S_IFCHR | 0600, makedev(1, 3)) == 0;
	if (strcmp(what, "kill") == 0)
		return kill(pid, 0) == 0;
	if (strcmp(what, "root") == 0)
		return setuid(0) == 0 || seteuid(0) == 0;
	log_fatal("no such attempt: %s", what);
}

static void
enter_as_user(const struct jail *j)
{
	uid_t uid = (uid_t)strtoul(getenv("MANSIO_PROBE_UID"), NULL, 10);
	char *rule = mem_printf("w:%s", getenv("MANSIO_PROBE_MAIL"));
	const char *const paths[] = { rule };
	struct sandbox_as as = {
		.uid = uid, .gid = uid, .paths = paths, .npaths = 1,
	};
	struct why why = WHY_INIT;

	if (sandbox_compile(j, &why) < 0 || sandbox_enter_as(j, &as, &why) < 0)
		log_fatal("%s", why.text);
}

static void
enter(const struct jail *j)
{
	struct sandbox_ids mail, own;
	struct why why = WHY_INIT;

	if (sandbox_ids(&mail, &why) < 0)
		log_fatal("%s", why.text);
	sandbox_own_ids(j, &mail, &own);
	if (sandbox_enter(j, &own, true, &why) < 0)
		log_fatal("%s", why.text);
}

int
main(int argc, char **argv)
{
	const struct jail *j;

	if (argc < 4 || params_load(argv[1], NULL, 0, problem, NULL) < 0)
		return 2;
	j = sandbox_find(argv[2]);
	if (j == NULL || chdir(conf.queue_directory) < 0)
		log_fatal("%s: no such row, or no queue directory", argv[2]);
	if (j->user == JAIL_LOGIN)
		enter_as_user(j);
	else
		enter(j);
	errno = 0;
	if (try(argv[3], argc > 4 ? argv[4] : ""))
		puts("ok");
	else
		puts(strerror(errno));
	return 0;
}
