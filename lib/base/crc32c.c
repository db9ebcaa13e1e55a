/* SPDX-License-Identifier: ISC */
/*
 * crc32c - see crc32c.h.
 *
 * The choice is made once, before main(), so that threads need no lock.
 */
#include <string.h>

#include "base/crc32c.h"
#include "base/num.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

#define POLYNOMIAL	0x82f63b78	/* reflected */

/* table[k][b]: the effect of byte b followed by k zero bytes. */
static uint32_t table[8][256];

static uint32_t
update_table(uint32_t crc, const uint8_t *p, size_t n)
{
	for (; n >= 8; p += 8, n -= 8) {
		uint32_t lo = num_get_le32(p) ^ crc;
		uint32_t hi = num_get_le32(p + 4);

		crc = table[7][lo & 255] ^ table[6][lo >> 8 & 255] ^
		    table[5][lo >> 16 & 255] ^ table[4][lo >> 24] ^
		    table[3][hi & 255] ^ table[2][hi >> 8 & 255] ^
		    table[1][hi >> 16 & 255] ^ table[0][hi >> 24];
	}
	for (; n > 0; p++, n--)
		crc = crc >> 8 ^ table[0][(crc ^ *p) & 255];
	return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t
update_sse42(uint32_t crc, const uint8_t *p, size_t n)
{
	uint64_t c = crc, v;

	for (; n >= 8; p += 8, n -= 8) {
		memcpy(&v, p, 8);
		c = _mm_crc32_u64(c, v);
	}
	crc = (uint32_t)c;
	for (; n > 0; p++, n--)
		crc = _mm_crc32_u8(crc, *p);
	return crc;
}
#endif

static uint32_t (*update)(uint32_t, const uint8_t *, size_t) = update_table;

__attribute__((constructor)) static void
choose(void)
{
	for (unsigned b = 0; b < 256; b++) {
		uint32_t c = b;

		for (int i = 0; i < 8; i++)
			c = c >> 1 ^ (c & 1 ? POLYNOMIAL : 0);
		table[0][b] = c;
	}
	for (unsigned b = 0; b < 256; b++)
		for (int k = 1; k < 8; k++)
			table[k][b] = table[k - 1][b] >> 8 ^
			    table[0][table[k - 1][b] & 255];
#if defined(__x86_64__)
	__builtin_cpu_init();
	if (__builtin_cpu_supports("sse4.2"))
		update = update_sse42;
#endif
}

uint32_t
crc32c(uint32_t crc, const void *p, size_t n)
{
	return ~update(~crc, p, n);
}

uint32_t
crc32c_portable(uint32_t crc, const void *p, size_t n)
{
	return ~update_table(~crc, p, n);
}
