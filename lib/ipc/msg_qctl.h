/* SPDX-License-Identifier: ISC */
/*
 * qctl - administrators' commands to qmgr (public/qmgr), and ETRN
 * (private/flush).
 *
 * Everybody may connect to list; FLUSH needs authorized_flush_users; the
 * others need root or mail_owner (peer credentials).  Each request has one
 * RESULT, LIST before it any number of ENTRY.  FLUSH_SITE of a site that is not
 * in fast_flush_domains is answered with DENIED instead.
 *
 * On private/flush, which smtpd has in its jail, FLUSH_SITE is all that may be
 * asked, and the RESULT comes before the work has begun.
 */
#ifndef IPC_MSG_QCTL_H
#define IPC_MSG_QCTL_H

#include "ipc/ipc.h"
#include "ipc/msg_cleanup.h"
#include "ipc/schema.h"

enum {
	QCTL_FLUSH_ALL = 1,	/* -> empty */
	QCTL_FLUSH_SITE,	/* -> qctl_arg: next hop or domain */
	QCTL_FLUSH_ID,		/* -> qctl_arg: queue id */
	QCTL_HOLD,		/* -> qctl_arg: queue id, or "ALL"; and queues,
				 * "hold,deferred", when not in all of them */
	QCTL_RELEASE,
	QCTL_DELETE,
	QCTL_REQUEUE,
	QCTL_EXPIRE,		/* bounce it at the next attempt */
	QCTL_EXPIRE_RELEASE,	/* also when it is on hold now */
	QCTL_LIST,		/* -> empty: what is in memory only (active) */
	QCTL_STATUS,		/* -> empty: ENTRY lines of counters */
	QCTL_ENTRY,		/* <- qctl_entry */
	QCTL_RESULT,		/* <- qctl_result */
	QCTL_DENIED,		/* <- empty: to FLUSH_SITE */
};

#define QCTL_ARG_ROWS(ROW)						\
	ROW(STR, arg, 1024)
IPC_MESSAGE(qctl_arg, QCTL_ARG_ROWS)

#define QCTL_ENTRY_ROWS(ROW)						\
	ROW(STR, queue, 16)	/* "active", "deferred", ... or a key */ \
	ROW(BLOB, envelope, CLEANUP_ENVELOPE_MAX - 4096)
IPC_MESSAGE(qctl_entry, QCTL_ENTRY_ROWS)

#define QCTL_RESULT_ROWS(ROW)						\
	ROW(BOOL, ok, )							\
	ROW(U32, count, UINT32_MAX)	/* messages it was done to */	\
	ROW(STR, text, 512)
IPC_MESSAGE(qctl_result, QCTL_RESULT_ROWS)

static const struct ipc_proto QCTL_PROTO UNUSED = {
	.name = "qctl", .version = 1,
	.frame_max = CLEANUP_ENVELOPE_MAX, .out_max = 64u << 20,
};

#endif
