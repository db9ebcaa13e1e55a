/* SPDX-License-Identifier: ISC */
/*
 * oauth - bearer tokens (RFC 6750): JSON web tokens, validated here with the
 * keys in authd_oauth_jwks_file.
 */
#ifndef AUTHD_OAUTH_H
#define AUTHD_OAUTH_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"
#include "base/why.h"

/* 0, with the user's name in *user; -1 with why, for the log. */
MUST_CHECK int oauth_check(struct span token, struct buf *user,
	    struct why *why);

#endif
