/* SPDX-License-Identifier: ISC */
/*
 * token - the right-hand side of an alias, a line of a .forward or :include:
 * file (aliases(5)): a list of destinations.
 *
 *	joe, "joe doe"@example.com, Joe <joe@example.com>	addresses
 *	\joe			joe's mailbox, no alias and no .forward
 *	|command, "|command with arguments, even commas"
 *	/file/name, "/file/with a blank"
 *	:include:/file/name, ":include:/file with a blank"
 *
 * Grammar only: bytes to tokens, no I/O.
 */
#ifndef LOCAL_TOKEN_H
#define LOCAL_TOKEN_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"

enum token_kind {
	TOKEN_ADDRESS,		/* header form; address_list_each() reads it */
	TOKEN_MAILBOX,		/* the user's name, without the backslash */
	TOKEN_COMMAND,		/* without the '|' */
	TOKEN_FILE,		/* absolute */
	TOKEN_INCLUDE		/* the file's name */
};

/*
 * Take the next destination off *rest.  1: kind and out (which is reset
 * first); 0: there is none left; -1: what is there makes no sense (a quote
 * without end, longer than out may be): *rest is behind it, go on if you
 * like.
 */
MUST_CHECK int token_next(struct span *rest, enum token_kind *kind,
	    struct buf *out);
/* Whether a line of a file says nothing: blank, or '#' first. */
bool	 token_line_empty(struct span line);

#endif
