/* SPDX-License-Identifier: ISC */
/*
 * clients - the connections of a daemon that answers requests (rewrite,
 * resolver, quotad ...): who is there, that nobody piles up answers which he
 * does not read, and how they part when the process is to end.
 */
#ifndef DAEMON_CLIENTS_H
#define DAEMON_CLIENTS_H

#include "base/cc.h"
#include "base/hash.h"
#include "base/list.h"
#include "ipc/ipc.h"

struct client_kind;

struct client {
	struct list		 link;
	struct ipc_conn		*conn;
	const struct client_kind *kind;
	bool			 paused;	/* too much is unread */
	struct hash		 questions;	/* struct client_question */
};

/*
 * A request that is answered later: part of the daemon's own struct, which
 * belongs to the client until client_question_end().
 */
struct client_question {
	struct client	*client;
	uint32_t	 tag;
};

struct client_kind {
	const struct ipc_proto	*proto;
	/* -1: it breaks the protocol, and goes. */
	int	(*on_frame)(struct client *c, const struct ipc_frame *f);
	/* Its client has gone: end it and free it; nothing is sent any more.
	 * NULL where all is answered at once. */
	void	(*drop)(struct client_question *q);
};

/* The accept() of a daemon ends here; fd is the client's from now on. */
void	 clients_add(const struct client_kind *kind, int fd);
/*
 * Answer a request: encode into what this returns, then client_sent().  A
 * client that has too many answers unread is not read from.
 */
struct buf *client_answer(struct client *c, unsigned type, uint32_t tag);
void	 client_sent(struct client *c);
/*
 * Note a question that waits, whose tag no other of the client's has:
 * client_question_find() knows it until client_question_end().
 */
void	 client_question_begin(struct client *c, uint32_t tag,
	    struct client_question *q);
struct client_question *client_question_find(const struct client *c,
	    uint32_t tag);		/* or NULL */
void	 client_question_end(struct client_question *q);
/*
 * Say goodbye to all, for daemon.drain or daemon.retire: each gets the
 * answers that are written, and puts the other questions again, to the next
 * process.
 */
void	 clients_drain(void);

#endif
