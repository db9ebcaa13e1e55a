/* SPDX-License-Identifier: ISC */
/*
 * scram - SCRAM (RFC 5802) with SHA-1 and SHA-256 (RFC 7677), bound to its
 * TLS connection or not (-PLUS; RFC 5929, RFC 9266).
 *
 *	client-first	gs2-header "n=" user ",r=" nonce
 *	server-first	"r=" both nonces ",s=" salt ",i=" iterations
 *	client-final	"c=" binding ",r=" both nonces ",p=" proof
 *	server-final	"v=" signature
 *
 * A user that is not there goes through all of it with made-up keys and
 * fails at the proof, as one with a wrong password does.
 */
#include "auth/sasl_priv.h"

#include "auth/saslprep.h"
#include "base/base64.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/rnd.h"

#define NONCE_LEN	18		/* bytes of ours, 24 characters */
#define NONCE_MAX	512		/* characters of the client's */
#define ITERATIONS_MAX	10000000u
#define SALT_MIN	4

static enum digest
scram_digest(const struct sasl *s)
{
	return s->mech == SASL_SCRAM_SHA1 || s->mech == SASL_SCRAM_SHA1_PLUS
	    ? DIGEST_SHA1 : DIGEST_SHA256;
}

static bool
is_plus(const struct sasl *s)
{
	return s->mech == SASL_SCRAM_SHA1_PLUS ||
	    s->mech == SASL_SCRAM_SHA256_PLUS;
}

/* --- keys ---------------------------------------------------------------------- */

void
scram_keys_make(struct scram_keys *k, enum digest d, struct span password,
    struct span salt, unsigned iterations)
{
	unsigned char salted[DIGEST_MAX], client[DIGEST_MAX];
	struct span sp = span_make(salted, digest_len(d));
	struct buf same = BUF_SECRET(BUF_UNLIMITED);

	/* RFC 5802 2.2; what cannot be prepared is left as it was typed. */
	if (saslprep(password, &same) == 0)
		password = buf_span(&same);
	memset(k, 0, sizeof(*k));
	k->iterations = iterations;
	k->salt_len = MIN(salt.len, sizeof(k->salt));
	memcpy(k->salt, salt.p, k->salt_len);
	digest_pbkdf2(d, password, span_make(k->salt, k->salt_len),
	    iterations, salted);
	digest_hmac(d, sp, SPAN("Client Key"), client);
	digest_of(d, span_make(client, digest_len(d)), k->stored);
	digest_hmac(d, sp, SPAN("Server Key"), k->server);
	buf_wipe(&same);
	mem_wipe(salted, sizeof(salted));
	mem_wipe(client, sizeof(client));
}

void
scram_keys_text(const struct scram_keys *k, enum digest d, struct buf *out)
{
	buf_addf(out, "%u,", k->iterations);
	base64_encode(span_make(k->salt, k->salt_len), out);
	buf_add_char(out, ',');
	base64_encode(span_make(k->stored, digest_len(d)), out);
	buf_add_char(out, ',');
	base64_encode(span_make(k->server, digest_len(d)), out);
}

/* A field in base64 of min to max bytes. */
static int
take_field(struct span *in, size_t min, size_t max, unsigned char *out,
    size_t *len)
{
	struct buf b = BUF_INIT(max);
	ptrdiff_t comma = span_find(*in, ',');
	struct span f = comma < 0 ? *in : span_sub(*in, 0, (size_t)comma);
	int rc = -1;

	*in = comma < 0 ? SPAN("") : span_from(*in, (size_t)comma + 1);
	if (base64_decode(f, &b) == 0 && b.len >= min) {
		memcpy(out, b.data, b.len);
		*len = b.len;
		rc = 0;
	}
	buf_wipe(&b);
	return rc;
}

int
scram_keys_parse(struct scram_keys *k, enum digest d, struct span text)
{
	ptrdiff_t comma = span_find(text, ',');
	size_t n = digest_len(d), got;
	uint32_t iterations;

	memset(k, 0, sizeof(*k));
	if (comma <= 0 || num_parse_u32(span_sub(text, 0, (size_t)comma),
	    ITERATIONS_MAX, &iterations) < 0 || iterations == 0)
		return -1;
	k->iterations = iterations;
	text = span_from(text, (size_t)comma + 1);
	if (take_field(&text, SALT_MIN, sizeof(k->salt), k->salt,
	    &k->salt_len) < 0 ||
	    take_field(&text, n, n, k->stored, &got) < 0 ||
	    span_find(text, ',') >= 0 ||
	    take_field(&text, n, n, k->server, &got) < 0)
		return -1;
	return 0;
}

bool
scram_keys_match(const struct scram_keys *k, enum digest d,
    struct span password)
{
	struct scram_keys got;
	bool same;

	scram_keys_make(&got, d, password, span_make(k->salt, k->salt_len),
	    k->iterations);
	same = digest_equal(span_make(got.stored, digest_len(d)),
	    span_make(k->stored, digest_len(d)));
	mem_wipe(&got, sizeof(got));
	return same;
}

/* --- the client's first message ---------------------------------------------------- */

/* The next field without its comma; false when there is none. */
static bool
field(struct span *in, struct span *out)
{
	ptrdiff_t comma = span_find(*in, ',');

	if (in->len == 0)
		return false;
	*out = comma < 0 ? *in : span_sub(*in, 0, (size_t)comma);
	*in = comma < 0 ? SPAN("") : span_from(*in, (size_t)comma + 1);
	return true;
}

/* saslname: "=2C" is a comma, "=3D" an equals sign (RFC 5802 5.1). */
static int
saslname(struct span in, struct buf *out)
{
	for (size_t i = 0; i < in.len; i++) {
		char c = in.p[i];

		if (c == '=') {
			struct span code = span_sub(in, i, 3);

			if (span_caseis(code, "=2C"))
				c = ',';
			else if (span_is(code, "=3D"))
				c = '=';
			else
				goto bad;
			i += 2;
		}
		if (buf_put_char(out, c) < 0)
			goto bad;
	}
	if (in.len > 0 && sasl_name_ok(buf_span(out)))
		return 0;
bad:
	buf_reset(out);		/* a bad name is shown to nobody */
	return -1;
}

/*
 * The flag, and what "c=" must be at the end: the header, with the binding's
 * data behind it.
 */
static enum sasl_need
gs2_flag(struct sasl *s, struct span flag)
{
	struct span data;

	if (span_is(flag, "n") || span_is(flag, "y")) {
		if (is_plus(s))
			return sasl_broken(s, "no channel binding");
		/* He could, and was told that we cannot: somebody between us
		 * has changed the list (RFC 5802 6). */
		if (flag.p[0] == 'y' && s->channel.plus_offered)
			return SASL_WRONG;
		return SASL_NEED_KEYS;
	}
	if (!span_starts(flag, SPAN("p=")))
		return sasl_broken(s, "not a GS2 header");
	if (!is_plus(s))
		return sasl_broken(s, "channel binding without -PLUS");
	if (span_is(flag, "p=tls-exporter"))
		data = s->channel.tls_exporter;
	else if (span_is(flag, "p=tls-server-end-point"))
		data = s->channel.tls_endpoint;
	else
		return sasl_broken(s, "unknown channel binding type");
	if (data.len == 0)
		return sasl_broken(s, "no such channel binding here");
	buf_add_span(&s->gs2, data);
	return SASL_NEED_KEYS;
}

static bool
nonce_ok(struct span n)
{
	if (n.len == 0 || n.len > NONCE_MAX)
		return false;
	for (size_t i = 0; i < n.len; i++)
		if (n.p[i] <= ' ' || n.p[i] > '~')
			return false;
	return true;
}

enum sasl_need
scram_first(struct sasl *s, struct span in)
{
	struct span flag, authzid, f, all = in;
	enum sasl_need need;
	unsigned char raw[NONCE_LEN];

	if (span_has_nul(in))
		return sasl_broken(s, "a NUL in a SCRAM message");
	if (!field(&in, &flag) || !field(&in, &authzid))
		return sasl_broken(s, "not a GS2 header");
	buf_add(&s->gs2, all.p, all.len - in.len);
	need = gs2_flag(s, flag);
	if (need == SASL_BROKEN)
		return need;
	if (authzid.len > 0 && (!span_starts(authzid, SPAN("a=")) ||
	    saslname(span_from(authzid, 2), &s->authzid) < 0))
		return sasl_broken(s, "not an authorization name");
	buf_add_span(&s->bare, in);
	/* "m=": an extension that must be understood. */
	if (!field(&in, &f) || !span_starts(f, SPAN("n=")) ||
	    saslname(span_from(f, 2), &s->authcid) < 0)
		return sasl_broken(s, "not a user name");
	if (!field(&in, &f) || !span_starts(f, SPAN("r=")) ||
	    !nonce_ok(span_from(f, 2)))
		return sasl_broken(s, "not a nonce");
	if (need == SASL_WRONG) {
		s->at = AT_END;
		return need;
	}
	buf_add_span(&s->nonce, span_from(f, 2));
	if (s->fixed_nonce.len > 0) {
		buf_add_span(&s->nonce, s->fixed_nonce);
	} else {
		rnd_bytes(raw, sizeof(raw));
		base64_encode(span_make(raw, sizeof(raw)), &s->nonce);
	}
	s->at = AT_SCRAM_KEYS;
	return SASL_NEED_KEYS;
}

enum sasl_need
scram_challenge(struct sasl *s)
{
	buf_add_str(&s->first, "r=");
	buf_add_span(&s->first, buf_span(&s->nonce));
	buf_add_str(&s->first, ",s=");
	base64_encode(span_make(s->keys.salt, s->keys.salt_len), &s->first);
	buf_addf(&s->first, ",i=%u", s->keys.iterations);
	buf_reset(&s->out);
	buf_add_span(&s->out, buf_span(&s->first));
	s->at = AT_SCRAM_FINAL;
	return SASL_NEED_RESPONSE;
}

/* --- the client's final message ------------------------------------------------------- */

/* ClientKey := proof XOR ClientSignature; H(ClientKey) must be StoredKey. */
static bool
proof_ok(struct sasl *s, struct span auth_message, struct span proof)
{
	enum digest d = scram_digest(s);
	size_t n = digest_len(d);
	unsigned char key[DIGEST_MAX], got[DIGEST_MAX];
	bool ok;

	digest_hmac(d, span_make(s->keys.stored, n), auth_message, key);
	for (size_t i = 0; i < n; i++)
		key[i] ^= (unsigned char)proof.p[i];
	digest_of(d, span_make(key, n), got);
	ok = digest_equal(span_make(got, n), span_make(s->keys.stored, n));
	mem_wipe(key, sizeof(key));
	return ok && s->known;
}

static void
server_final(struct sasl *s, struct span auth_message)
{
	enum digest d = scram_digest(s);
	unsigned char sig[DIGEST_MAX];

	digest_hmac(d, span_make(s->keys.server, digest_len(d)),
	    auth_message, sig);
	buf_reset(&s->out);
	buf_add_str(&s->out, "v=");
	base64_encode(span_make(sig, digest_len(d)), &s->out);
}

enum sasl_need
scram_final(struct sasl *s, struct span in)
{
	struct buf bind = BUF_INIT(BUF_UNLIMITED), proof, message;
	struct span all = in, c, r, p = SPAN_EMPTY, f;
	enum sasl_need need = SASL_WRONG;
	bool same;

	s->at = AT_END;
	if (span_has_nul(in) || !field(&in, &c) ||
	    !span_starts(c, SPAN("c=")) || !field(&in, &r) ||
	    !span_starts(r, SPAN("r=")))
		return sasl_broken(s, "not a SCRAM final message");
	/* Extensions may stand between nonce and proof, which is last. */
	while (field(&in, &f))
		p = f;
	if (!span_starts(p, SPAN("p=")))
		return sasl_broken(s, "no proof in a SCRAM final message");
	base64_encode(buf_span(&s->gs2), &bind);
	same = digest_equal(span_from(c, 2), buf_span(&bind));
	buf_fini(&bind);
	proof = BUF_INIT(DIGEST_MAX);
	if (base64_decode(span_from(p, 2), &proof) < 0 ||
	    proof.len != digest_len(scram_digest(s))) {
		buf_fini(&proof);
		return sasl_broken(s, "not a proof");
	}
	message = BUF_INIT(BUF_UNLIMITED);
	buf_add_span(&message, buf_span(&s->bare));
	buf_add_char(&message, ',');
	buf_add_span(&message, buf_span(&s->first));
	buf_add_char(&message, ',');
	/* All but ",p=...". */
	buf_add(&message, all.p, all.len - p.len - 1);
	if (same && digest_equal(span_from(r, 2), buf_span(&s->nonce)) &&
	    proof_ok(s, buf_span(&message), buf_span(&proof))) {
		server_final(s, buf_span(&message));
		s->at = AT_SCRAM_DONE;
		need = SASL_NEED_RESPONSE;
	}
	buf_fini(&message);
	buf_fini(&proof);
	return need;
}
