/* SPDX-License-Identifier: ISC */
/*
 * private - the session process's own view of itself.
 */
#ifndef SESSION_PRIVATE_H
#define SESSION_PRIVATE_H

#include "base/array.h"
#include "ipc/ipc.h"
#include "session/control.h"
#include "session/engine.h"
#include "session/shares.h"

struct session_private {
	struct session_conn	 conn;		/* what the engine sees */
	struct list		 link;		/* session_process.conns */
	uint32_t		 serial;	/* the monitor's */
	const struct engine	*engine;
	char			*facts;		/* bytes of conn.facts */
	uint64_t		 in, out;	/* bytes of frozen streams */
	uint64_t		 since;		/* wall clock, seconds */
	bool			 idle;
	int64_t			 idle_ms;	/* monotonic, when it began */
	/* While it is being frozen. */
	unsigned		 watches;
	struct span		 keepalive;
	uint32_t		 keepalive_s, expire_s;
};

struct session_process {
	struct loop		*loop;
	const struct session_user *user;
	const struct engine *const *engines;
	/* Accounts of the same uid that share something with the user. */
	const struct session_user *shares[SHARES_USER_MAX];
	size_t			 nshares;
	/* Where the user's mail lies, and theirs. */
	struct session_place {
		dev_t	dev;
		ino_t	ino;	/* 0: there was nothing */
	}			 places[1 + SHARES_USER_MAX];
	struct account		*account;	/* NULL: not open yet */
	void			(*close_account)(void);
	struct ipc_conn		*control;	/* NULL: the monitor is gone */
	struct list		 conns;		/* session_private.link */
	uint64_t		 seen;		/* CONN frames */
	bool			 draining;
	bool			 leaving;	/* CONTROL_LEAVE */
	bool			 hurry;		/* CONTROL_HURRY */
	struct loop_timer	*last_words, *overdue, *hibernate;
};

extern struct session_process session_process;

/* A connection from the monitor; takes fd.  -1: not to be understood. */
MUST_CHECK int session_conn_new(const struct engine *e,
	    const struct control_conn *m, int fd);
/* Think again about when to hibernate. */
void	 session_conn_consider(void);
/* Give back space, once in store_purge_interval; nobody waits for us. */
void	 session_purge(void);
/* A connection has gone: perhaps it was the last. */
void	 session_process_empty(void);

#endif
