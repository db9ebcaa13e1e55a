/* SPDX-License-Identifier: ISC */
/*
 * 8-bit messages become 7-bit ones: the same however many bytes come at a
 * time, no line gets long, and what says quoted-printable is.
 */
#include <stdlib.h>

#include "conf/params.h"
#include "smtp/downgrade.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
run(struct span in, size_t step, struct buf *out)
{
	struct downgrade *d = downgrade_new(out);

	while (in.len > 0) {
		downgrade_write(d, span_sub(in, 0, step));
		in = span_from(in, step);
	}
	downgrade_finish(d);
	downgrade_free(&d);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf a = BUF_INIT(BUF_UNLIMITED), b = BUF_INIT(BUF_UNLIMITED);
	struct span in = span_make(data, size);

	conf.mime_boundary_length_limit = 100;
	conf.mime_nesting_limit = 10;
	run(in, size + 1, &a);
	run(in, 5, &b);
	if (!span_eq(buf_span(&a), buf_span(&b)))
		abort();
	if (a.len > size * 4 + 1000)
		abort();
	buf_fini(&a);
	buf_fini(&b);
	return 0;
}
