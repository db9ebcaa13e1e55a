/* SPDX-License-Identifier: ISC */
/*
 * words - lists in settings: words with space or commas between them, where
 * what stands in braces is one piece, as in "inline:{a=b, c=d}" and
 * "{ inet:host:10023, timeout=10s }".
 */
#ifndef CONF_WORDS_H
#define CONF_WORDS_H

#include "base/span.h"

/*
 * The next word of *rest.  1; 0: there is none; -1: a brace is not closed (the
 * word is all that was left).
 */
int	 words_next(struct span *rest, struct span *word);
/* What is within the braces of "{ ... }", trimmed; false: that is not what
 * word looks like. */
bool	 words_unbrace(struct span word, struct span *inside);

#endif
