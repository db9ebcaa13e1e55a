/* SPDX-License-Identifier: ISC */
/*
 * session - the monitor of user sessions, and the processes it forks.
 *
 * The monitor is root and as small as it can be: it redeems the tickets that
 * fronts pass on, at authd, forks itself for each user, gives connections to
 * these processes and takes them back when they hibernate.  It reads nothing
 * that a client wrote.  The forked process drops to the user before it does
 * anything else (lib/session/process.c).
 */
#include "daemon/daemon.h"
#include "session/monitor.h"

const struct engine *const monitor_engines[] = {
	&imap_engine,
	&pop3_engine,
	NULL
};

static const struct daemon session = {
	.name		= "session",
	.pre_jail	= monitor_pre_jail,
	.check		= monitor_check,
	.start		= monitor_start,
	.accept		= monitor_accept,
	.reload		= monitor_reload,
	.drain		= monitor_drain,
	.log_moved	= monitor_log_moved,
};

int
main(int argc, char **argv)
{
	return daemon_main(&session, argc, argv);
}
