/* SPDX-License-Identifier: ISC */
/*
 * rewrite - routing and look-ups for those who open no files
 * (private/rewrite; clients smtpd, qmgr, bounce, smtp).
 *
 * Many requests may be under way; answers carry the request's tag and may
 * come in any order.  Clients may cache: positive answers for REWRITE_TTL_MS,
 * "unlisted" and failures never.
 */
#ifndef IPC_MSG_REWRITE_H
#define IPC_MSG_REWRITE_H

#include "ipc/ipc.h"
#include "ipc/schema.h"

#define REWRITE_TTL_MS	2000

enum {
	REWRITE_RESOLVE = 1,	/* -> rewrite_resolve */
	REWRITE_RESOLVED,	/* <- rewrite_resolved */
	REWRITE_LOOKUP,		/* -> rewrite_lookup */
	REWRITE_FOUND,		/* <- rewrite_found */
	REWRITE_MAP,		/* -> rewrite_map; answered by REWRITE_FOUND */
};

enum rewrite_class {		/* ADDRESS_CLASS_README of Postfix */
	CLASS_LOCAL = 1, CLASS_VIRTUAL_ALIAS, CLASS_VIRTUAL_MAILBOX,
	CLASS_RELAY, CLASS_DEFAULT
};

enum rewrite_status {
	REWRITE_OK = 0,
	REWRITE_TEMPFAIL,	/* a table could not be read: never "unknown" */
	REWRITE_INVALID,	/* the address is bad: 5.1.3 */
};

#define REWRITE_RESOLVE_ROWS(ROW)					\
	ROW(STR, address, 1024)		/* unquoted form */		\
	ROW(STR, sender, 1024)		/* for sender-dependent routes */ \
	ROW(STR, orig, 1024)		/* whom address stands in for; "" */ \
	ROW(BOOL, want_listed, )	/* also check that it exists */	\
	ROW(BOOL, probe, )	/* address_verify_... say where to */
IPC_MESSAGE(rewrite_resolve, REWRITE_RESOLVE_ROWS)

#define REWRITE_RESOLVED_ROWS(ROW)					\
	ROW(U32, status, REWRITE_INVALID)				\
	ROW(U32, class, CLASS_DEFAULT)					\
	ROW(STR, transport, 64)		/* master.cf service */		\
	ROW(STR, nexthop, 1024)						\
	ROW(STR, address, 1024)		/* normalised */		\
	ROW(BOOL, listed, )		/* true when not asked */	\
	ROW(BOOL, alias, )		/* a virtual alias matched */	\
	ROW(BOOL, routed, )		/* sender-specified routing (a%b,	\
					 * "a@b"@c): not to be relayed for \
					 * strangers (allow_untrusted_	\
					 * routing) */			\
	ROW(STR, forward_sender, 1024)	/* the sender to send it on with, "" \
					 * for the message's own (SRS) */ \
	ROW(STR, relocated, 512)	/* new address text, or "" */	\
	ROW(STR, rule, 512)		/* "transport_maps hash:/etc/…" */ \
	ROW(STR, text, 512)		/* on failure; when not listed:	\
					 * "User unknown in ... table" */
IPC_MESSAGE(rewrite_resolved, REWRITE_RESOLVED_ROWS)

/*
 * Look keys up in a table, in order; the first that is found answers.  Only
 * tables that the configuration names may be asked for.  keys is a sequence
 * of (u32 length, bytes); at most REWRITE_KEYS_MAX.  Pattern tables (regexp,
 * pcre, cidr) are offered only keys number 0 .. nwhole-1.
 */
#define REWRITE_KEYS_MAX 64
#define REWRITE_LOOKUP_ROWS(ROW)					\
	ROW(STR, table, 1024)		/* "hash:/etc/mansio/access" */	\
	ROW(U32, nwhole, REWRITE_KEYS_MAX)				\
	ROW(BLOB, keys, 64 * 1024)
IPC_MESSAGE(rewrite_lookup, REWRITE_LOOKUP_ROWS)

#define REWRITE_FOUND_ROWS(ROW)						\
	ROW(U32, status, REWRITE_INVALID)				\
	ROW(BOOL, found, )						\
	ROW(U32, key, REWRITE_KEYS_MAX)	/* index of the one found */	\
	ROW(STR, value, 64 * 1024)					\
	ROW(STR, text, 512)		/* on failure */
IPC_MESSAGE(rewrite_found, REWRITE_FOUND_ROWS)

/*
 * An address through tables of addresses (generic(5)), in the order of
 * addr_find.h; the value that is found is the first address of the result,
 * complete.  Each table must be one that the configuration names.
 */
#define REWRITE_MAP_ROWS(ROW)						\
	ROW(STR, maps, 4096)		/* "hash:/a, regexp:/b" */	\
	ROW(STR, address, 1024)		/* unquoted form */		\
	ROW(BOOL, propagate, )		/* unmatched extensions */
IPC_MESSAGE(rewrite_map, REWRITE_MAP_ROWS)

static const struct ipc_proto REWRITE_PROTO UNUSED = {
	.name = "rewrite", .version = 1,
	.frame_max = 256 * 1024, .out_max = 16u << 20,
};

#endif
