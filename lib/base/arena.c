/* SPDX-License-Identifier: ISC */
/*
 * arena - see arena.h.
 */
#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/log.h"
#include "base/mem.h"

struct arena_chunk {
	struct arena_chunk	*next;
	size_t			 size, used;	/* bytes of data */
	alignas(max_align_t) char data[];
};

/* The first chunks are small, for sessions that need little. */
#define CHUNK_FIRST	240	/* 256 with the head and malloc's own */
#define CHUNK_SECOND	1024
#define CHUNK_LATER	8192

static struct arena_chunk *
add_chunk(struct arena *a, size_t n)
{
	size_t size = MAX(n, a->first == NULL ? (size_t)CHUNK_FIRST :
	    a->first == a->last ? CHUNK_SECOND : CHUNK_LATER);
	struct arena_chunk *c;

	if (size > SIZE_MAX - sizeof(*c))
		log_fatal("out of memory (%zu bytes)", n);
	c = mem_alloc(sizeof(*c) + size);
	c->next = NULL;
	c->size = size;
	c->used = 0;
	if (a->last != NULL)
		a->last->next = c;
	else
		a->first = c;
	a->last = c;
	return c;
}

void *
arena_alloc(struct arena *a, size_t n)
{
	const size_t align = alignof(max_align_t);
	struct arena_chunk *c = a->last;
	void *p;

	if (n > SIZE_MAX / 2)
		log_fatal("out of memory (%zu bytes)", n);
	n = (MAX(n, 1) + align - 1) / align * align;
	if (c == NULL || c->size - c->used < n)
		c = add_chunk(a, n);
	p = c->data + c->used;
	c->used += n;
	a->used += n;
	return p;
}

void *
arena_zalloc(struct arena *a, size_t n)
{
	return memset(arena_alloc(a, n), 0, n);
}

char *
arena_strdup(struct arena *a, const char *s)
{
	return arena_span_dup(a, span_of(s));
}

char *
arena_span_dup(struct arena *a, struct span s)
{
	char *p = arena_alloc(a, s.len + 1);

	if (s.len)
		memcpy(p, s.p, s.len);
	p[s.len] = '\0';
	return p;
}

char *
arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	char *p;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		log_panic("arena_printf: bad format \"%s\"", fmt);
	p = arena_alloc(a, (size_t)n + 1);
	va_start(ap, fmt);
	vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return p;
}

static void
free_from(struct arena_chunk *c)
{
	struct arena_chunk *next;

	for (; c != NULL; c = next) {
		next = c->next;
		mem_free(c);
	}
}

void
arena_reset(struct arena *a)
{
	a->used = 0;
	if (a->first == NULL)
		return;
	free_from(a->first->next);
	a->first->next = NULL;
	a->first->used = 0;
	a->last = a->first;
}

void
arena_fini(struct arena *a)
{
	free_from(a->first);
	*a = ARENA_INIT;
}
