/* SPDX-License-Identifier: ISC */
/*
 * structure - BODY and BODYSTRUCTURE of a part (RFC 9051 7.5.2, RFC 3501
 * 7.4.2); see message.h.
 *
 * Recursion is as deep as the tree, which message_parse() bounds.
 */
#include "mail/envelope.h"
#include "mail/lex.h"
#include "mail/message.h"

#define PARAMS_MAX	128		/* of one field */

/*
 * A short address makes a long answer, and a message may hold thousands of
 * messages with thousands of addresses each.  Beyond so many bytes attached
 * messages are shown without addresses.
 */
#define ADDRESSES_UNTIL	(4u << 20)

struct writer {
	struct buf	*out;
	size_t		 start;
	bool		 extended;
};

struct param_list {
	struct buf	*out;
	size_t		 n;
	bool		 text;		/* a charset is missing */
};

static void
put_u64(struct buf *out, uint64_t v)
{
	buf_addf(out, " %llu", (unsigned long long)v);
}

static void
put_param(void *arg, struct span name, struct span value)
{
	struct param_list *p = arg;

	p->n++;
	buf_add_char(p->out, p->n > 1 ? ' ' : '(');
	message_put_nstring(name, p->out);
	buf_add_char(p->out, ' ');
	message_put_nstring(value, p->out);
	if (span_caseis(name, "charset") || span_caseis(name, "charset*"))
		p->text = false;
}

/* "(name value …)" or NIL; text has a charset (RFC 2045 5.2). */
static void
put_params(struct span params, bool text, struct buf *out)
{
	struct param_list p = { .out = out, .text = text };

	if (params.p != NULL)
		lex_each_param(params, PARAMS_MAX, put_param, &p);
	if (p.text)
		put_param(&p, SPAN("charset"), SPAN("us-ascii"));
	buf_add_str(out, p.n > 0 ? ")" : "NIL");
}

static void
put_disposition(struct span value, struct buf *out)
{
	struct lex l = lex_on(value);
	struct buf b = BUF_INIT(BUF_UNLIMITED);

	if (value.p != NULL) {
		lex_skip(&l);
		(void)!lex_token(&l, &b);
	}
	if (span_trim(value).len == 0)
		buf_add_str(out, "NIL");
	else {
		buf_add_char(out, '(');
		message_put_nstring(buf_span(&b), out);
		buf_add_char(out, ' ');
		put_params(span_make(l.p, (size_t)(l.end - l.p)), false, out);
		buf_add_char(out, ')');
	}
	buf_fini(&b);
}

/* A list of tags (RFC 3282); one is shown as a list, too. */
static void
put_languages(struct span value, struct buf *out)
{
	struct lex l = lex_on(value);
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	bool any = false;

	if (value.p != NULL) {
		lex_skip(&l);
		for (int i = 0; i < PARAMS_MAX && l.p < l.end; i++) {
			buf_reset(&b);
			if (lex_token(&l, &b) < 0)
				break;
			buf_add_char(out, any ? ' ' : '(');
			message_put_nstring(buf_span(&b), out);
			any = true;
			if (!lex_at(&l, ','))
				break;
			l.p++;
			lex_skip(&l);
		}
	}
	buf_add_str(out, any ? ")" : "NIL");
	buf_fini(&b);
}

/* body-ext-1part without the MD5, body-ext-mpart without the parameters. */
static void
put_extension(const struct message_part *p, struct buf *out)
{
	put_disposition(p->mime.disposition, out);
	buf_add_char(out, ' ');
	put_languages(p->mime.language, out);
	buf_add_char(out, ' ');
	message_put_field(p->mime.location, out);
}

static void put_part(const struct writer *w, const struct message_part *p);

static void
put_multipart(const struct writer *w, const struct message_part *p)
{
	struct buf *out = w->out;

	/* The grammar wants one part at least. */
	if (p->child == NULL)
		buf_addf(out, "(\"text\" \"plain\" (\"charset\" \"us-ascii\") "
		    "NIL NIL \"7bit\" 0 0%s)",
		    w->extended ? " NIL NIL NIL NIL" : "");
	for (const struct message_part *c = p->child; c != NULL; c = c->next)
		put_part(w, c);
	buf_add_char(out, ' ');
	message_put_nstring(p->subtype, out);
	if (!w->extended)
		return;
	buf_add_char(out, ' ');
	put_params(p->params, false, out);
	buf_add_char(out, ' ');
	put_extension(p, out);
}

static void
put_encoding(const struct message_part *p, struct buf *out)
{
	struct span v = p->mime.encoding;
	struct lex l = lex_on(v);
	struct buf b = BUF_INIT(BUF_UNLIMITED);

	if (v.p != NULL) {
		lex_skip(&l);
		(void)!lex_token(&l, &b);
	}
	if (b.len == 0 || l.p < l.end)
		buf_add_str(out, "\"7bit\"");
	else
		message_put_nstring(buf_span(&b), out);
	buf_fini(&b);
}

static void
put_leaf(const struct writer *w, const struct message_part *p)
{
	struct buf *out = w->out;

	if (p->type.p == NULL && p->kind != MESSAGE_RFC822)
		buf_add_str(out, "\"text\" \"plain\"");
	else if (p->kind == MESSAGE_RFC822)
		buf_addf(out, "\"message\" \"%s\"",
		    span_caseis(p->subtype, "global") ? "global" : "rfc822");
	else {
		message_put_nstring(p->type, out);
		buf_add_char(out, ' ');
		message_put_nstring(p->subtype, out);
	}
	buf_add_char(out, ' ');
	put_params(p->params, p->kind == MESSAGE_TEXT, out);
	buf_add_char(out, ' ');
	message_put_field(p->mime.id, out);
	buf_add_char(out, ' ');
	message_put_field(p->mime.description, out);
	buf_add_char(out, ' ');
	put_encoding(p, out);
	put_u64(out, p->body_crlf);
	if (p->kind == MESSAGE_RFC822) {
		buf_add_char(out, ' ');
		envelope_put(p->child, out->len - w->start < ADDRESSES_UNTIL,
		    out);
		buf_add_char(out, ' ');
		put_part(w, p->child);
	}
	if (p->kind == MESSAGE_RFC822 || p->kind == MESSAGE_TEXT)
		put_u64(out, p->body_lines);
	if (!w->extended)
		return;
	buf_add_char(out, ' ');
	message_put_field(p->mime.md5, out);
	buf_add_char(out, ' ');
	put_extension(p, out);
}

static void
put_part(const struct writer *w, const struct message_part *p)
{
	buf_add_char(w->out, '(');
	if (p->kind == MESSAGE_MULTIPART)
		put_multipart(w, p);
	else
		put_leaf(w, p);
	buf_add_char(w->out, ')');
}

void
message_put_structure(const struct message_part *p, bool extended,
    struct buf *out)
{
	struct writer w = { .out = out, .start = out->len,
	    .extended = extended };

	put_part(&w, p);
}
