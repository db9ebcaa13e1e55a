/* SPDX-License-Identifier: ISC */
/*
 * rewrite - addresses: completing, canonical mapping, masquerading, aliases.
 *
 * All of them take and give unquoted addresses.  A table that cannot be read
 * is -1 with why (4.3.0): the message is not accepted, try again later.
 */
#ifndef CLEANUP_REWRITE_H
#define CLEANUP_REWRITE_H

#include "base/arena.h"
#include "base/cc.h"
#include "base/span.h"
#include "base/why.h"
#include "cleanup/settings.h"

struct span_list {
	struct span	*v;
	size_t		 len, alloc;
};

/*
 * One address of one class (CLASS_*), by sender_ or recipient_canonical_maps,
 * canonical_maps, and masquerade_domains, in this order.  *addr is replaced
 * by arena memory when it changes.
 */
MUST_CHECK int rewrite_map(const struct settings *s, struct arena *a,
	    struct span *addr, unsigned class, struct why *why);
/* Complete an address without domain, or without dot in it. */
struct span rewrite_complete(struct arena *a, struct span addr);
/*
 * All that addr becomes by virtual_alias_maps: itself, or what the tables
 * say, followed to the end.  Over a limit: -1 with 4.6.0 and a text.
 */
MUST_CHECK int rewrite_virtual(const struct settings *s, struct arena *a,
	    struct span addr, struct span_list *out, struct why *why);
/* The address in sender_bcc_maps or recipient_bcc_maps: 1, 0 or -1. */
MUST_CHECK int rewrite_bcc(const struct settings *s, struct maps *maps,
	    struct arena *a, struct span addr, struct span *out,
	    struct why *why);

#endif
