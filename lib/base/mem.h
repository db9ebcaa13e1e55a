/* SPDX-License-Identifier: ISC */
/*
 * mem - memory from the heap, or no return.
 *
 * A process is disposable: when memory is out it says so and exits, and
 * master starts another.  What a peer can make us allocate is bounded
 * elsewhere (buf.max, the limits on counts), never here.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include "base/cc.h"

/* n bytes, or n objects of size bytes; zeroed where the name has a z. */
void	*mem_alloc(size_t n);
void	*mem_zalloc(size_t n);
void	*mem_alloc_array(size_t n, size_t size);
void	*mem_zalloc_array(size_t n, size_t size);
/* Resize p, which may be NULL, to n objects of size bytes. */
void	*mem_realloc_array(void *p, size_t n, size_t size);
char	*mem_strdup(const char *s);
/* The first n bytes of s, which need not end there, and a final '\0'. */
char	*mem_strndup(const char *s, size_t n);
char	*mem_printf(const char *fmt, ...) PRINTF(1, 2);
void	 mem_free(void *p);
/*
 * For a process that gets and frees large pieces all the time: up to n bytes
 * that are free stay with it, for to touch a fresh page costs more than to
 * copy one.  mem_give_back() returns them when there is nothing to do.
 */
void	 mem_keep_free(size_t n);
void	 mem_give_back(void);
/* The same where more than n bytes, and a quarter of all, lie in holes that
 * nobody uses. */
void	 mem_tidy(size_t n);
/* Overwrite a secret; not optimised away. */
void	 mem_wipe(void *p, size_t n);

#endif
