/* SPDX-License-Identifier: ISC */
/*
 * sign - signatures of TLS handshakes, with a key of this process.
 *
 * keyd makes one for every full handshake, so what does not depend on the
 * handshake (which algorithm, whose implementation, with which padding) is
 * settled once for a key and a scheme and kept.
 */
#include <openssl/rsa.h>

#include "base/mem.h"
#include "ipc/msg_keyd.h"
#include "tls/chain.h"
#include "tls/tls_priv.h"

static const struct scheme {
	uint32_t	 id;
	const char	*type, *md;	/* md NULL: the key has its own */
	bool		 pss;
} schemes[] = {
	{ SCHEME_ECDSA_SHA256, "EC", "SHA256", false },
	{ SCHEME_ECDSA_SHA384, "EC", "SHA384", false },
	{ SCHEME_ECDSA_SHA512, "EC", "SHA512", false },
	{ SCHEME_RSA_PSS_SHA256, "RSA", "SHA256", true },
	{ SCHEME_RSA_PSS_SHA384, "RSA", "SHA384", true },
	{ SCHEME_RSA_PSS_SHA512, "RSA", "SHA512", true },
	{ SCHEME_RSA_PKCS1_SHA256, "RSA", "SHA256", false },
	{ SCHEME_RSA_PKCS1_SHA384, "RSA", "SHA384", false },
	{ SCHEME_RSA_PKCS1_SHA512, "RSA", "SHA512", false },
	{ SCHEME_ED25519, "ED25519", NULL, false },
	{ SCHEME_ECDSA_SHA1, "EC", "SHA1", false },
	{ SCHEME_RSA_PKCS1_SHA1, "RSA", "SHA1", false },
	{ SCHEME_RSA_MD5_SHA1, "RSA", "MD5-SHA1", false },
};

struct tls_signer {
	EVP_PKEY	*key;
	EVP_PKEY_CTX	*ready[ARRAY_LEN(schemes)];	/* NULL: not yet */
};

/* For the life of the process. */
static EVP_MD *digests[ARRAY_LEN(schemes)];

struct tls_signer *
tls_signer_new(EVP_PKEY *key)
{
	struct tls_signer *g = mem_zalloc(sizeof(*g));

	EVP_PKEY_up_ref(key);
	g->key = key;
	return g;
}

void
tls_signer_free(struct tls_signer **gp)
{
	struct tls_signer *g = *gp;

	*gp = NULL;
	if (g == NULL)
		return;
	for (size_t i = 0; i < ARRAY_LEN(g->ready); i++)
		EVP_PKEY_CTX_free(g->ready[i]);
	EVP_PKEY_free(g->key);
	mem_free(g);
}

static EVP_PKEY_CTX *
prepare(const struct tls_signer *g, size_t k)
{
	const struct scheme *s = &schemes[k];
	EVP_PKEY_CTX *ctx;

	if (digests[k] == NULL)
		digests[k] = EVP_MD_fetch(NULL, s->md, NULL);
	ctx = EVP_PKEY_CTX_new_from_pkey(NULL, g->key, NULL);
	if (digests[k] != NULL && ctx != NULL &&
	    EVP_PKEY_sign_init(ctx) == 1 && (!s->pss ||
	    EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1) &&
	    EVP_PKEY_CTX_set_signature_md(ctx, digests[k]) == 1 &&
	    (!s->pss || EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx,
	    RSA_PSS_SALTLEN_DIGEST) == 1))
		return ctx;
	EVP_PKEY_CTX_free(ctx);
	return NULL;
}

/* What has a hash beside it: the hash, then the signature. */
static bool
sign_hash(struct tls_signer *g, size_t k, struct span tbs,
    unsigned char *sig, size_t *len)
{
	unsigned char hash[EVP_MAX_MD_SIZE];
	unsigned n;

	if (g->ready[k] == NULL)
		g->ready[k] = prepare(g, k);
	return g->ready[k] != NULL &&
	    EVP_Digest(tbs.p, tbs.len, hash, &n, digests[k], NULL) == 1 &&
	    EVP_PKEY_sign(g->ready[k], sig, len, hash, n) == 1;
}

/* Ed25519 takes all of it. */
static bool
sign_whole(const struct tls_signer *g, struct span tbs, unsigned char *sig,
    size_t *len)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = ctx != NULL &&
	    EVP_DigestSignInit_ex(ctx, NULL, NULL, NULL, NULL, g->key,
	    NULL) == 1 && EVP_DigestSign(ctx, sig, len,
	    (const unsigned char *)tbs.p, tbs.len) == 1;

	EVP_MD_CTX_free(ctx);
	return ok;
}

int
tls_signer_sign(struct tls_signer *g, uint32_t scheme, struct span tbs,
    struct buf *out)
{
	size_t k = 0, len = (size_t)EVP_PKEY_get_size(g->key);
	char *room;
	bool ok;

	while (k < ARRAY_LEN(schemes) && schemes[k].id != scheme)
		k++;
	if (k == ARRAY_LEN(schemes) || !EVP_PKEY_is_a(g->key, schemes[k].type))
		return -1;
	room = buf_reserve(out, len);
	if (room == NULL)
		return -1;
	ok = schemes[k].md == NULL ?
	    sign_whole(g, tbs, (unsigned char *)room, &len) :
	    sign_hash(g, k, tbs, (unsigned char *)room, &len);
	ERR_clear_error();
	if (!ok)
		return -1;
	buf_commit(out, len);
	return 0;
}

/* --- what a handshake signs ----------------------------------------------------------------- */

#define RANDOMS		64		/* client's and server's */
#define TLS13_PAD	64
#define DH_MAX		2048		/* bytes of a number */

/* RFC 8446 4.4.3. */
static bool
is_tls13(struct span tbs, bool client)
{
	struct span says = client ?
	    SPAN("TLS 1.3, client CertificateVerify\0") :
	    SPAN("TLS 1.3, server CertificateVerify\0");
	size_t hash;

	if (tbs.len < TLS13_PAD + says.len)
		return false;
	for (size_t i = 0; i < TLS13_PAD; i++)
		if (tbs.p[i] != ' ')
			return false;
	if (!span_eq(span_sub(tbs, TLS13_PAD, says.len), says))
		return false;
	hash = tbs.len - TLS13_PAD - says.len;
	return hash == 32 || hash == 48;
}

/* A number of len_bytes bytes and as many bytes, taken off *in. */
static bool
take_vector(struct span *in, size_t len_bytes, size_t max)
{
	size_t n = 0;

	if (in->len < len_bytes)
		return false;
	for (size_t i = 0; i < len_bytes; i++)
		n = n << 8 | (unsigned char)in->p[i];
	if (n == 0 || n > max || in->len - len_bytes < n)
		return false;
	*in = span_from(*in, len_bytes + n);
	return true;
}

/* TLS 1.2 and older: the randoms and the server's parameters of ECDHE (RFC
 * 8422 5.4) or DHE (RFC 5246 7.4.3). */
static bool
is_server_key_exchange(struct span tbs)
{
	struct span in;

	if (tbs.len <= RANDOMS + 4)
		return false;
	in = span_from(tbs, RANDOMS);
	if (in.p[0] == 3) {			/* named_curve */
		in = span_from(in, 3);
		return take_vector(&in, 1, 255) && in.len == 0;
	}
	for (int i = 0; i < 3; i++)		/* dh_p, dh_g, dh_Ys */
		if (!take_vector(&in, 2, DH_MAX))
			return false;
	return in.len == 0;
}

/* RFC 5246 7.4.8: all messages so far, the first of which is ClientHello. */
static bool
is_transcript(struct span tbs)
{
	size_t n;

	if (tbs.len < 4 + 2 + 32 || tbs.p[0] != 1)
		return false;
	n = (size_t)(unsigned char)tbs.p[1] << 16 |
	    (size_t)(unsigned char)tbs.p[2] << 8 | (unsigned char)tbs.p[3];
	return n >= 2 + 32 && n < tbs.len - 4 && tbs.p[4] == 3;
}

bool
tls_is_handshake(struct span tbs, bool client, uint32_t scheme)
{
	/* RFC 8446 4.2.3: not for PKCS#1 and SHA-1 signatures. */
	bool pkcs1 = scheme == SCHEME_RSA_PKCS1_SHA256 ||
	    scheme == SCHEME_RSA_PKCS1_SHA384 ||
	    scheme == SCHEME_RSA_PKCS1_SHA512 ||
	    scheme == SCHEME_RSA_PKCS1_SHA1 || scheme == SCHEME_ECDSA_SHA1 ||
	    scheme == SCHEME_RSA_MD5_SHA1;

	if (!pkcs1 && is_tls13(tbs, client))
		return true;
	return client ? is_transcript(tbs) : is_server_key_exchange(tbs);
}
