/* SPDX-License-Identifier: ISC */
/*
 * fetch_data - FETCH items that need the message or its cache record (RFC
 * 9051 7.5.2, RFC 3516 BINARY, RFC 8970 PREVIEW); see fetch.h.
 *
 * ENVELOPE, BODY, BODYSTRUCTURE and PREVIEW lie in the record as they go over
 * the wire; sections of the message's own header and text need the header
 * alone; everything else the parsed message.
 */
#include "imapd/fetch.h"

#define DECODED_SMALL	(64u << 10)	/* bytes: no copy in the arena */

/* The part [off, off + len) of what has size bytes. */
static void
window(const struct fetch_item *it, uint64_t size, uint64_t *off,
    uint64_t *len)
{
	*off = 0;
	*len = size;
	if (it->partial) {
		*off = MIN(it->off, size);
		*len = MIN(it->len, size - *off);
	}
}

static void
put_origin(struct fetch_msg *m, const struct fetch_item *it)
{
	if (it->partial)
		buf_addf(&m->text, "<%ju>", (uintmax_t)it->off);
	buf_add_char(&m->text, ' ');
}

/* "" or "{n}" and the bytes, of which a large part is only referred to. */
static void
put_section_text(struct fetch_msg *m, const struct fetch_item *it,
    struct section_text *t)
{
	uint64_t off, len;

	window(it, t->crlf_size, &off, &len);
	if (len == 0) {
		buf_add_str(&m->text, "\"\"");
		return;
	}
	buf_addf(&m->text, "{%ju}\r\n", (uintmax_t)len);
	if (off > 0)
		section_seek(t, off);
	fetch_put_data(m, t, len);
}

static bool
needs_parts(const struct section *s)
{
	return s->npath > 0;
}

static int
put_section(struct fetch_msg *m, const struct fetch_item *it,
    const struct section *s, const char *name, struct why *why)
{
	const struct message *msg = needs_parts(s) ?
	    fetch_msg_parsed(m, why) : fetch_msg_header(m, why);
	struct section_text t;

	if (msg == NULL)
		return -1;
	if (name != NULL)
		buf_add_str(&m->text, name);
	else {
		buf_add_str(&m->text, "BODY[");
		section_put(s, &m->text);
		buf_add_char(&m->text, ']');
	}
	put_origin(m, it);
	/* There is no such part: Dovecot's answer, and what the grammar has
	 * for no bytes. */
	if (section_find(msg, s, m->arena, &t) < 0)
		buf_add_str(&m->text, "\"\"");
	else
		put_section_text(m, it, &t);
	return 0;
}

static void
put_path(struct fetch_msg *m, const char *name, const struct section *s)
{
	buf_addf(&m->text, "%s[", name);
	section_put(s, &m->text);
	buf_add_char(&m->text, ']');
}

/* RFC 3516 4.2: a literal8 where there are NULs. */
static void
put_decoded(struct fetch_msg *m, struct span b)
{
	struct section_text t;

	if (b.len == 0) {
		buf_add_str(&m->text, "\"\"");
		return;
	}
	buf_addf(&m->text, "%s{%zu}\r\n", memchr(b.p, '\0', b.len) != NULL ?
	    "~" : "", b.len);
	if (b.len > DECODED_SMALL)
		b.p = memcpy(arena_alloc(m->arena, b.len), b.p, b.len);
	section_raw(&t, b);
	fetch_put_data(m, &t, b.len);
}

/* Headers and texts of messages: nothing is encoded in these. */
static int
put_binary_text(struct fetch_msg *m, const struct fetch_item *it,
    const struct message *msg)
{
	struct section_text t;
	bool found = section_find(msg, it->section, m->arena, &t) == 0;

	if (it->kind == FETCH_BINARY_SIZE) {
		put_path(m, "BINARY.SIZE", it->section);
		buf_addf(&m->text, " %ju", found ? (uintmax_t)t.crlf_size : 0);
		return 0;
	}
	put_path(m, "BINARY", it->section);
	put_origin(m, it);
	if (found)
		put_section_text(m, it, &t);
	else
		buf_add_str(&m->text, "\"\"");
	return 0;
}

static int
put_binary(struct fetch_msg *m, const struct fetch_item *it, struct why *why)
{
	const struct message *msg = fetch_msg_parsed(m, why);
	const struct section *s = it->section;
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	uint64_t off, len;

	if (msg == NULL)
		return -1;
	if (s->what != SECTION_ALL)
		return put_binary_text(m, it, msg);
	if (message_binary(msg, s->path, s->npath, &b) ==
	    BINARY_UNKNOWN_CTE) {
		buf_fini(&b);
		return 1;
	}
	put_path(m, "BINARY", s);
	put_origin(m, it);
	window(it, b.len, &off, &len);
	put_decoded(m, span_sub(buf_span(&b), (size_t)off, (size_t)len));
	buf_fini(&b);
	return 0;
}

static int
put_binary_size(struct fetch_msg *m, const struct fetch_item *it,
    struct why *why)
{
	const struct message *msg = fetch_msg_parsed(m, why);
	const struct section *s = it->section;
	uint64_t size = 0;

	if (msg == NULL)
		return -1;
	if (s->what != SECTION_ALL)
		return put_binary_text(m, it, msg);
	if (message_binary_size(msg, s->path, s->npath, &size) ==
	    BINARY_UNKNOWN_CTE)
		return 1;
	put_path(m, "BINARY.SIZE", s);
	buf_addf(&m->text, " %ju", (uintmax_t)size);
	return 0;
}

/* From the record; from the message where the record had no room for it. */
static int
put_cached(struct fetch_msg *m, enum fetch_kind kind, struct why *why)
{
	const struct message_cache *c = fetch_msg_cache(m,
	    MESSAGE_CACHE_ALL, why);
	const struct message *msg;
	struct buf *b = &m->text;

	if (c == NULL)
		return -1;
	if (kind == FETCH_ENVELOPE && !(c->flags & MESSAGE_NO_ENVELOPE)) {
		buf_add_str(b, "ENVELOPE ");
		buf_add_span(b, c->envelope);
		return 0;
	}
	if (kind != FETCH_ENVELOPE && !(c->flags & MESSAGE_NO_STRUCTURE)) {
		buf_add_str(b, kind == FETCH_BODY ? "BODY " :
		    "BODYSTRUCTURE ");
		buf_add_span(b, kind == FETCH_BODY ? c->body : c->structure);
		return 0;
	}
	if ((msg = fetch_msg_parsed(m, why)) == NULL)
		return -1;
	if (kind == FETCH_ENVELOPE) {
		buf_add_str(b, "ENVELOPE ");
		message_put_envelope(msg->root, b);
	} else {
		buf_add_str(b, kind == FETCH_BODY ? "BODY " :
		    "BODYSTRUCTURE ");
		message_put_structure(msg->root, kind == FETCH_BODYSTRUCTURE,
		    b);
	}
	return 0;
}

/* RFC 8970 3.2: with LAZY, too, for it is always there. */
static int
put_preview(struct fetch_msg *m, struct why *why)
{
	const struct message_cache *c = fetch_msg_cache(m,
	    MESSAGE_CACHE_ALL, why);

	if (c == NULL)
		return -1;
	buf_add_str(&m->text, "PREVIEW ");
	message_put_nstring(c->preview, &m->text);
	return 0;
}

int
fetch_write(struct fetch_msg *m, const struct fetch_item *it, struct why *why)
{
	static const struct section all = { .what = SECTION_ALL },
	    header = { .what = SECTION_HEADER },
	    text = { .what = SECTION_TEXT };

	switch (it->kind) {
	case FETCH_ENVELOPE:
	case FETCH_BODY:
	case FETCH_BODYSTRUCTURE:
		return put_cached(m, it->kind, why);
	case FETCH_PREVIEW:
		return put_preview(m, why);
	case FETCH_SECTION:
		return put_section(m, it, it->section, NULL, why);
	case FETCH_RFC822:
		return put_section(m, it, &all, "RFC822", why);
	case FETCH_RFC822_HEADER:
		return put_section(m, it, &header, "RFC822.HEADER", why);
	case FETCH_RFC822_TEXT:
		return put_section(m, it, &text, "RFC822.TEXT", why);
	case FETCH_BINARY:
		return put_binary(m, it, why);
	case FETCH_BINARY_SIZE:
		return put_binary_size(m, it, why);
	default:
		return why_set(why, "4.3.0", "no such item");
	}
}
