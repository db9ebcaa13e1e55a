/* SPDX-License-Identifier: ISC */
/*
 * deliver - qmgr asks a delivery agent (local, virtual, smtp, pipe, error,
 * ...) to deliver messages; private/<transport>.
 *
 * qmgr connects, sends DELIVER frames (as many as it likes: a batch), each
 * with a tag of its own and one message for one or more recipients.  The
 * agent never opens the queue: a segment's descriptor is sent once with
 * SEGMENT and known by its number from then on (until DROP); a message that
 * lies in a file of its own brings the descriptor with its DELIVER.
 *
 * The agent answers with one STATUS for each recipient of each DELIVER, in
 * any order, as each is done.
 *	DELIVERED	done; durable now if serial == 0, otherwise durable
 *			when a CHECKPOINT with serial >= this one has come
 *	BOUNCED		never will be (5.x.x)
 *	DEFERRED	try again later (4.x.x)
 *	RETURNED	not tried: give it to another worker, no attempt spent
 *	BEST_MX		not tried: the DNS says that this host is the best for
 *			it; goes by best_mx_transport (only where that is set)
 * qmgr forgets a message only when all its recipients are finished and
 * durable.  A DELIVER with recovered set may have been done before a crash:
 * the agent looks for (queue id, recipient) in the mailbox first and answers
 * DELIVERED when it is there.
 */
#ifndef IPC_MSG_DELIVER_H
#define IPC_MSG_DELIVER_H

#include "ipc/ipc.h"
#include "ipc/msg_cleanup.h"
#include "ipc/schema.h"

enum {
	DELIVER_SEGMENT = 1,	/* qmgr -> deliver_segment, with descriptor */
	DELIVER_DROP,		/* qmgr -> deliver_segment */
	DELIVER_MESSAGE,	/* qmgr -> deliver_message, maybe descriptor */
	DELIVER_STATUS,		/* <- deliver_status */
	DELIVER_CHECKPOINT,	/* <- deliver_checkpoint, tag 0 */
	DELIVER_CAPACITY,	/* <- deliver_capacity */
};

enum deliver_outcome {
	DELIVER_DELIVERED = 1, DELIVER_BOUNCED, DELIVER_DEFERRED,
	DELIVER_RETURNED, DELIVER_BEST_MX
};

#define DELIVER_FILE	UINT32_MAX	/* segment: the frame's descriptor */

#define DELIVER_SEGMENT_ROWS(ROW)					\
	ROW(U32, segment, DELIVER_FILE - 1)
IPC_MESSAGE(deliver_segment, DELIVER_SEGMENT_ROWS)

#define DELIVER_MESSAGE_ROWS(ROW)					\
	ROW(U32, segment, UINT32_MAX)					\
	ROW(U64, offset, UINT64_MAX)	/* of the content */		\
	ROW(U64, len, UINT64_MAX)	/* of the content, bytes */	\
	ROW(STR, nexthop, 1024)						\
	ROW(U32, attempt, UINT32_MAX)	/* 1 for the first */		\
	ROW(BOOL, recovered, )						\
	ROW(U64, active_us, UINT64_MAX)	/* wall clock: became active */	\
	ROW(BLOB, envelope, CLEANUP_ENVELOPE_MAX - 8192)		\
		/* with just the recipients of this delivery */
IPC_MESSAGE(deliver_message, DELIVER_MESSAGE_ROWS)

#define DELIVER_STATUS_ROWS(ROW)					\
	ROW(U32, rcpt, UINT32_MAX)	/* index in the envelope */	\
	ROW(U32, outcome, DELIVER_BEST_MX)				\
	ROW(STR, dsn, 12)		/* RFC 3463 */			\
	ROW(STR, text, 1024)		/* one line */			\
	ROW(STR, relay, 512)		/* "local", "host[addr]:25" */	\
	ROW(STR, remote_dsn, 12)	/* the peer's, "" when none */	\
	ROW(STR, action, 16)		/* RFC 3464 2.3.3 when not the	\
					 * plain one: "relayed",	\
					 * "expanded", "none" when the	\
					 * other side sends the notice; \
					 * else "" */	\
	ROW(BOOL, site_down, )		/* DEFERRED: the next hop failed as	\
					 * a whole, not this recipient */ \
	ROW(U64, serial, UINT64_MAX)
IPC_MESSAGE(deliver_status, DELIVER_STATUS_ROWS)

#define DELIVER_CHECKPOINT_ROWS(ROW)					\
	ROW(U64, serial, UINT64_MAX)
IPC_MESSAGE(deliver_checkpoint, DELIVER_CHECKPOINT_ROWS)

/* An agent that works on many deliveries side by side says how many it takes;
 * without this it is kept to as many as it does in a moment.  0, later: it
 * wants no more and closes when it has answered for what it has. */
#define DELIVER_CAPACITY_ROWS(ROW)					\
	ROW(U32, deliveries, 1000000)
IPC_MESSAGE(deliver_capacity, DELIVER_CAPACITY_ROWS)

static const struct ipc_proto DELIVER_PROTO UNUSED = {
	.name = "deliver", .version = 1,
	.frame_max = CLEANUP_ENVELOPE_MAX, .out_max = 64u << 20,
};

#endif
