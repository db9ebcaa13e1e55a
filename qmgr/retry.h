/* SPDX-License-Identifier: ISC */
/*
 * retry - when to try again, when to give up, and how many at a time: the
 * arithmetic of the scheduler, without state of its own and without I/O.
 */
#ifndef QMGR_RETRY_H
#define QMGR_RETRY_H

#include "base/cc.h"
#include "base/span.h"

/*
 * The next attempt: the message waits as long again as it has waited, but at
 * least min_s and at most max_s (minimal_ and maximal_backoff_time).  An
 * arrival in the future (the clock was set back) counts as now.
 */
int64_t	 retry_next_us(int64_t now_us, int64_t arrival_us, int64_t min_s,
	    int64_t max_s);
/*
 * A stored time of next attempt, made sane: when it was stored at a time that
 * lies ahead, the clock was set back, and what it was to wait counts from now;
 * and it is never further away than max_s.
 */
int64_t	 retry_found_us(int64_t next_us, int64_t stored_us, int64_t now_us,
	    int64_t max_s);
/* Whether a message is older than its lifetime. */
bool	 retry_expired(int64_t now_us, int64_t arrival_us, int64_t lifetime_s);

/*
 * Concurrency per destination, the algorithm of Postfix's SCHEDULER_README:
 * feedback of a fraction per delivery, with hysteresis, and a destination is
 * dead when whole cohorts of deliveries failed.
 */
struct feedback {
	enum { FEEDBACK_CONST, FEEDBACK_1_N, FEEDBACK_1_SQRT_N } kind;
	double	value;
};
/* "1", "0.5", "1/4", "1/concurrency", "1/sqrt_concurrency"; 0 or -1. */
MUST_CHECK int feedback_parse(struct span text, struct feedback *out);

struct window {
	int64_t	size;		/* deliveries at a time; 0: dead */
	double	success, failure, fail_cohorts;
};
struct window_limits {
	int64_t		initial, limit;	/* PARAM_UNLIMITED is fine */
	struct feedback	positive, negative;
	int64_t		failed_cohorts;	/* dead beyond this many; 0 never */
};
void	 window_init(struct window *w, const struct window_limits *lim);
/* A delivery got through to the destination; busy are under way. */
void	 window_good(struct window *w, const struct window_limits *lim,
	    int64_t busy);
/* The destination as a whole failed.  True: it is dead now. */
bool	 window_bad(struct window *w, const struct window_limits *lim);

#endif
