/* SPDX-License-Identifier: ISC */
/*
 * attempt - one login, from its start to OK or FAIL.
 *
 * What a failure tells a client, and how long it takes, does not depend on
 * whether the user exists: an unknown user's password is checked against a
 * hash that nobody knows the password of, and the answer to any failure comes
 * a set time after the attempt began (guard.c).  What really happened is in
 * the log.
 */
#include "authd/authd.h"

#include "auth/auth_client.h"
#include "auth/password.h"
#include "authd/introspect.h"
#include "authd/oauth.h"
#include "authd/pam.h"
#include "authd/upgrade.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rnd.h"
#include "conf/params.h"
#include "conf/table.h"

/* For a client that does not answer a challenge; fronts are less patient. */
#define RESPONSE_MS	(10 * 60 * 1000)

struct attempt {
	const struct attempt_sink *sink;
	void			*owner;
	uint32_t		 tag;
	/* What the front says of its client. */
	char			*service, *client_text, *trace, *realm;
	struct sock_addr	 client;	/* len 0: none */
	uint32_t		 client_port;
	bool			 tls, want_ticket, has_initial;
	char			*cert_name;
	struct buf		 mech_name, initial, exporter, endpoint;

	struct sasl		*sasl;		/* NULL: not begun */
	struct account		 account;
	const char		*app;		/* app password's name, or NULL */
	struct verify_job	*job;
	struct pam_job		*pam;
	struct introspect_job	*token;
	struct loop_timer	*timer;
	int64_t			 begun_ms;
	unsigned char		 digest[32];	/* of the password tried */
	bool			 have_digest;
	bool			 over;
	enum auth_reason	 reason;
	const char		*text;
};

static struct loop *loop;
static struct buf nobody;	/* a hash that no password fits */

static void drive(struct attempt *a, enum sasl_need need);

void
attempts_start(struct loop *l)
{
	char random[32];
	struct buf hex = BUF_INIT(BUF_UNLIMITED);
	struct why why = WHY_INIT;

	loop = l;
	nobody = BUF_INIT(BUF_UNLIMITED);
	rnd_bytes(random, sizeof(random));
	for (size_t i = 0; i < sizeof(random); i++)
		buf_addf(&hex, "%02x", (unsigned char)random[i]);
	if (password_hash(buf_span(&hex), PASSWORD_FULL, &nobody, &why) < 0)
		log_fatal("%s", why.text);
	buf_wipe(&hex);
}

/* --- the end -------------------------------------------------------------------- */

/* Who, as far as it is known: fit for a log and for the front. */
static struct span
who(const struct attempt *a)
{
	if (a->account.name.len > 0)
		return buf_span(&a->account.name);
	return a->sasl != NULL ? sasl_authcid(a->sasl) : SPAN("");
}

static void
log_end(struct attempt *a, const char *event, const char *reason)
{
	log_info("%s: service=%s method=%.*s user=<%.*s> client=%s[%u]%s%s%s"
	    "%s%s trace=%s", event, a->service,
	    SPAN_ARG(buf_span(&a->mech_name)), SPAN_ARG(who(a)),
	    a->client_text, (unsigned)a->client_port,
	    a->tls ? " tls" : "", a->app != NULL ? " app=" : "",
	    a->app != NULL ? a->app : "", reason != NULL ? " reason=" : "",
	    reason != NULL ? reason : "", a->trace);
}

static void
tell_failure(struct attempt *a)
{
	struct auth_fail f = {
		.reason = a->reason, .text = span_of(a->text),
		.user = span_sub(who(a), 0, AUTH_NAME_MAX),
	};

	a->over = true;
	a->sink->fail(a->owner, a->tag, &f);
}

static const char *
failure_text(enum auth_reason r)
{
	switch (r) {
	case AUTH_WRONG:
		return "Invalid user name or password";
	case AUTH_NOT_FOR_YOU:
		return "Not allowed to act for that user";
	case AUTH_DISABLED:
		return "This account is disabled";
	case AUTH_EXPIRED:
		return "This password has expired";
	case AUTH_MALFORMED:
		return "Malformed authentication response";
	case AUTH_NO_MECHANISM:
		return "Authentication mechanism not available";
	case AUTH_BANNED:
		return "Too many failed logins; try again later";
	default:
		return "Temporary authentication failure";
	}
}

/*
 * log is for the administrator.  Attempts that tried a secret cost something
 * to try again; the others have cost us nothing.
 */
static void
fail(struct attempt *a, enum auth_reason r, const char *log)
{
	int64_t delay = 0;

	if (a->reason != 0)
		return;
	log_end(a, "login failed", log);
	a->reason = r;
	a->text = failure_text(r);
	verify_cancel(&a->job);
	pam_cancel(&a->pam);
	introspect_cancel(&a->token);
	if (r == AUTH_WRONG || r == AUTH_NOT_FOR_YOU || r == AUTH_EXPIRED)
		delay = guard_failed(&a->client, who(a),
		    a->have_digest ? a->digest : NULL);
	else if (r == AUTH_BANNED || r == AUTH_DISABLED)
		delay = conf.authd_failure_delay * 1000;
	delay -= loop_now_ms(loop) - a->begun_ms;
	loop_timer_set(a->timer, MAX(delay, 0));
}

static void
timer_fired(void *arg)
{
	struct attempt *a = arg;

	if (a->over)
		return;
	if (a->reason == 0) {
		fail(a, AUTH_MALFORMED, "no response in time");
		return;
	}
	tell_failure(a);
}

static void
succeed(struct attempt *a, struct span user)
{
	char ticket[AUTH_TICKET_LEN];
	struct auth_ok ok = {
		.user = user, .login = buf_span(&a->account.name),
		.ticket = SPAN(""),
	};
	struct ticket_facts facts = {
		.user = ok.user, .login = ok.login,
		.came = { .client = span_of(a->client_text),
		    .client_port = a->client_port },
	};

	guard_succeeded(&a->client, ok.login);
	log_end(a, "login", NULL);
	if (a->want_ticket) {
		ticket_make(span_of(a->service), &facts, ticket);
		ok.ticket = span_make(ticket, sizeof(ticket));
	}
	a->over = true;
	loop_timer_cancel(a->timer);
	a->sink->ok(a->owner, a->tag, &ok);
	mem_wipe(ticket, sizeof(ticket));
}

/* --- may they? -------------------------------------------------------------------- */

static bool
is_master(struct span login)
{
	struct why why = WHY_INIT;
	struct match_list *m;
	int rc;

	if (conf.authd_master_users[0] == '\0')
		return false;
	m = match_list_new("authd_master_users", conf.authd_master_users,
	    MATCH_EXACT, &why);
	rc = m == NULL ? -1 : match_list_string(m, login, &why);
	match_list_free(&m);
	if (rc < 0)
		log_warning("authd_master_users: %s", why.text);
	return rc == 1;
}

/* Whether there is such a user at all: not with a password, but with mail. */
static bool
exists(struct span user)
{
	struct why why = WHY_INIT;
	struct account other;
	bool yes;

	account_init(&other);
	yes = user_find(&other, user, &why) == 0 && other.found &&
	    other.pam_service == NULL;
	if (!yes) {
		struct place p;

		place_init(&p);
		yes = place_find(user, &p, &why) == 1;
		place_fini(&p);
	}
	account_fini(&other);
	return yes;
}

/* The mechanism has proven who it is. */
static void
authorise(struct attempt *a)
{
	struct buf other = BUF_INIT(AUTH_NAME_MAX);
	struct span authzid = sasl_authzid(a->sasl);
	struct span login = buf_span(&a->account.name);

	if (a->account.line.disabled) {
		fail(a, AUTH_DISABLED, "disabled");
	} else if (authzid.len == 0) {
		succeed(a, login);
	} else if (account_name(authzid, span_of(a->realm),
	    &other) < 0) {
		fail(a, AUTH_NOT_FOR_YOU, "not a user name to act for");
	} else if (span_eq(buf_span(&other), login)) {
		succeed(a, login);
	} else if (a->app != NULL || !is_master(login) ||
	    !exists(buf_span(&other))) {
		fail(a, AUTH_NOT_FOR_YOU, "not in authd_master_users, or no "
		    "such user");
	} else {
		succeed(a, buf_span(&other));
	}
	buf_fini(&other);
}

/*
 * Fill a->account for who the client says it is.  false: failed already.  A
 * user who is not there is one with an empty account.
 */
static bool
find_account(struct attempt *a)
{
	struct buf name = BUF_INIT(AUTH_NAME_MAX);
	struct why why = WHY_INIT;
	bool ok = true;

	if (account_name(sasl_authcid(a->sasl), span_of(a->realm), &name) < 0) {
		/* Nobody can have such a name; it fails like the others. */
		ok = !guard_banned(&a->client, SPAN(""));
	} else if (guard_banned(&a->client, buf_span(&name))) {
		ok = false;
	} else if (user_find(&a->account, buf_span(&name), &why) < 0) {
		log_warning("user database: %s", why.text);
		fail(a, AUTH_UNAVAILABLE, "a user database cannot be read");
		buf_fini(&name);
		return false;
	}
	buf_fini(&name);
	if (!ok)
		fail(a, AUTH_BANNED, "banned");
	return ok;
}

/* --- passwords ---------------------------------------------------------------------- */

static void
remember(struct attempt *a)
{
	cache_put(buf_span(&a->account.name), a->digest);
}

static void
verified(void *arg, int right)
{
	struct attempt *a = arg;

	a->job = NULL;
	if (right < 0)
		log_warning("%s: a hash of an unknown kind",
		    a->account.name.data);
	if (right > 0 && a->account.found) {
		remember(a);
		if (a->account.in_file)
			upgrade_account(&a->account, sasl_password(a->sasl));
		drive(a, sasl_judge(a->sasl, true));
		return;
	}
	drive(a, sasl_judge(a->sasl, false));
}

static void
pam_answered(void *arg, int right)
{
	struct attempt *a = arg;

	a->pam = NULL;
	if (right < 0) {
		fail(a, AUTH_UNAVAILABLE, "PAM cannot be asked");
		return;
	}
	if (right > 0)
		remember(a);
	drive(a, sasl_judge(a->sasl, right > 0));
}

/*
 * App passwords are random, so a fast hash is enough for them, and they can
 * be tried first.  1 right and allowed, 0 none of them, -1 failed.
 */
static int
try_app_passwords(struct attempt *a)
{
	struct span rest = a->account.line.fields, field;
	struct app_password app;

	while (userline_field(&rest, &field)) {
		if (!app_password_parse(field, &app) ||
		    password_check(sasl_password(a->sasl), app.hash) != 1)
			continue;
		if (app.expires != 0 &&
		    (int64_t)app.expires <= clock_wall_s()) {
			fail(a, AUTH_EXPIRED, "app password expired");
			return -1;
		}
		if (!app_password_allows(&app, span_of(a->service))) {
			fail(a, AUTH_WRONG, "app password of another service");
			return -1;
		}
		a->app = span_dup(app.name);
		if (a->account.in_file)
			upgrade_app_used(&a->account, &app);
		return 1;
	}
	return 0;
}

static void
check_password(struct attempt *a)
{
	struct span password = sasl_password(a->sasl), secret;
	char source[GUARD_KEY_MAX];
	int rc;

	if (!find_account(a))
		return;
	cache_digest(buf_span(&a->account.name), span_of(a->service),
	    password, buf_span(&a->account.text), a->digest);
	a->have_digest = true;
	if (a->account.found && cache_has(buf_span(&a->account.name),
	    a->digest)) {
		drive(a, sasl_judge(a->sasl, true));
		return;
	}
	rc = try_app_passwords(a);
	if (rc != 0) {
		if (rc > 0)
			drive(a, sasl_judge(a->sasl, true));
		return;
	}
	if (a->account.pam_service != NULL) {
		a->pam = pam_ask(a->account.pam_service,
		    buf_span(&a->account.name), password, a->client_text,
		    pam_answered, a);
		if (a->pam == NULL)
			fail(a, AUTH_UNAVAILABLE, "PAM is busy or away");
		return;
	}
	secret = a->account.line.secret;
	/* "address::" and "address:*:" are accounts without password. */
	if (!a->account.found || secret.len < 3) {
		a->account.found = false;
		secret = buf_span(&nobody);
	}
	guard_key(&a->client, source);
	a->job = verify_new(span_of(source), password, secret, verified, a);
	if (a->job == NULL)
		fail(a, AUTH_UNAVAILABLE, "too many logins are waiting");
}

/* The token is good, and says who it is; or it is not. */
static void
token_judged(struct attempt *a, bool good, struct span user)
{
	if (good && (sasl_set_authcid(a->sasl, user) < 0 || !find_account(a)))
		good = false;
	if (a->reason == 0)
		drive(a, sasl_judge(a->sasl, good && (a->account.found ||
		    exists(buf_span(&a->account.name)))));
}

static void
token_answered(void *arg, enum introspect_result r, struct span user)
{
	struct attempt *a = arg;

	a->token = NULL;
	if (r == INTROSPECT_UNKNOWN)
		fail(a, AUTH_UNAVAILABLE, "the token's issuer does not answer");
	else
		token_judged(a, r == INTROSPECT_GOOD, user);
}

static void
check_token(struct attempt *a)
{
	struct buf name = BUF_INIT(SASL_NAME_LEN_MAX);
	struct why why = WHY_INIT;

	if (guard_banned(&a->client, SPAN(""))) {
		fail(a, AUTH_BANNED, "banned");
		return;
	}
	switch (oauth_check(sasl_token(a->sasl), &name, &why)) {
	case OAUTH_GOOD:
		token_judged(a, true, buf_span(&name));
		break;
	case OAUTH_BAD:
		log_info("token refused: %s", why.text);
		token_judged(a, false, SPAN(""));
		break;
	default:
		a->token = introspect_ask(sasl_token(a->sasl),
		    token_answered, a);
		if (a->token == NULL)
			fail(a, AUTH_UNAVAILABLE, "the token's issuer cannot "
			    "be asked now");
		break;
	}
	buf_fini(&name);
}

static void
find_keys(struct attempt *a)
{
	struct sasl *s = a->sasl;
	enum digest d = span_casestarts(buf_span(&a->mech_name),
	    SPAN("SCRAM-SHA-256")) ? DIGEST_SHA256 : DIGEST_SHA1;
	struct span text, scheme = d == DIGEST_SHA256 ?
	    SPAN("{SCRAM-SHA-256}") : SPAN("{SCRAM-SHA-1}");
	struct scram_keys keys;
	bool known = false;

	if (!find_account(a))
		return;
	text = d == DIGEST_SHA256 ? a->account.line.scram256 :
	    a->account.line.scram1;
	/* They may also be the only thing that is stored. */
	if (text.len == 0 && span_casestarts(a->account.line.secret, scheme))
		text = span_from(a->account.line.secret, scheme.len);
	if (a->account.found && text.len > 0)
		known = scram_keys_parse(&keys, d, text) == 0;
	if (!known)
		account_fake_keys(sasl_authcid(s), d, &keys);
	drive(a, sasl_keys(s, &keys, known));
	mem_wipe(&keys, sizeof(keys));
}

/* --- the exchange ---------------------------------------------------------------------- */

static void
drive(struct attempt *a, enum sasl_need need)
{
	switch (need) {
	case SASL_NEED_RESPONSE:
		loop_timer_set(a->timer, RESPONSE_MS);
		a->sink->challenge(a->owner, a->tag, sasl_out(a->sasl));
		break;
	case SASL_NEED_PASSWORD:
		check_password(a);
		break;
	case SASL_NEED_TOKEN:
		check_token(a);
		break;
	case SASL_NEED_KEYS:
		find_keys(a);
		break;
	case SASL_PROVEN:
		/* A certificate's name was not looked for yet. */
		if (a->account.name.len == 0 && !find_account(a))
			break;
		if (!a->account.found && a->account.name.len > 0 &&
		    !exists(buf_span(&a->account.name))) {
			fail(a, AUTH_WRONG, "no such user");
			break;
		}
		authorise(a);
		break;
	case SASL_WRONG:
		fail(a, AUTH_WRONG, a->account.found ? "wrong password" :
		    "unknown user");
		break;
	case SASL_BROKEN:
		fail(a, AUTH_MALFORMED, sasl_why(a->sasl));
		break;
	}
}

struct attempt *
attempt_new(const struct auth_start *m, const struct attempt_sink *sink,
    void *owner, uint32_t tag)
{
	struct attempt *a = mem_zalloc(sizeof(*a));

	a->sink = sink;
	a->owner = owner;
	a->tag = tag;
	a->service = span_dup(m->service);
	a->client_text = span_dup(m->client);
	a->client_port = m->client_port;
	a->trace = span_dup(m->trace);
	a->realm = span_dup(m->realm);
	a->cert_name = span_dup(m->cert_name);
	if (sock_addr_parse(m->client, (uint16_t)m->client_port,
	    &a->client) < 0)
		a->client.len = 0;
	a->tls = m->tls;
	a->want_ticket = m->want_ticket;
	a->has_initial = m->has_initial;
	a->mech_name = BUF_INIT(AUTH_MECH_MAX);
	a->initial = BUF_SECRET(AUTH_DATA_MAX);
	a->exporter = BUF_INIT(AUTH_CB_MAX);
	a->endpoint = BUF_INIT(AUTH_CB_MAX);
	buf_add_span(&a->initial, m->initial);
	buf_add_span(&a->exporter, m->tls_exporter);
	buf_add_span(&a->endpoint, m->tls_endpoint);
	account_init(&a->account);
	a->timer = loop_timer_new(loop, timer_fired, a);
	a->begun_ms = loop_now_ms(loop);
	/* What the log and replies show of it. */
	for (size_t i = 0; i < m->mechanism.len; i++) {
		char c = m->mechanism.p[i];

		buf_add_char(&a->mech_name, c <= ' ' || c > '~' ? '?' :
		    c >= 'a' && c <= 'z' ? (char)(c - 32) : c);
	}
	return a;
}

void
attempt_run(struct attempt *a)
{
	struct auth_facts facts = {
		.tls = a->tls, .tls_exporter = buf_span(&a->exporter),
		.tls_endpoint = buf_span(&a->endpoint),
		.cert_name = a->cert_name,
	};
	struct sasl_channel channel = {
		.tls_exporter = facts.tls_exporter,
		.tls_endpoint = facts.tls_endpoint,
		.cert_name = span_of(a->cert_name),
	};
	struct span initial = buf_span(&a->initial);
	enum sasl_mech mech;

	if (!auth_offered(&facts, true, buf_span(&a->mech_name)) ||
	    sasl_mech_find(buf_span(&a->mech_name), &mech) < 0) {
		fail(a, AUTH_NO_MECHANISM, "mechanism not offered");
		return;
	}
	channel.plus_offered = auth_announced(&facts, true,
	    mech == SASL_SCRAM_SHA1 ? SPAN("SCRAM-SHA-1-PLUS") :
	    SPAN("SCRAM-SHA-256-PLUS"));
	a->sasl = sasl_new(mech, &channel);
	drive(a, sasl_step(a->sasl, a->has_initial ? &initial : NULL));
}

void
attempt_response(struct attempt *a, struct span data)
{
	/* Nothing is asked for while a failure waits, or a check runs. */
	if (a->over || a->reason != 0 || a->sasl == NULL || a->job != NULL ||
	    a->pam != NULL || a->token != NULL)
		return;
	a->begun_ms = loop_now_ms(loop);
	drive(a, sasl_step(a->sasl, &data));
}

void
attempt_free(struct attempt **ap)
{
	struct attempt *a = *ap;

	*ap = NULL;
	if (a == NULL)
		return;
	verify_cancel(&a->job);
	pam_cancel(&a->pam);
	introspect_cancel(&a->token);
	loop_timer_free(&a->timer);
	sasl_free(&a->sasl);
	account_fini(&a->account);
	buf_fini(&a->mech_name);
	buf_wipe(&a->initial);
	buf_fini(&a->exporter);
	buf_fini(&a->endpoint);
	mem_free(a->service);
	mem_free(a->client_text);
	mem_free(a->trace);
	mem_free(a->realm);
	mem_free(a->cert_name);
	mem_free((char *)(uintptr_t)a->app);
	mem_free(a);
}
