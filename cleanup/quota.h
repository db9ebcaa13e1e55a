/* SPDX-License-Identifier: ISC */
/*
 * quota - how much a login, and all logins of a domain, may send
 * (sender_quota_maps, sender_domain_quota_maps).
 */
#ifndef CLEANUP_QUOTA_H
#define CLEANUP_QUOTA_H

#include "cleanup/cleanup.h"

#define QUOTA_LIMITS_MAX	4	/* "500/1h 2000/1d" has two */

#define QUOTA_SECONDS_MAX	(10000LL * 7 * 86400)

struct quota_limit {
	uint64_t	max;		/* recipients */
	int64_t		seconds;
};

struct quota_limits {
	struct quota_limit	v[QUOTA_LIMITS_MAX];
	size_t			n;	/* 0: unlimited */
};

/* "500/1h 2000/1d", "unlimited"; -1: neither. */
MUST_CHECK int quota_parse(struct span text, struct quota_limits *out);
/* Whether a table can have this value; see maps_judge(). */
MUST_CHECK int quota_judge(struct span text, struct why *why);
/*
 * Count a message that goes to n recipients, or put it on hold or refuse it.
 * -1 when it was refused.
 */
MUST_CHECK int quota_check(struct message *m, uint64_t n);

#endif
