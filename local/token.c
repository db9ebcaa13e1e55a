/* SPDX-License-Identifier: ISC */
/*
 * token - destinations from text (token.h).
 */
#include "local/token.h"

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

bool
token_line_empty(struct span line)
{
	line = span_trim(line);
	return line.len == 0 || line.p[0] == '#';
}

/*
 * A quoted string at s, into out without quotes and backslashes.  The bytes
 * it takes, or 0: it has no end, or does not fit.
 */
static size_t
unquote(struct span s, struct buf *out)
{
	size_t i;

	for (i = 1; i < s.len && s.p[i] != '"'; i++) {
		if (s.p[i] == '\\' && i + 1 < s.len)
			i++;
		if (s.p[i] == '\0' || buf_put_char(out, s.p[i]) < 0)
			return 0;
	}
	return i < s.len ? i + 1 : 0;
}

static enum token_kind
kind_of(struct span s)
{
	if (s.len > 1 && s.p[0] == '|')
		return TOKEN_COMMAND;
	if (s.len > 0 && s.p[0] == '/')
		return TOKEN_FILE;
	if (span_casestarts(s, SPAN(":include:")))
		return TOKEN_INCLUDE;
	return TOKEN_ADDRESS;
}

static bool
ends_here(struct span s, size_t i)
{
	return i >= s.len || s.p[i] == ',' || is_space(s.p[i]);
}

/* Drop what introduces the kind: '|', ":include:". */
static int
finish(enum token_kind kind, struct buf *out)
{
	struct span s;

	if (kind == TOKEN_COMMAND)
		buf_consume(out, 1);
	else if (kind == TOKEN_INCLUDE)
		buf_consume(out, sizeof(":include:") - 1);
	s = span_trim(buf_span(out));
	if (kind == TOKEN_COMMAND || kind == TOKEN_INCLUDE) {
		if (s.p > out->data)
			buf_consume(out, (size_t)(s.p - out->data));
		buf_trunc(out, s.len);
	}
	if (out->len == 0 || span_has_nul(buf_span(out)))
		return -1;
	return 1;
}

/*
 * An address in header form goes to the next comma outside of quotes,
 * comments and angle brackets.
 */
static size_t
address_end(struct span s)
{
	int comment = 0;
	bool angle = false;
	size_t i;

	for (i = 0; i < s.len; i++) {
		char c = s.p[i];

		if (c == '\\') {
			i++;
		} else if (comment > 0) {
			comment += c == '(' ? 1 : c == ')' ? -1 : 0;
		} else if (c == '"') {
			for (i++; i < s.len && s.p[i] != '"'; i++)
				i += s.p[i] == '\\';
		} else if (c == '(') {
			comment++;
		} else if (c == '<') {
			angle = true;
		} else if (c == '>') {
			angle = false;
		} else if (c == ',' && !angle) {
			break;
		}
	}
	return i < s.len ? i : s.len;
}

int
token_next(struct span *rest, enum token_kind *kind, struct buf *out)
{
	struct span s = *rest;
	size_t n = 0;

	buf_reset(out);
	while (n < s.len && (is_space(s.p[n]) || s.p[n] == ','))
		n++;
	s = span_from(s, n);
	if (s.len == 0) {
		*rest = s;
		return 0;
	}
	if (s.p[0] == '"') {
		n = unquote(s, out);
		*kind = kind_of(buf_span(out));
		if (n > 0 && *kind != TOKEN_ADDRESS && ends_here(s, n)) {
			*rest = span_from(s, n);
			return finish(*kind, out);
		}
		buf_reset(out);
	} else if (s.p[0] == '\\' && s.len > 1) {
		for (n = 1; !ends_here(s, n); n++)
			;
		*kind = TOKEN_MAILBOX;
		*rest = span_from(s, n);
		if (n == 1 || buf_put(out, s.p + 1, n - 1) < 0 ||
		    span_has_nul(buf_span(out)))
			return -1;
		return 1;
	} else if ((*kind = kind_of(s)) != TOKEN_ADDRESS) {
		size_t skip = *kind == TOKEN_INCLUDE ?
		    sizeof(":include:") - 1 : *kind == TOKEN_COMMAND ? 1 : 0;

		/* |"command with blanks" and :include:"/file name" */
		if (skip > 0 && skip < s.len && s.p[skip] == '"') {
			n = unquote(span_from(s, skip), out);
			if (n > 0 && ends_here(s, skip + n)) {
				*rest = span_from(s, skip + n);
				return out->len > 0 ? 1 : -1;
			}
			buf_reset(out);
		}
		/* A command may have arguments; a file name ends at a blank. */
		for (n = skip; n < s.len && s.p[n] != ','; n++) {
			if (*kind != TOKEN_COMMAND && is_space(s.p[n]))
				break;
		}
		*rest = span_from(s, n);
		if (buf_put(out, s.p, n) < 0)
			return -1;
		return finish(*kind, out);
	}
	*kind = TOKEN_ADDRESS;
	n = address_end(s);
	*rest = span_from(s, n);
	if (buf_put_span(out, span_trim(span_sub(s, 0, n))) < 0 ||
	    span_has_nul(buf_span(out)))
		return -1;
	return 1;
}
