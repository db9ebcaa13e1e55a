/* SPDX-License-Identifier: ISC */
/*
 * starttls - whether a session is to be secured, how, and what follows when
 * it cannot be (RFC 3207, RFC 7672).
 *
 * The level comes from the policy of the next hop.  dane and dane-only ask for
 * TLSA records first, and only where DNSSEC proves the host's addresses; an
 * answer that may be forged, or none, skips the host: going on without would
 * be what a forger wants.
 */
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "ipc/msg_mtasts.h"
#include "smtp/smtp.h"

#define TLSA_MAX	32	/* records of a host */

static struct gate gate;	/* handshakes under way */
static struct loop_timer *gate_timer;
static struct loop_defer gate_defer;

static void
fail(struct session *s, const char *code, const char *text, const char *reply)
{
	struct why why = WHY_INIT;
	struct delivery *d = s->d;

	/* Text that goes on with a host's name ends in a space. */
	(void)why_set(&why, code, "%s%s%s", text, reply[0] != '\0' &&
	    text[strlen(text) - 1] != ' ' ? ": " : "", reply);
	d->ready_us = clock_wall_us();
	delivery_host_failed(d, &why, true);
	session_quit(s);
	delivery_next(d);
}

/*
 * The host cannot be given this message, because it is not what it has to be.
 * A message that must not go out without TLS is returned when no host is left
 * (RFC 8689 4.2.1).
 */
static void
refuse(struct session *s, const char *code, const char *text,
    const char *reply)
{
	if (delivery_requires_tls(s->d))
		code = delivery_final(s->d) ? "5.7.10" : "4.7.10";
	fail(s, code, text, reply);
}

/* --- the handshake --------------------------------------------------------------- */

static void
log_established(struct session *s, const struct tls *t)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	const struct tls_facts *f = tls_facts(t);

	if (set.tls_loglevel > 0) {
		tls_describe(t, &b);
		log_info("%.*s: %s TLS connection established to %s: %s",
		    SPAN_ARG(s->d->env.queue_id), tls_trust_name(f->trust),
		    s->where, b.data);
	}
	buf_fini(&b);
}

/*
 * As Postfix: a message that TLS has held up for a while goes in plain text,
 * and none does where a password might be asked for.
 */
static bool
plain_will_do(const struct delivery *d)
{
	return (d->env.flags & ENV_TLS_OPTIONAL) || (!set.sasl &&
	    d->active_us - d->env.arrival_us >=
	    conf.minimal_backoff_time * 1000000);
}

/*
 * The handshake failed.  Where plain text is as good, the same host is tried
 * without TLS.
 */
static void
handshake_failed(struct session *s, const struct tls *t,
    const struct why *fail_why)
{
	struct delivery *d = s->d;
	struct why why = *fail_why;
	/* Of a handshake that was finished: it is the certificate. */
	bool judged = t != NULL && tls_facts(t)->problem != TLS_PROBLEM_NONE;

	if (!judged)
		(void)why_set(&why, "4.7.5", "Cannot start TLS: handshake "
		    "failure%s%s", fail_why->text[0] != '\0' ? ": " : "",
		    fail_why->text);
	if (d == NULL) {
		session_drop(s);
		return;
	}
	log_info("%.*s: TLS with %s: %s", SPAN_ARG(d->env.queue_id), s->where,
	    why.text);
	report_session(s, t != NULL ? report_problem(tls_facts(t)) :
	    TLSRPT_FAILURE, why.text);
	if (s->level <= TLS_LEVEL_MAY && s->peer_index < d->peers.len &&
	    plain_will_do(d)) {
		d->peers.v[s->peer_index].no_tls = true;
		d->next_peer = s->peer_index;
		d->sessions--;
		session_drop(s);
		delivery_next(d);
		return;
	}
	if (delivery_requires_tls(d) && judged)
		(void)snprintf(why.code, sizeof(why.code), "%s",
		    delivery_final(d) ? "5.7.10" : "4.7.10");
	d->ready_us = clock_wall_us();
	delivery_host_failed(d, &why, true);
	session_drop(s);
	delivery_next(d);
}

/* A policy that is under test (RFC 8461 5) is not enforced, but reported on. */
static void
report_secured(const struct session *s, const struct tls_facts *f)
{
	bool tested = sts_active(s->sts) && s->ntlsa == 0;

	if (tested && !sts_has_host(s->sts, s->host))
		report_session(s, TLSRPT_FAILURE, "host is not in the policy");
	else if (tested && f->trust != TLS_VERIFIED)
		report_session(s, report_problem(f), f->trust_text);
	else
		report_session(s, TLSRPT_SUCCESS, "");
}

static void	 through(struct session *s, bool finished);

static void
on_done(void *arg, struct stream *stream, struct tls *t,
    const struct why *fail_why)
{
	struct session *s = arg;

	through(s, fail_why == NULL);
	if (fail_why != NULL) {
		handshake_failed(s, t, fail_why);
		return;
	}
	if (s->d == NULL) {
		session_drop(s);
		return;
	}
	s->tls = true;
	log_established(s, t);
	report_secured(s, tls_facts(t));
	tls_facts_forget(t);
	if (s->wrapper) {
		session_set_state(s, S_GREETING);
		stream_set_deadline(s->stream, set.helo_ms);
	} else {
		session_ehlo(s);
	}
}

static const char *
match_setting(const struct session *s)
{
	const struct policy *p = &s->d->policy;

	if (s->by_sts)
		return "hostname";	/* RFC 8461 4.1 */
	if (p->match != NULL)
		return p->match;
	/* RFC 8689 4.2.1: the host's; where a forger may have named the host,
	 * the domain's. */
	if (s->by_message)
		return s->level == TLS_LEVEL_VERIFY ? "hostname" : "nexthop";
	switch (s->level) {
	case TLS_LEVEL_MAY:
	case TLS_LEVEL_ENCRYPT:
		return sts_active(s->sts) ? "hostname" : "";
	case TLS_LEVEL_VERIFY:
		return set.tls_verify_match;
	case TLS_LEVEL_SECURE:
		return set.tls_secure_match;
	case TLS_LEVEL_DANE:
	case TLS_LEVEL_DANE_ONLY:
		/* RFC 7672 3.2.2: for usage 2. */
		return "hostname, nexthop";
	default:
		return "";
	}
}

static const char *
servername(const struct session *s)
{
	const struct policy *p = &s->d->policy;
	const char *word = p->servername != NULL ? p->servername :
	    set.tls_servername;

	if (s->ntlsa > 0)
		return s->tlsa_base;
	if (s->by_sts)
		return s->host;	/* RFC 8461 4.2 */
	if (word[0] == '\0')
		return s->level == TLS_LEVEL_SECURE ||
		    s->level == TLS_LEVEL_VERIFY ? s->host : "";
	if (strcasecmp(word, "hostname") == 0)
		return s->host;
	if (strcasecmp(word, "nexthop") == 0)
		return s->d->hop.name;
	return word;
}

bool
starttls_policy_works(const struct policy *p, struct why *why)
{
	struct tls_policy t = { .level = p->level, .protocols = p->protocols,
	    .ciphers = p->ciphers, .exclude = p->exclude,
	    .anchors = p->tafile };

	return tls_client_accepts(set.tls, &t, why) == 0;
}

static void
split_fingerprints(const char *text, struct policy_names *out)
{
	struct span rest = span_of(text), word;

	while (span_token(&rest, " \t\r\n,|", &word))
		*ARRAY_PUSH(out) = span_dup(word);
}

static void
handshake(struct session *s)
{
	struct delivery *d = s->d;
	struct policy_names names = { .len = 0 };
	struct span match[64], prints[64];
	const char *sni = servername(s);
	char key[2048];
	struct tls_policy p = { .level = s->level, .match = match,
	    .fingerprints = prints, .tlsa = s->tlsa, .ntlsa = s->ntlsa,
	    .protocols = d->policy.protocols, .ciphers = d->policy.ciphers,
	    .exclude = d->policy.exclude, .anchors = d->policy.tafile };
	struct sock_addr ip;

	if (s->level == TLS_LEVEL_FINGERPRINT) {
		split_fingerprints(d->policy.match != NULL ? d->policy.match :
		    set.tls_fingerprints, &names);
		for (size_t i = 0; i < names.len && i < 64; i++)
			prints[p.nfingerprints++] = span_of(names.v[i]);
	} else {
		if (s->ntlsa > 0)
			*ARRAY_PUSH(&names) = mem_strdup(s->tlsa_base);
		policy_match_names(match_setting(s), s->host,
		    d->hop.name, &names);
		for (size_t i = 0; i < names.len && i < 64; i++)
			match[p.nmatch++] = span_of(names.v[i]);
	}
	if (sock_addr_parse(span_of(sni), 0, &ip) < 0)
		p.sni = span_of(sni);	/* RFC 6066 3: no addresses */
	(void)snprintf(key, sizeof(key), "%s %s", d->hop.name, s->where);
	p.session_key = span_of(key);
	(void)tls_connect(s->stream, set.tls, &p, set.starttls_ms, on_done, s);
	policy_names_fini(&names);
}

/* Whose turn it is now, and when to look again. */
static void
gate_turn(void *arg)
{
	struct gate_pass *p;
	int64_t now = loop_now_ms(daemon_loop()), due;

	while ((p = gate_next(&gate, now)) != NULL)
		handshake(CONTAINER_OF(p, struct session, pass));
	due = gate_due_ms(&gate, now);
	if (due >= 0)
		loop_timer_set(gate_timer, due);
	else
		loop_timer_cancel(gate_timer);
}

/* The handshake is over, or will not be: another one's turn. */
static void
through(struct session *s, bool finished)
{
	if (s->pass.state == PASS_NONE)
		return;
	gate_leave(&gate, &s->pass, loop_now_ms(daemon_loop()), finished);
	if (gate_due_ms(&gate, 0) >= 0)
		loop_defer(daemon_loop(), &gate_defer);
}

void
starttls_begin(struct session *s)
{
	if (gate_timer == NULL) {
		gate_init(&gate, (size_t)set.tls_handshakes);
		gate_timer = loop_timer_new(daemon_loop(), gate_turn, NULL);
		gate_defer.fn = gate_turn;
	}
	session_set_state(s, S_TLS);
	stream_set_deadline(s->stream, 0);
	if (gate_enter(&gate, &s->pass, loop_now_ms(daemon_loop()))) {
		handshake(s);
		return;
	}
	/* The gate opens soon, whatever others do: no time runs meanwhile, and
	 * what the peer says before its turn is dropped when that comes. */
	stream_pause(s->stream);
	loop_defer(daemon_loop(), &gate_defer);
}

/* --- DANE ---------------------------------------------------------------------------- */

static void	 offer(struct session *s);
static void	 without_dane(struct session *s);

static void
no_tlsa(struct session *s)
{
	if (s->level == TLS_LEVEL_DANE_ONLY) {
		report_session(s, TLSRPT_DANE, "");
		fail(s, "4.7.5", "no usable TLSA records, which are required",
		    "");
		return;
	}
	s->level = TLS_LEVEL_MAY;
	without_dane(s);
}

static bool
usable(const struct dns_rr *rr)
{
	/* RFC 7672 3.1.3; digests that OpenSSL knows, of their length. */
	return (rr->usage == 2 || rr->usage == 3) && rr->selector <= 1 &&
	    (rr->matching == 0 ? rr->data.len > 0 : rr->matching == 1 ?
	    rr->data.len == 32 : rr->matching == 2 && rr->data.len == 64);
}

static void
on_tlsa(void *arg, const struct dns_answer *a)
{
	struct session *s = arg;
	struct span rest = a->records;
	struct dns_rr rr;
	size_t seen = 0;
	int rc;

	s->tlsa_query = NULL;
	if (dns_temporary(a->status)) {
		report_session(s, TLSRPT_DNSSEC,
		    dns_status_text(a->status));
		/* RFC 7672 2.1.3.1: not without an answer. */
		fail(s, "4.7.5", "TLSA lookup error for ", s->where);
		return;
	}
	if (a->status != RESOLVER_OK || !a->secure) {
		no_tlsa(s);
		return;
	}
	s->tlsa = mem_zalloc_array(TLSA_MAX, sizeof(*s->tlsa));
	while ((rc = dns_next(a, &rest, &rr)) != 0) {
		seen++;
		if (rc < 0 || !usable(&rr) || s->ntlsa == TLSA_MAX)
			continue;
		s->tlsa[s->ntlsa++] = (struct tls_tlsa){ .usage = rr.usage,
		    .selector = rr.selector, .mtype = rr.matching,
		    .data = span_make(span_dup(rr.data), rr.data.len) };
	}
	log_debug("%s: %zu TLSA records, %zu usable", s->where, seen,
	    s->ntlsa);
	if (s->ntlsa > 0) {
		offer(s);
	} else if (s->level == TLS_LEVEL_DANE_ONLY) {
		no_tlsa(s);
	} else {
		report_session(s, TLSRPT_BAD_TLSA, "no record is usable");
		/* RFC 7672 2.2: they are there: at least encrypt. */
		s->level = TLS_LEVEL_ENCRYPT;
		without_dane(s);
	}
}

static void
ask_tlsa(struct session *s)
{
	char name[DNS_NAME_MAX + 32];

	s->tlsa_base = s->target;
	(void)snprintf(name, sizeof(name), "_%u._tcp.%s",
	    sock_addr_port(&s->addr), s->tlsa_base);
	session_set_state(s, S_TLSA);
	s->tlsa_query = dns_ask(dns, span_of(name), DNS_TLSA, 0, on_tlsa, s);
}

/* --- MTA-STS (RFC 8461), REQUIRETLS (RFC 8689) --------------------------------------------- */

/* Whether it is beyond doubt that this host is the next hop's. */
static bool
host_proven(const struct session *s)
{
	const struct delivery *d = s->d;

	return d->hop.kind == HOP_HOST || d->peers.mx_secure;
}

/* A policy that could not be had. */
static void
report_policy(const struct session *s)
{
	if (s->sts == NULL)
		return;
	if (s->sts->result == MTASTS_FETCH)
		report_session(s, TLSRPT_STS_FETCH, "");
	else if (s->sts->result == MTASTS_INVALID)
		report_session(s, TLSRPT_STS_INVALID, "");
	else if (s->sts->result == MTASTS_WEBPKI)
		report_session(s, TLSRPT_STS_WEBPKI, "");
}

/*
 * The level, may or encrypt, is open to more.  An enforced policy names the
 * hosts, and their certificates must have their names.  A policy that is under
 * test changes nothing, except that the certificate is looked at.
 */
static void
without_dane(struct session *s)
{
	bool enforce = sts_active(s->sts) && s->sts->mode == STS_ENFORCE;
	bool must = delivery_requires_tls(s->d);
	bool listed = sts_active(s->sts) && sts_has_host(s->sts, s->host);

	report_policy(s);
	if (enforce && !listed) {
		report_session(s, TLSRPT_FAILURE, "host is not in the policy");
		refuse(s, "4.7.5", "the MTA-STS policy of the domain does not "
		    "have the host ", s->said);
		return;
	}
	if (enforce || (must && listed)) {
		s->level = TLS_LEVEL_SECURE;
		s->by_sts = true;
	} else if (must && s->level < TLS_LEVEL_FINGERPRINT) {
		s->level = host_proven(s) ? TLS_LEVEL_VERIFY :
		    TLS_LEVEL_SECURE;
		s->by_message = true;
	}
	offer(s);
}

/* --- what to do ----------------------------------------------------------------------- */

/* The level is known: STARTTLS if it can be, or go on without. */
static void
offer(struct session *s)
{
	if (s->level == TLS_LEVEL_NONE) {
		if (set.note_offer && (s->features & FEATURE_STARTTLS))
			log_info("Host offered STARTTLS: [%s]", s->host);
		session_secured(s);
		return;
	}
	if (!(s->features & FEATURE_STARTTLS)) {
		report_session(s, TLSRPT_STARTTLS, "");
		if (s->level <= TLS_LEVEL_MAY)
			session_secured(s);
		else
			refuse(s, "4.7.4", "TLS is required, but was not "
			    "offered by host ", s->said);
		return;
	}
	session_set_state(s, S_STARTTLS);
	stream_write_span(s->stream, SPAN("STARTTLS\r\n"));
	stream_set_deadline(s->stream, set.starttls_ms);
}

void
starttls_decide(struct session *s)
{
	bool dane = s->level == TLS_LEVEL_DANE ||
	    s->level == TLS_LEVEL_DANE_ONLY;

	if (s->tls) {
		session_secured(s);
		return;
	}
	if (s->no_tls || s->addr.sa.sa_family == AF_UNIX)
		s->level = TLS_LEVEL_NONE;
	if (s->level == TLS_LEVEL_MAY || s->level == TLS_LEVEL_ENCRYPT) {
		without_dane(s);
		return;
	}
	if (!dane) {
		offer(s);
		return;
	}
	/* RFC 7672 2.2.1: both the mail exchangers and the addresses. */
	if (s->host_secure && (s->d->peers.mx_secure ||
	    s->d->hop.kind == HOP_HOST) && dns_name_valid(
	    span_of(s->target)))
		ask_tlsa(s);
	else
		no_tlsa(s);
}

void
starttls_reply(struct session *s)
{
	if (s->reply.code / 100 == 2) {
		starttls_begin(s);
		return;
	}
	report_session(s, TLSRPT_STARTTLS, s->reply.text.data);
	if (s->level <= TLS_LEVEL_MAY) {
		session_secured(s);
		return;
	}
	refuse(s, "4.7.4", "TLS is required, but the host refused to start it",
	    s->reply.text.data);
}

void
starttls_fini(struct session *s)
{
	through(s, false);
	dns_cancel(&s->tlsa_query);
	sts_drop(&s->sts);
	for (size_t i = 0; i < s->ntlsa; i++)
		mem_free((char *)(uintptr_t)s->tlsa[i].data.p);
	mem_free(s->tlsa);
}
