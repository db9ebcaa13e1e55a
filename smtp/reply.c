/* SPDX-License-Identifier: ISC */
/*
 * reply - see reply.h; no I/O.
 */
#include "smtp/reply.h"

#include "base/mem.h"
#include "mail/dsn.h"

void
reply_init(struct reply *r)
{
	*r = (struct reply){ .text = BUF_INIT(REPLY_TEXT_MAX),
	    .filtered = BUF_INIT(REPLY_LINE_MAX) };
}

void
reply_fini(struct reply *r)
{
	buf_fini(&r->text);
	buf_fini(&r->filtered);
}

void
reply_reset(struct reply *r)
{
	r->code = 0;
	r->dsn[0] = '\0';
	r->bytes = r->lines = 0;
	buf_reset(&r->text);
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* "250-text", "250 text", "250"; -1 when it is none of them. */
static int
parse_line(struct span line, unsigned *code, bool *last, struct span *text)
{
	if (line.len < 3 || line.p[0] < '2' || line.p[0] > '5' ||
	    !is_digit(line.p[1]) || !is_digit(line.p[2]))
		return -1;
	if (line.len > 3 && line.p[3] != ' ' && line.p[3] != '-')
		return -1;
	*code = (unsigned)(line.p[0] - '0') * 100 +
	    (unsigned)(line.p[1] - '0') * 10 + (unsigned)(line.p[2] - '0');
	*last = line.len == 3 || line.p[3] == ' ';
	*text = span_from(line, 4);
	return 0;
}

/* RFC 2034 4: the class of the enhanced code is that of the reply. */
static void
take_dsn(struct reply *r, struct span text)
{
	struct span code;

	if (!span_token(&text, " \t", &code) || code.len >= sizeof(r->dsn) ||
	    !dsn_code_valid(code) || code.p[0] != (char)('0' + r->code / 100))
		return;
	memcpy(r->dsn, code.p, code.len);
	r->dsn[code.len] = '\0';
}

static void
keep(struct reply *r, struct span line)
{
	size_t room = r->text.max - r->text.len;

	if (r->lines > 0 && room > 0) {
		buf_add_char(&r->text, ' ');
		room--;
	}
	line = span_sub(line, 0, room);
	for (size_t i = 0; i < line.len; i++) {
		char c = line.p[i];

		buf_add_char(&r->text, (c >= 0 && c < 32) || c == 127 ? '?' :
		    c);
	}
}

/* Bounded, and what the administrator has made of it. */
static int
take_line(struct reply *r, struct span *line)
{
	int rc;

	if (line->len > REPLY_LINE_MAX || r->bytes > REPLY_BYTES_MAX)
		return -1;
	if (r->filter == NULL)
		return 0;
	buf_reset(&r->filtered);
	rc = r->filter(r->arg, *line, &r->filtered);
	if (rc > 0)
		*line = buf_span(&r->filtered);
	return rc < 0 ? -1 : 0;
}

enum reply_result
reply_feed(struct reply *r, struct span in, size_t *used)
{
	*used = 0;
	for (;;) {
		struct span rest = span_from(in, *used), line, text;
		ptrdiff_t lf = span_find(rest, '\n');
		unsigned code;
		bool last;

		if (lf < 0)
			return rest.len > REPLY_LINE_MAX ? REPLY_BAD :
			    REPLY_MORE;
		line = span_sub(rest, 0, (size_t)lf);
		*used += (size_t)lf + 1;
		r->bytes += (size_t)lf + 1;
		if (line.len > 0 && line.p[line.len - 1] == '\r')
			line.len--;
		if (take_line(r, &line) < 0 ||
		    parse_line(line, &code, &last, &text) < 0)
			return REPLY_BAD;
		r->code = code;
		keep(r, line);
		if (r->on_line != NULL)
			r->on_line(r->arg, r->lines, text);
		r->lines++;
		if (last) {
			r->dsn[0] = '\0';
			take_dsn(r, text);
			return REPLY_DONE;
		}
	}
}
