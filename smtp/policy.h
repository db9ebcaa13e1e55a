/* SPDX-License-Identifier: ISC */
/*
 * policy - how a next hop is to be secured: the syntax of smtp_tls_policy_maps
 * and of the settings that stand for it.
 */
#ifndef SMTP_POLICY_H
#define SMTP_POLICY_H

#include "base/array.h"
#include "base/cc.h"
#include "base/span.h"
#include "base/why.h"
#include "tls/tls.h"

struct policy {
	enum tls_level	 level;
	char		*match;		/* NULL: the setting of the level */
	char		*protocols, *ciphers, *servername;	/* or NULL */
	char		*exclude;	/* ciphers; NULL: the setting */
	char		*tafile;	/* of smtp_tls_trust_anchor_file; or NULL */
	bool		 no_reuse;	/* connection_reuse=no */
};

void	 policy_fini(struct policy *p);
/* "secure match=a:.b servername=c".  0, or -1 with why; *out is filled anew. */
MUST_CHECK int policy_parse(struct span text, struct policy *out,
	    struct why *why);

#define POLICY_KEYS_MAX	16
/*
 * What to look a next hop up by: a domain, then ".parent" of each parent; as
 * it is written when it has brackets or a port.  keys point into nexthop.
 */
size_t	 policy_keys(struct span nexthop, struct span keys[POLICY_KEYS_MAX]);

/* Names for the certificate, to span_dup()ed copies in out. */
struct policy_names {
	char		**v;
	size_t		 len, alloc;
};
/*
 * "hostname, nexthop, dot-nexthop, a.example, .b.example", separated by
 * spaces, commas or colons.
 */
void	 policy_match_names(const char *match, const char *host,
	    const char *nexthop, struct policy_names *out);
void	 policy_names_fini(struct policy_names *n);

#endif
