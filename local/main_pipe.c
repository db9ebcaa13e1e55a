/* SPDX-License-Identifier: ISC */
/*
 * pipe - the delivery agent that hands mail to a program of the
 * administrator's, as pipe(8) of Postfix:
 *
 *	maildrop unix - n n - - pipe flags=DRX user=vmail argv=/usr/bin/...
 *
 * The program runs as user=, never as root, and its exit status decides.
 */
#include "daemon/daemon.h"
#include "local/agent.h"
#include "local/pipe.h"

static const struct daemon pipe_daemon = {
	.name		= "pipe",
	.pre_jail	= pipe_pre_jail,
	.check		= pipe_check,
	.start		= pipe_start,
	.serve		= agent_serve,
};

int
main(int argc, char **argv)
{
	return daemon_main(&pipe_daemon, argc, argv);
}
