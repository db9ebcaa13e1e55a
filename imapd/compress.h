/* SPDX-License-Identifier: ISC */
/*
 * compress - DEFLATE (RFC 1951) as a layer of a stream, for IMAP's COMPRESS
 * (RFC 4978).  The only file that knows zlib is compress.c.
 */
#ifndef IMAPD_COMPRESS_H
#define IMAPD_COMPRESS_H

#include "base/cc.h"
#include "io/stream.h"

/*
 * From here on both directions are compressed.  Output written before goes
 * out as it is; input that was not consumed is taken for compressed.
 */
void	 compress_start(struct stream *s);
bool	 compress_active(const struct stream *s);

#endif
