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

static uint32_t (*update)(uint32_t, const uint8_t *, size_t) = update_table;

#if defined(__x86_64__)
/*
 * The instruction takes three cycles and one can begin in each: what is long
 * enough is done as three stretches side by side, long ones first, then short
 * ones.  What the bytes behind it make of a stretch's remainder is linear in
 * it: past[k][b] is what as many zero bytes make of byte b at place k.
 */
#define LONG		1024		/* bytes of a stretch */
#define SHORT		128
static uint32_t past_long[4][256], past_short[4][256];

__attribute__((target("sse4.2"))) static uint32_t
one_lane(uint32_t crc, const uint8_t *p, size_t n)
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

static inline uint32_t
go_past(uint32_t past[4][256], uint32_t c)
{
	return past[0][c & 255] ^ past[1][c >> 8 & 255] ^
	    past[2][c >> 16 & 255] ^ past[3][c >> 24];
}

/* Three stretches of n bytes, n / 8 being a whole number. */
__attribute__((target("sse4.2"))) static inline uint32_t
three_lanes(uint32_t crc, const uint8_t *p, size_t n, uint32_t past[4][256])
{
	uint64_t a = crc, b = 0, c = 0, v;

	for (size_t i = 0; i < n; i += 8) {
		memcpy(&v, p + i, 8);
		a = _mm_crc32_u64(a, v);
		memcpy(&v, p + n + i, 8);
		b = _mm_crc32_u64(b, v);
		memcpy(&v, p + 2 * n + i, 8);
		c = _mm_crc32_u64(c, v);
	}
	crc = go_past(past, (uint32_t)a) ^ (uint32_t)b;
	return go_past(past, crc) ^ (uint32_t)c;
}

__attribute__((target("sse4.2"))) static uint32_t
update_sse42(uint32_t crc, const uint8_t *p, size_t n)
{
	for (; n >= (size_t)3 * LONG; p += (size_t)3 * LONG,
	    n -= (size_t)3 * LONG)
		crc = three_lanes(crc, p, LONG, past_long);
	for (; n >= (size_t)3 * SHORT; p += (size_t)3 * SHORT,
	    n -= (size_t)3 * SHORT)
		crc = three_lanes(crc, p, SHORT, past_short);
	return one_lane(crc, p, n);
}

static void
make_past(uint32_t past[4][256], size_t n)
{
	static const uint8_t zeros[LONG];

	for (int bit = 0; bit < 32; bit++) {
		uint32_t c = one_lane(UINT32_C(1) << bit, zeros, n);

		for (unsigned b = 0; b < 256; b++)
			if (b >> bit % 8 & 1)
				past[bit / 8][b] ^= c;
	}
}

static void
choose_sse42(void)
{
	make_past(past_long, LONG);
	make_past(past_short, SHORT);
	update = update_sse42;
}
#endif

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
		choose_sse42();
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
