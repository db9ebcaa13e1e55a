/* SPDX-License-Identifier: ISC */
/*
 * password - password hashes, and what else is kept of a password.
 *
 * A hash has its scheme in braces in front, as Dovecot writes them:
 *
 *	ARGON2ID ARGON2I	argon2.h
 *	yescrypt CRYPT SHA512-CRYPT SHA256-CRYPT BLF-CRYPT MD5-CRYPT MD5 DES-CRYPT
 *				crypt.h; which of them the hash says itself
 *	SCRAM-SHA-256 SCRAM-SHA-1	"iterations,salt,stored,server"
 *	SSHA512 SSHA256 SSHA SMD5	base64 of digest and salt
 *	SHA512 SHA256 SHA SHA1 LDAP-MD5	base64 of a digest
 *	PLAIN-MD5		a digest in hexadecimal
 *	PBKDF2			"$1$salt$iterations$hexadecimal"
 *	PLAIN CLEARTEXT CLEAR	for tests
 *
 * ".HEX", ".b64" or ".base64" behind the name of a digest's scheme says what
 * it is written in.  Kinds that hold what a mechanism we do not have needs
 * (CRAM-MD5, DIGEST-MD5, OTP) or are of no use (PLAIN-TRUNC, PLAIN-MD4, HMAC-MD5)
 * are not known.
 *
 * Names are taken in any case; a hash without one is told by its beginning.
 * Passwords are prepared (saslprep.h) before they are hashed; a check accepts
 * hashes of what was typed, too.
 */
#ifndef AUTH_PASSWORD_H
#define AUTH_PASSWORD_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"
#include "base/why.h"

#define PASSWORD_MAX	511	/* bytes, as typed: libxcrypt's limit */

/*
 * How much work a hash is: FULL for one account (argon2id, or what
 * authd_password_scheme says, some 25 ms), LIGHT for many at once: SCRAM's
 * keys with the fewest iterations (1 ms), which also serve as a hash.  A
 * light one is as good against everything but a thief of the file; the next
 * login replaces it by a full one.
 */
enum password_cost { PASSWORD_FULL, PASSWORD_LIGHT };

/*
 * Append "{ARGON2ID}$argon2id$..." for a password.  May be called by several
 * threads at once.  -1 with why: empty, too long, holds a NUL.
 */
MUST_CHECK int password_hash(struct span password, enum password_cost cost,
	    struct buf *out, struct why *why);
/*
 * Append a whole line's text (userline.h) for a password: hash, and keys for
 * SCRAM beside it.  old is the text that the account had, or "": its other
 * fields stay.  As password_hash() otherwise.
 */
MUST_CHECK int password_line(struct span password, enum password_cost cost,
	    struct span old, struct buf *out, struct why *why);
/* For what is random and long, such as app passwords: "{SSHA256}...". */
void	 password_hash_random(struct span password, struct buf *out);
/* 1 it is the password, 0 it is not, -1 the hash is of no kind that we know.
 * Takes as long for a wrong password as for the right one. */
MUST_CHECK int password_check(struct span password, struct span hash);
/* Whether a hash is one that password_hash(FULL) would not make today. */
bool	 password_is_light(struct span hash);

#endif
