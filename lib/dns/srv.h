/* SPDX-License-Identifier: ISC */
/*
 * srv - the hosts that SRV records name (RFC 2782), and their order.
 */
#ifndef DNS_SRV_H
#define DNS_SRV_H

#include "base/cc.h"
#include "dns/dns.h"

#define SRV_MAX		64	/* records of a service that are looked at */

struct srv {
	char		 name[DNS_NAME_MAX + 1];
	uint16_t	 priority, weight, port;
};

/* "_submission._tcp.example.org"; -1: that is no name. */
MUST_CHECK int srv_name(const char *service, const char *domain, char *out,
	    size_t size);
/*
 * The records of an answer, at most SRV_MAX.  none: the only one says that
 * the service does not exist here (a target of ".").
 */
size_t	 srv_collect(const struct dns_answer *a, struct srv out[SRV_MAX],
	    bool *none);
/* By priority, and among equals by chance according to weight. */
void	 srv_order(struct srv *v, size_t n);

#endif
