/* SPDX-License-Identifier: ISC */
/*
 * password - password hashes.
 */
#ifndef AUTH_PASSWORD_H
#define AUTH_PASSWORD_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"
#include "base/why.h"

#define PASSWORD_MAX	511	/* bytes, as typed: libxcrypt's limit */

/*
 * How much work a hash is: FULL for one account (some 20 ms), LIGHT for many
 * at once (0.3 ms).  A light one is as good against everything but a thief of
 * the file; the next login replaces it by a full one.
 */
enum password_cost { PASSWORD_FULL, PASSWORD_LIGHT };

/*
 * Append "{yescrypt}$y$..." for a password.  May be called by several threads
 * at once.  -1 with why: empty, too long, holds a NUL.
 */
MUST_CHECK int password_hash(struct span password, enum password_cost cost,
	    struct buf *out, struct why *why);
/* 1 it is the password, 0 it is not, -1 the hash is of no kind that we know.
 * Takes as long for a wrong password as for the right one. */
MUST_CHECK int password_check(struct span password, struct span hash);
/* Whether a hash is one that password_hash(FULL) would not make today. */
bool	 password_is_light(struct span hash);

#endif
