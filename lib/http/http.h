/* SPDX-License-Identifier: ISC */
/*
 * http - requests over HTTPS, on the loop; libcurl lies underneath and is seen
 * by http.c only.
 *
 * For daemons that fetch a small document or post one: the server's certificate
 * must be of a known authority and have the host's name, there are no
 * redirects, no proxies, no cookies, nothing is decompressed, and time and size
 * are bounded.  Names are looked up by the caller, at the resolver: libcurl is
 * given addresses, so a jail needs no resolv.conf.
 *
 * Built without libcurl, every request fails with HTTP_UNSUPPORTED.
 */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include "base/cc.h"
#include "base/span.h"
#include "base/why.h"
#include "io/loop.h"
#include "io/sock.h"

#define HTTP_ADDRS_MAX	16
#define HTTP_HEAD_MAX	(32 * 1024)	/* bytes of an answer's header */

enum http_result {
	HTTP_ANSWERED,		/* there is a status and a body */
	HTTP_UNREACHABLE,	/* no connection, or it broke */
	HTTP_TIMEOUT,
	HTTP_UNTRUSTED,		/* the certificate */
	HTTP_TOO_LARGE,
	HTTP_GARBLED,		/* no HTTP */
	HTTP_UNSUPPORTED,
};

struct http_answer {
	enum http_result result;
	unsigned	 status;	/* 200 */
	struct span	 type;		/* Content-Type, "" without */
	struct span	 body;
	const char	*text;		/* on failure, for people */
};

struct http_ask {
	const char	*url;		/* "https://host[:port]/..." */
	const char	*host;		/* as in url */
	uint16_t	 port;
	const struct sock_addr *addrs;	/* of host */
	size_t		 naddrs;	/* to HTTP_ADDRS_MAX; 0 only where host
					 * is an address itself */
	int64_t		 timeout_ms;	/* for all of it */
	size_t		 body_max;	/* bytes of the answer's body */
	/* POST, when type is not NULL; copied. */
	const char	*type;
	struct span	 body;
	const char	*authorization;	/* the header's value, or NULL */
};

struct http;
struct http_request;

/*
 * Before the jail: reads the certificates of authorities, of ca_file, or where
 * that is "" the system's.  agent: who we say we are; copied.  NULL with why.
 */
struct http *http_new(const char *ca_file, const char *agent,
	    struct why *why);
/* In start(). */
void	 http_start(struct http *h, struct loop *l);
struct loop *http_loop(const struct http *h);
void	 http_free(struct http **h);

/* Called once, from the loop and never from within http_ask(); the answer is
 * good during the call, the request is gone then. */
typedef void http_fn(void *arg, const struct http_answer *a);
struct http_request *http_ask(struct http *h, const struct http_ask *ask,
	    http_fn *fn, void *arg);
void	 http_cancel(struct http_request **r);

#endif
