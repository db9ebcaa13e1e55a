/* SPDX-License-Identifier: ISC */
/*
 * argon2 - libargon2, in one file (RFC 9106).
 */
#ifndef AUTH_ARGON2_H
#define AUTH_ARGON2_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"

/* What argon2_make() uses: 19 MiB, two passes, one lane. */
#define ARGON2_PREFIX	"$argon2id$v=19$m=19456,t=2,p=1$"
/* Hashes that want more than this of us are refused. */
#define ARGON2_KIB_MAX	(1u << 20)

/* Append "$argon2id$v=19$m=..." with a fresh salt; any thread.  -1: no. */
MUST_CHECK int argon2_make(struct span password, struct buf *out);
/* 1 the password, 0 not, -1 no such hash.  argon2i and argon2id. */
MUST_CHECK int argon2_check(struct span password, const char *encoded);

#endif
