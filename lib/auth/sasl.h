/* SPDX-License-Identifier: ISC */
/*
 * sasl - the server's side of SASL mechanisms (RFC 4422): a client's bytes
 * to decisions.  No I/O, no look-up, nothing waits in here.
 *
 *	s = sasl_new("SCRAM-SHA-256", &channel);
 *	need = sasl_step(s, &response);
 *
 * Each step says what is needed next: to send a challenge (sasl_out()) and
 * come back with the response, to check a password or a token, to find keys,
 * or nothing any more.  The mechanism says who the client claims to be
 * (authcid) and whom it wants to act for (authzid, "" for itself); whether
 * it may is not decided here.
 *
 *	PLAIN			RFC 4616
 *	LOGIN			draft-murchison-sasl-login
 *	SCRAM-SHA-1[-PLUS]	RFC 5802, scram.c
 *	SCRAM-SHA-256[-PLUS]	RFC 7677, RFC 9266, RFC 5929
 *	OAUTHBEARER		RFC 7628
 *	XOAUTH2			Google's predecessor of that
 *	EXTERNAL		RFC 4422 appendix A
 */
#ifndef AUTH_SASL_H
#define AUTH_SASL_H

#include "auth/digest.h"
#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"

#define SASL_NAME_LEN_MAX	255	/* bytes of authcid and authzid */
/* A user or authorization name: UTF-8, no control characters, not too long. */
bool	 sasl_name_ok(struct span name);
#define SASL_STEPS_MAX		8	/* responses in one exchange */

enum sasl_mech {
	SASL_PLAIN, SASL_LOGIN, SASL_SCRAM_SHA1, SASL_SCRAM_SHA1_PLUS,
	SASL_SCRAM_SHA256, SASL_SCRAM_SHA256_PLUS, SASL_OAUTHBEARER,
	SASL_XOAUTH2, SASL_EXTERNAL, SASL_MECH_COUNT
};

const char *sasl_mech_name(enum sasl_mech m);
/* Any case; -1: no such mechanism. */
MUST_CHECK int sasl_mech_find(struct span name, enum sasl_mech *out);
/* The client shows its password to us. */
bool	 sasl_mech_plaintext(enum sasl_mech m);

enum sasl_need {
	SASL_NEED_RESPONSE,	/* send sasl_out(), then sasl_step() */
	SASL_NEED_PASSWORD,	/* authcid, password: sasl_judge() */
	SASL_NEED_TOKEN,	/* token: sasl_judge() */
	SASL_NEED_KEYS,		/* authcid: sasl_keys() */
	SASL_PROVEN,		/* authcid is who it says */
	SASL_WRONG,		/* the proof is wrong */
	SASL_BROKEN		/* not the mechanism's language: sasl_why() */
};

/* What SCRAM knows of a password (RFC 5802 3). */
struct scram_keys {
	unsigned	iterations;
	unsigned char	salt[64];
	size_t		salt_len;
	unsigned char	stored[DIGEST_MAX], server[DIGEST_MAX];
};

/* The connection the client speaks on. */
struct sasl_channel {
	struct span	tls_exporter, tls_endpoint;	/* "" none */
	struct span	cert_name;	/* of a verified certificate, or "" */
	/* A -PLUS mechanism was offered: who then says that the server has
	 * none was lied to. */
	bool		plus_offered;
};

struct sasl;

/* channel's spans must stay good. */
struct sasl *sasl_new(enum sasl_mech m, const struct sasl_channel *channel);
void	 sasl_free(struct sasl **s);	/* wipes all it knows */
/* response: NULL when the client has not sent anything yet. */
enum sasl_need sasl_step(struct sasl *s, const struct span *response);
/* After SASL_NEED_PASSWORD or SASL_NEED_TOKEN. */
enum sasl_need sasl_judge(struct sasl *s, bool right);
/* After SASL_NEED_KEYS.  known is false for keys that were made up. */
enum sasl_need sasl_keys(struct sasl *s, const struct scram_keys *k,
	    bool known);

struct span sasl_out(const struct sasl *s);
struct span sasl_authcid(const struct sasl *s);
struct span sasl_authzid(const struct sasl *s);
struct span sasl_password(const struct sasl *s);
struct span sasl_token(const struct sasl *s);
const char *sasl_why(const struct sasl *s);
/* A token says itself whose it is: set after it was validated. */
MUST_CHECK int sasl_set_authcid(struct sasl *s, struct span name);
/* For tests with an RFC's vectors. */
void	 sasl_fix_nonce(struct sasl *s, struct span nonce);

/* --- scram.c ------------------------------------------------------------------ */

/* What an import of many accounts uses; RFC 7677 4 asks for no fewer. */
#define SCRAM_ITERATIONS_LIGHT	4096

/* The keys of a password; any thread. */
void	 scram_keys_make(struct scram_keys *k, enum digest d,
	    struct span password, struct span salt, unsigned iterations);
/* "4096,salt,stored,server" in base64: appended, and read (-1). */
void	 scram_keys_text(const struct scram_keys *k, enum digest d,
	    struct buf *out);
MUST_CHECK int scram_keys_parse(struct scram_keys *k, enum digest d,
	    struct span text);
/* Whether they are the keys of this password; any thread. */
bool	 scram_keys_match(const struct scram_keys *k, enum digest d,
	    struct span password);

#endif
