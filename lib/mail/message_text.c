/* SPDX-License-Identifier: ISC */
/*
 * message_text - see message_text.h.
 *
 * A body goes through transfer encoding, charset and casemap in pieces of
 * PIECE bytes, so that a part of any size takes a few hundred KiB.  text holds
 * what is casemapped; before it is shown it begins with the last OVERLAP bytes
 * of what was shown before.
 */
#include "base/fold.h"
#include "base/mem.h"
#include "mail/casemap.h"
#include "mail/chars.h"
#include "mail/charset.h"
#include "mail/encoded.h"
#include "mail/envelope.h"
#include "mail/lex.h"
#include "mail/message_text.h"
#include "mail/transfer.h"

#define PIECE		(32u << 10)	/* bytes as stored */
#define FIELD_MAX	(256u << 10)	/* bytes of a field looked at */

struct shower {
	bool		(*fn)(void *arg, struct span text);
	void		*arg;
	struct buf	 raw, utf8, text;
};

static bool
is_ascii_safe(struct span s)
{
	/* What encoded_decode() would leave as it is. */
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c >= 0x80 || c == '\n' || c == '\r' || c == '\0' || (c == '=' &&
		    i + 1 < s.len && s.p[i + 1] == '?'))
			return false;
	}
	return true;
}

/* A header value, decoded and casemapped, after what is in text. */
static void
put_value(struct shower *sh, struct span value)
{
	value = span_trim(span_sub(value, 0, FIELD_MAX));
	if (is_ascii_safe(value)) {
		casemap(value, &sh->text);
		return;
	}
	buf_reset(&sh->utf8);
	encoded_decode(value, &sh->utf8);
	casemap(buf_span(&sh->utf8), &sh->text);
}

/* The decoded form of parameters, where RFC 2231 has hidden it. */
static void
put_parameters(struct shower *sh, const struct message_field *f)
{
	static const char *const names[] = { "name", "filename" };

	if (span_find(f->value, '*') < 0)
		return;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		buf_reset(&sh->utf8);
		if (lex_find_param(f->value, names[i], &sh->utf8)) {
			buf_add_char(&sh->text, ' ');
			casemap(buf_span(&sh->utf8), &sh->text);
		}
	}
}

/* --- addresses ---------------------------------------------------------------- */

static bool
is_address_field(struct span name)
{
	static const char *const names[] = { "from", "to", "cc", "bcc",
	    "sender", "reply-to" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (span_caseis(name, names[i]))
			return true;
	return false;
}

/* A comment, a route, a backslash, or space around an '@': what is written is
 * not what ENVELOPE says. */
static bool
is_roundabout(struct span v)
{
	for (size_t i = 0; i < v.len; i++)
		if (v.p[i] == '(' || v.p[i] == '\\' || (v.p[i] == '@' &&
		    (i == 0 || v.p[i - 1] == '<' ||
		    char_is_space(v.p[i - 1]) ||
		    (i + 1 < v.len && char_is_space(v.p[i + 1])))))
			return true;
	return false;
}

static void
put_address(void *arg, const struct address *a)
{
	struct shower *sh = arg;

	/* What ENVELOPE says where nothing can be read is not in the field. */
	if (a->kind != ADDRESS_MAILBOX ||
	    span_is(a->mailbox, ENVELOPE_NO_MAILBOX))
		return;
	buf_add_str(&sh->text, ", ");
	if (a->name.len > 0) {
		buf_reset(&sh->utf8);
		encoded_decode(a->name, &sh->utf8);
		buf_add_char(&sh->utf8, ' ');
		casemap(buf_span(&sh->utf8), &sh->text);
	}
	buf_add_char(&sh->text, '<');
	casemap(a->mailbox, &sh->text);
	buf_add_char(&sh->text, '@');
	casemap(a->host, &sh->text);
	buf_add_char(&sh->text, '>');
}

/* RFC 9051 6.4.4: FROM looks into "the envelope structure's FROM field". */
static void
put_addresses(struct shower *sh, const struct message_field *f)
{
	if (is_address_field(f->name) && is_roundabout(f->value))
		envelope_addresses(f->value, put_address, sh);
}

static bool
show_header(struct shower *sh, const struct message_part *p)
{
	struct span in = p->header;
	struct message_field f;

	while (message_field_next(&in, &f)) {
		buf_reset(&sh->text);
		casemap(f.name, &sh->text);
		if (f.name.len > 0)
			buf_add_str(&sh->text, ": ");
		put_value(sh, f.value);
		if (span_casestarts(f.name, SPAN("content-")))
			put_parameters(sh, &f);
		put_addresses(sh, &f);
		if (!sh->fn(sh->arg, buf_span(&sh->text)))
			return false;
	}
	return true;
}

/* The text that is new is shown with the end of what was there before. */
static bool
show_text(struct shower *sh)
{
	size_t drop;

	casemap(buf_span(&sh->utf8), &sh->text);
	buf_reset(&sh->utf8);
	if (!sh->fn(sh->arg, buf_span(&sh->text)))
		return false;
	drop = sh->text.len - MIN(sh->text.len, MESSAGE_TEXT_OVERLAP);
	buf_consume(&sh->text, drop);
	return true;
}

static bool
show_body(struct shower *sh, const struct message_part *p)
{
	struct transfer t;
	struct charset c;
	bool go_on = true;

	buf_reset(&sh->utf8);
	if (p->params.p == NULL ||
	    !lex_find_param(p->params, "charset", &sh->utf8))
		buf_reset(&sh->utf8);
	(void)charset_init(&c, buf_span(&sh->utf8));
	buf_reset(&sh->utf8);
	buf_reset(&sh->text);
	transfer_init(&t, p->encoding, false);
	for (size_t at = 0; go_on && at < p->body.len; at += PIECE) {
		struct span in = span_sub(p->body, at, PIECE);

		if (p->encoding == ENCODING_QP ||
		    p->encoding == ENCODING_BASE64) {
			buf_reset(&sh->raw);
			transfer_write(&t, in, &sh->raw);
			in = buf_span(&sh->raw);
		}
		charset_write(&c, in, &sh->utf8);
		go_on = show_text(sh);
	}
	if (go_on) {
		buf_reset(&sh->raw);
		transfer_finish(&t, &sh->raw);
		charset_write(&c, buf_span(&sh->raw), &sh->utf8);
		charset_finish(&c, &sh->utf8);
		if (sh->utf8.len > 0)
			go_on = show_text(sh);
	}
	transfer_fini(&t);
	return go_on;
}

/*
 * RFC 9051 6.4.4; delivery status and the like are text, too.  What is encoded
 * in an unknown way is not (RFC 2045 6.4).
 */
static bool
has_text(const struct message_part *p)
{
	return p->encoding != ENCODING_UNKNOWN && (p->kind == MESSAGE_TEXT ||
	    (p->kind == MESSAGE_LEAF && span_caseis(p->type, "message")));
}

bool
message_text_is_known(const struct message_part *p)
{
	struct buf name = BUF_INIT(BUF_UNLIMITED);
	struct charset c;
	bool known;

	if (p->kind != MESSAGE_TEXT || p->encoding == ENCODING_UNKNOWN)
		return false;
	if (p->params.p == NULL || !lex_find_param(p->params, "charset", &name))
		known = true;
	else
		known = charset_init(&c, buf_span(&name)) &&
		    c.kind != CHARSET_ICONV;
	buf_fini(&name);
	return known;
}

bool
message_text_is_plain(const struct message_part *p)
{
	return p->encoding == ENCODING_IDENTITY && message_text_is_known(p);
}

bool
message_text_each(const struct message *m, unsigned what,
    bool (*fn)(void *arg, struct span text), void *arg)
{
	struct shower sh = {
		.fn = fn, .arg = arg, .raw = BUF_INIT(BUF_UNLIMITED),
		.utf8 = BUF_INIT(BUF_UNLIMITED),
		.text = BUF_INIT(BUF_UNLIMITED),
	};
	const struct message_part *p;
	bool go_on = true;

	for (p = m->root; go_on && p != NULL; p = message_part_next(p, true)) {
		if (what & (p == m->root ? TEXT_HEADER : TEXT_MIME))
			go_on = show_header(&sh, p);
		if (go_on && (what & TEXT_BODY) && has_text(p))
			go_on = show_body(&sh, p);
	}
	buf_fini(&sh.raw);
	buf_fini(&sh.utf8);
	buf_fini(&sh.text);
	return go_on;
}

/* --- text that stands in the message as it is --------------------------------- */

static bool
is_ascii(struct span s)
{
	unsigned char any = 0;

	for (size_t i = 0; i < s.len; i++)
		any |= (unsigned char)s.p[i];
	return any < 0x80;
}

/* A fold becomes a space, which is no word's; all else is as it was. */
static bool
field_stands(const struct message_field *f)
{
	/* "Name :" is shown without the space. */
	if (f->name.len > 0 && f->name.p[f->name.len] != ':')
		return false;
	return span_search(f->value, SPAN("=?")) < 0 &&
	    !(span_casestarts(f->name, SPAN("content-")) &&
	    span_find(f->value, '*') >= 0) &&
	    !(is_address_field(f->name) && is_roundabout(f->value));
}

bool
message_words_stand(const struct message *m)
{
	if (!is_ascii(m->bytes))
		return false;
	for (const struct message_part *p = m->root; p != NULL;
	    p = message_part_next(p, true)) {
		struct span in = p->header;
		struct message_field f;

		while (message_field_next(&in, &f))
			if (!field_stands(&f))
				return false;
		if (has_text(p) && !message_text_is_plain(p))
			return false;
	}
	return true;
}

bool
message_lacks_word(struct span bytes, const struct message_key *k)
{
	return k->word && span_find_folded(bytes, span_make(k->bytes,
	    k->len)) < 0;
}

/* --- searching --------------------------------------------------------------- */

void
message_key_of(struct message_key *k, char *bytes, size_t len)
{
	*k = (struct message_key){ bytes, len, len > 0, len > 0 };
	for (size_t i = 0; i < len; i++)
		k->plain &= bytes[i] >= ' ' && bytes[i] < 0x7f &&
		    (bytes[i] < 'a' || bytes[i] > 'z');
	k->word = k->plain && memchr(bytes, ' ', len) == NULL;
}

int
message_key_init(struct message_key *k, struct span text)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);

	*k = (struct message_key){ .bytes = NULL };
	if (text.len > MESSAGE_KEY_MAX)
		return -1;
	casemap(text, &b);
	if (b.len > MESSAGE_KEY_MAX) {
		buf_fini(&b);
		return -1;
	}
	size_t len = b.len;
	message_key_of(k, buf_take(&b), len);
	return 0;
}

void
message_key_fini(struct message_key *k)
{
	mem_free(k->bytes);
	k->bytes = NULL;
	k->len = 0;
}

bool
message_key_is_in(struct span text, const struct message_key *k)
{
	struct span key = span_make(k->bytes, k->len);
	ptrdiff_t at;

	if (k->plain) {
		at = span_find_folded(text, key);
		/* (There is lower case in few texts: "\u00aa" becomes "a".) */
		if (at < 0 || span_eq(span_sub(text, (size_t)at, k->len), key))
			return at >= 0;
	}
	return span_search(text, key) >= 0;
}

static bool
has_not(void *arg, struct span text)
{
	return !message_key_is_in(text, arg);
}

bool
message_plain_has(struct span bytes, const struct message_key *k)
{
	/* A character that is not ASCII could take what follows with it. */
	ptrdiff_t at = k->plain ? span_find_folded(bytes,
	    span_make(k->bytes, k->len)) : -1;

	return at == 0 || (at > 0 && (unsigned char)bytes.p[at - 1] < 0x80);
}

bool
message_has_text(const struct message *m, const struct message_key *k)
{
	return k->len == 0 || !message_text_each(m, TEXT_HEADER | TEXT_MIME |
	    TEXT_BODY, has_not, (void *)(uintptr_t)k);
}

/* RFC 9051 6.4.4: no header field, not those of parts either. */
bool
message_has_body(const struct message *m, const struct message_key *k)
{
	return k->len == 0 || !message_text_each(m, TEXT_BODY, has_not,
	    (void *)(uintptr_t)k);
}

bool
message_has_field(const struct message *m, const char *name,
    const struct message_key *k)
{
	struct shower sh = {
		.utf8 = BUF_INIT(BUF_UNLIMITED),
		.text = BUF_INIT(BUF_UNLIMITED),
	};
	struct span in = m->root->header;
	struct message_field f;
	bool found = false;

	while (!found && message_field_next(&in, &f)) {
		if (!span_caseis(f.name, name))
			continue;
		if (k->len == 0) {
			found = true;
			break;
		}
		buf_reset(&sh.text);
		put_value(&sh, f.value);
		put_addresses(&sh, &f);
		found = !has_not((void *)(uintptr_t)k, buf_span(&sh.text));
	}
	buf_fini(&sh.utf8);
	buf_fini(&sh.text);
	return found;
}
