/* SPDX-License-Identifier: ISC */
/*
 * bounce - qmgr asks for a delivery status notification (private/bounce).
 *
 * The envelope carries just the recipients the notice is about, with fate,
 * dsn, text and relay.  bounce composes the notice (RFC 3464) and submits it
 * through cleanup; its RESULT means that the notice is durable, and names
 * it.  The message stays in the queue until then.
 */
#ifndef IPC_MSG_BOUNCE_H
#define IPC_MSG_BOUNCE_H

#include "ipc/ipc.h"
#include "ipc/msg_cleanup.h"
#include "ipc/schema.h"

enum {
	BOUNCE_REQUEST = 1,	/* qmgr -> bounce_request, with descriptor */
	BOUNCE_RESULT,		/* <- bounce_result */
};

enum bounce_kind {
	BOUNCE_FAILURE = 1,	/* cannot be delivered */
	BOUNCE_DELAY,		/* has not been delivered yet */
	BOUNCE_SUCCESS,		/* NOTIFY=SUCCESS: delivered */
	BOUNCE_VERIFY,		/* sendmail -bv: report to the sender */
	BOUNCE_DOUBLE,		/* failure of a notice: to the postmaster */
	BOUNCE_RELAYED,		/* success, at a host that sends no notices */
	BOUNCE_EXPANDED,	/* success, at an alias or list */
};

#define BOUNCE_REQUEST_ROWS(ROW)					\
	ROW(U32, kind, BOUNCE_EXPANDED)					\
	ROW(U64, offset, UINT64_MAX)	/* of the content in the fd */	\
	ROW(U64, len, UINT64_MAX)					\
	ROW(U64, give_up_us, UINT64_MAX) /* DELAY: wall clock */	\
	ROW(BLOB, envelope, CLEANUP_ENVELOPE_MAX - 4096)
IPC_MESSAGE(bounce_request, BOUNCE_REQUEST_ROWS)

#define BOUNCE_RESULT_ROWS(ROW)						\
	ROW(BOOL, ok, )							\
	ROW(STR, queue_id, 32)	/* of the notice; "" when none is due */ \
	ROW(STR, text, 512)
IPC_MESSAGE(bounce_result, BOUNCE_RESULT_ROWS)

static const struct ipc_proto BOUNCE_PROTO UNUSED = {
	.name = "bounce", .version = 1,
	.frame_max = CLEANUP_ENVELOPE_MAX, .out_max = 16u << 20,
};

#endif
