/* SPDX-License-Identifier: ISC */
/*
 * make_cert - a new key and a certificate for it, for commands and tests.
 */
#ifndef TLS_MAKE_CERT_H
#define TLS_MAKE_CERT_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"
#include "base/why.h"

enum tls_key_type { TLS_KEY_ECDSA, TLS_KEY_RSA, TLS_KEY_ED25519 };

struct tls_cert_request {
	enum tls_key_type  type;	/* P-256, RSA of 2048 bits, Ed25519 */
	const char	  *cn;
	const char *const *names;	/* DNS names and IP addresses */
	size_t		   nnames;
	int64_t		   not_before_s; /* from now; negative: before */
	int64_t		   lifetime_s;
	bool		   ca;
	bool		   client;	/* for clients, not servers */
	struct span	   issuer;	/* PEM of CA and its key; "": itself */
};
/* PEM texts are appended; -1 with why. */
MUST_CHECK int tls_make_cert(const struct tls_cert_request *r,
	    struct buf *key_pem, struct buf *cert_pem, struct why *why);

#endif
