/* SPDX-License-Identifier: ISC */
/*
 * dsn - see dsn.h.
 */
#include "base/num.h"
#include "base/utf8.h"
#include "mail/chars.h"
#include "mail/dsn.h"

/* RFC 3463 2: class "." subject "." detail, the last two 1 to 3 digits. */
bool
dsn_code_valid(struct span code)
{
	unsigned dots = 0, digits = 0;

	if (code.len < 5 || (code.p[0] != '2' && code.p[0] != '4' &&
	    code.p[0] != '5') || code.p[1] != '.')
		return false;
	for (size_t i = 1; i < code.len; i++) {
		if (code.p[i] == '.') {
			if ((dots > 0 && digits == 0) || ++dots > 2)
				return false;
			digits = 0;
		} else if (!char_is_digit(code.p[i]) || ++digits > 3)
			return false;
	}
	return dots == 2 && digits > 0;
}

/* RFC 3461 4.1: NEVER stands alone; the others are a list. */
unsigned
dsn_notify_members(unsigned notify)
{
	if (notify == DSN_NOTIFY_SUCCESS)
		return DSN_NOTIFY_NEVER;
	return notify & ~(unsigned)DSN_NOTIFY_SUCCESS;
}

int
dsn_parse_notify(struct span s, unsigned *out)
{
	unsigned got = 0;
	bool more = true;

	if (span_caseis(s, "NEVER")) {
		*out = DSN_NOTIFY_NEVER;
		return 0;
	}
	while (more) {
		ptrdiff_t comma = span_find(s, ',');
		struct span word = s;

		more = comma >= 0;
		if (more) {
			word = span_sub(s, 0, (size_t)comma);
			s = span_from(s, (size_t)comma + 1);
		}
		if (span_caseis(word, "SUCCESS"))
			got |= DSN_NOTIFY_SUCCESS;
		else if (span_caseis(word, "FAILURE"))
			got |= DSN_NOTIFY_FAILURE;
		else if (span_caseis(word, "DELAY"))
			got |= DSN_NOTIFY_DELAY;
		else
			return -1;
	}
	*out = got;
	return 0;
}

/*
 * RFC 3461 4: '!' to '~' but '+' and '=', or "+" and two hexadecimal digits.
 * What decodes to a control character is refused: it would be written into
 * a notice's header later.
 */
int
dsn_xtext_decode(struct span in, struct buf *out)
{
	size_t old = out->len;
	uint64_t v;

	for (size_t i = 0; i < in.len; i++) {
		unsigned char c = (unsigned char)in.p[i];

		if (c == '+') {
			if (in.len - i < 3 ||
			    num_parse_hex(span_sub(in, i + 1, 2), &v) < 0 ||
			    v < ' ' || v == 0x7f)
				goto bad;
			c = (unsigned char)v;
			i += 2;
		} else if (c <= ' ' || c >= 0x7f || c == '=')
			goto bad;
		if (buf_put_char(out, (char)c) < 0)
			goto bad;
	}
	return 0;
bad:
	buf_trunc(out, old);
	return -1;
}

void
dsn_xtext_encode(struct span in, struct buf *out)
{
	for (size_t i = 0; i < in.len; i++) {
		unsigned char c = (unsigned char)in.p[i];

		if (c <= ' ' || c >= 0x7f || c == '+' || c == '=')
			buf_addf(out, "+%02X", c);
		else
			buf_add_char(out, (char)c);
	}
}

static int
put_utf8(struct buf *out, uint64_t cp)
{
	char b[4];
	size_t n;

	if (cp < 0x80) {
		b[0] = (char)cp;
		n = 1;
	} else if (cp < 0x800) {
		b[0] = (char)(0xc0 | cp >> 6);
		b[1] = (char)(0x80 | (cp & 0x3f));
		n = 2;
	} else if (cp < 0x10000) {
		b[0] = (char)(0xe0 | cp >> 12);
		b[1] = (char)(0x80 | (cp >> 6 & 0x3f));
		b[2] = (char)(0x80 | (cp & 0x3f));
		n = 3;
	} else {
		b[0] = (char)(0xf0 | cp >> 18);
		b[1] = (char)(0x80 | (cp >> 12 & 0x3f));
		b[2] = (char)(0x80 | (cp >> 6 & 0x3f));
		b[3] = (char)(0x80 | (cp & 0x3f));
		n = 4;
	}
	return buf_put(out, b, n);
}

int
dsn_utf8_decode(struct span in, struct buf *out)
{
	size_t old = out->len;

	for (size_t i = 0; i < in.len; ) {
		unsigned char c = (unsigned char)in.p[i];
		ptrdiff_t end;
		uint64_t cp;
		size_t n;

		if (c == '\\' && in.len - i > 3 && in.p[i + 1] == 'x' &&
		    in.p[i + 2] == '{') {
			end = span_find(span_from(in, i), '}');
			if (end < 5 || end > 9 || num_parse_hex(
			    span_sub(in, i + 3, (size_t)end - 3), &cp) < 0 ||
			    cp < ' ' || cp == 0x7f || cp > 0x10ffff ||
			    (cp >= 0xd800 && cp <= 0xdfff) ||
			    put_utf8(out, cp) < 0)
				goto bad;
			i += (size_t)end + 1;
			continue;
		}
		/* RFC 6533 3: QCHAR is all of US-ASCII but "\" "+" "=". */
		if (c <= ' ' || c == 0x7f || c == '\\' || c == '+' || c == '=')
			goto bad;
		n = utf8_next(span_from(in, i), NULL);
		if (n == 0 || buf_put(out, in.p + i, n) < 0)
			goto bad;
		i += n;
	}
	return 0;
bad:
	buf_trunc(out, old);
	return -1;
}

void
dsn_utf8_encode(struct span in, bool ascii, struct buf *out)
{
	for (size_t i = 0; i < in.len; ) {
		unsigned char c = (unsigned char)in.p[i];
		uint32_t cp;
		size_t n = utf8_next(span_from(in, i), &cp);

		if (n == 0) {			/* not UTF-8: show that */
			cp = 0xfffd;
			n = 1;
		} else if (n == 1 && c > ' ' && c != 0x7f && c != '\\' &&
		    c != '+' && c != '=') {
			buf_add_char(out, (char)c);
			i++;
			continue;
		} else if (n > 1 && !ascii) {
			buf_add(out, in.p + i, n);
			i += n;
			continue;
		}
		buf_addf(out, "\\x{%02X}", cp);
		i += n;
	}
}
