/* SPDX-License-Identifier: ISC */
/*
 * feed - cleanup tells qmgr of each message it has made durable
 * (private/feed; qmgr connects, peer credentials must be mail_owner or root).
 *
 * qmgr sends SUBSCRIBE once and at once gets AT, the highest durable seq: it
 * reads everything up to there from the log itself, and everything later
 * comes as MESSAGE.  When qmgr does not keep up, cleanup sends GAP instead of
 * queueing without bound: from that seq on qmgr reads the log again, and then
 * subscribes again.
 *
 * RELEASE gives a slot back for reuse.  The slot that is being written cannot
 * be released: such a RELEASE is ignored, so qmgr sends it when it has seen a
 * message in a later slot.  When the release is on disk, RELEASED names the
 * slot: from then on no crash brings its records back, and qmgr may forget
 * (release in state/) what says that they are finished.  After a new
 * SUBSCRIBE qmgr asks again for what was not answered; a RELEASE of a slot
 * that is free already, or has another generation, is answered at once.
 */
#ifndef IPC_MSG_FEED_H
#define IPC_MSG_FEED_H

#include "ipc/ipc.h"
#include "ipc/msg_cleanup.h"
#include "ipc/schema.h"

enum {
	FEED_SUBSCRIBE = 1,	/* qmgr -> empty */
	FEED_AT,		/* <- feed_at */
	FEED_MESSAGE,		/* <- feed_message */
	FEED_GAP,		/* <- feed_at: first seq that was left out */
	FEED_RELEASE,		/* qmgr -> feed_release */
	FEED_LOAD,		/* qmgr -> feed_load: for in_flow_delay */
	FEED_RELEASED,		/* <- feed_release: it is durable */
};

#define FEED_AT_ROWS(ROW)						\
	ROW(U64, seq, UINT64_MAX)
IPC_MESSAGE(feed_at, FEED_AT_ROWS)

#define FEED_MESSAGE_ROWS(ROW)						\
	ROW(U64, seq, UINT64_MAX)					\
	ROW(U32, slot, UINT32_MAX)					\
	ROW(U32, generation, UINT32_MAX)				\
	ROW(U64, offset, UINT64_MAX)	/* of the record header */	\
	ROW(U32, len, UINT32_MAX)	/* of the payload */		\
	ROW(BOOL, large, )		/* content in large/ */		\
	ROW(U32, content_skip, UINT32_MAX) /* payload to content, bytes */ \
	ROW(BLOB, envelope, CLEANUP_ENVELOPE_MAX - 4096)
IPC_MESSAGE(feed_message, FEED_MESSAGE_ROWS)

#define FEED_RELEASE_ROWS(ROW)						\
	ROW(U32, slot, UINT32_MAX)					\
	ROW(U32, generation, UINT32_MAX)
IPC_MESSAGE(feed_release, FEED_RELEASE_ROWS)

#define FEED_LOAD_ROWS(ROW)						\
	ROW(U32, incoming, UINT32_MAX)	/* messages not yet active */	\
	ROW(U32, active, UINT32_MAX)
IPC_MESSAGE(feed_load, FEED_LOAD_ROWS)

static const struct ipc_proto FEED_PROTO UNUSED = {
	.name = "feed", .version = 1,
	.frame_max = CLEANUP_ENVELOPE_MAX, .out_max = 64u << 20,
};

#endif
