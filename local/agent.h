/* SPDX-License-Identifier: ISC */
/*
 * agent - what local and virtual have in common: batches from qmgr, statuses
 * to it, and the checkpoint that makes mailboxes durable (ipc/msg_deliver.h).
 *
 * A turn takes all requests that have arrived, delivers them in order,
 * gathers the statuses and sends them in one write.  What takes long calls
 * agent_slow() first: the statuses so far go out at once, and the rest of the
 * batch goes back to qmgr, which gives it to another worker.
 *
 * A delivery counts as DELIVERED at once but is durable only after the
 * checkpoint that follows (checkpoint.h), and only then qmgr may forget.  When
 * that fails the process exits without a CHECKPOINT; qmgr hands everything out
 * again with `recovered'.
 */
#ifndef LOCAL_AGENT_H
#define LOCAL_AGENT_H

#include "base/arena.h"
#include "base/array.h"
#include "base/why.h"
#include "ipc/msg_deliver.h"
#include "queue/envelope.h"
#include "store/store.h"

#define BATCH_MAX	500	/* requests taken in one turn */
#define HEADER_SCAN_MAX	(256u * 1024)	/* bytes searched for Delivered-To */

struct job {
	uint32_t		 tag;
	struct deliver_message	 req;
	struct envelope		 env;
	struct store_content	 content;
	int			 own_fd;	/* a file's; -1 a segment's */
	struct arena		*arena;		/* the turn's */
	size_t			 next;		/* recipient not yet answered */
	bool			 scanned;
	ARRAY(struct span)	 delivered_to;	/* found in the header */
};

struct result {
	enum deliver_outcome	 outcome;
	struct why		 why;		/* code and text, success too */
	char			 relay[256];
	const char		*action;	/* RFC 3464; "" for the plain one */
	bool			 durable;	/* needs no checkpoint */
};

struct agent {
	const char	*name;			/* "local": the relay in logs */
	const char	*status_filter;		/* a setting: maps, or "" */
	/* One recipient, or all that are left with the same result for
	 * each: an agent has one of the two. */
	void		(*deliver)(struct job *j, const struct rcpt *r,
			    struct result *out);
	void		(*deliver_all)(struct job *j, struct result *out);
};

/* Once, in the jail: starts the checkpoint thread. */
MUST_CHECK int agent_start(const struct agent *a, const char *lock_attempts,
	    struct why *why);
/* Whether the agent's filter can be opened, for the daemon's check(). */
MUST_CHECK int agent_check(const char *filter, const char *value,
	    struct why *why);
/* The daemon's serve(). */
void	 agent_serve(int fd);
struct store *agent_store(void);
void	 agent_slow(void);
/*
 * Wait until fd (-1: none) has one of events or ms are over, and serve the
 * checkpoint meanwhile.  1 fd is ready, 0 not.
 */
int	 agent_wait(int fd, short events, int64_t ms);

/* --- for the deliver functions ---------------------------------------------- */

void	 result_ok(struct result *r, const char *fmt, ...) PRINTF(2, 3);
void	 result_bounce(struct result *r, const char *code, const char *fmt, ...)
	    PRINTF(3, 4);
void	 result_defer(struct result *r, const char *code, const char *fmt, ...)
	    PRINTF(3, 4);
/* By the class of why's code. */
void	 result_why(struct result *r, const struct why *why);
/* Whether the message has passed this recipient before (Delivered-To:). */
bool	 job_delivered_to(struct job *j, struct span addr);
/*
 * Return-Path:, X-Original-To: and Delivered-To:, each "Name: value\n".  An
 * empty span leaves the line out (sender NULL p: no Return-Path).
 */
void	 job_head(struct buf *out, const struct rcpt *r, struct span sender,
	    struct span delivered_to);
/* "fcntl, dotlock" -> STORE_LOCK_*; -1 with why. */
MUST_CHECK int lock_parse(const char *title, const char *value,
	    unsigned *out, struct why *why);

#endif
