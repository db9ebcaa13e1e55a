/* SPDX-License-Identifier: ISC */
/*
 * srs - the Sender Rewriting Scheme: senders of mail that we send on.
 *
 * Mail that an alias or .forward leads to another host leaves with a sender in
 * our domain, so that SPF at the next host is about us:
 *
 *	SRS0=hash=day=domain=local@srs_domain
 *
 * and where the sender was made by another forwarder already
 *
 *	SRS1=hash=host==rest@srs_domain		rest: what follows SRS0 there
 *
 * so that addresses do not grow with each hop.  What comes back to it goes to
 * the address inside, if the hash is ours and the day not too long ago.  The
 * hash is 30 bits of HMAC-SHA256 over the rest in lower case: there are
 * servers that change the case of local parts.
 */
#ifndef AUTH_SRS_H
#define AUTH_SRS_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"
#include "base/why.h"

#define SRS_KEYS_MAX	16	/* lines of the file */

struct srs;

/*
 * The keys in file, one on a line: the first signs, all of them verify.  A
 * file that is not there is made, with a random key, for uid and gid only.
 * NULL with why.
 */
struct srs *srs_open(const char *file, const char *domain, int64_t lifetime_s,
	    uid_t uid, gid_t gid, struct why *why);
/* As the settings say: *out is NULL where srs_enable is no.  -1 with why. */
MUST_CHECK int srs_setup(struct srs **out, uid_t uid, gid_t gid,
	    struct why *why);
void	 srs_free(struct srs **s);
/*
 * Append sender as seen from our domain.  0; -1 with out unchanged: it is
 * null, has no domain, or would become longer than an address may be.
 */
MUST_CHECK int srs_forward(const struct srs *s, struct span sender,
	    int64_t now_s, struct buf *out);
/* Whether address is in our domain and looks like SRS0 or SRS1. */
bool	 srs_is(const struct srs *s, struct span address);
/* Append the address inside.  0; -1 with why (5.1.x) and out unchanged. */
MUST_CHECK int srs_reverse(const struct srs *s, struct span address,
	    int64_t now_s, struct buf *out, struct why *why);

#endif
