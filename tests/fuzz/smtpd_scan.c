/* SPDX-License-Identifier: ISC */
/*
 * The data scanner against RFC 5321 4.1.1.4 and 4.5.2 spelled out a byte at a
 * time: whatever the pieces it gets, content, end and rest are the same.
 *
 * The first byte chooses how long the pieces are, and DATA or BDAT.
 */
#include <stdlib.h>

#include "base/buf.h"
#include "smtpd/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What it should be.  Returns bytes used by the message, or 0: no end. */
static size_t
slowly(struct span in, bool dots, struct buf *out)
{
	bool start = true, crlf = true;
	size_t i = 0;

	while (i < in.len) {
		const char *p = in.p + i;
		size_t left = in.len - i;

		if (dots && start && *p == '.') {
			if (crlf && left >= 3 && memcmp(p, ".\r\n", 3) == 0)
				return i + 3;
			i++;
			start = false;
			continue;
		}
		start = false;
		if (left >= 2 && p[0] == '\r' && p[1] == '\n') {
			buf_add_char(out, '\n');
			i += 2;
			start = crlf = true;
		} else if (*p == '\n') {
			buf_add_char(out, '\n');
			i++;
			start = true;
			crlf = false;
		} else {
			buf_add_char(out, *p);
			i++;
		}
	}
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf want = BUF_INIT(BUF_UNLIMITED);
	struct buf got = BUF_INIT(BUF_UNLIMITED);
	struct scan s = { .at = SCAN_AFTER_CRLF };
	struct span in;
	size_t step, end, at = 0, shown = 0, lines = 0;
	bool dots, ended = false;

	if (size == 0)
		return 0;
	step = (size_t)(data[0] & 15) + 1;
	if (data[0] & 32)	/* long enough for blocks */
		step *= 21;
	dots = (data[0] & 16) == 0;
	in = span_make(data + 1, size - 1);
	end = slowly(in, dots, &want);
	while (!ended && shown < in.len) {
		size_t used, n;
		char *out;

		shown = MIN(shown + step, in.len);
		out = buf_reserve(&got, shown - at + 1);
		if (dots)
			ended = scan_data(&s, span_make(in.p + at,
			    shown - at), out, &used, &n) == SCAN_END;
		else
			scan_chunk(&s, span_make(in.p + at, shown - at),
			    shown == in.len, out, &used, &n);
		if (used > shown - at || n > shown - at)
			abort();
		buf_commit(&got, n);
		at += used;
		if (!ended && shown - at > SCAN_PENDING_MAX)
			abort();
	}
	if (ended != (end != 0))
		abort();
	if (ended && at != end)
		abort();
	if (!ended) {
		/* What it keeps back is at the end of what there is. */
		if (dots ? want.len < got.len : at != in.len)
			abort();
		buf_trunc(&want, dots ? got.len : want.len);
	}
	if (!span_eq(buf_span(&want), buf_span(&got)))
		abort();
	for (size_t i = 0; i < got.len; i++)
		lines += got.data[i] == '\n';
	if (lines != s.lines)
		abort();
	buf_fini(&want);
	buf_fini(&got);
	return 0;
}
