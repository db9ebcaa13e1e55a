/* SPDX-License-Identifier: ISC */
/*
 * saslprep - see saslprep.h.  Tables are named as in RFC 3454; what Unicode
 * knows itself (normal forms, directions) comes from libunistring.
 */
#include "auth/saslprep.h"

#include <unictype.h>
#include <uninorm.h>

#include <stdlib.h>

#include "base/mem.h"
#include "base/utf8.h"

struct range {
	uint32_t	first, last;
};

/* B.1: mapped to nothing */
static const struct range nothing[] = {
	{ 0x00ad, 0x00ad }, { 0x034f, 0x034f }, { 0x1806, 0x1806 },
	{ 0x180b, 0x180d }, { 0x200c, 0x200d }, { 0x2060, 0x2060 },
	{ 0xfe00, 0xfe0f }, { 0xfeff, 0xfeff },
};

/* C.1.2: mapped to a space */
static const struct range spaces[] = {
	{ 0x00a0, 0x00a0 }, { 0x1680, 0x1680 }, { 0x2000, 0x200b },
	{ 0x202f, 0x202f }, { 0x205f, 0x205f }, { 0x3000, 0x3000 },
};

static const struct range forbidden[] = {
	{ 0x0000, 0x001f }, { 0x007f, 0x009f },		/* C.2 */
	{ 0x06dd, 0x06dd }, { 0x070f, 0x070f }, { 0x180e, 0x180e },
	{ 0x2028, 0x2029 }, { 0x2061, 0x2063 }, { 0x1d173, 0x1d17a },
	{ 0xe000, 0xf8ff }, { 0xf0000, 0x10ffff },	/* C.3 */
	{ 0xfdd0, 0xfdef },				/* C.4 */
	{ 0xd800, 0xdfff },				/* C.5 */
	{ 0xfff9, 0xffff },				/* C.6, C.4 */
	{ 0x2ff0, 0x2ffb },				/* C.7 */
	{ 0x0340, 0x0341 }, { 0x200e, 0x200f },		/* C.8 */
	{ 0x202a, 0x202e }, { 0x206a, 0x206f },
	{ 0xe0001, 0xe0001 }, { 0xe0020, 0xe007f },	/* C.9 */
};

static bool
is_in(uint32_t cp, const struct range *r, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (cp >= r[i].first && cp <= r[i].last)
			return true;
	return false;
}

#define IN(cp, table) is_in(cp, table, ARRAY_LEN(table))

/* RFC 3454 3: what is mapped.  0, or -1 when it is not UTF-8. */
static int
map(struct span in, struct buf *out)
{
	uint32_t cp;
	size_t n;

	for (; in.len > 0; in = span_from(in, n)) {
		n = utf8_next(in, &cp);
		if (n == 0)
			return -1;
		if (IN(cp, spaces))
			buf_add_char(out, ' ');
		else if (!IN(cp, nothing))
			buf_add(out, in.p, n);
	}
	return 0;
}

/* RFC 3454 5 and 6, of what is mapped and normalised. */
static bool
allowed(struct span text)
{
	bool right = false, left = false, first = false, last = false;
	uint32_t cp;
	size_t n;

	for (struct span in = text; in.len > 0; in = span_from(in, n)) {
		int dir;

		n = utf8_next(in, &cp);
		if (n == 0 || IN(cp, forbidden) || (cp & 0xfffe) == 0xfffe)
			return false;
		dir = uc_bidi_class(cp);
		last = dir == UC_BIDI_R || dir == UC_BIDI_AL;
		right = right || last;
		left = left || dir == UC_BIDI_L;
		if (in.len == text.len)
			first = last;
	}
	return !right || (!left && first && last);
}

int
saslprep(struct span text, struct buf *out)
{
	struct buf mapped = BUF_SECRET(BUF_UNLIMITED);
	uint8_t *normal = NULL;
	size_t n = 0;
	int rc = -1;

	if (utf8_ascii(text)) {
		for (size_t i = 0; i < text.len; i++)
			if (IN((unsigned char)text.p[i], forbidden))
				return -1;
		return buf_put_span(out, text);
	}
	if (map(text, &mapped) < 0)
		goto out;
	normal = u8_normalize(UNINORM_NFKC, (const uint8_t *)mapped.data,
	    mapped.len, NULL, &n);
	if (normal != NULL && allowed(span_make(normal, n)))
		rc = buf_put(out, normal, n);
out:
	if (normal != NULL)
		mem_wipe(normal, n);
	free(normal);		/* libunistring's, from malloc() */
	buf_wipe(&mapped);
	return rc;
}
