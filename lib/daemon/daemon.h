/* SPDX-License-Identifier: ISC */
/*
 * daemon - what every daemon is: a child of master with a job.
 *
 * daemon_main() does all that is the same everywhere, in this order: options
 * (-n service -t type -o name=value -c config_dir, from master), settings,
 * log, pre_jail(), the row of the sandbox table (chroot or Landlock, ids,
 * limits, no_new_privs, seccomp), start(), then the loop or the accept loop.
 * After the jail nothing in the process has privileges, except for the few
 * daemons whose row says so (local).
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

#include "base/cc.h"
#include "base/why.h"
#include "conf/params.h"
#include "io/loop.h"
#include "io/sock.h"

struct jail;			/* a row of the sandbox table, sandbox.h */

struct daemon {
	const char	*name;		/* "smtpd" */
	const struct jail *jail;
	/* Before privileges are given up: open what needs them.  -1 with why
	 * ends the process; master throttles. */
	int	(*pre_jail)(struct why *why);
	/* In the jail, before the first client. */
	int	(*start)(struct why *why);
	/*
	 * Event-loop shape: a client has connected; fd is non-blocking and
	 * ours.  service_index tells which of the service's listeners.
	 */
	void	(*accept)(int fd, const struct sock_addr *peer, int index);
	/* Worker shape: serve this connection to its end, blocking.  A daemon
	 * has accept or serve, never both. */
	void	(*serve)(int fd);
	int	(*reload)(struct why *why);	/* in place; NULL: drain */
	void	(*drain)(void);			/* may be NULL */
	void	(*wakeup)(void);		/* master's wake-up column */
};

int	 daemon_main(const struct daemon *d, int argc, char **argv);

struct loop *daemon_loop(void);			/* event-loop shape */
const char *daemon_service_name(void);		/* "smtp", "2525" */
/*
 * Clients, or jobs, under way: a process with more than the limit accepts no
 * more until it has fewer (master may start another); a draining process
 * exits at 0; an idle one exits after max_idle when others can take over.
 */
void	 daemon_busy(int delta);
bool	 daemon_draining(void);
/* Where sockets are from inside this process: "private/cleanup" becomes the
 * path that works in the jail. */
const char *daemon_socket_path(const char *name);

#endif
