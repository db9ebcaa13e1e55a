/* SPDX-License-Identifier: ISC */
/*
 * normal - the final form of an address: routing operators undone as far as
 * they lead to us, a domain that can be one.  Private to lib/route.
 */
#ifndef ROUTE_NORMAL_H
#define ROUTE_NORMAL_H

#include "base/cc.h"
#include "route/resolve.h"

/*
 * Bring out->address into its final form.  1 its domain is ours (or it has
 * none), 0 it is elsewhere, -1 out says why not.
 */
MUST_CHECK int route_normalise(struct route *out);
/* The address is bad, 5.1.3, as text says.  -1. */
int	 route_invalid(struct route *out, const char *text);

#endif
