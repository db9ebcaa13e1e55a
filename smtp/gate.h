/* SPDX-License-Identifier: ISC */
/*
 * gate - how many TLS handshakes are under way at the same time.
 *
 * OpenSSL needs some 24 KiB for each beyond what the connection needs later.
 * When thousands of sessions begin at once, no handshake is done sooner
 * because all are under way, but all that memory is needed at the same time.
 *
 * So there is a limit, and who comes later waits, first come, first served.
 * Peers that never finish must not hold up the others: a handshake counts
 * only as long as one usually takes, and a few times that.  A full gate thus
 * opens again within GATE_PATIENCE_MAX_MS whatever the peers do, and what the
 * limit bounds is how many begin in that time.
 *
 * No I/O and no clock: the caller says what time it is.
 */
#ifndef SMTP_GATE_H
#define SMTP_GATE_H

#include "base/cc.h"
#include "base/list.h"

#define GATE_PATIENCE_MIN_MS	250
#define GATE_PATIENCE_MAX_MS	2000

struct gate {
	struct list	 waiting;	/* first come first */
	struct list	 counted;	/* first begun first */
	size_t		 ncounted, limit;
	int64_t		 usual_ms;	/* that a handshake takes, smoothed */
};

/* One handshake; zeroed before it enters. */
struct gate_pass {
	struct list	 link;
	enum { PASS_NONE, PASS_WAITS, PASS_COUNTS, PASS_LATE } state;
	int64_t		 began_ms;
};

/* limit is 1 at least. */
void	 gate_init(struct gate *g, size_t limit);
/* True: begin.  False: it waits until gate_next() returns it. */
bool	 gate_enter(struct gate *g, struct gate_pass *p, int64_t now_ms);
/*
 * Over, or given up, also while it waits; nothing when it never entered.
 * finished: the peer has done its part, so its time tells what is usual.
 */
void	 gate_leave(struct gate *g, struct gate_pass *p, int64_t now_ms,
	    bool finished);
/* Whose turn it is to begin; NULL: nobody's yet. */
struct gate_pass *gate_next(struct gate *g, int64_t now_ms);
/*
 * Milliseconds until gate_next() is to be asked again, if nobody leaves
 * before; -1: nobody waits.
 */
int64_t	 gate_due_ms(const struct gate *g, int64_t now_ms);

#endif
