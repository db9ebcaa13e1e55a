/* SPDX-License-Identifier: ISC */
/*
 * spawn - runs a program of the administrator's for each client, with the
 * connection as its standard input, output and error, as spawn(8) of Postfix:
 *
 *	policyd-spf unix - n n - 0 spawn user=policyd-spf argv=/usr/bin/...
 *
 * We read no byte of what the client says.  A process serves one client at a
 * time, so the process limit of the entry is how many programs run at once.
 */
#include "daemon/daemon.h"
#include "local/spawn.h"

static const struct daemon spawn_daemon = {
	.name		= "spawn",
	.pre_jail	= spawn_pre_jail,
	.check		= spawn_check,
	.serve		= spawn_serve,
};

int
main(int argc, char **argv)
{
	return daemon_main(&spawn_daemon, argc, argv);
}
