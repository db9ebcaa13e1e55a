/* SPDX-License-Identifier: ISC */
/*
 * auth_client - see auth_client.h.
 */
#include "auth/auth_client.h"

#include "auth/sasl.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "ipc/tags.h"

struct auth_client {
	struct loop		*loop;
	struct ipc_client	*ipc;
	struct tags		 tags;
};

struct auth_attempt {
	struct auth_client	*client;
	const struct auth_ops	*ops;
	void			*arg;
	uint32_t		 tag;		/* 0: not with authd */
	/* A failure that is ours to tell, at the end of the turn. */
	struct loop_defer	 defer;
	enum auth_reason	 reason;
	const char		*text;
	bool			 over;
};

/* --- answers -------------------------------------------------------------------- */

static void
forget(struct auth_attempt *a)
{
	tags_del(&a->client->tags, a->tag);
	a->tag = 0;
	a->over = true;
}

static void
tell_failure(void *arg)
{
	struct auth_attempt *a = arg;
	struct auth_fail fail = {
		.reason = a->reason, .text = span_of(a->text),
		.user = SPAN(""),
	};

	a->ops->on_fail(a->arg, &fail);
}

static void
fail_later(struct auth_attempt *a, enum auth_reason reason, const char *text)
{
	if (a->over)
		return;
	forget(a);
	a->reason = reason;
	a->text = text;
	a->defer.fn = tell_failure;
	a->defer.arg = a;
	loop_defer(a->client->loop, &a->defer);
}

static int
on_frame(void *arg, struct ipc_conn *c, const struct ipc_frame *f)
{
	struct auth_client *client = arg;
	struct auth_attempt *a = tags_get(&client->tags, f->tag);
	struct auth_data data;
	struct auth_fail fail;
	struct auth_ok ok;

	if (f->fd >= 0)
		return -1;
	switch (f->type) {
	case AUTH_CHALLENGE:
		if (auth_data_decode(&data, f->body) < 0)
			return -1;
		if (a != NULL)
			a->ops->on_challenge(a->arg, data.data);
		return 0;
	case AUTH_OK:
		if (auth_ok_decode(&ok, f->body) < 0)
			return -1;
		if (a != NULL) {
			forget(a);
			a->ops->on_ok(a->arg, &ok);
		}
		return 0;
	case AUTH_FAIL:
		if (auth_fail_decode(&fail, f->body) < 0 || fail.reason == 0)
			return -1;
		if (a != NULL) {
			forget(a);
			a->ops->on_fail(a->arg, &fail);
		}
		return 0;
	default:
		return -1;
	}
}

static void
lost(void *p)
{
	fail_later(p, AUTH_UNAVAILABLE,
	    "Temporary authentication failure");
}

static void
on_down(void *arg)
{
	struct auth_client *client = arg;

	if (client->tags.used > 0)
		log_warning("lost connection with authd: %zu logins under "
		    "way have failed", client->tags.used);
	tags_each(&client->tags, lost);
}

static const struct ipc_client_ops ops = {
	.on_frame = on_frame, .on_down = on_down,
};

struct auth_client *
auth_client_new(struct loop *l, const char *path)
{
	struct auth_client *c = mem_zalloc(sizeof(*c));

	c->loop = l;
	c->ipc = ipc_client_new(l, path, &AUTH_PROTO, &ops, c);
	return c;
}

void
auth_client_free(struct auth_client **cp)
{
	struct auth_client *c = *cp;

	*cp = NULL;
	if (c == NULL)
		return;
	ipc_client_free(&c->ipc);
	ARRAY_FINI(&c->tags.slots);
	mem_free(c);
}

/* --- attempts ---------------------------------------------------------------------- */

static struct span
cut(const char *s, size_t max)
{
	return span_sub(span_of(s != NULL ? s : ""), 0, max);
}

static void
send_start(struct auth_attempt *a, struct ipc_conn *c,
    const struct auth_facts *f, struct span mechanism,
    const struct span *initial)
{
	char client[SOCK_ADDR_TEXT_MAX] = "", server[SOCK_ADDR_TEXT_MAX] = "";
	struct buf body = BUF_SECRET(BUF_UNLIMITED);
	struct auth_start m = {
		.service = cut(f->service, AUTH_SERVICE_MAX),
		.mechanism = mechanism,
		.has_initial = initial != NULL,
		.initial = initial != NULL ? *initial : SPAN(""),
		.tls = f->tls,
		.tls_exporter = span_sub(f->tls_exporter, 0, AUTH_CB_MAX),
		.tls_endpoint = span_sub(f->tls_endpoint, 0, AUTH_CB_MAX),
		.cert_name = cut(f->cert_name, AUTH_CERT_MAX),
		.realm = cut(f->realm, 255),
		.trace = cut(f->trace, 32),
		.want_ticket = f->want_ticket,
	};

	if (f->client != NULL && f->client->sa.sa_family != AF_UNIX) {
		sock_addr_text(f->client, client);
		m.client_port = sock_addr_port(f->client);
	}
	if (f->server != NULL && f->server->sa.sa_family != AF_UNIX) {
		sock_addr_text(f->server, server);
		m.server_port = sock_addr_port(f->server);
	}
	m.client = span_of(client);
	m.server = span_of(server);
	auth_start_encode(&body, &m);
	ipc_send_fd(c, AUTH_START, a->tag, buf_span(&body),
	    stream_fd(f->stream));
	buf_wipe(&body);
}

struct auth_attempt *
auth_attempt_new(struct auth_client *c, const struct auth_facts *f,
    struct span mechanism, const struct span *initial,
    const struct auth_ops *o, void *arg)
{
	struct auth_attempt *a = mem_zalloc(sizeof(*a));
	struct ipc_conn *conn;

	a->client = c;
	a->ops = o;
	a->arg = arg;
	if (mechanism.len > AUTH_MECH_MAX || span_has_nul(mechanism)) {
		fail_later(a, AUTH_NO_MECHANISM, "Unknown mechanism");
		return a;
	}
	if (initial != NULL && initial->len > AUTH_DATA_MAX) {
		fail_later(a, AUTH_MALFORMED, "Response too long");
		return a;
	}
	conn = ipc_client_conn(c->ipc);
	if (conn == NULL || (a->tag = tags_add(&c->tags, a)) == 0) {
		fail_later(a, AUTH_UNAVAILABLE,
		    "Temporary authentication failure");
		return a;
	}
	send_start(a, conn, f, mechanism, initial);
	return a;
}

void
auth_continue(struct auth_attempt *a, struct span data)
{
	struct auth_data m = { data };
	struct ipc_conn *conn;

	if (a->over)
		return;
	conn = ipc_client_conn(a->client->ipc);
	if (data.len > AUTH_DATA_MAX) {
		if (conn != NULL)
			ipc_send(conn, AUTH_CANCEL, a->tag, SPAN(""));
		fail_later(a, AUTH_MALFORMED, "Response too long");
		return;
	}
	if (conn == NULL) {
		lost(a);
		return;
	}
	auth_data_encode(ipc_begin(conn, AUTH_CONTINUE, a->tag), &m);
	ipc_end(conn);
}

void
auth_attempt_free(struct auth_attempt **ap)
{
	struct auth_attempt *a = *ap;
	struct ipc_conn *conn;

	*ap = NULL;
	if (a == NULL)
		return;
	if (!a->over) {
		conn = ipc_client_conn(a->client->ipc);
		if (conn != NULL)
			ipc_send(conn, AUTH_CANCEL, a->tag, SPAN(""));
		forget(a);
	}
	loop_defer_cancel(&a->defer);
	mem_free(a);
}

/* --- what to offer ------------------------------------------------------------------- */

/* In the order that a client which takes the first it knows should see. */
static const enum sasl_mech order[] = {
	SASL_SCRAM_SHA256_PLUS, SASL_SCRAM_SHA256, SASL_SCRAM_SHA1_PLUS,
	SASL_SCRAM_SHA1, SASL_PLAIN, SASL_LOGIN, SASL_OAUTHBEARER,
	SASL_XOAUTH2, SASL_EXTERNAL,
};

static bool
in_filter(const char *filter, const char *name)
{
	struct span rest = span_of(filter), w;

	while (span_token(&rest, " \t\r\n,", &w)) {
		bool not = w.p[0] == '!';

		if (not)
			w = span_from(w, 1);
		if (span_caseis(w, name) || span_caseis(w, "static:rest"))
			return !not;
	}
	return false;
}

static bool
possible(enum sasl_mech m, const struct auth_facts *f, bool plaintext)
{
	if (!in_filter(conf.authd_mechanism_filter, sasl_mech_name(m)) ||
	    (sasl_mech_plaintext(m) && !plaintext))
		return false;
	switch (m) {
	case SASL_SCRAM_SHA1_PLUS:
	case SASL_SCRAM_SHA256_PLUS:
		return f->tls_exporter.len > 0 || f->tls_endpoint.len > 0;
	case SASL_OAUTHBEARER:
	case SASL_XOAUTH2:
		return conf.authd_oauth_jwks_file[0] != '\0' ||
		    conf.authd_oauth_introspection_url[0] != '\0';
	case SASL_EXTERNAL:
		return f->cert_name != NULL && f->cert_name[0] != '\0';
	default:
		return true;
	}
}

static bool
announced(enum sasl_mech m, const struct auth_facts *f, bool plaintext)
{
	return possible(m, f, plaintext) &&
	    !in_filter(conf.authd_mechanism_quiet, sasl_mech_name(m));
}

void
auth_offer(const struct auth_facts *f, bool plaintext, const char *prefix,
    struct buf *out)
{
	bool first = true;

	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		if (!announced(order[i], f, plaintext))
			continue;
		buf_addf(out, "%s%s%s", first ? "" : " ", prefix,
		    sasl_mech_name(order[i]));
		first = false;
	}
}

bool
auth_announced(const struct auth_facts *f, bool plaintext,
    struct span mechanism)
{
	enum sasl_mech m;

	return sasl_mech_find(mechanism, &m) == 0 &&
	    announced(m, f, plaintext);
}

bool
auth_offered(const struct auth_facts *f, bool plaintext,
    struct span mechanism)
{
	enum sasl_mech m;

	return sasl_mech_find(mechanism, &m) == 0 &&
	    possible(m, f, plaintext);
}

/* --- replies ---------------------------------------------------------------------------- */

static const struct {
	const char	*smtp, *imap, *pop3;
} codes[] = {
	/* RFC 4954 4, RFC 5248; RFC 5530; RFC 3206, RFC 2449 */
	[AUTH_WRONG] = { "535 5.7.8", "AUTHENTICATIONFAILED", "AUTH" },
	[AUTH_NOT_FOR_YOU] = { "535 5.7.8", "AUTHORIZATIONFAILED", "AUTH" },
	[AUTH_DISABLED] = { "535 5.7.13", "CONTACTADMIN", "AUTH" },
	[AUTH_EXPIRED] = { "535 5.7.8", "EXPIRED", "AUTH" },
	[AUTH_MALFORMED] = { "501 5.5.2", "", "SYS/PERM" },
	[AUTH_NO_MECHANISM] = { "504 5.5.4", "", "SYS/PERM" },
	[AUTH_TOO_WEAK] = { "534 5.7.9", "", "AUTH" },
	[AUTH_NEED_TLS] = { "538 5.7.11", "PRIVACYREQUIRED", "AUTH" },
	[AUTH_BANNED] = { "454 4.7.0", "UNAVAILABLE", "SYS/TEMP" },
	[AUTH_UNAVAILABLE] = { "454 4.7.0", "UNAVAILABLE", "SYS/TEMP" },
};

const char *
auth_smtp_code(enum auth_reason r)
{
	return codes[r].smtp;
}

const char *
auth_imap_code(enum auth_reason r)
{
	return codes[r].imap;
}

const char *
auth_pop3_code(enum auth_reason r)
{
	return codes[r].pop3;
}
