/* SPDX-License-Identifier: ISC */
/*
 * verify - can this address be delivered to? (private/verify)
 *
 * smtpd asks with QUERY.  What is known is answered at once; otherwise a
 * probe is sent and the answer comes when the probe's does, or with
 * VERIFY_UNKNOWN when wait_ms are over.  qmgr tells with UPDATE, which is not
 * answered, what became of a probe: no promise is made of it, for a lost one
 * is sent again.
 */
#ifndef IPC_MSG_VERIFY_H
#define IPC_MSG_VERIFY_H

#include "ipc/ipc.h"
#include "ipc/schema.h"

enum {
	VERIFY_QUERY = 1,	/* -> verify_query */
	VERIFY_RESULT,		/* <- verify_result */
	VERIFY_UPDATE,		/* -> verify_update, tag 0 */
};

/* Postfix's numbers: they stand in the cache file. */
enum verify_status {
	VERIFY_OK = 0,		/* deliverable */
	VERIFY_DEFER,		/* perhaps later */
	VERIFY_BOUNCE,		/* never */
	VERIFY_UNKNOWN,		/* a probe is under way */
};

#define VERIFY_TEXT_MAX	512

#define VERIFY_QUERY_ROWS(ROW)						\
	ROW(STR, address, 1024)		/* unquoted form */		\
	ROW(U32, wait_ms, 3600000)
IPC_MESSAGE(verify_query, VERIFY_QUERY_ROWS)

#define VERIFY_RESULT_ROWS(ROW)						\
	ROW(U32, status, VERIFY_UNKNOWN)				\
	ROW(STR, text, VERIFY_TEXT_MAX)	/* "host ... said: ..." */
IPC_MESSAGE(verify_result, VERIFY_RESULT_ROWS)

#define VERIFY_UPDATE_ROWS(ROW)						\
	ROW(STR, address, 1024)		/* as it was asked for */	\
	ROW(U32, status, VERIFY_BOUNCE)					\
	ROW(STR, text, VERIFY_TEXT_MAX)
IPC_MESSAGE(verify_update, VERIFY_UPDATE_ROWS)

static const struct ipc_proto VERIFY_PROTO UNUSED = {
	.name = "verify", .version = 1,
	.frame_max = 16 * 1024, .out_max = 16u << 20,
};

#endif
