/* SPDX-License-Identifier: ISC */
/*
 * tlsrpt - how a session with another domain's host was secured, or why not
 * (private/tlsrpt); the counts become the reports of RFC 8460.
 *
 * Nothing is answered: what cannot be taken now is not counted.
 */
#ifndef IPC_MSG_TLSRPT_H
#define IPC_MSG_TLSRPT_H

#include "ipc/ipc.h"
#include "ipc/schema.h"

enum {
	TLSRPT_EVENT = 1,	/* -> tlsrpt_event */
};

enum tlsrpt_policy {		/* RFC 8460 4.4 */
	TLSRPT_NO_POLICY, TLSRPT_STS, TLSRPT_TLSA,
	TLSRPT_POLICY_MAX = TLSRPT_TLSA
};

enum tlsrpt_result {		/* RFC 8460 4.3 */
	TLSRPT_SUCCESS,
	TLSRPT_STARTTLS,	/* starttls-not-supported */
	TLSRPT_NAME,		/* certificate-host-mismatch */
	TLSRPT_EXPIRED,		/* certificate-expired */
	TLSRPT_UNTRUSTED,	/* certificate-not-trusted */
	TLSRPT_FAILURE,		/* validation-failure */
	TLSRPT_BAD_TLSA,	/* tlsa-invalid */
	TLSRPT_DNSSEC,		/* dnssec-invalid */
	TLSRPT_DANE,		/* dane-required */
	TLSRPT_STS_FETCH,	/* sts-policy-fetch-error */
	TLSRPT_STS_INVALID,	/* sts-policy-invalid */
	TLSRPT_STS_WEBPKI,	/* sts-webpki-invalid */
	TLSRPT_RESULT_MAX = TLSRPT_STS_WEBPKI
};

#define TLSRPT_STRINGS_MAX	(16 * 1024)
#define TLSRPT_REASON_MAX	200

#define TLSRPT_EVENT_ROWS(ROW)						\
	ROW(STR, domain, 255)		/* who may get a report */	\
	ROW(U32, result, TLSRPT_RESULT_MAX)				\
	ROW(U32, type, TLSRPT_POLICY_MAX)				\
	ROW(STR, policy_domain, 255)					\
	ROW(STR, strings, TLSRPT_STRINGS_MAX) /* the policy, '|' between \
					 * its lines or records */	\
	ROW(STR, patterns, TLSRPT_STRINGS_MAX) /* mx of MTA-STS, a space \
					 * between */			\
	ROW(STR, mx, 255)						\
	ROW(STR, mx_ip, 64)						\
	ROW(STR, my_ip, 64)						\
	ROW(STR, reason, TLSRPT_REASON_MAX) /* failure-reason-code */
IPC_MESSAGE(tlsrpt_event, TLSRPT_EVENT_ROWS)

static const struct ipc_proto TLSRPT_PROTO UNUSED = {
	.name = "tlsrpt", .version = 1, .frame_max = 40 * 1024,
	.out_max = 4u << 20,
};

#endif
