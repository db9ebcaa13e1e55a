/* SPDX-License-Identifier: ISC */
/*
 * daemon - what every daemon is: a child of master with a job.
 *
 * daemon_main() does all that is the same everywhere, in this order: options
 * from master (master_proto.h), settings, log, the queue directory as working
 * directory, pre_jail(), the row of the sandbox table (chroot or Landlock,
 * ids, limits, no_new_privs, seccomp), start(), then the loop or the accept
 * loop.  After the jail nothing in the process has privileges, except for the
 * few daemons whose row says so (local).
 *
 * Without master, for tests and for a debugger:
 *
 *	smtpd -c config_dir -L inet:127.0.0.1:2525 [-L unix:path]... [-f] [-v]
 *
 * listens itself; -f writes the log to standard error, and -o name=value and
 * -n work as under master.  Such a process never exits when idle.
 *
 * Stopping and reloading.  SIGTERM, or master's end: finish what is under way
 * and exit (event daemons: drain() and then until daemon_busy() drops to 0,
 * at most daemon_timeout; a second SIGTERM exits at once).  SIGHUP is reload:
 * a daemon with a reload function re-reads its settings in place; one without
 * drains (its listeners are closed at once; sessions go on to their end) and
 * master starts a fresh process for the next client.
 */
#ifndef DAEMON_DAEMON_H
#define DAEMON_DAEMON_H

#include <sys/types.h>

#include "base/cc.h"
#include "base/why.h"
#include "conf/params.h"
#include "conf/table.h"
#include "io/loop.h"
#include "io/sock.h"

struct jail;			/* a row of the sandbox table, sandbox.h */

struct daemon {
	const char	*name;		/* "smtpd" */
	const struct jail *jail;	/* NULL: the row called name */
	/* Before privileges are given up: open what needs them.  -1 with why
	 * ends the process; master throttles. */
	int	(*pre_jail)(struct why *why);
	/*
	 * Judge the settings and change nothing: what only this daemon can
	 * tell to be wrong, before it runs with them ("-C").  Errors are
	 * logged, all of them; -1 when there were any, with why for the last
	 * one or empty.  NULL: params.def says all.  A daemon that has it is
	 * marked PLAN_JUDGES in services.c.
	 */
	int	(*check)(struct why *why);
	/* In the jail, before the first client. */
	int	(*start)(struct why *why);
	/*
	 * Event-loop shape: a client has connected; fd is non-blocking and
	 * ours.  service_index tells which of the service's listeners.
	 */
	void	(*accept)(int fd, const struct sock_addr *peer, int index);
	/* Worker shape: serve this connection to its end, blocking.  A daemon
	 * has accept or serve, never both. */
	void	(*serve)(int fd);	/* fd is serve's to close */
	int	(*reload)(struct why *why);	/* in place; NULL: drain */
	/* No listener is open any more: say goodbye to idle clients.  Called
	 * once; may be NULL. */
	void	(*drain)(void);
	/* Event-loop shape: no listener is open any more, because of a reload
	 * or of a stop (then before drain): for clients that stay connected
	 * and should go to the next process.  Called once; may be NULL. */
	void	(*retire)(void);
	void	(*wakeup)(void);		/* master's wake-up column */
	/* The log is another file now: for those who have forked processes,
	 * which are to be told.  May be NULL. */
	void	(*log_moved)(void);
};

int	 daemon_main(const struct daemon *d, int argc, char **argv);
/*
 * rc is what came of one of several things that a start needs.  In check() a
 * failure is logged with the place of the setting that why begins with, why
 * is emptied, and 0 is returned, so that what follows is looked at, too; the
 * exit status tells of it.  Otherwise, or when rc is no failure, rc.
 */
MUST_CHECK int daemon_judge(int rc, struct why *why);
/*
 * In check(): judge the values in the tables of that parameter, as
 * maps_judge() does.  A bad one is a remark; where it is all there is, an
 * error.
 */
void	 daemon_judge_values(const char *param, maps_judge_fn *fn);
/* What is no error, but to be known: a warning, also of a check. */
void	 daemon_remark(const char *fmt, ...) PRINTF(1, 2);
/* Whether that found anything: what a failed part left is not to be used. */
bool	 daemon_judged_bad(void);
/* Keep what import_environment names, and set what the C library needs to
 * know the time zone in a jail.  daemon_main() does it; master too. */
void	 daemon_clean_environment(void);

/*
 * Fork a process that goes on from this one's memory and has a loop of its
 * own (event-loop shape, no threads).  In the child, which gets 0, every
 * descriptor but the log's and those in keep is closed, signals are at their
 * defaults, the watchdog runs, master is nobody's affair, and name is what
 * ps(1) shows.  The child never returns from the handler that forked: it
 * runs daemon_loop() and calls _exit().  What the parent's loop held is
 * memory without use there and must not be freed.
 */
pid_t	 daemon_fork(const char *name, const int *keep, size_t n);
/* In such a child: have fn called on its loop when a signal has come. */
void	 daemon_child_signal(int signo, loop_fn *fn, void *arg);

struct loop *daemon_loop(void);			/* event-loop shape */
const char *daemon_service_name(void);		/* "smtp", "2525" */
/*
 * Clients, or jobs, under way: a process with more than the limit accepts no
 * more until it has fewer (master may start another); a draining process
 * exits at 0; an idle one exits after max_idle when others can take over.
 */
void	 daemon_busy(int delta);
bool	 daemon_draining(void);
/*
 * Worker shape, within serve(): wait until fd is readable (or has ended), and
 * meanwhile do what master and signals ask for.  1: readable; 0: timeout_ms
 * (< 0: none) is over; -1: we are to stop, so finish and return from serve().
 * (When it is only a reload, the first request of a client is still taken.)
 * Call it before every blocking read that waits for a new request.
 */
MUST_CHECK int daemon_wait(int fd, int64_t timeout_ms);
/* What follows the options in the service's entry (pipe's user=, argv=). */
int	 daemon_argc(void);
char	*const *daemon_argv(void);
/* mail_owner's ids; ours when we were not started as root. */
uid_t	 daemon_mail_uid(void);
gid_t	 daemon_mail_gid(void);
/* Whom this daemon becomes, see sandbox_own_ids(). */
uid_t	 daemon_own_uid(void);
gid_t	 daemon_own_gid(void);
/* Where sockets are from inside this process: "private/cleanup" becomes the
 * path that works in the jail.  (The working directory is the queue directory
 * or the jail, which has the same names, so this is name itself.) */
const char *daemon_socket_path(const char *name);

#endif
