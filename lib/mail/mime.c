/* SPDX-License-Identifier: ISC */
/*
 * mime - see mime.h.
 *
 * The parser is at the start of a line, or (mid) inside one whose fate is
 * decided.  A line whose end has not come yet is gathered in m->line until
 * it can be told what it is: a header field, a boundary, or neither; a line
 * that is longer than line_max is decided by its first line_max bytes.
 */
#include "base/array.h"
#include "base/mem.h"
#include "mail/chars.h"
#include "mail/mime.h"

enum entity_type { ENTITY_LEAF, ENTITY_MULTIPART, ENTITY_MESSAGE };
enum entity_encoding { ENC_7BIT, ENC_8BIT, ENC_BINARY, ENC_CODED };

/* An enclosing multipart (with a boundary) or attached message (without). */
struct level {
	char			*boundary;
	size_t			 len;
	bool			 digest;	/* parts are messages */
};

struct mime {
	struct mime_options	 o;
	const struct mime_ops	*ops;
	void			*arg;
	bool			 in_header;
	enum mime_section	 section;
	enum { MID_NONE, MID_HEADER, MID_BODY } mid;
	unsigned		 flags;
	struct buf		 line;		/* the start of a line */
	struct buf		 field;		/* a header field under way */
	bool			 field_cut;
	bool			 at_boundary;	/* the line being shown */
	/* What the present header section has said of its entity. */
	enum entity_type	 type;
	enum entity_encoding	 encoding;
	bool			 digest;
	struct buf		 boundary;
	ARRAY(struct level)	 levels;
	size_t			 nbound;	/* levels with a boundary */
};

static void
begin_section(struct mime *m, enum mime_section s)
{
	m->in_header = true;
	m->section = s;
	m->type = ENTITY_LEAF;
	m->encoding = ENC_7BIT;
	m->digest = false;
	buf_reset(&m->boundary);
	/* RFC 2046 5.1.5: in a digest the default is message/rfc822. */
	if (s == MIME_PART && m->levels.len > 0 &&
	    m->levels.v[m->levels.len - 1].digest)
		m->type = ENTITY_MESSAGE;
}

struct mime *
mime_new(const struct mime_options *o, const struct mime_ops *ops, void *arg)
{
	struct mime *m = mem_zalloc(sizeof(*m));

	m->o = *o;
	m->o.line_max = MAX(o->line_max, 80);
	m->o.header_max = MAX(o->header_max, 80);
	/* A boundary and its dashes must fit in the line that decides. */
	m->o.boundary_max = MIN(o->boundary_max, m->o.line_max - 8);
	m->ops = ops;
	m->arg = arg;
	m->line = BUF_INIT(m->o.line_max);
	m->field = BUF_INIT(m->o.header_max + 2);
	m->boundary = BUF_INIT(m->o.boundary_max);
	begin_section(m, MIME_PRIMARY);
	return m;
}

static void
drop_levels(struct mime *m, size_t keep)
{
	while (m->levels.len > keep) {
		struct level *l = &m->levels.v[--m->levels.len];

		if (l->boundary != NULL)
			m->nbound--;
		mem_free(l->boundary);
	}
}

void
mime_free(struct mime **mp)
{
	struct mime *m = *mp;

	*mp = NULL;
	if (m == NULL)
		return;
	drop_levels(m, 0);
	ARRAY_FINI(&m->levels);
	buf_fini(&m->line);
	buf_fini(&m->field);
	buf_fini(&m->boundary);
	mem_free(m);
}

unsigned
mime_flags(const struct mime *m)
{
	return m->flags;
}

bool
mime_in_header(const struct mime *m, enum mime_section *s)
{
	if (m->in_header && s != NULL)
		*s = m->section;
	return m->in_header;
}

bool
mime_at_boundary(const struct mime *m)
{
	return m->at_boundary;
}

bool
mime_in_leaf(const struct mime *m, bool *binary)
{
	*binary = m->encoding == ENC_BINARY;
	return m->type == ENTITY_LEAF;
}

static bool
has_8bit(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.p[i] >= 0x80)
			return true;
	return false;
}

/* --- values ------------------------------------------------------------------ */

/* White space and comments; -1 does not happen: an open comment runs on. */
static void
skip_cfws(struct span *s)
{
	size_t depth = 0, i = 0;

	for (; i < s->len; i++) {
		char c = s->p[i];

		if (depth > 0 && c == '\\')
			i++;
		else if (c == '(')
			depth++;
		else if (depth > 0 && c == ')')
			depth--;
		else if (depth == 0 && !char_is_space(c))
			break;
	}
	*s = span_from(*s, MIN(i, s->len));
}

/* RFC 2045 5.1 token: no space, control or tspecial; 8-bit is let through. */
static struct span
take_token(struct span *s)
{
	size_t n = 0;
	struct span t;

	while (n < s->len && (unsigned char)s->p[n] > ' ' &&
	    s->p[n] != 0x7f && strchr("()<>@,;:\\\"/[]?=", s->p[n]) == NULL)
		n++;
	t = span_sub(*s, 0, n);
	*s = span_from(*s, n);
	return t;
}

static bool
take_char(struct span *s, char c)
{
	if (s->len == 0 || s->p[0] != c)
		return false;
	*s = span_from(*s, 1);
	return true;
}

int
mime_type_parse(struct span value, struct span *type, struct span *subtype,
    struct span *params)
{
	struct span t, st;

	skip_cfws(&value);
	t = take_token(&value);
	skip_cfws(&value);
	if (t.len == 0 || !take_char(&value, '/'))
		return -1;
	skip_cfws(&value);
	st = take_token(&value);
	if (st.len == 0)
		return -1;
	*type = t;
	*subtype = st;
	*params = value;
	return 0;
}

/*
 * The value of a parameter.  A quoted string ends at its quote; anything else
 * runs to the next space or ';', though the grammar has only tokens there:
 * boundaries with '=' or '/' and without quotes are common.  What does not
 * fit in out is cut off.
 */
static void
take_value(struct span *s, struct buf *out)
{
	size_t i;

	if (take_char(s, '"')) {
		for (i = 0; i < s->len && s->p[i] != '"'; i++) {
			if (s->p[i] == '\\' && i + 1 < s->len)
				i++;
			else if (s->p[i] == '\n' || s->p[i] == '\r')
				continue;
			if (out != NULL && out->len < out->max)
				buf_add_char(out, s->p[i]);
		}
		*s = span_from(*s, i + 1);
		return;
	}
	for (i = 0; i < s->len && !char_is_space(s->p[i]) && s->p[i] != ';' &&
	    s->p[i] != '('; i++)
		if (out != NULL && out->len < out->max)
			buf_add_char(out, s->p[i]);
	*s = span_from(*s, i);
}

bool
mime_param(struct span params, const char *name, struct buf *out)
{
	while (params.len > 0) {
		struct span attr;

		/* To the next parameter; noise before it is skipped. */
		skip_cfws(&params);
		if (!take_char(&params, ';')) {
			if (params.len > 0 && params.p[0] == '"')
				take_value(&params, NULL);
			else
				params = span_from(params, 1);
			continue;
		}
		skip_cfws(&params);
		attr = take_token(&params);
		skip_cfws(&params);
		if (attr.len == 0 || !take_char(&params, '='))
			continue;
		skip_cfws(&params);
		if (span_caseis(attr, name)) {
			take_value(&params, out);
			return true;
		}
		take_value(&params, NULL);
	}
	return false;
}

/* --- header sections ----------------------------------------------------------- */

static void
learn_type(struct mime *m, struct span value)
{
	struct span type, sub, params;

	m->type = ENTITY_LEAF;
	m->digest = false;
	buf_reset(&m->boundary);
	if (mime_type_parse(value, &type, &sub, &params) < 0)
		return;
	if (span_caseis(type, "multipart")) {
		if (mime_param(params, "boundary", &m->boundary) &&
		    m->boundary.len > 0) {
			m->type = ENTITY_MULTIPART;
			m->digest = span_caseis(sub, "digest");
		}
	} else if (span_caseis(type, "message") &&
	    (span_caseis(sub, "rfc822") || span_caseis(sub, "global")))
		m->type = ENTITY_MESSAGE;
}

static void
learn_encoding(struct mime *m, struct span value)
{
	struct span token;

	skip_cfws(&value);
	token = take_token(&value);
	if (span_caseis(token, "8bit"))
		m->encoding = ENC_8BIT;
	else if (span_caseis(token, "binary"))
		m->encoding = ENC_BINARY;
	else if (token.len == 0 || span_caseis(token, "7bit"))
		m->encoding = ENC_7BIT;
	else
		m->encoding = ENC_CODED;
}

static void
put_field(struct mime *m, struct span s)
{
	size_t room = m->o.header_max - MIN(m->field.len, m->o.header_max);

	if (s.len > room) {
		m->field_cut = true;
		s.len = room;
	}
	buf_add_span(&m->field, s);
}

/* The field is complete: the line that came next does not belong to it. */
static void
flush_field(struct mime *m)
{
	struct header_field f;
	struct span in;

	if (m->field.len == 0)
		return;
	if (m->field_cut) {
		m->flags |= MIME_HEADER_CUT;
		if (m->field.data[m->field.len - 1] != '\n')
			buf_add_char(&m->field, '\n');
	}
	in = buf_span(&m->field);
	if (has_8bit(in))
		m->flags |= MIME_8BIT_HEADER;
	if (header_next(&in, &f) == 1) {
		/* A cut may leave a last line that starts no new fold. */
		f.whole = buf_span(&m->field);
		if (m->o.structure) {
			if (span_caseis(f.name, "Content-Type"))
				learn_type(m, f.value);
			else if (span_caseis(f.name,
			    "Content-Transfer-Encoding"))
				learn_encoding(m, f.value);
		}
		m->ops->header(m->arg, m->section, &f);
	}
	buf_reset(&m->field);
	m->field_cut = false;
}

static void
push_level(struct mime *m, bool with_boundary)
{
	struct level *l = ARRAY_PUSH(&m->levels);

	if (!with_boundary)
		return;
	/* Not as a string: a hostile boundary has NUL bytes in it. */
	l->boundary = mem_alloc(m->boundary.len);
	memcpy(l->boundary, m->boundary.data, m->boundary.len);
	l->len = m->boundary.len;
	l->digest = m->digest;
	m->nbound++;
}

/* The header section is over: what follows is what it has announced. */
static void
end_section(struct mime *m, bool blank)
{
	flush_field(m);
	m->in_header = false;
	m->ops->header_end(m->arg, m->section, blank);
	if (m->type == ENTITY_LEAF)
		return;
	if (m->encoding == ENC_CODED) {
		/* RFC 2045 6.4 forbids it; for a multipart readers ignore the
		 * encoding, a message is opaque then. */
		m->flags |= MIME_ENCODING;
		if (m->type == ENTITY_MESSAGE)
			return;
	}
	if (m->levels.len >= m->o.nesting_max) {
		m->flags |= MIME_NESTING;
		return;
	}
	push_level(m, m->type == ENTITY_MULTIPART);
	if (m->type == ENTITY_MESSAGE)
		begin_section(m, MIME_NESTED);
}

/* --- body -------------------------------------------------------------------- */

static void
show_body(struct mime *m, struct span bytes, bool line_start)
{
	if (bytes.len == 0)
		return;
	if (m->o.look_8bit && has_8bit(bytes)) {
		m->flags |= MIME_NOT_7BIT;
		if (m->encoding == ENC_7BIT)
			m->flags |= MIME_8BIT_BODY;
	}
	m->ops->body(m->arg, bytes, line_start);
}

/*
 * The level whose boundary the line is, innermost first, or -1.
 * RFC 2046 5.1.2: it is enough that the boundary begins the line.
 */
static ptrdiff_t
find_boundary(const struct mime *m, struct span line)
{
	if (m->nbound == 0 || !span_starts(line, SPAN("--")))
		return -1;
	for (size_t i = m->levels.len; i-- > 0;) {
		const struct level *l = &m->levels.v[i];

		if (l->boundary != NULL && line.len >= l->len + 2 &&
		    memcmp(line.p + 2, l->boundary, l->len) == 0)
			return (ptrdiff_t)i;
	}
	return -1;
}

static void
cross_boundary(struct mime *m, size_t level, struct span line)
{
	struct span rest = span_from(line, m->levels.v[level].len + 2);

	if (span_starts(rest, SPAN("--"))) {
		drop_levels(m, level);		/* what follows is epilogue */
		m->in_header = false;
		/* Its own encoding is forgotten; blame nobody. */
		m->encoding = ENC_8BIT;
	} else {
		drop_levels(m, level + 1);
		begin_section(m, MIME_PART);
	}
}

/* A line of the body, or the first line_max bytes of one. */
static void
body_line(struct mime *m, struct span line)
{
	ptrdiff_t level = find_boundary(m, line);

	m->at_boundary = level >= 0;
	show_body(m, line, true);
	m->at_boundary = false;
	if (line.p[line.len - 1] != '\n')
		m->mid = MID_BODY;
	if (level >= 0)
		cross_boundary(m, (size_t)level, line);
}

/* --- input ------------------------------------------------------------------- */

static size_t
line_len(struct span in)
{
	const char *nl = memchr(in.p, '\n', in.len);

	return nl != NULL ? (size_t)(nl - in.p) + 1 : in.len;
}

/*
 * Gather a line's start.  Returns the bytes taken; *line is the whole line,
 * or its first line_max bytes, or empty while more must come.
 */
static size_t
gather(struct mime *m, struct span in, struct span *line)
{
	size_t n = line_len(in);
	bool ends = in.p[n - 1] == '\n';

	if (m->line.len == 0 && (ends || n >= m->o.line_max)) {
		n = MIN(n, m->o.line_max);
		*line = span_sub(in, 0, n);
		return n;
	}
	n = MIN(n, m->o.line_max - m->line.len);
	buf_add(&m->line, in.p, n);
	if (m->line.data[m->line.len - 1] == '\n' ||
	    m->line.len == m->o.line_max)
		*line = buf_span(&m->line);
	else
		*line = SPAN_EMPTY;
	return n;
}

static bool
is_blank(struct span line)
{
	return span_is(line, "\n") || span_is(line, "\r\n");
}

static void
header_line(struct mime *m, struct span line)
{
	if (is_blank(line))
		end_section(m, true);
	else if (header_name_len(line, NULL) > 0) {
		put_field(m, line);
		if (line.p[line.len - 1] != '\n')
			m->mid = MID_HEADER;
	} else {
		end_section(m, false);
		if (m->in_header)
			/* A message whose header begins with no header:
			 * end_section() has opened its nested section. */
			header_line(m, line);
		else
			body_line(m, line);
	}
}

static size_t
header_input(struct mime *m, struct span in)
{
	struct span line;
	size_t n;

	if (m->field.len > 0 && m->line.len == 0) {
		if (in.p[0] == ' ' || in.p[0] == '\t') {
			m->mid = MID_HEADER;
			return 0;
		}
		flush_field(m);
	}
	n = gather(m, in, &line);
	if (line.len > 0) {
		header_line(m, line);
		buf_reset(&m->line);
	}
	return n;
}

/* Lines that cannot be boundaries are shown together. */
static size_t
body_run(struct mime *m, struct span in)
{
	size_t n = 0;

	while (n < in.len && !(in.p[n] == '-' && m->nbound > 0)) {
		size_t len = line_len(span_from(in, n));

		if (in.p[n + len - 1] != '\n')
			break;
		n += len;
	}
	return n;
}

static size_t
body_input(struct mime *m, struct span in)
{
	struct span line;
	size_t n;

	if (!m->o.lines && m->line.len == 0) {
		/* Nothing can follow but more body. */
		n = m->nbound == 0 ? in.len : body_run(m, in);
		if (n > 0) {
			show_body(m, span_sub(in, 0, n), true);
			if (in.p[n - 1] != '\n')
				m->mid = MID_BODY;
			return n;
		}
	}
	n = gather(m, in, &line);
	if (line.len > 0) {
		body_line(m, line);
		buf_reset(&m->line);
	}
	return n;
}

/* Inside a line of which it is known what it is. */
static size_t
mid_input(struct mime *m, struct span in)
{
	size_t n = line_len(in);

	if (m->mid == MID_BODY && m->o.lines)
		n = MIN(n, m->o.line_max);
	if (m->mid == MID_HEADER)
		put_field(m, span_sub(in, 0, n));
	else
		show_body(m, span_sub(in, 0, n), false);
	if (in.p[n - 1] == '\n')
		m->mid = MID_NONE;
	return n;
}

void
mime_write(struct mime *m, struct span in)
{
	size_t n;

	while (in.len > 0) {
		if (m->mid != MID_NONE)
			n = mid_input(m, in);
		else if (m->in_header)
			n = header_input(m, in);
		else
			n = body_input(m, in);
		in = span_from(in, n);
	}
}

void
mime_finish(struct mime *m)
{
	if (m->line.len > 0) {
		struct span line = buf_span(&m->line);

		/* The last line has no end. */
		if (!m->in_header)
			body_line(m, line);
		else {
			flush_field(m);
			header_line(m, line);
		}
		buf_reset(&m->line);
	}
	/* Ending one may open the section of an attached message. */
	while (m->in_header)
		end_section(m, false);
}
