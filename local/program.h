/* SPDX-License-Identifier: ISC */
/*
 * program - a program of the administrator's that master.cf names and that
 * runs as somebody: what pipe(8) and spawn(8) have in common, and how local's
 * commands are executed, too.
 */
#ifndef LOCAL_PROGRAM_H
#define LOCAL_PROGRAM_H

#include <sys/types.h>

#include "base/arena.h"
#include "base/array.h"
#include "base/cc.h"
#include "base/why.h"

/* Where a program without a path is looked for; also what it gets as PATH. */
#define PROGRAM_PATH	"/usr/bin:/bin:/usr/sbin:/sbin"

/* What user= and argv= of an entry say. */
struct program {
	const char	*missing;	/* "user=x: no such user"; NULL */
	uid_t		 uid;		/* neither root nor mail_owner */
	gid_t		 gid;
	ARRAY(const char *) argv;
};

/* NAME or NAME:GROUP.  A user that is not there (yet) is no error: nothing
 * can be run then.  -1 with why. */
MUST_CHECK int program_user(struct program *p, const char *text,
	    struct why *why);
/* The n words from "argv=..." on, to the end of the entry. */
void	 program_argv(struct program *p, int n, char *const *words);
/* Whether the entry has said all that is needed.  -1 with why. */
MUST_CHECK int program_check(const struct program *p, struct why *why);
/* PATH and what export_environment says; NULL at the end, in the arena. */
char	**program_env(struct arena *a);

struct program_run {
	uid_t		 uid;		/* never 0 */
	gid_t		 gid;
	const char	*dir;		/* or NULL */
	char		*const *argv, *const *env;	/* NULL at the end */
	bool		 search;	/* argv[0] may be without a path */
};

/*
 * In a forked child: become the user and execute the program, with in and
 * out in the places of the standard descriptors, out for errors too, and no
 * other descriptor; in a process group and a session's worth of default
 * signals of its own.  What goes wrong is written as one line to report, or,
 * when that is < 0, to out; then the child ends with EX_TEMPFAIL.  report is
 * closed by the kernel once the program runs.
 */
NORETURN void program_exec(const struct program_run *r, int in, int out,
	    int report);

#endif
