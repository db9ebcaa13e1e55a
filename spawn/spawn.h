/* SPDX-License-Identifier: ISC */
/*
 * spawn - the pieces of this folder: service.c is all there is; the entry's
 * attributes and how a program is executed are local/program.h.
 */
#ifndef SPAWN_SPAWN_H
#define SPAWN_SPAWN_H

#include "local/program.h"

/* An entry's arguments, as daemon_argv() gives them.  -1 with why. */
MUST_CHECK int spawn_parse(int argc, char *const *argv, struct program *out,
	    struct why *why);

/* The daemon's. */
MUST_CHECK int spawn_pre_jail(struct why *why);
MUST_CHECK int spawn_check(struct why *why);
void	 spawn_serve(int fd);

#endif
