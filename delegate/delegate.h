/* SPDX-License-Identifier: ISC */
/*
 * delegate - the pieces of this folder.
 *
 *	session.c	the daemons that ask, and their questions
 *	server.c	the policy services of the configuration, their
 *			connections, and whose turn it is
 *	line.c		one connection: a request, an answer, another request
 *	dial.c		a connection is made
 *	reply.c		bytes to an action, no I/O
 */
#ifndef DELEGATE_DELEGATE_H
#define DELEGATE_DELEGATE_H

#include "base/list.h"
#include "base/span.h"
#include "conf/endpoint.h"
#include "daemon/clients.h"
#include "io/loop.h"
#include "io/sock.h"
#include "ipc/msg_delegate.h"

/* Connections to one service.  Further questions wait for their turn. */
#define LINES_MAX	64
/* Bytes of an answer with all its attributes. */
#define REPLY_MAX	(16 * 1024)
/* Questions of all clients. */
#define QUESTIONS_MAX	20000

struct line;

struct server {
	char		*spec;		/* "inet:127.0.0.1:9998" */
	const char	*shown;		/* "127.0.0.1:9998", in spec */
	struct endpoint	 where;
	bool		 named;		/* by the configuration of now */
	struct list	 lines;		/* struct line; the idle ones first */
	unsigned	 nlines;
	struct list	 waiting;	/* struct question, oldest first */
};

/* Owned by its client, and with a line or in the server's queue. */
struct question {
	struct client_question of;
	struct list	 link;		/* of server->waiting */
	struct server	*server;
	struct line	*line;		/* that asks it now, or NULL */
	struct loop_timer *timer;	/* the end of all patience */
	struct loop_timer *again;	/* the next attempt, or NULL */
	bool		 fresh;		/* not over a connection of before */
	unsigned	 tried;
	struct delegate_ask m;		/* m.request is ours */
	char		*request, *instance;
};

/* session.c */
void	 session_start(int fd, const struct sock_addr *peer, int index);
/* The end of a question; it is gone. */
void	 question_answer(struct question *q, bool ok, struct span action,
	    const char *text);

/* server.c */
void	 servers_read(void);		/* at the start, and at a reload */
struct server *servers_find(struct span spec);
/* Ask, now or when it is its turn. */
void	 server_ask(struct question *q);
/* Nobody wants the answer any more. */
void	 server_cancel(struct question *q);
/* What came of an attempt.  stale: the connection was an old one, and ended
 * before a byte of the answer. */
void	 server_answered(struct question *q, struct span action);
void	 server_failed(struct question *q, const char *reason, bool stale);
/* A connection has gone, or nobody uses it: whose turn is it? */
void	 server_next(struct server *srv);

/* line.c */
/* Make a connection for q. */
void	 line_open(struct server *srv, struct question *q);
/* The best one that is idle and may be used, or NULL. */
struct line *line_idle(struct server *srv, const struct question *q);
void	 line_ask(struct line *l, struct question *q);
/* Close it in the midst of a question. */
void	 line_drop(struct line **lp);
/* Those that nobody uses. */
void	 lines_close_idle(struct server *srv);

/* dial.c: fd, which is fn's, or -1 with the reason. */
struct dial;
typedef void dial_fn(void *arg, int fd, const char *reason);
void	 dial_setup(struct loop *l);
struct dial *dial_start(const struct endpoint *where, int64_t timeout_ms,
	    dial_fn *fn, void *arg);
void	 dial_cancel(struct dial **dp);

/* reply.c */
/*
 * The answer at the beginning of in: lines "name=value", an empty line.
 * 1: *action (of the first attribute with that name) and how many bytes the
 * answer has; 0: it is not whole yet; -1: that is no answer, *reason says why.
 */
MUST_CHECK int reply_parse(struct span in, struct span *action, size_t *used,
	    const char **reason);
/* Whether a request is one, and only one. */
bool	 request_valid(struct span text);

#endif
