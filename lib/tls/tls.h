/* SPDX-License-Identifier: ISC */
/*
 * tls - TLS on a stream, for servers and clients.
 *
 * A daemon has one tls_server for each kind of service it offers, made before
 * the jail (it reads CA files, and a context costs milliseconds):
 *
 *	pre_jail()	tls_server_new(TLS_IMAPD, false, &srv, why);
 *	start()		tls_server_start(srv, daemon_loop());
 *	a client	tls_start(stream, srv, 0, timeout_ms, done, session);
 *
 * Certificates and ticket keys come from keyd (ipc/msg_keyd.h), which also
 * makes the signatures: no private key is ever in the process.  The stream
 * stays what it is: its owner reads and writes plain text, and TLS lives in
 * the stream's layer (io/stream.h).
 *
 * Handshakes.  From tls_start() until done() is called, on_read, on_drain and
 * on_end of the stream are not called.  done() comes once, always from the
 * loop, unless the stream is freed before.  After a failure the stream can
 * only be freed or finished (an alert is on its way, nothing else is ever
 * sent in the clear).  What the peer sent in plain text before its ClientHello
 * is dropped by tls_start(), which says how much it was: that is an attempt
 * to inject commands (RFC 3207 6, CVE-2011-0411).
 *
 * End.  stream_finish() sends close_notify before it closes.  Input that ends
 * without the peer's close_notify is STREAM_EOF like any other: mail protocols
 * know their own ends (tls_truncated() tells).
 *
 * Renegotiation and TLS compression do not exist here.  Limits: a handshake
 * may take TLS_HELLO_MAX bytes from the peer, a certificate chain
 * TLS_CHAIN_MAX.  An idle session costs about 15 KiB.
 */
#ifndef TLS_TLS_H
#define TLS_TLS_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"
#include "base/why.h"
#include "io/loop.h"
#include "io/stream.h"

#define TLS_NAME_MAX		255	/* SNI, a DNS name */
#define TLS_FINGERPRINT_MAX	200	/* "AA:BB:...", sha512 */
#define TLS_SUBJECT_MAX		256	/* CN and the like in the facts */
#define TLS_HELLO_MAX		(128 * 1024)
#define TLS_CHAIN_MAX		(100 * 1024)
#define TLS_BINDING_MAX		64	/* bytes of channel binding */

struct tls;		/* one connection; lives and dies with its stream */
struct tls_server;
struct tls_client;

/* Levels of security, as in Postfix; a server knows the first three. */
enum tls_level {
	TLS_LEVEL_NONE,
	TLS_LEVEL_MAY,
	TLS_LEVEL_ENCRYPT,
	TLS_LEVEL_DANE,		/* encrypt where TLSA records are unusable */
	TLS_LEVEL_DANE_ONLY,
	TLS_LEVEL_FINGERPRINT,
	TLS_LEVEL_VERIFY,
	TLS_LEVEL_SECURE,
	TLS_LEVEL_INVALID = -1
};
/* "none", "may", ... or TLS_LEVEL_INVALID. */
enum tls_level tls_level_parse(struct span name);
const char *tls_level_name(enum tls_level l);

/*
 * done: fail is NULL when the connection is secured; otherwise it says why
 * not, and *s can only be freed.
 */
typedef void tls_done_fn(void *arg, struct stream *s, struct tls *t,
	    const struct why *fail);

/* --- servers ---------------------------------------------------------------- */

/* Whose settings: smtpd_tls_*, imapd_tls_* and so on; what is not set there
 * comes from mua_tls_* and then from smtpd_tls_* (params.def). */
enum tls_service {
	TLS_SMTPD, TLS_LMTPD, TLS_IMAPD, TLS_POP3D, TLS_SERVICE_COUNT
};

/* What is to come of a wrong setting (rc -1, why): -1 ends there; 0, after it
 * was said somewhere, and the next are looked at too. */
typedef int tls_judge_fn(int rc, struct why *why);

/*
 * Read the settings and make the context; *out is NULL, with success, when
 * the level is none or no certificate is configured (with a warning when the
 * level is encrypt).  mandatory: every session of this process is to be as
 * good as encrypt says (implicit TLS), whatever the level.  Call it in
 * pre_jail(), and in check().  -1 with why, which begins with the name of the
 * parameter that is wrong; judge, unless NULL, is asked before that.
 */
MUST_CHECK int tls_server_new(enum tls_service which, bool mandatory,
	    tls_judge_fn *judge, struct tls_server **out, struct why *why);
/*
 * In start(): ask keyd for the certificates, waiting for them a moment, and
 * keep up with their changes.  srv may be NULL.  Without keyd the server is
 * not ready; it becomes so when keyd answers.
 */
void	 tls_server_start(struct tls_server *srv, struct loop *l);
void	 tls_server_free(struct tls_server **sp);
/* Whether there are certificates, so that STARTTLS can be offered.  False for
 * NULL.  Not ready but configured: answer 454 4.7.0. */
bool	 tls_server_ready(const struct tls_server *srv);
/* The service's security level, also when there is no server because no
 * certificate is configured.  Empty settings mean may with a certificate. */
enum tls_level tls_service_level(enum tls_service which);

enum {
	/* The input that was not consumed yet is the beginning of the
	 * handshake: implicit TLS behind a PROXY header, nothing else. */
	TLS_KEEP_INPUT	= 1 << 0,
	/* Ask for a client certificate (*_tls_ask_ccert does too), and fail
	 * without one; whether it is trusted is in the facts. */
	TLS_ASK_CERT	= 1 << 1,
	TLS_REQUIRE_CERT = 1 << 2,
};
/*
 * Begin the handshake as server.  Output written before (the reply to
 * STARTTLS) goes out in the clear first.  alpn, or NULL: the protocol we are
 * ("imap", "pop3"), agreed on with a client that offers it (RFC 7301); others
 * go on without.  Returns how many bytes of plain input were dropped: more than
 * 0 should end the session.
 */
size_t	 tls_start(struct stream *s, struct tls_server *srv, unsigned flags,
	    const char *alpn, int64_t timeout_ms, tls_done_fn *done,
	    void *arg);

/* --- what is known about a connection ------------------------------------------ */

enum tls_trust {
	TLS_ANONYMOUS,		/* the peer showed no certificate */
	TLS_UNTRUSTED,		/* a certificate we cannot trace to a CA */
	TLS_TRUSTED,		/* of a known CA; no name was asked for */
	TLS_VERIFIED		/* and the name, fingerprint or TLSA matched */
};

/* Why a certificate did not do. */
enum tls_problem {
	TLS_PROBLEM_NONE,	/* it did, or there was none */
	TLS_PROBLEM_NAME,
	TLS_PROBLEM_EXPIRED,
	TLS_PROBLEM_UNTRUSTED	/* its chain, or no TLSA record matches */
};

/* Strings are never NULL and live as long as the struct tls. */
struct tls_facts {
	const char	*protocol;	/* "TLSv1.3" */
	const char	*cipher;	/* "TLS_AES_256_GCM_SHA384" */
	int		 bits, alg_bits;
	const char	*kex;		/* "X25519", "ECDHE" ...; or "" */
	const char	*server_sig;	/* "ECDSA (prime256v1)", or "" */
	const char	*server_md;	/* "SHA256", or "" */
	const char	*client_sig, *client_md;
	const char	*sni;		/* asked for, lower case; or "" */
	const char	*alpn;		/* agreed on; or "" */
	bool		 resumed;
	/* The peer's certificate; "" without one.  Unprintable bytes are
	 * replaced. */
	enum tls_trust	 trust;
	enum tls_problem problem;	/* of a client, also after a failure */
	const char	*peer_cn;	/* common name, or first DNS name */
	const char	*issuer_cn;
	const char	*peer_email;	/* first rfc822Name that is trusted, "" */
	const char	*cert_fingerprint;	/* smtp(d)_tls_fingerprint_digest */
	const char	*pkey_fingerprint;	/* of the public key */
	const char	*trust_text;	/* why it is not trusted, or "" */
};
/* The stream's TLS, or NULL when it is (still) plain. */
struct tls *tls_of(const struct stream *s);
const struct tls_facts *tls_facts(const struct tls *t);
/* Nobody needs the facts' strings any more: they are empty from now on. */
void	 tls_facts_forget(struct tls *t);
/* "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange
 * X25519 server-signature ...": for the log and Received. */
void	 tls_describe(const struct tls *t, struct buf *out);
/* "Anonymous", "Untrusted", "Trusted", "Verified": Postfix's log lines. */
const char *tls_trust_name(enum tls_trust trust);
/* The peer ended without close_notify. */
bool	 tls_truncated(const struct tls *t);

enum tls_binding {
	TLS_BINDING_EXPORTER,		/* "tls-exporter", RFC 9266 */
	TLS_BINDING_SERVER_END_POINT	/* "tls-server-end-point", RFC 5929 */
};
/*
 * The channel binding's bytes.  0 or -1: it is not defined for this
 * connection (exporter: TLS 1.2 without extended master secret).
 */
MUST_CHECK int tls_binding(const struct tls *t, enum tls_binding kind,
	    unsigned char out[TLS_BINDING_MAX], size_t *len);
/* "tls-exporter", "tls-server-end-point". */
const char *tls_binding_name(enum tls_binding kind);

/* --- clients ---------------------------------------------------------------------- */

/* Settings common to all connections of a process. */
struct tls_client_conf {
	const char	*prefix;	/* "smtp" for log and errors */
	const char	*ca_file, *ca_path;	/* "" without */
	const char	*protocols, *ciphers;	/* level may */
	const char	*mandatory_protocols, *mandatory_ciphers;
	const char	*exclude_ciphers, *mandatory_exclude_ciphers;
	const char	*fingerprint_digest;	/* "sha256" */
	/* Files of certificates that a policy can choose (tls_policy.anchors)
	 * in the place of all authorities. */
	const char	*anchor_files;
	/* Certificates to show to servers that ask, of keyd; copied.  ""
	 * none. */
	const char	*files;
	int64_t		 session_time;	/* s; how long to try to resume */
	size_t		 session_max;	/* sessions kept */
	tls_judge_fn	*judge;		/* NULL: the first ends it */
};
/* Reads the CA file: before the jail.  NULL with why. */
struct tls_client *tls_client_new(const struct tls_client_conf *set,
	    struct why *why);
/*
 * In start(), where files are named: get the certificates from keyd, waiting
 * for them a moment, and keep up with their changes.  While there are none
 * handshakes fail: a server that wants one would refuse for good.
 */
void	 tls_client_start(struct tls_client *c, struct loop *l);
void	 tls_client_free(struct tls_client **c);

struct tls_tlsa {			/* RFC 6698 2.1 */
	uint8_t		 usage, selector, mtype;
	struct span	 data;
};

/* One connection's demands.  All is copied. */
struct tls_policy {
	enum tls_level	 level;
	struct span	 sni;		/* "" none */
	/* verify, secure: "mx.example.org", ".example.org" (any below it).
	 * dane: the names for usage 0-2: base domain, CNAME target. */
	const struct span *match;
	size_t		 nmatch;
	/* fingerprint: of certificate or public key, "AA:BB:..". */
	const struct span *fingerprints;
	size_t		 nfingerprints;
	const struct tls_tlsa *tlsa;	/* dane: all that were secure */
	size_t		 ntlsa;
	/* Sessions are resumed only under the same key: next hop, host,
	 * port, and level are a good one.  "": no resumption. */
	struct span	 session_key;
	const char	*alpn;		/* or NULL */
	const char	*protocols, *ciphers;	/* or NULL: the client's */
	const char	*exclude;	/* ciphers; NULL: the client's */
	const char	*anchors;	/* one of anchor_files, or NULL */
};
/* Whether a policy's lists and anchors can be used: 0, or -1 with why. */
MUST_CHECK int tls_client_accepts(struct tls_client *c,
	    const struct tls_policy *p, struct why *why);
/*
 * Begin the handshake as client.  The level decides what makes it fail:
 * above encrypt, a peer that does not satisfy it (4.7.5 in why); with may and
 * encrypt the facts say what was seen.  Returns as tls_start().
 */
size_t	 tls_connect(struct stream *s, struct tls_client *c,
	    const struct tls_policy *p, int64_t timeout_ms, tls_done_fn *done,
	    void *arg);

#endif
