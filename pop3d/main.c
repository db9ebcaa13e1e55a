/* SPDX-License-Identifier: ISC */
/*
 * pop3d - the front of the POP3 service (RFC 1939): TLS and login.
 *
 * Clients come from the listener that master opened.  We run unprivileged in
 * a jail and hand an authenticated client to the user's session process,
 * where pop3d/engine.c speaks with it; no mail passes through our memory but
 * on its way to a client that has TLS.
 */
#include "daemon/daemon.h"
#include "pop3d/front.h"

static const struct daemon pop3d = {
	.name		= "pop3d",
	.pre_jail	= pop3_front_pre_jail,
	.check		= pop3_front_pre_jail,
	.start		= front_start,
	.accept		= front_accept,
	.drain		= front_drain,
};

int
main(int argc, char **argv)
{
	return daemon_main(&pop3d, argc, argv);
}
