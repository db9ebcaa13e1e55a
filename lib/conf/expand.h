/* SPDX-License-Identifier: ISC */
/*
 * expand - $name in the values of main.cf, as Postfix has it.
 *
 *	$name ${name} $(name)	the value of name, nothing when it is unset
 *	${name?text}		text when name's value is not empty
 *	${name:text}		text when it is empty or unset
 *	${name?{x}:{y}}		x or y
 *	${{a} == {b} ? {x} : {y}}  compares numbers when both are digits, else
 *				strings: == != < <= > >=; with "level" behind
 *				the operator a and b are compatibility levels
 *	$$			a dollar
 *
 * Only what is between $ and its end is looked at; everything else is copied.
 */
#ifndef CONF_EXPAND_H
#define CONF_EXPAND_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"
#include "base/why.h"

#define EXPAND_DEPTH_MAX	100	/* nested names and conditions */
#define EXPAND_STEPS_MAX	100000	/* names and conditions in all */

enum {
	/* What the callback returns may contain $name itself. */
	EXPAND_RECURSE = 1
};

/*
 * The value of name, or NULL when it has none.  test: only whether it is
 * empty is asked.  The string must stay good until expand_text() returns.
 */
typedef const char *expand_fn(void *arg, struct span name, bool test);

/*
 * Expand text and append it to out.  filter: the only characters that values
 * may keep, others become '_' (for what a peer can choose); NULL keeps all.
 * 0, or -1 with why (syntax, a loop, out is full).
 */
MUST_CHECK int expand_text(const char *text, int flags, const char *filter,
	    expand_fn *fn, void *arg, struct buf *out, struct why *why);

#endif
