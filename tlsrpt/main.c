/* SPDX-License-Identifier: ISC */
/*
 * tlsrpt - reports to other domains about how mail to them could be secured
 * (TLSRPT, RFC 8460).
 *
 * smtp says over private/tlsrpt (ipc/msg_tlsrpt.h) how each session went.  We
 * count that per domain, and after each day send those domains a report that
 * have asked for it in the DNS: as mail, through cleanup, or to a web server.
 */
#include "daemon/daemon.h"
#include "tlsrpt/tlsrpt.h"

static int
pre_jail(struct why *why)
{
	return period_open(why) < 0 ? -1 : send_open(why);
}

static int
start(struct why *why)
{
	send_start();
	period_start();
	return 0;
}

static const struct daemon tlsrpt = {
	.name		= "tlsrpt",
	.pre_jail	= pre_jail,
	.start		= start,
	.accept		= session_start,
	.retire		= session_retire,
};

int
main(int argc, char **argv)
{
	return daemon_main(&tlsrpt, argc, argv);
}
