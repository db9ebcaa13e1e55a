/* SPDX-License-Identifier: ISC */
/*
 * An account's quota file, as somebody may have edited it: what is taken is
 * written, and read again as the same, and the limits can be worked with.
 */
#include <stdlib.h>

#include "store/quota.h"

int	 LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void
use(const struct store_quota *limits)
{
	struct store_quota used = { 1000, 10, 1 };
	struct buf b = BUF_INIT(BUF_UNLIMITED);

	(void)!store_quota_fits(&used, limits, 5000, NULL);
	(void)store_quota_grace(limits->storage);
	(void)store_quota_passed(0, limits->storage / 2, limits->storage);
	store_quota_message(&b, SPAN("user@example.test"), 90, &used, limits);
	buf_fini(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct store_quota q, again, defaults = { QUOTA_UNLIMITED,
	    QUOTA_UNLIMITED, QUOTA_UNLIMITED };
	struct buf one = BUF_INIT(BUF_UNLIMITED), two = one;

	if (store_quota_parse(span_make(p, n), &q, NULL) < 0)
		return 0;
	store_quota_format(&q, &one);
	if (store_quota_parse(buf_span(&one), &again, NULL) < 0)
		abort();
	store_quota_format(&again, &two);
	if (!span_eq(buf_span(&one), buf_span(&two)) ||
	    q.storage != again.storage || q.messages != again.messages ||
	    q.mailboxes != again.mailboxes)
		abort();
	store_quota_merge(&q, &defaults);
	if (q.storage == QUOTA_UNSET || q.messages == QUOTA_UNSET ||
	    q.mailboxes == QUOTA_UNSET)
		abort();
	use(&q);
	buf_fini(&one);
	buf_fini(&two);
	return 0;
}
