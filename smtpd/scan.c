/* SPDX-License-Identifier: ISC */
/*
 * scan - see scan.h.  A line at a time with memchr and memcpy; where the
 * processor compares sixteen bytes at once, whole lines are done before that
 * in one pass, which takes half the time (copy_blocks()).
 */
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "smtpd/scan.h"

#define BLOCK	16

/*
 * What a dot at the start of a line is: 1 the end of DATA, 0 stuffing, -1
 * not known yet.
 */
static int
dot_is_end(const struct scan *s, const char *p, size_t n)
{
	if (s->at != SCAN_AFTER_CRLF)
		return 0;
	if (n < 2)
		return -1;
	if (p[1] != '\r')
		return 0;
	if (n < 3)
		return -1;
	return p[2] == '\n';
}

/*
 * Copy one line, or what there is of it.  Returns how many bytes were used;
 * 0: more must come first.
 */
static size_t
copy_line(struct scan *s, const char *p, size_t n, bool final, char **out)
{
	const char *lf = memchr(p, '\n', n);
	size_t len;

	if (lf == NULL) {
		len = n;
		if (!final && p[n - 1] == '\r')
			len--;
		memcpy(*out, p, len);
		*out += len;
		if (len > 0)
			s->at = SCAN_IN_LINE;
		return len;
	}
	len = (size_t)(lf - p);
	if (len > 0 && lf[-1] == '\r') {
		memcpy(*out, p, len - 1);
		*out += len - 1;
		s->at = SCAN_AFTER_CRLF;
	} else {
		memcpy(*out, p, len);
		*out += len;
		s->at = SCAN_AFTER_LF;
		s->bare_lf = true;
	}
	*(*out)++ = '\n';
	s->lines++;
	return len + 1;
}

#if defined(__SSE2__)
/*
 * Copy from p on until less than a block is left, or, with dots, until a line
 * begins with one.  Returns how many bytes were used.  first: where the input
 * begins.  The blocks may write up to BLOCK bytes behind *out, which is no
 * further than the input is long.
 */
static size_t
copy_blocks(struct scan *s, const char *first, const char *p, const char *end,
    bool dots, char **out)
{
	const __m128i lf = _mm_set1_epi8('\n');
	const char *start = p;
	char *o = *out;
	bool in_line = s->at == SCAN_IN_LINE;

	while (end - p >= BLOCK) {
		__m128i v;
		unsigned found, k;

		if (dots && !in_line && *p == '.')
			break;
		v = _mm_loadu_si128((const void *)p);
		_mm_storeu_si128((void *)o, v);
		found = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v, lf));
		if (found == 0) {
			p += BLOCK;
			o += BLOCK;
			in_line = true;
			continue;
		}
		k = (unsigned)__builtin_ctz(found);
		p += k;
		o += k;
		/* What is before first is no CR: it would not have been
		 * used. */
		s->at = p > first && p[-1] == '\r' ? SCAN_AFTER_CRLF :
		    SCAN_AFTER_LF;
		if (s->at == SCAN_AFTER_CRLF)
			o--;
		else
			s->bare_lf = true;
		*o++ = '\n';
		p++;
		s->lines++;
		in_line = false;
	}
	if (in_line && p > start) {
		s->at = SCAN_IN_LINE;
		if (p[-1] == '\r') {	/* an LF may follow */
			p--;
			o--;
		}
	}
	*out = o;
	return (size_t)(p - start);
}
#else
static size_t
copy_blocks(struct scan *s, const char *first, const char *p, const char *end,
    bool dots, char **out)
{
	return 0;
}
#endif

enum scan_result
scan_data(struct scan *s, struct span in, char *out, size_t *used,
    size_t *out_len)
{
	const char *p = in.p, *end = in.p + in.len;
	char *o = out;
	enum scan_result res = SCAN_MORE;

	while (p < end) {
		size_t n, skip = 0;

		p += copy_blocks(s, in.p, p, end, true, &o);
		if ((n = (size_t)(end - p)) == 0)
			break;
		if (*p == '.' && s->at != SCAN_IN_LINE) {
			int is_end = dot_is_end(s, p, n);

			if (is_end < 0)
				break;
			if (is_end) {
				p += 3;
				res = SCAN_END;
				break;
			}
			/*
			 * RFC 5321 4.5.2: the dot goes.  What follows is in
			 * the line, be it another dot; an LF alone is still
			 * a line end, and no more than that.
			 */
			if (n == 1)
				break;
			skip = 1;
			s->at = SCAN_IN_LINE;
		}
		n = copy_line(s, p + skip, n - skip, false, &o);
		if (n == 0) {
			/* A CR alone: keep the dot before it, if any, gone. */
			p += skip;
			break;
		}
		p += skip + n;
	}
	*used = (size_t)(p - in.p);
	*out_len = (size_t)(o - out);
	return res;
}

void
scan_chunk(struct scan *s, struct span in, bool final, char *out,
    size_t *used, size_t *out_len)
{
	const char *p = in.p, *end = in.p + in.len;
	char *o = out;

	p += copy_blocks(s, in.p, p, end, false, &o);
	while (p < end) {
		size_t n = copy_line(s, p, (size_t)(end - p), final, &o);

		if (n == 0)
			break;
		p += n;
	}
	*used = (size_t)(p - in.p);
	*out_len = (size_t)(o - out);
}
