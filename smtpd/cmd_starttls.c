/* SPDX-License-Identifier: ISC */
/*
 * cmd_starttls - STARTTLS (RFC 3207) and implicit TLS (RFC 8314).
 *
 * What a client has said before TLS could have been said by anybody, so the
 * session begins anew behind the handshake: no HELO name, no login, no
 * transaction, and no byte that came in plain (the dispatcher ends a session
 * that sent some behind STARTTLS).
 */
#include "auth/auth_client.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "smtpd/smtpd.h"
#include "tls/tls.h"

static struct tls_server *server;
static enum tls_level level;

static enum tls_service
service(void)
{
	return smtpd_lmtp ? TLS_LMTPD : TLS_SMTPD;
}

int
starttls_open(struct why *why)
{
	bool implicit = starttls_implicit();

	level = implicit ? TLS_LEVEL_ENCRYPT : tls_service_level(service());
	return tls_server_new(service(), implicit, daemon_judge, &server,
	    why);
}

void
starttls_start(struct loop *l)
{
	tls_server_start(server, l);
}

bool
starttls_implicit(void)
{
	return !smtpd_lmtp && conf.smtpd_tls_wrappermode;
}

bool
starttls_required(const struct session *s)
{
	return s->secured == NULL && level == TLS_LEVEL_ENCRYPT;
}

static bool
enabled(const struct session *s)
{
	return level != TLS_LEVEL_NONE && !(s->discard & EHLO_STARTTLS);
}

bool
starttls_offered(const struct session *s)
{
	return enabled(s) && s->secured == NULL && tls_server_ready(server);
}

/* --- what is known of the connection ------------------------------------------------ */

/* The lines of Postfix's Received header. */
static char *
received_text(struct tls *t)
{
	const struct tls_facts *f = tls_facts(t);
	struct buf b = BUF_INIT(BUF_UNLIMITED);

	buf_add_str(&b, "using ");
	tls_describe(t, &b);
	if (f->trust != TLS_ANONYMOUS)
		buf_addf(&b, "; Client CN \"%s\", Issuer \"%s\" (%s)",
		    f->peer_cn, f->issuer_cn, f->trust >= TLS_TRUSTED ?
		    "verified OK" : "not verified");
	else if (conf.smtpd_tls_ask_ccert || conf.smtpd_tls_req_ccert)
		buf_add_str(&b, "; Client did not present a certificate");
	else
		buf_add_str(&b, "; No client certificate requested");
	return buf_take(&b);
}

static void
take_binding(struct tls *t, enum tls_binding kind, struct buf *out)
{
	unsigned char b[TLS_BINDING_MAX];
	size_t n;

	buf_reset(out);
	if (tls_binding(t, kind, b, &n) == 0)
		(void)!buf_put(out, b, n);
}

static void
log_session(struct session *s, struct tls *t)
{
	const struct tls_facts *f = tls_facts(t);
	struct buf b = BUF_INIT(BUF_UNLIMITED);

	if (conf.smtpd_tls_loglevel < 1)
		return;
	tls_describe(t, &b);
	log_info("%s TLS connection %s from %s%s%s: %s trace=%s",
	    tls_trust_name(f->trust),
	    f->resumed ? "reused" : "established", s->namaddr,
	    f->sni[0] != '\0' ? " to " : "", f->sni, b.data, s->trace);
	if (f->trust != TLS_ANONYMOUS)
		log_info("%s: %s: subject_CN=%s, issuer_CN=%s, "
		    "fingerprint=%s, pkey_fingerprint=%s%s%s", s->namaddr,
		    tls_trust_name(f->trust), f->peer_cn, f->issuer_cn,
		    f->cert_fingerprint, f->pkey_fingerprint,
		    f->trust_text[0] != '\0' ? ": " : "", f->trust_text);
	buf_fini(&b);
}

/* --- the handshake --------------------------------------------------------------------- */

/* Everything that was learned in plain is forgotten (RFC 3207 4.2). */
static void
begin_anew(struct session *s)
{
	session_reset(s);
	mem_free(s->helo);
	mem_free(s->login);
	mem_free(s->sasl_method);
	s->helo = s->login = s->sasl_method = NULL;
	s->esmtp = false;
	s->ill_pipelined = false;
}

void
secured_free(struct secured **secp)
{
	struct secured *sec = *secp;

	*secp = NULL;
	if (sec == NULL)
		return;
	mem_free(sec->received);
	mem_free(sec->cert_name);
	mem_free(sec->cert_print);
	mem_free(sec->pkey_print);
	buf_fini(&sec->exporter);
	buf_fini(&sec->endpoint);
	mem_free(sec);
}

static void
handshake_done(void *arg, struct stream *st, struct tls *t,
    const struct why *fail)
{
	struct session *s = arg;
	const struct tls_facts *f;
	struct secured *sec;

	if (fail != NULL) {
		log_info("SSL_accept error from %s: %s", s->namaddr,
		    fail->text);
		session_close(s, "lost connection");
		return;
	}
	f = tls_facts(t);
	secured_free(&s->secured);
	s->secured = sec = mem_zalloc(sizeof(*sec));
	sec->cert_trusted = f->trust >= TLS_TRUSTED;
	if (sec->cert_trusted)
		sec->cert_name = mem_strdup(f->peer_email[0] != '\0' ?
		    f->peer_email : f->peer_cn);
	if (f->trust != TLS_ANONYMOUS) {
		sec->cert_print = mem_strdup(f->cert_fingerprint);
		sec->pkey_print = mem_strdup(f->pkey_fingerprint);
	}
	sec->exporter = sec->endpoint = BUF_INIT(AUTH_CB_MAX);
	take_binding(t, TLS_BINDING_EXPORTER, &sec->exporter);
	take_binding(t, TLS_BINDING_SERVER_END_POINT, &sec->endpoint);
	if (conf.smtpd_tls_received_header)
		sec->received = received_text(t);
	log_session(s, t);
	session_wake(s);
	if (starttls_required_cert() && !sec->cert_trusted) {
		log_info("NOQUEUE: abort: TLS from %s: %s", s->namaddr,
		    f->trust == TLS_ANONYMOUS ?
		    "No client certificate presented" :
		    "Client certificate not trusted");
		reply_more(s, "421 4.7.1 %s Error: TLS client certificate "
		    "required", conf.myhostname);
		session_close(s, NULL);
		return;
	}
	if (s->state == ST_CONNECT) {
		session_welcome(s);
		return;
	}
	begin_anew(s);
	session_set_state(s, ST_START);
}

/* Postfix: only where TLS is required, for a client that has no certificate
 * to show may well be a mail server. */
bool
starttls_required_cert(void)
{
	return conf.smtpd_tls_req_ccert && level == TLS_LEVEL_ENCRYPT;
}

void
starttls_begin(struct session *s, bool keep_input)
{
	unsigned flags = (keep_input ? TLS_KEEP_INPUT : 0) |
	    (conf.smtpd_tls_req_ccert ? TLS_ASK_CERT : 0);
	size_t dropped;

	if (conf.smtpd_tls_loglevel >= 2)
		log_info("setting up TLS connection from %s", s->namaddr);
	session_wait(s, WAIT_TLS);
	dropped = tls_start(s->stream, server, flags,
	    smtpd_lmtp ? NULL : "smtp", conf.smtpd_starttls_timeout * 1000,
	    handshake_done, s);
	if (dropped > 0)
		log_warning("%s: %zu bytes in plain behind STARTTLS are "
		    "thrown away", s->namaddr, dropped);
}

static void
begin_late(struct session *s)
{
	reply_flush_held(s);
	starttls_begin(s, false);
}

void
cmd_starttls(struct session *s, struct span arg)
{
	if (arg.len > 0) {
		reply(s, "501 5.5.4 Syntax: STARTTLS");
	} else if (s->secured != NULL) {
		reply(s, "554 5.5.1 Error: TLS already active");
	} else if (!enabled(s)) {
		reply(s, "502 5.5.1 Error: command not implemented");
	} else if (!limits_event(s, LIMIT_TLS)) {
		reply(s, "421 4.7.0 %s Error: too many new TLS sessions from "
		    "%s", conf.myhostname, s->addr_text);
		session_close(s, NULL);
	} else if (!tls_server_ready(server)) {
		reply(s, "454 4.7.0 TLS not available due to local problem");
	} else {
		reply(s, "220 2.0.0 Ready to start TLS");
		/* A client with many errors gets its replies late. */
		if (s->wait == WAIT_DELAY)
			s->resume = begin_late;
		else
			starttls_begin(s, false);
	}
}

bool
starttls_implicit_begin(struct session *s, bool keep_input)
{
	if (server == NULL || !limits_event(s, LIMIT_TLS)) {
		log_warning("%s: no TLS: %s", s->namaddr, server == NULL ?
		    "no certificate is configured" : "too many sessions");
		return false;
	}
	starttls_begin(s, keep_input);
	return true;
}
