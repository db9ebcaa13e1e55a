/* SPDX-License-Identifier: ISC */
/*
 * compress - see compress.h; the only file that knows libzstd.
 */
#include "store/compress.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"

#ifdef WITH_ZSTD
#include <zstd.h>

#define LEVEL	3		/* of "zstd" */
#define STEP	(64u << 10)	/* bytes of room made at a time */

struct compressor {
	ZSTD_CCtx	*z;
	struct buf	*out;
	size_t		 begin, most;	/* bytes of out before, at most */
};

int
compress_level(const char *setting)
{
	struct span s = span_of(setting);
	uint32_t n;

	if (!span_starts(s, SPAN("zstd")))
		return 0;
	if (num_parse_u32(span_from(s, 5), 19, &n) < 0 || n == 0)
		return LEVEL;
	return (int)n;
}

struct compressor *
compress_begin(int level, uint64_t total, struct buf *out)
{
	struct compressor *c;
	ZSTD_CCtx *z;

	if (level <= 0 || total < COMPRESS_MIN || total > COMPRESS_MAX ||
	    (z = ZSTD_createCCtx()) == NULL)
		return NULL;
	/* With the length, and a checksum of what it was. */
	if (ZSTD_isError(ZSTD_CCtx_setParameter(z, ZSTD_c_compressionLevel,
	    level)) || ZSTD_isError(ZSTD_CCtx_setParameter(z,
	    ZSTD_c_checksumFlag, 1)) ||
	    ZSTD_isError(ZSTD_CCtx_setPledgedSrcSize(z, total))) {
		(void)ZSTD_freeCCtx(z);
		return NULL;
	}
	c = mem_zalloc(sizeof(*c));
	c->z = z;
	c->out = out;
	c->begin = out->len;
	c->most = (size_t)(total - total / 8);
	return c;
}

static bool
run(struct compressor *c, struct span s, ZSTD_EndDirective how)
{
	ZSTD_inBuffer in = { s.p, s.len, 0 };
	size_t left;

	do {
		size_t used = c->out->len - c->begin;
		size_t room = MIN((size_t)STEP, c->most - used);
		ZSTD_outBuffer to = { NULL, room, 0 };

		if (room == 0)
			return false;
		to.dst = buf_reserve(c->out, room);
		if (to.dst == NULL)
			return false;
		left = ZSTD_compressStream2(c->z, &to, &in, how);
		if (ZSTD_isError(left))
			return false;
		buf_commit(c->out, to.pos);
	} while (in.pos < in.size || (how == ZSTD_e_end && left > 0));
	return true;
}

bool
compress_piece(struct compressor *c, struct span s)
{
	return s.len == 0 || run(c, s, ZSTD_e_continue);
}

bool
compress_end(struct compressor *c)
{
	return run(c, SPAN_EMPTY, ZSTD_e_end);
}

void
compress_free(struct compressor **cp)
{
	struct compressor *c = *cp;

	*cp = NULL;
	if (c == NULL)
		return;
	(void)ZSTD_freeCCtx(c->z);
	mem_free(c);
}

int64_t
compress_undone_len(struct span in)
{
	unsigned long long n = ZSTD_getFrameContentSize(in.p, in.len);

	/* Also what zstd says for an error, or for "not known". */
	return n > COMPRESS_MAX ? -1 : (int64_t)n;
}

int
compress_undo(struct span in, char *out, size_t len)
{
	size_t n = ZSTD_decompress(out, len, in.p, in.len);

	return ZSTD_isError(n) || n != len ? -1 : 0;
}

#else	/* no libzstd */

int
compress_level(const char *setting)
{
	static bool said;

	if (span_starts(span_of(setting), SPAN("zstd")) && !said) {
		said = true;
		log_warning("store_compression: this program was built "
		    "without libzstd: messages are stored as they are");
	}
	return 0;
}

struct compressor *
compress_begin(int level, uint64_t total, struct buf *out)
{
	(void)level;
	(void)total;
	(void)out;
	return NULL;
}

bool
compress_piece(struct compressor *c, struct span s)
{
	(void)c;
	(void)s;
	return false;
}

bool
compress_end(struct compressor *c)
{
	(void)c;
	return false;
}

void
compress_free(struct compressor **c)
{
	*c = NULL;
}

int64_t
compress_undone_len(struct span in)
{
	(void)in;
	return -1;
}

int
compress_undo(struct span in, char *out, size_t len)
{
	(void)in;
	(void)out;
	(void)len;
	return -1;
}

#endif
