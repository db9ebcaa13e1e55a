/* SPDX-License-Identifier: ISC */
/*
 * smtp - the SMTP client: mail for other hosts.
 *
 * qmgr hands us deliveries over the service's socket (ipc/msg_deliver.h); we
 * ask the resolver where to go, connect, and say of each recipient what
 * became of it.  Many sessions in one process, jailed: what other hosts send
 * is parsed here, with no file and no key in reach.
 */
#include "daemon/daemon.h"
#include "smtp/start.h"

static int
pre_jail(struct why *why)
{
	return smtp_pre_jail(false, why);
}

static const struct daemon smtp = {
	.name		= "smtp",
	.pre_jail	= pre_jail,
	.check		= pre_jail,
	.start		= smtp_start,
	.accept		= smtp_accept,
	.retire		= smtp_retire,
};

int
main(int argc, char **argv)
{
	return daemon_main(&smtp, argc, argv);
}
