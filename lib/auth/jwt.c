/* SPDX-License-Identifier: ISC */
/*
 * jwt - see jwt.h.  libjansson reads the JSON.
 */
#include "auth/jwt.h"

#include <jansson.h>

#include "auth/digest.h"
#include "base/array.h"
#include "base/base64.h"
#include "base/mem.h"

#define NUMBER_MAX	2048		/* bytes of an RSA modulus */
#define STRICT		JSON_REJECT_DUPLICATES

struct jwt_key {
	char			*kid;	/* "" none */
	struct digest_key	*key;
};

struct jwt_keys {
	ARRAY(struct jwt_key) v;
};

/* A string member, or NULL. */
static const char *
member(const json_t *o, const char *name)
{
	return json_string_value(json_object_get(o, name));
}

static int
number(const json_t *o, const char *name, struct buf *out)
{
	const char *text = member(o, name);

	return text == NULL || base64url_decode(span_of(text), out) < 0 ||
	    out->len == 0 ? -1 : 0;
}

/* NULL: not one that we can use. */
static struct digest_key *
read_key(const json_t *o)
{
	struct buf a = BUF_INIT(NUMBER_MAX), b = BUF_INIT(NUMBER_MAX);
	const char *kty = member(o, "kty"), *use = member(o, "use");
	const char *crv = member(o, "crv");
	struct digest_key *k = NULL;
	struct why why = WHY_INIT;

	if (kty == NULL || (use != NULL && strcmp(use, "sig") != 0))
		return NULL;
	if (strcmp(kty, "RSA") == 0 && number(o, "n", &a) == 0 &&
	    number(o, "e", &b) == 0)
		k = digest_key_rsa(buf_span(&a), buf_span(&b), &why);
	else if (strcmp(kty, "EC") == 0 && crv != NULL &&
	    strcmp(crv, "P-256") == 0 && number(o, "x", &a) == 0 &&
	    number(o, "y", &b) == 0)
		k = digest_key_p256(buf_span(&a), buf_span(&b), &why);
	buf_fini(&a);
	buf_fini(&b);
	return k;
}

struct jwt_keys *
jwt_keys_parse(struct span json, struct why *why)
{
	struct jwt_keys *keys;
	json_error_t err;
	json_t *root, *list, *o;
	size_t i;

	if (json.len > JWKS_MAX) {
		(void)why_set(why, "", "too long");
		return NULL;
	}
	root = json_loadb(json.p, json.len, STRICT, &err);
	list = json_object_get(root, "keys");
	if (!json_is_array(list)) {
		(void)why_set(why, "", "not a key set: %s",
		    root == NULL ? err.text : "no \"keys\"");
		json_decref(root);
		return NULL;
	}
	keys = mem_zalloc(sizeof(*keys));
	json_array_foreach(list, i, o) {
		struct digest_key *k = read_key(o);
		const char *kid = member(o, "kid");

		if (k != NULL)
			*ARRAY_PUSH(&keys->v) = (struct jwt_key){
			    mem_strdup(kid != NULL ? kid : ""), k };
	}
	json_decref(root);
	return keys;
}

void
jwt_keys_free(struct jwt_keys **kp)
{
	struct jwt_keys *k = *kp;

	*kp = NULL;
	if (k == NULL)
		return;
	for (size_t i = 0; i < k->v.len; i++) {
		mem_free(k->v.v[i].kid);
		digest_key_free(&k->v.v[i].key);
	}
	ARRAY_FINI(&k->v);
	mem_free(k);
}

size_t
jwt_keys_count(const struct jwt_keys *k)
{
	return k->v.len;
}

/* --- a token ------------------------------------------------------------------- */

/* A part of the token as a JSON object, or NULL. */
static json_t *
part(struct span text)
{
	struct buf b = BUF_INIT(JWT_MAX);
	json_t *o = NULL;

	if (base64url_decode(text, &b) == 0)
		o = json_loadb(b.data, b.len, STRICT, NULL);
	buf_fini(&b);
	if (!json_is_object(o)) {
		json_decref(o);
		return NULL;
	}
	return o;
}

static bool
signed_by(const struct jwt_keys *keys, const json_t *header,
    struct span text, struct span signature)
{
	const char *alg = member(header, "alg"), *kid = member(header, "kid");
	bool rsa;

	if (alg == NULL || (strcmp(alg, "RS256") != 0 &&
	    strcmp(alg, "ES256") != 0))
		return false;
	rsa = alg[0] == 'R';
	for (size_t i = 0; i < keys->v.len; i++) {
		const struct jwt_key *k = &keys->v.v[i];

		if (digest_key_is_rsa(k->key) == rsa &&
		    (kid == NULL || k->kid[0] == '\0' ||
		    strcmp(kid, k->kid) == 0) &&
		    digest_key_verify(k->key, text, signature))
			return true;
	}
	return false;
}

/* A string, or an array of strings, has this one. */
static bool
names(const json_t *o, const char *want)
{
	const json_t *item;
	size_t i;

	if (json_is_string(o))
		return strcmp(json_string_value(o), want) == 0;
	json_array_foreach(o, i, item)
		if (json_is_string(item) &&
		    strcmp(json_string_value(item), want) == 0)
			return true;
	return false;
}

/* RFC 8693 4.2: "scope" is words with spaces between. */
static bool
in_scope(const json_t *claims, const char *want)
{
	struct span rest = span_of(member(claims, "scope")), w;

	while (span_token(&rest, " ", &w))
		if (span_is(w, want))
			return true;
	return names(json_object_get(claims, "scp"), want);
}

/* What a token's claims and an endpoint's answer have in common; exp is
 * looked at where it is there. */
static int
check_claims(const json_t *c, const struct jwt_demands *want,
    struct buf *user, struct why *why)
{
	const json_t *exp = json_object_get(c, "exp");
	const json_t *nbf = json_object_get(c, "nbf");
	const char *iss = member(c, "iss"), *name;

	if (exp != NULL && (!json_is_number(exp) ||
	    json_number_value(exp) <= (double)(want->now_s - JWT_LEEWAY_S)))
		return why_set(why, "", "expired");
	if (nbf != NULL && (!json_is_number(nbf) ||
	    json_number_value(nbf) > (double)(want->now_s + JWT_LEEWAY_S)))
		return why_set(why, "", "not valid yet");
	if (want->issuer[0] != '\0' && (iss == NULL ||
	    strcmp(iss, want->issuer) != 0))
		return why_set(why, "", "of another issuer");
	if (want->audience[0] != '\0' &&
	    !names(json_object_get(c, "aud"), want->audience))
		return why_set(why, "", "for another audience");
	if (want->scope[0] != '\0' && !in_scope(c, want->scope))
		return why_set(why, "", "without the scope \"%s\"",
		    want->scope);
	name = member(c, want->user_claim);
	if (name == NULL || name[0] == '\0' ||
	    json_string_length(json_object_get(c, want->user_claim)) !=
	    strlen(name) || buf_put_str(user, name) < 0)
		return why_set(why, "", "no claim \"%s\" that is a user name",
		    want->user_claim);
	return 0;
}

int
jwt_check(const struct jwt_keys *keys, struct span token,
    const struct jwt_demands *want, struct buf *user, struct why *why)
{
	struct buf sig = BUF_INIT(JWT_MAX);
	ptrdiff_t dot = span_find(token, '.'), last = span_rfind(token, '.');
	json_t *header = NULL, *claims = NULL;
	int rc = -1;

	if (token.len > JWT_MAX || dot <= 0 || last <= dot + 1 ||
	    span_find(span_sub(token, (size_t)dot + 1,
	    (size_t)(last - dot) - 1), '.') >= 0) {
		(void)why_set(why, "", "not a signed token");
		goto out;
	}
	header = part(span_sub(token, 0, (size_t)dot));
	/* RFC 7515 4.1.11: what is critical must be understood. */
	if (header == NULL || json_object_get(header, "crit") != NULL ||
	    base64url_decode(span_from(token, (size_t)last + 1), &sig) < 0) {
		(void)why_set(why, "", "not a signed token");
		goto out;
	}
	if (!signed_by(keys, header, span_sub(token, 0, (size_t)last),
	    buf_span(&sig))) {
		(void)why_set(why, "", "not signed by a key that we know");
		goto out;
	}
	claims = part(span_sub(token, (size_t)dot + 1,
	    (size_t)(last - dot) - 1));
	if (claims == NULL)
		(void)why_set(why, "", "no claims");
	else if (json_object_get(claims, "exp") == NULL)
		(void)why_set(why, "", "without end");
	else
		rc = check_claims(claims, want, user, why);
out:
	json_decref(header);
	json_decref(claims);
	buf_fini(&sig);
	return rc;
}

bool
jwt_is_one(struct span token)
{
	ptrdiff_t dot = span_find(token, '.');
	json_t *header;

	if (token.len > JWT_MAX || dot <= 0 ||
	    span_rfind(token, '.') <= dot + 1)
		return false;
	header = part(span_sub(token, 0, (size_t)dot));
	json_decref(header);
	return header != NULL;
}

/* --- what an endpoint says of a token ----------------------------------------- */

int
jwt_introspected(struct span json, const struct jwt_demands *want,
    struct buf *user, int64_t *end_s, struct why *why)
{
	json_t *o = json_loadb(json.p, json.len, STRICT, NULL);
	const json_t *active = json_object_get(o, "active"), *exp;
	const char *type = member(o, "token_type");
	int rc = 0;

	*end_s = INT64_MAX;
	if (!json_is_object(o) || !json_is_boolean(active)) {
		(void)why_set(why, "", "the answer is none of RFC 7662");
		rc = -1;
	} else if (!json_is_true(active)) {
		(void)why_set(why, "", "not active");
	} else if ((type != NULL && !span_caseis(span_of(type), "Bearer")) ||
	    json_object_get(o, "cnf") != NULL) {
		/* RFC 8705, RFC 9449: whoever shows it must prove more. */
		(void)why_set(why, "", "no bearer token");
	} else if (check_claims(o, want, user, why) == 0) {
		exp = json_object_get(o, "exp");
		if (exp != NULL && json_number_value(exp) < 1e15)
			*end_s = (int64_t)json_number_value(exp);
		rc = 1;
	}
	json_decref(o);
	return rc;
}
