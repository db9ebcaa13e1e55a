/* SPDX-License-Identifier: ISC */
/*
 * clients - the connections of a daemon that answers requests (rewrite,
 * resolver, quotad ...): who is there, that nobody piles up answers which he
 * does not read, and how they part when the process is to end.
 */
#ifndef DAEMON_CLIENTS_H
#define DAEMON_CLIENTS_H

#include "base/cc.h"
#include "base/list.h"
#include "ipc/ipc.h"

struct client_kind;

/* What a daemon knows of a client begins with this; all of it is zeroed. */
struct client {
	struct list		 link;
	struct ipc_conn		*conn;
	const struct client_kind *kind;
	bool			 paused;	/* too much is unread */
};

struct client_kind {
	const struct ipc_proto	*proto;
	size_t	 size;			/* of the daemon's struct */
	void	(*begin)(struct client *c);	/* may be NULL */
	/* -1: it breaks the protocol, and goes. */
	int	(*on_frame)(struct client *c, const struct ipc_frame *f);
	/* It goes: drop its requests.  Nothing is sent any more.  May be
	 * NULL. */
	void	(*end)(struct client *c);
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
 * Say goodbye to all, for daemon.drain or daemon.retire: each gets the
 * answers that are written, and puts the other questions again, to the next
 * process.
 */
void	 clients_drain(void);

#endif
