/* SPDX-License-Identifier: ISC */
/*
 * probe_sender - the address that probes of verify come from.
 *
 * With address_verify_sender_ttl a number that changes with time stands
 * behind its local part, so that lists of addresses that spammers have made of
 * it are soon of no use.
 */
#ifndef ROUTE_PROBE_SENDER_H
#define ROUTE_PROBE_SENDER_H

#include <stdint.h>

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"

/* Appends it, complete; nothing for the null sender.  now_s: wall clock. */
void	 probe_sender(int64_t now_s, struct buf *out);
/* Whether address is it, or was or will be in the ttl before or after; not
 * the null sender. */
bool	 probe_sender_is(struct span address, int64_t now_s);

#endif
