/* SPDX-License-Identifier: ISC */
/*
 * base64 - RFC 4648: base64 as protocols carry it in a line.
 *
 * Decoding takes the canonical form only: the alphabet, padding at the end,
 * no spaces, no bits left over.  Bodies of mail (MIME) are another matter.
 */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"

/* Bytes that n bytes become. */
#define BASE64_LEN(n)	(((n) + 2) / 3 * 4)

/* Append in base64; out must have room (buf_add). */
void	 base64_encode(struct span in, struct buf *out);
/* Append the bytes; -1, with out as it was: not base64, or out is full. */
MUST_CHECK int base64_decode(struct span in, struct buf *out);
/* RFC 4648 5: '-' and '_', no padding (JSON web tokens). */
MUST_CHECK int base64url_decode(struct span in, struct buf *out);

#endif
