/* SPDX-License-Identifier: ISC */
/*
 * section - BODY[…] (RFC 9051 6.4.5): which bytes, and these in CRLF form;
 * see message.h.
 */
#include "base/array.h"
#include "base/num.h"
#include "mail/chars.h"
#include "mail/message.h"

/* --- the name of a section ------------------------------------------------- */

/* A field name: an atom, or a quoted string. */
static int
take_name(struct span *in, struct span *name)
{
	size_t n = 0;

	if (in->len > 0 && in->p[0] == '"') {
		ptrdiff_t q = span_find(span_from(*in, 1), '"');

		if (q <= 0)
			return -1;
		*name = span_sub(*in, 1, (size_t)q);
		if (span_find(*name, '\\') >= 0)
			return -1;
		*in = span_from(*in, (size_t)q + 2);
		return 0;
	}
	while (n < in->len && (unsigned char)in->p[n] > ' ' &&
	    in->p[n] != ')' && in->p[n] != '(' && in->p[n] != '"')
		n++;
	if (n == 0)
		return -1;
	*name = span_sub(*in, 0, n);
	*in = span_from(*in, n);
	return 0;
}

/* " (From To)" */
static int
take_fields(struct span in, struct arena *a, struct section *s)
{
	ARRAY(struct span) names = ARRAY_EMPTY;
	int rc = -1;

	if (!span_starts(in, SPAN(" (")) || !span_ends(in, SPAN(")")))
		return -1;
	in = span_sub(in, 2, in.len - 3);
	for (;;) {
		struct span name;

		if (names.len == SECTION_FIELDS_MAX ||
		    take_name(&in, &name) < 0)
			goto out;
		*ARRAY_PUSH(&names) = name;
		if (in.len == 0)
			break;
		if (in.p[0] != ' ')
			goto out;
		in = span_from(in, 1);
	}
	s->nfields = names.len;
	s->fields = arena_alloc(a, names.len * sizeof(*s->fields));
	memcpy(s->fields, names.v, names.len * sizeof(*s->fields));
	rc = 0;
out:
	ARRAY_FINI(&names);
	return rc;
}

static int
take_text(struct span in, struct arena *a, struct section *s)
{
	static const char fields[] = "HEADER.FIELDS", not[] = ".NOT";

	if (span_caseis(in, "HEADER"))
		s->what = SECTION_HEADER;
	else if (span_caseis(in, "TEXT"))
		s->what = SECTION_TEXT;
	else if (span_caseis(in, "MIME") && s->npath > 0)
		s->what = SECTION_MIME;
	else if (span_casestarts(in, span_of(fields))) {
		in = span_from(in, sizeof(fields) - 1);
		s->what = SECTION_FIELDS;
		if (span_casestarts(in, span_of(not))) {
			in = span_from(in, sizeof(not) - 1);
			s->what = SECTION_FIELDS_NOT;
		}
		return take_fields(in, a, s);
	} else
		return -1;
	return 0;
}

int
section_parse(struct span in, struct arena *a, struct section *s)
{
	s->what = SECTION_ALL;
	s->npath = s->nfields = 0;
	s->fields = NULL;
	if (in.len == 0)
		return 0;
	for (;;) {
		size_t n = 0;

		while (n < in.len && char_is_digit(in.p[n]))
			n++;
		if (n == 0)
			return take_text(in, a, s);
		if (s->npath == SECTION_DEPTH_MAX || in.p[0] == '0' ||
		    num_parse_u32(span_sub(in, 0, n), UINT32_MAX,
		    &s->path[s->npath]) < 0)
			return -1;
		s->npath++;
		in = span_from(in, n);
		if (in.len == 0)
			return 0;
		if (in.p[0] != '.')
			return -1;
		in = span_from(in, 1);
	}
}

void
section_put(const struct section *s, struct buf *out)
{
	static const char *const words[] = {
		[SECTION_ALL] = "", [SECTION_HEADER] = "HEADER",
		[SECTION_TEXT] = "TEXT", [SECTION_FIELDS] = "HEADER.FIELDS",
		[SECTION_FIELDS_NOT] = "HEADER.FIELDS.NOT",
		[SECTION_MIME] = "MIME",
	};

	for (size_t i = 0; i < s->npath; i++)
		buf_addf(out, "%s%u", i > 0 ? "." : "", s->path[i]);
	if (s->what == SECTION_ALL)
		return;
	if (s->npath > 0)
		buf_add_char(out, '.');
	buf_add_str(out, words[s->what]);
	if (s->nfields == 0)
		return;
	for (size_t i = 0; i < s->nfields; i++) {
		bool atom = s->fields[i].len > 0;

		buf_add_str(out, i > 0 ? " " : " (");
		for (size_t j = 0; j < s->fields[i].len; j++)
			atom &= char_is_atext((unsigned char)
			    s->fields[i].p[j]) &&
			    strchr("%*{", s->fields[i].p[j]) == NULL;
		if (atom)
			buf_add_span(out, s->fields[i]);
		else
			message_put_nstring(s->fields[i], out);
	}
	buf_add_char(out, ')');
}

/* --- finding it --------------------------------------------------------------- */

/* Child n of p, 1 being the first. */
static const struct message_part *
child(const struct message_part *p, uint32_t n)
{
	const struct message_part *c = p->child;

	while (c != NULL && --n > 0)
		c = c->next;
	return c;
}

/*
 * RFC 9051 6.4.5.1: the numbers go down the multiparts; an attached message
 * is passed through, and what is no multipart has one part, itself.
 */
const struct message_part *
message_part_find(const struct message *m, const uint32_t *path, size_t npath)
{
	const struct message_part *p = m->root;

	for (size_t i = 0; i < npath; i++) {
		if (p->kind == MESSAGE_RFC822 && (i > 0 || p != m->root))
			p = p->child;		/* into the message */
		if (p->kind == MESSAGE_MULTIPART) {
			if ((p = child(p, path[i])) == NULL)
				return NULL;
			continue;
		}
		/* The body of a message that is no multipart: number 1. */
		if (path[i] != 1 || (p->parent != NULL &&
		    p->parent->kind != MESSAGE_RFC822))
			return NULL;
		if (i > 0 && p->parent == NULL)
			return NULL;
	}
	return p;
}

static bool
wanted(const struct section *s, struct span name)
{
	for (size_t i = 0; i < s->nfields; i++)
		if (span_caseeq(s->fields[i], name))
			return s->what == SECTION_FIELDS;
	return s->what == SECTION_FIELDS_NOT;
}

/* Neighbours are one piece. */
static void
find_fields(const struct message_part *p, const struct section *s,
    struct arena *a, struct section_text *t)
{
	ARRAY(struct span) pieces = ARRAY_EMPTY;
	struct span in = p->header;
	struct message_field f;

	while (message_field_next(&in, &f)) {
		struct span *last = pieces.len > 0 ?
		    &pieces.v[pieces.len - 1] : NULL;

		if (!wanted(s, f.name))
			continue;
		if (last != NULL && last->p + last->len == f.whole.p)
			last->len += f.whole.len;
		else
			*ARRAY_PUSH(&pieces) = f.whole;
	}
	if (pieces.len > 0) {
		struct span end = pieces.v[pieces.len - 1];

		/* The last line of all, without its end. */
		if (end.p[end.len - 1] != '\n')
			*ARRAY_PUSH(&pieces) = SPAN("\r\n");
	}
	/* RFC 9051 6.4.5: the blank line is always in it, if there is one. */
	if (in.len > 0)
		*ARRAY_PUSH(&pieces) = SPAN("\r\n");
	t->npieces = pieces.len;
	t->pieces = arena_alloc(a, pieces.len * sizeof(*t->pieces));
	if (pieces.len > 0)
		memcpy(t->pieces, pieces.v, pieces.len * sizeof(*t->pieces));
	ARRAY_FINI(&pieces);
	t->crlf_size = 0;
	for (size_t i = 0; i < t->npieces; i++)
		t->crlf_size += message_crlf_size(t->pieces[i], NULL);
}

static void
one_piece(struct section_text *t, struct span s, uint64_t crlf_size)
{
	t->one = s;
	t->pieces = NULL;		/* not &t->one: t may be copied */
	t->npieces = 1;
	t->crlf_size = crlf_size;
}

int
section_find(const struct message *m, const struct section *s,
    struct arena *a, struct section_text *t)
{
	const struct message_part *p = message_part_find(m, s->path,
	    s->npath);

	memset(t, 0, sizeof(*t));
	if (p == NULL)
		return -1;
	if (s->what == SECTION_ALL) {
		if (s->npath == 0)
			one_piece(t, m->bytes, m->crlf_size);
		else
			one_piece(t, p->body, p->body_crlf);
		return 0;
	}
	if (s->what == SECTION_MIME) {
		one_piece(t, p->header, p->header_crlf);
		return 0;
	}
	/* The rest asks for a message: the whole one, or an attached one. */
	if (s->npath > 0) {
		if (p->kind != MESSAGE_RFC822)
			return -1;
		p = p->child;
	}
	if (s->what == SECTION_HEADER)
		one_piece(t, p->header, p->header_crlf);
	else if (s->what == SECTION_TEXT)
		one_piece(t, p->body, p->body_crlf);
	else
		find_fields(p, s, a, t);
	return 0;
}

/* --- CRLF form ----------------------------------------------------------------- */

uint64_t
message_crlf_size(struct span s, uint32_t *lines)
{
	const char *p = s.p != NULL ? s.p : "", *end = p + s.len, *nl;
	uint64_t bare = 0;
	uint32_t n = 0;

	while (p < end && (nl = memchr(p, '\n', (size_t)(end - p))) != NULL) {
		bare += nl == s.p || nl[-1] != '\r';
		n++;
		p = nl + 1;
	}
	if (lines != NULL)
		*lines = n;
	return s.len + bare;
}

/* No NUL leaves us (RFC 9051 4.3): as Dovecot, 0x80 stands for it. */
static void
mask_nuls(char *p, size_t n)
{
	char *end = p + n;

	while (p < end && (p = memchr(p, '\0', (size_t)(end - p))) != NULL)
		*p++ = '\x80';
}

/*
 * At most n bytes of the CRLF form of s, where prev is the byte before it and
 * *half says that the CR in front of its first byte is out already.  Returns
 * the bytes of s that are done.
 */
static size_t
copy_crlf(struct span s, char prev, bool *half, size_t n, struct buf *out)
{
	const char *p = s.p, *end;

	if (p == NULL)
		return 0;
	end = p + s.len;
	while (p < end && n > 0) {
		size_t left = (size_t)(end - p);
		const char *nl = memchr(p, '\n', MIN(left, n));
		size_t run = nl != NULL ? (size_t)(nl - p) : MIN(left, n);

		buf_add(out, p, run);
		mask_nuls(out->data + out->len - run, run);
		if (run > 0)
			prev = p[run - 1];
		p += run;
		n -= run;
		if (nl == NULL || n == 0)
			continue;
		if (prev != '\r' && !*half) {
			buf_add_char(out, '\r');
			*half = true;
			if (--n == 0)
				break;
		}
		buf_add_char(out, '\n');
		*half = false;
		prev = *p++;
		n--;
	}
	return s.len - (size_t)(end - p);
}

static struct span
piece_at(const struct section_text *t)
{
	return t->pieces != NULL ? t->pieces[t->piece] : t->one;
}

void
section_raw(struct section_text *t, struct span bytes)
{
	memset(t, 0, sizeof(*t));
	one_piece(t, bytes, bytes.len);
	t->raw = true;
}

/* Each LF has its CR already, in one piece: no need to look at lines. */
static bool
is_crlf(const struct section_text *t)
{
	return t->pieces == NULL && t->crlf_size == t->one.len;
}

size_t
section_read(struct section_text *t, size_t n, struct buf *out)
{
	size_t start = out->len;

	if (t->raw || is_crlf(t)) {
		struct span s = span_sub(t->one, t->off, n);

		buf_add_span(out, s);
		if (!t->raw)
			mask_nuls(out->data + start, s.len);
		t->off += s.len;
		t->at += s.len;
		return s.len;
	}
	while (t->piece < t->npieces && out->len - start < n) {
		struct span s = piece_at(t);

		if (t->off == s.len) {
			t->piece++;
			t->off = 0;
			continue;
		}
		t->off += copy_crlf(span_from(s, t->off),
		    t->off > 0 ? s.p[t->off - 1] : '\0', &t->half,
		    n - (out->len - start), out);
	}
	t->at += out->len - start;
	return out->len - start;
}

/*
 * Forward over at most n bytes of the CRLF form of what is left of the piece;
 * returns the bytes it went over.
 */
static uint64_t
skip_crlf(struct section_text *t, struct span s, uint64_t n)
{
	uint64_t done = 0;

	while (t->off < s.len && done < n) {
		const char *p = s.p + t->off;
		size_t left = s.len - t->off;
		const char *nl = memchr(p, '\n', MIN(left, n - done));
		size_t run = nl != NULL ? (size_t)(nl - p) :
		    MIN(left, n - done);

		t->off += run;
		done += run;
		if (nl == NULL || done == n)
			continue;
		if ((t->off == 0 || nl[-1] != '\r') && !t->half) {
			t->half = true;
			if (++done == n)
				break;
		}
		t->half = false;
		t->off++;
		done++;
	}
	return done;
}

void
section_seek(struct section_text *t, uint64_t at)
{
	at = MIN(at, t->crlf_size);
	if (at < t->at) {
		t->piece = 0;
		t->off = 0;
		t->at = 0;
		t->half = false;
	}
	if (is_crlf(t)) {
		t->off = (size_t)at;
		t->at = at;
		return;
	}
	while (t->at < at && t->piece < t->npieces) {
		struct span s = piece_at(t);

		if (t->off == s.len) {
			t->piece++;
			t->off = 0;
			continue;
		}
		t->at += skip_crlf(t, s, at - t->at);
	}
}

void
message_put_crlf(struct span s, struct buf *out)
{
	bool half = false;

	(void)copy_crlf(s, '\0', &half, SIZE_MAX, out);
}
