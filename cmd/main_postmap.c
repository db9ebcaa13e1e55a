/* SPDX-License-Identifier: ISC */
/*
 * postmap - make, change and query lookup tables; see postmap(1).
 */
#include "cmd/postmap_run.h"
#include "conf/cf_file.h"
#include "conf/table_text.h"

static enum postmap_line
parse(const struct cf_line *line, struct buf *key, struct buf *value,
    const char **complaint)
{
	struct span k, v;
	enum table_line kind = table_text_split(line->text, &k, &v);

	if (kind == TABLE_LINE_BAD) {
		*complaint = "expected format: key whitespace value";
		return POSTMAP_SKIP;
	}
	buf_add_span(key, k);
	buf_add_span(value, v);
	if (kind == TABLE_LINE_OK)
		return POSTMAP_OK;
	*complaint = "record is in \"key: value\" format; is this an alias "
	    "file?";
	return POSTMAP_WARN;
}

int
main(int argc, char **argv)
{
	static const struct postmap_format format = {
		.name = "postmap", .options = "bc:d:fFhimnNopq:rsuUvw",
		.usage = "bfFhimnNoprsuUvw", .parse = parse,
		.separator = "\t",
	};

	return postmap_run(&format, argc, argv);
}
