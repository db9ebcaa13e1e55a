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
#ifndef SMTP_NEXTHOP_H
#define SMTP_NEXTHOP_H

#include "base/cc.h"
#include "base/span.h"
#include "base/why.h"
#include "io/sock.h"

enum hop_kind { HOP_DOMAIN, HOP_HOST, HOP_ADDRESS, HOP_UNIX };

struct hop {
	enum hop_kind	 kind;
	char		 name[1025];	/* the domain or host, without brackets */
	struct sock_addr addr;		/* HOP_ADDRESS, HOP_UNIX */
	uint16_t	 port;
	bool		 default_port;	/* none was named */
};

/* 0, or -1 with why. */
MUST_CHECK int hop_parse(struct span text, bool lmtp, uint16_t default_port,
	    struct hop *out, struct why *why);
/* "25", "smtp", "submission", ...; 0 or -1. */
MUST_CHECK int hop_port(struct span text, uint16_t *out);

#endif
