/* SPDX-License-Identifier: ISC */
/*
 * preview - PREVIEW (RFC 8970): the first words of a message; see
 * message_cache.h.
 *
 * Of the first text/plain part, or else the first text/html part with its
 * markup left out; parts that call themselves attachments are not looked at.
 */
#include "base/num.h"
#include "base/utf8.h"
#include "mail/charset.h"
#include "mail/lex.h"
#include "mail/message_cache.h"
#include "mail/message_text.h"
#include "mail/transfer.h"

/* Bytes of the part as stored: mostly the first are enough. */
#define LOOK_FIRST	768
#define LOOK_PLAIN	4096
#define LOOK_HTML	(32u << 10)

static bool
is_attachment(const struct message_part *p)
{
	struct span v = p->mime.disposition;

	return v.p != NULL && span_casestarts(span_trim(v),
	    SPAN("attachment"));
}

static const struct message_part *
text_part(const struct message *m, bool *html)
{
	const struct message_part *p, *found = NULL;

	for (p = m->root; p != NULL; p = message_part_next(p, false)) {
		if (p->kind != MESSAGE_TEXT || is_attachment(p) ||
		    p->encoding == ENCODING_UNKNOWN)
			continue;
		*html = p->type.p != NULL && span_caseis(p->subtype, "html");
		if (!*html && (p->type.p == NULL || p->subtype.len == 0 ||
		    span_caseis(p->subtype, "plain")))
			return p;
		if (*html && found == NULL)
			found = p;
	}
	*html = true;
	return found;
}

/* --- markup -------------------------------------------------------------------- */

/* At a '<': the bytes of the tag, and of what belongs to it unseen. */
static size_t
tag_len(struct span s)
{
	static const struct { struct span from, to; } unseen[] = {
		{ { "<!--", 4 }, { "-->", 3 } },
		{ { "<script", 7 }, { "</script", 8 } },
		{ { "<style", 6 }, { "</style", 7 } },
		{ { "<title", 6 }, { "</title", 7 } },
	};
	ptrdiff_t end;

	for (size_t i = 0; i < ARRAY_LEN(unseen); i++)
		if (span_casestarts(s, unseen[i].from)) {
			end = span_casesearch(s, unseen[i].to);
			if (end < 0)
				return s.len;
			if (i == 0)
				return (size_t)end + 3;
			s = span_from(s, (size_t)end);
			return (size_t)end + (span_find(s, '>') >= 0 ?
			    (size_t)span_find(s, '>') + 1 : s.len);
		}
	end = span_find(s, '>');
	return end < 0 ? s.len : (size_t)end + 1;
}

static void
put_cp(uint32_t cp, struct buf *out)
{
	if (cp < 0x80)
		buf_add_char(out, cp < ' ' ? ' ' : (char)cp);
	else if (cp < 0x800) {
		buf_add_char(out, (char)(0xc0 | cp >> 6));
		buf_add_char(out, (char)(0x80 | (cp & 0x3f)));
	} else if (cp < 0x10000 && (cp < 0xd800 || cp > 0xdfff)) {
		buf_add_char(out, (char)(0xe0 | cp >> 12));
		buf_add_char(out, (char)(0x80 | (cp >> 6 & 0x3f)));
		buf_add_char(out, (char)(0x80 | (cp & 0x3f)));
	} else
		buf_add_char(out, '?');
}

/* At a '&': the bytes of the reference. */
static size_t
put_reference(struct span s, struct buf *out)
{
	static const struct { const char *name; uint32_t cp; } names[] = {
		{ "amp", '&' }, { "lt", '<' }, { "gt", '>' }, { "quot", '"' },
		{ "apos", '\'' }, { "nbsp", ' ' }, { "auml", 0xe4 },
		{ "ouml", 0xf6 }, { "uuml", 0xfc }, { "szlig", 0xdf },
		{ "Auml", 0xc4 }, { "Ouml", 0xd6 }, { "Uuml", 0xdc },
		{ "eacute", 0xe9 }, { "egrave", 0xe8 }, { "ndash", 0x2013 },
		{ "mdash", 0x2014 }, { "hellip", 0x2026 }, { "euro", 0x20ac },
		{ "zwnj", ' ' }, { "shy", ' ' }, { "copy", 0xa9 },
	};
	ptrdiff_t end = span_find(span_sub(s, 0, 12), ';');
	struct span name = span_sub(s, 1, end > 0 ? (size_t)end - 1 : 0);
	uint64_t cp;

	if (end > 2 && name.p[0] == '#') {
		bool hex = name.p[1] == 'x' || name.p[1] == 'X';

		if ((hex ? num_parse_hex(span_from(name, 2), &cp) :
		    num_parse_u64(span_from(name, 1), UINT32_MAX, &cp)) == 0) {
			put_cp((uint32_t)MIN(cp, 0x110000), out);
			return (size_t)end + 1;
		}
	}
	for (size_t i = 0; end > 0 && i < ARRAY_LEN(names); i++)
		if (span_is(name, names[i].name)) {
			put_cp(names[i].cp, out);
			return (size_t)end + 1;
		}
	buf_add_char(out, '&');
	return 1;
}

static void
put_unmarked(struct span s, struct buf *out)
{
	while (s.len > 0) {
		size_t n = 1;

		if (s.p[0] == '<') {
			n = tag_len(s);
			buf_add_char(out, ' ');
		} else if (s.p[0] == '&')
			n = put_reference(s, out);
		else
			buf_add_char(out, s.p[0]);
		s = span_from(s, n);
	}
}

/* --- the words ----------------------------------------------------------------- */

/*
 * At most MESSAGE_PREVIEW_CHARS characters, white space runs as one space.
 * Whether it had so many.
 */
static bool
put_words(struct span s, struct buf *out)
{
	size_t chars = 0, n;
	bool space = false, any = false;
	uint32_t cp;

	for (; s.len > 0 && chars < MESSAGE_PREVIEW_CHARS;
	    s = span_from(s, n)) {
		n = utf8_next(s, &cp);
		if (n == 0) {
			n = 1;
			space = any;
			continue;
		}
		if (cp <= ' ' || (cp >= 0x7f && cp <= 0xa0) || cp == 0x200b ||
		    cp == 0x200c || cp == 0xfeff || cp == 0x034f) {
			space = any;
			continue;
		}
		if (space) {
			if (chars + 2 > MESSAGE_PREVIEW_CHARS)
				return true;
			buf_add_char(out, ' ');
			chars++;
		}
		space = false;
		any = true;
		buf_add(out, s.p, n);
		chars++;
	}
	return chars >= MESSAGE_PREVIEW_CHARS;
}

/* The words of the first look bytes of the part. */
static bool
put_part(const struct message_part *p, bool html, size_t look,
    struct buf *out)
{
	struct buf raw = BUF_INIT(BUF_UNLIMITED), utf8 = raw, text = raw;
	struct transfer t;
	bool whole;

	transfer_init(&t, p->encoding, false);
	transfer_write(&t, span_sub(p->body, 0, look), &raw);
	if (p->body.len <= look)
		transfer_finish(&t, &raw);
	transfer_fini(&t);
	if (p->params.p == NULL ||
	    !lex_find_param(p->params, "charset", &text))
		buf_reset(&text);
	charset_convert(buf_span(&text), buf_span(&raw), &utf8);
	buf_reset(&text);
	if (html)
		put_unmarked(buf_span(&utf8), &text);
	whole = put_words(buf_span(html ? &text : &utf8), out);
	buf_fini(&raw);
	buf_fini(&utf8);
	buf_fini(&text);
	return whole;
}

bool
message_preview(const struct message *m, struct buf *out)
{
	bool html = false;
	const struct message_part *p = text_part(m, &html);
	size_t start = out->len;

	if (p == NULL)
		return false;
	if (html || p->body.len <= LOOK_FIRST ||
	    !put_part(p, false, LOOK_FIRST, out)) {
		buf_trunc(out, start);
		(void)put_part(p, html, html ? LOOK_HTML : LOOK_PLAIN, out);
	}
	return !html && message_text_is_known(p);
}
