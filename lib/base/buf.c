/* SPDX-License-Identifier: ISC */
/*
 * buf - see buf.h.
 */
#include <stdio.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"

/* Always '\0': an unused buf is an empty C string without an allocation. */
char buf_nothing[1];

#define BUF_FIRST_ALLOC	64

/* Room for n bytes more and the '\0'.  -1 when that is over max. */
static int
grow(struct buf *b, size_t n)
{
	size_t need, want;

	if (n > b->max || b->len > b->max - n)
		return -1;
	need = b->len + n + 1;
	if (need <= b->alloc)
		return 0;
	want = MAX(b->alloc * 2, BUF_FIRST_ALLOC);
	if (want > b->max)
		want = b->max + 1;
	if (want < need)
		want = need;
	if (b->secret && b->alloc) {
		char *fresh = mem_alloc(want);

		memcpy(fresh, b->data, b->len + 1);
		mem_wipe(b->data, b->alloc);
		mem_free(b->data);
		b->data = fresh;
	} else {
		b->data = mem_realloc_array(b->alloc ? b->data : NULL, want,
		    1);
	}
	if (b->alloc == 0)
		b->data[0] = '\0';
	b->alloc = want;
	return 0;
}

void
buf_fini(struct buf *b)
{
	if (b->alloc) {
		if (b->secret)
			mem_wipe(b->data, b->alloc);
		mem_free(b->data);
	}
	b->data = buf_nothing;
	b->len = b->alloc = 0;
}

void
buf_wipe(struct buf *b)
{
	if (b->alloc)
		mem_wipe(b->data, b->alloc);
	buf_fini(b);
}

int
buf_put(struct buf *b, const void *src, size_t n)
{
	uintptr_t from = (uintptr_t)src, data = (uintptr_t)b->data;
	bool inside = b->alloc && from >= data && from < data + b->alloc;

	if (n == 0)
		return 0;
	if (grow(b, n) < 0)
		return -1;
	/* Growing may have moved what src points at. */
	if (inside)
		src = b->data + (from - data);
	memmove(b->data + b->len, src, n);
	b->len += n;
	b->data[b->len] = '\0';
	return 0;
}

int
buf_put_span(struct buf *b, struct span s)
{
	return buf_put(b, s.p, s.len);
}

int
buf_put_str(struct buf *b, const char *s)
{
	return buf_put(b, s, strlen(s));
}

int
buf_put_char(struct buf *b, char c)
{
	if (b->len + 1 >= b->alloc || b->len >= b->max)
		return buf_put(b, &c, 1);
	b->data[b->len++] = c;
	b->data[b->len] = '\0';
	return 0;
}

int
buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
	va_list again;
	size_t room = b->alloc ? b->alloc - b->len : 0;
	int n;

	va_copy(again, ap);
	n = vsnprintf(room ? b->data + b->len : NULL, room, fmt, ap);
	if (n < 0)
		log_panic("buf_vprintf: bad format \"%s\"", fmt);
	if ((size_t)n >= room) {
		if (grow(b, (size_t)n) < 0) {
			b->data[b->len] = '\0';
			va_end(again);
			return -1;
		}
		vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
	} else if ((size_t)n > b->max - b->len) {
		b->data[b->len] = '\0';
		va_end(again);
		return -1;
	}
	va_end(again);
	b->len += (size_t)n;
	return 0;
}

int
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int rc;

	va_start(ap, fmt);
	rc = buf_vprintf(b, fmt, ap);
	va_end(ap);
	return rc;
}

NORETURN static void
over_limit(const struct buf *b)
{
	log_panic("buf: more than its limit of %zu bytes", b->max);
}

void
buf_add_grow(struct buf *b, const void *src, size_t n)
{
	if (buf_put(b, src, n) < 0)
		over_limit(b);
}

void
buf_add_num(struct buf *b, uint64_t n)
{
	char digits[20];
	size_t at = sizeof(digits);

	do
		digits[--at] = (char)('0' + n % 10);
	while ((n /= 10) > 0);
	buf_add(b, digits + at, sizeof(digits) - at);
}

void
buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int rc;

	va_start(ap, fmt);
	rc = buf_vprintf(b, fmt, ap);
	va_end(ap);
	if (rc < 0)
		over_limit(b);
}

char *
buf_reserve(struct buf *b, size_t n)
{
	return grow(b, n) < 0 ? NULL : b->data + b->len;
}

void
buf_commit(struct buf *b, size_t n)
{
	if (n == 0)
		return;
	if (b->alloc == 0 || n > b->alloc - b->len - 1)
		log_panic("buf_commit: more than was reserved");
	b->len += n;
	b->data[b->len] = '\0';
}

void
buf_reset(struct buf *b)
{
	buf_trunc(b, 0);
}

void
buf_trunc(struct buf *b, size_t len)
{
	if (len > b->len)
		log_panic("buf_trunc: %zu of %zu bytes", len, b->len);
	b->len = len;
	b->data[len] = '\0';
}

void
buf_consume(struct buf *b, size_t n)
{
	if (n > b->len)
		log_panic("buf_consume: %zu of %zu bytes", n, b->len);
	if (n == 0)
		return;
	memmove(b->data, b->data + n, b->len - n);
	buf_trunc(b, b->len - n);
}

char *
buf_take(struct buf *b)
{
	char *p = b->alloc ? b->data : mem_strdup("");

	b->data = buf_nothing;
	b->len = b->alloc = 0;
	return p;
}
