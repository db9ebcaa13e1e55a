/* SPDX-License-Identifier: ISC */
/*
 * rnd - see rnd.h.
 *
 * Nothing is kept in the process: a pool would come out twice after fork().
 */
#include <errno.h>
#include <sys/random.h>

#include "base/log.h"
#include "base/rnd.h"

void
rnd_bytes(void *p, size_t n)
{
	char *to = p;
	ssize_t got;

	while (n > 0) {
		got = getrandom(to, n, 0);
		if (got < 0) {
			if (errno == EINTR)
				continue;
			log_fatal("getrandom: %m");
		}
		to += got;
		n -= (size_t)got;
	}
}

uint64_t
rnd_u64(void)
{
	uint64_t v;

	rnd_bytes(&v, sizeof(v));
	return v;
}

uint64_t
rnd_below(uint64_t n)
{
	uint64_t v, low;

	if (n == 0)
		log_panic("rnd_below: nothing is below 0");
	/* 2^64 mod n values at the bottom would come up too often. */
	low = (0 - n) % n;
	do
		v = rnd_u64();
	while (v < low);
	return v % n;
}
