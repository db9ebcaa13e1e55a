/* SPDX-License-Identifier: ISC */
/*
 * eol - see eol.h.
 */
#include "base/eol.h"

#include <stdbool.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

static const char *
pass_bytes(const char *p, const char *end, char before, int stop,
    bool first, struct eol *c)
{
	for (; p < end; before = *p++) {
		if (before == '\n' && (unsigned char)*p == stop && !first)
			return p;
		first = false;
		if (*p == '\n') {
			c->lines++;
			c->bare += before != '\r';
		}
	}
	return p;
}

#if defined(__SSE2__)

#define BLOCK	16
#define ROUND	255		/* blocks, until a counter of 8 bits is full */

static uint64_t
sum(__m128i counters)
{
	__m128i s = _mm_sad_epu8(counters, _mm_setzero_si128());

	return (uint64_t)_mm_cvtsi128_si64(s) +
	    (uint64_t)_mm_cvtsi128_si64(_mm_srli_si128(s, 8));
}

/*
 * As many blocks as there are before end, or before the stop; p[-1] is there.
 * Made twice, for most text is gone through without a stop.
 */
static inline __attribute__((always_inline)) const char *
pass_blocks(const char *p, const char *end, bool stops, char stop,
    struct eol *c)
{
	const __m128i lf = _mm_set1_epi8('\n'), cr = _mm_set1_epi8('\r'),
	    halt = _mm_set1_epi8(stop);
	bool stopped = false;

	while (!stopped && end - p >= BLOCK) {
		__m128i lines = _mm_setzero_si128(), with_cr = lines;

		for (int i = 0; i < ROUND && end - p >= BLOCK; i++) {
			__m128i v = _mm_loadu_si128((const void *)p);
			__m128i was = _mm_loadu_si128((const void *)(p - 1));
			__m128i is_lf = _mm_cmpeq_epi8(v, lf);

			if (stops && _mm_movemask_epi8(_mm_and_si128(
			    _mm_cmpeq_epi8(v, halt),
			    _mm_cmpeq_epi8(was, lf))) != 0) {
				stopped = true;
				break;
			}
			lines = _mm_sub_epi8(lines, is_lf);
			with_cr = _mm_sub_epi8(with_cr, _mm_and_si128(is_lf,
			    _mm_cmpeq_epi8(was, cr)));
			p += BLOCK;
		}
		c->lines += sum(lines);
		c->bare += sum(lines) - sum(with_cr);
	}
	return p;
}
#endif

const char *
eol_pass(const char *p, const char *end, char before, int stop,
    struct eol *c)
{
	bool first = true;

#if defined(__SSE2__)
	if (end - p > BLOCK) {
		(void)pass_bytes(p, p + 1, before, stop, true, c);
		p++;
		p = stop == EOL_NO_STOP ? pass_blocks(p, end, false, 0, c) :
		    pass_blocks(p, end, true, (char)stop, c);
		before = p[-1];
		first = false;
	}
#endif
	return pass_bytes(p, end, before, stop, first, c);
}
