/* SPDX-License-Identifier: ISC */
/*
 * discard - the transport that throws mail away as if it were delivered.
 */
#include "daemon/daemon.h"
#include "error/error.h"

static int
start(struct why *why)
{
	error_init(ERROR_DISCARD);
	return 0;
}

static const struct daemon discard = {
	.name	= "discard",
	.start	= start,
	.accept	= error_accept,
};

int
main(int argc, char **argv)
{
	return daemon_main(&discard, argc, argv);
}
