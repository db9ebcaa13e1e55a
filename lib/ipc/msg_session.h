/* SPDX-License-Identifier: ISC */
/*
 * session - a front (imapd, pop3d) hands a client that has logged in to the
 * monitor, which gives it to the user's own process (private/session).
 *
 * START carries the one-time ticket that authd gave the front, a descriptor
 * (the client's own socket in the clear; with TLS one end of a socket pair
 * whose other end the front pumps) and what the front has read already and
 * not used.  The monitor believes nothing in it but the ticket, which it
 * redeems at authd: who the user is comes from there.  All else is passed on
 * to the engine as it is, and shown in the log.  The front keeps its copy of
 * the descriptor, without reading, until the answer: STARTED (the connection
 * is the session's now, which also answers the client's login command; close
 * it, or pump) or REFUSED (answer the client yourself).
 *
 * RETURNED comes long after STARTED, when the client is nobody's any more (IMAP
 * UNAUTHENTICATE): the tag is START's, the descriptor what the session had.
 * With TLS the front has the client still, and what it has pumped and the
 * session has not read lies in that descriptor.  In the clear it is the
 * client's socket, which also another front of the service may get (tag 0).
 * All there is to know of the client the front asks the kernel.
 *
 * WHO and KICK are for the administrator: only root, or who the monitor runs
 * as, gets an answer.  WHO is answered by a ROW for each session and END;
 * KICK by END with the number of sessions that were ended.  The tag is the
 * client's to choose.
 *
 * A session is named by an id that the front made (20 characters); the same
 * stands in the log lines of front, authd and session.
 */
#ifndef IPC_MSG_SESSION_H
#define IPC_MSG_SESSION_H

#include "ipc/ipc.h"
#include "ipc/schema.h"

#define SESSION_TICKET_MAX	32	/* bytes */
#define SESSION_SERVICE_MAX	16	/* "imap", "pop3" */
#define SESSION_ID_MAX		32
#define SESSION_TAG_MAX		256	/* IMAP: the tag to answer */
#define SESSION_ADDR_MAX	64	/* text of an IP address */
#define SESSION_TLS_MAX		128	/* "TLSv1.3 with cipher ..." */
#define SESSION_METHOD_MAX	32	/* "SCRAM-SHA-256" */
#define SESSION_NOTES_MAX	512	/* of the protocol's own, see engine */
#define SESSION_INPUT_MAX	(256 * 1024)	/* more than one read brings */
#define SESSION_TEXT_MAX	256
#define SESSION_USER_MAX	512

enum {
	SESSION_START = 1,	/* -> session_start, with a descriptor */
	SESSION_STARTED,	/* <- empty */
	SESSION_REFUSED,	/* <- session_refused */
	SESSION_WHO,		/* -> session_whom */
	SESSION_KICK,		/* -> session_whom */
	SESSION_ROW,		/* <- session_row */
	SESSION_END,		/* <- session_end */
	SESSION_RETURNED,	/* <- session_returned, with a descriptor */
};

/* Why a session could not begin, for the response code to answer with. */
enum {
	SESSION_NOT_NOW = 1,	/* a failure of ours: [UNAVAILABLE], [SYS/TEMP] */
	SESSION_TOO_MANY,	/* the user's limit of connections */
	SESSION_TOO_SOON,	/* after the last login */
	SESSION_FORGED,		/* no such ticket, or used, or too old */
};

#define SESSION_START_ROWS(ROW)						\
	ROW(BLOB, ticket, SESSION_TICKET_MAX)				\
	ROW(STR, service, SESSION_SERVICE_MAX)				\
	ROW(STR, id, SESSION_ID_MAX)					\
	ROW(STR, tag, SESSION_TAG_MAX)	/* "" in POP3 */		\
	ROW(STR, client_ip, SESSION_ADDR_MAX)				\
	ROW(U32, client_port, 65535)					\
	ROW(STR, server_ip, SESSION_ADDR_MAX)				\
	ROW(U32, server_port, 65535)					\
	ROW(STR, method, SESSION_METHOD_MAX)				\
	ROW(STR, tls, SESSION_TLS_MAX)	/* "" in the clear */		\
	ROW(STR, notes, SESSION_NOTES_MAX)				\
	ROW(BLOB, input, SESSION_INPUT_MAX)
IPC_MESSAGE(session_start, SESSION_START_ROWS)

#define SESSION_REFUSED_ROWS(ROW)					\
	ROW(U32, reason, SESSION_FORGED)				\
	ROW(STR, text, SESSION_TEXT_MAX) /* for the client */
IPC_MESSAGE(session_refused, SESSION_REFUSED_ROWS)

#define SESSION_RETURNED_ROWS(ROW)					\
	ROW(STR, id, SESSION_ID_MAX)	/* as in START */		\
	ROW(BLOB, input, SESSION_INPUT_MAX) /* read, and not the session's */
IPC_MESSAGE(session_returned, SESSION_RETURNED_ROWS)

#define SESSION_WHOM_ROWS(ROW)						\
	ROW(STR, whom, SESSION_USER_MAX) /* user or session; "": all */
IPC_MESSAGE(session_whom, SESSION_WHOM_ROWS)

#define SESSION_ROW_ROWS(ROW)						\
	ROW(STR, user, SESSION_USER_MAX)				\
	ROW(STR, service, SESSION_SERVICE_MAX)				\
	ROW(STR, id, SESSION_ID_MAX)					\
	ROW(STR, client_ip, SESSION_ADDR_MAX)				\
	ROW(U32, client_port, 65535)					\
	ROW(STR, tls, SESSION_TLS_MAX)					\
	ROW(U32, pid, INT32_MAX)	/* 0: hibernated */		\
	ROW(U64, since, UINT64_MAX)	/* wall clock, seconds */
IPC_MESSAGE(session_row, SESSION_ROW_ROWS)

#define SESSION_END_ROWS(ROW)						\
	ROW(U32, count, UINT32_MAX)	/* sessions shown, or ended */
IPC_MESSAGE(session_end, SESSION_END_ROWS)

static const struct ipc_proto SESSION_PROTO UNUSED = {
	.name = "session", .version = 1,
	.frame_max = SESSION_INPUT_MAX + 4096, .out_max = 8u << 20,
	.secret = true,		/* input may hold a password */
};

#endif
