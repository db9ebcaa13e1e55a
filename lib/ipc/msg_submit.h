/* SPDX-License-Identifier: ISC */
/*
 * submit - a local user's command (sendmail) hands in mail (public/pickup).
 *
 * Everybody on this machine may connect; pickup knows who it is by the
 * socket's peer credentials and believes nothing else.  One connection
 * carries any number of messages, one after the other: BEGIN, a RCPT for
 * each recipient, any number of CONTENT, END; then pickup sends RESULT.  It
 * may send RESULT early, at any time after BEGIN; the client then sends no
 * more of this message and may begin the next.  VERIFY asks where mail for
 * an address would go; the answer is VERIFIED.  The tag is the client's to
 * choose and counts messages: what still comes for a message that has had
 * its RESULT is passed over by it.
 */
#ifndef IPC_MSG_SUBMIT_H
#define IPC_MSG_SUBMIT_H

#include "ipc/ipc.h"
#include "ipc/schema.h"

#define SUBMIT_CHUNK_MAX	(64 * 1024)	/* bytes of a CONTENT */
#define SUBMIT_ADDRESS_MAX	1024

/* What the sender asks to be told. */
enum submit_report {
	SUBMIT_REPORT_NONE = 0,
	SUBMIT_REPORT_RECORD,	/* what became of the first attempt */
	SUBMIT_REPORT_VERIFY,	/* what would: nothing is delivered */
};

enum {
	SUBMIT_BEGIN = 1,	/* -> submit_begin */
	SUBMIT_RCPT,		/* -> submit_rcpt */
	SUBMIT_CONTENT,		/* -> body: bytes; lines end in LF */
	SUBMIT_END,		/* -> empty */
	SUBMIT_RESULT,		/* <- submit_result */
	SUBMIT_VERIFY,		/* -> submit_rcpt */
	SUBMIT_VERIFIED,	/* <- submit_verified */
};

#define SUBMIT_BEGIN_ROWS(ROW)						\
	ROW(BOOL, own_sender, )	/* the sender is the user: sender is "" */ \
	ROW(STR, sender, SUBMIT_ADDRESS_MAX) /* unquoted; "" is <> */	\
	ROW(STR, full_name, 256) /* for the From: that is made */	\
	ROW(BOOL, eightbit, )	/* BODY=8BITMIME */			\
	ROW(BOOL, smtputf8, )						\
	ROW(BOOL, gateway, )	/* comes from elsewhere: as from SMTP */ \
	ROW(U32, dsn_ret, 2)	/* DSN_RET_* */				\
	ROW(U32, report, SUBMIT_REPORT_VERIFY)				\
	ROW(STR, envid, 100)
IPC_MESSAGE(submit_begin, SUBMIT_BEGIN_ROWS)

#define SUBMIT_RCPT_ROWS(ROW)						\
	ROW(STR, address, SUBMIT_ADDRESS_MAX)	/* unquoted */		\
	ROW(STR, orcpt, 500)	/* RFC 3461, "" when none */		\
	ROW(U32, notify, 15)	/* DSN_NOTIFY_* */
IPC_MESSAGE(submit_rcpt, SUBMIT_RCPT_ROWS)

#define SUBMIT_RESULT_ROWS(ROW)						\
	ROW(STR, code, 12)	/* RFC 3463; "2.x.x": it is queued */	\
	ROW(STR, text, 512)	/* why not */				\
	ROW(STR, queue_id, 32)
IPC_MESSAGE(submit_result, SUBMIT_RESULT_ROWS)

#define SUBMIT_VERIFIED_ROWS(ROW)					\
	ROW(STR, code, 12)	/* "2.1.5": deliverable, as far as we know */ \
	ROW(STR, text, 1536)	/* a line for a person */
IPC_MESSAGE(submit_verified, SUBMIT_VERIFIED_ROWS)

static const struct ipc_proto SUBMIT_PROTO UNUSED = {
	.name = "submit", .version = 1,
	.frame_max = SUBMIT_CHUNK_MAX, .out_max = 1u << 20,
};

#endif
