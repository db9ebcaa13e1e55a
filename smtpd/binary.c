/* SPDX-License-Identifier: ISC */
/*
 * binary - see binary.h.
 */
#include "base/mem.h"
#include "conf/params.h"
#include "mail/mime.h"
#include "smtpd/binary.h"

#define GROUP		3		/* bytes that become four characters */
#define LINE_GROUPS	19		/* RFC 2045 6.8: 76 characters */

struct binary {
	struct mime	*mime;
	struct buf	*out;
	bool		 said_encoding;	/* this section has the header field */
	bool		 coding;	/* in a part that becomes base64 */
	bool		 carried_cr;	/* text: the last byte was CR */
	bool		 at_start;	/* nothing was written since a LF */
	/* base64 */
	unsigned char	 group[GROUP];
	unsigned	 ngroup, ngroups;
	/* The line end before a boundary belongs to the boundary. */
	bool		 held_cr, held_lf;
};

/* --- text ------------------------------------------------------------------------ */

static void
put_text(struct binary *b, struct span s)
{
	if (s.len == 0)
		return;
	b->at_start = s.p[s.len - 1] == '\n';
	if (b->carried_cr && s.p[0] != '\n')
		buf_add_char(b->out, '\r');
	b->carried_cr = false;
	while (s.len > 0) {
		const char *cr = memchr(s.p, '\r', s.len);
		size_t n = cr == NULL ? s.len : (size_t)(cr - s.p);

		buf_add(b->out, s.p, n);
		s = span_from(s, n);
		if (s.len == 1) {
			b->carried_cr = true;
			return;
		}
		if (s.len > 1) {
			if (s.p[1] != '\n')
				buf_add_char(b->out, '\r');
			s = span_from(s, 1);
		}
	}
}

static void
end_text(struct binary *b)
{
	if (b->carried_cr)
		buf_add_char(b->out, '\r');
	b->carried_cr = false;
}

/* --- base64 ----------------------------------------------------------------------- */

static void
put_group(struct binary *b)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *g = b->group;
	char four[4] = {
		digits[g[0] >> 2], digits[(g[0] & 3) << 4 | g[1] >> 4],
		digits[(g[1] & 15) << 2 | g[2] >> 6], digits[g[2] & 63]
	};

	if (b->ngroup < 3)
		four[3] = '=';
	if (b->ngroup < 2)
		four[2] = '=';
	buf_add(b->out, four, sizeof(four));
	b->ngroup = 0;
	if (++b->ngroups == LINE_GROUPS) {
		buf_add_char(b->out, '\n');
		b->ngroups = 0;
	}
}

static void
code(struct binary *b, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		b->group[b->ngroup++] = (unsigned char)p[i];
		if (b->ngroup == GROUP)
			put_group(b);
	}
}

static void
put_binary(struct binary *b, struct span s)
{
	size_t tail = 0;

	if (s.len == 0)
		return;
	/* What was held is content after all, but for a CR whose LF comes
	 * now. */
	if (b->held_lf || (b->held_cr && s.p[0] != '\n')) {
		code(b, "\r\n", b->held_lf ? 2 : 1);
		b->held_cr = b->held_lf = false;
	}
	if (b->held_cr) {
		b->held_lf = s.len == 1;
		if (b->held_lf)
			return;
		code(b, "\r", 1);
		b->held_cr = false;
	}
	if (s.len >= 2 && s.p[s.len - 2] == '\r' && s.p[s.len - 1] == '\n') {
		b->held_cr = b->held_lf = true;
		tail = 2;
	} else if (s.p[s.len - 1] == '\r') {
		b->held_cr = true;
		tail = 1;
	}
	code(b, s.p, s.len - tail);
}

/* The part is over; with boundary its last line end goes to that. */
static void
end_binary(struct binary *b, bool boundary)
{
	if (!boundary || (b->held_cr && !b->held_lf))
		code(b, "\r\n", b->held_lf ? 2 : b->held_cr ? 1 : 0);
	b->held_cr = b->held_lf = false;
	if (b->ngroup > 0) {
		memset(b->group + b->ngroup, 0, GROUP - b->ngroup);
		put_group(b);
	}
	if (b->ngroups > 0)
		buf_add_char(b->out, '\n');
	b->ngroups = 0;
	b->coding = false;
	b->at_start = true;
}

/* --- the message's structure --------------------------------------------------------- */

static void
on_header(void *arg, enum mime_section s, const struct header_field *f)
{
	struct binary *b = arg;

	if (span_caseis(f->name, "Content-Transfer-Encoding")) {
		struct span v = span_trim(f->value);

		/* Said again below, when the type is known. */
		if (span_casestarts(v, SPAN("binary"))) {
			b->said_encoding = true;
			return;
		}
	}
	put_text(b, f->whole);
}

static void
on_header_end(void *arg, enum mime_section s, bool blank)
{
	struct binary *b = arg;
	bool binary, leaf = mime_in_leaf(b->mime, &binary);

	end_text(b);
	if (b->said_encoding) {
		if (!b->at_start)
			buf_add_char(b->out, '\n');
		buf_add_str(b->out, leaf && binary ?
		    "Content-Transfer-Encoding: base64\n" :
		    "Content-Transfer-Encoding: 8bit\n");
		b->at_start = true;
	}
	if (blank || (b->said_encoding && leaf && binary)) {
		buf_add_char(b->out, '\n');
		b->at_start = true;
	}
	b->coding = b->said_encoding && leaf && binary;
	b->said_encoding = false;
}

static void
on_body(void *arg, struct span bytes, bool line_start)
{
	struct binary *b = arg;

	if (b->coding && !mime_at_boundary(b->mime)) {
		put_binary(b, bytes);
		return;
	}
	if (b->coding)
		end_binary(b, true);
	put_text(b, bytes);
}

static const struct mime_ops ops = {
	.header = on_header,
	.header_end = on_header_end,
	.body = on_body,
};

struct binary *
binary_new(struct buf *out)
{
	const struct mime_options o = {
		.structure = true,
		.header_max = (size_t)conf.header_size_limit,
		.line_max = (size_t)conf.line_length_limit,
		.boundary_max = (size_t)conf.mime_boundary_length_limit,
		.nesting_max = (size_t)conf.mime_nesting_limit,
	};
	struct binary *b = mem_zalloc(sizeof(*b));

	b->out = out;
	b->at_start = true;
	b->mime = mime_new(&o, &ops, b);
	return b;
}

void
binary_free(struct binary **bp)
{
	struct binary *b = *bp;

	*bp = NULL;
	if (b == NULL)
		return;
	mime_free(&b->mime);
	mem_free(b);
}

void
binary_write(struct binary *b, struct span in)
{
	mime_write(b->mime, in);
}

void
binary_finish(struct binary *b)
{
	mime_finish(b->mime);
	if (b->coding)
		end_binary(b, false);
	end_text(b);
}
