/* SPDX-License-Identifier: ISC */
/*
 * compress - messages in fewer bytes (zstd, RFC 8878).
 *
 * What is compressed is one whole frame that says how long it is when it is
 * undone.  Built without libzstd nothing is compressed, and what is cannot be
 * read.
 */
#ifndef STORE_COMPRESS_H
#define STORE_COMPRESS_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"

#define COMPRESS_MIN	512u		/* bytes: less is not worth it */
#define COMPRESS_MAX	(32u << 20)	/* bytes: more is kept as it is, for it
					 * has to be undone in memory */

/* "none", "zstd", "zstd:9" as a level; 0: none, also where it cannot be. */
int	 compress_level(const char *setting);

/*
 * Compress total bytes, which come in pieces, behind what is in out; begin
 * says whether that can be done.  Once it is clear that an eighth is not saved
 * piece and end say false, and the rest need not be given.
 */
struct compressor;
struct compressor *compress_begin(int level, uint64_t total, struct buf *out);
MUST_CHECK bool	 compress_piece(struct compressor *c, struct span s);
MUST_CHECK bool	 compress_end(struct compressor *c);
void	 compress_free(struct compressor **c);

/* How long it becomes when it is undone; -1: it is none, or too long. */
int64_t	 compress_undone_len(struct span in);
/* Undo it into exactly so many bytes.  -1: it is damaged. */
MUST_CHECK int compress_undo(struct span in, char *out, size_t len);

#endif
