/* SPDX-License-Identifier: ISC */
/*
 * addr_map - an address through a table of addresses: canonical(5),
 * virtual(5), generic(5).
 */
#ifndef ROUTE_ADDR_MAP_H
#define ROUTE_ADDR_MAP_H

#include "base/cc.h"
#include "base/span.h"
#include "base/why.h"
#include "conf/table.h"

/* addr is unquoted and complete, and good during the call. */
typedef void addr_map_fn(void *arg, struct span addr);

/*
 * Look addr up (addr_find.h, FIND_DEFAULT) and call fn for each address on
 * the right side: "@domain" keeps the local part; with propagate an extension
 * that took no part in the match is carried over; what has no domain gets
 * one.  1; 0 not found; -1 with why (4.x.x): a table cannot be read, or its
 * result is no address or too long.
 */
MUST_CHECK int addr_map(struct maps *maps, bool propagate, struct span addr,
	    addr_map_fn *fn, void *arg, struct why *why);
/* Whether propagate_unmatched_extensions names what: "canonical", ... */
bool	 addr_map_propagates(const char *what);

#endif
