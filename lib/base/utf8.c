/* SPDX-License-Identifier: ISC */
/*
 * utf8 - see utf8.h.
 */
#include "base/utf8.h"

static bool
is_tail(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

size_t
utf8_next(struct span s, uint32_t *cp)
{
	/* The smallest code point that needs this many bytes. */
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned char c;
	uint32_t v;
	size_t n;

	if (s.len == 0)
		return 0;
	c = (unsigned char)s.p[0];
	if (c < 0x80)
		n = 1, v = c;
	else if (c >= 0xc2 && c <= 0xdf)
		n = 2, v = c & 0x1f;
	else if (c >= 0xe0 && c <= 0xef)
		n = 3, v = c & 0x0f;
	else if (c >= 0xf0 && c <= 0xf4)
		n = 4, v = c & 0x07;
	else
		return 0;
	if (s.len < n)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if (!is_tail(s.p[i]))
			return 0;
		v = v << 6 | ((unsigned char)s.p[i] & 0x3f);
	}
	if (v < least[n] || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff))
		return 0;
	if (cp != NULL)
		*cp = v;
	return n;
}

bool
utf8_ascii(struct span s)
{
	uint64_t word, any = 0;

	for (; s.len >= 8; s.p += 8, s.len -= 8) {
		memcpy(&word, s.p, 8);
		any |= word;
	}
	for (; s.len > 0; s.p++, s.len--)
		any |= (uint64_t)(unsigned char)*s.p;
	return (any & 0x8080808080808080) == 0;
}

bool
utf8_valid(struct span s)
{
	size_t n;

	if (utf8_ascii(s))
		return true;
	for (; s.len > 0; s = span_from(s, n))
		if ((n = utf8_next(s, NULL)) == 0)
			return false;
	return true;
}
