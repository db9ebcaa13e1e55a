/* SPDX-License-Identifier: ISC */
/*
 * A BINARYMIME message into lines: the same whatever the pieces it comes in,
 * and no longer than base64 makes it.
 *
 * The first byte chooses how long the pieces are.
 */
#include <stdio.h>
#include <stdlib.h>

#include "conf/params.h"
#include "smtpd/binary.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
run(struct span in, size_t step, struct buf *out)
{
	struct binary *b = binary_new(out);

	while (in.len > 0) {
		binary_write(b, span_sub(in, 0, step));
		in = span_from(in, step);
	}
	binary_finish(b);
	binary_free(&b);
	if (b != NULL)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole = BUF_INIT(BUF_UNLIMITED);
	struct buf pieces = BUF_INIT(BUF_UNLIMITED);
	struct span in;

	conf.header_size_limit = 500;
	conf.line_length_limit = 600;
	conf.mime_boundary_length_limit = 100;
	conf.mime_nesting_limit = 5;
	if (size == 0)
		return 0;
	in = span_make(data + 1, size - 1);
	run(in, in.len + 1, &whole);
	run(in, (data[0] & 31) + 1, &pieces);
	if (!span_eq(buf_span(&whole), buf_span(&pieces)))
		abort();
	/* 4/3, line ends, and the header fields of its parts. */
	if (whole.len > 2 * in.len + 100 + in.len * 2)
		abort();
	buf_fini(&whole);
	buf_fini(&pieces);
	return 0;
}
