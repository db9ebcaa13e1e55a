/* SPDX-License-Identifier: ISC */
/*
 * session - the life of one connection: greeting, EHLO, TLS, AUTH, messages,
 * QUIT.
 *
 * Replies are taken in the order of the commands; what comes when nothing was
 * asked ends the session, because the next answer could be taken for another.
 */
#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "smtp/smtp.h"

#define IN_MAX		(64u * 1024)	/* bytes of replies kept */
#define MECHS_MAX	255	/* bytes of the AUTH line that are kept */
#define OUT_MAX		(16u << 20)	/* bytes of commands kept */
#define GOODBYE_MS	5000		/* for QUIT to go out */

static struct list sessions = LIST_INIT(sessions);
static size_t nsessions;
static struct session *reading;		/* NULL when it is freed meanwhile */

size_t
session_count(void)
{
	return nsessions;
}

void
session_set_state(struct session *s, enum session_state to)
{
	static const char *const names[] = {
		"greeting", "ehlo", "helo", "tlsa", "starttls", "tls",
		"secret", "auth", "ready", "envelope", "body", "dot", "rset",
		"idle", "quit",
	};

	if (log_debug_on())
		log_debug("%s: %s -> %s", s->where, names[s->state],
		    names[to]);
	s->state = to;
}

/* For "lost connection with HOST while ...", as Postfix says it. */
const char *
session_doing(const struct session *s)
{
	switch (s->state) {
	case S_GREETING:
		return "receiving the initial server greeting";
	case S_EHLO:
		return set.lmtp ? "performing the LHLO handshake" :
		    "performing the EHLO handshake";
	case S_HELO:
		return "performing the HELO handshake";
	case S_TLSA:
	case S_STARTTLS:
	case S_TLS:
		return "performing the TLS handshake";
	case S_SECRET:
	case S_AUTH:
		return "performing SASL authentication";
	case S_ENVELOPE:
		return s->xforward_replies > 0 ?
		    "sending XFORWARD name/address" : !s->mail_ok && !s->mail_failed ? "sending MAIL FROM" :
		    s->next_reply < s->d->env.rcpts.len ? "sending RCPT TO" :
		    "sending DATA command";
	case S_BODY:
		return "sending message body";
	case S_DOT:
		return "sending end of data -- message may be sent more than "
		    "once";
	case S_RSET:
		return "sending final RSET";
	default:
		return "sending QUIT";
	}
}

static void
session_free(struct session *s)
{
	if (reading == s)
		reading = NULL;
	cache_remove(s);
	list_remove(&s->link);
	nsessions--;
	stream_free(&s->stream);
	content_free(&s->content);
	starttls_fini(s);
	auth_fini(s);
	loop_timer_free(&s->idle_timer);
	loop_timer_free(&s->pix_timer);
	reply_fini(&s->reply);
	mem_free(s->mechs);
	mem_free(s->host);
	mem_free(s->target);
	mem_free(s->where);
	mem_free(s->said);
	mem_free(s->key);
	mem_free(s);
}

void
session_drop(struct session *s)
{
	if (s->d != NULL)
		s->d->session = NULL;
	session_free(s);
}

void
session_abandon(struct session *s)
{
	struct delivery *d = s->d;

	session_drop(s);
	delivery_next(d);
}

void
session_quit(struct session *s)
{
	if (s->d != NULL)
		s->d->session = NULL;
	s->d = NULL;
	stream_write_span(s->stream, SPAN("QUIT\r\n"));
	if (set.skip_quit) {
		/* The delivery is over: its result waits for nobody. */
		stream_finish(&s->stream, GOODBYE_MS);
		session_free(s);
		return;
	}
	session_set_state(s, S_QUIT);
	stream_set_deadline(s->stream, set.quit_ms);
}

void
session_detach(struct session *s)
{
	session_drop(s);
}

/* --- failures ------------------------------------------------------------------------ */

/*
 * A session that was kept may have ended at the other side meanwhile; nothing
 * was said about this message yet, so a fresh one is tried.
 */
static bool
retry_fresh(struct session *s)
{
	struct delivery *d = s->d;

	if (s->used == 0 || s->state != S_ENVELOPE || s->mail_ok ||
	    s->mail_failed)
		return false;
	log_debug("%s: a kept session has ended", s->where);
	session_drop(s);
	d->peers.len = d->next_peer = 0;
	d->relay = "";
	delivery_restart(d);
	return true;
}

void
session_failed(struct session *s, const struct why *why)
{
	struct delivery *d = s->d;
	bool after_dot = s->state == S_DOT;

	if (d == NULL) {
		session_drop(s);
		return;
	}
	if (retry_fresh(s))
		return;
	d->session = NULL;
	if (d->ready_us == 0)
		d->ready_us = clock_wall_us();
	if (after_dot) {
		/* Perhaps it was taken: another host would deliver it again
		 * at once, a later attempt only perhaps. */
		delivery_all_done(d, why);
	} else {
		delivery_host_failed(d, why, true);
	}
	session_free(s);
	delivery_next(d);
}

static void
on_end(void *arg, struct stream *stream, enum stream_end end)
{
	struct session *s = arg;
	struct why why = WHY_INIT;

	switch (end) {
	case STREAM_TIMEOUT:
		(void)why_set(&why, "4.4.2", "conversation with %s timed out "
		    "while %s", s->said, s->d != NULL ? session_doing(s) : "");
		break;
	case STREAM_OVERFLOW:
		(void)why_set(&why, "4.5.0", "host %s sends too much while %s",
		    s->said, s->d != NULL ? session_doing(s) : "");
		break;
	default:
		(void)why_set(&why, "4.4.2", "lost connection with %s while "
		    "%s", s->said, s->d != NULL ? session_doing(s) : "");
		break;
	}
	session_failed(s, &why);
}

/* A reply that refuses to go on with this host. */
static void
refused(struct session *s)
{
	struct why why = WHY_INIT;
	struct delivery *d = s->d;
	unsigned class = s->reply.code / 100;

	if (class != 4 && class != 5)
		class = 4;
	(void)why_set(&why, s->reply.dsn[0] != '\0' ? s->reply.dsn :
	    class == 5 ? "5.0.0" : "4.0.0", "host %s refused to talk to me: "
	    "%s", s->said, s->reply.text.data);
	if (s->state == S_GREETING && class == 5 && set.skip_5xx_greeting)
		why.code[0] = '4';
	d->ready_us = clock_wall_us();
	delivery_host_failed(d, &why, true);
	session_quit(s);
	delivery_next(d);
}

static void
garbled(struct session *s)
{
	struct why why = WHY_INIT;

	(void)why_set(&why, "4.5.0", "protocol error: host %s sent a reply "
	    "that is none while %s", s->said,
	    s->d != NULL ? session_doing(s) : "idle");
	session_failed(s, &why);
}

/* --- handshake --------------------------------------------------------------------------- */

void
session_ehlo(struct session *s)
{
	bool helo = !set.lmtp && (conf.smtp_never_send_ehlo ||
	    (s->plain_greeting && !conf.smtp_always_send_ehlo) ||
	    (s->pix & PIX_DISABLE_ESMTP));

	s->features = 0;
	s->discard = quirks_discard(s);
	s->size_limit = 0;
	mem_free(s->mechs);
	s->mechs = NULL;
	session_set_state(s, helo ? S_HELO : S_EHLO);
	stream_printf(s->stream, "%s %s\r\n", helo ? "HELO" : set.lmtp ?
	    "LHLO" : "EHLO", set.helo_name);
	stream_set_deadline(s->stream, set.helo_ms);
}

static void
on_keyword(struct session *s, struct span line)
{
	static const struct {
		const char	*word;
		unsigned	 feature;
	} known[] = {
		{ "PIPELINING", FEATURE_PIPELINING },
		{ "8BITMIME", FEATURE_8BITMIME }, { "SIZE", FEATURE_SIZE },
		{ "DSN", FEATURE_DSN }, { "STARTTLS", FEATURE_STARTTLS },
		{ "AUTH", FEATURE_AUTH }, { "SMTPUTF8", FEATURE_SMTPUTF8 },
		{ "ENHANCEDSTATUSCODES", FEATURE_ENHANCED },
		{ "REQUIRETLS", FEATURE_REQUIRETLS },
		{ "CHUNKING", FEATURE_CHUNKING },
		{ "XFORWARD", FEATURE_XFORWARD },
	};
	struct span word, arg;
	uint64_t n;

	if (!span_token(&line, " \t=", &word))
		return;
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (!span_caseis(word, known[i].word) ||
		    (s->discard & known[i].feature))
			continue;
		s->features |= known[i].feature;
		/* "AUTH PLAIN LOGIN", and "AUTH=PLAIN" of old servers. */
		if (known[i].feature == FEATURE_AUTH && s->mechs == NULL)
			s->mechs = span_dup(span_sub(span_trim(line), 0,
			    MECHS_MAX));
		if (known[i].feature == FEATURE_XFORWARD)
			xforward_offered(s, line);
		if (known[i].feature == FEATURE_SIZE &&
		    span_token(&line, " \t", &arg) &&
		    num_parse_u64(arg, UINT64_MAX, &n) == 0)
			s->size_limit = n;
	}
}

/* Our own name: RFC 5321 6.3, and a mistake in MX records or settings. */
static bool
is_my_name(const struct session *s, struct span line)
{
	struct span word;

	return s->d != NULL && !set.lmtp &&
	    sock_addr_port(&s->addr) == 25 &&
	    span_token(&line, " \t", &word) &&
	    span_caseis(word, conf.myhostname);
}

static void
on_line(void *arg, unsigned n, struct span line)
{
	struct session *s = arg;

	if ((s->state == S_EHLO || s->state == S_HELO ||
	    s->state == S_GREETING) && n == 0)
		s->self |= is_my_name(s, line);
	else if (s->state == S_EHLO && n > 0)
		on_keyword(s, line);
}

static void
loops_back(struct session *s)
{
	struct delivery *d = s->d;
	struct why why = WHY_INIT;

	log_warning("%.*s: host %s greeted me with my own name %s",
	    SPAN_ARG(d->env.queue_id), s->said, conf.myhostname);
	(void)why_set(&why, "5.4.6", "mail for %s loops back to myself",
	    d->hop.name);
	d->ready_us = clock_wall_us();
	delivery_host_failed(d, &why, false);
	session_quit(s);
	delivery_next(d);
}

void
session_ready(struct session *s)
{
	session_set_state(s, S_READY);
	s->d->ready_us = clock_wall_us();
	transaction_start(s);
}

void
session_secured(struct session *s)
{
	if (set.sasl && (s->features & FEATURE_AUTH))
		auth_start(s);
	else
		session_ready(s);
}

/* RFC 1869 4.2's servers say so; most of today's, too, from habit. */
static bool
says_esmtp(struct span greeting)
{
	struct span word;

	while (span_token(&greeting, " \t\r\n", &word))
		if (span_caseis(word, "ESMTP"))
			return true;
	return false;
}

static void
on_greeting(struct session *s)
{
	if (s->reply.code / 100 != 2) {
		refused(s);
	} else if (s->self) {
		loops_back(s);
	} else {
		s->plain_greeting = !says_esmtp(buf_span(&s->reply.text));
		quirks_greeting(s);
		session_ehlo(s);
	}
}

static void
on_ehlo(struct session *s)
{
	if (s->reply.code / 100 == 2 && s->self) {
		loops_back(s);
	} else if (s->reply.code / 100 == 2) {
		s->features |= FEATURE_ESMTP;
		starttls_decide(s);
	} else if (s->reply.code / 100 == 5 && !set.lmtp) {
		s->features = 0;
		session_set_state(s, S_HELO);
		stream_printf(s->stream, "HELO %s\r\n", set.helo_name);
		stream_set_deadline(s->stream, set.helo_ms);
	} else {
		refused(s);
	}
}

static void
on_helo(struct session *s)
{
	if (s->reply.code / 100 != 2)
		refused(s);
	else if (s->self)
		loops_back(s);
	else
		starttls_decide(s);
}

/* --- replies ----------------------------------------------------------------------------- */

void
session_on_reply(struct session *s)
{
	switch (s->state) {
	case S_GREETING:
		on_greeting(s);
		break;
	case S_EHLO:
		on_ehlo(s);
		break;
	case S_HELO:
		on_helo(s);
		break;
	case S_STARTTLS:
		starttls_reply(s);
		break;
	case S_AUTH:
		auth_reply(s);
		break;
	case S_ENVELOPE:
	case S_BODY:
	case S_DOT:
		if (s->reply.code == 421) {
			s->spent = true;
			if (s->state == S_ENVELOPE && retry_fresh(s))
				return;
		}
		transaction_reply(s);
		break;
	case S_RSET:
		if (s->reply.code / 100 == 2)
			cache_put(s);
		else
			session_quit(s);
		break;
	case S_QUIT:
		session_drop(s);
		break;
	default:
		garbled(s);
		break;
	}
}

static void
on_read(void *arg, struct stream *stream)
{
	struct session *s = arg;
	enum reply_result rc;
	size_t used;

	reading = s;
	while (reading == s && stream_input(stream).len > 0 &&
	    !stream_paused(stream)) {
		if (s->state == S_IDLE || s->state == S_TLSA ||
		    s->state == S_TLS || s->state == S_SECRET ||
		    s->state == S_READY) {
			garbled(s);	/* nothing was asked */
			break;
		}
		rc = reply_feed(&s->reply, stream_input(stream), &used);
		stream_consume(stream, used);
		if (rc == REPLY_MORE)
			break;
		if (rc == REPLY_BAD) {
			garbled(s);
			break;
		}
		if (log_debug_on())
			log_debug("%s: < %s", s->where, s->reply.text.data);
		session_on_reply(s);
		if (reading == s)
			reply_reset(&s->reply);
	}
	reading = NULL;
}

static void
on_drain(void *arg, struct stream *stream)
{
	struct session *s = arg;

	if (s->state == S_BODY)
		body_pump(s);
}

static const struct stream_ops ops = {
	.on_read = on_read, .on_drain = on_drain, .on_end = on_end,
};

/* --- public ------------------------------------------------------------------------------- */

static void
name_session(struct session *s, const struct peer *p)
{
	char ip[SOCK_ADDR_TEXT_MAX];

	if (p->addr.sa.sa_family == AF_UNIX) {
		s->said = mem_printf("%s[%s]", conf.myhostname,
		    p->addr.un.sun_path);
		s->where = mem_strdup(s->said);
		return;
	}
	sock_addr_text(&p->addr, ip);
	s->said = mem_printf("%s[%s]", p->host, ip);
	s->where = mem_printf("%s:%u", s->said, sock_addr_port(&p->addr));
}

/* smtp_reply_filter */
static int
filter_line(void *arg, struct span line, struct buf *out)
{
	struct session *s = arg;
	struct why why = WHY_INIT;
	int rc = maps_get(set.reply_filter, line, false, out, &why);

	if (rc > 0)
		log_info("%s: replacing server reply \"%.*s\" with \"%s\"",
		    s->where, SPAN_ARG(line), out->data);
	else if (rc < 0)
		log_warning("%s: %s", s->where, why.text);
	return rc;
}

static void
attach(struct session *s, struct delivery *d)
{
	s->d = d;
	d->session = s;
	d->relay = arena_strdup(&d->arena, s->where);
}

void
session_start(struct delivery *d, int fd, const struct peer *p, size_t index)
{
	struct session *s = mem_zalloc(sizeof(*s));

	list_append(&sessions, &s->link);
	nsessions++;
	name_session(s, p);
	s->key = mem_strdup(d->key);
	s->born_ms = loop_now_ms(daemon_loop());
	reply_init(&s->reply);
	s->reply.on_line = on_line;
	s->reply.arg = s;
	if (!maps_empty(set.reply_filter))
		s->reply.filter = filter_line;
	s->stream = stream_new(daemon_loop(), fd, IN_MAX, OUT_MAX, &ops, s);
	s->host = mem_strdup(p->host);
	s->target = mem_strdup(p->target);
	s->addr = p->addr;
	s->host_secure = p->host_secure;
	s->no_tls = p->no_tls;
	s->tlsa_base = "";
	s->peer_index = index;
	s->level = d->policy.level;
	s->spent = d->policy.no_reuse;
	s->sts = sts_ref(d->sts);
	s->wrapper = set.tls_wrapper && p->addr.sa.sa_family != AF_UNIX;
	attach(s, d);
	session_set_state(s, S_GREETING);
	if (s->wrapper) {
		starttls_begin(s);
		return;
	}
	stream_set_deadline(s->stream, set.helo_ms);
}

void
session_reuse(struct session *s, struct delivery *d)
{
	attach(s, d);
	d->sessions++;
	session_ready(s);
}
