/* SPDX-License-Identifier: ISC */
/*
 * process - a user's session process, from the fork to its exit.
 */
#ifndef SESSION_PROCESS_H
#define SESSION_PROCESS_H

#include "session/engine.h"

struct session_process_args {
	int			 control;	/* our end of the socket pair */
	const struct engine *const *engines;	/* ends with NULL */
};

/*
 * In the child of daemon_fork(), still root: wait to be told which user to
 * become, enter the sandbox, serve until told to leave or until the monitor
 * is gone.
 */
NORETURN void session_process_run(const struct session_process_args *a);

const struct engine *session_engine(const struct engine *const *engines,
	    struct span service);

#endif
