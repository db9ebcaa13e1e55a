/* SPDX-License-Identifier: ISC */
/*
 * engine - what speaks a protocol in a user's session process.
 *
 * A session process belongs to one user: it runs with the user's ids, sees
 * the user's mail and nothing else (Landlock, seccomp), and serves all of the
 * user's connections, of all protocols, in one event loop.  An engine (imap,
 * pop3) is a set of functions; the process makes the stream of a connection
 * and calls them.  They never block on a peer; they may read and write files.
 *
 * The life of a connection:
 *
 *	start	a client has just logged in; what it was told so far ends with
 *		its login command, which the engine answers (facts.tag).  Input
 *		that the front had read already is the stream's first input.
 *	...	the engine's stream_ops, whose arg is the session_conn
 *	idle	the engine says when nothing is under way and the client's
 *		next word, or a change of a mailbox, is all that can happen:
 *		session_idle().  After the service's hibernate time of that,
 *		and when all other connections of the user idle too, the
 *		process freezes them and exits.
 *	freeze	the engine writes what it needs to go on (a selected mailbox,
 *		a tag that IDLE is to be answered with), at most
 *		SESSION_STATE_MAX bytes, names the descriptors whose change
 *		concerns the client, and frees its data.  No output lies in
 *		the stream then and no input.
 *	thaw	in another process, later: the same connection goes on.
 *	return	the engine has freed its data and calls session_return(): the
 *		client is no user's any more, and the front's again.
 *	done	the engine has freed its data and calls session_done(), which
 *		sends out what was written and closes.
 *
 * drain is called when the connection is to end in good order: the engine
 * says goodbye (BYE with the text) as soon as the command under way allows,
 * and calls session_done().
 */
#ifndef SESSION_ENGINE_H
#define SESSION_ENGINE_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/cc.h"
#include "base/list.h"
#include "base/span.h"
#include "base/why.h"
#include "io/loop.h"
#include "io/stream.h"
#include "store/store.h"

#define SESSION_STATE_MAX	8192	/* bytes of a frozen connection */
#define SESSION_WATCH_MAX	8	/* descriptors watched for it */

struct account;			/* store/account.h */

/* Whose process this is; the same for all connections, for its whole life.
 * All of it comes from authd. */
struct session_user {
	const char	*name;		/* whose mail: "bob", "bob@example.org" */
	const char	*login;		/* who logged in; mostly the same */
	uid_t		 uid;
	gid_t		 gid;
	const char	*home;		/* "" when there is none */
	/* Where the mail lies: as struct store_place's fields of these names;
	 * detect is STORE_DETECT. */
	enum store_format format;
	bool		 detect;
	const char	*base, *path;
	bool		 is_virtual;	/* uid is not the user's alone */
	uint64_t	 quota_bytes;	/* 0: none */
	uint64_t	 quota_messages, quota_mailboxes;
	const char	*groups;	/* for ACLs, with blanks between */
};

/* What is known of a connection from its login. */
struct session_facts {
	const char	*id;		/* in every log line */
	const char	*tag;		/* IMAP: answer the login with it */
	const char	*client_ip, *server_ip;
	uint16_t	 client_port, server_port;
	const char	*method;	/* "PLAIN" */
	const char	*tls;		/* "" in the clear */
	const char	*notes;		/* what front and engine agree upon */
};

struct session_conn {
	struct loop		*loop;
	struct stream		*stream;
	const struct session_user *user;
	struct session_facts	 facts;
	void			*data;		/* the engine's */
	struct session_private	*priv;
};

/* Why a connection is drained. */
enum session_stop {
	SESSION_STOP_SHUTDOWN,		/* the server stops */
	SESSION_STOP_KICKED,		/* the administrator says so */
};

struct engine {
	const char	*service;	/* "imap": the ticket's, and the log's */
	/*
	 * The stream's handlers; arg is the session_conn.  On on_end the
	 * engine cleans up and calls session_done().
	 */
	const struct stream_ops *ops;
	size_t		 in_max, out_max;	/* at first; bytes */
	/* It never decodes a message's text, so its processes need not have
	 * the converters of character sets. */
	bool		 no_texts;
	/* It gives clients back (session_return()). */
	bool		 returns;
	/* In the monitor, once, as root, before anybody connects: fill tables
	 * that all sessions share.  Opens nothing that stays.  Or NULL. */
	void		(*warm)(void);
	/* Judge the service's settings; -1 with why.  Or NULL. */
	int		(*check)(struct why *why);
	void		(*start)(struct session_conn *c);
	/*
	 * 0: frozen, c->data is gone; -1: not now.  Or NULL: never.  Call
	 * session_watch() first and look for changes after that, so that none
	 * is missed.
	 */
	int		(*freeze)(struct session_conn *c, struct buf *state);
	/* Or NULL.  changed: a watched descriptor has changed (else it was
	 * input, or the other end is gone, or the server stops). */
	void		(*thaw)(struct session_conn *c, struct span state,
			    bool changed);
	void		(*drain)(struct session_conn *c, enum session_stop why);
	/* The process leaves, without connections: close what was kept of the
	 * account for the next one.  Or NULL. */
	void		(*forget)(void);
	/* What the monitor says to a frozen connection that it ends, since no
	 * engine is there: "* BYE Server shutting down\r\n". */
	const char	*goodbye;
	/* The service's user connection limit and hibernate time now. */
	int64_t		(*user_limit)(void);
	int64_t		(*hibernate_ms)(void);	/* < 0: never */
	/* Seconds between two logins of a user, at least (RFC 2449 6.6); or
	 * NULL. */
	int64_t		(*login_delay)(void);
};

/* --- what an engine calls --------------------------------------------------- */

/*
 * The user's account, opened at the first call and shared by all of the
 * process's connections; closed by the process.  NULL with why.
 */
struct account *session_account(struct session_conn *c, struct why *why);
/*
 * The user has given ident rights on some mailbox, or none any more: others'
 * next processes show it (shares.h).
 */
void	 session_shared(struct session_conn *c, struct span ident, bool on);
/* Nothing is under way (true), or something is again.  Cheap. */
void	 session_idle(struct session_conn *c, bool idle);
/* In freeze: wake this connection when what fd names is changed.  fd stays
 * the caller's.  At most SESSION_WATCH_MAX; -1 beyond. */
MUST_CHECK int session_watch(struct session_conn *c, int fd);
/* In freeze: meanwhile send the client text (at most 128 bytes) every so many
 * seconds, and wake the connection after expire_s; 0: not. */
void	 session_while_frozen(struct session_conn *c, struct span text,
	    uint32_t every_s, uint32_t expire_s);
/*
 * The connection is over: what was written to the stream goes out, if the
 * client takes it soon, and then it is closed (or c->stream is NULL already).
 * how ends its log line: "Logged out", "Connection closed", "Timeout";
 * counts, may be "", is put after it: "retr=3/4711 dele=1".  c is gone then.
 */
void	 session_done(struct session_conn *c, const char *how,
	    const char *counts);
/*
 * The client is nobody's again and goes back to the front, with rest, which is
 * all input behind the command that asked for it; where that is more than fits
 * (msg_session.h) the connection ends.  All that was written has been sent, and
 * no layer is needed any more.  c is gone then.
 */
void	 session_return(struct session_conn *c, struct span rest,
	    const char *how, const char *counts);
/* Other connections of this process, in the same loop: call fn for each but
 * c that has the same engine (to tell them of a change at once). */
void	 session_others(struct session_conn *c,
	    void (*fn)(struct session_conn *other, void *arg), void *arg);

/* The engines there are, each in the folder of its front; the program session
 * is linked with them. */
extern const struct engine imap_engine, pop3_engine;

#endif
