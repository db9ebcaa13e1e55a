/* SPDX-License-Identifier: ISC */
/*
 * sts - MTA-STS (RFC 8461) and TLSRPT (RFC 8460) as grammar: the TXT records,
 * the policy, and which hosts it lets mail be given to.  No I/O.
 *
 * Everything here is said by strangers.  What breaks the grammar is no policy,
 * never half of one; spans point into the text that was parsed.
 */
#ifndef MAIL_STS_H
#define MAIL_STS_H

#include "base/cc.h"
#include "base/span.h"
#include "base/why.h"

#define STS_ID_MAX	32		/* RFC 8461 3.1 */
#define STS_POLICY_MAX	(64 * 1024)	/* bytes, 3.2 and 3.3 */
#define STS_MX_MAX	64		/* patterns of a policy */
#define STS_AGE_MAX	31557600u	/* seconds, 3.2 */

enum sts_mode { STS_NONE, STS_TESTING, STS_ENFORCE, STS_MODE_MAX = STS_ENFORCE };
const char *sts_mode_name(enum sts_mode m);	/* "enforce" */
/* 0, or -1: no such mode. */
MUST_CHECK int sts_mode_parse(struct span name, enum sts_mode *out);

struct sts_policy {
	enum sts_mode	 mode;
	uint32_t	 max_age;	/* seconds, at most STS_AGE_MAX */
	struct span	 mx[STS_MX_MAX];
	size_t		 nmx;
};

/* Whether a TXT record wants to be one of MTA-STS: "v=STSv1;...". */
bool	 sts_record_is(struct span txt);
/* Its id.  0, or -1: malformed. */
MUST_CHECK int sts_record_parse(struct span txt, struct span *id);
/* The file of RFC 8461 3.2.  0, or -1 with why. */
MUST_CHECK int sts_policy_parse(struct span text, struct sts_policy *out,
	    struct why *why);
/* A host name, or "*." before one. */
bool	 sts_pattern_valid(struct span pattern);
/* "mx.example.org", or "*.example.org" for one label more (4.1). */
bool	 sts_pattern_matches(struct span pattern, struct span host);

#define TLSRPT_RUA_MAX	4		/* addresses of a record that are used */

struct tlsrpt_record {
	struct span	 rua[TLSRPT_RUA_MAX];	/* "mailto:...", "https:..." */
	size_t		 nrua;
};
bool	 tlsrpt_record_is(struct span txt);	/* "v=TLSRPTv1;..." */
/* RFC 8460 3.  0, or -1: malformed, or no address of a kind we know. */
MUST_CHECK int tlsrpt_record_parse(struct span txt,
	    struct tlsrpt_record *out);

#endif
