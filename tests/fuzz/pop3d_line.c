/* SPDX-License-Identifier: ISC */
/*
 * The lines of a POP3 client: the parser never reads beyond its input, takes
 * some of it whenever a line has come, and finds the same lines however the
 * input is cut into pieces.
 */
#include <stdlib.h>

#include "base/buf.h"
#include "pop3d/capa.h"
#include "pop3d/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
look_at(const struct pop3_line *line, struct span in)
{
	struct span rest = line->rest;
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	uint32_t n;

	if (line->word.p < in.p || line->word.p + line->word.len >
	    in.p + in.len || span_find(line->word, '\n') >= 0 ||
	    span_find(line->word, ' ') >= 0)
		abort();
	if (rest.p != NULL && (rest.p < in.p ||
	    rest.p + rest.len > in.p + in.len))
		abort();
	for (int i = 0; i < 3 && pop3_parse_number(&rest, &n) == 1; i++)
		;
	if (line->verb == POP3_LANG) {
		pop3_lang(line->rest, &b);
		if (b.len < 6)
			abort();
	}
	buf_fini(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_make(data, size);
	struct pop3_line line;
	size_t used;
	bool whole;

	for (;;) {
		enum pop3_parsed got = pop3_parse_line(in, &line, &used,
		    &whole);

		if (used > in.len)
			abort();
		if (got == POP3_MORE)
			break;
		if (used == 0 || (got == POP3_LINE && !whole))
			abort();
		if (got == POP3_LINE) {
			struct pop3_line again;
			size_t less;

			look_at(&line, in);
			/* Without its last byte it is no line yet. */
			if (pop3_parse_line(span_sub(in, 0, used - 1), &again,
			    &less, &whole) != POP3_MORE)
				abort();
		}
		in = span_from(in, used);
	}
	return 0;
}
