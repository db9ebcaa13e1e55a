/* SPDX-License-Identifier: ISC */
/*
 * master - administrators' questions to master (public/master).
 *
 * Everybody may ask STATUS; RELOAD needs root or the user that master runs
 * as (peer credentials).  A request is answered by any number of SERVICE and
 * PROCESS, each PROCESS after its SERVICE, and one RESULT.
 */
#ifndef IPC_MSG_MASTER_H
#define IPC_MSG_MASTER_H

#include "ipc/ipc.h"
#include "ipc/schema.h"

enum {
	MASTER_CTL_STATUS = 1,	/* -> empty */
	MASTER_CTL_RELOAD,	/* -> empty */
	MASTER_CTL_SERVICE,	/* <- master_ctl_service */
	MASTER_CTL_PROCESS,	/* <- master_ctl_process */
	MASTER_CTL_RESULT,	/* <- master_ctl_result */
};

#define MASTER_CTL_SERVICE_ROWS(ROW)					\
	ROW(STR, name, 1024)						\
	ROW(STR, type, 16)						\
	ROW(STR, command, 1024)						\
	ROW(STR, sockets, 65536)	/* separated by spaces */	\
	ROW(STR, origin, 4096)		/* file:line */			\
	ROW(STR, state, 16)	/* ready, full, throttled, leaving */	\
	ROW(U32, maxproc, UINT32_MAX)	/* 0: unlimited */		\
	ROW(U64, started, UINT64_MAX)	/* processes, ever */		\
	ROW(U64, crashed, UINT64_MAX)	/* of which ended badly */
IPC_MESSAGE(master_ctl_service, MASTER_CTL_SERVICE_ROWS)

#define MASTER_CTL_PROCESS_ROWS(ROW)					\
	ROW(U32, pid, UINT32_MAX)					\
	ROW(STR, state, 16)	/* starting, available, busy, exiting */\
	ROW(BOOL, answered, )	/* clients is of this moment */		\
	ROW(U32, clients, UINT32_MAX)					\
	ROW(U64, age_ms, UINT64_MAX)
IPC_MESSAGE(master_ctl_process, MASTER_CTL_PROCESS_ROWS)

#define MASTER_CTL_RESULT_ROWS(ROW)					\
	ROW(BOOL, ok, )							\
	ROW(STR, text, 512)		/* what is wrong */		\
	ROW(U32, pid, UINT32_MAX)	/* master's */			\
	ROW(U64, age_ms, UINT64_MAX)	/* since its start */		\
	ROW(STR, version, 64)						\
	ROW(STR, config_dir, 4096)
IPC_MESSAGE(master_ctl_result, MASTER_CTL_RESULT_ROWS)

#define MASTER_CTL_PATH	"public/master"

static const struct ipc_proto MASTER_CTL_PROTO UNUSED = {
	.name = "master", .version = 1,
	.frame_max = 1u << 18, .out_max = 16u << 20,
};

#endif
