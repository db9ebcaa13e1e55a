/* SPDX-License-Identifier: ISC */
/*
 * endpoint - where a server of somebody else's listens, as settings say it:
 * "inet:host:port", "inet:[2001:db8::1]:port", "inet:port" (of localhost),
 * "unix:path" or "local:path".
 */
#ifndef CONF_ENDPOINT_H
#define CONF_ENDPOINT_H

#include "base/cc.h"
#include "base/span.h"
#include "base/why.h"

#define ENDPOINT_HOST_MAX	255
#define ENDPOINT_PATH_MAX	107	/* what the address of a socket holds */

struct endpoint {
	bool		 local;		/* a UNIX socket: path */
	char		 path[ENDPOINT_PATH_MAX + 1];
	char		 host[ENDPOINT_HOST_MAX + 1];	/* name or address */
	uint16_t	 port;
};

/* A port may be a name of services(5), where that can be read.  0, or -1 with
 * why. */
MUST_CHECK int endpoint_parse(struct span text, struct endpoint *out,
	    struct why *why);

#endif
