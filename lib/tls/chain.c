/* SPDX-License-Identifier: ISC */
/*
 * chain - see chain.h.
 */
#include "tls/chain.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>

#include "base/base64.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/fd.h"
#include "ipc/msg_keyd.h"
#include "tls/tls_priv.h"

/* Keys and certificates of all files of a set. */
#define PIECES_MAX	64

struct chain {
	EVP_PKEY	*key;
	struct tls_signer *signer;
	ARRAY(X509 *)	 certs;		/* the leaf first */
	const char	*origin;	/* the leaf's file */
	uint64_t	 id[2];		/* as server, as client */
};

struct tls_set {
	struct chain	v[TLS_SET_MAX];
	size_t		n;
	ARRAY(char *)	origins;
};

/* What the files hold, in their order, before it is put together. */
struct pieces {
	struct { EVP_PKEY *key; const char *origin; bool used; }
		v[PIECES_MAX];
	size_t	n;
	struct { X509 *cert; const char *origin; } certs[PIECES_MAX];
	size_t	ncerts;
};

/* --- reading ---------------------------------------------------------------------------- */

static int
no_password(char *buf, int size, int writing, void *arg)
{
	return -1;
}

static bool
is_key(const char *name)
{
	return span_ends(span_of(name), SPAN("PRIVATE KEY"));
}

static bool
is_cert(const char *name)
{
	return strcmp(name, PEM_STRING_X509) == 0 ||
	    strcmp(name, PEM_STRING_X509_OLD) == 0 ||
	    strcmp(name, PEM_STRING_X509_TRUSTED) == 0;
}

static int
take_key(struct pieces *p, const char *name, const unsigned char *der,
    long len, const char *origin, struct why *why)
{
	EVP_PKEY *key;

	if (strcmp(name, PEM_STRING_PKCS8) == 0)
		return why_set(why, "", "%s: the private key is encrypted",
		    origin);
	if (strcmp(name, PEM_STRING_ECPRIVATEKEY) == 0)
		key = d2i_PrivateKey(EVP_PKEY_EC, NULL, &der, len);
	else if (strcmp(name, PEM_STRING_RSA) == 0)
		key = d2i_PrivateKey(EVP_PKEY_RSA, NULL, &der, len);
	else
		key = d2i_AutoPrivateKey(NULL, &der, len);
	if (key == NULL)
		return why_set(why, "", "%s: bad private key", origin);
	for (size_t i = 0; i < p->n; i++)
		if (EVP_PKEY_eq(p->v[i].key, key) == 1) {
			EVP_PKEY_free(key);	/* named twice */
			return 0;
		}
	if (p->n == PIECES_MAX) {
		EVP_PKEY_free(key);
		return why_set(why, "", "%s: too many keys", origin);
	}
	p->v[p->n].key = key;
	p->v[p->n++].origin = origin;
	return 0;
}

static int
take_cert(struct pieces *p, const unsigned char *der, long len,
    const char *origin, struct why *why)
{
	X509 *cert = d2i_X509(NULL, &der, len);

	if (cert == NULL)
		return why_set(why, "", "%s: bad certificate", origin);
	if (p->ncerts == PIECES_MAX) {
		X509_free(cert);
		return why_set(why, "", "%s: too many certificates", origin);
	}
	p->certs[p->ncerts].cert = cert;
	p->certs[p->ncerts++].origin = origin;
	return 0;
}

static int
read_pem(struct pieces *p, struct span pem, const char *origin,
    struct why *why)
{
	BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.len);
	char *name = NULL, *header = NULL;
	unsigned char *der = NULL;
	size_t before = p->n + p->ncerts;
	long len;
	int rc = 0;

	ERR_clear_error();
	while (rc == 0 && PEM_read_bio(bio, &name, &header, &der, &len) == 1) {
		EVP_CIPHER_INFO info;

		/* The traditional way of encrypting keys. */
		if (header[0] != '\0' &&
		    (PEM_get_EVP_CIPHER_INFO(header, &info) != 1 ||
		    PEM_do_header(&info, der, &len, no_password, NULL) != 1))
			rc = why_set(why, "", "%s: the private key is "
			    "encrypted", origin);
		else if (is_key(name))
			rc = take_key(p, name, der, len, origin, why);
		else if (is_cert(name))
			rc = take_cert(p, der, len, origin, why);
		OPENSSL_free(name);
		OPENSSL_free(header);
		OPENSSL_clear_free(der, (size_t)len);
	}
	BIO_free(bio);
	ERR_clear_error();
	if (rc == 0 && p->n + p->ncerts == before)
		rc = why_set(why, "", "%s: no PEM key or certificate in it",
		    origin);
	return rc;
}

static int
read_file(struct pieces *p, const char *path, struct why *why)
{
	struct buf text = BUF_INIT(TLS_FILE_MAX);
	char *room = NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	int rc = -1;

	if (fd < 0 || fstat(fd, &st) < 0)
		why_errno(why, "", "%s", path);
	else if (!S_ISREG(st.st_mode))
		why_set(why, "", "%s: not a file", path);
	else if (st.st_size == 0 || st.st_size > TLS_FILE_MAX - 1 ||
	    (room = buf_reserve(&text, (size_t)st.st_size)) == NULL)
		why_set(why, "", "%s: %s", path,
		    st.st_size == 0 ? "empty" : "too large");
	else if (fd_read_all(fd, room, (size_t)st.st_size) < 0)
		why_errno(why, "", "%s", path);
	else {
		buf_commit(&text, (size_t)st.st_size);
		rc = read_pem(p, buf_span(&text), path, why);
	}
	if (rc == 0 && p->n > 0 && p->v[p->n - 1].origin == path &&
	    st.st_mode & (S_IRWXO & ~S_IXOTH))
		log_warning("%s: everybody may read this private key", path);
	buf_wipe(&text);
	fd_close(&fd);
	return rc;
}

/* --- putting together -------------------------------------------------------------------- */

static void
pieces_fini(struct pieces *p)
{
	for (size_t i = 0; i < p->n; i++)
		EVP_PKEY_free(p->v[i].key);
	for (size_t i = 0; i < p->ncerts; i++)
		X509_free(p->certs[i].cert);
}

static uint64_t
key_id(EVP_PKEY *key, bool client)
{
	unsigned char *der = NULL, sum[SHA256_DIGEST_LENGTH];
	int len = i2d_PUBKEY(key, &der);
	uint64_t id = 0;

	if (len <= 0)
		return 0;
	SHA256(der, (size_t)len, sum);
	OPENSSL_free(der);
	for (int i = 0; i < 8; i++)
		id = id << 8 | sum[i + (client ? 8 : 0)];
	return id != 0 ? id : 1;
}

static int
begin_chain(struct tls_set *set, EVP_PKEY *key, const char *origin,
    struct why *why)
{
	struct chain *c = &set->v[set->n];

	if (!EVP_PKEY_is_a(key, "RSA") && !EVP_PKEY_is_a(key, "EC") &&
	    !EVP_PKEY_is_a(key, "ED25519"))
		return why_set(why, "", "%s: a %s key is of no use for TLS",
		    origin, EVP_PKEY_get0_type_name(key));
	if (EVP_PKEY_is_a(key, "RSA") && EVP_PKEY_get_bits(key) < 1024)
		return why_set(why, "", "%s: the RSA key is too short",
		    origin);
	for (size_t i = 0; i < set->n; i++)
		if (EVP_PKEY_get_base_id(set->v[i].key) ==
		    EVP_PKEY_get_base_id(key))
			return why_set(why, "", "%s: a second %s key, beside "
			    "that of %s", origin, EVP_PKEY_get0_type_name(key),
			    set->v[i].origin);
	/* Kinds are fewer than TLS_SET_MAX. */
	EVP_PKEY_up_ref(key);
	c->key = key;
	c->signer = tls_signer_new(key);
	c->origin = origin;
	c->id[0] = key_id(key, false);
	c->id[1] = key_id(key, true);
	set->n++;
	return 0;
}

static int
check_dates(const struct chain *c, unsigned flags, struct why *why)
{
	for (size_t i = 0; i < c->certs.len; i++) {
		const char *what = NULL;

		if (X509_cmp_current_time(X509_get0_notAfter(
		    c->certs.v[i])) < 0)
			what = "has expired";
		else if (X509_cmp_current_time(X509_get0_notBefore(
		    c->certs.v[i])) > 0)
			what = "is not valid yet";
		if (what == NULL)
			continue;
		if (flags & TLS_SET_DATES)
			return why_set(why, "", "%s: certificate %zu %s",
			    c->origin, i + 1, what);
		log_warning("%s: certificate %zu %s", c->origin, i + 1, what);
	}
	return 0;
}

static int
check_chain(const struct chain *c, unsigned flags, struct why *why)
{
	size_t bytes = 0;

	for (size_t i = 0; i < c->certs.len; i++) {
		int n = i2d_X509(c->certs.v[i], NULL);

		bytes += n > 0 ? (size_t)n : 0;
		if (i > 0 && X509_NAME_cmp(
		    X509_get_issuer_name(c->certs.v[i - 1]),
		    X509_get_subject_name(c->certs.v[i])) != 0)
			return why_set(why, "", "%s: certificate %zu did not "
			    "issue the one before it", c->origin, i + 1);
	}
	if (bytes > KEYD_CERTS_MAX)
		return why_set(why, "", "%s: the chain is too long",
		    c->origin);
	return check_dates(c, flags, why);
}

static int
assemble(struct tls_set *set, struct pieces *p, unsigned flags,
    struct why *why)
{
	for (size_t i = 0; i < p->ncerts; i++) {
		X509 *cert = p->certs[i].cert;
		EVP_PKEY *pub = X509_get0_pubkey(cert);
		struct chain *c;

		for (size_t k = 0; k < p->n && pub != NULL; k++) {
			if (p->v[k].used || EVP_PKEY_eq(pub, p->v[k].key) != 1)
				continue;
			p->v[k].used = true;
			if (begin_chain(set, p->v[k].key, p->certs[i].origin,
			    why) < 0)
				return -1;
		}
		if (set->n == 0)
			return why_set(why, "", "%s: the private key is not "
			    "that of the certificate%s", p->certs[i].origin,
			    p->n == 0 ? ": there is none" : "");
		c = &set->v[set->n - 1];
		X509_up_ref(cert);
		*ARRAY_PUSH(&c->certs) = cert;
	}
	for (size_t k = 0; k < p->n; k++)
		if (!p->v[k].used)
			return why_set(why, "", "%s: no certificate belongs "
			    "to this private key", p->v[k].origin);
	if (set->n == 0)
		return why_set(why, "", "no certificate");
	for (size_t i = 0; i < set->n; i++)
		if (check_chain(&set->v[i], flags, why) < 0)
			return -1;
	return 0;
}

static struct tls_set *
finish(struct tls_set *set, struct pieces *p, int rc, unsigned flags,
    struct why *why)
{
	if (rc == 0)
		rc = assemble(set, p, flags, why);
	pieces_fini(p);
	mem_free(p);
	ERR_clear_error();
	if (rc < 0)
		tls_set_free(&set);
	return set;
}

struct tls_set *
tls_set_load(struct span files, unsigned flags, struct why *why)
{
	struct tls_set *set = mem_zalloc(sizeof(*set));
	struct pieces *p = mem_zalloc(sizeof(*p));
	struct span word;
	int rc = 0;

	tls_init();
	while (rc == 0 && span_token(&files, ", \t\r\n", &word)) {
		char *path = span_dup(word);

		*ARRAY_PUSH(&set->origins) = path;
		rc = read_file(p, path, why);
	}
	return finish(set, p, rc, flags, why);
}

struct tls_set *
tls_set_parse(struct span pem, const char *origin, unsigned flags,
    struct why *why)
{
	struct tls_set *set = mem_zalloc(sizeof(*set));
	struct pieces *p = mem_zalloc(sizeof(*p));
	char *name = mem_strdup(origin);
	int rc;

	tls_init();
	*ARRAY_PUSH(&set->origins) = name;
	rc = pem.len > TLS_FILE_MAX ?
	    why_set(why, "", "%s: too large", origin) :
	    read_pem(p, pem, name, why);
	return finish(set, p, rc, flags, why);
}

bool
tls_sni_is_pem(struct span value, struct buf *pem)
{
	return span_find(value, '/') != 0 && base64_decode(value, pem) == 0 &&
	    span_search(buf_span(pem), SPAN("-----BEGIN ")) >= 0;
}

struct tls_set *
tls_set_of_sni(struct span value, unsigned flags, struct why *why)
{
	struct buf pem = BUF_SECRET(TLS_FILE_MAX);
	struct tls_set *set;

	value = span_trim(value);
	set = tls_sni_is_pem(value, &pem) ?
	    tls_set_parse(buf_span(&pem), "tls_server_sni_maps", flags, why) :
	    tls_set_load(value, flags, why);
	buf_wipe(&pem);
	return set;
}

void
tls_set_free(struct tls_set **sp)
{
	struct tls_set *set = *sp;

	*sp = NULL;
	if (set == NULL)
		return;
	for (size_t i = 0; i < set->n; i++) {
		tls_signer_free(&set->v[i].signer);
		EVP_PKEY_free(set->v[i].key);
		for (size_t k = 0; k < set->v[i].certs.len; k++)
			X509_free(set->v[i].certs.v[k]);
		ARRAY_FINI(&set->v[i].certs);
	}
	for (size_t i = 0; i < set->origins.len; i++)
		mem_free(set->origins.v[i]);
	ARRAY_FINI(&set->origins);
	mem_free(set);
}

/* --- what it holds ------------------------------------------------------------------------- */

size_t
tls_set_count(const struct tls_set *set)
{
	return set->n;
}

EVP_PKEY *
tls_set_key(const struct tls_set *set, size_t i)
{
	return set->v[i].key;
}

const char *
tls_set_origin(const struct tls_set *set, size_t i)
{
	return set->v[i].origin;
}

uint64_t
tls_set_key_id(const struct tls_set *set, size_t i, bool client)
{
	return set->v[i].id[client ? 1 : 0];
}

void
tls_set_der(const struct tls_set *set, size_t i, struct buf *out)
{
	for (size_t k = 0; k < set->v[i].certs.len; k++) {
		unsigned char *der = NULL;
		int n = i2d_X509(set->v[i].certs.v[k], &der);

		if (n > 0)
			buf_add(out, der, (size_t)n);
		OPENSSL_free(der);
	}
}

time_t
tls_set_not_after(const struct tls_set *set, size_t i)
{
	time_t first = 0;

	for (size_t k = 0; k < set->v[i].certs.len; k++) {
		struct tm tm;
		time_t t;

		if (ASN1_TIME_to_tm(X509_get0_notAfter(
		    set->v[i].certs.v[k]), &tm) != 1)
			continue;
		t = timegm(&tm);
		if (first == 0 || t < first)
			first = t;
	}
	return first;
}

int
tls_set_sign(const struct tls_set *set, size_t i, uint32_t scheme,
    struct span tbs, struct buf *sig)
{
	return tls_signer_sign(set->v[i].signer, scheme, tbs, sig);
}
