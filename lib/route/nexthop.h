/* SPDX-License-Identifier: ISC */
/*
 * nexthop - what a next hop in main.cf or transport(5) means.
 *
 *	smtp	domain  domain:port	its mail exchangers
 *		[host]  [host]:port	that host
 *		[192.0.2.1]:port  [ipv6:2001:db8::1]:port
 *	lmtp	host  host:port  [host]:port  inet:host:port  that host
 *		unix:path		that socket
 */
#ifndef ROUTE_NEXTHOP_H
#define ROUTE_NEXTHOP_H

#include "base/cc.h"
#include "base/span.h"
#include "base/why.h"
#include "io/sock.h"

/* Between several that are tried in turn. */
#define HOP_SEPARATORS	" \t\r\n,"

enum hop_kind { HOP_DOMAIN, HOP_HOST, HOP_ADDRESS, HOP_UNIX };

struct hop {
	enum hop_kind	 kind;
	char		 name[1025];	/* the domain or host, without brackets */
	struct sock_addr addr;		/* HOP_ADDRESS, HOP_UNIX */
	uint16_t	 port;
	bool		 default_port;	/* none was named */
	char		 service[32];	/* "submission": the port, as it was
					 * named; "" none, or a number */
};

/* 0, or -1 with why. */
MUST_CHECK int hop_parse(struct span text, bool lmtp, uint16_t default_port,
	    struct hop *out, struct why *why);
/* "25", "smtp", "submission", ...; 0 or -1. */
MUST_CHECK int hop_port(struct span text, uint16_t *out);
/*
 * The service whose SRV records come before mail exchangers there, of those
 * in use_srv_lookup; or NULL.  port is smtp_tcp_port, for next hops without a
 * port; a number is no service.
 */
const char *hop_service(const struct hop *h, const char *port,
	    const char *services);

#endif
