/* SPDX-License-Identifier: ISC */
/*
 * control - the session monitor and a session process that it forked, over a
 * socket pair that nobody else has.
 *
 * The process is the less trusted end: it runs what clients send through an
 * engine.  What it sends back is a connection's number, a state that nobody
 * but its successor for the same user looks at, and descriptors to poll or to
 * watch; all of it only concerns connections that it was given.
 *
 * A process is forked before it is known whose it will be, and waits, still
 * as root, for USER; only then it becomes the user and enters the sandbox.
 *
 * Leaving.  A process without connections rests: the monitor may give it more
 * of them, minutes later, or say LEAVE, and sends nothing after that.  One
 * that was told by others to stop says IDLE when it has none left, with the
 * number of CONN frames that it has seen.  The monitor answers LEAVE when it
 * has sent no more than these; otherwise a connection is on its way, and the
 * process will say IDLE again.
 *
 * Stale.  While it rests, the user's mail may be moved away and other mail put
 * in its place (a restored backup), which a process that is shut up in the old
 * place cannot see.  It looks before it begins again, and gives a connection
 * that it cannot serve back as it came: STALE.  Another process gets it.
 */
#ifndef SESSION_CONTROL_H
#define SESSION_CONTROL_H

#include "ipc/msg_auth.h"
#include "ipc/msg_session.h"
#include "session/engine.h"

#define CONTROL_FACTS_MAX	2048
#define CONTROL_KEEPALIVE_MAX	128

enum {
	CONTROL_CONN = 1,	/* -> control_conn, with the descriptor */
	CONTROL_DRAIN,		/* -> control_drain */
	CONTROL_LOG,		/* -> empty, with the log's new descriptor */
	CONTROL_LEAVE,		/* -> empty: exit */
	CONTROL_DONE,		/* <- control_done */
	CONTROL_WATCH,		/* <- control_watch, with a descriptor */
	CONTROL_FROZEN,		/* <- control_frozen, with the descriptor */
	CONTROL_IDLE,		/* <- control_idle */
	CONTROL_HURRY,		/* -> empty: others need the room; until the
				 * next CONN hibernate, or leave, soon */
	CONTROL_SHARES,		/* -> auth_user, before USER: an account of the
				 * same uid that shares something with him */
	CONTROL_USER,		/* -> auth_user: whose process it is */
	CONTROL_SHARE,		/* <- control_share: about the user's own mail */
	CONTROL_SYSLOG,		/* -> as CONTROL_LOG: a socket of syslog */
	CONTROL_RETURN,		/* <- control_return, with the descriptor: the
				 * client is nobody's now */
	CONTROL_STALE,		/* <- control_conn, with the descriptor, both as
				 * they came */
};

/* What is known of a connection; the monitor keeps it as it is. */
#define CONTROL_FACTS_ROWS(ROW)						\
	ROW(STR, id, SESSION_ID_MAX)					\
	ROW(STR, tag, SESSION_TAG_MAX)					\
	ROW(STR, client_ip, SESSION_ADDR_MAX)				\
	ROW(U32, client_port, 65535)					\
	ROW(STR, server_ip, SESSION_ADDR_MAX)				\
	ROW(U32, server_port, 65535)					\
	ROW(STR, method, SESSION_METHOD_MAX)				\
	ROW(STR, tls, SESSION_TLS_MAX)					\
	ROW(STR, notes, SESSION_NOTES_MAX)
IPC_MESSAGE(control_facts, CONTROL_FACTS_ROWS)

#define CONTROL_CONN_ROWS(ROW)						\
	ROW(U32, serial, UINT32_MAX)					\
	ROW(STR, service, SESSION_SERVICE_MAX)				\
	ROW(BLOB, facts, CONTROL_FACTS_MAX)	/* control_facts */	\
	ROW(BLOB, input, SESSION_INPUT_MAX)	/* read by the front */	\
	ROW(BOOL, frozen, )			/* thaw it */		\
	ROW(BOOL, changed, )			/* a watch fired */	\
	ROW(BLOB, state, CONTROL_STATE_MAX)
/* The engine's state, and what the process adds to it. */
#define CONTROL_STATE_MAX	(SESSION_STATE_MAX + 64)
IPC_MESSAGE(control_conn, CONTROL_CONN_ROWS)

#define CONTROL_DRAIN_ROWS(ROW)						\
	ROW(U32, why, SESSION_STOP_KICKED)	/* enum session_stop */	\
	ROW(U32, serial, UINT32_MAX)		/* 0: all of them */
IPC_MESSAGE(control_drain, CONTROL_DRAIN_ROWS)

#define CONTROL_DONE_ROWS(ROW)						\
	ROW(U32, serial, UINT32_MAX)
IPC_MESSAGE(control_done, CONTROL_DONE_ROWS)

/*
 * What fstat(2) said of the descriptor before the engine looked for changes
 * for the last time: when it says something else after the watch was set, the
 * change came in between.
 */
#define CONTROL_WATCH_ROWS(ROW)						\
	ROW(U32, serial, UINT32_MAX)					\
	ROW(U64, size, UINT64_MAX)					\
	ROW(U64, mtime_ns, UINT64_MAX)
IPC_MESSAGE(control_watch, CONTROL_WATCH_ROWS)

#define CONTROL_FROZEN_ROWS(ROW)					\
	ROW(U32, serial, UINT32_MAX)					\
	ROW(BLOB, state, CONTROL_STATE_MAX)				\
	ROW(BLOB, keepalive, CONTROL_KEEPALIVE_MAX) /* sent to the client */ \
	ROW(U32, keepalive_s, 86400)	/* so often; 0: never */	\
	ROW(U32, expire_s, 7 * 86400)	/* wake it then; 0: never */
IPC_MESSAGE(control_frozen, CONTROL_FROZEN_ROWS)

#define CONTROL_RETURN_ROWS(ROW)					\
	ROW(U32, serial, UINT32_MAX)					\
	ROW(BLOB, input, SESSION_INPUT_MAX)	/* read, and not used */
IPC_MESSAGE(control_return, CONTROL_RETURN_ROWS)

#define CONTROL_IDLE_ROWS(ROW)						\
	ROW(U64, seen, UINT64_MAX)	/* CONN frames so far */
IPC_MESSAGE(control_idle, CONTROL_IDLE_ROWS)

#define CONTROL_SHARE_ROWS(ROW)						\
	ROW(STR, ident, 255)							\
	ROW(BOOL, on, )
IPC_MESSAGE(control_share, CONTROL_SHARE_ROWS)

/* Fill *u, whose strings lie in what is returned, to be mem_free()d. */
char	*session_user_init(struct session_user *u, const struct auth_user *a);
/* The other way; *a points into u. */
void	 session_user_tell(const struct session_user *u, struct auth_user *a);

static const struct ipc_proto CONTROL_PROTO UNUSED = {
	.name = "control", .version = 1,
	.frame_max = SESSION_INPUT_MAX + 16384, .out_max = 64u << 20,
	.secret = true,		/* input may hold a password */
};

#endif
