/* SPDX-License-Identifier: ISC */
/*
 * Checks on the way out: the same however many bytes come at a time, and a
 * message that nothing matches comes out as it went in, unless a field was
 * too long.
 */
#include <stdlib.h>

#include "conf/params.h"
#include "smtp/alter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
run(const struct alter_checks *c, struct span in, size_t step,
    struct buf *out)
{
	struct alter *a = alter_new(c, NULL, SPAN("id"), out);
	struct why why = WHY_INIT;

	while (in.len > 0) {
		alter_write(a, span_sub(in, 0, step));
		in = span_from(in, step);
	}
	alter_finish(a);
	if (alter_check(a, &why) < 0)
		abort();
	alter_free(&a);
}

static struct maps *
maps(const char *text)
{
	struct why why = WHY_INIT;
	struct maps *m = maps_new("checks", text, TABLE_FIXED, &why);

	if (m == NULL)
		abort();
	return m;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct alter_checks some, none;
	struct buf a = BUF_INIT(BUF_UNLIMITED), b = BUF_INIT(BUF_UNLIMITED);
	struct span in = span_make(data, size);

	conf.mime_boundary_length_limit = 100;
	conf.mime_nesting_limit = 10;
	conf.body_checks_size_limit = 1000;
	if (some.body == NULL) {
		const char *nothing =
		    "inline:{a_line_that_no_input_has=IGNORE}";

		some.header = some.nested = maps(nothing);
		some.mime = some.body = maps("static:{REPLACE a: b}");
		none.header = none.mime = none.nested = none.body =
		    maps(nothing);
	}
	run(&some, in, size + 1, &a);
	run(&some, in, 5, &b);
	if (!span_eq(buf_span(&a), buf_span(&b)))
		abort();
	buf_reset(&a);
	run(&none, in, 7, &a);
	/* A last field without a line end gets one. */
	if (a.len < size || a.len > size + 1 || memcmp(a.data, data, size) != 0)
		abort();
	buf_fini(&a);
	buf_fini(&b);
	return 0;
}
