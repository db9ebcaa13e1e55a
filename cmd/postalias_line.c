/* SPDX-License-Identifier: ISC */
#include "cmd/postalias_line.h"

#include <ctype.h>

/* The index of the colon behind the name, or -1. */
static ptrdiff_t
colon_of(struct span s)
{
	bool quoted = false;

	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] == '\\' && i + 1 < s.len)
			i++;
		else if (s.p[i] == '"')
			quoted = !quoted;
		else if (s.p[i] == ':' && !quoted)
			return (ptrdiff_t)i;
	}
	return -1;
}

int
postalias_parse(struct span line, struct buf *name, struct buf *value)
{
	ptrdiff_t colon = colon_of(line);
	struct span n, v;
	bool quoted = false, space = false;

	if (colon < 0)
		return -1;
	n = span_trim(span_sub(line, 0, (size_t)colon));
	v = span_trim(span_from(line, (size_t)colon + 1));
	if (n.len == 0 || v.len == 0)
		return -1;
	for (size_t i = 0; i < n.len; i++) {
		if (n.p[i] == '\\' && i + 1 < n.len)
			buf_add_char(name, n.p[++i]);
		else if (n.p[i] != '"')
			buf_add_char(name, n.p[i]);
	}
	for (size_t i = 0; i < v.len; i++) {
		char c = v.p[i];

		if (!quoted && isspace((unsigned char)c)) {
			space = true;
			continue;
		}
		if (space && c != ',')
			buf_add_char(value, ' ');
		space = false;
		buf_add_char(value, c);
		if (c == '\\' && i + 1 < v.len)
			buf_add_char(value, v.p[++i]);
		else if (c == '"')
			quoted = !quoted;
	}
	return name->len > 0 ? 0 : -1;
}
