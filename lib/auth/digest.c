/* SPDX-License-Identifier: ISC */
/*
 * digest - see digest.h.
 */
#include "auth/digest.h"

/* For pbkdf2_sha256(), see there. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>

#include "base/log.h"
#include "base/mem.h"

#define RSA_BITS_MIN	2048
#define P256_LEN	32		/* bytes of a coordinate */

struct digest_key {
	EVP_PKEY	*pkey;
	bool		 rsa;
};

static const EVP_MD *
md(enum digest d)
{
	switch (d) {
	case DIGEST_SHA1:
		return EVP_sha1();
	case DIGEST_SHA512:
		return EVP_sha512();
	case DIGEST_MD5:
		return EVP_md5();
	default:
		return EVP_sha256();
	}
}

void
digest_start(void)
{
	unsigned char out[DIGEST_MAX];

	/* Everything once: providers and their tables are loaded now. */
	digest_of(DIGEST_SHA256, SPAN("x"), out);
	digest_hmac(DIGEST_SHA256, SPAN("x"), SPAN("x"), out);
	digest_pbkdf2(DIGEST_SHA1, SPAN("x"), SPAN("x"), 1, out);
}

size_t
digest_len(enum digest d)
{
	static const size_t len[] = {
		[DIGEST_SHA1] = 20, [DIGEST_SHA256] = 32,
		[DIGEST_SHA512] = 64, [DIGEST_MD5] = 16,
	};

	return len[d];
}

void
digest_of(enum digest d, struct span in, unsigned char out[DIGEST_MAX])
{
	if (EVP_Digest(in.len > 0 ? in.p : "", in.len, out, NULL, md(d),
	    NULL) != 1)
		log_fatal("cannot compute a digest");
}

void
digest_hmac(enum digest d, struct span key, struct span in,
    unsigned char out[DIGEST_MAX])
{
	if (HMAC(md(d), key.len > 0 ? key.p : "", (int)key.len,
	    (const unsigned char *)(in.len > 0 ? in.p : ""), in.len, out,
	    NULL) == NULL)
		log_fatal("cannot compute a MAC");
}

/*
 * RFC 8018 5.2 for one block of SHA-256.  libcrypto's own copies two EVP
 * contexts for each iteration, which costs more than the hashing: an import
 * of many accounts takes twice as long with it.
 */
static void
pbkdf2_sha256(struct span password, struct span salt, unsigned iterations,
    unsigned char out[DIGEST_MAX])
{
	static const unsigned char one[4] = { 0, 0, 0, 1 };
	unsigned char key[SHA256_CBLOCK] = { 0 }, u[SHA256_DIGEST_LENGTH];
	SHA256_CTX inner, outer, c;

	if (password.len > sizeof(key))
		SHA256((const unsigned char *)password.p, password.len, key);
	else if (password.len > 0)
		memcpy(key, password.p, password.len);
	for (size_t i = 0; i < sizeof(key); i++)
		key[i] ^= 0x36;
	SHA256_Init(&inner);
	SHA256_Update(&inner, key, sizeof(key));
	for (size_t i = 0; i < sizeof(key); i++)
		key[i] ^= 0x36 ^ 0x5c;
	SHA256_Init(&outer);
	SHA256_Update(&outer, key, sizeof(key));
	for (unsigned i = 0; i < iterations; i++) {
		c = inner;
		if (i == 0) {
			SHA256_Update(&c, salt.p, salt.len);
			SHA256_Update(&c, one, sizeof(one));
		} else {
			SHA256_Update(&c, u, sizeof(u));
		}
		SHA256_Final(u, &c);
		c = outer;
		SHA256_Update(&c, u, sizeof(u));
		SHA256_Final(u, &c);
		for (size_t k = 0; k < sizeof(u); k++)
			out[k] = i == 0 ? u[k] : out[k] ^ u[k];
	}
	mem_wipe(key, sizeof(key));
	mem_wipe(u, sizeof(u));
	mem_wipe(&inner, sizeof(inner));
	mem_wipe(&outer, sizeof(outer));
	mem_wipe(&c, sizeof(c));
}

void
digest_pbkdf2(enum digest d, struct span password, struct span salt,
    unsigned iterations, unsigned char out[DIGEST_MAX])
{
	if (d == DIGEST_SHA256) {
		pbkdf2_sha256(password, salt, iterations, out);
		return;
	}
	if (PKCS5_PBKDF2_HMAC(password.len > 0 ? password.p : "",
	    (int)password.len, (const unsigned char *)salt.p, (int)salt.len,
	    (int)iterations, md(d), (int)digest_len(d), out) != 1)
		log_fatal("cannot derive a key");
}

bool
digest_equal(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 ||
	    CRYPTO_memcmp(a.p, b.p, a.len) == 0);
}

/* --- keys --------------------------------------------------------------------- */

static EVP_PKEY *
from_params(const char *type, OSSL_PARAM_BLD *bld)
{
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(bld);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *pkey = NULL;

	if (params == NULL || ctx == NULL ||
	    EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
		pkey = NULL;
	EVP_PKEY_CTX_free(ctx);
	OSSL_PARAM_free(params);
	return pkey;
}

static struct digest_key *
key_new(EVP_PKEY *pkey, bool rsa)
{
	struct digest_key *k = mem_zalloc(sizeof(*k));

	k->pkey = pkey;
	k->rsa = rsa;
	return k;
}

static BIGNUM *
number(struct span s)
{
	return BN_bin2bn((const unsigned char *)s.p, (int)s.len, NULL);
}

struct digest_key *
digest_key_rsa(struct span n, struct span e, struct why *why)
{
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	BIGNUM *bn = number(n), *be = number(e);
	EVP_PKEY *pkey = NULL;

	if (bld != NULL && bn != NULL && be != NULL &&
	    OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, bn) == 1 &&
	    OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, be) == 1)
		pkey = from_params("RSA", bld);
	BN_free(bn);
	BN_free(be);
	OSSL_PARAM_BLD_free(bld);
	if (pkey == NULL) {
		(void)why_set(why, "", "not an RSA key");
		return NULL;
	}
	if (EVP_PKEY_get_bits(pkey) < RSA_BITS_MIN) {
		(void)why_set(why, "", "an RSA key of fewer than %d bits",
		    RSA_BITS_MIN);
		EVP_PKEY_free(pkey);
		return NULL;
	}
	return key_new(pkey, true);
}

struct digest_key *
digest_key_p256(struct span x, struct span y, struct why *why)
{
	unsigned char point[1 + 2 * P256_LEN] = { 4 };	/* uncompressed */
	OSSL_PARAM_BLD *bld;
	EVP_PKEY *pkey = NULL;

	if (x.len != P256_LEN || y.len != P256_LEN) {
		(void)why_set(why, "", "not a point of P-256");
		return NULL;
	}
	memcpy(point + 1, x.p, P256_LEN);
	memcpy(point + 1 + P256_LEN, y.p, P256_LEN);
	bld = OSSL_PARAM_BLD_new();
	if (bld != NULL && OSSL_PARAM_BLD_push_utf8_string(bld,
	    OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) == 1 &&
	    OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY,
	    point, sizeof(point)) == 1)
		pkey = from_params("EC", bld);
	OSSL_PARAM_BLD_free(bld);
	if (pkey == NULL) {
		(void)why_set(why, "", "not a point of P-256");
		return NULL;
	}
	return key_new(pkey, false);
}

void
digest_key_free(struct digest_key **kp)
{
	struct digest_key *k = *kp;

	*kp = NULL;
	if (k == NULL)
		return;
	EVP_PKEY_free(k->pkey);
	mem_free(k);
}

bool
digest_key_is_rsa(const struct digest_key *k)
{
	return k->rsa;
}

/* ES256 signs with two bare numbers; OpenSSL wants them in DER. */
static int
ecdsa_der(struct span sig, unsigned char **der)
{
	ECDSA_SIG *s;
	BIGNUM *r, *v;
	int n;

	if (sig.len != 2 * P256_LEN || (s = ECDSA_SIG_new()) == NULL)
		return -1;
	r = number(span_sub(sig, 0, P256_LEN));
	v = number(span_from(sig, P256_LEN));
	if (r == NULL || v == NULL || ECDSA_SIG_set0(s, r, v) != 1) {
		BN_free(r);
		BN_free(v);
		ECDSA_SIG_free(s);
		return -1;
	}
	n = i2d_ECDSA_SIG(s, der);
	ECDSA_SIG_free(s);
	return n;
}

bool
digest_key_verify(const struct digest_key *k, struct span text,
    struct span signature)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned char *der = NULL;
	const unsigned char *sig = (const unsigned char *)signature.p;
	size_t sig_len = signature.len;
	bool ok = false;

	if (!k->rsa) {
		int n = ecdsa_der(signature, &der);

		if (n <= 0)
			goto out;
		sig = der;
		sig_len = (size_t)n;
	}
	ok = ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(),
	    NULL, k->pkey) == 1 &&
	    EVP_DigestVerify(ctx, sig, sig_len,
	    (const unsigned char *)text.p, text.len) == 1;
out:
	OPENSSL_free(der);
	EVP_MD_CTX_free(ctx);
	return ok;
}
