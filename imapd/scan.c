/* SPDX-License-Identifier: ISC */
/*
 * scan - see scan.h.
 */
#include "base/num.h"
#include "base/utf8.h"
#include "imapd/scan.h"
#include "mail/chars.h"

void
scan_init(struct scan *s, struct span in, struct arena *arena)
{
	*s = (struct scan){ .in = in, .arena = arena };
}

bool
scan_bad(struct scan *s, const char *err)
{
	if (s->err == NULL)
		s->err = err;
	return false;
}

bool
scan_no(struct scan *s, const char *code, const char *err)
{
	if (s->err == NULL) {
		s->err = err;
		s->code = code;
		s->no = true;
	}
	return false;
}

int
scan_peek(const struct scan *s)
{
	return s->at < s->in.len ? (unsigned char)s->in.p[s->at] : -1;
}

bool
scan_is(const struct scan *s, char c)
{
	return scan_peek(s) == (unsigned char)c;
}

bool
scan_take(struct scan *s, char c)
{
	if (!scan_is(s, c))
		return false;
	s->at++;
	return true;
}

/* RFC 3501 ATOM-CHAR, and "]", which is a resp-special only. */
bool
scan_is_atom_char(int c)
{
	if (c <= 0x20 || c >= 0x7f)
		return false;
	switch (c) {
	case '(': case ')': case '{': case '%': case '*': case '"': case '\\':
		return false;
	}
	return true;
}

static size_t
word_len(const struct scan *s)
{
	size_t n = 0;

	while (s->at + n < s->in.len &&
	    scan_is_atom_char((unsigned char)s->in.p[s->at + n]))
		n++;
	return n;
}

bool
scan_is_word(const struct scan *s, const char *word)
{
	return span_caseeq(span_sub(s->in, s->at, word_len(s)), span_of(word));
}

bool
scan_take_word(struct scan *s, const char *word)
{
	if (!scan_is_word(s, word))
		return false;
	s->at += strlen(word);
	return true;
}

bool
scan_char(struct scan *s, char c)
{
	return scan_take(s, c) || scan_bad(s, "Invalid arguments.");
}

bool
scan_sp(struct scan *s)
{
	if (scan_take(s, ' '))
		return true;
	return scan_bad(s, scan_peek(s) < 0 ? "Missing arguments." :
	    "Space expected.");
}

bool
scan_open(struct scan *s)
{
	if (!scan_take(s, '('))
		return scan_bad(s, "'(' expected.");
	if (++s->depth > SCAN_DEPTH_MAX)
		return scan_bad(s, "Too many nested parentheses.");
	return true;
}

bool
scan_close(struct scan *s)
{
	if (!scan_take(s, ')'))
		return scan_bad(s, "')' expected.");
	s->depth--;
	return true;
}

bool
scan_end(struct scan *s)
{
	/* A space behind it all is wrong, but some clients send it. */
	return s->at == s->in.len || (s->at + 1 == s->in.len &&
	    scan_is(s, ' ')) || scan_bad(s, "Too many arguments.");
}

static struct span
take(struct scan *s, size_t n)
{
	struct span out = span_sub(s->in, s->at, n);

	s->at += n;
	return out;
}

/* astring-chars except "+" (RFC 3501 tag). */
bool
scan_tag(struct scan *s, struct span *out)
{
	size_t n = 0;

	while (s->at + n < s->in.len && s->in.p[s->at + n] != '+' &&
	    scan_is_atom_char((unsigned char)s->in.p[s->at + n]))
		n++;
	if (n == 0)
		return scan_bad(s, "Invalid tag.");
	*out = take(s, n);
	return true;
}

bool
scan_atom(struct scan *s, struct span *out)
{
	size_t n = word_len(s);

	if (n == 0)
		return scan_bad(s, scan_peek(s) < 0 ? "Missing arguments." :
		    "Atom expected.");
	*out = take(s, n);
	return true;
}

/* A name that an opening bracket may follow. */
bool
scan_word(struct scan *s, struct span *out)
{
	size_t n = 0;

	while (s->at + n < s->in.len && s->in.p[s->at + n] != '[' &&
	    s->in.p[s->at + n] != '<' &&
	    scan_is_atom_char((unsigned char)s->in.p[s->at + n]))
		n++;
	if (n == 0)
		return scan_bad(s, "Atom expected.");
	*out = take(s, n);
	return true;
}

/* Without the backslashes. */
static struct span
unescape(struct scan *s, struct span in, size_t escapes)
{
	char *p = arena_alloc(s->arena, in.len - escapes + 1);
	size_t n = 0;

	for (size_t i = 0; i < in.len; i++) {
		if (in.p[i] == '\\')
			i++;
		p[n++] = in.p[i];
	}
	p[n] = '\0';
	return span_make(p, n);
}

static bool
quoted(struct scan *s, struct span *out)
{
	size_t escapes = 0, i;

	for (i = s->at + 1; i < s->in.len && s->in.p[i] != '"'; i++) {
		if (s->in.p[i] == '\\') {
			i++;
			escapes++;
			if (i == s->in.len ||
			    (s->in.p[i] != '"' && s->in.p[i] != '\\'))
				return scan_bad(s,
				    "Invalid escape in a quoted string.");
		}
		if (s->in.p[i] == '\r' || s->in.p[i] == '\n' ||
		    s->in.p[i] == '\0')
			return scan_bad(s,
			    "Invalid character in a quoted string.");
	}
	if (i == s->in.len)
		return scan_bad(s, "Missing '\"'.");
	*out = span_sub(s->in, s->at + 1, i - s->at - 1);
	/* RFC 9755 3 */
	if (s->utf8 && !utf8_valid(*out))
		return scan_bad(s, "Invalid UTF-8 in a quoted string.");
	if (escapes > 0)
		*out = unescape(s, *out, escapes);
	s->at = i + 1;
	return true;
}

bool
scan_literal(struct scan *s, struct span *out, bool *binary)
{
	struct span rest = span_from(s->in, s->at);
	bool eight = rest.len > 0 && rest.p[0] == '~';
	uint64_t n;
	ptrdiff_t end;

	if (eight)
		rest = span_from(rest, 1);
	if (rest.len == 0 || rest.p[0] != '{')
		return scan_bad(s, "Literal expected.");
	end = span_find(rest, '\n');
	if (end < 0)
		return scan_bad(s, "Invalid literal.");
	/* "{12+}", whose line may end in LF alone. */
	rest = span_sub(rest, 1, (size_t)end - 1);
	if (rest.len > 0 && rest.p[rest.len - 1] == '\r')
		rest.len--;
	if (rest.len == 0 || rest.p[--rest.len] != '}')
		return scan_bad(s, "Invalid literal.");
	if (rest.len > 0 && rest.p[rest.len - 1] == '+')
		rest.len--;
	if (num_parse_u64(rest, SIZE_MAX / 2, &n) != 0)
		return scan_bad(s, "Invalid literal.");
	end += (ptrdiff_t)s->at + eight + 1;
	if (s->in.len - (size_t)end < n)
		return scan_bad(s, "Invalid literal.");
	*out = span_sub(s->in, (size_t)end, n);
	if (binary)
		*binary = eight;
	else if (eight)
		return scan_bad(s, "literal8 is not allowed here.");
	if (!eight && span_has_nul(*out))
		return scan_bad(s, "NUL in a literal.");
	s->at = (size_t)end + n;
	return true;
}

bool
scan_string(struct scan *s, struct span *out)
{
	if (scan_is(s, '"'))
		return quoted(s, out);
	if (scan_is(s, '{'))
		return scan_literal(s, out, NULL);
	return scan_bad(s, "String expected.");
}

bool
scan_nstring(struct scan *s, struct span *out)
{
	if (scan_take_word(s, "NIL")) {
		*out = SPAN_EMPTY;
		return true;
	}
	return scan_string(s, out);
}

bool
scan_astring(struct scan *s, struct span *out)
{
	if (scan_is(s, '"') || scan_is(s, '{'))
		return scan_string(s, out);
	return scan_atom(s, out);
}

bool
scan_number64(struct scan *s, uint64_t *out)
{
	size_t n = 0;

	while (s->at + n < s->in.len && char_is_digit(s->in.p[s->at + n]))
		n++;
	if (n == 0 || num_parse_u64(span_sub(s->in, s->at, n), INT64_MAX,
	    out) != 0)
		return scan_bad(s, "Invalid number.");
	s->at += n;
	return true;
}

bool
scan_number(struct scan *s, uint32_t *out)
{
	size_t at = s->at;
	uint64_t n = 0;

	if (!scan_number64(s, &n))
		return false;
	if (n > UINT32_MAX) {
		s->at = at;
		return scan_bad(s, "Number too large.");
	}
	*out = (uint32_t)n;
	return true;
}

bool
scan_nz_number(struct scan *s, uint32_t *out)
{
	size_t at = s->at;

	if (!scan_number(s, out))
		return false;
	if (*out == 0) {
		s->at = at;
		return scan_bad(s, "Number must not be zero.");
	}
	return true;
}

static bool
seq_number(struct scan *s, uint32_t *out)
{
	if (scan_take(s, '*')) {
		*out = SCAN_STAR;
		return true;
	}
	if (!scan_nz_number(s, out))
		return scan_bad(s, "Invalid messageset");
	/* No message has the largest number there is: it is "*" to us. */
	*out = MIN(*out, SCAN_STAR - 1);
	return true;
}

bool
scan_set(struct scan *s, struct ranges *out)
{
	size_t at = s->at;

	ranges_reset(out);
	do {
		uint32_t a, b;

		if (!seq_number(s, &a))
			goto bad;
		b = a;
		if (scan_take(s, ':') && !seq_number(s, &b))
			goto bad;
		if (out->len >= SCAN_RANGES_MAX) {
			scan_bad(s, "Message set too long.");
			goto bad;
		}
		ranges_add(out, MIN(a, b), MAX(a, b));
	} while (scan_take(s, ','));
	return true;
bad:
	s->at = at;
	return false;
}
