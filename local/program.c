/* SPDX-License-Identifier: ISC */
/*
 * program - see program.h.
 */
#include "local/program.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/span.h"
#include "conf/params.h"
#include "local/cred.h"

#define REPORT_FD	3

/* --- the entry --------------------------------------------------------------- */

int
program_user(struct program *p, const char *text, struct why *why)
{
	struct span rest = span_of(text), user = rest;
	ptrdiff_t colon = span_find(rest, ':');
	struct passwd *pw;
	struct group *gr;
	char *name;

	if (colon >= 0)
		user = span_sub(rest, 0, (size_t)colon);
	name = span_dup(user);
	pw = getpwnam(name);
	mem_free(name);
	if (pw == NULL) {
		/* Debian's master.cf has entries for programs that few have:
		 * only those who need them are concerned. */
		p->missing = mem_printf("user=%s: no such user", text);
		return 0;
	}
	p->uid = pw->pw_uid;
	p->gid = pw->pw_gid;
	if (colon >= 0) {
		gr = getgrnam(text + colon + 1);
		if (gr == NULL)
			return why_set(why, "", "user=%s: no such group",
			    text);
		p->gid = gr->gr_gid;
	}
	/* As Postfix: neither root nor ourselves. */
	if (p->uid == 0 || p->gid == 0)
		return why_set(why, "", "user=%s: root is not allowed", text);
	pw = getpwnam(conf.mail_owner);
	if (pw != NULL && (pw->pw_uid == p->uid || pw->pw_gid == p->gid))
		return why_set(why, "", "user=%s: $mail_owner is not allowed",
		    text);
	return 0;
}

void
program_argv(struct program *p, int n, char *const *words)
{
	p->argv.len = 0;
	for (int i = 0; i < n; i++)
		*ARRAY_PUSH(&p->argv) = words[i] +
		    (i == 0 ? strlen("argv=") : 0);
}

int
program_check(const struct program *p, struct why *why)
{
	/* No message may choose the program: a name without path, which is
	 * looked for in the usual places, has no macro in it. */
	if (p->argv.len == 0 || p->argv.v[0][0] == '\0' ||
	    (p->argv.v[0][0] != '/' && strpbrk(p->argv.v[0], "$/") != NULL))
		return why_set(why, "", "argv= with the path of a program is "
		    "missing");
	if (p->uid == 0 && p->missing == NULL)
		return why_set(why, "", "user= is missing");
	return 0;
}

char **
program_env(struct arena *a)
{
	struct span rest = span_of(conf.export_environment), t;
	ARRAY(char *) v = ARRAY_EMPTY;
	char **out;

	*ARRAY_PUSH(&v) = arena_strdup(a, "PATH=" PROGRAM_PATH);
	while (span_token(&rest, " \t\r\n,", &t)) {
		char *name = arena_span_dup(a, t);
		const char *value;

		if (span_starts(t, SPAN("PATH=")) || span_is(t, "PATH"))
			continue;
		if (span_find(t, '=') > 0)
			*ARRAY_PUSH(&v) = name;
		else if ((value = getenv(name)) != NULL)
			*ARRAY_PUSH(&v) = arena_printf(a, "%s=%s", name,
			    value);
	}
	out = arena_zalloc(a, (v.len + 1) * sizeof(*out));
	memcpy(out, v.v, v.len * sizeof(*out));
	ARRAY_FINI(&v);
	return out;
}

/* --- the child -------------------------------------------------------------------- */

static NORETURN void
child_fail(int to, const char *what)
{
	static const char sep[] = ": ";
	const char *e = strerrordesc_np(errno);

	if (write(to, what, strlen(what)) >= 0 && write(to, sep, 2) >= 0 &&
	    e != NULL && write(to, e, strlen(e)) >= 0)
		(void)!write(to, "\n", 1);
	_exit(EX_TEMPFAIL);
}

static void
close_from(unsigned first)
{
#ifdef SYS_close_range
	if (syscall(SYS_close_range, first, ~0u, 0u) == 0)
		return;
#endif
	for (int fd = (int)first; fd < 65536; fd++)
		close(fd);
}

/*
 * Between fork and exec, in a process that had another thread: only plain
 * system calls.
 */
void
program_exec(const struct program_run *r, int in, int out, int report)
{
	sigset_t none;

	setpgid(0, 0);
	if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
		_exit(EX_TEMPFAIL);
	if (report >= 0) {
		if (report != REPORT_FD &&
		    dup3(report, REPORT_FD, O_CLOEXEC) < 0)
			_exit(EX_TEMPFAIL);
		report = REPORT_FD;
	}
	close_from(report >= 0 ? REPORT_FD + 1 : REPORT_FD);
	if (report < 0)
		report = 2;
	for (int s = 1; s < NSIG; s++)
		signal(s, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	umask(077);
	/* The parent has restored the process's own ids before it forked. */
	if (cred_drop(r->uid, r->gid) < 0)
		child_fail(report, "cannot become the user");
	if (r->dir != NULL && chdir(r->dir) < 0)
		child_fail(report, "cannot change to the working directory");
	if (r->search && strchr(r->argv[0], '/') == NULL) {
		/* execvpe() looks where our own PATH says. */
		if (setenv("PATH", PROGRAM_PATH, 1) == 0)
			execvpe(r->argv[0], r->argv, r->env);
	} else {
		execve(r->argv[0], r->argv, r->env);
	}
	child_fail(report, r->argv[0]);
}
