/* SPDX-License-Identifier: ISC */
/*
 * dns - what the DNS answers, as structs.
 *
 * Records come from strangers: rdata (RFC 1035 3.3, RFC 3596, RFC 2782,
 * RFC 6698) is checked here, in the process that uses it.  A host name in a
 * record that is none (odd characters, too long) makes the record malformed.
 * Names are without the dot at the end; the root is "".
 */
#ifndef DNS_DNS_H
#define DNS_DNS_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"
#include "ipc/msg_resolver.h"

#define DNS_NAME_MAX	255	/* RFC 1035 2.3.4, as text without the dot */

enum dns_type {
	DNS_A = 1, DNS_NS = 2, DNS_CNAME = 5, DNS_PTR = 12, DNS_MX = 15,
	DNS_TXT = 16, DNS_AAAA = 28, DNS_SRV = 33, DNS_TLSA = 52
};
const char *dns_type_name(unsigned type);	/* "MX"; "?" */
/* "Host not found", "Host not found, try again", ...: as people know them. */
const char *dns_status_text(enum resolver_status s);

static inline bool
dns_temporary(enum resolver_status s)
{
	return s >= RESOLVER_SERVFAIL;
}

/* An answer as its handler sees it; the spans are good during the call. */
struct dns_answer {
	enum resolver_status status;
	unsigned	 type;
	bool		 secure;
	uint32_t	 ttl;		/* seconds */
	struct span	 name;		/* where the CNAMEs led */
	struct span	 records;	/* for dns_next() */
	struct span	 text;
};

struct dns_rr {
	unsigned	 type;
	/* A, AAAA: the address in network byte order. */
	uint8_t		 addr[16];
	/* MX: pref; SRV: pref, weight, port. */
	uint16_t	 pref, weight, port;
	/* NS, CNAME, PTR, MX, SRV. */
	char		 name[DNS_NAME_MAX + 1];
	/* TLSA. */
	uint8_t		 usage, selector, matching;
	struct span	 data;		/* TLSA data; TXT: see dns_txt() */
};

/* One record's rdata.  0, or -1 when it is malformed or of another type. */
MUST_CHECK int dns_rr_parse(unsigned type, struct span rdata,
	    struct dns_rr *out);
/*
 * The next record of an answer; *rest starts as a->records.  1; 0: there is
 * no more; -1: this one is malformed, the next may be well.
 */
MUST_CHECK int dns_next(const struct dns_answer *a, struct span *rest,
	    struct dns_rr *out);
/* Of an A or AAAA record; without a port. */
struct sock_addr;
void	 dns_address(const struct dns_rr *rr, struct sock_addr *out);
/* The strings of a TXT record, put together (RFC 7208 3.3). */
void	 dns_txt(const struct dns_rr *rr, struct buf *out);
/* "4.3.2.1.in-addr.arpa", "...ip6.arpa" for len 4 or 16 bytes. */
void	 dns_reverse_name(const uint8_t *addr, size_t len, struct buf *out);
/* Letters, digits, '-' and '_', labels of 1 to 63 bytes, 253 in all. */
bool	 dns_name_valid(struct span name);

#endif
