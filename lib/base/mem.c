/* SPDX-License-Identifier: ISC */
/*
 * mem - see mem.h.
 */
#include <limits.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

NORETURN static void
out_of_memory(size_t n, size_t size)
{
	log_fatal("out of memory (%zu x %zu bytes)", n, size);
}

void *
mem_alloc(size_t n)
{
	void *p = malloc(n ? n : 1);

	if (p == NULL)
		out_of_memory(n, 1);
	return p;
}

void *
mem_zalloc(size_t n)
{
	return mem_zalloc_array(n, 1);
}

void *
mem_alloc_array(size_t n, size_t size)
{
	return mem_realloc_array(NULL, n, size);
}

void *
mem_zalloc_array(size_t n, size_t size)
{
	void *p = n && size ? calloc(n, size) : calloc(1, 1);

	if (p == NULL)
		out_of_memory(n, size);
	return p;
}

void *
mem_realloc_array(void *p, size_t n, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes))
		out_of_memory(n, size);
	/* realloc(p, 0) frees on some systems: never ask for nothing. */
	p = realloc(p, bytes ? bytes : 1);
	if (p == NULL)
		out_of_memory(n, size);
	return p;
}

char *
mem_strdup(const char *s)
{
	size_t n = strlen(s) + 1;

	return memcpy(mem_alloc(n), s, n);
}

char *
mem_strndup(const char *s, size_t n)
{
	const char *nul = n ? memchr(s, '\0', n) : NULL;
	char *p;

	if (nul != NULL)
		n = (size_t)(nul - s);
	p = mem_alloc(n + 1);
	if (n)
		memcpy(p, s, n);
	p[n] = '\0';
	return p;
}

char *
mem_printf(const char *fmt, ...)
{
	va_list ap;
	char *p;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&p, fmt, ap);
	va_end(ap);
	if (n < 0)
		out_of_memory(1, strlen(fmt));
	return p;
}

void
mem_free(void *p)
{
	free(p);
}

void
mem_wipe(void *p, size_t n)
{
	if (n)
		explicit_bzero(p, n);
}

void
mem_keep_free(size_t n)
{
#ifdef __GLIBC__
	int most = (int)MIN(n, (size_t)INT_MAX);

	/* The largest that is allowed for the first is 32 MiB. */
	(void)mallopt(M_MMAP_THRESHOLD, MIN(most, 32 << 20));
	(void)mallopt(M_TRIM_THRESHOLD, most);
#endif
}

void
mem_tidy(size_t n)
{
#ifdef __GLIBC__
	struct mallinfo2 m = mallinfo2();

	if (m.fordblks > n && m.fordblks > m.arena / 4)
		mem_give_back();
#endif
}

void
mem_give_back(void)
{
#ifdef __GLIBC__
	(void)malloc_trim(0);
#endif
}
