/* SPDX-License-Identifier: ISC */
/*
 * chars - the character classes of mail's grammars, in ASCII whatever the
 * locale says.
 */
#ifndef MAIL_CHARS_H
#define MAIL_CHARS_H

#include "base/cc.h"

static inline bool
char_is_digit(int c)
{
	return c >= '0' && c <= '9';
}

static inline bool
char_is_alnum(int c)
{
	return char_is_digit(c) || (c >= 'a' && c <= 'z') ||
	    (c >= 'A' && c <= 'Z');
}

/* RFC 5322 3.2.3 atext, without RFC 6532's additions. */
static inline bool
char_is_atext(int c)
{
	if (char_is_alnum(c))
		return true;
	switch (c) {
	case '!': case '#': case '$': case '%': case '&': case '\'':
	case '*': case '+': case '-': case '/': case '=': case '?':
	case '^': case '_': case '`': case '{': case '|': case '}':
	case '~':
		return true;
	}
	return false;
}

/* Space, tab and the line ends of folds. */
static inline bool
char_is_space(int c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

#endif
