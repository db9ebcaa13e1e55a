/* SPDX-License-Identifier: ISC */
/*
 * quota_count - how many recipients each login and domain has sent to lately,
 * kept over a restart.
 */
#ifndef CLEANUP_QUOTA_COUNT_H
#define CLEANUP_QUOTA_COUNT_H

#include "base/span.h"
#include "cleanup/quota.h"

struct counter;

/* Of a login ('l') or a domain ('d'); made when it is not there.  Good until
 * the next call. */
struct counter *quota_counter(char kind, struct span name);
/* The limit that n more would break, or NULL. */
const struct quota_limit *quota_counter_over(struct counter *c,
	    const struct quota_limits *l, uint64_t n);
void	 quota_counter_add(struct counter *c, const struct quota_limits *l,
	    uint64_t n);
/* Whether the postmaster is to be told, which is then taken as done. */
bool	 quota_counter_tell(struct counter *c);
/* All counters, as the file's text. */
void	 quota_counters_put(struct buf *out);
/* Such a text: how many of its lines make no sense; -1: its first does not, and
 * nothing of it was taken. */
MUST_CHECK int quota_counters_take(struct span text);
/* The process ends: from now on each change is written at once. */
void	 quota_counters_end(void);

#endif
