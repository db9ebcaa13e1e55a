/* SPDX-License-Identifier: ISC */
/*
 * make_cert - see make_cert.h (RFC 5280).
 */
#include "tls/make_cert.h"

#include <arpa/inet.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/rnd.h"
#include "tls/tls_priv.h"

#define SERIAL_BYTES	16

static EVP_PKEY *
make_key(enum tls_key_type type)
{
	switch (type) {
	case TLS_KEY_RSA:
		return EVP_PKEY_Q_keygen(NULL, "provider=default", "RSA",
		    (size_t)2048);
	case TLS_KEY_ED25519:
		return EVP_PKEY_Q_keygen(NULL, "provider=default", "ED25519");
	default:
		return EVP_PKEY_Q_keygen(NULL, "provider=default", "EC",
		    "P-256");
	}
}

static int
add_ext(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *e;
	int ok;

	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	ok = e != NULL && X509_add_ext(cert, e, -1) == 1;
	X509_EXTENSION_free(e);
	return ok ? 0 : -1;
}

static int
add_names(X509 *cert, const struct tls_cert_request *r, struct why *why)
{
	GENERAL_NAMES *list = GENERAL_NAMES_new();
	unsigned char addr[16];
	int ok = list != NULL;

	for (size_t i = 0; ok && i < r->nnames; i++) {
		GENERAL_NAME *g = GENERAL_NAME_new();
		bool v4 = inet_pton(AF_INET, r->names[i], addr) == 1;
		bool ip = v4 || inet_pton(AF_INET6, r->names[i], addr) == 1;
		ASN1_STRING *s = ip ? ASN1_OCTET_STRING_new() :
		    ASN1_IA5STRING_new();

		ok = g != NULL && s != NULL && ASN1_STRING_set(s,
		    ip ? (const void *)addr : r->names[i],
		    ip ? (v4 ? 4 : 16) : -1) == 1;
		if (ok)
			GENERAL_NAME_set0_value(g, ip ? GEN_IPADD : GEN_DNS,
			    s);
		else
			ASN1_STRING_free(s);
		if (!ok || sk_GENERAL_NAME_push(list, g) <= 0)
			GENERAL_NAME_free(g);
	}
	if (ok && r->nnames > 0)
		ok = X509_add1_ext_i2d(cert, NID_subject_alt_name, list, 0,
		    0) == 1;
	GENERAL_NAMES_free(list);
	return ok ? 0 : why_set(why, "", "the names cannot be put in");
}

static int
fill(X509 *cert, EVP_PKEY *key, X509 *issuer,
    const struct tls_cert_request *r, struct why *why)
{
	unsigned char serial[SERIAL_BYTES];
	X509_NAME *name = X509_get_subject_name(cert);
	BIGNUM *bn;
	int ok;

	rnd_bytes(serial, sizeof(serial));
	serial[0] &= 0x7f;
	bn = BN_bin2bn(serial, sizeof(serial), NULL);
	ok = bn != NULL &&
	    BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(cert)) != NULL &&
	    X509_set_version(cert, X509_VERSION_3) == 1 &&
	    X509_gmtime_adj(X509_getm_notBefore(cert),
	    (long)r->not_before_s) != NULL &&
	    X509_gmtime_adj(X509_getm_notAfter(cert),
	    (long)(r->not_before_s + r->lifetime_s)) != NULL &&
	    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
	    (const unsigned char *)r->cn, -1, -1, 0) == 1 &&
	    X509_set_issuer_name(cert, issuer != NULL ?
	    X509_get_subject_name(issuer) : name) == 1 &&
	    X509_set_pubkey(cert, key) == 1;
	BN_free(bn);
	if (!ok)
		return why_set(why, "", "bad name or time");
	if (issuer == NULL)
		issuer = cert;
	if (add_ext(cert, issuer, NID_basic_constraints, r->ca ?
	    "critical,CA:TRUE" : "critical,CA:FALSE") < 0 ||
	    add_ext(cert, issuer, NID_key_usage, r->ca ?
	    "critical,keyCertSign,cRLSign" : "critical,digitalSignature") < 0 ||
	    (!r->ca && add_ext(cert, issuer, NID_ext_key_usage, r->client ?
	    "clientAuth" : "serverAuth") < 0) ||
	    add_ext(cert, issuer, NID_subject_key_identifier, "hash") < 0 ||
	    add_ext(cert, issuer, NID_authority_key_identifier, "keyid") < 0)
		return why_set(why, "", "an extension cannot be made");
	return add_names(cert, r, why);
}

static int
read_issuer(struct span pem, X509 **cert, EVP_PKEY **key, struct why *why)
{
	BIO *a = BIO_new_mem_buf(pem.p, (int)pem.len);
	BIO *b = BIO_new_mem_buf(pem.p, (int)pem.len);

	*cert = PEM_read_bio_X509(a, NULL, NULL, NULL);
	*key = PEM_read_bio_PrivateKey(b, NULL, NULL, NULL);
	BIO_free(a);
	BIO_free(b);
	if (*cert == NULL || *key == NULL)
		return why_set(why, "", "the issuer's file has no %s in it",
		    *cert == NULL ? "certificate" : "private key");
	if (X509_check_private_key(*cert, *key) != 1)
		return why_set(why, "", "the issuer's certificate and key do "
		    "not belong together");
	return 0;
}

static void
take_bio(BIO *bio, struct buf *out)
{
	char *p;
	long n = BIO_get_mem_data(bio, &p);

	if (n > 0)
		buf_add(out, p, (size_t)n);
}

static int
write_pem(EVP_PKEY *key, X509 *cert, struct buf *key_pem,
    struct buf *cert_pem, struct why *why)
{
	BIO *k = BIO_new(BIO_s_mem()), *c = BIO_new(BIO_s_mem());
	int ok = k != NULL && c != NULL &&
	    PEM_write_bio_PrivateKey(k, key, NULL, NULL, 0, NULL, NULL) == 1 &&
	    PEM_write_bio_X509(c, cert) == 1;

	if (ok) {
		take_bio(k, key_pem);
		take_bio(c, cert_pem);
	}
	BIO_free(k);
	BIO_free(c);
	return ok ? 0 : why_set(why, "", "cannot write PEM");
}

int
tls_make_cert(const struct tls_cert_request *r, struct buf *key_pem,
    struct buf *cert_pem, struct why *why)
{
	X509 *cert, *issuer = NULL;
	EVP_PKEY *key, *signer = NULL;
	int rc = -1;

	tls_init();
	key = make_key(r->type);
	cert = X509_new();
	if (key == NULL || cert == NULL) {
		why_set(why, "", "cannot make a key");
	} else if ((r->issuer.len == 0 ||
	    read_issuer(r->issuer, &issuer, &signer, why) == 0) &&
	    fill(cert, key, issuer, r, why) == 0) {
		EVP_PKEY *by = signer != NULL ? signer : key;

		if (X509_sign(cert, by, EVP_PKEY_is_a(by, "ED25519") ? NULL :
		    EVP_sha256()) == 0)
			tls_openssl_why(why, "cannot sign");
		else
			rc = write_pem(key, cert, key_pem, cert_pem, why);
	}
	EVP_PKEY_free(key);
	EVP_PKEY_free(signer);
	X509_free(cert);
	X509_free(issuer);
	ERR_clear_error();
	return rc;
}
