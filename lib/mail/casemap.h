/* SPDX-License-Identifier: ISC */
/*
 * casemap - i;unicode-casemap (RFC 5051): two texts are the same to SEARCH,
 * SORT and THREAD when their casemapped bytes are.
 *
 * Each character becomes its title case and that is decomposed, as far as it
 * goes, compatibility decompositions too; ASCII letters become capitals.
 */
#ifndef MAIL_CASEMAP_H
#define MAIL_CASEMAP_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"

/* A character makes at most so many times its bytes (U+FDFA: 3 to 33). */
#define CASEMAP_GROWTH	11

/* Append in, which is UTF-8 (a byte that is not becomes U+FFFD). */
void	 casemap(struct span in, struct buf *out);

#endif
