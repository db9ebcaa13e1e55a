/* SPDX-License-Identifier: ISC */
/*
 * report - see report.h.  Everything that comes from an envelope may have been
 * chosen by a stranger: put() lets no control character into the text.
 */
#include "bounce/report.h"

#include "base/clock.h"
#include "base/utf8.h"
#include "conf/params.h"
#include "mail/address.h"
#include "mail/dsn.h"
#include "mail/header.h"

#define REFERENCES_MAX	900	/* bytes; older ones are left out */
#define TEXT_WIDTH	76

static void
put(struct buf *out, struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];

		buf_add_char(out, (unsigned char)c < ' ' || c == 0x7f ? ' '
		    : c);
	}
}

static void
put_address(struct buf *out, struct span addr)
{
	struct buf tmp = BUF_INIT(BUF_UNLIMITED);

	address_quote_822(addr, &tmp);
	put(out, buf_span(&tmp));
	buf_fini(&tmp);
}

static bool
is_utf8(const struct report *r)
{
	return (r->e->flags & ENV_SMTPUTF8) != 0;
}

/* --- header ------------------------------------------------------------------------- */

void
report_from(const char *from, struct buf *out)
{
	struct span s = span_of(from), addr = s, name = SPAN_EMPTY;
	ptrdiff_t open = span_find(s, '('), close = span_rfind(s, ')');
	bool bare;

	if (open > 0 && close > open) {
		addr = span_trim(span_sub(s, 0, (size_t)open));
		name = span_sub(s, (size_t)open + 1,
		    (size_t)(close - open - 1));
	}
	/* Anything else than "word (name)" is taken as it stands. */
	if (span_find(addr, '<') >= 0 || span_find(addr, ' ') >= 0) {
		buf_add_span(out, s);
		return;
	}
	bare = span_find(addr, '@') < 0;
	if (name.len > 0 && strcmp(conf.header_from_format, "obsolete") != 0) {
		buf_add_span(out, name);
		buf_add_str(out, " <");
	}
	buf_add_span(out, addr);
	if (bare) {
		buf_add_char(out, '@');
		buf_add_str(out, conf.myorigin);
	}
	if (name.len == 0)
		return;
	if (strcmp(conf.header_from_format, "obsolete") != 0) {
		buf_add_char(out, '>');
	} else {
		buf_add_str(out, " (");
		buf_add_span(out, name);
		buf_add_char(out, ')');
	}
}

/* RFC 5322 3.6.4: a reply names what it answers. */
static void
put_threading(const struct report *r, struct buf *out)
{
	struct buf id = BUF_INIT(BUF_UNLIMITED),
	    refs = BUF_INIT(BUF_UNLIMITED);
	struct header_field f;

	if (!conf.enable_threaded_bounces || r->postmaster ||
	    !header_find(r->header, "message-id", &f))
		return;
	header_unfold(f.value, &id);
	if (id.len > 0 && id.len < REFERENCES_MAX) {
		if (header_find(r->header, "references", &f) ||
		    header_find(r->header, "in-reply-to", &f))
			header_unfold(f.value, &refs);
		buf_add_str(out, "In-Reply-To: ");
		put(out, buf_span(&id));
		buf_add_str(out, "\nReferences:");
		if (refs.len > 0 && refs.len < REFERENCES_MAX) {
			struct span rest = buf_span(&refs), ref;

			while (span_token(&rest, " \t", &ref)) {
				buf_add_str(out, " ");
				put(out, ref);
				buf_add_str(out, "\n");
			}
		}
		buf_add_char(out, ' ');
		put(out, buf_span(&id));
		buf_add_char(out, '\n');
	}
	buf_fini(&id);
	buf_fini(&refs);
}

static void
put_headers(const struct report *r, struct buf *out)
{
	char date[CLOCK_RFC5322_MAX];

	clock_rfc5322(r->now_s, date);
	buf_addf(out, "Date: %s\nFrom: ", date);
	report_from(r->t->from, out);
	buf_addf(out, "\nSubject: %s\nTo: ", r->postmaster &&
	    r->t->postmaster_subject != NULL ? r->t->postmaster_subject
	    : r->t->subject);
	put_address(out, r->to);
	buf_addf(out, "\nMessage-Id: <%s>\n", r->message_id);
	put_threading(r, out);
	buf_addf(out,
	    "Auto-Submitted: auto-replied\n"	/* RFC 3834 5 */
	    "MIME-Version: 1.0\n"
	    "Content-Type: multipart/report; report-type=delivery-status;\n"
	    "\tboundary=\"%s\"\n", r->boundary);
	if (r->eightbit || is_utf8(r))
		buf_add_str(out, "Content-Transfer-Encoding: 8bit\n");
	buf_add_str(out, "\nThis is a MIME-encapsulated message.\n\n");
}

/* --- for people ------------------------------------------------------------------------ */

/* Words in lines of at most TEXT_WIDTH, the later ones indented. */
static void
put_wrapped(struct buf *out, struct span text)
{
	struct span word;
	size_t col = 0;

	while (span_token(&text, " \t\r\n", &word)) {
		if (col > 0 && col + 1 + word.len > TEXT_WIDTH) {
			buf_add_str(out, "\n    ");
			col = 4;
		} else if (col > 0) {
			buf_add_char(out, ' ');
			col++;
		}
		put(out, word);
		col += word.len;
	}
	buf_add_char(out, '\n');
}

static void
put_recipient_text(const struct rcpt *rc, struct buf *out)
{
	struct buf line = BUF_INIT(BUF_UNLIMITED);

	buf_add_char(&line, '<');
	put_address(&line, rc->addr);
	buf_add_char(&line, '>');
	if (rc->orig.len > 0 && !span_eq(rc->orig, rc->addr)) {
		buf_add_str(&line, " (expanded from <");
		put_address(&line, rc->orig);
		buf_add_str(&line, ">)");
	}
	buf_add_str(&line, ": ");
	buf_add_span(&line, rc->text.len > 0 ? rc->text
	    : SPAN("(no reason given)"));
	put_wrapped(out, buf_span(&line));
	buf_fini(&line);
	buf_add_char(out, '\n');
}

static void
put_text_part(const struct report *r, struct buf *out)
{
	buf_addf(out, "--%s\nContent-Description: Notification\n"
	    "Content-Type: text/plain; charset=%s\n", r->boundary,
	    is_utf8(r) ? "utf-8" : r->t->charset);
	if (is_utf8(r) || !utf8_ascii(span_of(r->text)))
		buf_add_str(out, "Content-Transfer-Encoding: 8bit\n");
	buf_add_char(out, '\n');
	if (!r->postmaster) {
		buf_add_str(out, r->text);
		buf_add_char(out, '\n');
	}
	for (size_t i = 0; i < r->e->rcpts.len; i++)
		put_recipient_text(&r->e->rcpts.v[i], out);
}

/* --- for machines: RFC 3464 -------------------------------------------------------------- */

static void
put_typed(const struct report *r, struct buf *out, const char *field,
    struct span addr)
{
	/* RFC 6533 3: addresses beyond ASCII are of type utf-8. */
	buf_addf(out, "%s: %s; ", field, is_utf8(r) && !utf8_ascii(addr) ?
	    "utf-8" : "rfc822");
	put_address(out, addr);
	buf_add_char(out, '\n');
}

/* What was found out for somebody who asked has words of its own, as in
 * Postfix: nothing has been delivered. */
static const char *
reported_action(const struct report *r, const struct rcpt *rc)
{
	if (r->e->flags & ENV_PROBE)
		return rc->fate == RCPT_DELIVERED ? "deliverable" :
		    "undeliverable";
	return rc->fate == RCPT_DELIVERED ? "delivered" :
	    rc->fate == RCPT_PENDING ? "delayed" : "failed";
}

static const char *
action(const struct report *r, const struct rcpt *rc)
{
	switch (r->kind) {
	case BOUNCE_FAILURE:
	case BOUNCE_DOUBLE:
		return "failed";
	case BOUNCE_DELAY:
		return "delayed";
	case BOUNCE_RELAYED:
		return "relayed";
	case BOUNCE_EXPANDED:
		return "expanded";
	case BOUNCE_VERIFY:
		return reported_action(r, rc);
	case BOUNCE_SUCCESS:
		break;
	}
	return "delivered";
}

/* "host x said: 550 no" is the other side's answer: 550 no. */
static struct span
remote_reply(struct span text)
{
	ptrdiff_t at = span_search(text, SPAN(" said: "));
	struct span reply;

	if (at < 0)
		return SPAN_EMPTY;
	reply = span_from(text, (size_t)at + 7);
	if (reply.len < 4 || reply.p[0] < '2' || reply.p[0] > '5' ||
	    reply.p[1] < '0' || reply.p[1] > '9' || reply.p[2] < '0' ||
	    reply.p[2] > '9')
		return SPAN_EMPTY;
	return reply;
}

/* Who was meant, in the sender's words; in ASCII where the report is (RFC 6533
 * 3: utf-8-addr-xtext). */
static void
put_orcpt(const struct report *r, struct buf *out, struct span orcpt)
{
	struct buf ascii = BUF_INIT(BUF_UNLIMITED);
	size_t type = strlen("utf-8;");

	if (!is_utf8(r) && span_casestarts(orcpt, SPAN("utf-8;"))) {
		buf_add_span(&ascii, span_sub(orcpt, 0, type));
		dsn_utf8_encode(span_from(orcpt, type), true, &ascii);
		orcpt = buf_span(&ascii);
	}
	buf_add_str(out, "Original-Recipient: ");
	put(out, orcpt);
	buf_add_char(out, '\n');
	buf_fini(&ascii);
}

static void
put_recipient_status(const struct report *r, const struct rcpt *rc,
    struct buf *out)
{
	struct span reply = remote_reply(rc->text);
	ptrdiff_t bracket = span_find(rc->relay, '[');
	char date[CLOCK_RFC5322_MAX];

	buf_add_char(out, '\n');
	put_typed(r, out, "Final-Recipient", rc->addr);
	if (rc->dsn_orcpt.len > 0) {
		put_orcpt(r, out, rc->dsn_orcpt);
	} else if (rc->orig.len > 0 && !span_eq(rc->orig, rc->addr)) {
		put_typed(r, out, "Original-Recipient", rc->orig);
	}
	buf_addf(out, "Action: %s\nStatus: ", action(r, rc));
	put(out, dsn_code_valid(rc->dsn) ? rc->dsn : rc->fate ==
	    RCPT_BOUNCED ? SPAN("5.0.0") : rc->fate == RCPT_PENDING ?
	    SPAN("4.0.0") : SPAN("2.0.0"));
	buf_add_char(out, '\n');
	if (bracket > 0 && r->kind != BOUNCE_SUCCESS) {
		buf_add_str(out, "Remote-MTA: dns; ");
		put(out, span_sub(rc->relay, 0, (size_t)bracket));
		buf_add_char(out, '\n');
	}
	if (rc->text.len > 0) {
		struct buf diag = BUF_INIT(BUF_UNLIMITED);

		buf_addf(&diag, "%s; ", reply.len > 0 ? "smtp" : "X-Mansio");
		put(&diag, reply.len > 0 ? reply : rc->text);
		header_fold(out, "Diagnostic-Code", buf_span(&diag), "\n");
		buf_fini(&diag);
	}
	if (r->kind == BOUNCE_DELAY) {
		clock_rfc5322(r->give_up_s, date);
		buf_addf(out, "Will-Retry-Until: %s\n", date);
	}
}

static void
put_status_part(const struct report *r, struct buf *out)
{
	char date[CLOCK_RFC5322_MAX];

	buf_addf(out, "--%s\nContent-Description: Delivery report\n"
	    "Content-Type: message/%s\n", r->boundary, is_utf8(r) ?
	    "global-delivery-status" : "delivery-status");
	if (is_utf8(r))
		buf_add_str(out, "Content-Transfer-Encoding: 8bit\n");
	buf_addf(out, "\nReporting-MTA: dns; %s\n", conf.myhostname);
	if (r->e->dsn_envid.len > 0) {
		buf_add_str(out, "Original-Envelope-Id: ");
		put(out, r->e->dsn_envid);
		buf_add_char(out, '\n');
	}
	buf_add_str(out, "X-Mansio-Queue-ID: ");
	put(out, r->e->queue_id);
	buf_add_char(out, '\n');
	if (r->e->sender.len > 0)
		put_typed(r, out, "X-Mansio-Sender", r->e->sender);
	clock_rfc5322(r->e->arrival_us / 1000000, date);
	buf_addf(out, "Arrival-Date: %s\n", date);
	for (size_t i = 0; i < r->e->rcpts.len; i++)
		put_recipient_status(r, &r->e->rcpts.v[i], out);
	buf_add_char(out, '\n');
}

/* --- the original ------------------------------------------------------------------------- */

static void
put_original(const struct report *r, struct buf *out)
{
	const char *type;

	if (r->full)
		type = is_utf8(r) ? "message/global" : "message/rfc822";
	else
		type = is_utf8(r) ? "message/global-headers"
		    : "text/rfc822-headers";
	buf_addf(out, "--%s\nContent-Description: %s\nContent-Type: %s\n",
	    r->boundary, r->kind == BOUNCE_FAILURE || r->kind == BOUNCE_DOUBLE
	    ? (r->full ? "Undelivered Message" :
	    "Undelivered Message Headers") : r->kind == BOUNCE_DELAY ?
	    "Delayed Message Headers" : "Message Headers", type);
	if (r->eightbit || is_utf8(r))
		buf_add_str(out, "Content-Transfer-Encoding: 8bit\n");
	buf_add_str(out, "\nReturn-Path: <");
	put_address(out, r->e->sender);
	buf_add_str(out, ">\n");
}

void
report_head(const struct report *r, struct buf *out)
{
	put_headers(r, out);
	put_text_part(r, out);
	put_status_part(r, out);
	put_original(r, out);
}

void
report_tail(const struct report *r, struct buf *out)
{
	/* The bytes before may lack their last line end. */
	buf_addf(out, "\n--%s--\n", r->boundary);
}
