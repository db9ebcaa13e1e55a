/* SPDX-License-Identifier: ISC */
/*
 * auth - AUTH (RFC 4954) in a session: the password is looked up by sender,
 * host and next hop, and shown to nobody else.
 */
#include <stdio.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/daemon.h"
#include "smtp/mechs.h"
#include "smtp/smtp.h"

#define CHALLENGE_MAX	8192

static void
give_up(struct session *s, const struct why *why)
{
	struct delivery *d = s->d;

	d->ready_us = clock_wall_us();
	delivery_host_failed(d, why, true);
	session_quit(s);
	delivery_next(d);
}

void
auth_fini(struct session *s)
{
	sasl_client_free(&s->sasl);
	tables_cancel(&s->secret);
}

static void
send_line(struct session *s, const char *verb, struct span data, bool given)
{
	struct buf line = BUF_INIT(BUF_UNLIMITED);

	buf_add_str(&line, verb);
	if (given) {
		if (verb[0] != '\0')
			buf_add_char(&line, ' ');
		/* RFC 4954 4: an empty initial response is "=". */
		if (data.len == 0 && verb[0] != '\0')
			buf_add_char(&line, '=');
		base64_encode(data, &line);
	}
	buf_add_str(&line, "\r\n");
	stream_write_span(s->stream, buf_span(&line));
	stream_set_deadline(s->stream, set.helo_ms);
	buf_wipe(&line);
}

static void
begin(struct session *s, struct span user, struct span password)
{
	unsigned char exporter[TLS_BINDING_MAX];
	struct sasl_choice c = { .offered = s->mechs != NULL ? s->mechs : "",
	    .filter = set.sasl_filter,
	    .options = s->tls ? set.sasl_tls_options : set.sasl_options };
	struct buf first = BUF_INIT(BUF_UNLIMITED);
	struct why why = WHY_INIT;
	size_t n;
	char *verb;
	bool given;

	if (s->tls && tls_binding(tls_of(s->stream), TLS_BINDING_EXPORTER,
	    exporter, &n) == 0)
		c.exporter = span_make(exporter, n);
	s->sasl = sasl_client_new(&c, user, password, &why);
	if (s->sasl == NULL) {
		give_up(s, &why);
		return;
	}
	given = sasl_client_first(s->sasl, &first);
	verb = mem_printf("AUTH %s", sasl_client_name(s->sasl));
	session_set_state(s, S_AUTH);
	send_line(s, verb, buf_span(&first), given);
	mem_free(verb);
	buf_wipe(&first);
}

static void
on_secret(void *arg, int rc, struct span value, const char *text)
{
	struct session *s = arg;
	struct why why = WHY_INIT;
	ptrdiff_t colon = span_find(value, ':');

	s->secret = NULL;
	if (rc < 0) {
		(void)why_set(&why, "4.7.0", "the password for %s cannot be "
		    "looked up now: %s", s->said, text);
		give_up(s, &why);
	} else if (rc == 0) {
		session_ready(s);
	} else if (colon < 0) {
		log_warning("%s_sasl_password_maps: no \"user:password\" for "
		    "%s", set.proto, s->said);
		(void)why_set(&why, "4.7.0", "client SASL configuration "
		    "problem");
		give_up(s, &why);
	} else {
		begin(s, span_sub(value, 0, (size_t)colon),
		    span_from(value, (size_t)colon + 1));
	}
}

void
auth_start(struct session *s)
{
	struct delivery *d = s->d;
	struct span keys[3];
	size_t n = 0;

	if (set.sasl_by_sender && d->env.sender.len > 0)
		keys[n++] = d->env.sender;
	keys[n++] = span_of(s->host);
	keys[n++] = span_of(d->hops.v[d->at]);
	session_set_state(s, S_SECRET);
	stream_set_deadline(s->stream, 0);
	s->secret = tables_ask(set.sasl_maps, keys, n, n, on_secret, s);
}

static void
refused(struct session *s)
{
	struct why why = WHY_INIT;
	bool hard = s->reply.code / 100 == 5;

	(void)why_set(&why, s->reply.dsn[0] != '\0' ? s->reply.dsn : hard ?
	    "5.7.8" : "4.7.0", "SASL authentication failed; server %s said: "
	    "%s", s->said, s->reply.text.data);
	if (set.sasl_soft_bounce || !hard)
		why.code[0] = '4';
	give_up(s, &why);
}

void
auth_reply(struct session *s)
{
	struct buf challenge = BUF_INIT(CHALLENGE_MAX);
	struct buf out = BUF_INIT(BUF_UNLIMITED);
	struct span text = buf_span(&s->reply.text);
	struct why why = WHY_INIT;

	if (s->reply.code / 100 == 2) {
		if (!sasl_client_done(s->sasl)) {
			(void)why_set(&why, "4.7.0", "SASL authentication "
			    "failed: server %s did not prove that it knows "
			    "the password", s->said);
			give_up(s, &why);
			return;
		}
		sasl_client_free(&s->sasl);
		s->logged_in = true;
		session_ready(s);
		return;
	}
	if (s->reply.code != 334) {
		refused(s);
		return;
	}
	if (base64_decode(span_trim(span_from(text, 4)), &challenge) < 0)
		(void)why_set(&why, "4.7.0", "SASL authentication failed: "
		    "challenge of %s is no base64", s->said);
	else if (sasl_client_step(s->sasl, buf_span(&challenge), &out,
	    &why) == 0)
		send_line(s, "", buf_span(&out), true);
	if (why.code[0] != '\0')
		give_up(s, &why);	/* the session ends: nothing to cancel */
	buf_wipe(&challenge);
	buf_wipe(&out);
}
