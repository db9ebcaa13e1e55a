/* SPDX-License-Identifier: ISC */
/*
 * mutf7 - the modified UTF-7 of mailbox names (RFC 3501 5.1.3), to and from
 * UTF-8.
 *
 * Only the one form that the RFC allows is taken: no printable ASCII in
 * base64, no two shifts in a row, no bits left over, surrogates in pairs.  So
 * that two spellings never name one mailbox.
 */
#ifndef MAIL_MUTF7_H
#define MAIL_MUTF7_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"

/* Append in, decoded, to out.  -1 with out as it was: not modified UTF-7, or
 * out's limit. */
MUST_CHECK int mutf7_decode(struct span in, struct buf *out);
/* Append in, which is UTF-8, encoded.  -1 with out as it was: not UTF-8, or
 * out's limit. */
MUST_CHECK int mutf7_encode(struct span in, struct buf *out);

#endif
