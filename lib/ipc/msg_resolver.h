/* SPDX-License-Identifier: ISC */
/*
 * resolver - questions to the DNS (private/resolver).
 *
 * Clients are jailed processes; they use lib/dns/dns_client.h.  Many questions
 * may be under way, answers carry the question's tag and come in any order.
 * CANCEL takes a question back; there is no answer to it then, but one may be
 * on its way.
 *
 * What is temporary is kept apart from what is an answer: only NXDOMAIN and
 * NODATA say that there is nothing.
 */
#ifndef IPC_MSG_RESOLVER_H
#define IPC_MSG_RESOLVER_H

#include "ipc/ipc.h"
#include "ipc/schema.h"

#define RESOLVER_NAME_MAX	1024	/* a name may come as UTF-8 */
#define RESOLVER_RDATA_MAX	65535	/* bytes of one record */
#define RESOLVER_RECORDS_MAX	(128 * 1024)	/* of all, with lengths */
#define RESOLVER_PENDING_MAX	20000	/* questions of one client */

enum {
	RESOLVER_ASK = 1,	/* -> resolver_ask */
	RESOLVER_ANSWER,	/* <- resolver_answer */
	RESOLVER_CANCEL,	/* -> empty */
};

enum resolver_status {
	RESOLVER_OK = 0,	/* at least one record */
	RESOLVER_NODATA,	/* the name is there, such records are not */
	RESOLVER_NXDOMAIN,	/* there is no such name */
	RESOLVER_INVALID,	/* no domain name */
	RESOLVER_SERVFAIL,	/* temporary: the servers failed */
	RESOLVER_REFUSED,	/* temporary: the servers do not answer us */
	RESOLVER_BOGUS,		/* temporary: DNSSEC says it is forged */
	RESOLVER_TIMEOUT,	/* temporary: no answer in time */
	RESOLVER_AWAY,		/* temporary: no resolver; made by the client */
	RESOLVER_STATUS_MAX = RESOLVER_AWAY,
	RESOLVER_FILTERED,	/* temporary: smtp_dns_reply_filter left
				 * nothing; made by the client */
};

enum {					/* flags */
	RESOLVER_USE_HOSTS	= 1 << 0,	/* A, AAAA, PTR: /etc/hosts first */
	RESOLVER_NO_DNS		= 1 << 1,	/* and nothing else */
};

#define RESOLVER_ASK_ROWS(ROW)						\
	ROW(STR, name, RESOLVER_NAME_MAX) /* no dot at the end needed; \
					 * U-labels are converted */	\
	ROW(U32, type, 65535)		/* enum dns_type */		\
	ROW(U32, flags, 3)
IPC_MESSAGE(resolver_ask, RESOLVER_ASK_ROWS)

#define RESOLVER_ANSWER_ROWS(ROW)					\
	ROW(U32, status, RESOLVER_STATUS_MAX)				\
	ROW(BOOL, secure, )	/* DNSSEC proves it, nothings too */	\
	ROW(U32, ttl, UINT32_MAX)	/* seconds; the least of all */	\
	ROW(STR, name, 255)	/* where the CNAMEs led; A-labels */	\
	ROW(BLOB, records, RESOLVER_RECORDS_MAX) /* (u32 length, rdata)	\
					 * each, names not compressed */ \
	ROW(STR, text, 512)	/* on failure, for people */
IPC_MESSAGE(resolver_answer, RESOLVER_ANSWER_ROWS)

static const struct ipc_proto RESOLVER_PROTO UNUSED = {
	.name = "resolver", .version = 1,
	.frame_max = RESOLVER_RECORDS_MAX + 4096, .out_max = 16u << 20,
};

#endif
