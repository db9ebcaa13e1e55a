/* SPDX-License-Identifier: ISC */
/*
 * Records of the DNS: the first byte chooses the type, the rest is an answer
 * as the resolver passes it on.
 */
#include <stdlib.h>

#include "dns/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned types[] = { DNS_A, DNS_AAAA, DNS_MX, DNS_CNAME,
	    DNS_PTR, DNS_SRV, DNS_TXT, DNS_TLSA };
	struct dns_answer a = { .status = RESOLVER_OK };
	struct buf text = BUF_INIT(BUF_UNLIMITED);
	struct span rest;
	struct dns_rr rr;
	int rc;

	if (size == 0)
		return 0;
	a.type = types[data[0] % ARRAY_LEN(types)];
	a.records = rest = span_make(data + 1, size - 1);
	while ((rc = dns_next(&a, &rest, &rr)) != 0) {
		size_t len = strlen(rr.name);

		if (rc < 0)
			continue;
		if (len > DNS_NAME_MAX || (len > 0 &&
		    !dns_name_valid(span_of(rr.name))))
			abort();
		if (a.type == DNS_TXT) {
			buf_reset(&text);
			dns_txt(&rr, &text);
			if (text.len >= rr.data.len)
				abort();
		}
	}
	buf_fini(&text);
	return 0;
}
