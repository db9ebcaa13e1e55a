/* SPDX-License-Identifier: ISC */
/*
 * web - a request to a URL: its host is looked up at the resolver, and then
 * http.h does the rest.  "localhost" is this host, and an address in the place
 * of the name is that address.
 */
#ifndef HTTP_WEB_H
#define HTTP_WEB_H

#include "dns/dns_client.h"
#include "http/http.h"

struct web_url {
	char		 host[DNS_NAME_MAX + 1];	/* no brackets */
	uint16_t	 port;
	bool		 literal;	/* host is an address */
};

struct web_ask {
	const char	*url;		/* "https://host[:port]/path" */
	int64_t		 timeout_ms;	/* for the request, without the DNS */
	size_t		 body_max;	/* bytes of the answer's body */
	const char	*type;		/* POST, when not NULL */
	struct span	 body;
	const char	*authorization;	/* the header's value, or NULL */
};

struct web_request;

/* -1: no https: URL with a host that can be asked. */
MUST_CHECK int web_url_parse(struct span url, struct web_url *out);
/*
 * All is copied.  fn is called once, from the loop and never from here; the
 * request is gone then.  A URL that makes no sense is HTTP_UNREACHABLE.
 */
struct web_request *web_ask(struct http *h, struct dns_client *d,
	    const struct web_ask *a, http_fn *fn, void *arg);
void	 web_cancel(struct web_request **r);

#endif
