/* SPDX-License-Identifier: ISC */
/*
 * smtp.h - private to the SMTP and LMTP client.
 *
 * A delivery (delivery.c) is one message for recipients with one next hop.
 * It looks for peers (lookup.c), connects to one after the other (connect.c),
 * and has a session (session.c, transaction.c, body.c) with each that answers, until
 * no recipient is left to be tried.  Sessions outlive deliveries: idle ones
 * wait in cache.c for more mail of the same key.
 *
 * A recipient is answered for exactly once, by delivery_rcpt_done(); one that
 * is not answered for when the last peer has been tried is deferred.
 */
#ifndef SMTP_SMTP_H
#define SMTP_SMTP_H

#include "base/arena.h"
#include "base/array.h"
#include "base/list.h"
#include "base/why.h"
#include "dns/dns_client.h"
#include "io/loop.h"
#include "io/sock.h"
#include "io/stream.h"
#include "ipc/msg_deliver.h"
#include "queue/envelope.h"
#include "route/nexthop.h"
#include "smtp/alter.h"
#include "smtp/content.h"
#include "smtp/gate.h"
#include "smtp/generic.h"
#include "smtp/peers.h"
#include "smtp/policy.h"
#include "smtp/reply.h"
#include "smtp/report.h"
#include "smtp/sts.h"
#include "smtp/tables.h"
#include "tls/tls.h"

/* --- settings.c: smtp_... or lmtp_... ------------------------------------------- */

struct settings {
	bool		 lmtp;
	const char	*proto;		/* "smtp", "lmtp": also the tag of log lines */
	int64_t		 connect_ms, helo_ms, mail_ms, rcpt_ms, data_init_ms,
			 data_xfer_ms, data_done_ms, rset_ms, quit_ms,
			 starttls_ms;
	int64_t		 mx_address_limit, mx_session_limit;
	int64_t		 cache_ms, reuse_ms, reuse_count;
	int64_t		 line_limit;
	bool		 randomize, balance, skip_5xx_greeting, skip_quit,
			 defer_no_mx_address, cache_on_demand;
	int		 family;	/* preferred: AF_UNSPEC, AF_INET, AF_INET6 */
	bool		 v4, v6;	/* inet_protocols */
	struct sock_addr bind4, bind6;	/* len 0: any */
	bool		 bind_enforce;	/* not from another address instead */
	uint16_t	 port;
	const char	*port_name;	/* as in the setting; "" for a number */
	/* What becomes of messages and answers: opened before the jail. */
	struct alter_checks checks;
	bool		 alters;	/* there are checks */
	const char	*generic_maps;
	bool		 generic_propagate;
	struct maps	*reply_filter, *status_filter, *dns_filter;
	const char	*helo_name, *fallback_relay, *cache_destinations;
	unsigned	 discard;	/* FEATURE_... overlooked */
	struct maps	*discard_maps;	/* or what these say of an address */
	/* For firewalls that break SMTP: quirks.c. */
	int64_t		 pix_threshold_ms, pix_delay_ms;
	const char	*pix_workarounds;
	struct maps	*pix_maps;
	bool		 xforward;
	int64_t		 xforward_ms;
	unsigned	 lookup_flags;	/* RESOLVER_USE_HOSTS ... for hosts */
	/* TLS */
	struct tls_client *tls;
	enum tls_level	 tls_level;
	int64_t		 tls_loglevel, tls_handshakes;
	bool		 tls_wrapper, note_offer;
	const char	*tls_policy_maps, *tls_fingerprints, *tls_verify_match,
			*tls_secure_match, *tls_servername;
	/* SASL */
	bool		 sasl, sasl_soft_bounce, sasl_by_sender, sasl_dummy;
	const char	*sasl_maps, *sasl_filter, *sasl_options,
			*sasl_tls_options;
};
extern struct settings set;
MUST_CHECK int settings_load(bool lmtp, struct why *why);
/* Tables that are looked up in the jail. */
MUST_CHECK int settings_tables(bool lmtp, struct why *why);
/* set.tls: reads the files of CAs, before the jail. */
MUST_CHECK int settings_tls(bool lmtp, struct why *why);

/* --- agent.c: qmgr ---------------------------------------------------------------- */

void	 agent_accept(int fd, const struct sock_addr *peer, int index);
void	 agent_retire(void);
struct agent;
/* The delivery is over: it is freed by this. */
struct delivery;
void	 agent_delivery_over(struct delivery *d);
void	 agent_status(struct delivery *d, const struct deliver_status *st);

/* --- delivery.c ---------------------------------------------------------------------- */

/* Bytes of a message: a descriptor that several deliveries may share. */
struct source {
	int		 fd;
	unsigned	 refs;
};

enum target_state { T_TODO, T_DONE };

struct target {
	uint8_t		 state;		/* enum target_state */
	bool		 accepted;	/* in the transaction under way */
	bool		 notify_passed;	/* the peer sends the notices */
};

struct session;
struct attempt;
struct lookup;

struct delivery {
	struct list	 link;		/* agent->deliveries */
	struct agent	*agent;
	uint32_t	 tag;
	struct arena	 arena;
	struct envelope	 env;		/* points into arena */
	struct source	*source;
	uint64_t	 offset, len;	/* of the content */
	char		*nexthop;	/* as qmgr said it */
	int64_t		 active_us;	/* wall clock */
	struct target	*targets;	/* beside env.rcpts */
	size_t		 ntodo;
	/* Where to: the next hops, then the fallback relays. */
	ARRAY(char *)	 hops;
	size_t		 nprimary;	/* of hops; the rest are fallbacks */
	size_t		 at;		/* hops[at] is being tried */
	struct hop	 hop;
	char		*key;		/* of sessions that fit */
	struct table_query *table;	/* of the policy */
	struct policy	 policy;	/* of the next hop */
	struct generic	*generic;	/* NULL: no generic maps */
	bool		 by_table;	/* policy is the administrator's */
	struct sts_query *sts_query;
	struct sts	*sts;		/* of the next hop; or NULL */
	struct lookup	*lookup;
	struct peers	 peers;
	size_t		 next_peer;
	int64_t		 sessions;	/* hosts that were talked to */
	struct list	 attempts;	/* connects under way, connect.c */
	struct loop_timer *race;
	struct session	*session;
	/* The last thing that went wrong with all that are left. */
	struct why	 why;
	bool		 why_loop;	/* mail loops back to myself */
	bool		 no_host;	/* no host was reached: the site is down */
	const char	*relay;		/* for the log; "": none */
	/* Times for the log, wall clock: agent, connected, transaction. */
	int64_t		 began_us, ready_us;
	struct loop_defer step;
	/* What the message needs, once it has been looked at. */
	struct content_facts facts;
	bool		 facts_known;
};

void	 delivery_start(struct delivery *d);
/* Look for the hosts of the present next hop anew. */
void	 delivery_restart(struct delivery *d);
/* Go on with the next peer, next hop, or the end: at the end of the turn. */
void	 delivery_next(struct delivery *d);
void	 delivery_free(struct delivery *d);
/* Answer for recipient i. */
void	 delivery_rcpt_done(struct delivery *d, size_t i,
	    enum deliver_outcome o, const char *dsn, const char *text,
	    const char *action);
/* Answer for all that are left, by the class of why's code. */
void	 delivery_all_done(struct delivery *d, const struct why *why);
/*
 * Something is wrong with this host.  Temporary, and there are others to try:
 * remember it, and the recipients stay.  Otherwise answer for all of them.
 */
void	 delivery_host_failed(struct delivery *d, const struct why *why,
	    bool site_down);
/* Whether this was the last that could be tried. */
bool	 delivery_final(const struct delivery *d);
/* RFC 8689: it must not go out unless it is secured (a bounce may). */
bool	 delivery_requires_tls(const struct delivery *d);
/* Where the message is; -1 with why when it cannot be read. */
MUST_CHECK int delivery_facts(struct delivery *d, struct why *why);

/* --- lookup.c: the peers of a next hop --------------------------------------------------- */

/* why's code "" on success.  loop: the best mail exchanger is this machine. */
typedef void lookup_fn(void *arg, struct peers *peers, const struct why *why,
	    bool loop);
extern struct dns_client *dns;
struct lookup *lookup_start(const struct hop *hop, lookup_fn *fn, void *arg);
void	 lookup_cancel(struct lookup **l);
/* Whether SRV records come before MX records there (use_srv_lookup). */
bool	 lookup_by_srv(const struct hop *hop);

/* --- connect.c ------------------------------------------------------------------------------ */

/* Try d->peers from d->next_peer on; delivery_next() or a session follows. */
void	 connect_start(struct delivery *d);
void	 connect_cancel(struct delivery *d);

/* --- session.c --------------------------------------------------------------------------------- */

enum {					/* what the peer has said it can */
	FEATURE_ESMTP		= 1 << 0,
	FEATURE_PIPELINING	= 1 << 1,
	FEATURE_8BITMIME	= 1 << 2,
	FEATURE_SIZE		= 1 << 3,
	FEATURE_DSN		= 1 << 4,
	FEATURE_STARTTLS	= 1 << 5,
	FEATURE_AUTH		= 1 << 6,
	FEATURE_SMTPUTF8	= 1 << 7,
	FEATURE_ENHANCED	= 1 << 8,
	FEATURE_REQUIRETLS	= 1 << 9,
	FEATURE_CHUNKING	= 1 << 10,
	FEATURE_XFORWARD	= 1 << 11,
};

enum {					/* workarounds in use */
	PIX_DISABLE_ESMTP	= 1 << 0,
	PIX_DELAY_DOTCRLF	= 1 << 1,
};

enum session_state {
	S_GREETING, S_EHLO, S_HELO, S_TLSA, S_STARTTLS, S_TLS,
	S_SECRET,		/* the password is being looked up */
	S_AUTH, S_READY,
	S_ENVELOPE,		/* MAIL, RCPT, DATA */
	S_BODY,			/* the message goes out */
	S_DOT,			/* its end has gone out */
	S_RSET, S_IDLE, S_QUIT
};

struct session {
	struct list	 link;		/* all sessions */
	struct list	 idle;		/* cache.c */
	struct stream	*stream;
	enum session_state state;
	struct delivery	*d;		/* NULL: idle */
	char		*key;
	char		*where;		/* "host[addr]:port": as relay in logs */
	char		*said;		/* "host[addr]": in "host ... said:" */
	struct reply	 reply;
	unsigned	 features;
	unsigned	 discard;	/* features that are overlooked */
	unsigned	 xforward;	/* XFORWARD_... that it takes */
	uint64_t	 size_limit;	/* SIZE; 0 unknown */
	unsigned	 pix;		/* PIX_... */
	bool		 plain_greeting; /* it does not say ESMTP */
	struct loop_timer *pix_timer;
	int64_t		 born_ms;
	int64_t		 used;		/* transactions */
	struct loop_timer *idle_timer;
	/* TLS: starttls.c */
	char		*host, *target;	/* as in struct peer */
	struct sock_addr addr;
	bool		 host_secure, no_tls;
	size_t		 peer_index;	/* in d->peers, at the beginning */
	enum tls_level	 level;
	struct sts	*sts;		/* what the next hop demands, or NULL */
	bool		 by_sts;	/* level is what sts demands */
	bool		 by_message;	/* level is what the message demands */
	bool		 wrapper, tls;
	struct gate_pass pass;		/* of the handshake */
	struct dns_query *tlsa_query;
	struct tls_tlsa	*tlsa;
	size_t		 ntlsa;
	const char	*tlsa_base;	/* target, or "": not asked */
	/* SASL: auth.c */
	char		*mechs;		/* as offered; NULL: none */
	struct sasl_client *sasl;
	bool		 logged_in;
	struct table_query *secret;
	/* The transaction. */
	bool		 mail_sent, mail_ok, mail_failed, data_sent;
	unsigned	 xforward_replies;	/* that are still to come */
	size_t		 next_send;	/* recipients */
	size_t		 next_reply;
	size_t		 accepted;
	size_t		 lmtp_reply;	/* LMTP: whose final reply comes */
	bool		 abort_data;	/* no recipient left: end it empty */
	bool		 spent;		/* no further message */
	bool		 self;		/* it has our own name */
	struct content	*content;
	unsigned	 chunks;	/* BDATs without an answer */
};

/* p is number index of d->peers. */
void	 session_start(struct delivery *d, int fd, const struct peer *p,
	    size_t index);
/* An idle session gets a delivery. */
void	 session_reuse(struct session *s, struct delivery *d);
/* The delivery is given up by its owner. */
void	 session_detach(struct session *s);
/* QUIT, politely or not, and free. */
void	 session_quit(struct session *s);
void	 session_drop(struct session *s);
/* In the middle of a message: the end without QUIT, and the next peer. */
void	 session_abandon(struct session *s);
void	 session_set_state(struct session *s, enum session_state to);
/* "lost connection with ... while ..." and so on: the session is over. */
void	 session_failed(struct session *s, const struct why *why);
const char *session_doing(const struct session *s);
void	 session_on_reply(struct session *s);
/* Say EHLO, at the beginning or after the TLS handshake. */
void	 session_ehlo(struct session *s);
/* TLS is there, or is not needed: on to AUTH. */
void	 session_secured(struct session *s);
/* On to the message. */
void	 session_ready(struct session *s);
size_t	 session_count(void);

/* --- quirks.c --------------------------------------------------------------------------------------- */

/* FEATURE_... for the words of smtp_discard_ehlo_keywords. */
unsigned quirks_features(struct span words);
/* 0, or -1 with why: a word of smtp_pix_workarounds is none. */
MUST_CHECK int quirks_check(struct why *why);
/* What is overlooked of this peer's answer to EHLO. */
unsigned quirks_discard(const struct session *s);
/* The greeting is there: is this a firewall, and what about it? */
void	 quirks_greeting(struct session *s);

/* --- xforward.c ------------------------------------------------------------------------------------- */

/* "XFORWARD NAME ADDR ...": what the peer takes. */
void	 xforward_offered(struct session *s, struct span words);
/* Say where the message came from; how many replies will come. */
unsigned xforward_send(struct session *s);
/* A reply to it. */
void	 xforward_reply(struct session *s);

/* --- starttls.c ------------------------------------------------------------------------------------ */

/* False with why: no session could be made with its attributes. */
bool	 starttls_policy_works(const struct policy *p, struct why *why);
/* EHLO is answered: what about TLS? */
void	 starttls_decide(struct session *s);
void	 starttls_reply(struct session *s);	/* to STARTTLS */
void	 starttls_begin(struct session *s);	/* the handshake */
void	 starttls_fini(struct session *s);

/* --- auth.c ------------------------------------------------------------------------------------------ */

/* Authenticate if there is a password for this host; session_ready() or a
 * failure follows. */
void	 auth_start(struct session *s);
void	 auth_reply(struct session *s);
void	 auth_fini(struct session *s);

/* --- transaction.c ------------------------------------------------------------------------------- */

void	 transaction_start(struct session *s);
void	 transaction_reply(struct session *s);
/* For body.c. */
/* What the server said, as the reason of a failure. */
void	 transaction_why(const struct session *s, const char *command,
	    struct why *why);
/* All recipients that are left share this fate; temporary: the next host. */
void	 transaction_failed(struct session *s, const struct why *why);
void	 transaction_rcpt_failed(struct session *s, size_t i,
	    const struct why *why);
/* The session is well and has no transaction; the delivery goes on alone. */
void	 transaction_finish(struct session *s, bool need_rset);

/* --- body.c ---------------------------------------------------------------------------------------- */

/* Whether the message goes by BDAT and not by DATA. */
bool	 body_chunked(const struct session *s);
/* The server waits for the message. */
void	 body_begin(struct session *s);
void	 body_reply(struct session *s);
/* There is room for more of it. */
void	 body_pump(struct session *s);

/* --- cache.c --------------------------------------------------------------------------------------- */

/* An idle session for this key, taken out of the cache; or NULL. */
struct session *cache_take(const char *key);
/* Keep the session for more, or QUIT. */
void	 cache_put(struct session *s);
void	 cache_remove(struct session *s);
void	 cache_drain(void);
/* Deliveries under way with this key. */
void	 cache_count(const char *key, int delta);

#endif
