/* SPDX-License-Identifier: ISC */
/*
 * encoded - see encoded.h.
 */
#include "mail/chars.h"
#include "mail/charset.h"
#include "mail/encoded.h"
#include "mail/transfer.h"

struct word {
	struct span	charset, text;
	char		encoding;	/* 'Q' or 'B' */
	size_t		len;		/* bytes it takes, "=?" to "?=" */
};

/* RFC 2047 2: "=?charset?encoding?text?=" at the start of s. */
static bool
find_word(struct span s, struct word *w)
{
	ptrdiff_t q;
	size_t i;

	if (!span_starts(s, SPAN("=?")))
		return false;
	for (i = 2; i < s.len && s.p[i] != '?'; i++)
		if ((unsigned char)s.p[i] <= ' ' || s.p[i] == '=' ||
		    i > CHARSET_NAME_MAX + 16)
			return false;
	if (i == 2 || i + 3 > s.len || s.p[i + 2] != '?')
		return false;
	w->charset = span_sub(s, 2, i - 2);
	w->encoding = (char)(s.p[i + 1] & ~0x20);
	if (w->encoding != 'Q' && w->encoding != 'B')
		return false;
	i += 3;
	for (size_t start = i;; i++) {
		if ((q = span_find(span_from(s, i), '?')) < 0)
			return false;
		i += (size_t)q;
		/* "?=" ends it, but in "=?x?Q??=41?=" the first does not. */
		if (i + 1 < s.len && s.p[i + 1] == '=') {
			w->text = span_sub(s, start, i - start);
			w->len = i + 2;
			/* Another word begins in it: this one has no end. */
			return span_search(w->text, SPAN("=?")) < 0;
		}
	}
}

static int
hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* RFC 2047 4.2 */
static void
put_q(struct span s, struct buf *raw)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];

		if (c == '_')
			c = ' ';
		else if (c == '=' && i + 2 < s.len && hex(s.p[i + 1]) >= 0 &&
		    hex(s.p[i + 2]) >= 0) {
			c = (char)(hex(s.p[i + 1]) << 4 | hex(s.p[i + 2]));
			i += 2;
		} else if (c == '\r' || c == '\n')
			continue;
		buf_add_char(raw, c);
	}
}

static void
put_b(struct span s, struct buf *raw)
{
	struct transfer t;

	transfer_init(&t, ENCODING_BASE64, false);
	transfer_write(&t, s, raw);
	transfer_finish(&t, raw);
	transfer_fini(&t);
}

/* Words of one charset, one after the other, are one text. */
struct decoder {
	struct buf	*out, raw;
	struct span	 charset;	/* of what is in raw */
};

static void
flush_raw(struct decoder *d)
{
	size_t start = d->out->len;

	if (d->raw.len == 0)
		return;
	charset_convert(d->charset, buf_span(&d->raw), d->out);
	/* A decoded line end would be a line of its own to who reads it. */
	for (size_t i = start; i < d->out->len; i++)
		if (d->out->data[i] == '\n' || d->out->data[i] == '\r')
			d->out->data[i] = ' ';
	buf_reset(&d->raw);
}

/* A fold is one space; the white space behind its first byte stays. */
static void
put_plain(struct decoder *d, struct span s)
{
	flush_raw(d);
	for (;;) {
		size_t n = 0;

		while (n < s.len && s.p[n] != '\r' && s.p[n] != '\n' &&
		    s.p[n] != '\0')
			n++;
		charset_utf8(span_sub(s, 0, n), d->out);
		if (n == s.len)
			return;
		if (s.p[n] == '\0') {
			buf_add_str(d->out, "\xef\xbf\xbd");
			s = span_from(s, n + 1);
			continue;
		}
		while (n < s.len && (s.p[n] == '\r' || s.p[n] == '\n'))
			n++;
		buf_add_char(d->out, ' ');
		if (n < s.len && (s.p[n] == ' ' || s.p[n] == '\t'))
			n++;
		s = span_from(s, n);
	}
}

static bool
only_space(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!char_is_space(s.p[i]))
			return false;
	return true;
}

void
encoded_decode(struct span value, struct buf *out)
{
	struct decoder d = { .out = out, .raw = BUF_INIT(BUF_UNLIMITED) };
	size_t plain = 0, i = 0;
	bool after_word = false;

	while (i < value.len) {
		const char *eq = memchr(value.p + i, '=', value.len - i);
		struct word w;

		if (eq == NULL)
			break;
		i = (size_t)(eq - value.p);
		if (!find_word(span_from(value, i), &w)) {
			i++;
			continue;
		}
		if (!after_word ||
		    !only_space(span_sub(value, plain, i - plain)))
			put_plain(&d, span_sub(value, plain, i - plain));
		if (!span_caseeq(d.charset, w.charset)) {
			flush_raw(&d);
			d.charset = w.charset;
		}
		if (w.encoding == 'Q')
			put_q(w.text, &d.raw);
		else
			put_b(w.text, &d.raw);
		i += w.len;
		plain = i;
		after_word = true;
	}
	put_plain(&d, span_from(value, plain));
	flush_raw(&d);
	buf_fini(&d.raw);
}
