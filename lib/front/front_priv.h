/* SPDX-License-Identifier: ISC */
/*
 * front_priv - a client, between the files of this folder.
 */
#ifndef FRONT_FRONT_PRIV_H
#define FRONT_FRONT_PRIV_H

#include "auth/auth_client.h"
#include "base/hash.h"
#include "base/list.h"
#include "conf/table.h"
#include "front/front.h"
#include "ipc/msg_session.h"

#define FRONT_ID_LEN	16

enum front_state {
	FRONT_HANDSHAKE,	/* TLS begins */
	FRONT_TALK,		/* the protocol's parser has the input */
	FRONT_SASL_LINE,	/* the client's answer to a challenge */
	FRONT_SASL_WAIT,	/* for authd */
	FRONT_HAND_INPUT,	/* the rest of the input is to be taken along */
	FRONT_HAND_WAIT,	/* for the session monitor */
	FRONT_PUMP,		/* the session has the client, we the TLS */
	FRONT_ENDING,		/* at the end of this turn */
};

/* What is only needed until the session has begun. */
struct prelogin {
	struct sock_addr	 peer, local;
	char			 id[FRONT_ID_LEN + 1];
	int64_t			 since_ms;
	void			*data;		/* the protocol's */
	int64_t			 errors, attempts;
	bool			 quit;		/* once all is written */
	/* A login. */
	struct auth_attempt	*attempt;
	char			 method[SESSION_METHOD_MAX + 1];
	char			 tag[SESSION_TAG_MAX + 1];
	char			 user[AUTH_NAME_MAX + 1];	/* authd's */
	char			 ticket[AUTH_TICKET_LEN];
	size_t			 ticket_len;
	struct buf		 notes;
	/* The hand-over. */
	int			 pair;		/* our end; -1 in the clear */
	struct buf		 taken;		/* input that went along */
};

struct front {
	struct list		 link;		/* front_all */
	struct stream		*client, *inner;
	struct front_counter	*counter;	/* of its address */
	struct prelogin		*pre;		/* NULL: FRONT_PUMP */
	uint32_t		 request;	/* at the monitor, also while we
						 * pump; 0: none */
	enum front_state	 state;
	bool			 half_closed;	/* FRONT_PUMP: no more input */
	uint64_t		 literal;	/* FRONT_PUMP: front_pump_ends() */
	struct loop_defer	 later;
};

/* The process. */
struct front_process {
	const struct front_ops		*ops;
	const struct front_settings	*set;
	struct list			 all;
	struct match_list		*cleartext, *exceptions;
	struct tls_server		*tls;
	struct auth_client		*auth;
	struct ipc_client		*monitor;
	bool				 draining;
};
extern struct front_process front_process;

/* --- front.c ------------------------------------------------------------------------ */

/* Forget the client; it is not told anything any more. */
void	 front_free(struct front *f);
/*
 * A session gave back fd, a client that speaks no TLS, which is taken; rest is
 * what was read of it.  id is its name in the log.
 */
void	 front_readmit(int fd, struct span id, struct span rest);
/* The same for one that we have, with TLS, and whose session is over. */
void	 front_readmit_tls(struct front *f, struct span id, struct span rest);
/* The session has begun: what was for the login is not needed any more. */
void	 front_prelogin_done(struct front *f);
/* After a login that failed, or TLS: the protocol goes on. */
void	 front_talk(struct front *f);
/* A last word, then the end. */
void	 front_goodbye(struct front *f, enum front_bye why);
/* "rip=..., lip=..., TLS, session=<...>" for log lines. */
void	 front_describe(const struct front *f, struct buf *out);

/* --- sasl.c -------------------------------------------------------------------------- */

void	 front_sasl_line(struct front *f);	/* input in FRONT_SASL_LINE */
void	 front_sasl_forget(struct prelogin *p);
/* Facts for authd; spans and strings live as long as *bytes. */
struct front_binding {
	unsigned char	exporter[TLS_BINDING_MAX], endpoint[TLS_BINDING_MAX];
};
void	 front_facts(const struct front *f, struct auth_facts *out,
	    struct front_binding *bytes);

/* --- hand.c --------------------------------------------------------------------------- */

void	 front_hand_init(void);
/* The ticket is in pre: give the client to the session monitor. */
void	 front_hand(struct front *f);
void	 front_hand_input(struct front *f);	/* in FRONT_HAND_INPUT */
void	 front_hand_forget(struct front *f);

/* --- pump.c --------------------------------------------------------------------------- */

/* fd is our end of the socket pair; taken. */
void	 front_pump(struct front *f, int fd);
/*
 * Stop: what the session has written is the client's, and what it has not read,
 * which is found at its end of the pair, fd, is added to rest.  fd stays the
 * caller's.  -1: more than we keep.
 */
MUST_CHECK int front_pump_end(struct front *f, int fd, struct buf *rest);
/*
 * Whether what a client sent may end with a command's end; *literal is what
 * still belongs to a literal.  A guess, for which nothing but the time of an
 * acknowledgement hangs: we do not read the commands that we pass on.
 */
bool	 front_pump_ends(uint64_t *literal, struct span in);

#endif
