/* SPDX-License-Identifier: ISC */
/*
 * fold - see fold.h.
 *
 * Sixteen places at a time are those where the first and the last byte fit,
 * which are few in any text; only there the rest is compared.  What is looked
 * at was mostly not used for long and is not much: the processor is told what
 * comes next, for it has to wait for memory otherwise.
 */
#include "base/fold.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define AHEAD	512u		/* bytes */
#define LINE	64u		/* of the cache */

static inline unsigned char
upper(unsigned char c)
{
	return c >= 'a' && c <= 'z' ? c - 32 : c;
}

static inline unsigned char
lower(unsigned char c)
{
	return c >= 'A' && c <= 'Z' ? c + 32 : c;
}

static bool
is_here(const char *p, struct span needle)
{
	for (size_t i = 0; i < needle.len; i++) {
		if (upper((unsigned char)p[i]) != (unsigned char)needle.p[i])
			return false;
	}
	return true;
}

ptrdiff_t
span_find_folded(struct span hay, struct span needle)
{
	size_t places, i = 0;

	if (needle.len == 0)
		return 0;
	if (needle.len > hay.len)
		return -1;
	places = hay.len - needle.len + 1;
#ifdef __SSE2__
	unsigned char a = (unsigned char)needle.p[0];
	unsigned char z = (unsigned char)needle.p[needle.len - 1];
	const __m128i a_up = _mm_set1_epi8((char)a);
	const __m128i a_low = _mm_set1_epi8((char)lower(a));
	const __m128i z_up = _mm_set1_epi8((char)z);
	const __m128i z_low = _mm_set1_epi8((char)lower(z));

	for (size_t at = LINE; at < MIN(AHEAD, hay.len); at += LINE)
		__builtin_prefetch(hay.p + at);
	for (; i + 16 <= places; i += 16) {
		const char *p = hay.p + i;
		__m128i v = _mm_loadu_si128((const void *)p);
		__m128i w = _mm_loadu_si128((const void *)
		    (p + needle.len - 1));
		__m128i fits = _mm_and_si128(
		    _mm_or_si128(_mm_cmpeq_epi8(v, a_up),
		    _mm_cmpeq_epi8(v, a_low)),
		    _mm_or_si128(_mm_cmpeq_epi8(w, z_up),
		    _mm_cmpeq_epi8(w, z_low)));
		unsigned mask = (unsigned)_mm_movemask_epi8(fits);

		if (i % LINE == 0 && i + AHEAD < hay.len)
			__builtin_prefetch(p + AHEAD);
		for (; mask != 0; mask &= mask - 1) {
			size_t at = i + (unsigned)__builtin_ctz(mask);

			if (is_here(hay.p + at, needle))
				return (ptrdiff_t)at;
		}
	}
#endif
	for (; i < places; i++) {
		if (is_here(hay.p + i, needle))
			return (ptrdiff_t)i;
	}
	return -1;
}
