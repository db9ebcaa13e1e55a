/* SPDX-License-Identifier: ISC */
/*
 * jwt - signed JSON web tokens (RFC 7519, RFC 9068), the keys that they are
 * signed with (RFC 7517), and what those who issue tokens say of one (RFC
 * 7662).  No I/O.
 *
 * Only RS256 and ES256 exist here: no "none", and no MAC whose key could be
 * taken for a public key.  A key says by its kind which of the two it is for;
 * what the token says must fit.
 */
#ifndef AUTH_JWT_H
#define AUTH_JWT_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"
#include "base/why.h"

#define JWT_MAX		12288		/* bytes of a token */
#define JWKS_MAX	(1 << 20)	/* bytes of a key set */
#define JWT_LEEWAY_S	30		/* clocks differ */

struct jwt_keys;

/* A key set; keys of other kinds are left out.  NULL with why. */
struct jwt_keys *jwt_keys_parse(struct span json, struct why *why);
void	 jwt_keys_free(struct jwt_keys **k);
size_t	 jwt_keys_count(const struct jwt_keys *k);

struct jwt_demands {
	const char	*issuer, *audience, *scope;	/* "": any */
	const char	*user_claim;
	int64_t		 now_s;
};
/*
 * Whether the token is signed by one of the keys, meant for us and valid now.
 * 0, with the user claim appended to user; -1 with why, for the log.
 */
MUST_CHECK int jwt_check(const struct jwt_keys *k, struct span token,
	    const struct jwt_demands *want, struct buf *user,
	    struct why *why);

/* Whether it looks like one, whoever signed it: else it is opaque. */
bool	 jwt_is_one(struct span token);

/*
 * What an introspection endpoint has answered (RFC 7662 2.2).  1: the token
 * is good, for a bearer, with the user claim appended to user and the wall
 * clock's second until which it is good in *end_s (INT64_MAX: not said); 0: it
 * is not, with why; -1 with why: this is no such answer.
 */
MUST_CHECK int jwt_introspected(struct span json,
	    const struct jwt_demands *want, struct buf *user, int64_t *end_s,
	    struct why *why);

#endif
