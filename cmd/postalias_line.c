/* SPDX-License-Identifier: ISC */
#include "cmd/postalias_line.h"

#include <ctype.h>

/* The index of a character that is not in quotes, or -1. */
static ptrdiff_t
find_bare(struct span s, char c)
{
	bool quoted = false;

	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] == '\\' && i + 1 < s.len)
			i++;
		else if (s.p[i] == '"')
			quoted = !quoted;
		else if (s.p[i] == c && !quoted)
			return (ptrdiff_t)i;
	}
	return -1;
}

/*
 * Items are apart by comma and space, however they are written; what is in
 * quotes stays, and ends.
 */
static void
put_value(struct span v, struct buf *value)
{
	bool quoted = false, space = false;

	for (size_t i = 0; i < v.len; i++) {
		char c = v.p[i];

		if (!quoted && isspace((unsigned char)c)) {
			space = true;
			continue;
		}
		if (space && c != ',')
			buf_add_char(value, ' ');
		space = c == ',' && !quoted;
		buf_add_char(value, c);
		if (c == '\\' && i + 1 < v.len)
			buf_add_char(value, v.p[++i]);
		else if (c == '"')
			quoted = !quoted;
	}
	if (quoted)
		buf_add_char(value, '"');
}

int
postalias_parse(struct span line, struct buf *name, struct buf *value,
    const char **complaint)
{
	ptrdiff_t colon = find_bare(line, ':');
	struct span n, v;

	*complaint = "need name:value pair";
	if (colon < 0)
		return -1;
	n = span_trim(span_sub(line, 0, (size_t)colon));
	v = span_trim(span_from(line, (size_t)colon + 1));
	if (n.len == 0 || v.len == 0)
		return -1;
	if (find_bare(n, '@') >= 0) {
		*complaint = "name must be local";
		return -1;
	}
	for (size_t i = 0; i < n.len; i++) {
		if (n.p[i] == '\\' && i + 1 < n.len)
			buf_add_char(name, n.p[++i]);
		else if (n.p[i] != '"')
			buf_add_char(name, n.p[i]);
	}
	put_value(v, value);
	return name->len > 0 ? 0 : -1;
}
