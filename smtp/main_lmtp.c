/* SPDX-License-Identifier: ISC */
/*
 * lmtp - the LMTP client (RFC 2033): mail for mailbox servers.
 *
 * The text is that of smtp under another name, with the settings lmtp_....
 */
#include "daemon/daemon.h"
#include "smtp/start.h"

static int
pre_jail(struct why *why)
{
	return smtp_pre_jail(true, why);
}

static const struct daemon lmtp = {
	.name		= "lmtp",
	.pre_jail	= pre_jail,
	.check		= pre_jail,
	.start		= smtp_start,
	.accept		= smtp_accept,
	.retire		= smtp_retire,
};

int
main(int argc, char **argv)
{
	return daemon_main(&lmtp, argc, argv);
}
