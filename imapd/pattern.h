/* SPDX-License-Identifier: ISC */
/*
 * pattern - LIST's wildcards: "*" is anything, "%" anything within a level.
 */
#ifndef IMAPD_PATTERN_H
#define IMAPD_PATTERN_H

#include "base/cc.h"
#include "base/span.h"

#define PATTERN_WILD_MAX	64	/* wildcards in one pattern */

/* Linear in both for each wildcard; no pattern makes it explode. */
bool	 pattern_match(struct span pattern, struct span name);
bool	 pattern_sane(struct span pattern);	/* PATTERN_WILD_MAX holds */

#endif
