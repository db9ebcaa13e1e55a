/* SPDX-License-Identifier: ISC */
/*
 * cleanup - hand a new message to the queue (private/cleanup).
 *
 * Clients: smtpd, pickup, bounce, local.  Each message is a tag of the
 * client's choosing.  BEGIN, any number of CONTENT, END; the answer is one
 * RESULT, which may come early (refused, queue full): the client then sends
 * no more for this tag.  ABORT drops a message that has no RESULT yet; there
 * is no answer to it.  RESULT with code 2.x.x is the promise: message and
 * envelope are on stable storage.
 *
 * A client that wants to log a message under its queue id before anybody else
 * does asks for NUMBERS and makes ids of them (queue_id_make()): the envelope
 * of BEGIN then names one.  Each number is good once, and they are used in
 * their order; others than smtpd leave queue_id empty and hear it in RESULT.
 */
#ifndef IPC_MSG_CLEANUP_H
#define IPC_MSG_CLEANUP_H

#include "ipc/ipc.h"
#include "ipc/schema.h"

#define CLEANUP_CHUNK_MAX	(64 * 1024)	/* bytes of a CONTENT */
#define CLEANUP_ENVELOPE_MAX	(8 * 1024 * 1024)

enum {
	CLEANUP_BEGIN = 1,	/* -> body: an encoded envelope */
	CLEANUP_CONTENT,	/* -> body: bytes; lines end in LF.
				 * smtpd has made binary parts base64 */
	CLEANUP_END,		/* -> empty */
	CLEANUP_ABORT,		/* -> empty */
	CLEANUP_RESULT,		/* <- cleanup_result */
	CLEANUP_BUSY,		/* <- cleanup_busy, tag 0: flow control */
	CLEANUP_WANT_NUMBERS,	/* -> empty, tag 0; not while two grants last */
	CLEANUP_NUMBERS,	/* <- cleanup_numbers, tag 0 */
	CLEANUP_CHANGE,		/* -> body: an encoded envelope, once, before END:
				 * ENV_HOLD, filter, redirect, and recipients
				 * to get a copy (BCC) are taken from it */
};

#define CLEANUP_RESULT_ROWS(ROW)					\
	ROW(STR, code, 12)	/* RFC 3463; "2.0.0" is the promise */	\
	ROW(U32, smtp, 599)	/* reply code for SMTP clients */	\
	ROW(STR, text, 512)	/* why not; "" on success */		\
	ROW(STR, queue_id, 32)	/* also when refused after BEGIN */	\
	ROW(BOOL, discard, )	/* accepted, and thrown away by a rule */
IPC_MESSAGE(cleanup_result, CLEANUP_RESULT_ROWS)

/* The queue is short of space or behind: while set, answer new MAIL with
 * 452 4.3.1 (or wait, see in_flow_delay). */
#define CLEANUP_BUSY_ROWS(ROW)						\
	ROW(BOOL, full, )						\
	ROW(U32, delay_ms, 60000)	/* wait before each new message */
IPC_MESSAGE(cleanup_busy, CLEANUP_BUSY_ROWS)

#define CLEANUP_NUMBERS_GRANT	1000
#define CLEANUP_NUMBERS_ROWS(ROW)					\
	ROW(U64, first, UINT64_MAX / 2)					\
	ROW(U32, count, CLEANUP_NUMBERS_GRANT)	/* 0: none to be had now */
IPC_MESSAGE(cleanup_numbers, CLEANUP_NUMBERS_ROWS)

static const struct ipc_proto CLEANUP_PROTO UNUSED = {
	.name = "cleanup", .version = 1,
	.frame_max = CLEANUP_ENVELOPE_MAX, .out_max = 64u << 20,
};

#endif
