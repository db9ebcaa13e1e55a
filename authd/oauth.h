/* SPDX-License-Identifier: ISC */
/*
 * oauth - bearer tokens (RFC 6750): JSON web tokens, validated here with the
 * keys in authd_oauth_jwks_file; about all others, or about all, those who
 * issue them are asked (introspect.h).
 */
#ifndef AUTHD_OAUTH_H
#define AUTHD_OAUTH_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"
#include "base/why.h"

enum oauth_result { OAUTH_BAD, OAUTH_GOOD, OAUTH_ASK };
/* OAUTH_GOOD with the user's name in *user; OAUTH_BAD with why, for the log;
 * OAUTH_ASK: introspect_ask() knows. */
enum oauth_result oauth_check(struct span token, struct buf *user,
	    struct why *why);

#endif
