/* SPDX-License-Identifier: ISC */
/*
 * array - see array.h.
 */
#include "base/array.h"

void *
array_grow(void *v, size_t *alloc, size_t size)
{
	size_t n = *alloc ? *alloc * 2 : 8;

	v = mem_realloc_array(v, n, size);
	*alloc = n;
	return v;
}
