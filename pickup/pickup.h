/* SPDX-License-Identifier: ISC */
/*
 * pickup.h - private to the pickup daemon: the session of one local command,
 * and the message it is handing in.
 */
#ifndef PICKUP_PICKUP_H
#define PICKUP_PICKUP_H

#include "base/arena.h"
#include "base/cc.h"
#include "base/list.h"
#include "base/why.h"
#include "io/sock.h"
#include "ipc/msg_cleanup.h"
#include "ipc/msg_submit.h"
#include "queue/envelope.h"

/* Bytes of envelope a message may have: less than cleanup takes. */
#define PICKUP_ENVELOPE_MAX	(CLEANUP_ENVELOPE_MAX - 64 * 1024)

enum session_state {
	SESSION_IDLE,		/* no message under way */
	SESSION_RCPTS,		/* after BEGIN */
	SESSION_CONTENT,	/* cleanup has the envelope */
	SESSION_WAIT,		/* after END, or after VERIFY */
	SESSION_SKIP		/* RESULT was sent early: passing over */
};

struct session {
	struct list		 link;
	struct ipc_conn		*conn;
	struct loop_timer	*timer;
	enum session_state	 state;
	uid_t			 uid;
	char			*login;		/* NULL: the uid has no name */
	uint32_t		 tag;		/* of the present message */
	struct message		*msg;
	uint32_t		 verify;	/* rewrite's tag, or 0 */
	bool			 paused;
};

/* A message from BEGIN until cleanup's RESULT; lives on without a session
 * when the client has gone after END. */
struct message {
	struct list		 link;
	struct session		*session;	/* or NULL */
	uint32_t		 tag;		/* cleanup's, 0: none yet */
	uid_t			 uid;
	struct arena		 arena;
	struct envelope		 env;
	size_t			 env_size;	/* an upper bound, encoded */
	uint64_t		 size;		/* bytes of content so far */
	char			 trace_id[TRACE_ID_MAX];
};

/* --- session.c ------------------------------------------------------------------ */

void	 session_start(int fd, const struct sock_addr *peer, int index);
void	 session_drain_all(void);
/* The outcome of the message under way: tell the client. */
void	 session_result(struct session *s, struct span code, struct span text,
	    struct span queue_id);
void	 session_pause_all(bool on);
void	 session_verified(uint32_t tag, const char *code, struct span text);

/* --- queue.c: the conversations with cleanup and rewrite --------------------------- */

MUST_CHECK int queue_start(struct why *why);
void	 message_free(struct message **m);
/* Hand cleanup the envelope; -1 with why when it takes none now. */
MUST_CHECK int queue_begin(struct message *m, struct why *why);
void	 queue_content(struct message *m, struct span bytes);
void	 queue_end(struct message *m);
/* The client gave up, or the message was refused here. */
void	 queue_abort(struct message *m);
bool	 queue_is_behind(void);			/* stop reading clients */
int64_t	 queue_delay_ms(void);			/* before a new message */
/* Ask where mail for an address goes; session_verified() follows.  0: not
 * now; else the tag. */
uint32_t queue_verify(struct span address);

/* --- rights.c: who may submit, and as whom ------------------------------------------ */

MUST_CHECK int rights_open(struct why *why);
/* 0, or -1 with why: 5.7.1, or 4.3.5 when a table could not be read. */
MUST_CHECK int rights_may_submit(uid_t uid, const char *login,
	    struct why *why);
MUST_CHECK int rights_may_send_as(uid_t uid, const char *login,
	    struct span sender, struct why *why);

#endif
