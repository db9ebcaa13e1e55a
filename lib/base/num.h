/* SPDX-License-Identifier: ISC */
/*
 * num - numbers from text, and bytes of numbers.
 *
 * A number is all of the span: digits with no sign, space or prefix.
 */
#ifndef BASE_NUM_H
#define BASE_NUM_H

#include <endian.h>
#include <string.h>

#include "base/cc.h"
#include "base/span.h"

/* 0 and *out, or -1 when s is not a number in [0, max]; *out is untouched. */
MUST_CHECK int num_parse_u64(struct span s, uint64_t max, uint64_t *out);
MUST_CHECK int num_parse_u32(struct span s, uint32_t max, uint32_t *out);
/* With an optional '-' in front, in [min, max]. */
MUST_CHECK int num_parse_i64(struct span s, int64_t min, int64_t max,
	    int64_t *out);
/* Hexadecimal, either case, in [0, UINT64_MAX]. */
MUST_CHECK int num_parse_hex(struct span s, uint64_t *out);
/* Write v in decimal, without a NUL: at most NUM_DECIMAL_MAX bytes.  Returns
 * the end.  For answers of many numbers; elsewhere printf does. */
#define NUM_DECIMAL_MAX	20
char	*num_put_decimal(char *to, uint64_t v);
/* A + b, or UINT64_MAX where that overflows. */
uint64_t num_add_sat(uint64_t a, uint64_t b);

/* Little-endian numbers at any address. */
static inline void
num_put_le16(void *p, uint16_t v)
{
	uint8_t *b = p;

	b[0] = (uint8_t)v;
	b[1] = (uint8_t)(v >> 8);
}

static inline void
num_put_le32(void *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, sizeof(v));
}

static inline void
num_put_le64(void *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, sizeof(v));
}

static inline uint16_t
num_get_le16(const void *p)
{
	const uint8_t *b = p;

	return (uint16_t)(b[0] | b[1] << 8);
}

static inline uint32_t
num_get_le32(const void *p)
{
	const uint8_t *b = p;

	return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 |
	    (uint32_t)b[3] << 24;
}

static inline uint64_t
num_get_le64(const void *p)
{
	const uint8_t *b = p;

	return (uint64_t)num_get_le32(b) | (uint64_t)num_get_le32(b + 4) << 32;
}

#endif
