/* SPDX-License-Identifier: ISC */
/*
 * cleanup - private to the folder.  The life of a message:
 *
 *	BEGIN	session.c makes a struct message, envelope.c rewrites the
 *		sender, content.c begins the header with Received
 *	CONTENT	content.c: the header is completed, checked and rewritten as
 *		it comes in, field by field; the body is passed on
 *	END	envelope.c rewrites and expands the recipients; commit.c puts
 *		the record into the batch that gathers, commits it in a
 *		thread, and sends the RESULT
 *	then	feed.c tells qmgr
 *
 * message.c makes and frees it, room.c is flow control, quota.c counts what
 * logins send, and puts on hold what is too much; post.c is mail of our own.
 *
 * What a message wants refused, or thrown away, is noted in it (refuse(),
 * message.discard) and answered as soon as it is known; from then on its
 * frames are ignored.
 *
 * Memory.  A message is held in memory up to cleanup_inline_limit; a longer
 * one goes to large/ as it comes in.  Over cleanup_memory_limit, all told,
 * what comes in goes to large/ earlier, new messages are refused with 452,
 * and, when it is the disk that does not follow, connections are not read.
 */
#ifndef CLEANUP_CLEANUP_H
#define CLEANUP_CLEANUP_H

#include "base/arena.h"
#include "base/array.h"
#include "base/buf.h"
#include "base/cc.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/span.h"
#include "base/why.h"
#include "io/loop.h"
#include "io/sock.h"
#include "ipc/msg_cleanup.h"
#include "ipc/msg_feed.h"
#include "mail/mime.h"
#include "queue/envelope.h"
#include "queue/qlog.h"
#include "queue/qmsg.h"
#include "queue/queue_id.h"
#include "queue/spool.h"

struct message;
struct settings;

/* A client's connection. */
struct conn {
	struct list	 all;
	struct ipc_conn	*ipc;
	struct list	 messages;	/* open, syncing or committing */
	struct hash	 by_tag;	/* open ones */
	size_t		 count;		/* of messages */
	/* Numbers for queue ids that it may use; the older grant first. */
	struct grant {
		uint64_t next, end;
	} grants[2];
};

/* Which headers there were (message.seen). */
enum {
	SEEN_DATE = 1 << 0, SEEN_FROM = 1 << 1, SEEN_MESSAGE_ID = 1 << 2,
	SEEN_TO = 1 << 3,		/* To, Cc or Bcc: somebody is named */
	SEEN_RESENT = 1 << 4, SEEN_RESENT_DATE = 1 << 5,
	SEEN_RESENT_FROM = 1 << 6, SEEN_RESENT_MESSAGE_ID = 1 << 7,
	SEEN_RESENT_TO = 1 << 8, SEEN_TLS_REQUIRED = 1 << 9,
};

struct message {
	struct list	 in_conn;	/* of conn->messages */
	struct list	 in_work;	/* of a list in commit.c */
	struct conn	*conn;		/* NULL: nobody waits for the RESULT */
	uint32_t	 tag;
	enum { MESSAGE_OPEN, MESSAGE_SYNCING, MESSAGE_COMMITTING } state;
	int64_t		 active_ms;	/* the client's last frame */

	struct arena	 arena;
	char		 queue_id[QUEUE_ID_MAX];
	char		 trace_id[TRACE_ID_MAX];
	struct envelope	 env;
	bool		 local_headers;	/* complete and rewrite headers */
	size_t		 held;		/* bytes, counted in cleanup.held */

	/* The content. */
	struct mime	*mime;
	struct buf	 out;		/* what is not in the file */
	int		 large_fd;	/* -1, or large/tmp... */
	char		 large_tmp[SPOOL_PATH_MAX];
	uint64_t	 large_len;	/* bytes written there */
	uint64_t	 received;	/* bytes from the client */
	unsigned	 hops, seen;
	bool		 logged_id;	/* message-id= */
	bool		 last_newline, pending_cr;
	uint64_t	 body_checked;	/* bytes given to body_checks */
	bool		 pass;		/* PASS: no more checks */

	/* Decisions. */
	bool		 discard;
	bool		 hold;
	bool		 changed;	/* CHANGE has come */
	unsigned	 refused;	/* SMTP code, or 0 */
	struct why	 why;
	ARRAY(struct span) bcc;		/* BCC action */

	/* The record. */
	struct buf	 record;	/* u32 length, envelope */
	struct qlog_pos	 pos;
};

struct cleanup {
	struct loop	*loop;
	struct spool	 spool;
	int		 large_dirfd;
	struct qlog	*log;
	struct settings	*set;
	struct list	 conns;
	size_t		 messages;	/* all there are */
	size_t		 held;		/* bytes of memory for them */
	size_t		 committing;	/* bytes of those, under way */
	bool		 paused;	/* no connection is read */
	bool		 full;		/* CLEANUP_BUSY */
	uint32_t	 delay_ms;	/* CLEANUP_BUSY */
};
extern struct cleanup cl;

/* main.c's table */
int	 cleanup_start(struct why *why);
void	 cleanup_accept(int fd, const struct sock_addr *peer, int listener);
int	 cleanup_reload(struct why *why);
int	 cleanup_check(struct why *why);	/* only whether they are right */
void	 cleanup_drain(void);

/* The settings have been read; if not, they are now, when that can be. */
bool	 settings_ready(void);

/* --- session.c: connections ------------------------------------------------------- */

void	 session_start(void);
void	 session_accept(int fd);
/* The message's RESULT: 2.0.0, or what refuse() noted.  Frees it. */
void	 session_result(struct message *m);
void	 session_flush_all(void);

/* --- message.c: one of them --------------------------------------------------------- */

/* Counted in cleanup.messages until it is freed, with all that it has. */
struct message *message_new(void);
void	 message_free(struct message *m);
/* Refuse m; the first refusal holds.  -1, so that callers can return it. */
int	 refuse(struct message *m, unsigned smtp, const char *code,
	    const char *fmt, ...) PRINTF(4, 5);
int	 refuse_why(struct message *m, const struct why *why);

/* --- room.c: flow control ------------------------------------------------------------ */

void	 room_start(void);
/* Count memory; over the bound, pause or go on reading. */
void	 room_hold(struct message *m, size_t bytes);	/* bytes in all */
void	 room_committing(ptrdiff_t bytes);
bool	 room_crowded(void);		/* over the bound */
void	 room_set_busy(bool full, uint32_t delay_ms);
/* A new client hears of it. */
void	 room_tell(struct conn *c);
/* Look at the free space of the queue (at most once a second). */
bool	 room_full(void);
void	 room_look_again(void);		/* the settings have changed */
void	 room_note_full(void);		/* a write has failed with ENOSPC */

/* --- post.c: mail of our own ----------------------------------------------------------- */

/*
 * From nobody to rcpt: header lines, an empty line, a body.  Takes text.  It
 * goes its way in a later turn; nobody hears of it when it fails but the log.
 */
void	 post_mail(const char *rcpt, struct buf *text);

/* --- content.c: header and body -------------------------------------------------- */

void	 content_begin(struct message *m);
/* Returns -1 when m is refused or to be discarded. */
MUST_CHECK int content_write(struct message *m, struct span bytes);
MUST_CHECK int content_end(struct message *m);
void	 content_put(struct message *m, struct span bytes);
void	 content_free(struct message *m);
/* The client as logs and checks show it: "name[addr]" or "local". */
const char *content_origin(struct message *m);

/* --- made.c: fields that we make ------------------------------------------------- */

void	 made_received(struct message *m);
/* At the end of the header: Date, Message-Id, From, To where they lack. */
void	 made_missing(struct message *m);
/* Log a Message-Id, and note that there was one. */
void	 made_log_id(struct message *m, struct span value, bool resent);

/* --- envelope.c: sender and recipients ---------------------------------------------- */

MUST_CHECK int envelope_begin(struct message *m);
MUST_CHECK int envelope_end(struct message *m);

/* --- commit.c: the batch ----------------------------------------------------------- */

int	 commit_start(struct why *why);
/* A complete message: it will get its RESULT. */
void	 commit_message(struct message *m);
/* Its client has gone, or aborts. */
void	 commit_forget(struct message *m);
/* Be able to make so many queue ids (at most CLEANUP_NUMBERS_GRANT); once in
 * a million this writes. */
MUST_CHECK int commit_numbers(unsigned n, struct why *why);
/* Give away n numbers, the first of which is returned; after the above. */
uint64_t commit_grant(unsigned n);
/* A new queue id; commit_numbers() has returned 0. */
void	 commit_queue_id(char out[QUEUE_ID_MAX]);

/* --- feed.c: what qmgr is told ------------------------------------------------------- */

void	 feed_start(void);
void	 feed_accept(int fd);
void	 feed_message(const struct message *m);
void	 feed_drain(void);

#endif
