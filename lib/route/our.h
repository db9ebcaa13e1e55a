/* SPDX-License-Identifier: ISC */
/*
 * our - which domains and addresses this machine is the destination of:
 * mydestination, and [address] for the addresses of inet_interfaces and
 * proxy_interfaces.
 */
#ifndef ROUTE_OUR_H
#define ROUTE_OUR_H

#include "base/cc.h"
#include "base/span.h"
#include "base/why.h"

struct sock_addr;

/*
 * Read the settings, and find the addresses of the interfaces: while names
 * can be looked up and files be opened, and again when they have changed.
 * The other functions call it when nobody has.  -1 with why leaves what was.
 */
MUST_CHECK int our_open(struct why *why);
void	 our_close(void);
/* Call problem for each list of interfaces that cannot be read; keeps none. */
void	 our_check(void (*problem)(const char *param, const char *text));
/* 1 the domain, or [address], is in mydestination or ours; 0 not; -1 why. */
MUST_CHECK int our_domain(struct span domain, struct why *why);
/* Whether this is an address of inet_interfaces or proxy_interfaces. */
bool	 our_address(const struct sock_addr *a);

#endif
