/* SPDX-License-Identifier: ISC */
/*
 * cleanup - complete, check and rewrite new mail, and make it durable.
 *
 * Clients (smtpd, pickup, bounce, local) hand messages over on
 * private/cleanup; qmgr follows what has become durable on private/feed.
 * Start reading in cleanup.h.
 */
#include "cleanup/cleanup.h"
#include "daemon/daemon.h"

static const struct daemon cleanup = {
	.name	= "cleanup",
	.start	= cleanup_start,
	.check	= cleanup_check,
	.accept	= cleanup_accept,
	.reload	= cleanup_reload,
	.drain	= cleanup_drain,
};

int
main(int argc, char **argv)
{
	return daemon_main(&cleanup, argc, argv);
}
