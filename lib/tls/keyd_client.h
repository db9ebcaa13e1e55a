/* SPDX-License-Identifier: ISC */
/*
 * keyd_client - this process's end of the conversation with keyd.
 *
 * One connection for all of the process's servers and clients; made again by
 * itself.  Questions that are under way when it ends are answered as failed
 * (signatures), or asked again (certificates).
 */
#ifndef TLS_KEYD_CLIENT_H
#define TLS_KEYD_CLIENT_H

#include "base/list.h"
#include "ipc/msg_keyd.h"

/* How long a signature may take before the handshake fails. */
#define KEYD_SIGN_MS	10000
/* How long the start of a daemon waits for certificates. */
#define KEYD_START_MS	5000

struct key_op;

/* One chain as keyd sent it. */
struct keyd_certs {
	uint64_t	key_id;
	struct buf	der;
};

struct keyd_answer {
	enum keyd_status	 status;
	struct span		 text;
	const struct keyd_certs	*v;
	size_t			 n;
};

/* A question for certificates, embedded in who asks; zeroed at first. */
struct keyd_ask {
	struct list	 link;		/* private */
	uint32_t	 tag;		/* private */
	struct keyd_certs got[KEYD_CHAINS_MAX];	/* private */
	size_t		 ngot;
	/* Set by the owner; strings stay the owner's. */
	struct keyd_get	 what;
	void		(*fn)(struct keyd_ask *a, const struct keyd_answer *);
};

/* Somebody who wants to know that sets have changed at keyd. */
struct keyd_listener {
	struct list	 link;		/* private */
	void		(*changed)(struct keyd_listener *l);
};

/* Begin; the path is relative to the working directory.  Again: nothing. */
void	 keyd_client_start(struct loop *l, const char *path);
/*
 * Ask.  fn is called once, later, from the loop; not after a cancel.  While
 * keyd is away the question waits.
 */
void	 keyd_client_ask(struct keyd_ask *a);
void	 keyd_client_ask_cancel(struct keyd_ask *a);
/*
 * The same, blocking, at the start of a daemon: fn is called from here, with
 * KEYD_FAILED when keyd does not answer within KEYD_START_MS.
 */
void	 keyd_client_ask_now(struct keyd_ask *a, const char *path);
void	 keyd_client_listen(struct keyd_listener *l);
void	 keyd_client_sign(struct key_op *op);
void	 keyd_client_cancel(struct key_op *op);

/* The keys for session tickets, the newest first; 0 when there are none. */
struct ticket_key {
	unsigned char	name[16], aes[32], mac[32];
};
size_t	 keyd_client_tickets(const struct ticket_key **keys);
/* Without keyd (tests, measurements): random keys of our own. */
void	 keyd_client_own_tickets(void);

#endif
