/* SPDX-License-Identifier: ISC */
/*
 * send - a message's bytes as RETR and TOP send them.
 *
 * Messages are stored with LF or CRLF.  Each LF that has no CR in front gets
 * one; a CR alone stays what it is, as in the size that the store computes.
 */
#include "base/buf.h"
#include "pop3d/pop3.h"

void
send_begin(struct sending *s, bool top, uint32_t lines)
{
	s->rest = s->content.bytes;
	s->at_start = true;
	s->in_body = false;
	s->top = top;
	s->lines = lines;
	s->active = true;
}

void
send_end(struct sending *s)
{
	if (s->active)
		mailbox_content_done(&s->content);
	s->active = false;
	s->rest = SPAN_EMPTY;
}

/* One line, or, without its end, what there is of it. */
static void
put_line(struct sending *s, struct buf *out, size_t len, bool ends)
{
	const char *p = s->rest.p;
	/* At most: a dot, the bytes, CRLF. */
	char *to = buf_reserve(out, len + 3);
	size_t n = 0;

	if (s->at_start && p[0] == '.')
		to[n++] = '.';
	memcpy(to + n, p, len);
	n += len;
	if (ends) {
		if (len == 0 || p[len - 1] != '\r')
			to[n++] = '\r';
		to[n++] = '\n';
	}
	buf_commit(out, n);
	s->at_start = ends;
	s->rest = span_from(s->rest, len + ends);
}

/* The line at p is empty: it ends the header. */
static bool
is_empty(const char *p, size_t len)
{
	return len == 0 || (len == 1 && p[0] == '\r');
}

bool
send_some(struct sending *s, struct buf *out, size_t max)
{
	size_t before = out->len;

	while (s->rest.len > 0 && out->len - before < max) {
		size_t room = max - (out->len - before), len;
		const char *lf = memchr(s->rest.p, '\n', s->rest.len);
		bool begins = s->at_start;

		len = lf != NULL ? (size_t)(lf - s->rest.p) : s->rest.len;
		if (s->top && s->in_body && begins && s->lines-- == 0) {
			s->rest = SPAN_EMPTY;
			break;
		}
		if (len > room + 1) {
			/* A piece of a very long line; a CR at its end is
			 * followed by something else than LF, or by more. */
			put_line(s, out, room, false);
			break;
		}
		if (!s->in_body && begins && is_empty(s->rest.p, len))
			s->in_body = true;
		put_line(s, out, len, lf != NULL);
	}
	if (s->rest.len > 0)
		return true;
	buf_add_str(out, s->at_start ? ".\r\n" : "\r\n.\r\n");
	return false;
}
