/* SPDX-License-Identifier: ISC */
/*
 * span - a pointer and a length: bytes that belong to somebody else.
 *
 * Parsers return spans into the caller's buffer and copy nothing.  A span may
 * hold NUL bytes and has no terminator.  An empty span may have p == NULL.
 */
#ifndef BASE_SPAN_H
#define BASE_SPAN_H

#include <string.h>

#include "base/cc.h"

struct span {
	const char	*p;
	size_t		 len;		/* bytes */
};

#define SPAN(lit)	((struct span){ "" lit, sizeof(lit) - 1 })
#define SPAN_EMPTY	((struct span){ NULL, 0 })
/* For printf: "%.*s", SPAN_ARG(s). */
#define SPAN_ARG(s)	(int)(s).len, (s).p ? (s).p : ""

static inline struct span
span_of(const char *s)
{
	return (struct span){ s, s ? strlen(s) : 0 };
}

static inline struct span
span_make(const void *p, size_t len)
{
	return (struct span){ p, len };
}

bool	span_eq(struct span a, struct span b);
/* ASCII letters compare without case; all other bytes as they are. */
bool	span_caseeq(struct span a, struct span b);
bool	span_is(struct span a, const char *s);
bool	span_caseis(struct span a, const char *s);
int	span_cmp(struct span a, struct span b);
bool	span_starts(struct span s, struct span prefix);
bool	span_casestarts(struct span s, struct span prefix);
bool	span_ends(struct span s, struct span suffix);
bool	span_caseends(struct span s, struct span suffix);
/* The index of the first (last) c, or -1. */
ptrdiff_t span_find(struct span s, char c);
ptrdiff_t span_rfind(struct span s, char c);
/* The index of the first needle, or -1; the second without ASCII case. */
ptrdiff_t span_search(struct span s, struct span needle);
ptrdiff_t span_casesearch(struct span s, struct span needle);
/* From byte from (clamped) to the end; len bytes (clamped) from there. */
struct span span_from(struct span s, size_t from);
struct span span_sub(struct span s, size_t from, size_t len);
/* Without leading and trailing space, tab, CR and LF. */
struct span span_trim(struct span s);
/*
 * Take the next token off *rest: bytes up to one of the characters in seps,
 * runs of which count as one separator and never make an empty token.
 * False when *rest holds no more tokens.
 */
bool	span_token(struct span *rest, const char *seps, struct span *token);
/*
 * Take the next line off *rest, without its LF or CRLF.  The last line needs
 * no LF.  False when *rest is empty.
 */
bool	span_line(struct span *rest, struct span *line);
bool	span_has_nul(struct span s);
/* A copy with a final '\0', to mem_free(). */
char	*span_dup(struct span s);
/*
 * Copy to dst as a C string.  0, or -1 (dst is "") when it does not fit or
 * holds a NUL.
 */
MUST_CHECK int span_copy(struct span s, char *dst, size_t size);

#endif
