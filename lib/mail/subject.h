/* SPDX-License-Identifier: ISC */
/*
 * subject - the base subject of RFC 5256 2.1.
 */
#ifndef MAIL_SUBJECT_H
#define MAIL_SUBJECT_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"

/*
 * Append the base subject of a Subject field's value, in UTF-8, casemapped.
 * True when it was a reply or a forward (2.1 steps 1 to 6 have taken a
 * "(fwd)", "Re:" or "[Fwd: …]" away).
 */
bool	 subject_base(struct span value, struct buf *out);

#endif
