/* SPDX-License-Identifier: ISC */
/*
 * encoded - header text in UTF-8: encoded words (RFC 2047), raw UTF-8 (RFC
 * 6532) and what people send besides.
 *
 * Encoded words are taken wherever they are, also inside quotes and next to
 * other text; space between two of them is dropped, and a character that was
 * cut in two by two words of one charset is whole again.
 */
#ifndef MAIL_ENCODED_H
#define MAIL_ENCODED_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"

/*
 * Append value, unfolded (a line end and the space or tab after it become one
 * space) and decoded.
 * Bytes above 127 that are not UTF-8 become U+FFFD,
 * as does NUL.
 */
void	 encoded_decode(struct span value, struct buf *out);

#endif
