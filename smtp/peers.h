/* SPDX-License-Identifier: ISC */
/*
 * peers - addresses to try, and in which order (RFC 5321 5.1).
 */
#ifndef SMTP_PEERS_H
#define SMTP_PEERS_H

#include "base/array.h"
#include "base/cc.h"
#include "dns/dns.h"
#include "io/sock.h"

#define PEERS_MX_MAX	64	/* mail exchangers of a domain looked at */
#define PEERS_MAX	256	/* addresses of all of them */

struct peer {
	char		 host[DNS_NAME_MAX + 1];	/* as in the MX record */
	char		 target[DNS_NAME_MAX + 1];	/* where CNAMEs led */
	struct sock_addr addr;
	uint32_t	 pref;
	uint32_t	 rank;		/* of hosts with this pref: SRV's */
	uint64_t	 order;		/* among equals */
	bool		 mx_secure;	/* the MX records are */
	bool		 host_secure;	/* the address records are */
	bool		 no_tls;	/* a handshake failed, and plain will do */
};

struct peers {
	struct peer	*v;
	size_t		 len, alloc;
	bool		 mx;		/* they come from MX records */
	bool		 mx_secure;	/* which DNSSEC proves, or proves that
					 * there are none */
};

void	 peers_fini(struct peers *p);
/*
 * Drop this machine's address (self() says which) and what is not better:
 * going there would be going round (RFC 5321 5.1).  True, with our own
 * preference, when nothing is left because of that.
 */
bool	 peers_drop_self(struct peers *p,
	    bool (*self)(const struct sock_addr *a), uint32_t *self_pref);
/*
 * Order by preference and rank; among equals by chance, unless shuffle is off, with
 * the preferred family (AF_UNSPEC: none) first.  Then keep at most limit (0:
 * all), of both families if balance and there are both.
 */
void	 peers_order(struct peers *p, bool shuffle, int family, bool balance,
	    size_t limit);

#endif
