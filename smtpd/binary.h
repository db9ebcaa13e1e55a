/* SPDX-License-Identifier: ISC */
/*
 * binary - BODY=BINARYMIME (RFC 3030) as lines: each part that says
 * "Content-Transfer-Encoding: binary" becomes base64, and the message one
 * that every mailbox and every server can take.
 *
 * In a binary part CR and LF mean nothing, so it cannot be kept as lines that
 * end in LF, which is what everybody behind us has.  Everything else of the
 * message is lines: CR LF becomes LF.  A multipart or an attached message
 * that says binary says 8bit afterwards, for its parts have been seen to.
 *
 * Memory is bounded by header_size_limit and line_length_limit, however long
 * the parts are.
 */
#ifndef SMTPD_BINARY_H
#define SMTPD_BINARY_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"

struct binary;

/* What comes out is appended to out, which the caller empties. */
struct binary *binary_new(struct buf *out);
void	 binary_free(struct binary **b);
void	 binary_write(struct binary *b, struct span in);
void	 binary_finish(struct binary *b);

#endif
