/* SPDX-License-Identifier: ISC */
/*
 * mutf7 - see mutf7.h.
 */
#include "base/utf8.h"
#include "mail/mutf7.h"

static const char base64[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

static int
value_of(char c)
{
	const char *at = c != '\0' ? strchr(base64, c) : NULL;

	return at ? (int)(at - base64) : -1;
}

static bool
is_direct(uint32_t cp)
{
	return cp >= 0x20 && cp <= 0x7e;
}

static size_t
put_utf8(uint32_t cp, char out[4])
{
	if (cp < 0x80) {
		out[0] = (char)cp;
		return 1;
	}
	if (cp < 0x800) {
		out[0] = (char)(0xc0 | cp >> 6);
		out[1] = (char)(0x80 | (cp & 0x3f));
		return 2;
	}
	if (cp < 0x10000) {
		out[0] = (char)(0xe0 | cp >> 12);
		out[1] = (char)(0x80 | (cp >> 6 & 0x3f));
		out[2] = (char)(0x80 | (cp & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | cp >> 18);
	out[1] = (char)(0x80 | (cp >> 12 & 0x3f));
	out[2] = (char)(0x80 | (cp >> 6 & 0x3f));
	out[3] = (char)(0x80 | (cp & 0x3f));
	return 4;
}

/* One UTF-16 unit; *high is the first half of a pair that waits. */
static int
put_unit(struct buf *out, uint32_t unit, uint32_t *high)
{
	char utf8[4];
	uint32_t cp = unit;

	if (unit >= 0xd800 && unit < 0xdc00) {
		if (*high)
			return -1;
		*high = unit;
		return 0;
	}
	if (unit >= 0xdc00 && unit < 0xe000) {
		if (!*high)
			return -1;
		cp = 0x10000 + ((*high - 0xd800) << 10) + (unit - 0xdc00);
		*high = 0;
	} else if (*high || is_direct(unit)) {
		return -1;
	}
	return buf_put(out, utf8, put_utf8(cp, utf8));
}

/* What lies between '&' and '-'. */
static int
decode_shifted(struct span in, struct buf *out)
{
	uint32_t acc = 0, high = 0;
	unsigned bits = 0;

	for (size_t i = 0; i < in.len; i++) {
		int v = value_of(in.p[i]);

		if (v < 0)
			return -1;
		acc = acc << 6 | (uint32_t)v;
		bits += 6;
		if (bits < 16)
			continue;
		bits -= 16;
		if (put_unit(out, acc >> bits & 0xffff, &high) != 0)
			return -1;
		acc &= (1u << bits) - 1;
	}
	/* Less than one digit of padding, all zeros, and no half pair. */
	return bits < 6 && acc == 0 && !high ? 0 : -1;
}

int
mutf7_decode(struct span in, struct buf *out)
{
	size_t len = out->len, i = 0;
	bool shifted = false;		/* the last thing was a shift */

	while (i < in.len) {
		struct span rest = span_from(in, i + 1);
		ptrdiff_t end;

		if (in.p[i] != '&') {
			if (!is_direct((unsigned char)in.p[i]) ||
			    buf_put_char(out, in.p[i]) != 0)
				goto bad;
			shifted = false;
			i++;
			continue;
		}
		end = span_find(rest, '-');
		if (end < 0)
			goto bad;
		if (end == 0) {
			if (buf_put_char(out, '&') != 0)
				goto bad;
			shifted = false;
		} else {
			if (shifted || decode_shifted(span_sub(rest, 0,
			    (size_t)end), out) != 0)
				goto bad;
			shifted = true;
		}
		i += (size_t)end + 2;
	}
	return 0;
bad:
	buf_trunc(out, len);
	return -1;
}

/* The bits of a run of characters that are not direct. */
struct shift {
	struct buf	*out;
	uint32_t	 acc;
	unsigned	 bits;
	bool		 open;
};

static int
shift_unit(struct shift *s, uint32_t unit)
{
	if (!s->open && buf_put_char(s->out, '&') != 0)
		return -1;
	s->open = true;
	s->acc = s->acc << 16 | unit;
	s->bits += 16;
	while (s->bits >= 6) {
		s->bits -= 6;
		if (buf_put_char(s->out, base64[s->acc >> s->bits & 0x3f]) != 0)
			return -1;
	}
	s->acc &= (1u << s->bits) - 1;
	return 0;
}

static int
shift_close(struct shift *s)
{
	if (!s->open)
		return 0;
	if (s->bits > 0 && buf_put_char(s->out,
	    base64[s->acc << (6 - s->bits) & 0x3f]) != 0)
		return -1;
	s->acc = 0;
	s->bits = 0;
	s->open = false;
	return buf_put_char(s->out, '-');
}

static int
encode_one(struct shift *s, uint32_t cp)
{
	if (is_direct(cp)) {
		if (shift_close(s) != 0)
			return -1;
		return cp == '&' ? buf_put_str(s->out, "&-") :
		    buf_put_char(s->out, (char)cp);
	}
	if (cp < 0x10000)
		return shift_unit(s, cp);
	cp -= 0x10000;
	if (shift_unit(s, 0xd800 + (cp >> 10)) != 0)
		return -1;
	return shift_unit(s, 0xdc00 + (cp & 0x3ff));
}

int
mutf7_encode(struct span in, struct buf *out)
{
	struct shift s = { .out = out };
	size_t len = out->len;

	while (in.len > 0) {
		uint32_t cp;
		size_t n = utf8_next(in, &cp);

		if (n == 0 || encode_one(&s, cp) != 0)
			goto bad;
		in = span_from(in, n);
	}
	if (shift_close(&s) == 0)
		return 0;
bad:
	buf_trunc(out, len);
	return -1;
}
