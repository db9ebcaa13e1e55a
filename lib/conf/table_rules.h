/* SPDX-License-Identifier: ISC */
/*
 * table_rules - what cidr, regexp and pcre tables share: an ordered list of
 * rules with if ... endif, read from a file or from { {rule}, {rule} }.
 */
#ifndef CONF_TABLE_RULES_H
#define CONF_TABLE_RULES_H

#include "conf/table_priv.h"

#define RULES_MAX	1000000
#define RULES_IF_MAX	100		/* nested if */

enum rule_kind { RULE_MATCH, RULE_IF, RULE_ENDIF };

/* The first member of each type's own rule. */
struct rule {
	enum rule_kind	 kind;
	bool		 negated;	/* ! */
	int		 lineno;
	size_t		 skip;		/* RULE_IF: where to go on when not */
};

/*
 * Parse the rules of t.  For each logical line, parse() is called with the
 * text behind "if" or the whole line; it makes a rule at the index the caller
 * keeps and returns 0, or -1 with why, and the line is left out with a
 * warning.  rule_at gives the rule with an index.  -1 with why: the file
 * cannot be read.
 */
struct rules_parser {
	int	(*parse)(struct table *t, struct span text, enum rule_kind kind,
		    int lineno, struct why *why);
	struct rule *(*rule_at)(struct table *t, size_t i);
	size_t	(*count)(struct table *t);
};
MUST_CHECK int table_rules_read(struct table *t,
	    const struct rules_parser *p, struct why *why);

#endif
