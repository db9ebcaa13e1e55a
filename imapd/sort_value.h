/* SPDX-License-Identifier: ISC */
/*
 * sort_value - keys of messages in order; see sort.c.
 */
#ifndef IMAPD_SORT_VALUE_H
#define IMAPD_SORT_VALUE_H

#include "base/span.h"

/* A number, or eight bytes of a string and the string, whichever the key is;
 * both compare as numbers first. */
struct sort_value {
	uint64_t	num;
	struct span	text;
	uint32_t	index;		/* of the message */
};

/* Eight bytes from at on, so that they compare as the string does. */
uint64_t sort_prefix(struct span s, size_t at);
/* Of values whose num are of the same place in the string. */
int	 sort_value_cmp(const struct sort_value *a, const struct sort_value *b);
/*
 * Order n values with numbers, or with the first eight bytes, in num.  What is
 * equal comes in any order; num of a string is then of another place, the same
 * one in strings that are equal, so that sort_value_cmp() still says 0 of these
 * and of no others.
 */
void	 sort_values(struct sort_value *v, size_t n);

#endif
