/* SPDX-License-Identifier: ISC */
/*
 * introspect_helper - the process that asks a web server about access tokens
 * (RFC 7662), for authd.
 *
 * It knows no hash (nurse.c), may open no file, and talks to the endpoint and
 * to the resolver alone.  Its answer is a name: what it makes
 * of the endpoint's is believed, so who takes it over can log in as anybody
 * who may use tokens, as who runs the endpoint can.
 *
 * PARALLEL questions are at the endpoint at a time; the others wait, and are
 * answered with "unknown" when that takes longer than the time for one.
 */
#include "authd/helper.h"

#include <fcntl.h>

#include "auth/jwt.h"
#include "base/base64.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "http/web.h"
#include "io/fd.h"

#define PARALLEL	16
#define QUESTIONS_MAX	2000		/* authd asks less */
#define ANSWER_MAX	(64 * 1024)	/* bytes of the endpoint's */
#define SECRET_MAX	4096		/* bytes of the credentials */

struct question {
	struct list	 link;		/* waiting, or at the endpoint */
	uint32_t	 tag;
	int64_t		 until_ms;	/* to be begun */
	char		*token;
	size_t		 token_len;
	struct web_request *request;
};

static struct {
	struct ipc_conn	*conn;
	struct http	*http;
	struct dns_client *dns;
	char		*authorization;	/* the header's value, or NULL */
	struct hash	 by_tag;
	struct list	 waiting;
	unsigned	 asking;
} g = { .waiting = LIST_INIT(g.waiting) };

static struct span
tag_key(const uint32_t *tag)
{
	return span_make(tag, sizeof(*tag));
}

static void
question_free(struct question *q)
{
	list_remove(&q->link);
	(void)hash_del(&g.by_tag, tag_key(&q->tag));
	if (q->request != NULL)
		g.asking--;
	web_cancel(&q->request);
	mem_wipe(q->token, q->token_len);
	mem_free(q->token);
	mem_free(q);
}

static void
answer(struct question *q, unsigned result, struct span user, uint64_t end_s,
    const char *text)
{
	struct token_answer a = {
		.result = result, .end_s = end_s,
		.user = span_sub(user, 0, AUTH_NAME_MAX),
		.text = span_sub(span_of(text), 0, AUTH_TEXT_MAX),
	};

	token_answer_encode(ipc_begin(g.conn, TOKEN_ANSWER, q->tag), &a);
	ipc_end(g.conn);
	question_free(q);
}

/* --- the endpoint --------------------------------------------------------------- */

static void begin(void);

static void
judge(struct question *q, struct span body)
{
	struct buf user = BUF_INIT(AUTH_NAME_MAX);
	struct why why = WHY_INIT;
	struct jwt_demands want = {
		.issuer = conf.authd_oauth_issuer,
		.audience = conf.authd_oauth_audience,
		.scope = conf.authd_oauth_scope,
		.user_claim = conf.authd_oauth_username_claim,
		.now_s = clock_wall_s(),
	};
	int64_t end_s;
	int rc = jwt_introspected(body, &want, &user, &end_s, &why);

	answer(q, rc > 0 ? TOKEN_GOOD : rc == 0 ? TOKEN_BAD : TOKEN_UNKNOWN,
	    rc > 0 ? buf_span(&user) : SPAN(""),
	    rc > 0 ? (uint64_t)MAX(end_s, 0) : 0, why.text);
	buf_fini(&user);
}

static void
on_answer(void *arg, const struct http_answer *a)
{
	struct question *q = arg;
	char text[200];

	q->request = NULL;
	g.asking--;
	if (a->result != HTTP_ANSWERED) {
		answer(q, TOKEN_UNKNOWN, SPAN(""), 0, a->text);
	} else if (a->status != 200) {
		/* RFC 7662 2.3: 401 means our own credentials. */
		(void)snprintf(text, sizeof(text), "HTTP status %u%s",
		    a->status, a->status == 401 || a->status == 403 ?
		    " (authd_oauth_introspection_credentials_file)" : "");
		answer(q, TOKEN_UNKNOWN, SPAN(""), 0, text);
	} else {
		judge(q, a->body);
	}
	begin();
}

/* application/x-www-form-urlencoded; the rest is as it is. */
static void
put_form(struct span s, struct buf *out)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    (c >= '0' && c <= '9') || c == '-' || c == '_' ||
		    c == '.' || c == '*')
			buf_add_char(out, (char)c);
		else
			buf_addf(out, "%%%02X", c);
	}
}

static void
ask(struct question *q)
{
	struct buf body = BUF_SECRET(BUF_UNLIMITED);
	struct web_ask a = {
		.url = conf.authd_oauth_introspection_url,
		.timeout_ms = conf.authd_oauth_introspection_timeout * 1000,
		.body_max = ANSWER_MAX,
		.type = "application/x-www-form-urlencoded",
		.authorization = g.authorization,
	};

	buf_add_str(&body, "token=");
	put_form(span_make(q->token, q->token_len), &body);
	buf_add_str(&body, "&token_type_hint=access_token");
	a.body = buf_span(&body);
	q->request = web_ask(g.http, g.dns, &a, on_answer, q);
	g.asking++;
	buf_wipe(&body);
}

static void
begin(void)
{
	while (g.asking < PARALLEL && !list_empty(&g.waiting)) {
		struct question *q = LIST_ENTRY(g.waiting.next,
		    struct question, link);

		if (q->until_ms < clock_mono_ms()) {
			answer(q, TOKEN_UNKNOWN, SPAN(""), 0,
			    "too many tokens are waiting");
			continue;
		}
		list_remove(&q->link);
		list_init(&q->link);
		ask(q);
	}
}

/* --- authd ------------------------------------------------------------------------ */

static int
on_ask(struct ipc_conn *c, const struct ipc_frame *f)
{
	struct token_ask m;
	struct question *q;

	if (token_ask_decode(&m, f->body) < 0 ||
	    hash_find(&g.by_tag, tag_key(&f->tag)) != NULL ||
	    g.by_tag.count >= QUESTIONS_MAX)
		return -1;
	g.conn = c;
	q = mem_zalloc(sizeof(*q));
	q->tag = f->tag;
	q->token = span_dup(m.token);
	q->token_len = m.token.len;
	q->until_ms = clock_mono_ms() +
	    conf.authd_oauth_introspection_timeout * 1000;
	list_append(&g.waiting, &q->link);
	(void)hash_put(&g.by_tag, tag_key(&q->tag), q);
	begin();
	return 0;
}

static int
handle(struct ipc_conn *c, const struct ipc_frame *f)
{
	struct question *q;

	if (f->type == TOKEN_ASK)
		return on_ask(c, f);
	if (f->type != TOKEN_CANCEL)
		return -1;
	q = hash_get(&g.by_tag, tag_key(&f->tag));
	if (q != NULL)
		question_free(q);
	begin();
	return 0;
}

/*
 * "client_id:client_secret" (RFC 6749 2.3.1: each as in a form), or "Bearer
 * token", or another scheme and what it wants.
 */
static int
read_credentials(struct why *why)
{
	const char *path = conf.authd_oauth_introspection_credentials_file;
	struct buf text = BUF_SECRET(SECRET_MAX), b = BUF_SECRET(SECRET_MAX),
	    value = BUF_SECRET(BUF_UNLIMITED);
	struct span line, rest;
	ptrdiff_t colon, space;
	int rc = 0;

	if (path[0] == '\0')
		return 0;
	if (fd_read_file(AT_FDCWD, path, &text) < 0) {
		rc = why_errno(why, "", "authd_oauth_introspection_"
		    "credentials_file: %s", path);
		goto out;
	}
	rest = buf_span(&text);
	if (!span_line(&rest, &line))
		line = SPAN("");
	line = span_trim(line);
	colon = span_find(line, ':');
	space = span_find(line, ' ');
	/* The name of a scheme has no colon. */
	if (space > 0 && (colon < 0 || space < colon)) {
		buf_add_span(&value, line);
	} else if (colon > 0) {
		put_form(span_sub(line, 0, (size_t)colon), &b);
		buf_add_char(&b, ':');
		put_form(span_from(line, (size_t)colon + 1), &b);
		buf_add_str(&value, "Basic ");
		base64_encode(buf_span(&b), &value);
	} else {
		rc = why_set(why, "", "%s: neither client_id:client_secret "
		    "nor Bearer and a token", path);
		goto out;
	}
	g.authorization = mem_strndup(value.data, value.len);
out:
	buf_wipe(&text);
	buf_wipe(&b);
	buf_wipe(&value);
	return rc;
}

static void
prepare(void)
{
	struct why why = WHY_INIT;

	g.http = http_new(conf.authd_oauth_introspection_tls_CAfile,
	    "Mansio authd", &why);
	if (g.http == NULL)
		log_fatal("authd_oauth_introspection_tls_CAfile: %s",
		    why.text);
}

static void
start(void)
{
	http_start(g.http, daemon_loop());
	g.dns = dns_client_new(daemon_loop(),
	    daemon_socket_path("private/resolver"));
}

static void
forget(void)
{
	if (g.authorization == NULL)
		return;
	mem_wipe(g.authorization, strlen(g.authorization));
	mem_free(g.authorization);
	g.authorization = NULL;
}

const struct helper_ops introspect_helper_ops = {
	.handle = handle, .prepare = prepare, .start = start,
	.forget = forget,
};

/* In authd, so that what is wrong is said at the start. */
int
introspect_helper_load(struct why *why)
{
	return read_credentials(why);
}
