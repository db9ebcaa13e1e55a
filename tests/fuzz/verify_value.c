/* SPDX-License-Identifier: ISC */
/*
 * What the map of probed addresses says of one: what is taken is written, and
 * taken again as the same.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "verify/verify.h"

int	 LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct entry one = { .text = NULL }, two = one;
	struct buf b = BUF_INIT(BUF_UNLIMITED);

	if (cache_value_parse(span_make(p, n), &one) == 0) {
		cache_value_put(&one, &b);
		if (cache_value_parse(buf_span(&b), &two) < 0 ||
		    one.status != two.status || one.probed != two.probed ||
		    one.updated != two.updated ||
		    strcmp(one.text, two.text) != 0 ||
		    strlen(one.text) > VERIFY_TEXT_MAX)
			abort();
	}
	mem_free(one.text);
	mem_free(two.text);
	buf_fini(&b);
	return 0;
}
