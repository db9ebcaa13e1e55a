/* SPDX-License-Identifier: ISC */
/*
 * verify.h - private to verify.
 */
#ifndef VERIFY_VERIFY_H
#define VERIFY_VERIFY_H

#include "base/cc.h"
#include "base/list.h"
#include "base/span.h"
#include "base/why.h"
#include "io/sock.h"
#include "ipc/msg_verify.h"

/* --- cache.c: what is known; no I/O but the file ----------------------------------- */

#define CACHE_MAX	100000	/* addresses; the ones not asked for longest go */

struct entry {
	struct list	 lru;		/* oldest first */
	struct span	 address;	/* folded: the hash's key */
	enum verify_status status;
	int64_t		 probed;	/* wall clock, seconds; 0: no probe out */
	int64_t		 updated;	/* the status's age; 0 none */
	char		*text;
	struct list	 waiters;	/* session.c */
};

/* Read the file; what cannot be read is warned of and left. */
void	 cache_open(void);
/* The entry for address, made when there is none. */
struct entry *cache_enter(struct span address);
struct entry *cache_find(struct span address);
/* Whether the status has to be asked for anew, at the wall clock's now. */
bool	 cache_is_due(const struct entry *e, int64_t now);
/* A probe is on its way. */
void	 cache_probed(struct entry *e, int64_t now);
/*
 * A probe has come back.  Failures are not kept while a success lasts, nor
 * when address_verify_negative_cache is off; false when it was not taken.
 */
bool	 cache_update(struct entry *e, enum verify_status status,
	    struct span text, int64_t now);
/* Probes that have not come back. */
unsigned cache_pending(void);
/* Forget what has expired. */
void	 cache_sweep(int64_t now);
/* Write the file if there is something new. */
void	 cache_save(void);

/* One line of the file, "status:probed:updated:text" as in Postfix. */
void	 cache_value_put(const struct entry *e, struct buf *out);
MUST_CHECK int cache_value_parse(struct span value, struct entry *e);

/* --- session.c: clients ------------------------------------------------------------- */

void	 session_start(int fd, const struct sock_addr *peer, int index);

/* --- probe.c: messages that nobody gets ----------------------------------------------- */

void	 probe_start(void);
/* Send one, or when cleanup is away, none. */
void	 probe_send(struct span address);
/* Whether this is the address that our own probes come from. */
bool	 probe_is_sender(struct span address);

#endif
