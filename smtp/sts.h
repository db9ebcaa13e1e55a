/* SPDX-License-Identifier: ISC */
/*
 * sts - the MTA-STS policies of next hops, asked for at mtasts(8) and kept for
 * as long as it says.
 */
#ifndef SMTP_STS_H
#define SMTP_STS_H

#include "base/cc.h"
#include "base/span.h"
#include "io/loop.h"
#include "mail/sts.h"

/* What a domain demands; shared, and never changed. */
struct sts {
	unsigned	 refs;
	bool		 found;		/* a policy is in force */
	enum sts_mode	 mode;
	unsigned	 result;	/* enum mtasts_result */
	uint32_t	 max_age;
	char		 id[STS_ID_MAX + 1];
	char		*mx;		/* patterns, a space between */
};
struct sts *sts_ref(struct sts *s);	/* NULL is fine */
void	 sts_drop(struct sts **s);
/* A policy that is enforced, or that is to be reported on. */
bool	 sts_active(const struct sts *s);
/* One of its patterns has the host. */
bool	 sts_has_host(const struct sts *s, const char *host);

void	 sts_start(struct loop *l, const char *path);
/* From the cache, with a reference for the caller; or NULL. */
struct sts *sts_cached(struct span domain);
struct sts_query;
/* s is NULL when nobody can tell: mail waits.  Otherwise with a reference. */
typedef void sts_fn(void *arg, struct sts *s);
struct sts_query *sts_ask(struct span domain, sts_fn *fn, void *arg);
void	 sts_cancel(struct sts_query **q);

#endif
