/* SPDX-License-Identifier: ISC */
/*
 * addr_find - look an address up the way Postfix's tables are searched
 * (virtual(5), canonical(5), transport(5): "TABLE SEARCH ORDER").
 *
 * Full address, address without extension, then by flags the bare local part
 * (when the domain is ours), the domain, parent domains.  Pattern tables see
 * the full address only.  A local part that needs quotes is looked up with
 * them first, then without.
 */
#ifndef ROUTE_ADDR_FIND_H
#define ROUTE_ADDR_FIND_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"
#include "base/why.h"
#include "conf/table.h"

enum {
	FIND_FULL	= 1 << 0,	/* user+ext@domain */
	FIND_NOEXT	= 1 << 1,	/* user@domain */
	FIND_LOCAL	= 1 << 2,	/* user+ext, then user: our domains only
					 * (our.h), and $myorigin */
	FIND_AT_DOMAIN	= 1 << 3,	/* @domain */
	FIND_DOMAIN	= 1 << 4,	/* domain */
	FIND_PARENT	= 1 << 5,	/* .parent of every parent */
	FIND_BARE_PARENT= 1 << 6,	/* parent, without dot (the setting is in
					 * parent_domain_matches_subdomains) */
	FIND_LOCAL_ANY	= 1 << 7,	/* FIND_LOCAL whatever the domain is */
	FIND_DEFAULT	= FIND_FULL | FIND_NOEXT | FIND_LOCAL | FIND_AT_DOMAIN
};

/*
 * 1: the value is appended to out, and *ext (if not NULL) is the extension
 * that did not take part in the match, to be propagated: a part of addr, so
 * that its delimiter is at ext->p[-1]; p is NULL when there is none.  0: not
 * found; -1 with why: temporary.
 */
MUST_CHECK int addr_find(struct maps *m, struct span addr, unsigned flags,
	    struct buf *out, struct span *ext, struct why *why);

/*
 * address_split_ext() with what the configuration says: recipient_delimiter,
 * owner_request_special, double_bounce_sender.
 */
bool	 addr_split_ext(struct span local, struct span *user,
	    struct span *ext);

#endif
