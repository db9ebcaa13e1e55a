/* SPDX-License-Identifier: ISC */
/*
 * downgrade - see downgrade.h.
 */
#include "smtp/downgrade.h"

#include "base/mem.h"
#include "conf/params.h"
#include "mail/mime.h"

#define COLUMNS		76	/* RFC 2045 6.7 (5) */
#define HEADER_MAX	(1u << 20) /* bytes of one field; cleanup allows less */
#define LINE_PIECE	4096	/* bytes of a line looked at at a time */

struct downgrade {
	struct mime	*mime;
	struct buf	*out;
	bool		 eight_bit;	/* this section's header says so */
	bool		 coding;	/* in a part that becomes quoted-printable */
	unsigned	 column;
	char		 held;		/* a space or tab: is it the last of its
					 * line?  '\0' none */
};

/* --- quoted-printable (RFC 2045 6.7) ------------------------------------------------ */

static void
put_coded(struct downgrade *d, const char *text, unsigned n)
{
	if (d->column + n > COLUMNS - 1) {
		buf_add_str(d->out, "=\n");
		d->column = 0;
	}
	buf_add(d->out, text, n);
	d->column += n;
}

static void
put_escaped(struct downgrade *d, char c)
{
	static const char hex[] = "0123456789ABCDEF";
	char t[3] = { '=', hex[(uint8_t)c >> 4], hex[(uint8_t)c & 15] };

	put_coded(d, t, sizeof(t));
}

static void
put_held(struct downgrade *d, bool at_end)
{
	if (d->held == '\0')
		return;
	if (at_end)
		put_escaped(d, d->held);
	else
		put_coded(d, &d->held, 1);
	d->held = '\0';
}

static void
code(struct downgrade *d, struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];

		if (c == '\n') {
			put_held(d, true);
			buf_add_char(d->out, '\n');
			d->column = 0;
			continue;
		}
		put_held(d, false);
		if (c == ' ' || c == '\t')
			d->held = c;
		else if (c > 32 && c < 127 && c != '=')
			put_coded(d, &c, 1);
		else
			put_escaped(d, c);
	}
}

static void
end_coding(struct downgrade *d)
{
	if (d->coding)
		put_held(d, true);
	d->coding = false;
	d->column = 0;
}

/* --- the structure ------------------------------------------------------------------- */

static bool
is_eight_bit(const struct header_field *f)
{
	struct span v = span_trim(f->value), word;

	return span_caseis(f->name, "Content-Transfer-Encoding") &&
	    span_token(&v, " \t;(", &word) &&
	    (span_caseis(word, "8bit") || span_caseis(word, "binary"));
}

static void
on_header(void *arg, enum mime_section s, const struct header_field *f)
{
	struct downgrade *d = arg;

	end_coding(d);
	if (is_eight_bit(f))
		d->eight_bit = true;	/* said anew at the end */
	else
		buf_add_span(d->out, f->whole);
}

static void
on_header_end(void *arg, enum mime_section s, bool blank)
{
	struct downgrade *d = arg;
	bool binary, said = d->eight_bit;

	end_coding(d);
	if (said) {
		d->coding = mime_in_leaf(d->mime, &binary);
		buf_add_str(d->out, "Content-Transfer-Encoding: ");
		buf_add_str(d->out, d->coding ? "quoted-printable\n" :
		    "7bit\n");
	}
	d->eight_bit = false;
	/* A body that began without one gets a blank line behind our own
	 * header field. */
	if (blank || said)
		buf_add_char(d->out, '\n');
}

static void
on_body(void *arg, struct span bytes, bool line_start)
{
	struct downgrade *d = arg;

	if (mime_at_boundary(d->mime))
		end_coding(d);
	if (d->coding)
		code(d, bytes);
	else
		buf_add_span(d->out, bytes);
}

struct downgrade *
downgrade_new(struct buf *out)
{
	static const struct mime_ops ops = { on_header, on_header_end,
	    on_body };
	struct mime_options o = {
		.structure = true, .lines = true,
		.header_max = HEADER_MAX,
		.line_max = LINE_PIECE,
		.boundary_max = (size_t)conf.mime_boundary_length_limit,
		.nesting_max = (size_t)conf.mime_nesting_limit,
	};
	struct downgrade *d = mem_zalloc(sizeof(*d));

	d->out = out;
	d->mime = mime_new(&o, &ops, d);
	return d;
}

void
downgrade_free(struct downgrade **dp)
{
	struct downgrade *d = *dp;

	*dp = NULL;
	if (d == NULL)
		return;
	mime_free(&d->mime);
	mem_free(d);
}

void
downgrade_write(struct downgrade *d, struct span in)
{
	mime_write(d->mime, in);
}

void
downgrade_finish(struct downgrade *d)
{
	mime_finish(d->mime);
	end_coding(d);
}
