/* SPDX-License-Identifier: ISC */
/*
 * utf8 - whether bytes are UTF-8 (RFC 3629).
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base/cc.h"
#include "base/span.h"

bool	utf8_valid(struct span s);
bool	utf8_ascii(struct span s);	/* no byte above 127 */
/*
 * The length of the valid sequence at the start of s, 1 to 4, and its code
 * point in *cp (may be NULL); 0 when there is none.
 */
size_t	utf8_next(struct span s, uint32_t *cp);

#endif
