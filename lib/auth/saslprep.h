/* SPDX-License-Identifier: ISC */
/*
 * saslprep - names and passwords as they are compared (RFC 4013, the profile
 * of stringprep that RFC 4616 and RFC 5802 ask for).
 *
 * The same word can be typed as different bytes: an e with an accent is one
 * character on one keyboard and two on another, a space may be one that does
 * not break.  What is prepared is the same for all of them.
 */
#ifndef AUTH_SASLPREP_H
#define AUTH_SASLPREP_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"

/*
 * Append the prepared text to out.  Text in ASCII stays what it is.  -1, with
 * nothing appended: not UTF-8, a character that is forbidden (controls,
 * private use, tags), or left and right mixed in the forbidden way.
 * Characters that Unicode did not have in 2002 are allowed, also in what is
 * stored: people have passwords with them.  Any thread.
 */
MUST_CHECK int saslprep(struct span text, struct buf *out);

#endif
