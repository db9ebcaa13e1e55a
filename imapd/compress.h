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
/*
 * End it both ways (RFC 8437 4.1): output behind what was written last, which
 * must not have been sent yet, and input where the client's own ends.
 */
void	 compress_stop(struct stream *s);
/*
 * Whether the end of the input is found; then what lies behind it is appended
 * to rest, as it came.
 */
bool	 compress_stopped(struct stream *s, struct buf *rest);

#endif
