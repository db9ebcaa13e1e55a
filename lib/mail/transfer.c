/* SPDX-License-Identifier: ISC */
/*
 * transfer - see transfer.h.
 */
#include "mail/transfer.h"

#define LINE_MAX	1024		/* of what is held back */

void
transfer_init(struct transfer *t, enum message_encoding e, bool crlf)
{
	*t = (struct transfer){
		.encoding = e, .crlf = crlf, .held = BUF_INIT(LINE_MAX),
	};
}

void
transfer_fini(struct transfer *t)
{
	buf_fini(&t->held);
}

/* Plain bytes; a line end gets its CR. */
static void
put_text(struct transfer *t, struct span in, struct buf *out)
{
	if (!t->crlf) {
		buf_add_span(out, in);
		return;
	}
	while (in.len > 0) {
		const char *nl = memchr(in.p, '\n', in.len);
		size_t n = nl != NULL ? (size_t)(nl - in.p) : in.len;

		buf_add(out, in.p, n);
		if (n > 0)
			t->prev_cr = in.p[n - 1] == '\r';
		if (nl != NULL) {
			buf_add_str(out, t->prev_cr ? "\n" : "\r\n");
			t->prev_cr = false;
			n++;
		}
		in = span_from(in, n);
	}
}

/* --- base64 ---------------------------------------------------------------------- */

/* The value of each digit plus one; 0: none. */
static const uint8_t digits[256] = {
	['A'] = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18,
	19, 20, 21, 22, 23, 24, 25, 26,
	['a'] = 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41,
	42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52,
	['0'] = 53, 54, 55, 56, 57, 58, 59, 60, 61, 62,
	['+'] = 63, ['/'] = 64,
};

static unsigned
digit(char c)
{
	return digits[(unsigned char)c];
}

/* Four digits at a time, while there is nothing else. */
static size_t
base64_run(struct span in, struct buf *out)
{
	const char *p = in.p;
	char *o = buf_reserve(out, in.len / 4 * 3);
	size_t i = 0, n = 0;

	for (; o != NULL && i + 4 <= in.len; i += 4, n += 3) {
		unsigned a = digit(p[i]), b = digit(p[i + 1]),
		    c = digit(p[i + 2]), d = digit(p[i + 3]);

		if (a == 0 || b == 0 || c == 0 || d == 0)
			break;
		a--, b--, c--, d--;
		o[n] = (char)(a << 2 | b >> 4);
		o[n + 1] = (char)(b << 4 | c >> 2);
		o[n + 2] = (char)(c << 6 | d);
	}
	if (n > 0)
		buf_commit(out, n);
	return i;
}

static void
base64(struct transfer *t, struct span in, struct buf *out)
{
	for (size_t i = 0; i < in.len; i++) {
		unsigned v;

		if (t->nbits == 0 && in.len - i >= 4) {
			i += base64_run(span_from(in, i), out);
			if (i == in.len)
				break;
		}
		v = digit(in.p[i]);
		if (in.p[i] == '=') {
			/* RFC 2045 6.8: the end; some join two blocks. */
			t->nbits = 0;
			t->bits = 0;
		} else if (v > 0) {
			t->bits = t->bits << 6 | (v - 1);
			t->nbits += 6;
			if (t->nbits >= 8) {
				t->nbits -= 8;
				buf_add_char(out,
				    (char)(t->bits >> t->nbits & 0xff));
			}
		}
	}
}

/* --- quoted-printable -------------------------------------------------------------- */

static int
hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/*
 * A line, or the last piece of one.  Space at the end of a line is not part
 * of it (RFC 2045 6.7 rule 3).
 */
static void
qp_line(struct transfer *t, struct span line, bool ends, struct buf *out)
{
	size_t len = line.len, i = 0;
	bool soft = false, cr = false;

	if (ends) {
		if (len > 0 && line.p[len - 1] == '\r') {
			len--;
			cr = true;
		}
		while (len > 0 && (line.p[len - 1] == ' ' ||
		    line.p[len - 1] == '\t'))
			len--;
	}
	if (len > 0 && line.p[len - 1] == '=') {
		len--;
		soft = true;
	}
	while (i < len) {
		const char *eq = memchr(line.p + i, '=', len - i);
		size_t n = eq != NULL ? (size_t)(eq - line.p) - i : len - i;

		put_text(t, span_sub(line, i, n), out);
		i += n;
		if (eq == NULL)
			break;
		if (i + 2 < len && hex(eq[1]) >= 0 && hex(eq[2]) >= 0) {
			buf_add_char(out, (char)(hex(eq[1]) << 4 |
			    hex(eq[2])));
			t->prev_cr = false;
			i += 3;
		} else {
			put_text(t, SPAN("="), out);
			i++;
		}
	}
	if (ends && !soft)
		buf_add_str(out, t->crlf || cr ? "\r\n" : "\n");
}

/* Where a long line may be cut: not in the middle of "=3D". */
static size_t
qp_cut(struct span s)
{
	for (size_t n = s.len - 3; n > s.len / 2; n--)
		if (s.p[n - 1] != '=' && s.p[n - 2] != '=')
			return n;
	return s.len - 3;
}

static void
qp(struct transfer *t, struct span in, struct buf *out)
{
	while (in.len > 0) {
		const char *nl = memchr(in.p, '\n', in.len);
		size_t n = nl != NULL ? (size_t)(nl - in.p) : in.len;
		struct span piece = span_sub(in, 0, n);

		in = span_from(in, n + (nl != NULL));
		if (nl != NULL && t->held.len == 0) {
			qp_line(t, piece, true, out);
			continue;
		}
		/* A line in pieces: held whole, or, when it is longer than
		 * any line should be, in pieces that end anywhere. */
		while (piece.len > 0) {
			size_t room = LINE_MAX - t->held.len;

			if (room == 0) {
				n = qp_cut(buf_span(&t->held));
				qp_line(t, span_sub(buf_span(&t->held), 0, n),
				    false, out);
				buf_consume(&t->held, n);
				continue;
			}
			n = MIN(piece.len, room);
			buf_add(&t->held, piece.p, n);
			piece = span_from(piece, n);
		}
		if (nl != NULL) {
			qp_line(t, buf_span(&t->held), true, out);
			buf_reset(&t->held);
		}
	}
}

void
transfer_write(struct transfer *t, struct span in, struct buf *out)
{
	switch (t->encoding) {
	case ENCODING_BASE64:
		base64(t, in, out);
		break;
	case ENCODING_QP:
		qp(t, in, out);
		break;
	case ENCODING_IDENTITY:
	case ENCODING_UNKNOWN:
		put_text(t, in, out);
		break;
	}
}

void
transfer_finish(struct transfer *t, struct buf *out)
{
	if (t->held.len == 0)
		return;
	if (t->encoding == ENCODING_QP) {
		/* The last line of a part has its end, too: it belongs to the
		 * boundary. */
		while (t->held.len > 0 && (t->held.data[t->held.len - 1] ==
		    ' ' || t->held.data[t->held.len - 1] == '\t'))
			buf_trunc(&t->held, t->held.len - 1);
		qp_line(t, buf_span(&t->held), false, out);
	}
	buf_reset(&t->held);
}
