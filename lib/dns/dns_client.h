/* SPDX-License-Identifier: ISC */
/*
 * dns_client - ask the resolver from an event loop.
 *
 *	q = dns_ask(client, SPAN("example.org"), DNS_MX, 0, got_mx, s);
 *
 * The answer comes once, from the loop and never from within dns_ask(), and
 * the question is gone then.  A resolver that is away, or dies before it
 * answers, is an answer too: RESOLVER_AWAY, when there has been none for
 * DNS_AWAY_MS.  The resolver bounds the time of a question.
 */
#ifndef DNS_DNS_CLIENT_H
#define DNS_DNS_CLIENT_H

#include "dns/dns.h"
#include "io/loop.h"

#define DNS_AWAY_MS	5000
#define DNS_TIMEOUT_MS	(120 * 1000)	/* where the resolver hangs */

struct dns_client;
struct dns_query;

typedef void dns_fn(void *arg, const struct dns_answer *a);

/* path: daemon_socket_path("private/resolver"), copied. */
struct dns_client *dns_client_new(struct loop *l, const char *path);
/* Records that m (NULL: none) says IGNORE of are left out of answers; it is
 * the caller's. */
struct maps;
void	 dns_client_filter(struct dns_client *c, struct maps *m);
/* Questions under way are cancelled: no handler is called. */
void	 dns_client_free(struct dns_client **c);
struct dns_query *dns_ask(struct dns_client *c, struct span name,
	    enum dns_type type, unsigned flags, dns_fn *fn, void *arg);
/* Takes the question back; NULL is fine.  Not after the answer has come. */
void	 dns_cancel(struct dns_query **q);

#endif
