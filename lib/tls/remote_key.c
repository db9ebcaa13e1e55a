/* SPDX-License-Identifier: ISC */
/*
 * remote_key - private keys that are elsewhere, as an OpenSSL provider.
 *
 * OpenSSL is given keys whose public half is a certificate's and whose
 * private half is a number.  Everything but signing is answered by the public
 * key as OpenSSL's own provider knows it; signing goes to tls_sign(), with
 * the whole input and not a digest of it, so that keyd can see that it is a
 * handshake's.  There is no decryption: RSA key exchange does not exist here.
 */
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>

#include "base/log.h"
#include "base/mem.h"
#include "ipc/msg_keyd.h"
#include "tls/tls_priv.h"

#define PROVIDER	"mansio-keyd"
#define PROPERTIES	"provider=" PROVIDER
/* Ours: how tls_remote_key() says which key it is. */
#define PARAM_SPKI	"mansio-spki"
#define PARAM_KEY_ID	"mansio-key-id"

struct remote {
	const char	*type;		/* "RSA", "EC", "ED25519" */
	EVP_PKEY	*pub;
	uint64_t	 id;		/* 0: only a public key */
};

typedef void (*dispatch_fn)(void);
#define DISPATCH(id, fn)	{ (id), (dispatch_fn)(fn) }

/* --- keys ------------------------------------------------------------------------- */

static struct remote *
key_new(const char *type)
{
	struct remote *r = mem_zalloc(sizeof(*r));

	r->type = type;
	return r;
}

static void *
key_new_rsa(void *prov)
{
	return key_new("RSA");
}

static void *
key_new_ec(void *prov)
{
	return key_new("EC");
}

static void *
key_new_ed25519(void *prov)
{
	return key_new("ED25519");
}

static void
key_free(void *key)
{
	struct remote *r = key;

	if (r == NULL)
		return;
	EVP_PKEY_free(r->pub);
	mem_free(r);
}

static int
key_has(const void *key, int selection)
{
	const struct remote *r = key;

	return r->pub != NULL;
}

static int
key_match(const void *a, const void *b, int selection)
{
	const struct remote *ra = a, *rb = b;

	return ra->pub != NULL && rb->pub != NULL &&
	    EVP_PKEY_eq(ra->pub, rb->pub) == 1;
}

/* A public key from another provider, or one of ours. */
static int
key_import(void *key, int selection, const OSSL_PARAM params[])
{
	struct remote *r = key;
	const OSSL_PARAM *spki = OSSL_PARAM_locate_const(params, PARAM_SPKI);
	const OSSL_PARAM *id = OSSL_PARAM_locate_const(params, PARAM_KEY_ID);
	const unsigned char *p;
	EVP_PKEY_CTX *ctx;
	int ok;

	if (spki != NULL && id != NULL) {
		p = spki->data;
		if (!OSSL_PARAM_get_uint64(id, &r->id))
			return 0;
		r->pub = d2i_PUBKEY(NULL, &p, (long)spki->data_size);
		return r->pub != NULL;
	}
	ctx = EVP_PKEY_CTX_new_from_name(NULL, r->type, "provider=default");
	ok = ctx != NULL && EVP_PKEY_fromdata_init(ctx) == 1 &&
	    EVP_PKEY_fromdata(ctx, &r->pub, EVP_PKEY_PUBLIC_KEY,
	    (OSSL_PARAM *)params) == 1;
	EVP_PKEY_CTX_free(ctx);
	return ok;
}

static int
key_export(void *key, int selection, OSSL_CALLBACK *cb, void *arg)
{
	struct remote *r = key;
	OSSL_PARAM *params = NULL;
	int ok;

	/* There is no private half that another could sign with. */
	if (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY)
		return 0;
	if (EVP_PKEY_todata(r->pub, EVP_PKEY_PUBLIC_KEY, &params) != 1)
		return 0;
	ok = cb(params, arg);
	OSSL_PARAM_free(params);
	return ok;
}

static const OSSL_PARAM *
key_types(int selection)
{
	static const OSSL_PARAM types[] = {
		OSSL_PARAM_octet_string(PARAM_SPKI, NULL, 0),
		OSSL_PARAM_uint64(PARAM_KEY_ID, NULL),
		OSSL_PARAM_END
	};

	return types;
}

static int
key_get_params(void *key, OSSL_PARAM params[])
{
	struct remote *r = key;

	return r->pub != NULL && EVP_PKEY_get_params(r->pub, params);
}

static const OSSL_PARAM *
key_gettable(void *prov)
{
	static const OSSL_PARAM gettable[] = {
		OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_MANDATORY_DIGEST, NULL,
		    0),
		OSSL_PARAM_END
	};

	return gettable;
}

static const char *
key_operation_ec(int op)
{
	return op == OSSL_OP_SIGNATURE ? "ECDSA" : NULL;
}

#define KEY_DISPATCH(new)						\
	DISPATCH(OSSL_FUNC_KEYMGMT_NEW, new),				\
	DISPATCH(OSSL_FUNC_KEYMGMT_FREE, key_free),			\
	DISPATCH(OSSL_FUNC_KEYMGMT_HAS, key_has),			\
	DISPATCH(OSSL_FUNC_KEYMGMT_MATCH, key_match),			\
	DISPATCH(OSSL_FUNC_KEYMGMT_IMPORT, key_import),			\
	DISPATCH(OSSL_FUNC_KEYMGMT_IMPORT_TYPES, key_types),		\
	DISPATCH(OSSL_FUNC_KEYMGMT_EXPORT, key_export),			\
	DISPATCH(OSSL_FUNC_KEYMGMT_EXPORT_TYPES, key_types),		\
	DISPATCH(OSSL_FUNC_KEYMGMT_GET_PARAMS, key_get_params),		\
	DISPATCH(OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, key_gettable)

static const OSSL_DISPATCH rsa_keys[] = {
	KEY_DISPATCH(key_new_rsa), { 0, NULL }
};
static const OSSL_DISPATCH ec_keys[] = {
	KEY_DISPATCH(key_new_ec),
	DISPATCH(OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, key_operation_ec),
	{ 0, NULL }
};
static const OSSL_DISPATCH ed25519_keys[] = {
	KEY_DISPATCH(key_new_ed25519), { 0, NULL }
};
static const OSSL_ALGORITHM keys[] = {
	{ "RSA:rsaEncryption:1.2.840.113549.1.1.1", PROPERTIES, rsa_keys,
	  NULL },
	{ "EC:id-ecPublicKey:1.2.840.10045.2.1", PROPERTIES, ec_keys, NULL },
	{ "ED25519:1.3.101.112", PROPERTIES, ed25519_keys, NULL },
	{ NULL }
};

/* --- signatures ---------------------------------------------------------------------- */

struct signing {
	const struct remote	*key;		/* OpenSSL holds it */
	char			 md[32];
	bool			 pss;
};

static void *
sign_new(void *prov, const char *propq)
{
	return mem_zalloc(sizeof(struct signing));
}

static void
sign_free(void *ctx)
{
	mem_free(ctx);
}

static int
sign_set_params(void *ctx, const OSSL_PARAM params[])
{
	struct signing *g = ctx;
	const OSSL_PARAM *p;
	int pad;

	p = params == NULL ? NULL :
	    OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PAD_MODE);
	if (p == NULL)
		return 1;	/* the salt is as long as the hash in TLS */
	if (p->data_type == OSSL_PARAM_UTF8_STRING)
		g->pss = strcmp(p->data, OSSL_PKEY_RSA_PAD_MODE_PSS) == 0;
	else if (OSSL_PARAM_get_int(p, &pad))
		g->pss = pad == RSA_PKCS1_PSS_PADDING;
	else
		return 0;
	return 1;
}

static const OSSL_PARAM *
sign_settable(void *ctx, void *prov)
{
	static const OSSL_PARAM settable[] = {
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL,
		    0),
		OSSL_PARAM_END
	};

	return settable;
}

static int
sign_init(void *ctx, const char *md, void *key, const OSSL_PARAM params[])
{
	struct signing *g = ctx;

	if (key != NULL)
		g->key = key;
	if (g->key == NULL || g->key->id == 0 ||
	    span_copy(span_of(md != NULL ? md : ""), g->md,
	    sizeof(g->md)) < 0)
		return 0;
	return sign_set_params(ctx, params);
}

/* TLS's name for what is to be done; 0: it has none. */
static uint32_t
scheme_of(const struct signing *g)
{
	static const struct {
		const char	*md, *alias;
		uint32_t	 ecdsa, pkcs1, pss;
	} schemes[] = {
		{ "SHA256", "SHA2-256", SCHEME_ECDSA_SHA256,
		  SCHEME_RSA_PKCS1_SHA256, SCHEME_RSA_PSS_SHA256 },
		{ "SHA384", "SHA2-384", SCHEME_ECDSA_SHA384,
		  SCHEME_RSA_PKCS1_SHA384, SCHEME_RSA_PSS_SHA384 },
		{ "SHA512", "SHA2-512", SCHEME_ECDSA_SHA512,
		  SCHEME_RSA_PKCS1_SHA512, SCHEME_RSA_PSS_SHA512 },
		{ "SHA1", "SHA-1", SCHEME_ECDSA_SHA1, SCHEME_RSA_PKCS1_SHA1,
		  0 },
		{ "MD5-SHA1", "MD5-SHA1", 0, SCHEME_RSA_MD5_SHA1, 0 },
	};

	if (strcmp(g->key->type, "ED25519") == 0)
		return SCHEME_ED25519;
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
		if (!span_caseis(span_of(g->md), schemes[i].md) &&
		    !span_caseis(span_of(g->md), schemes[i].alias))
			continue;
		if (strcmp(g->key->type, "EC") == 0)
			return schemes[i].ecdsa;
		return g->pss ? schemes[i].pss : schemes[i].pkcs1;
	}
	return 0;
}

static int
sign_sign(void *ctx, unsigned char *sig, size_t *siglen, size_t sigsize,
    const unsigned char *tbs, size_t tbslen)
{
	struct signing *g = ctx;
	struct buf b = BUF_INIT(KEYD_SIG_MAX);
	uint32_t scheme = scheme_of(g);
	int ok = 0;

	if (sig == NULL) {
		*siglen = (size_t)EVP_PKEY_get_size(g->key->pub);
		return 1;
	}
	if (scheme != 0 &&
	    tls_sign(g->key->id, scheme, span_make(tbs, tbslen), &b) == 0 &&
	    b.len <= sigsize) {
		memcpy(sig, b.data, b.len);
		*siglen = b.len;
		ok = 1;
	}
	buf_fini(&b);
	return ok;
}

static const OSSL_DISPATCH signatures[] = {
	DISPATCH(OSSL_FUNC_SIGNATURE_NEWCTX, sign_new),
	DISPATCH(OSSL_FUNC_SIGNATURE_FREECTX, sign_free),
	DISPATCH(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, sign_init),
	DISPATCH(OSSL_FUNC_SIGNATURE_DIGEST_SIGN, sign_sign),
	DISPATCH(OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, sign_set_params),
	DISPATCH(OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, sign_settable),
	{ 0, NULL }
};
static const OSSL_ALGORITHM signature_algorithms[] = {
	{ "RSA:rsaEncryption:1.2.840.113549.1.1.1", PROPERTIES, signatures,
	  NULL },
	{ "ECDSA", PROPERTIES, signatures, NULL },
	{ "ED25519:1.3.101.112", PROPERTIES, signatures, NULL },
	{ NULL }
};

/* --- the provider ---------------------------------------------------------------------- */

static const OSSL_ALGORITHM *
query(void *prov, int operation, int *no_cache)
{
	*no_cache = 0;
	switch (operation) {
	case OSSL_OP_KEYMGMT:
		return keys;
	case OSSL_OP_SIGNATURE:
		return signature_algorithms;
	default:
		return NULL;
	}
}

static const OSSL_DISPATCH provider[] = {
	DISPATCH(OSSL_FUNC_PROVIDER_QUERY_OPERATION, query),
	{ 0, NULL }
};

static int
provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in,
    const OSSL_DISPATCH **out, void **ctx)
{
	static int some;

	*out = provider;
	*ctx = &some;
	return 1;
}

int
tls_remote_key_init(void)
{
	/* Held for the life of the process. */
	static OSSL_PROVIDER *loaded[2];

	if (OSSL_PROVIDER_add_builtin(NULL, PROVIDER, provider_init) != 1)
		return -1;
	loaded[0] = OSSL_PROVIDER_load(NULL, "default");
	loaded[1] = OSSL_PROVIDER_load(NULL, PROVIDER);
	if (loaded[0] == NULL || loaded[1] == NULL)
		return -1;
	/* Everything that does not ask for us goes to OpenSSL's own. */
	return EVP_set_default_properties(NULL, "?provider=default") == 1 ?
	    0 : -1;
}

EVP_PKEY *
tls_remote_key(X509 *cert, uint64_t key_id)
{
	EVP_PKEY *pub = X509_get0_pubkey(cert), *made = NULL;
	const char *type = pub == NULL ? NULL :
	    EVP_PKEY_is_a(pub, "RSA") ? "RSA" :
	    EVP_PKEY_is_a(pub, "EC") ? "EC" :
	    EVP_PKEY_is_a(pub, "ED25519") ? "ED25519" : NULL;
	unsigned char *der = NULL;
	EVP_PKEY_CTX *ctx;
	OSSL_PARAM params[3];
	int len;

	if (type == NULL || (len = i2d_PUBKEY(pub, &der)) <= 0)
		return NULL;
	params[0] = OSSL_PARAM_construct_octet_string(PARAM_SPKI, der,
	    (size_t)len);
	params[1] = OSSL_PARAM_construct_uint64(PARAM_KEY_ID, &key_id);
	params[2] = OSSL_PARAM_construct_end();
	ctx = EVP_PKEY_CTX_new_from_name(NULL, type, PROPERTIES);
	if (ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &made, EVP_PKEY_KEYPAIR, params) != 1)
		made = NULL;
	EVP_PKEY_CTX_free(ctx);
	OPENSSL_free(der);
	return made;
}
