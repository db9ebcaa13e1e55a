/* SPDX-License-Identifier: ISC */
/*
 * transaction - one message in a session: MAIL, RCPT, DATA, and what the
 * server says to each (RFC 5321 3.3); body.c has the message itself.
 *
 * With PIPELINING the commands go out together and DATA with them, so DATA
 * may be accepted though no recipient was: then an empty message is ended at
 * once and its result is nobody's (RFC 2920 3.1).  BDAT waits for all answers.
 */
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "mail/address.h"
#include "mail/dsn.h"
#include "smtp/smtp.h"

#define AHEAD_MAX	200	/* RCPTs without an answer */

static struct buf line_buf = BUF_INIT(BUF_UNLIMITED);

/* --- reasons ------------------------------------------------------------------------ */

void
transaction_why(const struct session *s, const char *command, struct why *why)
{
	unsigned class = s->reply.code / 100;
	const char *dsn = s->reply.dsn;

	if (class != 4 && class != 5) {
		/* 2xx or 3xx where it makes no sense: not understood, so not
		 * for ever. */
		class = 4;
		dsn = "";
	}
	(void)why_set(why, dsn[0] != '\0' ? dsn : class == 5 ? "5.0.0" :
	    "4.0.0", "host %s said: %s (in reply to %s)", s->said,
	    s->reply.text.data, command);
}

/* --- after the transaction ------------------------------------------------------------- */

static void
clear(struct session *s)
{
	content_free(&s->content);
	s->mail_ok = s->mail_failed = s->data_sent = s->mail_sent = false;
	s->xforward_replies = 0;
	s->abort_data = false;
	s->next_send = s->next_reply = s->accepted = s->lmtp_reply = 0;
}

/* The session is well and has no transaction; the delivery goes on alone. */
void
transaction_finish(struct session *s, bool need_rset)
{
	struct delivery *d = s->d;

	clear(s);
	s->used++;
	d->session = NULL;
	s->d = NULL;
	delivery_next(d);
	if (s->spent) {
		session_quit(s);
	} else if (need_rset) {
		session_set_state(s, S_RSET);
		stream_write_span(s->stream, SPAN("RSET\r\n"));
		stream_set_deadline(s->stream, set.rset_ms);
	} else {
		cache_put(s);
	}
}

/* All recipients that are left share this fate; temporary: the next host. */
void
transaction_failed(struct session *s, const struct why *why)
{
	struct delivery *d = s->d;

	for (size_t i = 0; i < d->env.rcpts.len; i++)
		d->targets[i].accepted = false;
	s->accepted = 0;
	delivery_host_failed(d, why, s->reply.code == 421);
}

void
transaction_rcpt_failed(struct session *s, size_t i, const struct why *why)
{
	struct delivery *d = s->d;

	d->why = *why;
	if (why->code[0] != '5' && !delivery_final(d)) {
		log_info("%.*s: %s", SPAN_ARG(d->env.queue_id), why->text);
		return;
	}
	delivery_rcpt_done(d, i, why->code[0] == '5' ? DELIVER_BOUNCED :
	    DELIVER_DEFERRED, why->code, why->text, "");
}

/* --- commands -------------------------------------------------------------------------- */

static bool
is_ascii(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((uint8_t)s.p[i] >= 0x80)
			return false;
	return true;
}

/* RFC 6531 3.4: only what cannot be said without it needs it. */
static bool
needs_utf8(const struct delivery *d)
{
	if (!(d->env.flags & ENV_SMTPUTF8))
		return false;
	if (!is_ascii(generic_find(d->generic, d->env.sender)) ||
	    d->facts.eight_bit_header)
		return true;
	for (size_t i = 0; i < d->env.rcpts.len; i++)
		if (d->targets[i].state == T_TODO &&
		    !is_ascii(generic_find(d->generic,
		    d->env.rcpts.v[i].addr)))
			return true;
	return false;
}

static bool
send_8bit(const struct session *s)
{
	const struct delivery *d = s->d;

	return (s->features & FEATURE_8BITMIME) &&
	    (d->facts.eight_bit_body || d->facts.eight_bit_header ||
	    (d->env.flags & ENV_8BITMIME));
}

static void
send_mail(struct session *s)
{
	struct delivery *d = s->d;
	const struct envelope *e = &d->env;
	struct buf *b = &line_buf;

	buf_reset(b);
	buf_add_str(b, "MAIL FROM:<");
	address_quote_821(generic_find(d->generic, e->sender), b);
	buf_add_char(b, '>');
	if (s->features & FEATURE_SIZE)
		buf_addf(b, " SIZE=%llu", (unsigned long long)d->facts.size);
	if (send_8bit(s))
		buf_add_str(b, " BODY=8BITMIME");
	if (needs_utf8(d))
		buf_add_str(b, " SMTPUTF8");
	if ((e->flags & ENV_REQUIRETLS) && s->tls &&
	    (s->features & FEATURE_REQUIRETLS))
		buf_add_str(b, " REQUIRETLS");
	/* Who logged in is this host; we vouch for no sender (RFC 4954 5). */
	if (set.sasl_dummy && s->logged_in)
		buf_add_str(b, " AUTH=<>");
	if (s->features & FEATURE_DSN) {
		if (e->dsn_ret != DSN_RET_UNSET)
			buf_addf(b, " RET=%s", e->dsn_ret == DSN_RET_FULL ?
			    "FULL" : "HDRS");
		if (e->dsn_envid.len > 0) {
			buf_add_str(b, " ENVID=");
			dsn_xtext_encode(e->dsn_envid, b);
		}
	}
	buf_add_str(b, "\r\n");
	stream_write_span(s->stream, buf_span(b));
	s->mail_sent = true;
}

static void
add_notify(struct buf *b, unsigned notify)
{
	static const struct {
		unsigned	 bit;
		const char	*word;
	} words[] = {
		{ DSN_NOTIFY_NEVER, "NEVER" },
		{ DSN_NOTIFY_SUCCESS, "SUCCESS" },
		{ DSN_NOTIFY_FAILURE, "FAILURE" },
		{ DSN_NOTIFY_DELAY, "DELAY" },
	};
	const char *sep = " NOTIFY=";

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (!(notify & words[i].bit))
			continue;
		buf_addf(b, "%s%s", sep, words[i].word);
		sep = ",";
	}
}

/* RFC 3461 4.2, 5.2.1: who was meant first, as far as we know. */
static void
add_orcpt(struct buf *b, const struct rcpt *r, bool utf8)
{
	struct buf quoted = BUF_INIT(BUF_UNLIMITED);
	ptrdiff_t semi = span_find(r->dsn_orcpt, ';');
	struct span type, addr;

	if (semi > 0) {
		type = span_sub(r->dsn_orcpt, 0, (size_t)semi);
		addr = span_from(r->dsn_orcpt, (size_t)semi + 1);
		buf_addf(b, " ORCPT=%.*s;", SPAN_ARG(type));
		if (span_caseis(type, "utf-8"))
			dsn_utf8_encode(addr, !utf8, b);
		else
			dsn_xtext_encode(addr, b);
	} else if (r->orig.len > 0 && is_ascii(r->orig)) {
		address_quote_822(r->orig, &quoted);
		buf_add_str(b, " ORCPT=rfc822;");
		dsn_xtext_encode(buf_span(&quoted), b);
	}
	buf_fini(&quoted);
}

static void
send_rcpt(struct session *s, size_t i)
{
	const struct rcpt *r = &s->d->env.rcpts.v[i];
	struct buf *b = &line_buf;

	buf_reset(b);
	buf_add_str(b, "RCPT TO:<");
	address_quote_821(generic_find(s->d->generic, r->addr), b);
	buf_add_char(b, '>');
	s->d->targets[i].notify_passed = (s->features & FEATURE_DSN) != 0;
	if (s->features & FEATURE_DSN) {
		add_notify(b, r->dsn_notify);
		add_orcpt(b, r, needs_utf8(s->d));
	}
	buf_add_str(b, "\r\n");
	stream_write_span(s->stream, buf_span(b));
}

static size_t
next_todo(const struct delivery *d, size_t i)
{
	while (i < d->env.rcpts.len && d->targets[i].state != T_TODO)
		i++;
	return i;
}

/*
 * Write the commands that may go out now.  next_send and next_reply run over
 * the recipients that were left when the transaction began; one is answered
 * for only when its reply has come, so both see the same ones.
 */
static void
send_envelope(struct session *s)
{
	struct delivery *d = s->d;
	bool pipelining = (s->features & FEATURE_PIPELINING) != 0;

	if (!pipelining && s->xforward_replies > 0)
		return;
	if (!s->mail_sent) {
		send_mail(s);
		s->next_send = s->next_reply = next_todo(d, 0);
		if (!pipelining)
			return;
	}
	while (s->next_send < d->env.rcpts.len &&
	    (pipelining ? s->next_send - s->next_reply < AHEAD_MAX :
	    s->next_send == s->next_reply)) {
		send_rcpt(s, s->next_send);
		s->next_send = next_todo(d, s->next_send + 1);
	}
	if (d->env.flags & ENV_PROBE)
		return;		/* the answers to RCPT are all we want */
	if (s->next_send >= d->env.rcpts.len && !s->data_sent &&
	    !body_chunked(s) && (pipelining || (s->next_reply >= d->env.rcpts.len &&
	    s->accepted > 0))) {
		stream_write_span(s->stream, SPAN("DATA\r\n"));
		s->data_sent = true;
	}
}

static void
set_deadline(struct session *s)
{
	stream_set_deadline(s->stream,
	    s->xforward_replies > 0 ? set.xforward_ms : !s->mail_ok && !s->mail_failed ? set.mail_ms :
	    s->next_reply < s->d->env.rcpts.len ? set.rcpt_ms :
	    set.data_init_ms);
}

/* --- before anything is said ------------------------------------------------------------- */

/* 0, or -1 with why: this host cannot take this message. */
static int
check_peer(struct session *s, struct why *why)
{
	struct delivery *d = s->d;

	if (delivery_facts(d, why) < 0)
		return -1;
	if ((s->features & FEATURE_SIZE) && s->size_limit > 0 &&
	    d->facts.size > s->size_limit)
		return why_set(why, "5.3.4", "message size %llu exceeds size "
		    "limit %llu of server %s",
		    (unsigned long long)d->facts.size,
		    (unsigned long long)s->size_limit, s->said);
	/* RFC 8689 4.2.1: perhaps another host has it. */
	if (delivery_requires_tls(d) && !(s->tls &&
	    (s->features & FEATURE_REQUIRETLS)))
		return why_set(why, delivery_final(d) ? "5.7.30" : "4.7.30",
		    "REQUIRETLS is required, but was not offered by host %s",
		    s->said);
	if (needs_utf8(d) && !(s->features & FEATURE_SMTPUTF8))
		return why_set(why, "5.6.7", "SMTPUTF8 is required, but was "
		    "not offered by host %s", s->said);
	return 0;
}

void
transaction_start(struct session *s)
{
	struct why why = WHY_INIT;

	clear(s);
	session_set_state(s, S_ENVELOPE);
	if (check_peer(s, &why) < 0) {
		delivery_host_failed(s->d, &why, false);
		transaction_finish(s, false);
		return;
	}
	s->xforward_replies = xforward_send(s);
	send_envelope(s);
	set_deadline(s);
}

/* --- replies to commands ------------------------------------------------------------------ */

/*
 * All that was sent is answered, and there is no message to send: either
 * nothing was begun, or RSET ends it.
 */
static void
no_message(struct session *s)
{
	transaction_finish(s, s->mail_ok);
}

static void
on_mail(struct session *s)
{
	struct why why = WHY_INIT;

	if (s->reply.code / 100 == 2) {
		s->mail_ok = true;
		return;
	}
	s->mail_failed = true;
	transaction_why(s, "MAIL FROM command", &why);
	transaction_failed(s, &why);
}

static void
on_rcpt(struct session *s)
{
	struct delivery *d = s->d;
	size_t i = s->next_reply;
	struct why why = WHY_INIT;

	/* Its turn is over before it can be answered for. */
	s->next_reply = next_todo(d, i + 1);
	if (s->mail_failed)
		return;		/* nothing of this was meant */
	if (s->reply.code / 100 == 2 && (d->env.flags & ENV_PROBE)) {
		delivery_rcpt_done(d, i, DELIVER_DELIVERED,
		    s->reply.dsn[0] == '2' ? s->reply.dsn : "2.0.0",
		    s->reply.text.data, "");
		return;
	}
	if (s->reply.code / 100 == 2) {
		d->targets[i].accepted = true;
		s->accepted++;
		return;
	}
	transaction_why(s, "RCPT TO command", &why);
	transaction_rcpt_failed(s, i, &why);
}

static void
on_data(struct session *s)
{
	struct why why = WHY_INIT;

	if (s->reply.code / 100 == 3) {
		/* Accepted though nobody gets it: an empty message. */
		s->abort_data = s->accepted == 0;
		body_begin(s);
		return;
	}
	if (s->accepted > 0) {
		transaction_why(s, "DATA command", &why);
		transaction_failed(s, &why);
	}
	no_message(s);
}

static void
on_envelope_reply(struct session *s)
{
	struct delivery *d = s->d;

	if (s->xforward_replies > 0) {
		s->xforward_replies--;
		xforward_reply(s);
	} else if (!s->mail_ok && !s->mail_failed)
		on_mail(s);
	else if (s->next_reply < s->next_send)
		on_rcpt(s);
	else if (s->data_sent) {
		on_data(s);
		return;
	}
	if (s->spent && s->reply.code == 421) {
		/* The server goes away: no more answers come. */
		struct why why = WHY_INIT;

		transaction_why(s, "MAIL FROM command", &why);
		if (d->ntodo > 0)
			transaction_failed(s, &why);
		transaction_finish(s, false);
		return;
	}
	if (s->mail_failed && !s->data_sent &&
	    s->next_reply >= s->next_send) {
		no_message(s);
		return;
	}
	if (!s->mail_failed)
		send_envelope(s);
	if (!s->data_sent && s->next_reply >= d->env.rcpts.len &&
	    s->accepted == 0) {
		no_message(s);
		return;
	}
	if (s->next_reply >= d->env.rcpts.len && body_chunked(s)) {
		body_begin(s);
		return;
	}
	set_deadline(s);
}

void
transaction_reply(struct session *s)
{
	if (s->state == S_ENVELOPE)
		on_envelope_reply(s);
	else
		body_reply(s);
}
