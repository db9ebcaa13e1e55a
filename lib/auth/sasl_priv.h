/* SPDX-License-Identifier: ISC */
/*
 * sasl_priv - an exchange, as sasl.c and scram.c see it.
 */
#ifndef AUTH_SASL_PRIV_H
#define AUTH_SASL_PRIV_H

#include "auth/sasl.h"

enum sasl_at {
	AT_START, AT_LOGIN_PASSWORD, AT_SCRAM_KEYS, AT_SCRAM_FINAL,
	AT_SCRAM_DONE, AT_JUDGE, AT_TOKEN_FAILED, AT_END
};

struct sasl {
	enum sasl_mech		 mech;
	struct sasl_channel	 channel;
	enum sasl_at		 at;
	unsigned		 steps;
	struct buf		 out, authcid, authzid, password, token;
	const char		*why;
	/* SCRAM */
	struct buf		 nonce;		/* the client's and ours */
	struct buf		 bare;		/* client-first-message-bare */
	struct buf		 first;		/* server-first-message */
	struct buf		 gs2;		/* header, and binding data */
	struct scram_keys	 keys;
	bool			 known;		/* keys are a user's */
	struct span		 fixed_nonce;
};

enum sasl_need sasl_broken(struct sasl *s, const char *why);

enum sasl_need scram_first(struct sasl *s, struct span in);
enum sasl_need scram_challenge(struct sasl *s);
enum sasl_need scram_final(struct sasl *s, struct span in);

#endif
