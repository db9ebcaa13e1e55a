/* SPDX-License-Identifier: ISC */
/*
 * mechs - the client's side of SASL mechanisms: which one, and what to say.
 * No I/O.  The server is a stranger: what it sends is checked, and with SCRAM
 * it must prove that it knows the password, too.
 */
#ifndef SMTP_MECHS_H
#define SMTP_MECHS_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"
#include "base/why.h"

struct sasl_client;

/* What the connection and the settings allow. */
struct sasl_choice {
	const char	*offered;	/* "PLAIN LOGIN ..." */
	const char	*filter;	/* smtp_sasl_mechanism_filter */
	const char	*options;	/* noplaintext, noanonymous */
	struct span	 exporter;	/* channel binding of TLS, "" none */
};

/*
 * The best mechanism that is offered and allowed; NULL with why when there is
 * none.  user, password and choice are copied.
 */
struct sasl_client *sasl_client_new(const struct sasl_choice *c,
	    struct span user, struct span password, struct why *why);
void	 sasl_client_free(struct sasl_client **s);	/* wipes */
const char *sasl_client_name(const struct sasl_client *s);
/* Whether it begins with a response; appended to out, not encoded. */
bool	 sasl_client_first(struct sasl_client *s, struct buf *out);
/* The response to a challenge, both not encoded; -1 with why. */
MUST_CHECK int sasl_client_step(struct sasl_client *s, struct span challenge,
	    struct buf *out, struct why *why);
/* The server says that all is well: whether it may (SCRAM: it has proven
 * itself). */
bool	 sasl_client_done(const struct sasl_client *s);
/* For tests with an RFC's vectors. */
void	 sasl_client_fix_nonce(struct sasl_client *s, const char *nonce);

#endif
