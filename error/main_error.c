/* SPDX-License-Identifier: ISC */
/*
 * error - the transport that returns mail, for the reason that the next hop says.
 */
#include "daemon/daemon.h"
#include "error/error.h"

static int
start(struct why *why)
{
	error_init(ERROR_BOUNCE);
	return 0;
}

static const struct daemon error = {
	.name	= "error",
	.start	= start,
	.accept	= error_accept,
};

int
main(int argc, char **argv)
{
	return daemon_main(&error, argc, argv);
}
