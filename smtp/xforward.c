/* SPDX-License-Identifier: ISC */
/*
 * xforward - XFORWARD (Postfix's XFORWARD_README): a content filter that takes
 * mail over SMTP, and gives it back so, is told who the client was, for its
 * log and for ours when the mail comes back.
 *
 * All that the peer takes is said each time, [UNAVAILABLE] where nothing is
 * known: a kept session must not mix two messages.  A refusal costs the log a
 * line and the message nothing.
 */
#include <stdio.h>

#include "base/log.h"
#include "mail/dsn.h"
#include "smtp/smtp.h"

enum { X_NAME, X_ADDR, X_PORT, X_PROTO, X_HELO, X_IDENT, X_SOURCE, X_COUNT };

#define SECOND		X_PROTO		/* begins the second command: lines
					 * stay short */
#define VALUE_MAX	255		/* bytes; those of PROTO and IDENT are
					 * shorter by nature */

static const char *const names[X_COUNT] = {
	"NAME", "ADDR", "PORT", "PROTO", "HELO", "IDENT", "SOURCE",
};

void
xforward_offered(struct session *s, struct span words)
{
	struct span word;

	s->xforward = 0;
	while (span_token(&words, " \t", &word))
		for (unsigned i = 0; i < X_COUNT; i++)
			if (span_caseis(word, names[i]))
				s->xforward |= 1u << i;
}

/* port keeps the text of a number. */
static struct span
value(const struct envelope *e, unsigned which, char port[12])
{
	switch (which) {
	case X_NAME:
		return span_is(e->client_name, "unknown") ? SPAN_EMPTY :
		    e->client_name;
	case X_ADDR:
		return span_is(e->client_addr, "unknown") ? SPAN_EMPTY :
		    e->client_addr;
	case X_PORT:
		if (e->client_port == 0)
			return SPAN_EMPTY;
		(void)snprintf(port, 12, "%u", e->client_port);
		return span_of(port);
	case X_PROTO:
		return e->protocol;
	case X_HELO:
		return e->helo;
	case X_IDENT:
		return e->queue_id;
	default:
		return (e->flags & ENV_LOCAL) ? SPAN("LOCAL") :
		    SPAN("REMOTE");
	}
}

static unsigned
send_some(struct session *s, unsigned from, unsigned to)
{
	const struct envelope *e = &s->d->env;
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	char port[12];

	for (unsigned i = from; i < to; i++) {
		struct span v;

		if (!(s->xforward & (1u << i)))
			continue;
		if (b.len == 0)
			buf_add_str(&b, "XFORWARD");
		v = span_sub(value(e, i, port), 0, VALUE_MAX);
		buf_addf(&b, " %s=", names[i]);
		if (v.len > 0)
			dsn_xtext_encode(v, &b);
		else
			buf_add_str(&b, "[UNAVAILABLE]");
	}
	if (b.len == 0)
		return 0;
	buf_add_str(&b, "\r\n");
	stream_write_span(s->stream, buf_span(&b));
	buf_fini(&b);
	return 1;
}

unsigned
xforward_send(struct session *s)
{
	if (!set.xforward || !(s->features & FEATURE_XFORWARD))
		return 0;
	return send_some(s, 0, SECOND) + send_some(s, SECOND, X_COUNT);
}

void
xforward_reply(struct session *s)
{
	if (s->reply.code / 100 != 2)
		log_warning("%.*s: host %s said: %s (in reply to XFORWARD "
		    "command)", SPAN_ARG(s->d->env.queue_id), s->said,
		    s->reply.text.data);
}
