/* SPDX-License-Identifier: ISC */
/*
 * crypt - libxcrypt, in one file.
 */
#ifndef AUTH_CRYPT_H
#define AUTH_CRYPT_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"

/* Append a setting with a fresh salt for prefix ("$y$"); -1 with errno. */
MUST_CHECK int crypt_setting(const char *prefix, unsigned long cost,
	    struct buf *out);
/* Append the hash of a password, which holds no NUL.  Any thread.  -1: the
 * setting is of no kind that this system knows. */
MUST_CHECK int crypt_password(struct span password, const char *setting,
	    struct buf *out);

#endif
