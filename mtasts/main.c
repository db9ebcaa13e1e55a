/* SPDX-License-Identifier: ISC */
/*
 * mtasts - the policies of other domains (MTA-STS, RFC 8461).
 *
 * smtp asks over private/mtasts (ipc/msg_mtasts.h) what a domain demands.  We
 * look at the domain's TXT record, fetch its policy over HTTPS, and keep it in
 * mtasts_directory: a policy that was seen once is in force until it expires,
 * whoever stands between us and the domain meanwhile.
 *
 * We parse what strangers' web servers send, and so have one directory to
 * write to, no mail, and no key.
 */
#include "daemon/daemon.h"
#include "mtasts/mtasts.h"

static int
pre_jail(struct why *why)
{
	return store_open(why) < 0 ? -1 : fetch_open(why);
}

static int
start(struct why *why)
{
	fetch_start();
	domain_start();
	return 0;
}

static const struct daemon mtasts = {
	.name		= "mtasts",
	.pre_jail	= pre_jail,
	.start		= start,
	.accept		= session_start,
	.retire		= session_retire,
};

int
main(int argc, char **argv)
{
	return daemon_main(&mtasts, argc, argv);
}
