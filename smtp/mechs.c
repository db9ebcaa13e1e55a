/* SPDX-License-Identifier: ISC */
/*
 * mechs - see mechs.h.
 *
 *	PLAIN RFC 4616 · LOGIN draft-murchison-sasl-login · SCRAM RFC 5802,
 *	RFC 7677, RFC 9266 · XOAUTH2 · OAUTHBEARER RFC 7628
 */
#include "smtp/mechs.h"

#include "auth/digest.h"
#include "base/base64.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/rnd.h"

#define ITERATIONS_MAX	500000u	/* of SCRAM: work that a server can ask for */
#define SALT_MAX	1024

enum kind { SCRAM, PLAIN, LOGIN, XOAUTH2, OAUTHBEARER };

static const struct mech {
	const char	*name;
	enum kind	 kind;
	bool		 plaintext;	/* shows the password */
	bool		 bound;		/* to the TLS connection */
	bool		 token;		/* the password is a token: on demand */
	enum digest	 digest;
} mechs[] = {				/* the best one first */
	{ "SCRAM-SHA-256-PLUS", SCRAM, false, true, false, DIGEST_SHA256 },
	{ "SCRAM-SHA-256", SCRAM, false, false, false, DIGEST_SHA256 },
	{ "SCRAM-SHA-1-PLUS", SCRAM, false, true, false, DIGEST_SHA1 },
	{ "SCRAM-SHA-1", SCRAM, false, false, false, DIGEST_SHA1 },
	{ "OAUTHBEARER", OAUTHBEARER, true, false, true, DIGEST_SHA256 },
	{ "XOAUTH2", XOAUTH2, true, false, true, DIGEST_SHA256 },
	{ "PLAIN", PLAIN, true, false, false, DIGEST_SHA256 },
	{ "LOGIN", LOGIN, true, false, false, DIGEST_SHA256 },
};

struct sasl_client {
	const struct mech *m;
	struct buf	 user, password, binding;
	unsigned	 step;
	bool		 proven;
	char		 gs2;		/* 'n', 'y', 'p' */
	char		 nonce[64];
	struct buf	 first_bare, auth;
	unsigned char	 server_key[DIGEST_MAX];
};

/* --- which one ------------------------------------------------------------------ */

static bool
has_word(const char *list, const char *word)
{
	struct span rest = span_of(list), w;

	while (span_token(&rest, " \t\r\n,=", &w))
		if (span_caseis(w, word))
			return true;
	return false;
}

/* "plain, !login, static:rest": the first that speaks of it decides. */
static bool
filtered(const char *filter, const struct mech *m)
{
	struct span rest = span_of(filter), w;

	if (filter[0] == '\0')
		return !m->token;
	while (span_token(&rest, " \t\r\n,", &w)) {
		bool not = w.p[0] == '!';

		if (not)
			w = span_from(w, 1);
		if (span_caseis(w, m->name) || (span_caseis(w, "static:rest") &&
		    !m->token))
			return !not;
	}
	return false;
}

struct sasl_client *
sasl_client_new(const struct sasl_choice *c, struct span user,
    struct span password, struct why *why)
{
	bool noplain = has_word(c->options, "noplaintext");
	struct sasl_client *s;
	bool plus = false;

	for (size_t i = 0; i < ARRAY_LEN(mechs); i++) {
		const struct mech *m = &mechs[i];

		if (!has_word(c->offered, m->name))
			continue;
		plus |= m->bound;
		if (!filtered(c->filter, m) || (noplain && m->plaintext) ||
		    (m->bound && c->exporter.len == 0))
			continue;
		s = mem_zalloc(sizeof(*s));
		s->m = m;
		s->user = s->password = s->binding = s->first_bare =
		    s->auth = BUF_INIT(BUF_UNLIMITED);
		buf_add_span(&s->user, user);
		buf_add_span(&s->password, password);
		buf_add_span(&s->binding, c->exporter);
		/* RFC 5802 6: say that we could, if the server cannot. */
		s->gs2 = m->bound ? 'p' : c->exporter.len > 0 && !plus ?
		    'y' : 'n';
		return s;
	}
	(void)why_set(why, "4.7.0", "SASL authentication failed: no mechanism "
	    "available (offered: %s)", c->offered);
	return NULL;
}

void
sasl_client_free(struct sasl_client **sp)
{
	struct sasl_client *s = *sp;

	*sp = NULL;
	if (s == NULL)
		return;
	buf_wipe(&s->user);
	buf_wipe(&s->password);
	buf_wipe(&s->binding);
	buf_wipe(&s->first_bare);
	buf_wipe(&s->auth);
	mem_wipe(s, sizeof(*s));
	mem_free(s);
}

const char *
sasl_client_name(const struct sasl_client *s)
{
	return s->m->name;
}

void
sasl_client_fix_nonce(struct sasl_client *s, const char *nonce)
{
	(void)snprintf(s->nonce, sizeof(s->nonce), "%s", nonce);
}

/* --- SCRAM ------------------------------------------------------------------------ */

static void
add_gs2(const struct sasl_client *s, struct buf *out)
{
	if (s->gs2 == 'p')
		buf_add_str(out, "p=tls-exporter,,");
	else
		buf_addf(out, "%c,,", s->gs2);
}

/* RFC 5802 5.1: '=' and ',' have a meaning of their own. */
static void
add_name(struct buf *out, struct span name)
{
	for (size_t i = 0; i < name.len; i++) {
		if (name.p[i] == '=')
			buf_add_str(out, "=3D");
		else if (name.p[i] == ',')
			buf_add_str(out, "=2C");
		else
			buf_add_char(out, name.p[i]);
	}
}

static void
scram_first(struct sasl_client *s, struct buf *out)
{
	unsigned char raw[18];
	struct buf b = BUF_INIT(sizeof(s->nonce) - 1);

	if (s->nonce[0] == '\0') {
		rnd_bytes(raw, sizeof(raw));
		base64_encode(span_make(raw, sizeof(raw)), &b);
		(void)snprintf(s->nonce, sizeof(s->nonce), "%s", b.data);
		buf_fini(&b);
	}
	buf_add_str(&s->first_bare, "n=");
	add_name(&s->first_bare, buf_span(&s->user));
	buf_addf(&s->first_bare, ",r=%s", s->nonce);
	add_gs2(s, out);
	buf_add_span(out, buf_span(&s->first_bare));
}

/* "r=...,s=...,i=...": the value of the next attribute, which must be c. */
static int
take(struct span *in, char c, struct span *value)
{
	ptrdiff_t comma = span_find(*in, ',');
	struct span f = comma < 0 ? *in : span_sub(*in, 0, (size_t)comma);

	*in = comma < 0 ? SPAN_EMPTY : span_from(*in, (size_t)comma + 1);
	if (f.len < 2 || f.p[0] != c || f.p[1] != '=')
		return -1;
	*value = span_from(f, 2);
	return 0;
}

static void
scram_proof(struct sasl_client *s, struct span salt, unsigned iterations,
    struct buf *out)
{
	enum digest d = s->m->digest;
	size_t n = digest_len(d);
	unsigned char salted[DIGEST_MAX], key[DIGEST_MAX], stored[DIGEST_MAX],
	    sig[DIGEST_MAX];

	digest_pbkdf2(d, buf_span(&s->password), salt, iterations, salted);
	digest_hmac(d, span_make(salted, n), SPAN("Client Key"), key);
	digest_of(d, span_make(key, n), stored);
	digest_hmac(d, span_make(stored, n), buf_span(&s->auth), sig);
	for (size_t i = 0; i < n; i++)
		key[i] ^= sig[i];
	buf_add_str(out, ",p=");
	base64_encode(span_make(key, n), out);
	digest_hmac(d, span_make(salted, n), SPAN("Server Key"),
	    s->server_key);
	mem_wipe(salted, sizeof(salted));
	mem_wipe(key, sizeof(key));
	mem_wipe(stored, sizeof(stored));
}

static int
scram_final(struct sasl_client *s, struct span in, struct buf *out,
    struct why *why)
{
	struct span whole = in, r, salt64, i, nonce = span_of(s->nonce);
	struct buf salt = BUF_INIT(SALT_MAX), cb = BUF_INIT(BUF_UNLIMITED);
	uint32_t n;
	int rc = -1;

	if (take(&in, 'r', &r) < 0 || take(&in, 's', &salt64) < 0 ||
	    take(&in, 'i', &i) < 0 || !span_starts(r, nonce) ||
	    r.len == nonce.len || base64_decode(salt64, &salt) < 0 ||
	    num_parse_u32(i, ITERATIONS_MAX, &n) < 0 || n == 0) {
		(void)why_set(why, "4.7.0", "SASL authentication failed: the "
		    "server's %s message makes no sense", s->m->name);
		goto out;
	}
	add_gs2(s, &cb);
	if (s->gs2 == 'p')
		buf_add_span(&cb, buf_span(&s->binding));
	buf_add_str(out, "c=");
	base64_encode(buf_span(&cb), out);
	buf_addf(out, ",r=%.*s", SPAN_ARG(r));
	/* AuthMessage, RFC 5802 3. */
	buf_addf(&s->auth, "%s,%.*s,%s", s->first_bare.data, SPAN_ARG(whole),
	    out->data);
	scram_proof(s, buf_span(&salt), n, out);
	rc = 0;
out:
	buf_fini(&salt);
	buf_fini(&cb);
	return rc;
}

static int
scram_verify(struct sasl_client *s, struct span in, struct why *why)
{
	enum digest d = s->m->digest;
	unsigned char sig[DIGEST_MAX];
	struct buf got = BUF_INIT(DIGEST_MAX);
	struct span v;

	digest_hmac(d, span_make(s->server_key, digest_len(d)),
	    buf_span(&s->auth), sig);
	if (take(&in, 'v', &v) == 0 && base64_decode(v, &got) == 0 &&
	    digest_equal(buf_span(&got), span_make(sig, digest_len(d))))
		s->proven = true;
	buf_fini(&got);
	return s->proven ? 0 : why_set(why, "4.7.0", "SASL authentication "
	    "failed: the server does not know the password");
}

/* --- all of them --------------------------------------------------------------------- */

bool
sasl_client_first(struct sasl_client *s, struct buf *out)
{
	switch (s->m->kind) {
	case SCRAM:
		scram_first(s, out);
		return true;
	case PLAIN:
		buf_add_char(out, '\0');
		buf_add_span(out, buf_span(&s->user));
		buf_add_char(out, '\0');
		buf_add_span(out, buf_span(&s->password));
		return true;
	case XOAUTH2:
		buf_addf(out, "user=%s\001auth=Bearer %s\001\001",
		    s->user.data, s->password.data);
		return true;
	case OAUTHBEARER:
		buf_add_str(out, "n,a=");
		add_name(out, buf_span(&s->user));
		buf_addf(out, ",\001auth=Bearer %s\001\001",
		    s->password.data);
		return true;
	case LOGIN:
		break;
	}
	return false;
}

int
sasl_client_step(struct sasl_client *s, struct span challenge,
    struct buf *out, struct why *why)
{
	unsigned step = s->step++;

	switch (s->m->kind) {
	case SCRAM:
		if (step == 0)
			return scram_final(s, challenge, out, why);
		if (step == 1)
			return scram_verify(s, challenge, why);
		break;
	case LOGIN:
		if (step > 1)
			break;
		buf_add_span(out, buf_span(step == 0 ? &s->user :
		    &s->password));
		return 0;
	case OAUTHBEARER:
		/* RFC 7628 3.2.3: the failure has to be heard out. */
		buf_add_char(out, '\001');
		return step == 0 ? 0 : why_set(why, "4.7.0", "SASL "
		    "authentication failed");
	case XOAUTH2:
		if (step == 0)
			return 0;
		break;
	case PLAIN:
		break;
	}
	return why_set(why, "4.7.0", "SASL authentication failed: unexpected "
	    "challenge to %s", s->m->name);
}

bool
sasl_client_done(const struct sasl_client *s)
{
	return s->m->kind != SCRAM || s->proven;
}
