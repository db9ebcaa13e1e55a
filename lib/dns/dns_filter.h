/* SPDX-License-Identifier: ISC */
/*
 * dns_filter - records that an administrator does not want to see
 * (smtp_dns_reply_filter).
 */
#ifndef DNS_DNS_FILTER_H
#define DNS_DNS_FILTER_H

#include "base/buf.h"
#include "base/cc.h"
#include "conf/table.h"
#include "dns/dns.h"

/*
 * "name ttl IN type value" as the tables see a record, names with a dot at the
 * end; name is the record's owner.  The ttl is the answer's.
 */
void	 dns_filter_text(struct span name, uint32_t ttl,
	    const struct dns_rr *rr, struct buf *out);
/*
 * The records of an answer for name that are left, appended to out as they
 * are in it.  How many; 0 when the tables have left none that can be used; -1:
 * a table failed, which has been logged.  Malformed ones and types other than
 * A, AAAA, MX, SRV and TLSA are left.
 */
MUST_CHECK int dns_filter(struct maps *m, const struct dns_answer *a,
	    struct span name, struct buf *out);

#endif
