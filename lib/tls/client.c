/* SPDX-License-Identifier: ISC */
/*
 * client - contexts of clients, what a policy demands, resumption.
 *
 * The handshake never fails because of a certificate: the peer is judged
 * after it, so that a level that asks for nothing still reports what it saw.
 *
 * A resumed session shows no certificate again; OpenSSL keeps the peer's and
 * what came of its verification with the session.  The demands of a policy
 * are part of the key under which sessions are kept, so a session is resumed
 * only where the same demands were met.
 */
#include <time.h>

#include <openssl/x509v3.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "tls/keyd_client.h"
#include "tls/tls_priv.h"

struct kept {
	struct list	 link;		/* least recently made first */
	struct tls_client *client;
	struct buf	 key;
	SSL_SESSION	*session;
};

struct tls_client {
	/* What to show to servers: certificates of keyd. */
	char			*files;		/* "" none */
	ARRAY(struct tls_certs)	 certs;
	struct keyd_ask		 ask;
	struct keyd_listener	 listener;
	struct tls_client_conf	 conf;		/* strings are the caller's */
	SSL_CTX			*ctx[2];	/* may; encrypt and above */
	struct hash		 anchors;	/* X509_STORE, by file */
	struct hash		 sessions;	/* struct kept */
	struct list		 lru;
};

/* A connection's policy, as far as it is needed after the start. */
struct tls_check {
	enum tls_level	 level;
	ARRAY(char *)	 match;
	ARRAY(char *)	 fingerprints;
	bool		 dane;		/* there are usable records */
	struct buf	 key;		/* of the session; empty: none */
};

/* --- kept sessions ------------------------------------------------------------------------ */

static void
kept_free(struct kept *k)
{
	list_remove(&k->link);
	(void)hash_del(&k->client->sessions, buf_span(&k->key));
	SSL_SESSION_free(k->session);
	buf_fini(&k->key);
	mem_free(k);
}

static int
new_session(SSL *ssl, SSL_SESSION *session)
{
	struct tls *t = tls_from_ssl(ssl);
	struct tls_client *c = t->client;
	struct kept *k;

	/* Of TLS 1.2 it comes before we have judged, but what is resumed is
	 * judged again. */
	if (c == NULL || t->check->key.len == 0 || c->conf.session_max == 0)
		return 0;
	k = hash_get(&c->sessions, buf_span(&t->check->key));
	if (k != NULL)
		kept_free(k);
	if (c->sessions.count >= c->conf.session_max)
		kept_free(LIST_ENTRY(c->lru.next, struct kept, link));
	k = mem_zalloc(sizeof(*k));
	k->client = c;
	k->session = session;		/* its reference is ours now */
	k->key = BUF_INIT(BUF_UNLIMITED);
	buf_add_span(&k->key, buf_span(&t->check->key));
	(void)hash_put(&c->sessions, buf_span(&k->key), k);
	list_append(&c->lru, &k->link);
	return 1;
}

static void
resume(struct tls *t)
{
	struct tls_client *c = t->client;
	struct kept *k;
	int64_t age;

	if (t->check->key.len == 0)
		return;
	k = hash_get(&c->sessions, buf_span(&t->check->key));
	if (k == NULL)
		return;
	age = (int64_t)time(NULL) - SSL_SESSION_get_time(k->session);
	if (age >= 0 && age < c->conf.session_time)
		(void)SSL_set_session(t->ssl, k->session);
	/* RFC 8446 C.4: a ticket is used once.  The server gives a new one. */
	if (age < 0 || age >= c->conf.session_time ||
	    SSL_SESSION_get_protocol_version(k->session) >= TLS1_3_VERSION)
		kept_free(k);
}

/* --- our own certificates ------------------------------------------------------------------------ */

static void
drop_certs(struct tls_client *c)
{
	for (size_t i = 0; i < c->certs.len; i++)
		tls_certs_fini(&c->certs.v[i]);
	ARRAY_FINI(&c->certs);
}

static void
certs_answered(struct keyd_ask *a, const struct keyd_answer *ans)
{
	struct tls_client *c = CONTAINER_OF(a, struct tls_client, ask);
	struct why why = WHY_INIT;

	if (ans->status != KEYD_OK) {
		log_warning("%s: TLS: no client certificate from keyd: %.*s%s",
		    c->conf.prefix, SPAN_ARG(ans->text),
		    c->certs.len > 0 ? "; the old one stays" : "");
		return;
	}
	drop_certs(c);
	/* A resumed session would go on with who we were. */
	LIST_FOREACH(l, &c->lru)
		kept_free(LIST_ENTRY(l, struct kept, link));
	for (size_t i = 0; i < ans->n; i++) {
		struct tls_certs one;

		if (tls_certs_parse(&one, buf_span(&ans->v[i].der), NULL,
		    ans->v[i].key_id, &why) == 0)
			*ARRAY_PUSH(&c->certs) = one;
		else
			log_warning("%s: TLS: %s", c->conf.prefix, why.text);
	}
}

static void
ask_certs(struct tls_client *c)
{
	keyd_client_ask_cancel(&c->ask);
	c->ask.what = (struct keyd_get){
		.files = span_of(c->files), .sni_maps = SPAN_EMPTY,
		.name = SPAN_EMPTY, .client = true,
	};
	c->ask.fn = certs_answered;
}

static void
certs_changed(struct keyd_listener *l)
{
	struct tls_client *c = CONTAINER_OF(l, struct tls_client, listener);

	ask_certs(c);
	keyd_client_ask(&c->ask);
}

void
tls_client_start(struct tls_client *c, struct loop *l)
{
	char *path;

	if (c->files[0] == '\0')
		return;
	path = mem_printf("private/%s", conf.keyd_service_name);
	ask_certs(c);
	keyd_client_ask_now(&c->ask, path);
	c->listener.changed = certs_changed;
	keyd_client_listen(&c->listener);
	keyd_client_start(l, path);
	if (c->certs.len == 0) {
		ask_certs(c);
		keyd_client_ask(&c->ask);
	}
	mem_free(path);
}

/* Shown if the server asks; signed by keyd, so the handshake may pause. */
static int
use_certs(SSL *ssl, const struct tls_client *c, struct why *why)
{
	if (c->files[0] == '\0')
		return 0;
	if (c->certs.len == 0)
		return why_set(why, "4.7.5", "our client certificate is not "
		    "available");
	for (size_t i = 0; i < c->certs.len; i++)
		if (SSL_use_cert_and_key(ssl, c->certs.v[i].leaf,
		    c->certs.v[i].key, c->certs.v[i].rest, 1) != 1) {
			tls_openssl_why(why, "our client certificate is not "
			    "taken");
			return -1;
		}
	SSL_set_mode(ssl, SSL_MODE_ASYNC);
	return 0;
}

/* --- contexts -------------------------------------------------------------------------------- */

/* The ciphers that are not used; to mem_free(). */
static char *
excluded(const struct tls_client_conf *c, bool mandatory)
{
	return mem_printf("%s %s", c->exclude_ciphers,
	    mandatory && c->mandatory_exclude_ciphers != NULL ?
	    c->mandatory_exclude_ciphers : "");
}

static int
judged(const struct tls_client_conf *c, int rc, struct why *why)
{
	return rc < 0 && c->judge != NULL ? c->judge(rc, why) : rc;
}

static SSL_CTX *
make_ctx(const struct tls_client_conf *c, bool mandatory, struct why *why)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	const char *kind = mandatory ? "mandatory_" : "";
	char *exclude;
	int rc;

	if (ctx == NULL)
		log_fatal("OpenSSL: no memory for a context");
	rc = tls_set_common(ctx, why);
	if (rc == 0) {
		rc = tls_set_protocols(ctx, mandatory ?
		    c->mandatory_protocols : c->protocols, why);
		if (rc < 0)
			why_prefix(why, "%s_tls_%sprotocols", c->prefix, kind);
		rc = judged(c, rc, why);
	}
	if (rc == 0) {
		exclude = excluded(c, mandatory);
		rc = tls_set_ciphers(ctx, mandatory ? c->mandatory_ciphers :
		    c->ciphers, exclude, why);
		if (rc < 0)
			why_prefix(why, "%s_tls_%sciphers", c->prefix, kind);
		rc = judged(c, rc, why);
		mem_free(exclude);
	}
	if (rc < 0) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	if (SSL_CTX_dane_enable(ctx) != 1)
		log_warning("OpenSSL: DANE cannot be used");
	SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT |
	    SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, new_session);
	return ctx;
}

/*
 * A file of trust anchors: any certificate in it ends a chain, though another
 * has signed it.
 */
static int
read_anchor(struct tls_client *c, struct span name, struct why *why)
{
	X509_STORE *store = X509_STORE_new(), *old;
	char *file = span_dup(name);
	int rc = 0;

	if (store == NULL)
		log_fatal("OpenSSL: no memory");
	ERR_clear_error();
	if (X509_STORE_load_file(store, file) == 1) {
		(void)X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
		old = hash_put(&c->anchors, name, store);
		X509_STORE_free(old);
	} else {
		rc = tls_cas_why(file, why);
		why_prefix(why, "%s_tls_trust_anchor_file", c->conf.prefix);
		X509_STORE_free(store);
	}
	mem_free(file);
	return rc;
}

static int
read_anchors(struct tls_client *c, struct why *why)
{
	struct span rest = span_of(c->conf.anchor_files != NULL ?
	    c->conf.anchor_files : ""), word;

	while (span_token(&rest, " \t\r\n,", &word))
		if (judged(&c->conf, read_anchor(c, word, why), why) < 0)
			return -1;
	return 0;
}

/* Both contexts and what they stand on. */
static int
set_up(struct tls_client *c, struct why *why)
{
	const struct tls_client_conf *set = &c->conf;
	int rc = 0;

	if (tls_digest(set->fingerprint_digest) == NULL)
		rc = why_set(why, "", "%s_tls_fingerprint_digest: unknown "
		    "digest \"%s\"", set->prefix, set->fingerprint_digest);
	if (judged(set, rc, why) < 0)
		return -1;
	for (int i = 0; i < 2; i++) {
		c->ctx[i] = make_ctx(set, i == 1, why);
		if (c->ctx[i] == NULL)
			return -1;
	}
	rc = tls_set_cas(c->ctx[0], set->ca_file, set->ca_path, why);
	if (rc < 0)
		why_prefix(why, "%s_tls_CA%s", set->prefix,
		    set->ca_file[0] != '\0' ? "file" : "path");
	if (judged(set, rc, why) < 0)
		return -1;
	SSL_CTX_set1_cert_store(c->ctx[1], SSL_CTX_get_cert_store(c->ctx[0]));
	return read_anchors(c, why);
}

static void
free_store(void *store)
{
	X509_STORE_free(store);
}

struct tls_client *
tls_client_new(const struct tls_client_conf *set, struct why *why)
{
	struct tls_client *c = mem_zalloc(sizeof(*c));

	tls_init();
	c->conf = *set;
	c->files = mem_strdup(set->files != NULL ? set->files : "");
	list_init(&c->lru);
	if (set_up(c, why) < 0)
		tls_client_free(&c);
	return c;
}

void
tls_client_free(struct tls_client **cp)
{
	struct tls_client *c = *cp;

	*cp = NULL;
	if (c == NULL)
		return;
	keyd_client_ask_cancel(&c->ask);
	if (c->listener.changed != NULL)
		list_remove(&c->listener.link);
	drop_certs(c);
	mem_free(c->files);
	LIST_FOREACH(l, &c->lru)
		kept_free(LIST_ENTRY(l, struct kept, link));
	hash_fini(&c->sessions, NULL);
	hash_fini(&c->anchors, free_store);
	SSL_CTX_free(c->ctx[0]);
	SSL_CTX_free(c->ctx[1]);
	mem_free(c);
}

/* --- a connection's policy ---------------------------------------------------------------------- */

static void
digest_span(EVP_MD_CTX *md, struct span s)
{
	uint64_t len = s.len;

	(void)EVP_DigestUpdate(md, &len, sizeof(len));
	(void)EVP_DigestUpdate(md, s.p, s.len);
}

/* The key with all that the policy demands. */
static void
make_key(struct tls_check *k, const struct tls_policy *p)
{
	EVP_MD_CTX *md;
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	k->key = BUF_INIT(BUF_UNLIMITED);
	if (p->session_key.len == 0)
		return;
	md = EVP_MD_CTX_new();
	if (md == NULL || EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1)
		log_fatal("OpenSSL: no memory");
	digest_span(md, span_of(tls_level_name(p->level)));
	digest_span(md, p->sni);
	for (size_t i = 0; i < p->nmatch; i++)
		digest_span(md, p->match[i]);
	for (size_t i = 0; i < p->nfingerprints; i++)
		digest_span(md, p->fingerprints[i]);
	for (size_t i = 0; i < p->ntlsa; i++) {
		const struct tls_tlsa *r = &p->tlsa[i];
		char head[] = { (char)r->usage, (char)r->selector,
		    (char)r->mtype };

		digest_span(md, span_make(head, sizeof(head)));
		digest_span(md, r->data);
	}
	digest_span(md, span_of(p->anchors != NULL ? p->anchors : ""));
	(void)EVP_DigestFinal_ex(md, sum, &n);
	EVP_MD_CTX_free(md);
	buf_add_span(&k->key, p->session_key);
	buf_add(&k->key, sum, n);
}

static void
copy_check(struct tls_check *k, const struct tls_policy *p)
{
	k->level = p->level;
	for (size_t i = 0; i < p->nmatch; i++)
		*ARRAY_PUSH(&k->match) = span_dup(p->match[i]);
	for (size_t i = 0; i < p->nfingerprints; i++)
		*ARRAY_PUSH(&k->fingerprints) = span_dup(p->fingerprints[i]);
	make_key(k, p);
}

void
tls_client_forget(struct tls *t)
{
	struct tls_check *k = t->check;

	if (k == NULL)
		return;
	for (size_t i = 0; i < k->match.len; i++)
		mem_free(k->match.v[i]);
	for (size_t i = 0; i < k->fingerprints.len; i++)
		mem_free(k->fingerprints.v[i]);
	ARRAY_FINI(&k->match);
	ARRAY_FINI(&k->fingerprints);
	buf_fini(&k->key);
	mem_free(k);
	t->check = NULL;
}

/* Usages 0 and 1 cannot be used with SMTP (RFC 7672 3.1.3). */
static void
use_tlsa(struct tls *t, const struct tls_policy *p)
{
	const char *base = t->check->match.len > 0 ? t->check->match.v[0] : "";

	if (p->ntlsa == 0 || base[0] == '\0' ||
	    SSL_dane_enable(t->ssl, base) != 1)
		return;
	(void)SSL_dane_set_flags(t->ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
	SSL_set_hostflags(t->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	for (size_t i = 1; i < t->check->match.len; i++)
		(void)SSL_add1_host(t->ssl, t->check->match.v[i]);
	for (size_t i = 0; i < p->ntlsa; i++) {
		const struct tls_tlsa *r = &p->tlsa[i];

		if ((r->usage == 2 || r->usage == 3) &&
		    SSL_dane_tlsa_add(t->ssl, r->usage, r->selector, r->mtype,
		    (const unsigned char *)r->data.p, r->data.len) == 1)
			t->check->dane = true;
	}
	ERR_clear_error();
}

static void
set_alpn(struct tls *t, const char *alpn)
{
	unsigned char list[256];
	size_t n = alpn != NULL ? strlen(alpn) : 0;

	if (n == 0 || n > 255)
		return;
	list[0] = (unsigned char)n;
	memcpy(list + 1, alpn, n);
	(void)SSL_set_alpn_protos(t->ssl, list, (unsigned)n + 1);
}

/* 0, or -1 with why: the administrator's lists are wrong. */
static int
set_lists(SSL *ssl, const struct tls_client *c, const struct tls_policy *p,
    struct why *why)
{
	const char *ciphers = p->ciphers != NULL ? p->ciphers :
	    p->level > TLS_LEVEL_MAY ? c->conf.mandatory_ciphers :
	    c->conf.ciphers;
	char *exclude;
	X509_STORE *store;
	int rc = 0;

	if (p->protocols != NULL &&
	    tls_ssl_protocols(ssl, p->protocols, why) < 0)
		return -1;
	exclude = p->exclude != NULL ? mem_strdup(p->exclude) :
	    excluded(&c->conf, p->level > TLS_LEVEL_MAY);
	if (p->ciphers != NULL || p->exclude != NULL)
		rc = tls_ssl_ciphers(ssl, ciphers, exclude, why);
	mem_free(exclude);
	if (rc < 0)
		return -1;
	if (p->anchors == NULL)
		return 0;
	store = hash_get(&c->anchors, span_of(p->anchors));
	if (store == NULL)
		return why_set(why, "", "tafile \"%s\" is not in "
		    "%s_tls_trust_anchor_file", p->anchors, c->conf.prefix);
	(void)SSL_set1_verify_cert_store(ssl, store);
	return 0;
}

int
tls_client_accepts(struct tls_client *c, const struct tls_policy *p,
    struct why *why)
{
	SSL *ssl;
	int rc;

	if (p->protocols == NULL && p->ciphers == NULL &&
	    p->exclude == NULL && p->anchors == NULL)
		return 0;
	ssl = SSL_new(c->ctx[p->level > TLS_LEVEL_MAY ? 1 : 0]);
	if (ssl == NULL)
		log_fatal("OpenSSL: no memory");
	rc = set_lists(ssl, c, p, why);
	SSL_free(ssl);
	return rc;
}

size_t
tls_connect(struct stream *s, struct tls_client *c,
    const struct tls_policy *p, int64_t timeout_ms, tls_done_fn *done,
    void *arg)
{
	struct tls *t = mem_zalloc(sizeof(*t));
	struct why why = WHY_INIT;
	size_t dropped;
	char *sni;

	t->client = c;
	t->check = mem_zalloc(sizeof(*t->check));
	copy_check(t->check, p);
	tls_make_ssl(t, c->ctx[p->level > TLS_LEVEL_MAY ? 1 : 0], false);
	if (p->sni.len > 0 && p->sni.len <= TLS_NAME_MAX) {
		sni = span_dup(p->sni);
		(void)SSL_set_tlsext_host_name(t->ssl, sni);
		mem_free(sni);
	}
	if (p->level == TLS_LEVEL_DANE || p->level == TLS_LEVEL_DANE_ONLY)
		use_tlsa(t, p);
	if (set_lists(t->ssl, c, p, &why) < 0)
		log_panic("%s: a TLS policy that was not checked: %s",
		    c->conf.prefix, why.text);
	set_alpn(t, p->alpn);
	resume(t);
	dropped = tls_attach(t, s, timeout_ms, done, arg);
	if (use_certs(t->ssl, c, &why) < 0) {
		*tls_why(t) = why;
		t->state = TLS_OVER;	/* done() will be told */
	}
	return dropped;
}

/* --- the verdict ----------------------------------------------------------------------------------- */

static bool
name_matches(const struct tls_check *k, X509 *cert)
{
	for (size_t i = 0; i < k->match.len; i++) {
		const char *name = k->match.v[i];

		if (X509_check_host(cert, name, strlen(name),
		    X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1 ||
		    X509_check_ip_asc(cert, name, 0) == 1)
			return true;
	}
	return false;
}

static bool
fingerprint_matches(struct tls *t, X509 *cert)
{
	const EVP_MD *md = tls_digest(t->client->conf.fingerprint_digest);
	char *whole = tls_cert_fingerprint(cert, md);
	char *key = tls_pkey_fingerprint(cert, md);
	bool found = false;

	for (size_t i = 0; i < t->check->fingerprints.len; i++) {
		struct span want = span_of(t->check->fingerprints.v[i]);

		if (want.len > 0 && (span_caseis(want, whole) ||
		    span_caseis(want, key)))
			found = true;
	}
	mem_free(whole);
	mem_free(key);
	return found;
}

/* How far the peer can be trusted under the policy, and why not further. */
static enum tls_trust
judge(struct tls *t, const char **text, enum tls_problem *problem)
{
	X509 *cert = SSL_get0_peer_certificate(t->ssl);
	long rc = SSL_get_verify_result(t->ssl);
	const struct tls_check *k = t->check;

	*text = "";
	*problem = TLS_PROBLEM_UNTRUSTED;
	if (cert == NULL)
		return TLS_ANONYMOUS;
	if (k->level == TLS_LEVEL_FINGERPRINT) {
		if (fingerprint_matches(t, cert)) {
			*problem = TLS_PROBLEM_NONE;
			return TLS_VERIFIED;
		}
		*text = "no fingerprint matches";
		return TLS_UNTRUSTED;
	}
	if (rc != X509_V_OK) {
		*text = X509_verify_cert_error_string(rc);
		if (rc == X509_V_ERR_CERT_HAS_EXPIRED ||
		    rc == X509_V_ERR_CERT_NOT_YET_VALID)
			*problem = TLS_PROBLEM_EXPIRED;
		else if (rc == X509_V_ERR_HOSTNAME_MISMATCH)
			*problem = TLS_PROBLEM_NAME;
		return TLS_UNTRUSTED;
	}
	*problem = TLS_PROBLEM_NONE;
	if (k->dane)
		return TLS_VERIFIED;
	if (k->match.len == 0)
		return TLS_TRUSTED;
	if (name_matches(k, cert))
		return TLS_VERIFIED;
	*text = "no name in the certificate matches";
	*problem = TLS_PROBLEM_NAME;
	return TLS_TRUSTED;
}

int
tls_client_judge(struct tls *t)
{
	const struct tls_check *k = t->check;
	enum tls_problem problem;
	enum tls_trust trust;
	const char *text;
	bool must = k->level >= TLS_LEVEL_FINGERPRINT || k->dane ||
	    k->level == TLS_LEVEL_DANE_ONLY;

	trust = judge(t, &text, &problem);
	if (k->level == TLS_LEVEL_DANE_ONLY && !k->dane) {
		trust = MIN(trust, TLS_UNTRUSTED);
		text = "no usable TLSA records";
	}
	tls_facts_collect(t, t->client->conf.fingerprint_digest, trust, text);
	t->facts.problem = problem;
	if (!must || trust == TLS_VERIFIED)
		return 0;
	return why_set(tls_why(t), "4.7.5", "Server certificate not %s%s%s",
	    trust == TLS_TRUSTED || k->level == TLS_LEVEL_FINGERPRINT ?
	    "verified" : "trusted", text[0] != '\0' ? ": " : "", text);
}
