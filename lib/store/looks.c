/* SPDX-License-Identifier: ISC */
/*
 * looks - see looks.h.
 */
#include <string.h>
#include <sys/mman.h>

#include "base/cc.h"
#include "base/mem.h"
#include "store/looks.h"

#define MAPPED		0x80u		/* beside the count */
#define COUNT_MAX	0x7fu
#define WINDOWS_MAX	65536u		/* what lies behind them is touched */
#define AROUND		(64u << 10)	/* bytes that the kernel maps with a
					 * page, as far as it has them */

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22		/* Linux 5.14 */
#endif

static bool
is_many(const struct looks *l, size_t window)
{
	return (l->v[window] & COUNT_MAX) >= LOOKS_MANY;
}

static void
make_room(struct looks *l, size_t window)
{
	size_t n = window + window / 4 + 16;

	if (window < l->n)
		return;
	l->v = mem_realloc_array(l->v, n, 1);
	memset(l->v + l->n, 0, n - l->n);
	l->n = n;
}

bool
looks_at(struct looks *l, const char *map, size_t size, uint64_t offset)
{
	size_t window = (size_t)(offset / LOOKS_WINDOW);
	size_t at = window * LOOKS_WINDOW;

	if (window >= WINDOWS_MAX)
		return true;
	make_room(l, window);
	if ((l->v[window] & COUNT_MAX) < COUNT_MAX)
		l->v[window]++;
	if (l->v[window] & MAPPED)
		return true;
	if (!is_many(l, window) && (window == 0 || !is_many(l, window - 1)))
		return false;
	l->v[window] |= MAPPED;
	/*
	 * A page of each piece, since to ask for all of them makes the kernel
	 * go through them twice.  Where it fails (an older kernel, a file that
	 * was cut off) pages are mapped as they are touched, as ever.
	 */
	for (size_t end = MIN(size, at + LOOKS_WINDOW); at < end; at += AROUND)
		(void)madvise((void *)(uintptr_t)(map + at), 1,
		    MADV_POPULATE_READ);
	return true;
}

void
looks_fini(struct looks *l)
{
	mem_free(l->v);
	l->v = NULL;
	l->n = 0;
}
