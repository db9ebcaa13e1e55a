/* SPDX-License-Identifier: ISC */
/*
 * lex - words of structured header fields (RFC 5322 3.2, RFC 2045 5.1), as
 * lenient as they are written.
 *
 * A lexer stands somewhere in a field's value; each function takes one thing
 * and the white space and comments after it.  The same laxness is Dovecot's,
 * for clients see what comes of it in ENVELOPE and BODYSTRUCTURE.
 */
#ifndef MAIL_LEX_H
#define MAIL_LEX_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"

struct lex {
	const char	*p, *end;
	struct buf	*comment;	/* NULL, or the last comment goes there */
};

static inline struct lex
lex_on(struct span s)
{
	const char *p = s.p != NULL ? s.p : "";

	return (struct lex){ p, p + s.len, NULL };
}

static inline bool
lex_at(const struct lex *l, char c)
{
	return l->p < l->end && *l->p == c;
}

/*
 * White space, folds and comments (nested ones are counted).  False: a comment
 * did not end.
 */
bool	lex_skip(struct lex *l);
/* RFC 5322 atext, and any byte above 127. */
bool	lex_is_atext(unsigned char c);
/*
 * Each appends what it has read, without quotes and backslashes, and returns
 * 0, or -1 when there is no such thing, or not all of it, with the lexer
 * wherever that was found out.
 */
MUST_CHECK int lex_quoted(struct lex *l, struct buf *out);	/* at a '"' */
/* Dots may be anywhere, as in ".a..b.". */
MUST_CHECK int lex_dot_atom(struct lex *l, struct buf *out);
/* Words and dots, one space between words; may be empty. */
MUST_CHECK int lex_phrase(struct lex *l, struct buf *out);
/* What follows '@' (where it stands): dot-atom or domain literal. */
MUST_CHECK int lex_domain(struct lex *l, struct buf *out);
/* RFC 2045 token: may not be empty. */
MUST_CHECK int lex_token(struct lex *l, struct buf *out);

/*
 * Content-Type: "type/subtype", and then nothing or a ';'.  -1 for anything
 * else, with both empty; but a type alone, as in "text", is kept.
 */
MUST_CHECK int lex_content_type(struct lex *l, struct buf *type,
	    struct buf *subtype);
/*
 * The next "; name=value".  1: name and value are set (not appended);
 * 0: there are no more.  Noise is skipped.
 */
int	lex_param(struct lex *l, struct buf *name, struct buf *value);
/*
 * Call fn for at most max parameters, as BODYSTRUCTURE shows them: RFC 2231 6
 * wants continuations joined ("name*" when it has a charset or percent signs,
 * which stay).  The joined ones come last.
 */
void	lex_each_param(struct span params, size_t max, void (*fn)(void *arg,
	    struct span name, struct span value), void *arg);
/*
 * The parameter of this name, as it is; or its RFC 2231 pieces, joined and in
 * UTF-8 (rfc2231.c).  value is set.  False: none.
 */
bool	lex_find_param(struct span params, const char *name,
	    struct buf *value);

#endif
