/* SPDX-License-Identifier: ISC */
/*
 * buf - a byte string that grows up to a limit.
 *
 * Between calls, data is never NULL and data[len] is '\0', so a buf reads as
 * a C string; bytes below len may still be NUL.  len never exceeds max: that
 * is how we bound what a peer can make us hold.  Growing may move data, so a
 * pointer into a buf is good until the next write to it.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>

#include "base/cc.h"
#include "base/span.h"

struct buf {
	char	*data;
	size_t	 len;		/* bytes, not counting the final '\0' */
	size_t	 max;		/* bytes, fixed at BUF_INIT */
	size_t	 alloc : 63;	/* private */
	/* What is in it is overwritten before its memory is given back, also
	 * where it grows. */
	size_t	 secret : 1;
};

extern char buf_nothing[1];	/* what an unused buf's data points at */

#define BUF_INIT(limit)	\
	((struct buf){ .data = buf_nothing, .len = 0, .max = (limit) })
/* For what no peer has a say in. */
#define BUF_UNLIMITED	(SIZE_MAX / 2)

/* For passwords and the like. */
#define BUF_SECRET(limit) ((struct buf){				\
	.data = buf_nothing, .len = 0, .max = (limit), .secret = 1 })

void	 buf_fini(struct buf *b);	/* free; b is empty and usable */
void	 buf_wipe(struct buf *b);	/* the same, overwriting a secret */
/*
 * Append n bytes.  src may point into b.  Returns 0, or -1 with b unchanged
 * when the result would exceed b->max.  Does not return when out of memory.
 */
MUST_CHECK int	buf_put(struct buf *b, const void *src, size_t n);
MUST_CHECK int	buf_put_span(struct buf *b, struct span s);
MUST_CHECK int	buf_put_str(struct buf *b, const char *s);
MUST_CHECK int	buf_put_char(struct buf *b, char c);
MUST_CHECK int	buf_printf(struct buf *b, const char *fmt, ...) PRINTF(2, 3);
MUST_CHECK int	buf_vprintf(struct buf *b, const char *fmt, va_list ap)
		PRINTF(2, 0);
/*
 * The same for a buf whose limit the caller knows to be large enough
 * (BUF_UNLIMITED, or checked before): exceeding it is our bug and panics.
 */
static inline void buf_add(struct buf *b, const void *src, size_t n);
static inline void buf_add_span(struct buf *b, struct span s);
static inline void buf_add_str(struct buf *b, const char *s);
static inline void buf_add_char(struct buf *b, char c);
void	 buf_add_num(struct buf *b, uint64_t n);	/* decimal */
void	 buf_addf(struct buf *b, const char *fmt, ...) PRINTF(2, 3);
/*
 * Room for n bytes more, at data + len; the caller writes there and then
 * raises len with buf_commit().  NULL when that would exceed max.
 */
MUST_CHECK char	*buf_reserve(struct buf *b, size_t n);
void	 buf_commit(struct buf *b, size_t n);
void	 buf_reset(struct buf *b);		/* len = 0, memory stays */
void	 buf_trunc(struct buf *b, size_t len);	/* len <= b->len */
void	 buf_consume(struct buf *b, size_t n);	/* drop the first n bytes */
/* Give the bytes to the caller, to mem_free() later; b is empty again. */
char	*buf_take(struct buf *b);

static inline struct span
buf_span(const struct buf *b)
{
	return (struct span){ b->data, b->len };
}

/* --- in line: answers are made of many short words --------------------------- */

void	 buf_add_grow(struct buf *b, const void *src, size_t n); /* private */

static inline void
buf_add(struct buf *b, const void *src, size_t n)
{
	if (n == 0 || n >= b->alloc - b->len) {
		buf_add_grow(b, src, n);
		return;
	}
	/* What is in b already lies before its end: no overlap. */
	memcpy(b->data + b->len, src, n);
	b->len += n;
	b->data[b->len] = '\0';
}

static inline void
buf_add_span(struct buf *b, struct span s)
{
	buf_add(b, s.p, s.len);
}

static inline void
buf_add_str(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

static inline void
buf_add_char(struct buf *b, char c)
{
	buf_add(b, &c, 1);
}

#endif
