/* SPDX-License-Identifier: ISC */
/*
 * lex - see lex.h.
 */
#include "mail/chars.h"
#include "mail/lex.h"

bool
lex_is_atext(unsigned char c)
{
	return c >= 0x80 || char_is_atext(c);
}

/* RFC 2045 5.1: no space, control or tspecial; 8-bit is let through. */
static bool
is_token_char(unsigned char c)
{
	if (c <= ' ' || c == 0x7f)
		return false;
	switch (c) {
	case '(': case ')': case '<': case '>': case '@': case ',':
	case ';': case ':': case '\\': case '"': case '/': case '[':
	case ']': case '?': case '=':
		return false;
	}
	return true;
}

/* At a '(': to behind its ')'; false: it has none, this is the end. */
static bool
skip_comment(struct lex *l)
{
	size_t depth = 0;

	if (l->comment != NULL)
		buf_reset(l->comment);
	for (; l->p < l->end; l->p++) {
		char c = *l->p;

		if (c == '(') {
			if (depth++ == 0)
				continue;
		} else if (c == ')' && --depth == 0) {
			l->p++;
			return true;
		} else if (c == '\\' && l->p + 1 < l->end)
			c = *++l->p;
		else if (c == '\r' || c == '\n')
			continue;
		if (l->comment != NULL)
			(void)!buf_put_char(l->comment, c);
	}
	if (l->comment != NULL)
		buf_reset(l->comment);
	return false;
}

bool
lex_skip(struct lex *l)
{
	while (l->p < l->end) {
		if (*l->p == '(') {
			if (!skip_comment(l))
				return false;
		} else if (char_is_space(*l->p))
			l->p++;
		else
			break;
	}
	return true;
}

int
lex_quoted(struct lex *l, struct buf *out)
{
	const char *start = ++l->p;

	for (; l->p < l->end; l->p++) {
		switch (*l->p) {
		case '"':
			buf_add(out, start, (size_t)(l->p++ - start));
			lex_skip(l);
			return 0;
		case '\r':
		case '\n':
			/* A fold; a bare CR is nothing either. */
			buf_add(out, start, (size_t)(l->p - start));
			start = l->p + 1;
			break;
		case '\\':
			if (l->p + 1 == l->end)
				return -1;
			buf_add(out, start, (size_t)(l->p++ - start));
			start = l->p;
			break;
		}
	}
	return -1;
}

/* A run of bytes of one kind, appended. */
static size_t
take_run(struct lex *l, bool (*is)(unsigned char), struct buf *out)
{
	const char *start = l->p;
	size_t n;

	while (l->p < l->end && is((unsigned char)*l->p))
		l->p++;
	n = (size_t)(l->p - start);
	buf_add(out, start, n);
	return n;
}

int
lex_dot_atom(struct lex *l, struct buf *out)
{
	bool any = false;

	for (;;) {
		if (take_run(l, lex_is_atext, out) == 0 && !lex_at(l, '.'))
			return any ? 0 : -1;
		lex_skip(l);
		if (!lex_at(l, '.'))
			return 0;
		/* Empty atoms, as in "a..b" and "a.@b", are kept. */
		buf_add_char(out, '.');
		l->p++;
		any = true;
		lex_skip(l);
		if (l->p == l->end)
			return 0;
	}
}

static bool
is_atext_or_dot(unsigned char c)
{
	return c == '.' || lex_is_atext(c);
}

int
lex_phrase(struct lex *l, struct buf *out)
{
	if (lex_at(l, '.'))
		return -1;
	for (;;) {
		if (lex_at(l, '"')) {
			if (lex_quoted(l, out) < 0)
				return -1;
		} else {
			(void)take_run(l, is_atext_or_dot, out);
			lex_skip(l);
		}
		if (l->p == l->end || (*l->p != '"' &&
		    !is_atext_or_dot((unsigned char)*l->p)))
			return 0;
		buf_add_char(out, ' ');
	}
}

static int
domain_literal(struct lex *l, struct buf *out)
{
	const char *start = l->p;

	for (; l->p < l->end; l->p++) {
		if (*l->p == '\\' && l->p + 1 < l->end)
			l->p++;
		else if (*l->p == '[' && l->p > start)
			return -1;
		else if (*l->p == ']') {
			l->p++;
			buf_add(out, start, (size_t)(l->p - start));
			lex_skip(l);
			return 0;
		}
	}
	return -1;
}

int
lex_domain(struct lex *l, struct buf *out)
{
	l->p++;
	lex_skip(l);
	if (lex_at(l, '['))
		return domain_literal(l, out);
	for (;;) {
		if (take_run(l, lex_is_atext, out) == 0 || !lex_skip(l))
			return -1;
		if (!lex_at(l, '.'))
			return 0;
		buf_add_char(out, '.');
		l->p++;
		lex_skip(l);
	}
}

int
lex_token(struct lex *l, struct buf *out)
{
	if (take_run(l, is_token_char, out) == 0 || !lex_skip(l))
		return -1;
	return 0;
}

int
lex_content_type(struct lex *l, struct buf *type, struct buf *subtype)
{
	int rc;

	lex_skip(l);
	rc = lex_token(l, type);
	if (l->p == l->end)
		return -1;			/* "text" */
	if (rc == 0 && *l->p++ == '/') {
		lex_skip(l);
		if (lex_token(l, subtype) == 0 &&
		    (l->p == l->end || *l->p == ';'))
			return 0;
	}
	buf_reset(type);
	buf_reset(subtype);
	return -1;
}

static bool
is_value_char(unsigned char c)
{
	return c != ';' && c != '"' && !char_is_space(c);
}

/* What follows "name=". */
static int
param_value(struct lex *l, struct span name, struct buf *value)
{
	if (lex_at(l, '"'))
		return lex_quoted(l, value);
	/*
	 * Without quotes it is a token (RFC 2045 5.1).  But a boundary may
	 * have '=' and '/' in it (RFC 2046 5.1.1), and where the quotes were
	 * forgotten they are there all the same; and there are encoded words.
	 */
	if (lex_at(l, '=') || span_caseis(name, "boundary"))
		(void)take_run(l, is_value_char, value);
	else
		(void)take_run(l, is_token_char, value);
	lex_skip(l);
	return 0;
}

int
lex_param(struct lex *l, struct buf *name, struct buf *value)
{
	/* After something wrong the next ';' is looked for, byte by byte. */
	for (; l->p < l->end; l->p++) {
		if (*l->p != ';')
			continue;
		l->p++;
		lex_skip(l);
		buf_reset(name);
		buf_reset(value);
		if (lex_token(l, name) == 0 && lex_at(l, '=')) {
			l->p++;
			lex_skip(l);
			if (param_value(l, buf_span(name), value) == 0)
				return 1;
		}
		if (l->p == l->end)
			break;
	}
	return 0;
}
