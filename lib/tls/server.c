/* SPDX-License-Identifier: ISC */
/*
 * server - contexts of servers: certificates from keyd, SNI, tickets.
 *
 * The settings are read into a context without certificates before the jail.
 * For each set of certificates that keyd hands over, a context is made that
 * shares its CAs; a connection keeps the one it began with, so a change of
 * certificates touches no session.
 *
 * Names (SNI) are looked up at keyd when a client asks for one, and kept in a
 * cache of SNI_MAX names, of which clients may choose the words.
 */
#include <openssl/core_names.h>


#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rnd.h"
#include "conf/params.h"
#include "tls/chain.h"
#include "tls/keyd_client.h"
#include "tls/tls_priv.h"

#define SNI_MAX		1024
/* How long "no such name" is believed. */
#define SNI_NONE_MS	10000

/* One per answer to a name; ctx NULL: there is no certificate for it. */
struct tls_ctx {
	struct list	 link;		/* least recently used first */
	struct tls_server *srv;
	char		*name;
	SSL_CTX		*ctx;
	int64_t		 until_ms;	/* 0: until a change */
	bool		 asked;		/* the answer is not there yet */
	struct keyd_ask	 ask;
	struct list	 waiting;	/* struct tls.ask.link */
};

struct tls_server {
	struct tls_settings	 set;
	bool			 mandatory;
	tls_judge_fn		*judge;		/* of wrong settings, or NULL */
	SSL_CTX			*base;		/* without certificates */
	SSL_CTX			*def;		/* or NULL: not ready */
	struct loop		*loop;
	struct keyd_ask		 ask;
	struct keyd_listener	 listener;
	struct list		 waiting;	/* struct tls.waiting */
	struct hash		 names;		/* struct tls_ctx */
	struct list		 lru;
};

static void sni_answered(struct keyd_ask *a, const struct keyd_answer *ans);

/* --- tickets -------------------------------------------------------------------------------- */

/* RFC 5077; OpenSSL makes the PSKs of TLS 1.3 in the same way. */
static int
ticket_callback(SSL *ssl, unsigned char *name, unsigned char *iv,
    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int encrypt)
{
	const struct ticket_key *keys;
	size_t n = keyd_client_tickets(&keys), i = 0;
	OSSL_PARAM params[3];

	if (n == 0)
		return encrypt ? -1 : 0;
	if (encrypt) {
		memcpy(name, keys[0].name, sizeof(keys[0].name));
		rnd_bytes(iv, EVP_MAX_IV_LENGTH);
	} else {
		while (i < n && memcmp(name, keys[i].name,
		    sizeof(keys[i].name)) != 0)
			i++;
		if (i == n)
			return 0;	/* too old, or not ours */
	}
	params[0] = OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY,
	    (void *)(uintptr_t)keys[i].mac, sizeof(keys[i].mac));
	params[1] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
	    (char[]){ "SHA256" }, 0);
	params[2] = OSSL_PARAM_construct_end();
	if (EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, keys[i].aes,
	    iv, encrypt) != 1 || EVP_MAC_CTX_set_params(mac, params) != 1)
		return -1;
	/* 2: take it, and give the client a new one; in TLS 1.3 it needs one
	 * for each resumption (RFC 8446 C.4). */
	return encrypt || (i == 0 && SSL_version(ssl) < TLS1_3_VERSION) ? 1 :
	    2;
}

/* --- names ------------------------------------------------------------------------------------ */

static void
ctx_free(struct tls_ctx *c)
{
	list_remove(&c->link);
	keyd_client_ask_cancel(&c->ask);
	(void)hash_del(&c->srv->names, span_of(c->name));
	SSL_CTX_free(c->ctx);
	mem_free(c->name);
	mem_free(c);
}

static struct tls_ctx *
ctx_new(struct tls_server *srv, struct span name)
{
	struct tls_ctx *c = mem_zalloc(sizeof(*c));

	if (srv->names.count >= SNI_MAX) {
		LIST_FOREACH(l, &srv->lru) {
			struct tls_ctx *old =
			    LIST_ENTRY(l, struct tls_ctx, link);

			if (!old->asked) {
				ctx_free(old);
				break;
			}
		}
	}
	c->srv = srv;
	c->name = span_dup(name);
	list_init(&c->waiting);
	list_append(&srv->lru, &c->link);
	(void)hash_put(&srv->names, name, c);
	return c;
}

/* What t asked for has been answered by c. */
static void
ctx_give(struct tls *t, struct tls_ctx *c)
{
	list_remove(&t->ask.link);
	t->ask.state = SNI_DONE;
	/* A connection keeps the context, not the cache's entry. */
	if (c->ctx != NULL) {
		SSL_CTX_up_ref(c->ctx);
		t->ask.ctx = c->ctx;
	}
}

static void
ask_name(struct tls_ctx *c)
{
	c->asked = true;
	c->ask.what = (struct keyd_get){
		.files = SPAN_EMPTY, .sni_maps = span_of(c->srv->set.sni_maps),
		.name = span_of(c->name), .client = false,
	};
	c->ask.fn = sni_answered;
	keyd_client_ask(&c->ask);
}

/* The name that the ClientHello asks for (RFC 6066 3), in lower case. */
static bool
hello_name(SSL *ssl, char out[TLS_NAME_MAX + 1])
{
	const unsigned char *p;
	size_t n, len;

	if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &p,
	    &n) != 1 || n < 5 || p[2] != TLSEXT_NAMETYPE_host_name)
		return false;
	len = (size_t)p[3] << 8 | p[4];
	if (len == 0 || len > TLS_NAME_MAX || len > n - 5)
		return false;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = p[5 + i];

		if (c <= ' ' || c >= 127 || c == '/' || c == '\\')
			return false;
		out[i] = (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
	}
	out[len] = '\0';
	return true;
}

static int
hello_callback(SSL *ssl, int *alert, void *arg)
{
	struct tls *t = tls_from_ssl(ssl);
	struct tls_server *srv = t->server;
	char name[TLS_NAME_MAX + 1];
	struct tls_ctx *c;

	if (t->ask.state == SNI_DONE || srv->set.sni_maps[0] == '\0' ||
	    srv->loop == NULL || !hello_name(ssl, name))
		return SSL_CLIENT_HELLO_SUCCESS;
	c = hash_get(&srv->names, span_of(name));
	if (c != NULL && c->until_ms != 0 && !c->asked &&
	    loop_now_ms(srv->loop) > c->until_ms) {
		ctx_free(c);
		c = NULL;
	}
	if (c == NULL) {
		c = ctx_new(srv, span_of(name));
		ask_name(c);
	}
	list_remove(&c->link);
	list_append(&srv->lru, &c->link);
	if (!c->asked) {
		ctx_give(t, c);
		return SSL_CLIENT_HELLO_SUCCESS;
	}
	t->ask.state = SNI_ASKED;
	list_append(&c->waiting, &t->ask.link);
	return SSL_CLIENT_HELLO_RETRY;
}

static int
name_callback(SSL *ssl, int *alert, void *arg)
{
	struct tls *t = tls_from_ssl(ssl);

	if (t->ask.ctx != NULL)
		SSL_set_SSL_CTX(ssl, t->ask.ctx);
	/* A name that we do not know is served with the default. */
	return SSL_TLSEXT_ERR_OK;
}

/*
 * Our protocol is agreed on where the client offers it.  Where it offers only
 * others, RFC 7301 3.2 would have us refuse it.  We go on without, as Postfix
 * and Dovecot do: no client is to fail for a name that it got wrong, and some
 * offer http/1.1 or "smtp", which is none, whatever they speak.  What the
 * refusal is against, a browser brought to a mail server by an attacker, ends
 * at its request (front_http(), smtpd_forbidden_commands).
 */
static int
alpn_callback(SSL *ssl, const unsigned char **out, unsigned char *outlen,
    const unsigned char *in, unsigned int inlen, void *arg)
{
	struct tls *t = tls_from_ssl(ssl);
	size_t len = t->alpn != NULL ? strlen(t->alpn) : 0;

	for (unsigned i = 0; i < inlen && in[i] < inlen - i; i += in[i] + 1u)
		if (len > 0 && in[i] == len &&
		    memcmp(in + i + 1, t->alpn, len) == 0) {
			*out = in + i + 1;
			*outlen = in[i];
			return SSL_TLSEXT_ERR_OK;
		}
	return SSL_TLSEXT_ERR_NOACK;
}

/* --- contexts ---------------------------------------------------------------------------------- */

/* Client certificates are judged by the service, not by the handshake. */
static int
verify_callback(int ok, X509_STORE_CTX *ctx)
{
	return 1;
}

/* A setting with the name's end is wrong: why begins with its name then, the
 * one that the value is written at. */
static int
blame(const struct tls_server *srv, const char *end, int rc, struct why *why)
{
	char *name = mem_printf("%s_tls_%s%s", srv->set.prefix,
	    srv->mandatory ? "mandatory_" : "", end);

	if (params_row(name) == NULL) {
		mem_free(name);
		name = mem_printf("%s_tls_%s", srv->set.prefix, end);
	}
	if (rc < 0)
		why_prefix(why, "%s", params_source(name));
	mem_free(name);
	return rc < 0 && srv->judge != NULL ? srv->judge(rc, why) : rc;
}

static SSL_CTX *
make_ctx(struct tls_server *srv, struct why *why)
{
	const struct tls_settings *s = &srv->set;
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	struct buf exclude = BUF_INIT(BUF_UNLIMITED);
	int rc;

	if (ctx == NULL)
		log_fatal("OpenSSL: no memory for a context");
	buf_addf(&exclude, "%s %s", s->exclude_ciphers,
	    srv->mandatory ? s->mandatory_exclude_ciphers : "");
	rc = tls_set_common(ctx, why);
	if (rc < 0 && srv->judge != NULL)
		rc = srv->judge(rc, why);
	if (rc == 0)
		rc = blame(srv, "protocols", tls_set_protocols(ctx,
		    srv->mandatory ? s->mandatory_protocols : s->protocols,
		    why), why);
	if (rc == 0)
		rc = blame(srv, "ciphers", tls_set_ciphers(ctx,
		    srv->mandatory ? s->mandatory_ciphers : s->ciphers,
		    exclude.data, why), why);
	buf_fini(&exclude);
	if (rc < 0) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, verify_callback);
	SSL_CTX_set_verify_depth(ctx, (int)s->verify_depth);
	SSL_CTX_set_client_hello_cb(ctx, hello_callback, NULL);
	SSL_CTX_set_tlsext_servername_callback(ctx, name_callback);
	SSL_CTX_set_alpn_select_cb(ctx, alpn_callback, NULL);
	SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, ticket_callback);
	/* Sessions are kept by the clients, and good in all processes. */
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_timeout(ctx, (long)s->session_time);
	SSL_CTX_set_num_tickets(ctx, 1);
	(void)SSL_CTX_set_session_id_context(ctx,
	    (const unsigned char *)s->name, (unsigned)strlen(s->name));
	return ctx;
}

/* A context like base, to be given certificates. */
static SSL_CTX *
copy_ctx(struct tls_server *srv)
{
	struct why why = WHY_INIT;
	SSL_CTX *ctx = make_ctx(srv, &why);

	if (ctx == NULL)
		log_panic("TLS settings were good before: %s", why.text);
	SSL_CTX_set1_cert_store(ctx, SSL_CTX_get_cert_store(srv->base));
	SSL_CTX_set_client_CA_list(ctx,
	    SSL_dup_CA_list(SSL_CTX_get_client_CA_list(srv->base)));
	return ctx;
}

static int
add_chain(SSL_CTX *ctx, struct span der, EVP_PKEY *key, uint64_t key_id,
    struct why *why)
{
	struct tls_certs c;
	int rc = 0;

	if (tls_certs_parse(&c, der, key, key_id, why) < 0)
		return -1;
	if (SSL_CTX_use_cert_and_key(ctx, c.leaf, c.key, c.rest, 1) != 1) {
		tls_openssl_why(why, "a certificate is not taken");
		rc = -1;
	}
	tls_certs_fini(&c);
	return rc;
}

/* The context for an answer, or NULL when there is no good chain in it. */
static SSL_CTX *
ctx_from_answer(struct tls_server *srv, const struct keyd_answer *ans)
{
	SSL_CTX *ctx = copy_ctx(srv);
	struct why why = WHY_INIT;
	size_t good = 0;

	for (size_t i = 0; i < ans->n; i++) {
		if (add_chain(ctx, buf_span(&ans->v[i].der), NULL,
		    ans->v[i].key_id, &why) == 0)
			good++;
		else
			log_warning("TLS: %s", why.text);
	}
	if (good == 0) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}

static void
set_default(struct tls_server *srv, SSL_CTX *ctx)
{
	SSL_CTX_free(srv->def);
	srv->def = ctx;
	LIST_FOREACH(l, &srv->waiting) {
		struct tls *t = LIST_ENTRY(l, struct tls, waiting);

		list_remove(&t->waiting);
		tls_continue(t);
	}
}

static void
default_answered(struct keyd_ask *a, const struct keyd_answer *ans)
{
	struct tls_server *srv = CONTAINER_OF(a, struct tls_server, ask);
	SSL_CTX *ctx;

	if (ans->status != KEYD_OK) {
		log_warning("TLS: no certificates from keyd: %.*s%s",
		    SPAN_ARG(ans->text),
		    srv->def != NULL ? "; the old ones stay" : "");
		return;
	}
	ctx = ctx_from_answer(srv, ans);
	if (ctx != NULL)
		set_default(srv, ctx);
}

static void
sni_answered(struct keyd_ask *a, const struct keyd_answer *ans)
{
	struct tls_ctx *c = CONTAINER_OF(a, struct tls_ctx, ask);

	c->asked = false;
	if (ans->status == KEYD_OK)
		c->ctx = ctx_from_answer(c->srv, ans);
	else if (ans->status != KEYD_NONE)
		log_warning("TLS: no certificate for the name %s: %.*s",
		    c->name, SPAN_ARG(ans->text));
	if (c->ctx == NULL)
		c->until_ms = loop_now_ms(c->srv->loop) + SNI_NONE_MS;
	LIST_FOREACH(l, &c->waiting) {
		struct tls *t = LIST_ENTRY(l, struct tls, ask.link);

		ctx_give(t, c);
		tls_continue(t);
	}
}

static void
ask_default(struct tls_server *srv)
{
	keyd_client_ask_cancel(&srv->ask);
	srv->ask.what = (struct keyd_get){
		.files = span_of(srv->set.files),
		.sni_maps = SPAN_EMPTY, .name = SPAN_EMPTY, .client = false,
	};
	srv->ask.fn = default_answered;
}

static void
changed(struct keyd_listener *l)
{
	struct tls_server *srv = CONTAINER_OF(l, struct tls_server, listener);

	LIST_FOREACH(k, &srv->lru) {
		struct tls_ctx *c = LIST_ENTRY(k, struct tls_ctx, link);

		if (!c->asked)
			ctx_free(c);
	}
	ask_default(srv);
	keyd_client_ask(&srv->ask);
}

/* --- the interface ------------------------------------------------------------------------------- */

/* The context and what it stands on. */
static int
set_up(struct tls_server *srv, struct why *why)
{
	const struct tls_settings *s = &srv->set;
	int rc = 0;

	if (tls_digest(s->digest) == NULL)
		rc = why_set(why, "", "smtpd_tls_fingerprint_digest: unknown "
		    "digest \"%s\"", s->digest);
	if (rc < 0 && srv->judge != NULL)
		rc = srv->judge(rc, why);
	if (rc == 0 && (srv->base = make_ctx(srv, why)) == NULL)
		rc = -1;
	if (rc == 0)
		rc = blame(srv, "CAfile", tls_set_cas(srv->base, s->ca_file,
		    "", why), why);
	if (rc == 0)
		rc = blame(srv, "CApath", tls_set_cas(srv->base, "",
		    s->ca_path, why), why);
	if (rc == 0 && s->ca_file[0] != '\0')
		SSL_CTX_set_client_CA_list(srv->base,
		    SSL_load_client_CA_file(s->ca_file));
	return rc;
}

int
tls_server_new(enum tls_service which, bool mandatory, tls_judge_fn *judge,
    struct tls_server **out, struct why *why)
{
	struct tls_server *srv = mem_zalloc(sizeof(*srv));
	enum tls_level level = tls_service_level(which);

	*out = NULL;
	tls_settings_get(which, &srv->set);
	list_init(&srv->waiting);
	list_init(&srv->lru);
	srv->mandatory = mandatory || level == TLS_LEVEL_ENCRYPT;
	if (srv->set.files[0] == '\0' ||
	    (level == TLS_LEVEL_NONE && !mandatory)) {
		if (srv->mandatory)
			log_warning("%s: TLS is required, but no certificate "
			    "is configured", srv->set.name);
		tls_server_free(&srv);
		return 0;
	}
	tls_init();
	srv->judge = judge;
	if (set_up(srv, why) < 0) {
		tls_server_free(&srv);
		return -1;
	}
	/* From here on they are right. */
	srv->judge = NULL;
	*out = srv;
	return 0;
}

void
tls_server_start(struct tls_server *srv, struct loop *l)
{
	char *path;

	if (srv == NULL || srv->loop != NULL)
		return;
	srv->loop = l;
	path = mem_printf("private/%s", conf.keyd_service_name);
	ask_default(srv);
	keyd_client_ask_now(&srv->ask, path);
	srv->listener.changed = changed;
	keyd_client_listen(&srv->listener);
	keyd_client_start(l, path);
	mem_free(path);
}

int
tls_server_use(struct tls_server *srv, struct tls_set *set, struct why *why)
{
	SSL_CTX *ctx = copy_ctx(srv);

	for (size_t i = 0; i < tls_set_count(set); i++) {
		struct buf der = BUF_INIT(KEYD_CERTS_MAX);
		int rc;

		tls_set_der(set, i, &der);
		rc = add_chain(ctx, buf_span(&der), tls_set_key(set, i), 0,
		    why);
		buf_fini(&der);
		if (rc < 0) {
			SSL_CTX_free(ctx);
			return -1;
		}
	}
	keyd_client_own_tickets();
	set_default(srv, ctx);
	return 0;
}

void
tls_server_free(struct tls_server **sp)
{
	struct tls_server *srv = *sp;

	*sp = NULL;
	if (srv == NULL)
		return;
	keyd_client_ask_cancel(&srv->ask);
	list_remove(&srv->listener.link);
	LIST_FOREACH(l, &srv->lru)
		ctx_free(LIST_ENTRY(l, struct tls_ctx, link));
	hash_fini(&srv->names, NULL);
	SSL_CTX_free(srv->def);
	SSL_CTX_free(srv->base);
	mem_free(srv->set.files);
	mem_free(srv);
}

bool
tls_server_ready(const struct tls_server *srv)
{
	return srv != NULL && srv->def != NULL;
}

/* --- connections ------------------------------------------------------------------------------------ */

bool
tls_server_begin(struct tls *t)
{
	struct tls_server *srv = t->server;
	const struct ticket_key *keys;
	int verify = SSL_VERIFY_NONE;

	if (srv->def == NULL) {
		if (!list_linked(&t->waiting))
			list_append(&srv->waiting, &t->waiting);
		return false;
	}
	tls_make_ssl(t, srv->def, true);
	if (srv->set.ask_ccert || t->flags & (TLS_ASK_CERT | TLS_REQUIRE_CERT))
		verify = SSL_VERIFY_PEER | SSL_VERIFY_CLIENT_ONCE;
	if (t->flags & TLS_REQUIRE_CERT)
		verify |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	SSL_set_verify(t->ssl, verify, verify_callback);
	if (keyd_client_tickets(&keys) == 0 || srv->set.session_time == 0) {
		SSL_set_options(t->ssl, SSL_OP_NO_TICKET);
		(void)SSL_set_num_tickets(t->ssl, 0);
	}
	return true;
}

void
tls_server_judge(struct tls *t)
{
	X509 *cert = SSL_get0_peer_certificate(t->ssl);
	long rc = SSL_get_verify_result(t->ssl);

	tls_facts_collect(t, t->server->set.digest,
	    cert == NULL ? TLS_ANONYMOUS :
	    rc == X509_V_OK ? TLS_TRUSTED : TLS_UNTRUSTED,
	    cert == NULL || rc == X509_V_OK ? "" :
	    X509_verify_cert_error_string(rc));
}

void
tls_server_forget(struct tls *t)
{
	list_remove(&t->ask.link);
	SSL_CTX_free(t->ask.ctx);
}

size_t
tls_start(struct stream *s, struct tls_server *srv, unsigned flags,
    const char *alpn, int64_t timeout_ms, tls_done_fn *done, void *arg)
{
	struct tls *t = mem_zalloc(sizeof(*t));

	t->server = srv;
	t->flags = flags;
	t->alpn = alpn != NULL ? mem_strdup(alpn) : NULL;
	return tls_attach(t, s, timeout_ms, done, arg);
}
