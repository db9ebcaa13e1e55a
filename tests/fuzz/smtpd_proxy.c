/* SPDX-License-Identifier: ISC */
/*
 * The PROXY header: the same answer however many bytes come at a time, and
 * never more used than the limit.
 */
#include <stdlib.h>

#include "smtpd/proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proxy_header h, h2;
	size_t used, used2;
	int rc = proxy_parse(span_make(data, size), &h, &used), rc2 = 0;

	if (used > size || used > PROXY_HEADER_MAX)
		abort();
	if (rc == 0 && size >= PROXY_HEADER_MAX)
		abort();
	for (size_t n = 0; n <= size && rc2 == 0; n++)
		rc2 = proxy_parse(span_make(data, n), &h2, &used2);
	if (rc2 != rc || (rc == 1 && (used != used2 ||
	    h.local != h2.local)))
		abort();
	if (rc == 1 && !h.local) {
		char text[SOCK_ADDR_TEXT_MAX];

		sock_addr_text(&h.client, text);
		if (text[0] == '\0' || text[0] == 'u')
			abort();
	}
	return 0;
}
