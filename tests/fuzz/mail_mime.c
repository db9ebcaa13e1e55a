/* SPDX-License-Identifier: ISC */
/*
 * A message through the MIME parser.  The first byte chooses the size of the
 * pieces, the second the options.
 *
 * However the input is cut, the same calls are made, and together they have
 * every byte of it, but for what goes beyond header_max.
 */
#include <stdlib.h>

#include "mail/mime.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	struct buf	bytes, trace;
	unsigned	primary_ends;
};

static void
on_header(void *arg, enum mime_section s, const struct header_field *f)
{
	struct seen *seen = arg;

	buf_add_span(&seen->bytes, f->whole);
	buf_addf(&seen->trace, "h%d %zu ", (int)s, f->whole.len);
}

static void
on_end(void *arg, enum mime_section s, bool blank)
{
	struct seen *seen = arg;

	if (blank)
		buf_add_char(&seen->bytes, '\n');
	if (s == MIME_PRIMARY)
		seen->primary_ends++;
	buf_addf(&seen->trace, "e%d%d ", (int)s, blank);
}

static void
on_body(void *arg, struct span b, bool line_start)
{
	struct seen *seen = arg;

	buf_add_span(&seen->bytes, b);
}

static const struct mime_ops ops = { on_header, on_end, on_body };

static unsigned
run(const struct mime_options *o, struct span in, size_t step,
    struct seen *seen)
{
	struct mime *m = mime_new(o, &ops, seen);
	unsigned flags;

	seen->bytes = BUF_INIT(BUF_UNLIMITED);
	seen->trace = BUF_INIT(BUF_UNLIMITED);
	seen->primary_ends = 0;
	for (; in.len > 0; in = span_from(in, step))
		mime_write(m, span_sub(in, 0, step));
	mime_finish(m);
	flags = mime_flags(m);
	mime_free(&m);
	return flags;
}

/* The bytes without CR: the blank line's own is not shown. */
static void
drop_cr(struct span s, struct buf *out)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] != '\r')
			buf_add_char(out, s.p[i]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mime_options o = {
		.header_max = 200, .line_max = 100, .boundary_max = 70,
		.nesting_max = 10,
	};
	struct buf a = BUF_INIT(BUF_UNLIMITED), b = BUF_INIT(BUF_UNLIMITED);
	struct seen cut, whole;
	struct span in;
	unsigned flags;

	if (size < 2)
		return 0;
	in = span_make(data + 2, size - 2);
	o.structure = data[1] & 1;
	o.lines = data[1] & 2;
	o.look_8bit = data[1] & 4;
	flags = run(&o, in, data[0] + 1u, &cut);
	if (run(&o, in, in.len + 1, &whole) != flags ||
	    !span_eq(buf_span(&cut.trace), buf_span(&whole.trace)) ||
	    !span_eq(buf_span(&cut.bytes), buf_span(&whole.bytes)) ||
	    cut.primary_ends != 1)
		abort();
	if (!(flags & MIME_HEADER_CUT)) {
		drop_cr(in, &a);
		drop_cr(buf_span(&whole.bytes), &b);
		if (!span_eq(buf_span(&a), buf_span(&b)))
			abort();
	}
	buf_fini(&a);
	buf_fini(&b);
	buf_fini(&cut.bytes);
	buf_fini(&cut.trace);
	buf_fini(&whole.bytes);
	buf_fini(&whole.trace);
	return 0;
}
