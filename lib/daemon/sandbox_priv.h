/* SPDX-License-Identifier: ISC */
/*
 * sandbox_priv - Landlock and seccomp, for sandbox.c.
 */
#ifndef DAEMON_SANDBOX_PRIV_H
#define DAEMON_SANDBOX_PRIV_H

#include "daemon/sandbox.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANDBOX_SANITIZED true	/* its runtime reads /proc and traces itself */
#else
#define SANDBOX_SANITIZED false
#endif

/* --- sandbox_files.c: Landlock -------------------------------------------------- */

/* The row's paths; nothing happens where the kernel has no Landlock. */
MUST_CHECK int sandbox_restrict_files(const struct jail *j, struct why *why);
/*
 * The same in two steps, for what as says: paths are opened by the first and
 * need not be open to whom the process becomes before the second.  A
 * descriptor, or -1, with why empty where the kernel has no Landlock.
 */
int	 sandbox_ruleset_for(const struct jail *j, const struct sandbox_as *as,
	    struct why *why);
MUST_CHECK int sandbox_ruleset_enter(int ruleset, struct why *why);

/* --- sandbox_calls.c: seccomp ---------------------------------------------------- */

MUST_CHECK int sandbox_restrict_calls(const struct jail *j, bool enforce,
	    struct why *why);
/* What sandbox_compile() has made, for this process. */
MUST_CHECK int sandbox_load_compiled(const struct jail *j, struct why *why);
void	 sandbox_describe_calls(const struct jail *j, struct buf *out);

#endif
