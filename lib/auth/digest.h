/* SPDX-License-Identifier: ISC */
/*
 * digest - hashes, MACs and signatures for logins: OpenSSL's libcrypto, in
 * one file.  All functions may be called by any thread.
 */
#ifndef AUTH_DIGEST_H
#define AUTH_DIGEST_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"
#include "base/why.h"

/* MD5 is for old password hashes alone. */
enum digest { DIGEST_SHA1, DIGEST_SHA256, DIGEST_SHA512, DIGEST_MD5 };

#define DIGEST_MAX	64		/* bytes of the longest */

/* Fetch what will be needed, before a jail hides the library's files. */
void	 digest_start(void);
size_t	 digest_len(enum digest d);
void	 digest_of(enum digest d, struct span in, unsigned char out[DIGEST_MAX]);
void	 digest_hmac(enum digest d, struct span key, struct span in,
	    unsigned char out[DIGEST_MAX]);
/* RFC 8018 5.2, as long as the digest; RFC 5802's Hi(). */
void	 digest_pbkdf2(enum digest d, struct span password, struct span salt,
	    unsigned iterations, unsigned char out[DIGEST_MAX]);
/* Takes as long whatever differs. */
bool	 digest_equal(struct span a, struct span b);

/* --- keys that others sign with (JSON web keys, RFC 7517) ------------------- */

struct digest_key;

/* Numbers are big-endian.  NULL with why: too short, or no point of P-256. */
struct digest_key *digest_key_rsa(struct span n, struct span e,
	    struct why *why);
struct digest_key *digest_key_p256(struct span x, struct span y,
	    struct why *why);
void	 digest_key_free(struct digest_key **k);
bool	 digest_key_is_rsa(const struct digest_key *k);
/* RS256 or ES256 (RFC 7518 3.3, 3.4), as the key is.  True: it is right. */
bool	 digest_key_verify(const struct digest_key *k, struct span text,
	    struct span signature);

#endif
