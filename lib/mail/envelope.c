/* SPDX-License-Identifier: ISC */
/*
 * envelope - ENVELOPE of a header (RFC 9051 7.5.2); see message.h.
 *
 * Addresses are read as RFC 5322 3.4 has them.  What is wrong or missing is
 * shown as Dovecot shows it, for clients know these words: MISSING_MAILBOX,
 * MISSING_DOMAIN, SYNTAX_ERROR, INVALID_ROUTE.
 *
 * A field is looked at up to VALUE_MAX bytes and a list up to ADDRESSES_MAX
 * addresses: what one byte of a message can make of itself here is bounded.
 */
#include "base/array.h"
#include "mail/chars.h"
#include "mail/envelope.h"
#include "mail/lex.h"

#define VALUE_MAX	(256u << 10)	/* bytes of one field */
#define ADDRESSES_MAX	4096		/* of one field */
#define FIELDS_MAX	32		/* of one header */

struct addresses {
	struct lex	 l;
	struct buf	 comment;
	const char	*words_end;	/* of the phrase that was a.name */
	struct address	 a;		/* the one being read */
	struct buf	 text[4];	/* its strings: ADDR_… */
	void		(*fn)(void *arg, const struct address *a);
	void		*arg;
	size_t		 n;
};

/* The fields that ENVELOPE shows, in their order. */
struct fields {
	struct { int which; struct span value; } v[FIELDS_MAX];
	size_t len;
};

enum { ADDR_NAME, ADDR_ROUTE, ADDR_MAILBOX, ADDR_HOST };

static void
forget(struct addresses *as)
{
	for (size_t i = 0; i < ARRAY_LEN(as->text); i++)
		buf_reset(&as->text[i]);
	as->a = (struct address){ .kind = ADDRESS_MAILBOX };
}

static void
show(struct addresses *as)
{
	as->n++;
	as->fn(as->arg, &as->a);
	forget(as);
}

static void
set(struct span *field, const struct buf *b)
{
	*field = buf_span(b);
}

static int
local_part(struct addresses *as)
{
	struct buf *b = &as->text[ADDR_MAILBOX];
	int rc;

	buf_reset(b);
	rc = lex_at(&as->l, '"') ? lex_quoted(&as->l, b) :
	    lex_dot_atom(&as->l, b);
	if (rc == 0)
		set(&as->a.mailbox, b);
	return rc;
}

/* At an '@'. */
static int
host(struct addresses *as)
{
	struct buf *b = &as->text[ADDR_HOST];

	buf_reset(b);
	if (lex_domain(&as->l, b) < 0)
		return -1;
	set(&as->a.host, b);
	return 0;
}

/* "@a,@b:" (RFC 5322 4.4 obs-route). */
static int
route(struct addresses *as)
{
	struct buf *b = &as->text[ADDR_ROUTE];

	buf_reset(b);
	for (;;) {
		buf_add_char(b, '@');
		if (lex_domain(&as->l, b) < 0)
			return -1;
		while (lex_at(&as->l, ',')) {
			as->l.p++;
			lex_skip(&as->l);
		}
		if (!lex_at(&as->l, '@'))
			break;
		buf_add_char(b, ',');
	}
	if (!lex_at(&as->l, ':'))
		return -1;
	as->l.p++;
	set(&as->a.route, b);
	return 0;
}

/* At a '<'. */
static int
angle_addr(struct addresses *as)
{
	as->l.p++;
	lex_skip(&as->l);
	if (lex_at(&as->l, '@')) {
		if (route(as) < 0)
			as->a.route = SPAN("INVALID_ROUTE");
		lex_skip(&as->l);
	}
	if (as->l.p == as->l.end)
		return -1;
	if (*as->l.p != '>') {		/* "<>" is no address, but common */
		if (local_part(as) < 0)
			return -1;
		if (lex_at(&as->l, '@') && host(as) < 0)
			return -1;
	}
	if (!lex_at(&as->l, '>'))
		return -1;
	as->l.p++;
	lex_skip(&as->l);
	return 0;
}

/* [display-name] angle-addr; -1: it does not even begin as one. */
static int
name_addr(struct addresses *as)
{
	struct buf *b = &as->text[ADDR_NAME];

	buf_reset(b);
	as->words_end = NULL;
	if (lex_phrase(&as->l, b) < 0)
		return -1;
	as->words_end = as->l.p;
	if (!lex_at(&as->l, '<'))
		return -1;
	if (b->len > 0)
		set(&as->a.name, b);
	if (angle_addr(as) < 0)
		as->a.host = SPAN("SYNTAX_ERROR");
	return 0;
}

/*
 * [local-part] ["@" domain].  Words that make no address are a name:
 * name_addr() has just read them.
 */
static int
addr_spec(struct addresses *as)
{
	bool quoted = lex_at(&as->l, '"');
	int rc;

	buf_reset(&as->comment);
	as->a = (struct address){ .kind = ADDRESS_MAILBOX };
	rc = local_part(as);
	if (lex_at(&as->l, '@')) {
		if (host(as) < 0)
			rc = -1;
	} else if (rc == 0 && as->comment.len == 0 && as->words_end != NULL &&
	    (quoted || lex_at(&as->l, '"') || (as->l.p < as->l.end &&
	    lex_is_atext((unsigned char)*as->l.p)))) {
		as->l.p = as->words_end;
		as->a.mailbox = SPAN_EMPTY;
		set(&as->a.name, &as->text[ADDR_NAME]);
	}
	if (as->comment.len > 0) {
		/* "joe@example.org (Joe)" */
		buf_reset(&as->text[ADDR_NAME]);
		buf_add_span(&as->text[ADDR_NAME], buf_span(&as->comment));
		set(&as->a.name, &as->text[ADDR_NAME]);
	}
	return rc;
}

static void
fill_missing(struct addresses *as)
{
	if (as->a.mailbox.len == 0)
		as->a.mailbox = SPAN(ENVELOPE_NO_MAILBOX);
	if (as->a.host.len == 0)
		as->a.host = SPAN("MISSING_DOMAIN");
}

static int
mailbox(struct addresses *as)
{
	const char *start = as->l.p;
	int rc = name_addr(as);

	if (rc < 0) {
		as->l.p = start;
		rc = addr_spec(as);
	}
	fill_missing(as);
	show(as);
	return rc;
}

/* 0: that was a group; -1: it is none, nothing was shown. */
static int
group(struct addresses *as)
{
	struct buf *b = &as->text[ADDR_MAILBOX];

	buf_reset(b);
	if (lex_phrase(&as->l, b) < 0 || !lex_at(&as->l, ':'))
		return -1;
	as->l.p++;
	as->a.kind = ADDRESS_GROUP;
	set(&as->a.mailbox, b);
	show(as);
	lex_skip(&as->l);
	while (as->l.p < as->l.end && *as->l.p != ';' &&
	    as->n < ADDRESSES_MAX) {
		if (mailbox(as) < 0 || !lex_at(&as->l, ','))
			break;
		as->l.p++;
		lex_skip(&as->l);
	}
	if (lex_at(&as->l, ';')) {
		as->l.p++;
		lex_skip(&as->l);
	}
	as->a.kind = ADDRESS_GROUP_END;
	show(as);
	return 0;
}

void
envelope_addresses(struct span value, void (*fn)(void *arg,
    const struct address *a), void *arg)
{
	struct addresses as = {
		.comment = BUF_INIT(BUF_UNLIMITED), .fn = fn, .arg = arg,
	};

	for (size_t i = 0; i < ARRAY_LEN(as.text); i++)
		as.text[i] = BUF_INIT(BUF_UNLIMITED);
	value = span_sub(value, 0, VALUE_MAX);
	as.l = lex_on(value);
	as.l.comment = &as.comment;
	forget(&as);
	lex_skip(&as.l);
	while (as.l.p < as.l.end && as.n < ADDRESSES_MAX) {
		const char *start = as.l.p;

		if (group(&as) < 0) {
			as.l.p = start;
			forget(&as);
			(void)mailbox(&as);
		}
		if (!lex_at(&as.l, ','))
			break;			/* noise to the end */
		as.l.p++;
		lex_skip(&as.l);
	}
	buf_fini(&as.comment);
	for (size_t i = 0; i < ARRAY_LEN(as.text); i++)
		buf_fini(&as.text[i]);
}

/* --- fields ------------------------------------------------------------------ */

static const char *const names[] = {
	[ENVELOPE_DATE] = "Date", [ENVELOPE_SUBJECT] = "Subject",
	[ENVELOPE_FROM] = "From", [ENVELOPE_SENDER] = "Sender",
	[ENVELOPE_REPLY_TO] = "Reply-To", [ENVELOPE_TO] = "To",
	[ENVELOPE_CC] = "Cc", [ENVELOPE_BCC] = "Bcc",
	[ENVELOPE_IN_REPLY_TO] = "In-Reply-To",
	[ENVELOPE_MESSAGE_ID] = "Message-ID",
	[ENVELOPE_REFERENCES] = "References",
};

static int
field_of(struct span name)
{
	for (int i = 0; i < ENVELOPE_FIELDS; i++)
		if (span_caseis(name, names[i]))
			return i;
	return -1;
}

void
envelope_fields(const struct message_part *p, struct span *fields)
{
	struct span in = p->header;
	struct message_field f;

	for (int i = 0; i < ENVELOPE_FIELDS; i++)
		fields[i] = SPAN_EMPTY;
	while (message_field_next(&in, &f)) {
		int i = field_of(f.name);

		if (i >= 0 && fields[i].p == NULL)
			fields[i] = f.value;
	}
}

static void
put_literal(struct span s, struct buf *out)
{
	buf_addf(out, "{%zu}\r\n", s.len);
	for (size_t i = 0; i < s.len; i++)
		buf_add_char(out, s.p[i] ? s.p[i] : '\x80');
}

void
message_put_nstring(struct span s, struct buf *out)
{
	size_t escapes = 0;

	if (s.p == NULL) {
		buf_add_str(out, "NIL");
		return;
	}
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '"' || c == '\\')
			escapes++;
		else if (c == '\r' || c == '\n' || c == '\0' || c >= 0x80) {
			put_literal(s, out);
			return;
		}
	}
	buf_add_char(out, '"');
	if (escapes == 0)
		buf_add_span(out, s);
	else
		for (size_t i = 0; i < s.len; i++) {
			if (s.p[i] == '"' || s.p[i] == '\\')
				buf_add_char(out, '\\');
			buf_add_char(out, s.p[i]);
		}
	buf_add_char(out, '"');
}

/*
 * Subjects and names, in which quotes are nothing strange: there are clients
 * that end a quoted string at its first '"'.  So Dovecot and Cyrus send such
 * a text as a literal.
 */
static void
put_human(struct span s, struct buf *out)
{
	if (span_find(s, '"') >= 0 || span_find(s, '\\') >= 0)
		put_literal(s, out);
	else
		message_put_nstring(s, out);
}

static void
put_address(void *arg, const struct address *a)
{
	struct buf *out = arg;

	if (a->kind == ADDRESS_GROUP_END) {
		buf_add_str(out, "(NIL NIL NIL NIL)");
		return;
	}
	buf_add_char(out, '(');
	put_human(a->name, out);
	buf_add_char(out, ' ');
	message_put_nstring(a->route, out);
	buf_add_char(out, ' ');
	message_put_nstring(a->mailbox, out);
	buf_add_char(out, ' ');
	message_put_nstring(a->host, out);
	buf_add_char(out, ')');
}

/*
 * All addresses of a field; NIL where there are none.  RFC 5322 3.6 allows
 * each field once.  Where there are more, lists are joined and of the others
 * the last one is shown, as Dovecot does.
 */
static void
put_list(const struct fields *fs, int which, struct buf *out)
{
	size_t start = out->len;

	buf_add_char(out, '(');
	for (size_t i = 0; i < fs->len; i++)
		if (fs->v[i].which == which)
			envelope_addresses(fs->v[i].value, put_address, out);
	if (out->len == start + 1) {
		buf_trunc(out, start);
		buf_add_str(out, "NIL");
	} else
		buf_add_char(out, ')');
}

static struct span
last(const struct fields *fs, int which)
{
	for (size_t i = fs->len; i-- > 0;)
		if (fs->v[i].which == which)
			return fs->v[i].value;
	return SPAN_EMPTY;
}

/*
 * A line end and the white space after it become one space; with squeeze,
 * for people, any run of white space.  A NUL cannot be shown.
 */
static void
unfold(struct span value, bool squeeze, struct buf *out)
{
	for (size_t i = 0; i < value.len; i++) {
		char c = value.p[i];

		if (c == '\n' || c == '\r' || (squeeze && char_is_space(c))) {
			while (i + 1 < value.len &&
			    char_is_space(value.p[i + 1]))
				i++;
			buf_add_char(out, ' ');
		} else if (c == '\0')
			buf_add_str(out, "\xef\xbf\xbd");
		else
			buf_add_char(out, c);
	}
}

static void
put_unfolded(struct span value, bool squeeze, struct buf *out)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);

	unfold(value, squeeze, &b);
	if (squeeze)
		put_human(buf_span(&b), out);
	else
		message_put_nstring(buf_span(&b), out);
	buf_fini(&b);
}

void
message_put_field(struct span value, struct buf *out)
{
	if (value.p == NULL) {
		buf_add_str(out, "NIL");
		return;
	}
	value = span_sub(value, 0, VALUE_MAX);
	while (value.len > 0 && char_is_space(value.p[0]))
		value = span_from(value, 1);
	if (value.len > 0 && (memchr(value.p, '\n', value.len) != NULL ||
	    memchr(value.p, '\r', value.len) != NULL ||
	    memchr(value.p, '\0', value.len) != NULL))
		put_unfolded(value, false, out);
	else
		message_put_nstring(value, out);
}

/* The one field that is for people: no more white space than they see. */
static void
put_subject(struct span value, struct buf *out)
{
	if (value.p == NULL)
		buf_add_str(out, "NIL");
	else
		put_unfolded(span_trim(span_sub(value, 0, VALUE_MAX)), true,
		    out);
}

void
envelope_put(const struct message_part *p, bool addresses, struct buf *out)
{
	struct fields fs;
	struct span in = p->header;
	struct message_field f;
	size_t from = 0, from_len = 0;

	fs.len = 0;
	while (fs.len < FIELDS_MAX && message_field_next(&in, &f)) {
		int which = field_of(f.name);

		if (which >= 0 && which <= ENVELOPE_MESSAGE_ID &&
		    (addresses || which < ENVELOPE_FROM ||
		    which > ENVELOPE_BCC)) {
			fs.v[fs.len].which = which;
			fs.v[fs.len++].value = f.value;
		}
	}
	buf_add_char(out, '(');
	message_put_field(last(&fs, ENVELOPE_DATE), out);
	buf_add_char(out, ' ');
	put_subject(last(&fs, ENVELOPE_SUBJECT), out);
	for (int i = ENVELOPE_FROM; i <= ENVELOPE_BCC; i++) {
		size_t start;

		buf_add_char(out, ' ');
		start = out->len;
		put_list(&fs, i, out);
		if (i == ENVELOPE_FROM) {
			from = start;
			from_len = out->len - start;
		} else if ((i == ENVELOPE_SENDER ||
		    i == ENVELOPE_REPLY_TO) &&
		    span_is(span_from(buf_span(out), start), "NIL")) {
			/* RFC 9051 7.5.2: absent or empty, From's. */
			buf_trunc(out, start);
			buf_add(out, out->data + from, from_len);
		}
	}
	buf_add_char(out, ' ');
	message_put_field(last(&fs, ENVELOPE_IN_REPLY_TO), out);
	buf_add_char(out, ' ');
	message_put_field(last(&fs, ENVELOPE_MESSAGE_ID), out);
	buf_add_char(out, ')');
}

void
message_put_envelope(const struct message_part *p, struct buf *out)
{
	envelope_put(p, true, out);
}
