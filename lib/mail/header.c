/* SPDX-License-Identifier: ISC */
/*
 * header - see header.h.
 */
#include "mail/chars.h"
#include "mail/header.h"

#define FOLD_AT	78		/* RFC 5322 2.1.1: lines SHOULD be no longer */

size_t
header_name_len(struct span line, size_t *colon)
{
	size_t n = 0, c;

	/* RFC 5322 2.2: printable US-ASCII except colon. */
	while (n < line.len && line.p[n] > ' ' && line.p[n] < 0x7f &&
	    line.p[n] != ':')
		n++;
	if (n == 0)
		return 0;
	/* RFC 5322 4.5: white space before the colon is obsolete, not bad. */
	for (c = n; c < line.len && (line.p[c] == ' ' || line.p[c] == '\t');)
		c++;
	if (c == line.len || line.p[c] != ':')
		return 0;
	if (colon != NULL)
		*colon = c;
	return n;
}

int
header_next(struct span *in, struct header_field *f)
{
	size_t name, colon = 0, end;
	const char *nl;

	nl = in->len > 0 ? memchr(in->p, '\n', in->len) : NULL;
	end = nl != NULL ? (size_t)(nl - in->p) + 1 : in->len;
	name = header_name_len(span_sub(*in, 0, end), &colon);
	if (name == 0)
		return 0;
	while (end < in->len && (in->p[end] == ' ' || in->p[end] == '\t')) {
		nl = memchr(in->p + end, '\n', in->len - end);
		end = nl != NULL ? (size_t)(nl - in->p) + 1 : in->len;
	}
	f->name = span_sub(*in, 0, name);
	f->whole = span_sub(*in, 0, end);
	f->value = span_from(f->whole, colon + 1);
	if (f->value.len > 0 && f->value.p[f->value.len - 1] == '\n')
		f->value.len--;
	if (f->value.len > 0 && f->value.p[f->value.len - 1] == '\r')
		f->value.len--;
	*in = span_from(*in, end);
	return 1;
}

size_t
header_section_len(struct span message)
{
	struct span rest = message;
	struct header_field f;

	while (header_next(&rest, &f) == 1)
		;
	return message.len - rest.len;
}

bool
header_find(struct span section, const char *name, struct header_field *f)
{
	struct header_field g;

	while (header_next(&section, &g) == 1)
		if (span_caseis(g.name, name)) {
			*f = g;
			return true;
		}
	return false;
}

void
header_unfold(struct span value, struct buf *out)
{
	value = span_trim(value);
	for (size_t i = 0; i < value.len; i++) {
		if (value.p[i] == '\n' || value.p[i] == '\r') {
			while (i + 1 < value.len &&
			    char_is_space(value.p[i + 1]))
				i++;
			buf_add_char(out, ' ');
		} else
			buf_add_char(out, value.p[i]);
	}
}

/* White space on one line: what a fold was is gone, but never all of it. */
static void
put_space(struct buf *out, struct span space)
{
	size_t old = out->len;

	for (size_t i = 0; i < space.len; i++)
		if (space.p[i] == ' ' || space.p[i] == '\t')
			buf_add_char(out, space.p[i]);
	if (out->len == old)
		buf_add_char(out, ' ');
}

void
header_fold(struct buf *out, const char *name, struct span value,
    const char *line_end)
{
	size_t col, i = 0;

	buf_add_str(out, name);
	buf_add_char(out, ':');
	col = strlen(name) + 1;
	value = span_trim(value);
	/* Pieces: white space and the word after it.  Never a line of space
	 * only: readers would take it for the end of the header. */
	while (i < value.len) {
		size_t space = i, word;

		while (i < value.len && char_is_space(value.p[i]))
			i++;
		word = i;
		while (i < value.len && !char_is_space(value.p[i]))
			i++;
		if (space > 0 && col + (i - space) > FOLD_AT) {
			buf_add_str(out, line_end);
			col = 0;
		}
		put_space(out, span_sub(value, space, word - space));
		buf_add(out, value.p + word, i - word);
		col += i - space + (space == 0);
	}
	buf_add_str(out, line_end);
}
