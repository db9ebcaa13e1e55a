/* SPDX-License-Identifier: ISC */
/*
 * delegate - questions to policy services (private/delegate).
 *
 * smtpd, which may talk to nobody outside, asks with ASK; the answer comes
 * when the service's does, or says why there is none.  CANCEL takes a question
 * back: it is not answered then.  Only services that the configuration names
 * are asked, and a request is looked at: it is one, and ends where it says.
 */
#ifndef IPC_MSG_DELEGATE_H
#define IPC_MSG_DELEGATE_H

#include "ipc/ipc.h"
#include "ipc/schema.h"

enum {
	DELEGATE_ASK = 1,	/* -> delegate_ask */
	DELEGATE_ANSWER,	/* <- delegate_answer */
	DELEGATE_CANCEL,	/* -> no body */
};

#define DELEGATE_SERVER_MAX	512	/* bytes of "inet:host:port" */
#define DELEGATE_REQUEST_MAX	(32 * 1024)
#define DELEGATE_ACTION_MAX	2048	/* bytes of "action=" */
#define DELEGATE_TIME_MAX	86400000 /* ms */
#define DELEGATE_TRIES_MAX	100
/* What delegate adds to the times of a question, at most: for its turn among
 * the questions to a busy service, ms. */
#define DELEGATE_QUEUE_MS	10000

#define DELEGATE_ASK_ROWS(ROW)						\
	ROW(STR, server, DELEGATE_SERVER_MAX)	/* as it is configured */ \
	ROW(STR, instance, 64)		/* what belongs to one message */ \
	ROW(U32, timeout_ms, DELEGATE_TIME_MAX)	/* to connect; to answer */ \
	ROW(U32, tries, DELEGATE_TRIES_MAX)	/* at least 1 */	\
	ROW(U32, delay_ms, DELEGATE_TIME_MAX)	/* between them */	\
	ROW(U32, idle_ms, DELEGATE_TIME_MAX)	/* of a connection */	\
	ROW(U32, ttl_ms, DELEGATE_TIME_MAX)	/* of a connection */	\
	ROW(U32, requests, UINT32_MAX)	/* over a connection; 0: any */	\
	ROW(BLOB, request, DELEGATE_REQUEST_MAX) /* with its empty line */
IPC_MESSAGE(delegate_ask, DELEGATE_ASK_ROWS)

#define DELEGATE_ANSWER_ROWS(ROW)					\
	ROW(BOOL, ok, )							\
	ROW(STR, action, DELEGATE_ACTION_MAX)				\
	ROW(STR, text, 512)		/* when not: why */
IPC_MESSAGE(delegate_answer, DELEGATE_ANSWER_ROWS)

static const struct ipc_proto DELEGATE_PROTO UNUSED = {
	.name = "delegate", .version = 1,
	.frame_max = 64 * 1024, .out_max = 16u << 20,
};

#endif
