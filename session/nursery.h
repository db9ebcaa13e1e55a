/* SPDX-License-Identifier: ISC */
/*
 * nursery - the processes that users' processes are forked from, and how the
 * monitor speaks with them; private to this folder.
 *
 * The monitor forks two nurseries when it starts, and hardly anything after
 * that.  A fork copies what the forking process has: the monitor has the
 * descriptors of all clients that hibernate, thousands of them, and memory
 * that it goes on changing, each page of which is copied after each fork.  A
 * nursery has a few descriptors and does nothing else.
 *
 * One of them has loaded the converters of character sets, which no process
 * can load in its sandbox and which are two thirds of what a fork copies; the
 * other has not: it is for engines that never look into a message's text.
 *
 * A nursery is root and in the monitor's sandbox, and has nothing but the
 * socket pair that the monitor made.  It waits for its children, since they
 * are its own, and says how they ended.  When the monitor closes its end, or
 * is gone, the nursery forks nobody any more and exits with the last child.
 */
#ifndef SESSION_NURSERY_H
#define SESSION_NURSERY_H

#include "ipc/ipc.h"
#include "ipc/schema.h"
#include "session/engine.h"

enum {
	NURSERY_FORK = 1,	/* -> nursery_child, with the end of a control
				 * socket (control.h) */
	NURSERY_KILL,		/* -> nursery_child */
	NURSERY_LOG,		/* -> empty, with the log's new descriptor */
	NURSERY_RETIRE,		/* -> empty; no FORK follows */
	NURSERY_BORN,		/* <- nursery_born */
	NURSERY_ENDED,		/* <- nursery_ended */
};

#define NURSERY_CHILD_ROWS(ROW)						\
	ROW(U32, id, UINT32_MAX)	/* the monitor's */
IPC_MESSAGE(nursery_child, NURSERY_CHILD_ROWS)

#define NURSERY_BORN_ROWS(ROW)						\
	ROW(U32, id, UINT32_MAX)					\
	ROW(U32, pid, INT32_MAX)	/* 0: it could not be forked ... */ \
	ROW(U32, error, 4095)		/* ... for this reason (errno) */
IPC_MESSAGE(nursery_born, NURSERY_BORN_ROWS)

#define NURSERY_ENDED_ROWS(ROW)						\
	ROW(U32, id, UINT32_MAX)					\
	ROW(U32, status, UINT32_MAX)	/* of waitpid(2) */
IPC_MESSAGE(nursery_ended, NURSERY_ENDED_ROWS)

static const struct ipc_proto NURSERY_PROTO UNUSED = {
	.name = "nursery", .version = 1, .frame_max = 64, .out_max = 1u << 20,
};

/*
 * In the child of daemon_fork(): be a nursery until the other end of fd is
 * closed and all children have ended.
 */
NORETURN void nursery_run(int fd, bool texts,
	    const struct engine *const *engines);

#endif
