/* SPDX-License-Identifier: ISC */
/*
 * certs - a chain as keyd sends it, ready to be shown.
 */
#include "tls/tls_priv.h"

#include "base/log.h"

int
tls_certs_parse(struct tls_certs *c, struct span der, EVP_PKEY *key,
    uint64_t key_id, struct why *why)
{
	const unsigned char *p = (const unsigned char *)der.p;
	const unsigned char *end = p + der.len;

	*c = (struct tls_certs){ .rest = sk_X509_new_null() };
	while (p < end) {
		X509 *cert = d2i_X509(NULL, &p, end - p);

		if (cert == NULL)
			break;
		if (c->leaf == NULL)
			c->leaf = cert;
		else if (sk_X509_push(c->rest, cert) <= 0)
			log_fatal("OpenSSL: no memory");
	}
	if (p == end && c->leaf != NULL) {
		c->key = key != NULL ? key : tls_remote_key(c->leaf, key_id);
		if (c->key != NULL && key != NULL)
			EVP_PKEY_up_ref(key);
		if (c->key != NULL)
			return 0;
		tls_openssl_why(why, "a certificate is not taken");
	} else {
		why_set(why, "", "bad certificate");
	}
	tls_certs_fini(c);
	return -1;
}

void
tls_certs_fini(struct tls_certs *c)
{
	EVP_PKEY_free(c->key);
	X509_free(c->leaf);
	sk_X509_pop_free(c->rest, X509_free);
	*c = (struct tls_certs){ .leaf = NULL };
}
