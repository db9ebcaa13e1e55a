/* SPDX-License-Identifier: ISC */
/*
 * Replies of servers: the same answer however many bytes come at a time, and
 * never more kept than the limits.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "smtp/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum reply_result
feed(struct reply *r, struct span in, size_t step, size_t *taken)
{
	struct buf pending = BUF_INIT(BUF_UNLIMITED);
	enum reply_result rc = REPLY_MORE;
	size_t used;

	*taken = 0;
	while (rc == REPLY_MORE && in.len > 0) {
		buf_add_span(&pending, span_sub(in, 0, step));
		in = span_from(in, step);
		rc = reply_feed(r, buf_span(&pending), &used);
		if (used > pending.len)
			abort();
		buf_consume(&pending, used);
		*taken += used;
	}
	buf_fini(&pending);
	return rc;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_make(data, size);
	struct reply a, b;
	size_t used, used2;
	enum reply_result rc, rc2;

	reply_init(&a);
	reply_init(&b);
	rc = feed(&a, in, size + 1, &used);
	rc2 = feed(&b, in, 3, &used2);
	if (rc != rc2 && size < REPLY_LINE_MAX)
		abort();
	if (rc == REPLY_DONE && rc2 == REPLY_DONE && (used != used2 ||
	    a.code != b.code || !span_eq(buf_span(&a.text),
	    buf_span(&b.text))))
		abort();
	if (rc == REPLY_DONE && (a.code < 200 || a.code > 599))
		abort();
	if (a.text.len > REPLY_TEXT_MAX || span_find(buf_span(&a.text),
	    '\n') >= 0)
		abort();
	reply_fini(&a);
	reply_fini(&b);
	return 0;
}
