/* SPDX-License-Identifier: ISC */
/*
 * num - see num.h.
 */
#include "base/num.h"

#include <string.h>

int
num_parse_u64(struct span s, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;

	if (s.len == 0)
		return -1;
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] < '0' || s.p[i] > '9' ||
		    __builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v))
			return -1;
	}
	if (v > max)
		return -1;
	*out = v;
	return 0;
}

int
num_parse_u32(struct span s, uint32_t max, uint32_t *out)
{
	uint64_t v;

	if (num_parse_u64(s, max, &v) < 0)
		return -1;
	*out = (uint32_t)v;
	return 0;
}

int
num_parse_i64(struct span s, int64_t min, int64_t max, int64_t *out)
{
	bool minus = s.len && s.p[0] == '-';
	uint64_t v;
	int64_t n;

	if (num_parse_u64(span_from(s, minus ? 1 : 0),
		(uint64_t)INT64_MAX + (minus ? 1 : 0), &v) < 0)
		return -1;
	/* -INT64_MIN does not fit in an int64_t: negate as unsigned. */
	n = minus ? (int64_t)(0 - v) : (int64_t)v;
	if (n < min || n > max)
		return -1;
	*out = n;
	return 0;
}

int
num_parse_hex(struct span s, uint64_t *out)
{
	uint64_t v = 0;

	if (s.len == 0)
		return -1;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];
		unsigned d;

		if (c >= '0' && c <= '9')
			d = (unsigned)(c - '0');
		else if (c >= 'a' && c <= 'f')
			d = (unsigned)(c - 'a') + 10;
		else if (c >= 'A' && c <= 'F')
			d = (unsigned)(c - 'A') + 10;
		else
			return -1;
		if (v >> 60)
			return -1;
		v = v << 4 | d;
	}
	*out = v;
	return 0;
}

uint64_t
num_add_sat(uint64_t a, uint64_t b)
{
	uint64_t v;

	return __builtin_add_overflow(a, b, &v) ? UINT64_MAX : v;
}

char *
num_put_decimal(char *to, uint64_t v)
{
	/* Two digits at a time. */
	static const char pairs[] =
	    "00010203040506070809101112131415161718192021222324"
	    "25262728293031323334353637383940414243444546474849"
	    "50515253545556575859606162636465666768697071727374"
	    "75767778798081828384858687888990919293949596979899";
	size_t n = 1;
	char *end;

	for (uint64_t rest = v; rest >= 10; rest /= 10)
		n++;
	end = to += n;
	for (; v >= 100; v /= 100)
		memcpy(to -= 2, pairs + v % 100 * 2, 2);
	if (v >= 10)
		memcpy(to - 2, pairs + v * 2, 2);
	else
		to[-1] = (char)('0' + v);
	return end;
}
