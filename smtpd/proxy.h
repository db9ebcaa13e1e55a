/* SPDX-License-Identifier: ISC */
/*
 * proxy - the header that a load balancer sends before the client's bytes
 * (the HAProxy PROXY protocol, versions 1 and 2).
 */
#ifndef SMTPD_PROXY_H
#define SMTPD_PROXY_H

#include "base/cc.h"
#include "base/span.h"
#include "io/sock.h"

/* The longest header we take; version 2 allows 64 KiB of TLVs, which nobody
 * sends and we would ignore. */
#define PROXY_HEADER_MAX 536

struct proxy_header {
	bool		 local;		/* the balancer itself: a health check */
	struct sock_addr client, server;
};

/*
 * 1: *used bytes were the header; 0: more must come; -1: this is no header.
 */
MUST_CHECK int proxy_parse(struct span in, struct proxy_header *out,
	    size_t *used);

#endif
