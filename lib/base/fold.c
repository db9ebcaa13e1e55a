/* SPDX-License-Identifier: ISC */
/*
 * fold - see fold.h.
 *
 * Sixteen or thirty-two places at a time are those where the first and the
 * last byte fit, which are few in any text; only there the rest is compared.
 * What is looked at was mostly not used for long and is not much: the processor
 * is told what comes next, for it has to wait for memory otherwise.
 */
#include "base/fold.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__SSE2__)
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

/* Where needle is, from place i on. */
static ptrdiff_t
find_slowly(struct span hay, struct span needle, size_t i)
{
	for (; i + needle.len <= hay.len; i++) {
		if (is_here(hay.p + i, needle))
			return (ptrdiff_t)i;
	}
	return -1;
}

/* The first of the places i + n, for the bits n of mask. */
static inline ptrdiff_t
find_masked(struct span hay, struct span needle, size_t i, uint32_t mask)
{
	for (; mask != 0; mask &= mask - 1) {
		size_t at = i + (unsigned)__builtin_ctz(mask);

		if (is_here(hay.p + at, needle))
			return (ptrdiff_t)at;
	}
	return -1;
}

#ifdef __SSE2__
/* What makes a letter lower case, and nothing of another byte. */
static inline char
case_bit(unsigned char c)
{
	return lower(c) != c ? 0x20 : 0;
}

static inline void
fetch_ahead(struct span hay, size_t i)
{
	if (i % LINE == 0 && i + AHEAD < hay.len)
		__builtin_prefetch(hay.p + i + AHEAD);
}

static ptrdiff_t
find_sse2(struct span hay, struct span needle, size_t i)
{
	size_t places = hay.len - needle.len + 1, end = needle.len - 1;
	unsigned char a = (unsigned char)needle.p[0];
	unsigned char z = (unsigned char)needle.p[end];
	const __m128i a_bit = _mm_set1_epi8(case_bit(a));
	const __m128i z_bit = _mm_set1_epi8(case_bit(z));
	const __m128i a_low = _mm_set1_epi8((char)lower(a));
	const __m128i z_low = _mm_set1_epi8((char)lower(z));

	for (; i + 16 <= places; i += 16) {
		const char *p = hay.p + i;
		__m128i v = _mm_or_si128(a_bit,
		    _mm_loadu_si128((const void *)p));
		__m128i w = _mm_or_si128(z_bit,
		    _mm_loadu_si128((const void *)(p + end)));
		__m128i fits = _mm_and_si128(_mm_cmpeq_epi8(v, a_low),
		    _mm_cmpeq_epi8(w, z_low));
		uint32_t mask = (uint32_t)_mm_movemask_epi8(fits);
		ptrdiff_t at;

		fetch_ahead(hay, i);
		if (mask != 0 &&
		    (at = find_masked(hay, needle, i, mask)) >= 0)
			return at;
	}
	return find_slowly(hay, needle, i);
}

static ptrdiff_t (*find)(struct span, struct span, size_t) = find_sse2;
#else
static ptrdiff_t (*find)(struct span, struct span, size_t) = find_slowly;
#endif

#if defined(__x86_64__)
/* The same for thirty-two; for what is left, the one above. */
__attribute__((target("avx2"))) static ptrdiff_t
find_avx2(struct span hay, struct span needle, size_t i)
{
	size_t places = hay.len - needle.len + 1, end = needle.len - 1;
	unsigned char a = (unsigned char)needle.p[0];
	unsigned char z = (unsigned char)needle.p[end];
	const __m256i a_bit = _mm256_set1_epi8(case_bit(a));
	const __m256i z_bit = _mm256_set1_epi8(case_bit(z));
	const __m256i a_low = _mm256_set1_epi8((char)lower(a));
	const __m256i z_low = _mm256_set1_epi8((char)lower(z));

	for (; i + 32 <= places; i += 32) {
		const char *p = hay.p + i;
		__m256i v = _mm256_or_si256(a_bit,
		    _mm256_loadu_si256((const void *)p));
		__m256i w = _mm256_or_si256(z_bit,
		    _mm256_loadu_si256((const void *)(p + end)));
		__m256i fits = _mm256_and_si256(_mm256_cmpeq_epi8(v, a_low),
		    _mm256_cmpeq_epi8(w, z_low));
		uint32_t mask = (uint32_t)_mm256_movemask_epi8(fits);
		ptrdiff_t at;

		fetch_ahead(hay, i);
		if (mask != 0 &&
		    (at = find_masked(hay, needle, i, mask)) >= 0)
			return at;
	}
	return find_sse2(hay, needle, i);
}

__attribute__((constructor)) static void
choose(void)
{
	__builtin_cpu_init();
	if (__builtin_cpu_supports("avx2"))
		find = find_avx2;
}
#endif

ptrdiff_t
span_find_folded(struct span hay, struct span needle)
{
	if (needle.len == 0)
		return 0;
	if (needle.len > hay.len)
		return -1;
	for (size_t at = LINE; at < MIN(AHEAD, hay.len); at += LINE)
		__builtin_prefetch(hay.p + at);
	return find(hay, needle, 0);
}
