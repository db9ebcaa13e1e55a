/* SPDX-License-Identifier: ISC */
/*
 * cmd_auth - AUTH (RFC 4954).
 *
 * We carry base64 to authd and back and know nothing of mechanisms and
 * passwords.  While authd thinks the session waits; while the client thinks
 * it is in ST_AUTH, and what it sends are response lines.
 */
#include "auth/auth_client.h"
#include "base/base64.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "conf/table.h"
#include "smtpd/smtpd.h"

static struct auth_client *client;
static struct match_list *filter;	/* smtpd_sasl_mechanism_filter */

int
auth_open(struct why *why)
{
	filter = match_list_new("smtpd_sasl_mechanism_filter",
	    conf.smtpd_sasl_mechanism_filter, MATCH_EXACT, why);
	return filter == NULL ? -1 : 0;
}

void
auth_start(struct loop *l, const char *path)
{
	if (conf.smtpd_sasl_auth_enable && !smtpd_lmtp)
		client = auth_client_new(l, path);
}

bool
auth_enabled(const struct session *s)
{
	return client != NULL && !(s->discard & EHLO_AUTH) &&
	    !policy_list_has(LIST_SASL_EXCEPTIONS, s);
}

/* --- what is offered --------------------------------------------------------- */

static void
facts_of(const struct session *s, struct auth_facts *f)
{
	const struct secured *sec = s->secured;

	*f = (struct auth_facts){
		.service = "smtp", .client = &s->addr, .stream = s->stream,
		.trace = s->trace,
		.tls = sec != NULL, .realm = conf.smtpd_sasl_local_domain,
	};
	if (sec == NULL)
		return;
	f->tls_exporter = buf_span(&sec->exporter);
	f->tls_endpoint = buf_span(&sec->endpoint);
	f->cert_name = sec->cert_name;
}

/* smtpd_sasl_security_options, or its twin for TLS, has the word. */
static bool
option(const struct session *s, const char *word)
{
	struct span rest = span_of(s->secured != NULL ?
	    conf.smtpd_sasl_tls_security_options :
	    conf.smtpd_sasl_security_options), w;

	while (span_token(&rest, " \t\r\n,", &w))
		if (span_caseis(w, word))
			return true;
	return false;
}

static bool
filtered(struct span mechanism)
{
	struct why why = WHY_INIT;
	int rc = match_list_string(filter, mechanism, &why);

	if (rc < 0)
		log_warning("smtpd_sasl_mechanism_filter: %s", why.text);
	return rc != 1;
}

static bool
plaintext_ok(const struct session *s)
{
	return !option(s, "noplaintext") && !option(s, "nodictionary");
}

/* Whether this service has a mechanism that authd has. */
static bool
ours(const struct session *s, struct span mechanism)
{
	return !filtered(mechanism) && (!option(s, "mutual_auth") ||
	    span_casestarts(mechanism, SPAN("SCRAM-")));
}

/* Append those of authd's that this service announces; "" none. */
static void
offer(const struct session *s, struct buf *out)
{
	struct buf all = BUF_INIT(BUF_UNLIMITED);
	struct auth_facts facts;
	struct span rest, m;

	facts_of(s, &facts);
	auth_offer(&facts, plaintext_ok(s), "", &all);
	rest = buf_span(&all);
	while (span_token(&rest, " ", &m)) {
		if (!ours(s, m))
			continue;
		if (out->len > 0)
			buf_add_char(out, ' ');
		buf_add_span(out, m);
	}
	buf_fini(&all);
}

void
auth_ehlo(const struct session *s, struct buf *out)
{
	struct buf list = BUF_INIT(BUF_UNLIMITED);

	if (!auth_enabled(s) || (conf.smtpd_tls_auth_only && s->secured == NULL))
		return;
	offer(s, &list);
	if (list.len > 0) {
		buf_addf(out, "250-AUTH %s\r\n", list.data);
		if (conf.broken_sasl_auth_clients)
			buf_addf(out, "250-AUTH=%s\r\n", list.data);
	}
	buf_fini(&list);
}

static bool
offered(const struct session *s, struct span mechanism)
{
	struct auth_facts facts;

	facts_of(s, &facts);
	return auth_offered(&facts, plaintext_ok(s), mechanism) &&
	    ours(s, mechanism);
}

/* --- the exchange --------------------------------------------------------------- */

static void
leave(struct session *s)
{
	auth_attempt_free(&s->auth);
	if (s->state == ST_AUTH)
		session_set_state(s, s->helo != NULL ? ST_READY : ST_START);
}

static void
on_challenge(void *arg, struct span data)
{
	struct session *s = arg;
	struct buf b = BUF_INIT(BUF_UNLIMITED);

	session_wake(s);
	session_set_state(s, ST_AUTH);
	/* It may be longer than other replies (RFC 4954 4). */
	buf_add_str(&b, "334 ");
	base64_encode(data, &b);
	buf_add_str(&b, "\r\n");
	reply_more_lines(s, buf_span(&b));
	buf_fini(&b);
}

static void
on_ok(void *arg, const struct auth_ok *ok)
{
	struct session *s = arg;

	session_wake(s);
	leave(s);
	mem_free(s->login);
	s->login = span_dup(ok->user);
	stream_set_secret(s->stream, false);
	reply(s, "235 2.7.0 Authentication successful");
}

static void
on_fail(void *arg, const struct auth_fail *f)
{
	struct session *s = arg;
	enum auth_reason r = (enum auth_reason)f->reason;

	session_wake(s);
	leave(s);
	log_warning("%s: SASL %s authentication failed: %.*s, "
	    "sasl_username=%.*s", s->namaddr, s->sasl_method,
	    SPAN_ARG(f->text), SPAN_ARG(f->user.len > 0 ? f->user :
	    SPAN("(unavailable)")));
	mem_free(s->sasl_method);
	s->sasl_method = NULL;
	if (r == AUTH_UNAVAILABLE)
		reply(s, "%s Temporary authentication failure",
		    auth_smtp_code(r));
	else
		reply(s, "%s Error: authentication failed: %.*s",
		    auth_smtp_code(r), SPAN_ARG(f->text));
}

static const struct auth_ops ops = {
	.on_challenge = on_challenge, .on_ok = on_ok, .on_fail = on_fail,
};

/* Where the command is not to be used at all, or not now. */
static bool
refused(struct session *s)
{
	if (!auth_enabled(s))
		reply(s, "503 5.5.1 Error: authentication not enabled");
	else if (s->helo == NULL || !s->esmtp)
		reply(s, "503 5.5.1 Error: send EHLO first");
	else if (s->txn != NULL)
		reply(s, "503 5.5.1 Error: MAIL transaction in progress");
	else if (s->login != NULL)
		reply(s, "503 5.5.1 Error: already authenticated");
	else if (!limits_event(s, LIMIT_AUTH))
		reply(s, "450 4.7.1 Error: too many AUTH commands from %s",
		    s->addr_text);
	else
		return false;
	return true;
}

void
cmd_auth(struct session *s, struct span arg)
{
	struct buf initial = BUF_SECRET(AUTH_DATA_MAX);
	struct span rest = arg, mech, text = SPAN_EMPTY, more, data;
	struct auth_facts facts;
	bool has_initial;

	if (refused(s))
		return;
	if (!span_token(&rest, " \t", &mech)) {
		reply(s, "501 5.5.4 Syntax: AUTH mechanism");
		return;
	}
	has_initial = span_token(&rest, " \t", &text);
	if (span_token(&rest, " \t", &more)) {
		reply(s, "501 5.5.4 Syntax: AUTH mechanism");
		return;
	}
	if (conf.smtpd_tls_auth_only && s->secured == NULL) {
		reply(s, "538 5.7.11 Encryption required for requested "
		    "authentication mechanism");
		return;
	}
	if (!offered(s, mech)) {
		reply(s, "504 5.5.4 Error: authentication mechanism is not "
		    "available");
		return;
	}
	/* "=" is the empty response (RFC 4954 4). */
	if (has_initial && !span_is(text, "=") &&
	    base64_decode(text, &initial) < 0) {
		reply(s, "501 5.5.2 Cannot decode the initial response");
		buf_wipe(&initial);
		return;
	}
	mem_free(s->sasl_method);
	s->sasl_method = span_dup(mech);
	for (char *p = s->sasl_method; *p != '\0'; p++)
		if (*p >= 'a' && *p <= 'z')
			*p = (char)(*p - 32);
	facts_of(s, &facts);
	data = buf_span(&initial);
	session_wait(s, WAIT_AUTH);
	s->auth = auth_attempt_new(client, &facts, mech,
	    has_initial ? &data : NULL, &ops, s);
	buf_wipe(&initial);
}

void
auth_line(struct session *s, struct span line)
{
	struct buf data = BUF_SECRET(AUTH_DATA_MAX);

	/* A response is no command: it may not change the log's view. */
	s->counted = false;
	if (span_is(line, "*")) {
		leave(s);
		reply(s, "501 5.7.0 Authentication aborted");
	} else if (base64_decode(line, &data) < 0) {
		leave(s);
		reply(s, "501 5.5.2 Cannot decode the response");
	} else {
		session_wait(s, WAIT_AUTH);
		auth_continue(s->auth, buf_span(&data));
	}
	buf_wipe(&data);
}

void
auth_line_too_long(struct session *s)
{
	s->counted = false;
	leave(s);
	reply(s, "500 5.5.6 Authentication exchange line is too long");
}
