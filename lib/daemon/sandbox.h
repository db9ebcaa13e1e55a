/* SPDX-License-Identifier: ISC */
/*
 * sandbox - what each daemon may do: one table, a row per daemon.
 *
 * A process that came under a stranger's control can do no more than its row
 * says.  The row is applied once, by daemon_main(), after settings, log,
 * listeners and pre_jail() and before the first byte of a client:
 *
 *	limits		setrlimit(2)
 *	root		chroot to jail/<daemon> of the queue directory, where
 *			master has hard-linked just the row's sockets
 *	ids		mail_owner, a user of its own, or root for the few
 *			that act as users
 *	capabilities	root, where it stays, is none that loads modules,
 *			mounts, traces or looks into others' memory
 *	no_new_privs	no program gains rights by being executed
 *	files		Landlock: the row's paths and nothing else
 *	system calls	seccomp: the row's groups and nothing else
 *
 * Started without root (tests) a daemon does without chroot and ids; the
 * rest is in force.  sandbox_level says what happens to a process that steps
 * over: "enforce" refuses, and ends the process where an honest one could not
 * have asked; "log" lets it and has the kernel log system calls (Landlock is
 * off); "off" leaves files and system calls alone.  Limits, root and ids are
 * never left out.
 *
 * A row of JAIL_LOGIN is for a process that a daemon forks for a user who has
 * logged in (sandbox_enter_as()).  Filters add up, so the daemon itself has
 * the groups that its children need.
 */
#ifndef DAEMON_SANDBOX_H
#define DAEMON_SANDBOX_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/cc.h"
#include "base/why.h"

enum jail_user {
	JAIL_MAIL_OWNER,
	JAIL_ROOT,
	JAIL_OWN,		/* a user of its own */
	JAIL_LOGIN,		/* who has logged in */
	/* Root's uid without any of root's rights but to read every file
	 * (CAP_DAC_READ_SEARCH), whatever column 4 says. */
	JAIL_READER
};

/* Groups of system calls beyond those that every process needs. */
enum {
	JAIL_FILES	= 1 << 0,	/* open, stat, read directories */
	JAIL_WRITE	= 1 << 1,	/* make, rename, remove, sync files */
	JAIL_CONNECT	= 1 << 2,	/* connect to UNIX sockets */
	JAIL_INET	= 1 << 3,	/* connect to other hosts */
	JAIL_THREADS	= 1 << 4,	/* worker threads */
	JAIL_IDS	= 1 << 5,	/* act as users in turn */
	JAIL_ANYTHING	= 1 << 6,	/* no filter: runs users' commands */
	JAIL_FORK	= 1 << 7,	/* fork itself, and confine the child */
	JAIL_READ	= 1 << 8,	/* read files that it was given */
	JAIL_WATCH	= 1 << 9,	/* be told of changes of files */
	JAIL_CHROOT	= 1 << 10,	/* what it forks has another root */
	/* Programs and libraries of others, as root: everything but what is
	 * done to a system and not in it. */
	JAIL_PROGRAMS	= 1 << 11,
};

struct jail {
	const char	*name;		/* the daemon's name, also the folder */
	enum jail_user	 user;
	/* JAIL_OWN: the setting that names the user ("authd_owner").
	 * JAIL_ROOT: one that may put another user in root's place. */
	const char	*owner;
	bool		 chroot;
	bool		 new_privs;	/* users' commands may be set-uid */
	unsigned	 may;		/* JAIL_FILES | ... */
	/* Sockets it connects to, in the queue directory: "private/cleanup
	 * private/rewrite"; with chroot, these are linked into the jail. */
	const char	*sockets;
	/* Landlock, space-separated "r:path", "w:path" (read and write, make
	 * and remove), "folder:file" (the same, for the folder of the file),
	 * "maps:name" (read the tables that a setting names); relative to the queue directory, "$name" is a setting.
	 * A path that does not exist is left out.  The configuration directory
	 * goes without saying, except that "" is no file at all.  NULL is no
	 * restriction. */
	const char	*paths;
	/* Descriptors; 0: as many as the system lets us have. */
	unsigned	 nofile;
	const char	*says;		/* what for, for people */
};

/* All rows; the last has name NULL. */
extern const struct jail sandbox_table[];
const struct jail *sandbox_find(const char *daemon);

/* Who we become, looked up while the user database can be read. */
struct sandbox_ids {
	uid_t	uid;
	gid_t	gid;
	bool	root;		/* we are root now */
};
/* From conf.mail_owner; when not root: our own.  -1 with why. */
MUST_CHECK int sandbox_ids(struct sandbox_ids *out, struct why *why);
/*
 * The ids that a daemon runs with.  mail: what sandbox_ids() said.  A daemon
 * whose secret is to be its own (JAIL_OWN) falls back to mail_owner, with a
 * warning, on a system that has no such user.
 */
void	 sandbox_own_ids(const struct jail *j, const struct sandbox_ids *mail,
	    struct sandbox_ids *out);

/*
 * Who is in root's place in a row of JAIL_ROOT with an owner; out->root: root
 * itself.  -1 with why, which begins with the setting's name.
 */
MUST_CHECK int sandbox_root_owner(const struct jail *j,
	    struct sandbox_ids *out, struct why *why);

/*
 * Apply the row to this process.  keep_root is false when column 4 of the
 * service asks for mail_owner though the row would let it be root.  The
 * working directory is the queue directory, and then the same or the jail.
 */
MUST_CHECK int sandbox_enter(const struct jail *j,
	    const struct sandbox_ids *ids, bool keep_root, struct why *why);

/*
 * A process that serves one user (JAIL_LOGIN) is forked from a daemon that
 * has JAIL_FORK, not executed, and enters a stricter row after that.
 * sandbox_compile() makes the row's filter once, in the parent, before the
 * parent's own sandbox; sandbox_enter_as() becomes the user, with no group
 * but gid, and may then write below the paths given and see no other file.
 */
struct sandbox_as {
	uid_t			 uid;
	gid_t			 gid;
	const char	*const	*paths;		/* "w:/absolute", "r:..." */
	size_t			 npaths;
	const char		*make;		/* a directory that the user
						 * makes first; or NULL */
};
MUST_CHECK int sandbox_compile(const struct jail *j, struct why *why);
MUST_CHECK int sandbox_enter_as(const struct jail *j,
	    const struct sandbox_as *as, struct why *why);

/*
 * master: make jail/<daemon> for every chroot row and link the sockets that
 * exist, replacing older links.  dirfd is the queue directory.
 */
MUST_CHECK int sandbox_prepare(int dirfd, struct why *why);

/* One row as text for "mansio sandbox show". */
void	 sandbox_describe(const struct jail *j, struct buf *out);

#endif
