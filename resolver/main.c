/* SPDX-License-Identifier: ISC */
/*
 * resolver - the one daemon that talks to name servers.
 *
 * Jailed processes ask it over private/resolver (ipc/msg_resolver.h); it keeps
 * the cache for all of them and says of each answer whether DNSSEC proves it.
 * It reads no mail and knows no client but those of this machine.
 */
#include "daemon/clients.h"
#include "daemon/daemon.h"
#include "resolver/resolver.h"

static const struct daemon resolver = {
	.name	= "resolver",
	.start	= source_setup,
	.accept	= session_start,
	.reload	= source_setup,
	.drain	= clients_drain,
};

int
main(int argc, char **argv)
{
	return daemon_main(&resolver, argc, argv);
}
