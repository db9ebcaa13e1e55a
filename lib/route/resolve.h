/* SPDX-License-Identifier: ISC */
/*
 * resolve - where mail for an address goes: its class, the transport and the
 * next hop (trivial-rewrite(8) and ADDRESS_CLASS_README of Postfix).
 *
 * An address is first completed and its routing operators undone (a@ without
 * domain, site!user, user%domain, "user@domain"@here), then its domain is
 * put into one of five classes, which names the transport; transport_maps
 * and relocated_maps have the last word.
 *
 * A table that cannot be read makes the answer temporary.  Tables that could
 * not be opened at the start are tried again, at most once a second: a
 * missing file makes the mail that needs it wait, and nothing else.
 */
#ifndef ROUTE_RESOLVE_H
#define ROUTE_RESOLVE_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"
#include "base/why.h"

struct resolver;

enum route_class {		/* the numbers of enum rewrite_class */
	ROUTE_LOCAL = 1, ROUTE_VIRTUAL_ALIAS, ROUTE_VIRTUAL_MAILBOX,
	ROUTE_RELAY, ROUTE_DEFAULT
};

enum route_status { ROUTE_OK = 0, ROUTE_TEMPFAIL, ROUTE_INVALID };

struct route {
	enum route_status status;
	enum route_class class;
	struct buf	transport;	/* "local", "error", ... */
	struct buf	nexthop;	/* or the text, for "error" */
	struct buf	address;	/* normalised, unquoted */
	bool		routed;		/* has routing operators in it: not to
					 * be relayed for strangers */
	bool		listed;		/* exists, as far as tables say */
	bool		alias;		/* an alias or canonical map has it */
	struct buf	relocated;	/* "", or the new address */
	struct buf	rule;		/* what decided: "mydestination" */
	struct why	why;		/* on failure, or why it is not listed */
};

/*
 * Open the tables that conf names.  Settings that make no sense are reported
 * through why and NULL; a table that cannot be opened is a warning in the
 * log.
 */
struct resolver *resolver_new(struct why *why);
void	 resolver_free(struct resolver **r);

void	 route_init(struct route *out);
void	 route_fini(struct route *out);
/*
 * Resolve address for mail from sender ("" is the null sender).  Without
 * RESOLVE_LISTED listed is true.  out is filled anew; out->status says how it
 * went.
 */
enum {
	RESOLVE_LISTED = 1 << 0,	/* look whether the address exists */
	RESOLVE_PROBE = 1 << 1		/* address_verify_... say where to */
};
void	 resolver_resolve(struct resolver *r, struct span address,
	    struct span sender, unsigned flags, struct route *out);

/*
 * Complete an address as resolver_resolve() does first: append_at_myorigin,
 * append_dot_mydomain, swap_bangpath, allow_percent_hack, a dot at the end
 * of the domain.  For cleanup, which rewrites headers and envelopes.
 */
void	 address_complete(struct span addr, struct buf *out);
/*
 * A local part that says where it goes: "site!user" is user@site, and else
 * "user%domain" is user@domain.  False, out unchanged, when it does not, or
 * the settings say not to look.
 */
bool	 address_swap_operators(struct span local, struct buf *out);
/* "transport:nexthop": either may be empty. */
void	 route_parse_transport(struct span value, struct span *transport,
	    struct span *nexthop);

#endif
