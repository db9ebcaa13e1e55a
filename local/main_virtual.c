/* SPDX-License-Identifier: ISC */
/*
 * virtual - the delivery agent of virtual mailboxes: recipients that are rows
 * of a table and no users of the system.
 *
 * qmgr connects and hands out batches (ipc/msg_deliver.h); where a mailbox
 * is and whose it is say virtual_mailbox_maps, virtual_uid_maps and
 * virtual_gid_maps (virtual.c).  When all mailboxes have one owner we become
 * that user for good and cannot do anything as root or anybody else.
 */
#include "daemon/daemon.h"
#include "local/agent.h"
#include "local/virtual.h"

static const struct daemon virtual_daemon = {
	.name		= "virtual",
	.pre_jail	= virtual_pre_jail,
	.check		= virtual_check,
	.start		= virtual_start,
	.serve		= agent_serve,
};

int
main(int argc, char **argv)
{
	return daemon_main(&virtual_daemon, argc, argv);
}
