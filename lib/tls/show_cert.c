/* SPDX-License-Identifier: ISC */
/*
 * show_cert - see show_cert.h.
 */
#include "tls/show_cert.h"

#include <arpa/inet.h>
#include <ctype.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/mem.h"
#include "tls/name.h"
#include "tls/tls_priv.h"

static void
put_name(struct buf *out, const char *label, const X509_NAME *name)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *p;
	long n;

	if (bio == NULL)
		return;
	(void)X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253);
	n = BIO_get_mem_data(bio, &p);
	if (n > 0) {
		char *clean = tls_name_clean(span_make(p, (size_t)n));

		buf_addf(out, "%s%s\n", label, clean);
		mem_free(clean);
	}
	BIO_free(bio);
}

static void
put_time(struct buf *out, const char *label, const ASN1_TIME *t)
{
	struct tm tm;

	if (ASN1_TIME_to_tm(t, &tm) == 1)
		buf_addf(out, "%s%04d-%02d-%02d %02d:%02d:%02d UTC\n", label,
		    tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
		    tm.tm_min, tm.tm_sec);
}

static void
put_alternatives(struct buf *out, X509 *cert)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name,
	    NULL, NULL);
	size_t begin = out->len;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);
		int type;
		const ASN1_STRING *s = GENERAL_NAME_get0_value(g, &type);
		char text[INET6_ADDRSTRLEN], *clean = NULL;
		struct span bytes;

		if (type != GEN_DNS && type != GEN_EMAIL && type != GEN_IPADD)
			continue;
		bytes = span_make(ASN1_STRING_get0_data(s),
		    (size_t)ASN1_STRING_length(s));
		if (type != GEN_IPADD)
			clean = tls_name_clean(bytes);
		else if ((bytes.len == 4 || bytes.len == 16) &&
		    inet_ntop(bytes.len == 4 ? AF_INET : AF_INET6, bytes.p,
		    text, sizeof(text)) != NULL)
			clean = mem_strdup(text);
		buf_addf(out, "%s%s", out->len > begin ? ", " :
		    "names        ", clean != NULL ? clean : "?");
		mem_free(clean);
	}
	if (out->len > begin)
		buf_add_char(out, '\n');
	GENERAL_NAMES_free(names);
}

static void
put_key(struct buf *out, X509 *cert)
{
	EVP_PKEY *key = X509_get0_pubkey(cert);
	const EVP_MD *md = EVP_sha256();
	char *print = tls_cert_fingerprint(cert, md);
	char *pin = tls_pkey_fingerprint(cert, md);

	if (key != NULL)
		buf_addf(out, "key          %s, %d bits\n",
		    EVP_PKEY_get0_type_name(key), EVP_PKEY_get_bits(key));
	buf_addf(out, "fingerprint  %s\n", print);
	buf_addf(out, "key's        %s\n", pin);
	buf_add_str(out, "TLSA         3 1 1 ");
	for (const char *p = pin; *p != '\0'; p++)
		if (*p != ':')
			buf_add_char(out, (char)tolower((unsigned char)*p));
	buf_add_char(out, '\n');
	mem_free(print);
	mem_free(pin);
}

static void
put_cert(struct buf *out, X509 *cert)
{
	if (out->len > 0)
		buf_add_char(out, '\n');
	put_name(out, "subject      ", X509_get_subject_name(cert));
	put_name(out, "issuer       ", X509_get_issuer_name(cert));
	put_alternatives(out, cert);
	put_time(out, "valid from   ", X509_get0_notBefore(cert));
	put_time(out, "valid until  ", X509_get0_notAfter(cert));
	put_key(out, cert);
}

static int
each(struct span pem, struct buf *out, bool as_pem, struct why *why)
{
	BIO *in = BIO_new_mem_buf(pem.p, (int)pem.len);
	BIO *copy = BIO_new(BIO_s_mem());
	X509 *cert;
	size_t n = 0;
	char *p;
	long len;

	tls_init();
	while ((cert = PEM_read_bio_X509(in, NULL, NULL, NULL)) != NULL) {
		n++;
		if (as_pem)
			(void)PEM_write_bio_X509(copy, cert);
		else
			put_cert(out, cert);
		X509_free(cert);
	}
	len = BIO_get_mem_data(copy, &p);
	if (len > 0)
		buf_add(out, p, (size_t)len);
	BIO_free(in);
	BIO_free(copy);
	ERR_clear_error();
	return n > 0 ? 0 : why_set(why, "", "no certificate in it");
}

int
tls_cert_show(struct span pem, struct buf *out, struct why *why)
{
	return each(pem, out, false, why);
}

int
tls_cert_public(struct span pem, struct buf *out, struct why *why)
{
	return each(pem, out, true, why);
}

const char *
tls_library(bool compiled)
{
	return compiled ? OPENSSL_VERSION_TEXT
	    : OpenSSL_version(OPENSSL_VERSION);
}

const char *
tls_key_types(void)
{
	return "ecdsa\ned25519\nrsa";	/* chain.c refuses others */
}
