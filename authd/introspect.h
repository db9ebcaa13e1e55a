/* SPDX-License-Identifier: ISC */
/*
 * introspect - access tokens that only those who issued them can judge (RFC
 * 7662), asked by a process of its own (helper.h): authd has no network, and
 * never sees what comes from one.
 *
 * What was said is kept for authd_oauth_introspection_cache_time, at most
 * until the token ends; a token is kept as a MAC of itself only.
 */
#ifndef AUTHD_INTROSPECT_H
#define AUTHD_INTROSPECT_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"
#include "base/why.h"
#include "io/loop.h"

enum introspect_result {
	INTROSPECT_BAD,
	INTROSPECT_GOOD,
	INTROSPECT_UNKNOWN	/* there is no answer now */
};

struct introspect_job;
/* user: of a good token.  Not called after introspect_cancel(). */
typedef void introspect_fn(void *arg, enum introspect_result r,
	    struct span user);

MUST_CHECK int introspect_check(struct why *why);	/* the settings */
/* Before helpers_fork(). */
MUST_CHECK int introspect_open(struct why *why);
void	 introspect_forget(void);		/* what is kept */
/* INTROSPECT_UNKNOWN: nothing is kept. */
enum introspect_result introspect_known(struct span token, struct buf *user);
/* NULL: the process is away, or too much is waiting. */
struct introspect_job *introspect_ask(struct span token, introspect_fn *fn,
	    void *arg);
void	 introspect_cancel(struct introspect_job **j);

#endif
