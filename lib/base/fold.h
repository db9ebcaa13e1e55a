/* SPDX-License-Identifier: ISC */
/*
 * fold - ASCII strings in bytes, whatever the case of their letters.
 */
#ifndef BASE_FOLD_H
#define BASE_FOLD_H

#include "base/span.h"

/*
 * Where needle, ASCII with its letters in upper case, is in hay, whose ASCII
 * letters may be in any case: the offset of the first place, or -1.  An empty
 * needle is at 0.
 */
ptrdiff_t span_find_folded(struct span hay, struct span needle);

#endif
