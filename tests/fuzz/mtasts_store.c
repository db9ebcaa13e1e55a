/* SPDX-License-Identifier: ISC */
/*
 * A line of the file of policies: what is taken is written the same again.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "mtasts/mtasts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char domain[DNS_NAME_MAX + 1], again[DNS_NAME_MAX + 1];
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	struct policy p, q;

	if (store_parse(span_make(data, size), domain, &p) < 0)
		return 0;
	store_put(&b, domain, &p);
	if (store_parse(span_sub(buf_span(&b), 0, b.len - 1), again,
	    &q) < 0 || strcmp(domain, again) != 0 ||
	    strcmp(p.mx, q.mx) != 0 || p.mode != q.mode ||
	    p.max_age != q.max_age || strcmp(p.id, q.id) != 0 ||
	    p.fetched_s != q.fetched_s || p.used_s != q.used_s)
		abort();
	mem_free(p.mx);
	mem_free(q.mx);
	buf_fini(&b);
	return 0;
}
