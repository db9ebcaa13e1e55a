/* SPDX-License-Identifier: ISC */
/*
 * The file of sending quotas, as a disk or an editor may have left it: what is
 * taken is written, and taken again.  The table stays for the next input.
 */
#include <stdlib.h>

#include "cleanup/quota_count.h"
#include "conf/params.h"

int	 LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct buf text = BUF_INIT(BUF_UNLIMITED);

	if (n > 65536)
		return 0;
	if (quota_counters_take(span_make(p, n)) >= 0) {
		quota_counters_put(&text);
		if (quota_counters_take(buf_span(&text)) != 0)
			abort();
	}
	buf_fini(&text);
	return 0;
}
