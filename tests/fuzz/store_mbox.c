/* SPDX-License-Identifier: ISC */
/*
 * The end of an mbox: what is cut off begins with our mark and holds no
 * message of anybody else; and quoted text never looks like a half.
 */
#include "store/store_internal.h"

int	 LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct span in = span_make(p, n);
	struct buf out = BUF_INIT(BUF_UNLIMITED);
	struct mbox_quoter q = { 0 };
	int64_t half = mbox_find_half(in, 0);
	size_t step = n > 0 ? 1 + p[0] % 7 : 1;

	if (half >= 0) {
		struct span tail = span_from(in, (size_t)half);

		if (tail.len == 0 || tail.p[0] != '\0' ||
		    span_search(tail, SPAN("\nFrom ")) >= 0)
			__builtin_trap();
	}
	/* What we write of any content, behind a From_ line. */
	buf_add_str(&out, "From x\n");
	for (size_t i = 0; i < n; i += step)
		mbox_quote(&q, span_sub(in, i, step), &out);
	mbox_quote_end(&q, &out);
	if (mbox_find_half(buf_span(&out), 0) >= 0 ||
	    span_search(span_from(buf_span(&out), 1), SPAN("\nFrom ")) >= 0)
		__builtin_trap();
	buf_fini(&out);
	return 0;
}
