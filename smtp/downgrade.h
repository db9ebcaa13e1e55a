/* SPDX-License-Identifier: ISC */
/*
 * downgrade - a message of 8-bit parts becomes one of 7-bit lines, for peers
 * without 8BITMIME (RFC 6152 3).
 *
 * Parts that say they are 8bit or binary become quoted-printable; multiparts
 * and attached messages that say so say 7bit, because what is in them is.
 * Header fields are left as they are.
 */
#ifndef SMTP_DOWNGRADE_H
#define SMTP_DOWNGRADE_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"

struct downgrade;

/* What comes out is appended to out, which the caller empties. */
struct downgrade *downgrade_new(struct buf *out);
void	 downgrade_free(struct downgrade **d);
void	 downgrade_write(struct downgrade *d, struct span in);
void	 downgrade_finish(struct downgrade *d);

#endif
