/* SPDX-License-Identifier: ISC */
/*
 * local - the delivery agent of system users: aliases, .forward, commands,
 * mailboxes.
 *
 * qmgr connects and hands out batches (ipc/msg_deliver.h).  We start as root
 * and take the recipient's identity for everything that touches what a user
 * owns or may influence; no mail, file or command is ever handled as root.
 * recipient.c has the order in which the methods are tried.
 */
#include "daemon/daemon.h"
#include "local/local.h"

static const struct daemon local_daemon = {
	.name		= "local",
	.pre_jail	= local_pre_jail,
	.check		= local_check,
	.start		= local_start,
	.serve		= agent_serve,
};

int
main(int argc, char **argv)
{
	return daemon_main(&local_daemon, argc, argv);
}
