/* SPDX-License-Identifier: ISC */
/*
 * service - check_policy_service: what a policy service is told of the client
 * and the message, in Postfix's attributes (SMTPD_POLICY_README), and what its
 * answer means, which is what a result of an access(5) table means.
 *
 * delegate asks it for us, and is asked once more when it ends meanwhile.  A
 * service that does not answer in time is worth its default_action.
 */
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "conf/endpoint.h"
#include "conf/params.h"
#include "conf/words.h"
#include "daemon/daemon.h"
#include "ipc/asker.h"
#include "ipc/msg_delegate.h"
#include "mail/dsn.h"
#include "smtpd/restrict.h"
#include "tls/tls.h"

/* Behind what delegate takes for itself: it has died, or hangs. */
#define SLACK_MS	5000

/* --- settings ------------------------------------------------------------------------ */

static void
set_text(char **to, struct arena *a, struct span s)
{
	if (a == NULL)
		mem_free(*to);
	*to = a != NULL ? arena_span_dup(a, s) : span_dup(s);
}

static int
set_number(struct span name, struct span value, struct policy_service *p)
{
	const struct {
		const char	*name;
		int64_t		*to;
	} all[] = {
		{ "timeout", &p->timeout }, { "max_idle", &p->max_idle },
		{ "max_ttl", &p->max_ttl },
		{ "retry_delay", &p->retry_delay },
		{ "request_limit", &p->request_limit },
		{ "try_limit", &p->try_limit },
	};
	char setting[64];

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		if (!span_is(name, all[i].name))
			continue;
		(void)snprintf(setting, sizeof(setting),
		    "smtpd_policy_service_%s", all[i].name);
		return params_number(setting, value, all[i].to) < 0 ? -1 : 1;
	}
	return 0;
}

/* "timeout=10s", or "{ default_action = 451 4.3.5 Come again }". */
static int
set_option(struct span word, struct arena *a, struct policy_service *p,
    struct why *why)
{
	struct span name, value;
	ptrdiff_t eq;
	int rc;

	(void)words_unbrace(word, &word);
	eq = span_find(word, '=');
	if (eq <= 0)
		return why_set(why, "", "\"%.*s\" is not name=value",
		    SPAN_ARG(span_sub(word, 0, 100)));
	name = span_trim(span_sub(word, 0, (size_t)eq));
	value = span_trim(span_from(word, (size_t)eq + 1));
	rc = set_number(name, value, p);
	if (rc < 0)
		return why_set(why, "", "bad value \"%.*s\" of %.*s",
		    SPAN_ARG(span_sub(value, 0, 100)), SPAN_ARG(name));
	if (rc > 0)
		return 0;
	if (!span_is(name, "default_action") &&
	    !span_is(name, "policy_context"))
		return why_set(why, "", "unknown option \"%.*s\"",
		    SPAN_ARG(span_sub(name, 0, 100)));
	set_text(name.p[0] == 'd' ? &p->default_action : &p->policy_context,
	    a, value);
	return 0;
}

void
service_free(struct policy_service **pp)
{
	struct policy_service *p = *pp;

	*pp = NULL;
	if (p == NULL)
		return;
	mem_free(p->server);
	mem_free(p->default_action);
	mem_free(p->policy_context);
	mem_free(p);
}

struct policy_service *
service_parse(struct span arg, struct arena *a, struct why *why)
{
	struct policy_service *p = a != NULL ?
	    arena_zalloc(a, sizeof(*p)) : mem_zalloc(sizeof(*p));
	struct endpoint where;
	struct span word;
	int rc = 0;

	p->timeout = conf.smtpd_policy_service_timeout;
	p->max_idle = conf.smtpd_policy_service_max_idle;
	p->max_ttl = conf.smtpd_policy_service_max_ttl;
	p->retry_delay = conf.smtpd_policy_service_retry_delay;
	p->request_limit = conf.smtpd_policy_service_request_limit;
	p->try_limit = conf.smtpd_policy_service_try_limit;
	set_text(&p->default_action, a,
	    span_of(conf.smtpd_policy_service_default_action));
	set_text(&p->policy_context, a,
	    span_of(conf.smtpd_policy_service_policy_context));
	if (words_next(&arg, &word) != 1)
		rc = why_set(why, "", "no service is named");
	else if (word.len > DELEGATE_SERVER_MAX)
		rc = why_set(why, "", "a name has at most %d bytes",
		    DELEGATE_SERVER_MAX);
	else if ((rc = endpoint_parse(word, &where, why)) == 0)
		set_text(&p->server, a, word);
	while (rc == 0 && (rc = words_next(&arg, &word)) != 0)
		rc = rc < 0 ? why_set(why, "", "'{' without '}'") :
		    set_option(word, a, p, why);
	if (rc == 0 && !access_result_known(span_of(p->default_action)))
		rc = why_set(why, "", "default_action: \"%.100s\" is no "
		    "action of access(5)", p->default_action);
	if (rc < 0 && a == NULL)
		service_free(&p);
	return rc < 0 ? NULL : p;
}

/* How long delegate may take. */
static int64_t
service_time_ms(const struct policy_service *p)
{
	return SLACK_MS + DELEGATE_QUEUE_MS + 1000 * p->try_limit *
	    (2 * p->timeout + p->retry_delay);
}

int64_t
service_patience_ms(const struct policy_service *p)
{
	return service_time_ms(p) + SMTPD_AWAY_MS + SLACK_MS;
}

/* --- attributes ------------------------------------------------------------------------ */

static void
put(struct buf *b, const char *name, struct span value)
{
	buf_addf(b, "%s=", name);
	for (size_t i = 0; i < value.len; i++) {
		unsigned char c = (unsigned char)value.p[i];

		buf_add_char(b, c < ' ' || c == 127 ? '?' : (char)c);
	}
	buf_add_char(b, '\n');
}

static void
put_str(struct buf *b, const char *name, const char *value)
{
	put(b, name, span_of(value));
}

static void
put_number(struct buf *b, const char *name, uint64_t n)
{
	buf_addf(b, "%s=%llu\n", name, (unsigned long long)n);
}

static void
put_client(struct buf *b, struct session *s)
{
	char own[SOCK_ADDR_TEXT_MAX] = "";
	struct sock_addr a = { .len = sizeof(a.ss) };
	uint64_t port = s->dest_port;

	put_str(b, "client_address", s->addr_text);
	put_str(b, "client_name", s->name);
	put_number(b, "client_port", sock_addr_port(&s->addr));
	put_str(b, "reverse_client_name", s->reverse_name == NULL ?
	    "unknown" : s->reverse_name);
	if (s->dest_addr == NULL && getsockname(stream_fd(s->stream), &a.sa,
	    &a.len) == 0 && a.sa.sa_family != AF_UNIX) {
		sock_addr_text(&a, own);
		port = sock_addr_port(&a);
	}
	put_str(b, "server_address", s->dest_addr == NULL ? own :
	    s->dest_addr);
	put_number(b, "server_port", port);
	put_str(b, "helo_name", s->helo == NULL ? "" : s->helo);
}

static void
put_message(struct buf *b, const struct policy_run *r)
{
	const struct session *s = r->s;
	const struct txn *t = s->txn;
	bool late = r->stage == STAGE_DATA || r->stage == STAGE_EOD;

	put(b, "sender", t == NULL ? SPAN_EMPTY : t->env.sender);
	put(b, "recipient", r->stage == STAGE_ETRN ? SPAN_EMPTY : r->rcpt);
	put_number(b, "recipient_count", late && t != NULL ?
	    t->env.rcpts.len : 0);
	put(b, "queue_id", t == NULL ? SPAN_EMPTY : t->env.queue_id);
	put_str(b, "instance", t == NULL ? s->trace : t->trace);
	put_number(b, "size", t == NULL ? 0 : r->stage == STAGE_EOD ?
	    t->wire : t->declared);
	put(b, "etrn_domain", r->stage == STAGE_ETRN ? r->rcpt : SPAN_EMPTY);
	put_str(b, "stress", conf.stress);
}

/* As xtext: what stands in certificates is anything. */
static void
put_subject(struct buf *b, const char *name, const char *value)
{
	struct buf x = BUF_INIT(BUF_UNLIMITED);

	dsn_xtext_encode(span_of(value), &x);
	put(b, name, buf_span(&x));
	buf_fini(&x);
}

static void
put_login(struct buf *b, const struct session *s)
{
	struct span from = s->txn == NULL ? SPAN_EMPTY :
	    envelope_attr(&s->txn->env, ENV_ATTR_SASL_SENDER);

	put_str(b, "sasl_method", s->sasl_method == NULL ? "" :
	    s->sasl_method);
	put_str(b, "sasl_username", s->login == NULL ? "" : s->login);
	put(b, "sasl_sender", from);
}

static void
put_tls(struct buf *b, const struct session *s)
{
	struct tls *t = s->stream == NULL || s->secured == NULL ? NULL :
	    tls_of(s->stream);
	const struct tls_facts *f = t == NULL ? NULL : tls_facts(t);
	bool trusted = f != NULL && f->trust >= TLS_TRUSTED;

	put_subject(b, "ccert_subject", trusted ? f->peer_cn : "");
	put_subject(b, "ccert_issuer", trusted ? f->issuer_cn : "");
	put_str(b, "ccert_fingerprint", f == NULL ? "" :
	    f->cert_fingerprint);
	put_str(b, "ccert_pubkey_fingerprint", f == NULL ? "" :
	    f->pkey_fingerprint);
	put_str(b, "encryption_protocol", f == NULL ? "" : f->protocol);
	put_str(b, "encryption_cipher", f == NULL ? "" : f->cipher);
	put_number(b, "encryption_keysize", f == NULL ? 0 :
	    (uint64_t)MAX(f->bits, 0));
}

static void
make_request(struct policy_run *r, const struct policy_service *p,
    struct buf *b)
{
	buf_add_str(b, "request=smtpd_access_policy\n");
	/* DATA also for BDAT: which of them it was is no service's affair. */
	put_str(b, "protocol_state", r->stage == STAGE_DATA ? "DATA" :
	    policy_stage_text(r));
	put_str(b, "protocol_name", session_proto(r->s));
	put_client(b, r->s);
	put_message(b, r);
	put_login(b, r->s);
	put_tls(b, r->s);
	put_str(b, "policy_context", p->policy_context);
	buf_add_char(b, '\n');
}

/* --- questions -------------------------------------------------------------------------- */

struct service_query {
	struct question	 q;
	struct ask	*ask;
	struct service_query **own;	/* the asker's */
	struct buf	 frame;		/* a delegate_ask */
};

static struct asker *asker;

static struct service_query *
query(struct question *q)
{
	return CONTAINER_OF(q, struct service_query, q);
}

static void
query_free(struct service_query *q)
{
	*q->own = NULL;
	buf_fini(&q->frame);
	mem_free(q);
}

static void
put_question(struct question *q, struct ipc_conn *c)
{
	ipc_send(c, DELEGATE_ASK, q->tag, buf_span(&query(q)->frame));
}

static void
tell(struct service_query *q, const struct answer *a)
{
	struct ask *ask = q->ask;

	query_free(q);
	ask->fn(ask, a);
}

static int
on_answer(struct question *q, const struct ipc_frame *f)
{
	struct answer a = { .status = ANSWER_OK };
	struct delegate_answer m;

	if (delegate_answer_decode(&m, f->body) < 0)
		return -1;
	if (!m.ok)
		a.status = ANSWER_TEMPFAIL;
	a.text = m.text;
	a.value = m.action;
	asker_forget(asker, q);
	tell(query(q), &a);
	return 0;
}

static void
on_lost(struct question *q)
{
	static const struct answer away = {
		.status = ANSWER_TEMPFAIL, .text = { "delegate is away", 16 }
	};

	tell(query(q), &away);
}

/* The connection is made by the first who asks. */
static struct asker *
delegate(void)
{
	static const struct asker_ops ops = {
		.put = put_question, .answer = on_answer, .lost = on_lost,
		.answer_type = DELEGATE_ANSWER, .wait_ms = SMTPD_WAIT_MS,
		.away_ms = SMTPD_AWAY_MS,
	};

	if (asker == NULL)
		asker = asker_new(session_loop(),
		    daemon_socket_path("private/delegate"), &DELEGATE_PROTO,
		    &ops);
	return asker;
}

static uint32_t
to_ms(int64_t seconds)
{
	return (uint32_t)MIN(seconds * 1000, (int64_t)DELEGATE_TIME_MAX);
}

void
service_ask(struct ask *ask, struct policy_run *r,
    const struct policy_service *p, struct service_query **own)
{
	struct service_query *q = mem_zalloc(sizeof(*q));
	struct buf request = BUF_INIT(BUF_UNLIMITED);
	struct delegate_ask m;

	make_request(r, p, &request);
	m = (struct delegate_ask){
		.server = span_of(p->server),
		.instance = span_of(r->s->txn != NULL ? r->s->txn->trace :
		    r->s->trace),
		.timeout_ms = to_ms(p->timeout),
		.tries = (uint32_t)p->try_limit,
		.delay_ms = to_ms(p->retry_delay),
		.idle_ms = to_ms(p->max_idle), .ttl_ms = to_ms(p->max_ttl),
		.requests = (uint32_t)p->request_limit,
		.request = buf_span(&request),
	};
	q->frame = BUF_INIT(BUF_UNLIMITED);
	delegate_ask_encode(&q->frame, &m);
	buf_fini(&request);
	q->ask = ask;
	q->own = own;
	q->q.wait_ms = service_time_ms(p);
	*own = q;
	asker_ask(delegate(), &q->q);
}

void
service_cancel(struct service_query **own)
{
	struct service_query *q = *own;
	struct ipc_conn *c;

	if (q == NULL)
		return;
	c = asker_conn(asker, &q->q);
	if (c != NULL)
		ipc_send(c, DELEGATE_CANCEL, q->q.tag, SPAN_EMPTY);
	asker_forget(asker, &q->q);
	query_free(q);
}

/* --- the restriction ---------------------------------------------------------------------- */

/*
 * No answer.  A default action that is a list of restrictions may ask another
 * service: when that fails as well, it is the built-in action's turn.
 */
static enum verdict
use_default(struct policy_run *r, const struct rule *rule)
{
	bool nested = r->defaulted > 0 && r->depth > r->defaulted;
	enum verdict v = access_result(r, rule, span_of(nested ?
	    params_row("smtpd_policy_service_default_action")->def :
	    rule->service->default_action), SPAN("default_action"),
	    r->flavour);

	if (!nested)
		r->defaulted = v == V_ENTER ? r->depth : 0;
	return v;
}

enum verdict
eval_policy_service(struct policy_run *r, const struct rule *rule)
{
	const struct answer *a = policy_ask_service(r, rule->service);

	if (a == NULL)
		return V_WAIT;
	if (a->status == ANSWER_OK && utf8_valid(a->value))
		return access_result(r, rule, a->value, SPAN("policy_query"),
		    r->flavour);
	if (a->status == ANSWER_OK)
		log_warning("%s: the action of server %s is no UTF-8",
		    r->s->namaddr, rule->service->server);
	else
		log_warning("%s: no answer of server %s: %.*s",
		    r->s->namaddr, rule->service->server, SPAN_ARG(a->text));
	return use_default(r, rule);
}
