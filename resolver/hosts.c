/* SPDX-License-Identifier: ISC */
/*
 * hosts - addresses out of a hosts(5) file, for smtp_host_lookup = native.
 */
#include "dns/dns.h"
#include "ipc/schema.h"
#include "resolver/resolver.h"

size_t
hosts_find(struct span text, const char *name, unsigned type,
    struct buf *records, bool *other)
{
	struct span line, word;
	size_t n = 0;

	*other = false;
	while (span_line(&text, &line)) {
		ptrdiff_t hash = span_find(line, '#');
		struct sock_addr a;
		bool v4;

		if (hash >= 0)
			line = span_sub(line, 0, (size_t)hash);
		if (!span_token(&line, " \t", &word) ||
		    sock_addr_parse(word, 0, &a) < 0)
			continue;
		v4 = a.sa.sa_family == AF_INET;
		while (span_token(&line, " \t", &word)) {
			if (!span_caseis(word, name))
				continue;
			if ((type == DNS_A) != v4) {
				*other = true;
			} else {
				ipc_put_blob(records, v4
				    ? span_make(&a.in.sin_addr, 4)
				    : span_make(&a.in6.sin6_addr, 16),
				    RESOLVER_RDATA_MAX, "rdata");
				n++;
			}
			break;
		}
	}
	return n;
}
