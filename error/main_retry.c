/* SPDX-License-Identifier: ISC */
/*
 * retry - the transport that defers mail, for the reason that the next hop says.
 */
#include "daemon/daemon.h"
#include "error/error.h"

static int
start(struct why *why)
{
	error_init(ERROR_DEFER);
	return 0;
}

static const struct daemon retry = {
	.name	= "retry",
	.start	= start,
	.accept	= error_accept,
};

int
main(int argc, char **argv)
{
	return daemon_main(&retry, argc, argv);
}
