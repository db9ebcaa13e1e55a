/* SPDX-License-Identifier: ISC */
/*
 * scan - see scan.h.  A line at a time with memchr and memcpy: nothing here
 * looks at a byte that those two do not.
 */
#include "smtpd/scan.h"

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

enum scan_result
scan_data(struct scan *s, struct span in, char *out, size_t *used,
    size_t *out_len)
{
	const char *p = in.p, *end = in.p + in.len;
	char *o = out;
	enum scan_result res = SCAN_MORE;

	while (p < end) {
		size_t n = (size_t)(end - p), skip = 0;

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

	while (p < end) {
		size_t n = copy_line(s, p, (size_t)(end - p), final, &o);

		if (n == 0)
			break;
		p += n;
	}
	*used = (size_t)(p - in.p);
	*out_len = (size_t)(o - out);
}
