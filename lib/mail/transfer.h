/* SPDX-License-Identifier: ISC */
/*
 * transfer - content transfer encodings undone (RFC 2045 6), in pieces.
 *
 * What is wrong is passed over: bytes that are no base64, a '=' in quoted-
 * printable that begins nothing stays as it is.  Output never is larger than
 * the CRLF form of the input.
 */
#ifndef MAIL_TRANSFER_H
#define MAIL_TRANSFER_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"
#include "mail/message.h"

struct transfer {
	enum message_encoding	encoding;
	bool			crlf;	/* line ends come out as CRLF */
	/* private */
	uint32_t		bits;
	unsigned		nbits;
	bool			prev_cr;
	struct buf		held;	/* the start of a line, or of "=3D" */
};

/*
 * An encoding that is unknown passes through as it is.  crlf: for text that is
 * identity or quoted-printable, a bare LF becomes CRLF.
 */
void	 transfer_init(struct transfer *t, enum message_encoding e, bool crlf);
void	 transfer_fini(struct transfer *t);
void	 transfer_write(struct transfer *t, struct span in, struct buf *out);
/* The input has ended: what was held back comes. */
void	 transfer_finish(struct transfer *t, struct buf *out);

#endif
