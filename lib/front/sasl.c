/* SPDX-License-Identifier: ISC */
/*
 * sasl - logins before the session: the exchange between a client and authd
 * (RFC 4422, with the framing that RFC 5034 and RFC 9051 6.2.2 share: base64
 * lines, "+ " in front of a challenge, "*" to cancel).
 *
 * Mechanisms are authd's affair; here they are names.
 */
#include "base/base64.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "front/front_priv.h"

/* A client's line: as much as authd takes, in base64. */
#define LINE_MAX_LEN	BASE64_LEN(AUTH_DATA_MAX)

void
front_sasl_forget(struct prelogin *p)
{
	auth_attempt_free(&p->attempt);
	mem_wipe(p->ticket, sizeof(p->ticket));
	p->ticket_len = 0;
}

void
front_facts(const struct front *f, struct auth_facts *out,
    struct front_binding *bytes)
{
	struct tls *t = tls_of(f->client);
	size_t len;

	*out = (struct auth_facts){
		.service = front_process.ops->service,
		.client = &f->pre->peer, .server = &f->pre->local,
		.stream = f->client,
		.tls = t != NULL, .cert_name = "", .trace = f->pre->id,
		.want_ticket = true,
	};
	if (t == NULL)
		return;
	if (tls_binding(t, TLS_BINDING_EXPORTER, bytes->exporter, &len) == 0)
		out->tls_exporter = span_make(bytes->exporter, len);
	if (tls_binding(t, TLS_BINDING_SERVER_END_POINT, bytes->endpoint,
	    &len) == 0)
		out->tls_endpoint = span_make(bytes->endpoint, len);
	if (tls_facts(t)->trust >= TLS_TRUSTED)
		out->cert_name = tls_facts(t)->peer_email[0] != '\0'
		    ? tls_facts(t)->peer_email : tls_facts(t)->peer_cn;
}

void
front_mechanisms(const struct front *f, const char *prefix, struct buf *out)
{
	struct front_binding bytes;
	struct auth_facts facts;

	front_facts(f, &facts, &bytes);
	auth_offer(&facts, front_login_possible(f), prefix, out);
}

bool
front_offers(const struct front *f, struct span mechanism)
{
	struct front_binding bytes;
	struct auth_facts facts;

	front_facts(f, &facts, &bytes);
	return auth_offered(&facts, front_login_possible(f), mechanism);
}

static void
failed(struct front *f, int reason, const char *text)
{
	front_sasl_forget(f->pre);
	front_process.ops->failed(f, span_of(f->pre->tag), reason, text);
	front_talk(f);
}

/* --- authd's answers ------------------------------------------------------------------ */

static void
on_challenge(void *arg, struct span data)
{
	struct front *f = arg;
	struct buf b = BUF_INIT(BUF_UNLIMITED);

	buf_add_str(&b, "+ ");
	base64_encode(data, &b);
	buf_add_str(&b, "\r\n");
	stream_write_span(f->client, buf_span(&b));
	buf_wipe(&b);
	f->state = FRONT_SASL_LINE;
	stream_resume(f->client);
}

static void
on_ok(void *arg, const struct auth_ok *ok)
{
	struct front *f = arg;
	struct prelogin *p = f->pre;

	auth_attempt_free(&p->attempt);
	if (ok->ticket.len == 0 || ok->ticket.len > sizeof(p->ticket) ||
	    span_copy(ok->user, p->user, sizeof(p->user)) < 0) {
		failed(f, AUTH_UNAVAILABLE, "no ticket");
		return;
	}
	memcpy(p->ticket, ok->ticket.p, ok->ticket.len);
	p->ticket_len = ok->ticket.len;
	front_hand(f);
}

static void
on_fail(void *arg, const struct auth_fail *fail)
{
	struct front *f = arg;
	char text[AUTH_TEXT_MAX + 1];

	if (span_copy(fail->text, text, sizeof(text)) < 0)
		text[0] = '\0';
	auth_attempt_free(&f->pre->attempt);
	failed(f, (int)fail->reason, text);
}

static const struct auth_ops attempt_ops = {
	.on_challenge = on_challenge,
	.on_ok = on_ok,
	.on_fail = on_fail,
};

/* --- the beginning --------------------------------------------------------------------- */

/* A failure that is known at once is told at the end of the turn, as those
 * of authd are: the protocol's parser is on the stack. */
static void
malformed_later(void *arg)
{
	failed(arg, AUTH_MALFORMED, "malformed login");
}

static void
mechanism_later(void *arg)
{
	failed(arg, AUTH_NO_MECHANISM, "no such mechanism here");
}

static void
privacy_later(void *arg)
{
	failed(arg, AUTH_NEED_TLS, "not without TLS");
}

static void
refuse(struct front *f, loop_fn *fn)
{
	f->later.fn = fn;
	f->later.arg = f;
	loop_defer(daemon_loop(), &f->later);
}

static void
start(struct front *f, struct span tag, struct span mechanism,
    const struct span *initial)
{
	struct prelogin *p = f->pre;
	struct front_binding bytes;
	struct auth_facts facts;

	front_facts(f, &facts, &bytes);
	f->state = FRONT_SASL_WAIT;
	stream_pause(f->client);
	p->attempts++;
	p->method[0] = '\0';
	if (span_copy(tag, p->tag, sizeof(p->tag)) < 0)
		p->tag[0] = '\0';
	if (initial != NULL && initial->p == NULL) {	/* not base64 */
		refuse(f, malformed_later);
		return;
	}
	if (span_copy(mechanism, p->method, sizeof(p->method)) < 0)
		memcpy(p->method, "?", 2);
	for (char *c = p->method; *c != '\0'; c++)
		if (*c >= 'a' && *c <= 'z')
			*c = (char)(*c - 'a' + 'A');
	if (!auth_offered(&facts, front_login_possible(f), mechanism)) {
		refuse(f, auth_offered(&facts, true, mechanism)
		    ? privacy_later : mechanism_later);
		return;
	}
	p->attempt = auth_attempt_new(front_process.auth, &facts, mechanism,
	    initial, &attempt_ops, f);
}

void
front_auth(struct front *f, struct span tag, struct span mechanism,
    struct span initial)
{
	struct buf data = BUF_SECRET(AUTH_DATA_MAX);
	struct span d = SPAN("");

	if (initial.p == NULL) {
		start(f, tag, mechanism, NULL);
		return;
	}
	/* RFC 5034 4: "=" is an initial response of no bytes. */
	if (span_is(initial, "="))
		;
	else if (initial.len == 0 || base64_decode(initial, &data) < 0)
		d = SPAN_EMPTY;
	else
		d = buf_span(&data);
	start(f, tag, mechanism, &d);
	buf_wipe(&data);
}

/* As if the client had sent PLAIN (RFC 4616). */
void
front_login(struct front *f, struct span tag, struct span user,
    struct span password)
{
	struct buf data = BUF_SECRET(AUTH_DATA_MAX);
	struct span d;

	if (span_has_nul(user) || span_has_nul(password) ||
	    buf_put_char(&data, '\0') < 0 || buf_put_span(&data, user) < 0 ||
	    buf_put_char(&data, '\0') < 0 ||
	    buf_put_span(&data, password) < 0)
		d = SPAN_EMPTY;
	else
		d = buf_span(&data);
	start(f, tag, SPAN("PLAIN"), &d);
	buf_wipe(&data);
}

/* --- the client's answers ------------------------------------------------------------------ */

/* Take a line off the input; -1: it has not come whole yet. */
static int
take_line(struct front *f, struct buf *line)
{
	struct span in = stream_input(f->client);
	ptrdiff_t lf = span_find(in, '\n');
	size_t len;

	if (lf < 0)
		return -1;
	len = (size_t)lf;
	if (len > 0 && in.p[len - 1] == '\r')
		len--;
	buf_add(line, in.p, len);
	stream_consume(f->client, (size_t)lf + 1);
	return 0;
}

static void
answer_line(struct front *f, struct span line)
{
	struct buf data = BUF_SECRET(AUTH_DATA_MAX);

	if (span_is(line, "*")) {
		failed(f, FRONT_CANCELLED, "login cancelled");
		return;
	}
	if (base64_decode(line, &data) < 0) {
		buf_wipe(&data);
		failed(f, AUTH_MALFORMED, "not base64");
		return;
	}
	f->state = FRONT_SASL_WAIT;
	stream_pause(f->client);
	auth_continue(f->pre->attempt, buf_span(&data));
	buf_wipe(&data);
}

void
front_sasl_line(struct front *f)
{
	struct buf line = BUF_INIT(BUF_UNLIMITED);

	if (take_line(f, &line) < 0) {
		if (stream_input(f->client).len > LINE_MAX_LEN)
			front_goodbye(f, FRONT_BYE_TOO_LONG);
		return;
	}
	answer_line(f, buf_span(&line));
	buf_wipe(&line);
}
