/* SPDX-License-Identifier: ISC */
/*
 * message - see message.h.  Here: bytes to a tree of parts.
 *
 * The parser goes over the lines once.  lines and bare count all line ends,
 * and those without CR, before the place where it stands; the size of a part
 * is the difference between the counts at its end and at its start, so that
 * nesting costs nothing.  Open parts lie on a stack: each is the child of the
 * one below.
 */
#include <string.h>

#include "base/eol.h"
#include "base/mem.h"
#include "mail/chars.h"
#include "mail/lex.h"
#include "mail/message.h"

struct open_part {
	struct message_part	*part;
	struct message_part	*last;		/* its last child so far */
	struct eol		 at_body;	/* counts where its body begins */
	struct span		 boundary;	/* p NULL: none (any more) */
};

struct parser {
	struct message		*m;
	const char		*p, *end;
	struct eol		 now;		/* counts at p */
	bool			 prev_bare;	/* the line end before p */
	size_t			 nopen, nbound;
	struct open_part	 open[MESSAGE_DEPTH_MAX + 2];
};

/* --- fields ------------------------------------------------------------------ */

/* The line at the start of s, with its end. */
static size_t
line_len(struct span s)
{
	const char *nl = s.len > 0 ? memchr(s.p, '\n', s.len) : NULL;

	return nl != NULL ? (size_t)(nl - s.p) + 1 : s.len;
}

static bool
is_blank(struct span line)
{
	return line.p[0] == '\n' ||
	    (line.len == 2 && line.p[0] == '\r' && line.p[1] == '\n');
}

bool
message_field_next(struct span *in, struct message_field *f)
{
	size_t end = line_len(*in), first = end, colon;
	const char *c;

	if (end == 0 || is_blank(span_sub(*in, 0, end)))
		return false;
	while (end < in->len && (in->p[end] == ' ' || in->p[end] == '\t'))
		end += line_len(span_from(*in, end));
	f->whole = span_sub(*in, 0, end);
	f->value = f->whole;
	if (f->value.len > 0 && f->value.p[f->value.len - 1] == '\n')
		f->value.len--;
	if (f->value.len > 0 && f->value.p[f->value.len - 1] == '\r')
		f->value.len--;
	c = memchr(in->p, ':', first);
	f->name = SPAN_EMPTY;
	if (c != NULL) {
		colon = (size_t)(c - in->p);
		f->value = span_from(f->value, colon + 1);
		while (colon > 0 && char_is_space(in->p[colon - 1]))
			colon--;
		f->name = span_sub(*in, 0, colon);
	}
	*in = span_from(*in, end);
	return true;
}

bool
message_field_find(const struct message_part *p, const char *name,
    struct message_field *f)
{
	struct span in = p->header;
	struct message_field g;

	while (message_field_next(&in, &g))
		if (span_caseis(g.name, name)) {
			*f = g;
			return true;
		}
	return false;
}

/* --- what a header says ------------------------------------------------------ */

static void
learn_encoding(struct message_part *p)
{
	struct span v = p->mime.encoding;
	struct lex l = lex_on(v);
	struct buf b = BUF_INIT(BUF_UNLIMITED);

	if (v.p == NULL)
		return;
	lex_skip(&l);
	(void)!lex_token(&l, &b);
	v = buf_span(&b);
	p->encoding = ENCODING_UNKNOWN;
	if (l.p < l.end && *l.p != ';')
		;			/* "8bit base64": what is it? */
	else if (span_caseis(v, "7bit") || span_caseis(v, "8bit") ||
	    span_caseis(v, "binary"))
		p->encoding = ENCODING_IDENTITY;
	else if (span_caseis(v, "quoted-printable"))
		p->encoding = ENCODING_QP;
	else if (span_caseis(v, "base64"))
		p->encoding = ENCODING_BASE64;
	buf_fini(&b);
}

/* A span of the arena for what was unquoted into b. */
static struct span
keep(struct parser *ps, struct buf *b)
{
	struct span s = { arena_span_dup(&ps->m->arena, buf_span(b)), b->len };

	buf_fini(b);
	return s;
}

static void
learn_type(struct parser *ps, struct message_part *p)
{
	struct lex l = lex_on(p->mime.type);
	struct buf type = BUF_INIT(BUF_UNLIMITED), sub = type;

	p->kind = MESSAGE_TEXT;
	if (p->mime.type.p == NULL) {
		/* RFC 2046 5.1.5 */
		if (p->parent != NULL &&
		    p->parent->kind == MESSAGE_MULTIPART &&
		    span_caseis(p->parent->subtype, "digest"))
			p->kind = MESSAGE_RFC822;
		return;
	}
	if (lex_content_type(&l, &type, &sub) == 0)
		p->params = span_make(l.p, (size_t)(l.end - l.p));
	p->type = keep(ps, &type);
	p->subtype = keep(ps, &sub);
	if (span_caseis(p->type, "text"))
		return;
	p->kind = MESSAGE_LEAF;
	if (span_caseis(p->type, "multipart"))
		p->kind = MESSAGE_MULTIPART;
	else if (span_caseis(p->type, "message") &&
	    (span_caseis(p->subtype, "rfc822") ||
	    span_caseis(p->subtype, "global")))	/* RFC 6532 3.7 */
		p->kind = MESSAGE_RFC822;
}

static void
learn_field(struct message_part *p, const struct message_field *f)
{
	static const struct { const char *name; size_t off; } fields[] = {
		{ "type", offsetof(struct message_mime, type) },
		{ "transfer-encoding", offsetof(struct message_mime,
		    encoding) },
		{ "id", offsetof(struct message_mime, id) },
		{ "description", offsetof(struct message_mime, description) },
		{ "disposition", offsetof(struct message_mime, disposition) },
		{ "md5", offsetof(struct message_mime, md5) },
		{ "language", offsetof(struct message_mime, language) },
		{ "location", offsetof(struct message_mime, location) },
	};
	struct span *v;
	bool poorer;

	if (f->name.len < 10 || (f->name.p[0] | 0x20) != 'c' ||
	    !span_casestarts(f->name, SPAN("content-")))
		return;
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		if (span_caseis(span_from(f->name, 8), fields[i].name)) {
			v = (void *)((char *)&p->mime + fields[i].off);
			/* Of several the first, but the file's name is not
			 * lost to a disposition without parameters. */
			poorer = v == &p->mime.disposition &&
			    span_find(*v, '=') < 0;
			if (v->p == NULL || poorer)
				*v = f->value;
			return;
		}
}

/* --- boundaries -------------------------------------------------------------- */

/*
 * The open part whose boundary the line is, or -1.  It is enough that the
 * boundary begins the line (RFC 2046 5.1.2); where several do, the longest
 * one, for "=_1" is a prefix of "=_10".
 */
static ptrdiff_t
find_boundary(const struct parser *ps, struct span line)
{
	ptrdiff_t best = -1;
	size_t len = 0;

	if (line.len < 2 || line.p[0] != '-' || line.p[1] != '-' ||
	    ps->nbound == 0 || ps->m->nparts >= MESSAGE_PARTS_MAX)
		return -1;
	line = span_from(line, 2);
	while (line.len > 0 && (line.p[line.len - 1] == '\n' ||
	    line.p[line.len - 1] == '\r'))
		line.len--;
	for (size_t i = ps->nopen; i-- > 0;) {
		struct span b = ps->open[i].boundary;
		bool dashes;

		if (b.p == NULL || b.len > line.len || memcmp(b.p, line.p,
		    b.len) != 0 || (best >= 0 && b.len <= len))
			continue;
		best = (ptrdiff_t)i;
		len = b.len;
		dashes = line.len == len + 2 && line.p[len] == '-' &&
		    line.p[len + 1] == '-';
		if (line.len == len || dashes)
			break;
	}
	return best;
}

/* p moves over the line of n bytes at p. */
static void
pass_line(struct parser *ps, size_t n)
{
	if (n > 0 && ps->p[n - 1] == '\n') {
		ps->now.lines++;
		ps->prev_bare = n < 2 || ps->p[n - 2] != '\r';
		ps->now.bare += ps->prev_bare;
	}
	ps->p += n;
}

/*
 * Parts on the stack above keep end at p; in front of a boundary, the line
 * end before it is the boundary's (RFC 2046 5.1.1).
 */
static void
close_parts(struct parser *ps, size_t keep_open, bool boundary)
{
	while (ps->nopen > keep_open) {
		struct open_part *o = &ps->open[--ps->nopen];
		struct message_part *p = o->part;
		struct eol end = ps->now;
		const char *e = ps->p;

		if (boundary && end.lines > o->at_body.lines) {
			end.lines--;
			end.bare -= ps->prev_bare;
			e -= ps->prev_bare ? 1 : 2;
		} else if (boundary && p->header.len > 0) {
			/* No body: it is the header that ends there. */
			e -= ps->prev_bare ? 1 : 2;
			p->header.len -= (size_t)(ps->p - e);
			p->header_crlf -= 2;
			p->body.p = e;
			/* An attached message without a byte. */
			for (struct message_part *c = p->child; c != NULL;
			    c = c->child)
				c->header.p = c->body.p = e;
		} else if (boundary) {
			/* Nothing at all: inside of what it is in. */
			e -= ps->prev_bare ? 1 : 2;
			p->header.p = p->body.p = e;
		}
		p->body.len = (size_t)(e - p->body.p);
		p->body_lines = (uint32_t)(end.lines - o->at_body.lines);
		p->body_crlf = p->body.len + end.bare - o->at_body.bare;
		if (o->boundary.p != NULL)
			ps->nbound--;
	}
}

/* --- parts ------------------------------------------------------------------- */

static struct message_part *
new_part(struct parser *ps)
{
	struct message_part *p = arena_zalloc(&ps->m->arena, sizeof(*p));
	struct open_part *o;

	if (ps->nopen > 0) {
		o = &ps->open[ps->nopen - 1];
		p->parent = o->part;
		p->depth = (uint16_t)(o->part->depth + 1);
		if (o->last != NULL)
			o->last->next = p;
		else
			o->part->child = p;
		o->last = p;
	}
	ps->m->nparts++;
	ps->open[ps->nopen++] = (struct open_part){ .part = p };
	return p;
}

/* The boundary that a multipart announces; p NULL when there is none. */
static struct span
boundary_of(struct parser *ps, const struct message_part *p)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	struct span s = SPAN_EMPTY;

	if (p->params.p != NULL &&
	    lex_find_param(p->params, "boundary", &b)) {
		while (b.len > 0 && char_is_space(b.data[b.len - 1]))
			buf_trunc(&b, b.len - 1);
		if (b.len > MESSAGE_BOUNDARY_MAX)
			buf_trunc(&b, MESSAGE_BOUNDARY_MAX);
		s = keep(ps, &b);
	} else
		buf_fini(&b);
	return s;
}

/*
 * Read the header of the newest part.  A boundary of an enclosing part ends
 * it, too.
 */
static void
parse_header(struct parser *ps, struct message_part *p)
{
	struct eol start = ps->now;
	const char *begin = ps->p;
	struct message_field f;
	struct span in;
	bool blank = false, is_mime = false;
	size_t n;

	while (ps->p < ps->end && !blank) {
		struct span line = { ps->p, (size_t)(ps->end - ps->p) };

		n = line_len(line);
		line.len = n;
		if (find_boundary(ps, line) >= 0)
			break;
		blank = is_blank(line);
		pass_line(ps, n);
	}
	p->header = span_make(begin, (size_t)(ps->p - begin));
	p->header_crlf = p->header.len + ps->now.bare - start.bare;
	p->body.p = ps->p;
	in = p->header;
	while (message_field_next(&in, &f)) {
		learn_field(p, &f);
		is_mime |= span_caseis(f.name, "MIME-Version");
	}
	learn_type(ps, p);
	learn_encoding(p);
	/* RFC 2045 4: what does not say that it is MIME has no MIME to show;
	 * saying Content-Type is enough. */
	if (!is_mime && p->mime.type.p == NULL && (p->parent == NULL ||
	    p->parent->kind == MESSAGE_RFC822))
		memset(&p->mime, 0, sizeof(p->mime));
}

/* A limit is reached: what this part has in it is not looked at. */
static void
make_opaque(struct parser *ps, struct open_part *o)
{
	struct message_part *p = o->part;

	ps->m->cut = true;
	o->boundary = SPAN_EMPTY;
	p->kind = MESSAGE_LEAF;
	p->type = SPAN("application");
	p->subtype = SPAN("octet-stream");
}

/* A part and, where it begins with attached messages, these in it. */
static void
begin_part(struct parser *ps)
{
	for (;;) {
		struct message_part *p = new_part(ps);
		struct open_part *o = &ps->open[ps->nopen - 1];
		bool room;

		parse_header(ps, p);
		o->at_body = ps->now;
		room = ps->nopen < MESSAGE_DEPTH_MAX &&
		    ps->m->nparts < MESSAGE_PARTS_MAX;
		if (p->kind == MESSAGE_MULTIPART) {
			o->boundary = boundary_of(ps, p);
			if (!room)
				make_opaque(ps, o);
			ps->nbound += o->boundary.p != NULL;
			return;
		}
		if (p->kind != MESSAGE_RFC822)
			return;
		if (!room) {
			make_opaque(ps, o);
			return;
		}
	}
}

static void
cross_boundary(struct parser *ps, size_t level, struct span line)
{
	struct open_part *o = &ps->open[level];
	struct span rest = span_from(line, o->boundary.len + 2);

	close_parts(ps, level + 1, true);
	if (span_starts(rest, SPAN("--"))) {
		o->boundary = SPAN_EMPTY;	/* what follows is epilogue */
		ps->nbound--;
		pass_line(ps, line.len);
	} else {
		pass_line(ps, line.len);
		/* "--x" as the very last bytes begins nothing. */
		if (line.p[line.len - 1] == '\n')
			begin_part(ps);
	}
}

/* Over lines that cannot be boundaries. */
static void
pass_body(struct parser *ps)
{
	const char *p = ps->p, *nl;
	bool mixed = ps->nbound > 0;

	if (mixed && *p == '-')
		return;
	ps->p = eol_pass(p, ps->end, '\n', mixed ? '-' : EOL_NO_STOP,
	    &ps->now);
	nl = memrchr(p, '\n', (size_t)(ps->p - p));
	if (nl != NULL)
		ps->prev_bare = nl == p || nl[-1] != '\r';
}

static void
parse_all(struct parser *ps)
{
	begin_part(ps);
	ps->m->root = ps->open[0].part;
	while (ps->p < ps->end) {
		struct span line;
		ptrdiff_t level;

		pass_body(ps);
		if (ps->p == ps->end)
			break;
		line = span_make(ps->p, (size_t)(ps->end - ps->p));
		line.len = line_len(line);
		level = find_boundary(ps, line);
		if (level >= 0)
			cross_boundary(ps, (size_t)level, line);
		else
			pass_line(ps, line.len);
	}
	close_parts(ps, 0, false);
}

/* Not all of ps: the stack is large, and its top says what is set. */
static void
init(struct parser *ps, struct message *m, struct span bytes)
{
	if (bytes.p == NULL)
		bytes = SPAN("");
	*m = (struct message){ .bytes = bytes, .arena = ARENA_INIT };
	ps->m = m;
	ps->p = bytes.p;
	ps->end = bytes.p + bytes.len;
	ps->now = (struct eol){ 0, 0 };
	ps->prev_bare = false;
	ps->nopen = ps->nbound = 0;
}

void
message_parse(struct message *m, struct span bytes)
{
	struct parser ps;

	init(&ps, m, bytes);
	parse_all(&ps);
	m->crlf_size = bytes.len + ps.now.bare;
	m->is_crlf = ps.now.bare == 0;
	m->cut |= m->nparts >= MESSAGE_PARTS_MAX;
}

void
message_parse_header(struct message *m, struct span bytes)
{
	struct parser ps;

	init(&ps, m, bytes);
	m->root = new_part(&ps);
	parse_header(&ps, m->root);
	m->root->body.len = (size_t)(ps.end - ps.p);
}

void
message_fini(struct message *m)
{
	arena_fini(&m->arena);
	m->root = NULL;
}

const struct message_part *
message_part_next(const struct message_part *p, bool into_messages)
{
	if (p->child != NULL && (into_messages || p->kind != MESSAGE_RFC822))
		return p->child;
	while (p != NULL && p->next == NULL)
		p = p->parent;
	return p != NULL ? p->next : NULL;
}
