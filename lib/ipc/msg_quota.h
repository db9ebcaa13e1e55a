/* SPDX-License-Identifier: ISC */
/*
 * quota - whether the mailbox of a virtual user has room (private/quotad;
 * clients smtpd and lmtpd, at RCPT).
 *
 * Many questions may be under way; answers carry the question's tag.  An
 * answer is a moment's: who is told "yes" now may still be over the quota when
 * the message comes.  Clients may keep a "yes" for as long as rewrite's
 * answers, a "no" never.
 */
#ifndef IPC_MSG_QUOTA_H
#define IPC_MSG_QUOTA_H

#include "ipc/ipc.h"
#include "ipc/schema.h"

enum {
	QUOTA_ASK = 1,		/* -> quota_ask */
	QUOTA_ANSWER,		/* <- quota_answer */
};

#define QUOTA_ASK_ROWS(ROW)						\
	ROW(STR, address, 1024)		/* as rewrite normalised it */	\
	ROW(U64, bytes, UINT64_MAX)	/* MAIL's SIZE=, or 0 */
IPC_MESSAGE(quota_ask, QUOTA_ASK_ROWS)

#define QUOTA_ANSWER_ROWS(ROW)						\
	ROW(BOOL, room, )		/* true also when it is not known */ \
	ROW(BOOL, never, )		/* the message is larger than all of	\
					 * the mailbox may be */	\
	ROW(STR, text, 512)		/* "the mailbox is full" */
IPC_MESSAGE(quota_answer, QUOTA_ANSWER_ROWS)

static const struct ipc_proto QUOTA_PROTO UNUSED = {
	.name = "quota", .version = 1,
	.frame_max = 16 * 1024, .out_max = 4u << 20,
};

#endif
