/* SPDX-License-Identifier: ISC */
/*
 * mtasts - what a domain demands of those who send it mail (RFC 8461)
 * (private/mtasts).
 *
 * smtp asks before it looks for the mail exchangers of a domain; the answer
 * comes from the cache, or after a look at the DNS and the domain's policy
 * host, and then only in mtasts_fetch_timeout.  Many questions may be under
 * way; answers carry the question's tag and come in any order.
 */
#ifndef IPC_MSG_MTASTS_H
#define IPC_MSG_MTASTS_H

#include "ipc/ipc.h"
#include "ipc/schema.h"

enum {
	MTASTS_ASK = 1,		/* -> mtasts_ask */
	MTASTS_POLICY,		/* <- mtasts_policy */
};

/* What became of the last look at the domain (the names of RFC 8460 4.3). */
enum mtasts_result {
	MTASTS_OK = 0,		/* the policy is the domain's */
	MTASTS_ABSENT,		/* the domain has none */
	MTASTS_DNS,		/* the DNS does not answer */
	MTASTS_RECORD,		/* the TXT record is malformed */
	MTASTS_FETCH,		/* sts-policy-fetch-error */
	MTASTS_INVALID,		/* sts-policy-invalid */
	MTASTS_WEBPKI,		/* sts-webpki-invalid */
	MTASTS_BUSY,		/* too much is under way */
	MTASTS_RESULT_MAX = MTASTS_BUSY
};

#define MTASTS_MX_MAX	(64 * 256)	/* bytes of all patterns */
#define MTASTS_PENDING_MAX 20000	/* questions of one client */

#define MTASTS_ASK_ROWS(ROW)						\
	ROW(STR, domain, 255)		/* A-labels */			\
	ROW(BOOL, fresh, )		/* look again now: mansio probe */
IPC_MESSAGE(mtasts_ask, MTASTS_ASK_ROWS)

#define MTASTS_POLICY_ROWS(ROW)						\
	ROW(U32, result, MTASTS_RESULT_MAX)				\
	ROW(BOOL, found, )		/* a policy is in force, though the \
					 * last look may have failed */	\
	ROW(U32, mode, 2)		/* enum sts_mode */		\
	ROW(STR, id, 32)						\
	ROW(STR, mx, MTASTS_MX_MAX)	/* patterns, a space between */	\
	ROW(U32, max_age, UINT32_MAX)	/* seconds, as it says */	\
	ROW(U32, left, UINT32_MAX)	/* seconds that it is in force */ \
	ROW(U32, ttl, UINT32_MAX)	/* seconds to keep this answer */ \
	ROW(STR, text, 512)		/* on failure, for people */
IPC_MESSAGE(mtasts_policy, MTASTS_POLICY_ROWS)

static const struct ipc_proto MTASTS_PROTO UNUSED = {
	.name = "mtasts", .version = 1, .frame_max = MTASTS_MX_MAX + 4096,
	.out_max = 16u << 20,
};

#endif
