/* SPDX-License-Identifier: ISC */
/*
 * pickup - takes mail from local commands (sendmail) over public/pickup.
 *
 * Who a client is, the kernel says (peer credentials); so no command needs
 * to be set-uid or set-gid, and one that runs with no_new_privs or under a
 * dynamic user can send mail like any other.  What a client says is checked
 * here as if it came from a stranger: sizes, addresses, order.  The content
 * streams through to cleanup, whose RESULT is the promise.
 */
#include <pwd.h>

#include "daemon/daemon.h"
#include "pickup/pickup.h"

static int
open_rights(struct why *why)
{
	/* Loads what name lookups need while any file can be opened. */
	(void)getpwuid(0);
	return rights_open(why);
}

static const struct daemon pickup = {
	.name		= "pickup",
	.pre_jail	= open_rights,
	.start		= queue_start,
	.accept		= session_start,
	.reload		= rights_open,
	.drain		= session_drain_all,
};

int
main(int argc, char **argv)
{
	return daemon_main(&pickup, argc, argv);
}
