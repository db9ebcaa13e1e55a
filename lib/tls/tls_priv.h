/* SPDX-License-Identifier: ISC */
/*
 * tls_priv - what the files of this folder share.
 *
 *	conn.c		one connection: handshake, records, the stream's layer
 *	server.c	contexts of servers, SNI, tickets
 *	client.c	contexts of clients, policies, resumption
 *	facts.c		what is known about a connection
 *	settings.c	names of levels, protocols, ciphers; inheritance
 *	chain.c		certificate chains and their keys, from files
 *	sign.c		signatures with those keys
 *	named.c		which of them the configuration names
 *	remote_key.c	keys that are elsewhere, as an OpenSSL provider
 *	keyd_client.c	the conversation with keyd
 */
#ifndef TLS_TLS_PRIV_H
#define TLS_TLS_PRIV_H

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "base/array.h"
#include "base/list.h"
#include "tls/settings.h"
#include "tls/tls.h"

/* --- one connection --------------------------------------------------------- */

enum tls_state {
	TLS_HANDSHAKE,
	TLS_SECURE,		/* application data */
	TLS_OVER		/* failed, or the peer broke the rules */
};

/* A signature that is asked for in the middle of a handshake. */
struct key_op {
	enum { OP_NONE, OP_WANTED, OP_SENT, OP_DONE } state;
	struct list	 link;		/* of those sent: keyd_client.c */
	uint32_t	 tag;
	uint64_t	 key_id;
	uint32_t	 scheme;	/* RFC 8446 4.2.3 */
	struct span	 tbs;		/* OpenSSL's memory */
	bool		 ok;
	struct buf	 sig;
	struct tls	*tls;
};

/* A certificate looked up by name: server.c. */
struct sni_ask {
	enum { SNI_NONE, SNI_ASKED, SNI_DONE } state;
	struct list	 link;
	SSL_CTX		*ctx;		/* the answer; NULL: the default */
};

struct tls {
	struct stream		*stream;
	SSL			*ssl;		/* NULL until there is a context */
	enum tls_state		 state;
	struct tls_server	*server;	/* one of the two */
	struct tls_client	*client;
	unsigned		 flags;		/* TLS_KEEP_INPUT ... */
	char			*alpn;		/* ours, or NULL */

	struct span		 src;		/* what SSL reads from now */
	struct buf		 held;		/* taken over, not read yet */
	size_t			 hello_bytes;	/* of the handshake so far */

	const struct stream_ops	*owner_ops;
	void			*owner_arg;
	tls_done_fn		*done;
	void			*done_arg;
	struct loop_defer	 notify;
	struct list		 waiting;	/* for certificates */

	struct key_op		 op;
	struct sni_ask		 ask;
	struct tls_check	*check;		/* clients: the policy's demands */

	bool			 truncated;
	bool			 renegotiated;	/* the peer tried */
	struct why		*why;		/* of the failure: tls_why() */
	struct tls_facts	 facts;
};

extern const struct stream_layer tls_layer;

/*
 * Put a new connection under s, with the state to handshake; the caller has
 * set what is its own in *t (zeroed before).  Returns the plain bytes dropped.
 */
size_t	 tls_attach(struct tls *t, struct stream *s, int64_t timeout_ms,
	    tls_done_fn *done, void *arg);
/* Give t its SSL, in the role given. */
void	 tls_make_ssl(struct tls *t, SSL_CTX *ctx, bool server);
/* Where to say what went wrong; made when it is needed. */
struct why *tls_why(struct tls *t);
/* What t was waiting for has come: go on at the end of this turn. */
void	 tls_continue(struct tls *t);
struct tls *tls_from_ssl(const SSL *ssl);
/* The text of OpenSSL's first queued error, which is taken off. */
void	 tls_openssl_why(struct why *why, const char *what);
/* The library, our provider and the thread's jobs, once a process. */
void	 tls_init(void);

/* --- sides ------------------------------------------------------------------------ */

/* server.c: make the SSL when there is a context; false: wait for it. */
bool	 tls_server_begin(struct tls *t);
void	 tls_server_judge(struct tls *t);
void	 tls_server_forget(struct tls *t);	/* t is being freed */
/* client.c: is the peer what the policy asks for?  -1 with t->why. */
MUST_CHECK int tls_client_judge(struct tls *t);
void	 tls_client_forget(struct tls *t);
/* facts.c: "AA:BB:...", to mem_free(). */
char	*tls_cert_fingerprint(X509 *cert, const EVP_MD *md);
char	*tls_pkey_fingerprint(X509 *cert, const EVP_MD *md);
/* After the handshake. */
void	 tls_facts_collect(struct tls *t, const char *digest,
	    enum tls_trust trust, const char *trust_text);
void	 tls_facts_fini(struct tls *t);

/* --- settings.c ---------------------------------------------------------------------- */

/* Apply to a context; -1 with why naming the parameter's value. */
MUST_CHECK int tls_set_protocols(SSL_CTX *ctx, const char *value,
	    struct why *why);
/* grade: "high", "medium"; exclude: names to leave out. */
MUST_CHECK int tls_set_ciphers(SSL_CTX *ctx, const char *grade,
	    const char *exclude, struct why *why);
/* The same for one connection. */
MUST_CHECK int tls_ssl_protocols(SSL *ssl, const char *value,
	    struct why *why);
MUST_CHECK int tls_ssl_ciphers(SSL *ssl, const char *grade,
	    const char *exclude, struct why *why);
/* Groups, options, memory: the same for all contexts. */
MUST_CHECK int tls_set_common(SSL_CTX *ctx, struct why *why);
/* Why a file of certificates could not be loaded, from OpenSSL's queue and
 * the file itself: -1. */
int	 tls_cas_why(const char *file, struct why *why);
MUST_CHECK int tls_set_cas(SSL_CTX *ctx, const char *file, const char *path,
	    struct why *why);
const EVP_MD *tls_digest(const char *name);	/* or NULL */

/* --- chain.c ---------------------------------------------------------------------------- */

struct tls_set;
/* Belongs to the set. */
EVP_PKEY *tls_set_key(const struct tls_set *set, size_t i);

/* --- sign.c ----------------------------------------------------------------------------- */

struct tls_signer;
struct tls_signer *tls_signer_new(EVP_PKEY *key);
void	 tls_signer_free(struct tls_signer **gp);
/* As tls_set_sign(). */
MUST_CHECK int tls_signer_sign(struct tls_signer *g, uint32_t scheme,
	    struct span tbs, struct buf *sig);

/* --- certs.c ---------------------------------------------------------------------------- */

struct tls_certs {
	X509		*leaf;
	STACK_OF(X509)	*rest;
	EVP_PKEY	*key;
};
/*
 * From DER, leaf first.  key: the private key, or NULL for the one that keyd
 * has under key_id.  -1 with why, c is empty then.
 */
MUST_CHECK int tls_certs_parse(struct tls_certs *c, struct span der,
	    EVP_PKEY *key, uint64_t key_id, struct why *why);
void	 tls_certs_fini(struct tls_certs *c);

/* --- remote_key.c ----------------------------------------------------------------------- */

/* A key whose public half is that of cert and whose private half has key_id
 * at keyd.  NULL: of no kind that we know. */
EVP_PKEY *tls_remote_key(X509 *cert, uint64_t key_id);
int	 tls_remote_key_init(void);
/* conn.c: called by the provider, in a job.  0 or -1. */
MUST_CHECK int tls_sign(uint64_t key_id, uint32_t scheme, struct span tbs,
	    struct buf *sig);

#endif
