/* SPDX-License-Identifier: ISC */
/*
 * lazy - the tables or the list of one parameter, opened when they can be.
 *
 * What cannot be opened at the start is tried again when it is needed, at most
 * once a second: a missing file makes the mail that needs it wait, and nothing
 * else.
 */
#ifndef ROUTE_LAZY_H
#define ROUTE_LAZY_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"
#include "base/why.h"
#include "conf/table.h"

struct lazy {
	const char		*title;		/* the parameter's name */
	char			*value;
	int			 flags;
	bool			 is_list;
	struct maps		*maps;
	struct match_list	*list;
	int64_t			 next_ms;	/* monotonic */
	struct why		 why;		/* of the last failure */
};

/* title is kept, value copied.  A failure is a warning in the log. */
void	 lazy_init(struct lazy *l, const char *title, const char *value,
	    bool is_list, int flags);
void	 lazy_fini(struct lazy *l);
/* Nothing is configured. */
bool	 lazy_empty(const struct lazy *l);
/* Whether a list has domain: 1, 0, or -1 with why. */
MUST_CHECK int lazy_list_has(struct lazy *l, struct span domain,
	    struct why *why);
/* addr_find() in the tables: 1 with out, 0, or -1 with why. */
MUST_CHECK int lazy_find(struct lazy *l, struct span addr, unsigned flags,
	    struct buf *out, struct why *why);

#endif
