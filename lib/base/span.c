/* SPDX-License-Identifier: ISC */
/*
 * span - see span.h.
 */
#include <strings.h>

#include "base/mem.h"
#include "base/span.h"

/* tolower() of the C locale, whatever the locale is. */
static inline unsigned char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (unsigned char)(c | 0x20)
	    : (unsigned char)c;
}

static bool
case_equal(const char *a, const char *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (lower(a[i]) != lower(b[i]))
			return false;
	return true;
}

bool
span_eq(struct span a, struct span b)
{
	return a.len == b.len &&
	    (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

bool
span_caseeq(struct span a, struct span b)
{
	return a.len == b.len && case_equal(a.p, b.p, a.len);
}

bool
span_is(struct span a, const char *s)
{
	return span_eq(a, span_of(s));
}

bool
span_caseis(struct span a, const char *s)
{
	return span_caseeq(a, span_of(s));
}

int
span_cmp(struct span a, struct span b)
{
	size_t n = MIN(a.len, b.len);
	int c = n ? memcmp(a.p, b.p, n) : 0;

	return c ? c : (a.len > b.len) - (a.len < b.len);
}

bool
span_starts(struct span s, struct span prefix)
{
	return s.len >= prefix.len &&
	    span_eq(span_make(s.p, prefix.len), prefix);
}

bool
span_casestarts(struct span s, struct span prefix)
{
	return s.len >= prefix.len && case_equal(s.p, prefix.p, prefix.len);
}

bool
span_ends(struct span s, struct span suffix)
{
	return s.len >= suffix.len &&
	    span_eq(span_from(s, s.len - suffix.len), suffix);
}

bool
span_caseends(struct span s, struct span suffix)
{
	return s.len >= suffix.len &&
	    span_caseeq(span_from(s, s.len - suffix.len), suffix);
}

ptrdiff_t
span_find(struct span s, char c)
{
	const char *p = s.len ? memchr(s.p, c, s.len) : NULL;

	return p ? p - s.p : -1;
}

ptrdiff_t
span_rfind(struct span s, char c)
{
	const char *p = s.len ? memrchr(s.p, c, s.len) : NULL;

	return p ? p - s.p : -1;
}

ptrdiff_t
span_search(struct span s, struct span needle)
{
	const char *p;

	if (needle.len == 0)
		return 0;
	if (s.len < needle.len)
		return -1;
	p = memmem(s.p, s.len, needle.p, needle.len);
	return p ? p - s.p : -1;
}

ptrdiff_t
span_casesearch(struct span s, struct span needle)
{
	if (needle.len == 0)
		return 0;
	for (size_t i = 0; s.len - i >= needle.len && i < s.len; i++)
		if (lower(s.p[i]) == lower(needle.p[0]) &&
		    case_equal(s.p + i, needle.p, needle.len))
			return (ptrdiff_t)i;
	return -1;
}

struct span
span_from(struct span s, size_t from)
{
	if (from >= s.len)	/* no arithmetic on a NULL p */
		return (struct span){ s.len ? s.p + s.len : s.p, 0 };
	return (struct span){ s.p + from, s.len - from };
}

struct span
span_sub(struct span s, size_t from, size_t len)
{
	s = span_from(s, from);
	s.len = MIN(s.len, len);
	return s;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct span
span_trim(struct span s)
{
	while (s.len && is_blank(s.p[0]))
		s.p++, s.len--;
	while (s.len && is_blank(s.p[s.len - 1]))
		s.len--;
	return s;
}

/* strchr() would find the '\0' at the end of seps. */
static bool
is_sep(char c, const char *seps)
{
	return c != '\0' && strchr(seps, c) != NULL;
}

bool
span_token(struct span *rest, const char *seps, struct span *token)
{
	struct span s = *rest;
	size_t n = 0;

	while (s.len && is_sep(s.p[0], seps))
		s.p++, s.len--;
	while (n < s.len && !is_sep(s.p[n], seps))
		n++;
	*rest = span_from(s, n);
	if (n == 0)
		return false;
	*token = span_make(s.p, n);
	return true;
}

bool
span_line(struct span *rest, struct span *line)
{
	ptrdiff_t lf = span_find(*rest, '\n');

	if (rest->len == 0)
		return false;
	if (lf < 0) {
		*line = *rest;
		*rest = span_from(*rest, rest->len);
		return true;
	}
	*line = span_make(rest->p, (size_t)lf);
	*rest = span_from(*rest, (size_t)lf + 1);
	if (line->len && line->p[line->len - 1] == '\r')
		line->len--;
	return true;
}

bool
span_has_nul(struct span s)
{
	return span_find(s, '\0') >= 0;
}

char *
span_dup(struct span s)
{
	char *p = mem_alloc(s.len + 1);

	if (s.len)
		memcpy(p, s.p, s.len);
	p[s.len] = '\0';
	return p;
}

int
span_copy(struct span s, char *dst, size_t size)
{
	if (size == 0)
		return -1;
	dst[0] = '\0';
	if (s.len >= size || span_has_nul(s))
		return -1;
	if (s.len)
		memcpy(dst, s.p, s.len);
	dst[s.len] = '\0';
	return 0;
}
