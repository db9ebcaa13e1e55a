/* SPDX-License-Identifier: ISC */
/*
 * rnd - random bytes from the kernel.
 */
#ifndef BASE_RND_H
#define BASE_RND_H

#include "base/cc.h"

void	 rnd_bytes(void *p, size_t n);	/* fit for secrets */
uint64_t rnd_u64(void);
uint64_t rnd_below(uint64_t n);		/* 0 <= result < n, without bias */

#endif
