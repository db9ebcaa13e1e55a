/* SPDX-License-Identifier: ISC */
/*
 * why - the reason an operation failed, fit for a log, a reply and a bounce.
 *
 * Untouched on success, so calls chain; the lowest layer that knows fills it.
 */
#ifndef BASE_WHY_H
#define BASE_WHY_H

#include "base/cc.h"

#define WHY_CODE_MAX	12	/* "5.999.999" and '\0' */
#define WHY_TEXT_MAX	512	/* one line; longer text is cut */

struct why {
	char	code[WHY_CODE_MAX];	/* RFC 3463: "4.3.1"; "" when unset */
	char	text[WHY_TEXT_MAX];	/* one line, no code in front */
};

#define WHY_INIT	((struct why){ "", "" })

/* Fill w, which may be NULL.  Returns -1, so that callers can return it. */
int	why_set(struct why *w, const char *code, const char *fmt, ...)
	    PRINTF(3, 4);
/* The same, with ": " and strerror(errno) at the end.  Keeps errno. */
int	why_errno(struct why *w, const char *code, const char *fmt, ...)
	    PRINTF(3, 4);
#if defined(__clang_analyzer__) && !defined(WHY_IMPLEMENTATION)
/* So that it knows what the calls return. */
#define why_set(...)	((void)(why_set)(__VA_ARGS__), -1)
#define why_errno(...)	((void)(why_errno)(__VA_ARGS__), -1)
#endif
/* Put "text: " in front of what w says. */
void	why_prefix(struct why *w, const char *fmt, ...) PRINTF(2, 3);

/* Try again later (4.x.x, or not set), or never (5.x.x). */
static inline bool
why_temporary(const struct why *w)
{
	return w->code[0] != '5';
}

#endif
