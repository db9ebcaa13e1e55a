/* SPDX-License-Identifier: ISC */
/*
 * The file of a period: what is taken is written the same again, and makes a
 * report that can be compressed.
 */
#include <stdlib.h>

#include "tlsrpt/tlsrpt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf one = BUF_INIT(BUF_UNLIMITED), two = BUF_INIT(BUF_UNLIMITED),
	    gz = BUF_INIT(BUF_UNLIMITED);
	struct period p, q;

	if (period_parse(&p, span_make(data, size)) == 0) {
		period_put(&p, &one);
		if (period_parse(&q, buf_span(&one)) < 0)
			abort();
		period_put(&q, &two);
		if (!span_eq(buf_span(&one), buf_span(&two)))
			abort();
		period_fini(&q);
		LIST_FOREACH(l, &p.order) {
			buf_reset(&one);
			buf_reset(&gz);
			report_json(LIST_ENTRY(l, struct rdomain, link),
			    &one);
			if (report_gzip(buf_span(&one), &gz) < 0)
				abort();
		}
	}
	period_fini(&p);
	buf_fini(&one);
	buf_fini(&two);
	buf_fini(&gz);
	return 0;
}
