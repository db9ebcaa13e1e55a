/* SPDX-License-Identifier: ISC */
/*
 * facts - what is known about a connection once it is secured.
 *
 * Names from certificates are a stranger's bytes: they are shown in logs and
 * headers, so everything unprintable becomes '?', and a NUL makes a name that
 * is none (CVE-2009-2408).
 */
#include <openssl/x509v3.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "conf/params.h"
#include "tls/name.h"
#include "tls/tls_priv.h"

#define EXPORTER_LABEL	"EXPORTER-Channel-Binding"	/* RFC 9266 2 */
#define EXPORTER_LEN	32

static char nothing[1] = "";

/* --- names --------------------------------------------------------------------------------- */

char *
tls_name_clean(struct span name)
{
	struct buf b = BUF_INIT(TLS_SUBJECT_MAX);

	if (span_has_nul(name) || name.len == 0)
		return mem_strdup("");
	name = span_sub(name, 0, TLS_SUBJECT_MAX);
	for (size_t i = 0; i < name.len; i++) {
		unsigned char c = (unsigned char)name.p[i];

		buf_add_char(&b, c < ' ' || c == 127 ? '?' : (char)c);
	}
	if (!utf8_valid(buf_span(&b)))
		for (size_t i = 0; i < b.len; i++)
			if (b.data[i] & 0x80)
				b.data[i] = '?';
	return buf_take(&b);
}

static char *
common_name(const X509_NAME *name)
{
	const ASN1_STRING *s;
	unsigned char *utf8 = NULL;
	char *out;
	int i = -1, last = -1, n;

	while ((i = X509_NAME_get_index_by_NID((X509_NAME *)(uintptr_t)name,
	    NID_commonName, i)) >= 0)
		last = i;
	if (last < 0)
		return mem_strdup("");
	s = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, last));
	n = ASN1_STRING_to_UTF8(&utf8, s);
	out = n > 0 ? tls_name_clean(span_make(utf8, (size_t)n)) :
	    mem_strdup("");
	OPENSSL_free(utf8);
	return out;
}

/* The first alternative name of a kind (GEN_DNS, GEN_EMAIL). */
static char *
alternative(X509 *cert, int kind)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name,
	    NULL, NULL);
	char *out = NULL;

	for (int i = 0; out == NULL && i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);
		const ASN1_STRING *s;
		int type;

		s = GENERAL_NAME_get0_value(g, &type);
		if (type != kind)
			continue;
		out = tls_name_clean(span_make(ASN1_STRING_get0_data(s),
		    (size_t)ASN1_STRING_length(s)));
	}
	GENERAL_NAMES_free(names);
	return out != NULL ? out : mem_strdup("");
}

static char *
hex(const unsigned char *p, size_t n)
{
	static const char digits[] = "0123456789ABCDEF";
	struct buf b = BUF_INIT(TLS_FINGERPRINT_MAX);

	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			buf_add_char(&b, ':');
		buf_add_char(&b, digits[p[i] >> 4]);
		buf_add_char(&b, digits[p[i] & 15]);
	}
	return buf_take(&b);
}

char *
tls_cert_fingerprint(X509 *cert, const EVP_MD *md)
{
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned n;

	if (X509_digest(cert, md, sum, &n) != 1)
		return mem_strdup("");
	return hex(sum, n);
}

char *
tls_pkey_fingerprint(X509 *cert, const EVP_MD *md)
{
	unsigned char sum[EVP_MAX_MD_SIZE], *der = NULL;
	unsigned n;
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
	int ok = len > 0 && EVP_Digest(der, (size_t)len, sum, &n, md,
	    NULL) == 1;

	OPENSSL_free(der);
	return ok ? hex(sum, n) : mem_strdup("");
}

/* --- the handshake ----------------------------------------------------------------------------- */

static char *
key_name(EVP_PKEY *key)
{
	char group[64];

	if (key == NULL)
		return mem_strdup("");
	if (EVP_PKEY_is_a(key, "RSA"))
		return mem_printf("RSA (%d bits)", EVP_PKEY_get_bits(key));
	if (EVP_PKEY_is_a(key, "EC") &&
	    EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) == 1)
		return mem_printf("ECDSA (%s)", group);
	return mem_strdup(EVP_PKEY_get0_type_name(key));
}

/* "RSA-PSS (2048 bits)": what was done with the key. */
static char *
signature_name(EVP_PKEY *key, int type)
{
	if (type == NID_rsassaPss)
		return mem_printf("RSA-PSS (%d bits)",
		    key != NULL ? EVP_PKEY_get_bits(key) : 0);
	return key_name(key);
}

static void
kex_facts(struct tls *t, struct tls_facts *f)
{
	EVP_PKEY *key = NULL;
	char group[64];

	if (SSL_get_peer_tmp_key(t->ssl, &key) == 1 && key != NULL) {
		if (EVP_PKEY_is_a(key, "DH") || EVP_PKEY_is_a(key, "DHX"))
			f->kex = mem_printf("DHE (%d bits)",
			    EVP_PKEY_get_bits(key));
		else if (EVP_PKEY_is_a(key, "EC") &&
		    EVP_PKEY_get_group_name(key, group, sizeof(group),
		    NULL) == 1)
			f->kex = mem_printf("ECDHE (%s)", group);
		else
			f->kex = mem_strdup(EVP_PKEY_get0_type_name(key));
		EVP_PKEY_free(key);
	}
}

static void
signature_facts(struct tls *t, struct tls_facts *f)
{
	X509 *own = SSL_get_certificate(t->ssl);
	X509 *peer = SSL_get0_peer_certificate(t->ssl);
	X509 *server = t->server != NULL ? own : peer;
	X509 *client = t->server != NULL ? peer : NULL;
	bool is_server = t->server != NULL;
	int md, type;

	/* A resumed session has no signatures. */
	if (f->resumed)
		return;
	if (server != NULL && (is_server ?
	    SSL_get_signature_type_nid(t->ssl, &type) :
	    SSL_get_peer_signature_type_nid(t->ssl, &type)) == 1)
		f->server_sig = signature_name(X509_get0_pubkey(server), type);
	if (server != NULL && (is_server ?
	    SSL_get_signature_nid(t->ssl, &md) :
	    SSL_get_peer_signature_nid(t->ssl, &md)) == 1 && md != NID_undef)
		f->server_md = mem_strdup(OBJ_nid2sn(md));
	if (client == NULL)
		return;
	if (SSL_get_peer_signature_type_nid(t->ssl, &type) == 1)
		f->client_sig = signature_name(X509_get0_pubkey(client), type);
	if (SSL_get_peer_signature_nid(t->ssl, &md) == 1 && md != NID_undef)
		f->client_md = mem_strdup(OBJ_nid2sn(md));
}

static void
peer_facts(struct tls *t, struct tls_facts *f, const char *digest)
{
	X509 *cert = SSL_get0_peer_certificate(t->ssl);
	const EVP_MD *md = tls_digest(digest);

	if (cert == NULL)
		return;
	f->peer_cn = common_name(X509_get_subject_name(cert));
	if (f->peer_cn[0] == '\0') {
		mem_free((char *)(uintptr_t)f->peer_cn);
		f->peer_cn = alternative(cert, GEN_DNS);
	}
	f->issuer_cn = common_name(X509_get_issuer_name(cert));
	if (f->trust >= TLS_TRUSTED)
		f->peer_email = alternative(cert, GEN_EMAIL);
	if (md != NULL) {
		f->cert_fingerprint = tls_cert_fingerprint(cert, md);
		f->pkey_fingerprint = tls_pkey_fingerprint(cert, md);
	}
}

/* All strings of the facts that are ours to free. */
static const char **
owned(struct tls_facts *f, size_t i)
{
	const char **all[] = {
		&f->kex, &f->server_sig, &f->server_md, &f->client_sig,
		&f->client_md, &f->sni, &f->alpn, &f->peer_cn, &f->issuer_cn,
		&f->peer_email, &f->cert_fingerprint, &f->pkey_fingerprint,
		&f->trust_text,
	};

	return i < ARRAY_LEN(all) ? all[i] : NULL;
}

void
tls_facts_collect(struct tls *t, const char *digest, enum tls_trust trust,
    const char *trust_text)
{
	struct tls_facts *f = &t->facts;
	const SSL_CIPHER *c = SSL_get_current_cipher(t->ssl);
	const unsigned char *alpn;
	const char *sni = SSL_get_servername(t->ssl,
	    TLSEXT_NAMETYPE_host_name);
	unsigned n;

	f->protocol = SSL_get_version(t->ssl);
	f->cipher = SSL_CIPHER_get_name(c);
	f->bits = SSL_CIPHER_get_bits(c, &f->alg_bits);
	f->resumed = SSL_session_reused(t->ssl) == 1;
	f->trust = trust;
	f->trust_text = mem_strdup(trust_text);
	if (sni != NULL) {
		char *s = tls_name_clean(span_of(sni));

		for (char *p = s; *p != '\0'; p++)
			if (*p >= 'A' && *p <= 'Z')
				*p += 'a' - 'A';
		f->sni = s;
	}
	SSL_get0_alpn_selected(t->ssl, &alpn, &n);
	if (n > 0)
		f->alpn = tls_name_clean(span_make(alpn, n));
	kex_facts(t, f);
	signature_facts(t, f);
	peer_facts(t, f, digest);
	for (size_t i = 0; owned(f, i) != NULL; i++)
		if (*owned(f, i) == NULL)
			*owned(f, i) = nothing;
}

void
tls_facts_fini(struct tls *t)
{
	const char **s;

	for (size_t i = 0; (s = owned(&t->facts, i)) != NULL; i++) {
		if (*s != nothing)
			mem_free((char *)(uintptr_t)*s);
		*s = NULL;
	}
}

void
tls_facts_forget(struct tls *t)
{
	tls_facts_fini(t);
	for (size_t i = 0; owned(&t->facts, i) != NULL; i++)
		*owned(&t->facts, i) = nothing;
}

/* --- the interface -------------------------------------------------------------------------------- */

const struct tls_facts *
tls_facts(const struct tls *t)
{
	return &t->facts;
}

const char *
tls_trust_name(enum tls_trust trust)
{
	switch (trust) {
	case TLS_VERIFIED:
		return "Verified";
	case TLS_TRUSTED:
		return "Trusted";
	case TLS_UNTRUSTED:
		return "Untrusted";
	default:
		return "Anonymous";
	}
}

void
tls_describe(const struct tls *t, struct buf *out)
{
	const struct tls_facts *f = &t->facts;

	buf_addf(out, "%s with cipher %s (%d/%d bits)", f->protocol, f->cipher,
	    f->bits, f->alg_bits);
	if (f->kex[0] != '\0')
		buf_addf(out, " key-exchange %s", f->kex);
	if (f->server_sig[0] != '\0')
		buf_addf(out, " server-signature %s", f->server_sig);
	if (f->server_md[0] != '\0')
		buf_addf(out, " server-digest %s", f->server_md);
	if (f->client_sig[0] != '\0')
		buf_addf(out, " client-signature %s", f->client_sig);
	if (f->client_md[0] != '\0')
		buf_addf(out, " client-digest %s", f->client_md);
}

/* --- channel bindings ------------------------------------------------------------------------------ */

const char *
tls_binding_name(enum tls_binding kind)
{
	return kind == TLS_BINDING_EXPORTER ? "tls-exporter" :
	    "tls-server-end-point";
}

/* RFC 9266 4.2: before TLS 1.3 only with the extended master secret. */
static int
exporter(const struct tls *t, unsigned char *out, size_t *len)
{
	if (SSL_version(t->ssl) < TLS1_3_VERSION &&
	    SSL_get_extms_support(t->ssl) != 1)
		return -1;
	if (SSL_export_keying_material(t->ssl, out, EXPORTER_LEN,
	    EXPORTER_LABEL, strlen(EXPORTER_LABEL),
	    (const unsigned char *)"", 0, 1) != 1)
		return -1;
	*len = EXPORTER_LEN;
	return 0;
}

/* RFC 5929 4.1: the server certificate, hashed with the hash of its own
 * signature, or with SHA-256 when that is MD5 or SHA-1 or has none. */
static int
server_end_point(const struct tls *t, unsigned char *out, size_t *len)
{
	X509 *cert = t->server != NULL ? SSL_get_certificate(t->ssl) :
	    SSL_get0_peer_certificate(t->ssl);
	const EVP_MD *md = NULL;
	unsigned n;
	int nid;

	if (cert == NULL)
		return -1;
	/* Which of several chains a resumed session began with is unknown. */
	if (t->server != NULL && t->facts.resumed &&
	    SSL_set_current_cert(t->ssl, SSL_CERT_SET_FIRST) == 1 &&
	    SSL_set_current_cert(t->ssl, SSL_CERT_SET_NEXT) == 1)
		return -1;
	if (X509_get_signature_info(cert, &nid, NULL, NULL, NULL) == 1 &&
	    nid != NID_undef && nid != NID_md5 && nid != NID_sha1)
		md = EVP_get_digestbynid(nid);
	if (md == NULL)
		md = EVP_sha256();
	if (EVP_MD_get_size(md) > TLS_BINDING_MAX ||
	    X509_digest(cert, md, out, &n) != 1)
		return -1;
	*len = n;
	return 0;
}

int
tls_binding(const struct tls *t, enum tls_binding kind,
    unsigned char out[TLS_BINDING_MAX], size_t *len)
{
	int rc;

	if (t->ssl == NULL || t->state != TLS_SECURE)
		return -1;
	rc = kind == TLS_BINDING_EXPORTER ? exporter(t, out, len) :
	    server_end_point(t, out, len);
	ERR_clear_error();
	return rc;
}
