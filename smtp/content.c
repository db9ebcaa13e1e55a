/* SPDX-License-Identifier: ISC */
/*
 * content - see content.h.  Reading a file that is in memory anyway, and
 * bytes; nothing waits.
 */
#include "smtp/content.h"

#include "base/mem.h"
#include "conf/params.h"
#include "io/fd.h"
#include "smtp/downgrade.h"

#define PIECE	(32u * 1024)	/* bytes read at a time */

struct content {
	int		 fd;
	uint64_t	 at, end;
	size_t		 line_limit;
	size_t		 column;	/* bytes of the line so far */
	bool		 dots;
	struct alter	*alter;
	struct buf	 altered;	/* from alter, LF lines */
	struct downgrade *downgrade;
	struct buf	 lines;		/* from downgrade, LF lines */
	bool		 finished;
	char		 piece[PIECE];
};

/* --- a look at all of it --------------------------------------------------------- */

static bool
has_high_bit(const char *p, size_t n)
{
	uint64_t all = 0, w;

	for (; n >= sizeof(w); p += sizeof(w), n -= sizeof(w)) {
		memcpy(&w, p, sizeof(w));
		all |= w;
	}
	for (; n > 0; p++, n--)
		all |= (uint8_t)*p;
	return (all & 0x8080808080808080u) != 0;
}

static uint64_t
count_lf(struct span s)
{
	uint64_t n = 0;

	for (size_t i = 0; i < s.len; i++)
		n += s.p[i] == '\n';
	return n;
}

/* Where the blank line is that ends the header; s.len when it is not here. */
static size_t
header_end(struct span s, char *before)
{
	char last = *before;

	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] == '\n' && last == '\n')
			return i;
		last = s.p[i];
	}
	*before = last;
	return s.len;
}

int
content_look(int fd, uint64_t offset, uint64_t len, struct content_facts *out,
    struct why *why)
{
	char *piece = mem_alloc(PIECE);
	char before = '\n';
	bool header = true;

	*out = (struct content_facts){ .size = 0 };
	for (uint64_t at = 0; at < len;) {
		size_t n = (size_t)MIN(len - at, PIECE);
		struct span s = span_make(piece, n), h = SPAN_EMPTY;

		if (fd_pread_all(fd, piece, n, (off_t)(offset + at)) < 0) {
			why_errno(why, "4.3.0", "cannot read the message");
			mem_free(piece);
			return -1;
		}
		out->size += n + count_lf(s);
		if (header) {
			size_t end = header_end(s, &before);

			header = end == s.len;
			h = span_sub(s, 0, end);
			s = span_from(s, end);
		}
		out->eight_bit_header |= has_high_bit(h.p, h.len);
		out->eight_bit_body |= has_high_bit(s.p, s.len);
		at += n;
	}
	mem_free(piece);
	return 0;
}

/* --- on its way --------------------------------------------------------------------- */

struct content *
content_new(int fd, uint64_t offset, uint64_t len, size_t line_limit,
    unsigned flags)
{
	struct content *c = mem_alloc(sizeof(*c));

	c->fd = fd;
	c->at = offset;
	c->end = offset + len;
	c->line_limit = line_limit;
	c->column = 0;
	c->dots = (flags & CONTENT_DOTS) != 0;
	c->finished = false;
	c->alter = NULL;
	c->altered = BUF_INIT(BUF_UNLIMITED);
	c->lines = BUF_INIT(BUF_UNLIMITED);
	c->downgrade = (flags & CONTENT_DOWNGRADE) != 0 ?
	    downgrade_new(&c->lines) : NULL;
	return c;
}

void
content_free(struct content **cp)
{
	struct content *c = *cp;

	*cp = NULL;
	if (c == NULL)
		return;
	alter_free(&c->alter);
	buf_fini(&c->altered);
	downgrade_free(&c->downgrade);
	buf_fini(&c->lines);
	mem_free(c);
}

void
content_alter(struct content *c, const struct alter_checks *checks,
    const struct generic *g, struct span queue_id)
{
	c->alter = alter_new(checks, g, queue_id, &c->altered);
}

/* A piece of a line, without its end, cut where the line gets too long. */
static void
put_piece(struct content *c, struct span s, struct buf *out)
{
	if (s.len == 0)
		return;
	if (c->dots && c->column == 0 && s.p[0] == '.')
		buf_add_char(out, '.');	/* RFC 5321 4.5.2 */
	while (c->line_limit > 0 && c->column + s.len > c->line_limit) {
		size_t n = c->line_limit - c->column;

		buf_add_span(out, span_sub(s, 0, n));
		buf_add_str(out, "\r\n ");
		c->column = 1;
		s = span_from(s, n);
	}
	buf_add_span(out, s);
	c->column += s.len;
}

static void
put_lines(struct content *c, struct span s, struct buf *out)
{
	while (s.len > 0) {
		const char *lf = memchr(s.p, '\n', s.len);
		size_t n = lf == NULL ? s.len : (size_t)(lf - s.p);

		put_piece(c, span_sub(s, 0, n), out);
		s = span_from(s, n);
		if (lf == NULL)
			return;
		buf_add(out, "\r\n", 2);
		c->column = 0;
		s = span_from(s, 1);
	}
}

int
content_next(struct content *c, struct buf *out, struct why *why)
{
	size_t n = (size_t)MIN(c->end - c->at, PIECE);
	struct span s = span_make(c->piece, n);

	if (c->finished)
		return 0;
	if (n > 0 && fd_pread_all(c->fd, c->piece, n, (off_t)c->at) < 0)
		return why_errno(why, "4.3.0", "cannot read the message");
	c->at += n;
	if (c->alter != NULL) {
		buf_reset(&c->altered);
		alter_write(c->alter, s);
		if (n == 0)
			alter_finish(c->alter);
		if (alter_check(c->alter, why) < 0)
			return -1;
		s = buf_span(&c->altered);
	}
	if (c->downgrade != NULL) {
		buf_reset(&c->lines);
		downgrade_write(c->downgrade, s);
		if (n == 0)
			downgrade_finish(c->downgrade);
		s = buf_span(&c->lines);
	}
	put_lines(c, s, out);
	if (n > 0 && c->at < c->end)
		return 1;
	if (n > 0 && (c->alter != NULL || c->downgrade != NULL))
		return 1;		/* it has to be finished */
	c->finished = true;
	if (c->column > 0)
		buf_add(out, "\r\n", 2);
	return 0;
}
