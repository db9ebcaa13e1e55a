/* SPDX-License-Identifier: ISC */
/*
 * spawn - run a program that master.cf names for each client of a service.
 */
#ifndef LOCAL_SPAWN_H
#define LOCAL_SPAWN_H

#include "local/program.h"

/* An entry's arguments, as daemon_argv() gives them.  -1 with why. */
MUST_CHECK int spawn_parse(int argc, char *const *argv, struct program *out,
	    struct why *why);

/* The daemon's. */
MUST_CHECK int spawn_pre_jail(struct why *why);
MUST_CHECK int spawn_check(struct why *why);
void	 spawn_serve(int fd);

#endif
