/* SPDX-License-Identifier: ISC */
/*
 * smtpd - the session of one client, private to this folder.
 *
 *	session.c	the life of a connection, and what it waits for
 *	arrive.c	who comes, to the greeting
 *	peername.c	the client's name
 *	command.c	the command table, the dispatcher, the short commands
 *	cmd_mail.c	MAIL and RCPT	cmd_data.c	DATA and BDAT
 *	cmd_auth.c	AUTH		cmd_xclient.c	XCLIENT, XFORWARD
 *	cmd_starttls.c	STARTTLS, implicit TLS
 *	reply.c		replies, error counting, delays; footer.c, their footers
 *	rules.c plan.c	restrictions, compiled; policy.c, evaluated
 *	ask.c		what they ask; service.c, of policy services
 *	access.c	access(5): search keys and results
 *	names.c dnsbl.c servers.c	restrictions that ask the DNS
 *	login.c		who may use which sender address
 *	lookup.c	the client of rewrite, with its cache
 *	submit.c	the client of cleanup
 *	limits.c	what one client may do in this process
 *	parse.c scan.c proxy.c	bytes to structs, no I/O
 *
 * A session does one thing at a time.  When it must wait (for a look-up, for
 * cleanup, for a delay) session_wait() stops its input; what the client has
 * pipelined stays in the stream.  session_wake() goes on.
 */
#ifndef SMTPD_SMTPD_H
#define SMTPD_SMTPD_H

#include "base/arena.h"
#include "base/array.h"
#include "base/buf.h"
#include "base/list.h"
#include "base/span.h"
#include "base/why.h"
#include "io/loop.h"
#include "io/sock.h"
#include "io/stream.h"
#include "ipc/msg_cleanup.h"
#include "ipc/msg_quota.h"
#include "ipc/msg_rewrite.h"
#include "queue/envelope.h"
#include "smtpd/parse.h"
#include "smtpd/scan.h"

/* --- the process --------------------------------------------------------- */

/* Set by main() of smtpd (false) and lmtpd (true), never changed. */
extern bool smtpd_lmtp;

/* What a client may send ahead while it waits for us. */
#define SMTPD_IN_MAX	(64 * 1024)
/* Replies beyond this make us wait until the client has read them. */
#define SMTPD_OUT_HIGH	(64 * 1024)
#define SMTPD_OUT_MAX	(1024 * 1024)
/* Content that cleanup has not taken yet, of all sessions together. */
#define SMTPD_QUEUE_HIGH (8 * 1024 * 1024)

/* How long a daemon that we ask may take to answer, and how long we wait for
 * one that is away: a restart takes less. */
#define SMTPD_WAIT_MS	100000
#define SMTPD_AWAY_MS	5000

enum cmd {
	CMD_HELO, CMD_EHLO, CMD_LHLO, CMD_XCLIENT, CMD_XFORWARD,
	CMD_STARTTLS, CMD_AUTH, CMD_MAIL, CMD_RCPT, CMD_DATA, CMD_BDAT,
	CMD_RSET, CMD_NOOP, CMD_VRFY, CMD_EXPN, CMD_ETRN, CMD_HELP, CMD_QUIT,
	CMD_UNKNOWN,
	CMD_COUNT
};

enum state {
	ST_PROXY,	/* the load balancer's header comes first */
	ST_CONNECT,	/* not greeted yet */
	ST_START,	/* greeted; no HELO */
	ST_READY,	/* HELO given */
	ST_MAIL,	/* a sender, no recipient */
	ST_RCPT,	/* at least one recipient was accepted */
	ST_DATA,	/* lines of a message, to the dot */
	ST_BDAT,	/* between the chunks of a message */
	ST_CHUNK,	/* inside a chunk */
	ST_SKIP,	/* inside a chunk that nobody wants */
	ST_COMMIT,	/* all is with cleanup */
	ST_AUTH,	/* response lines of an AUTH exchange */
	ST_DENIED,	/* refused at connect: only QUIT is left */
	ST_CLOSED
};

enum wait {
	WAIT_NONE, WAIT_NAME, WAIT_POLICY, WAIT_RESULT, WAIT_ROOM, WAIT_DELAY, WAIT_OUTPUT,
	WAIT_AUTH, WAIT_TLS
};

/* --- what rewrite and quotad answer --------------------------------------------------- */

struct answer {
	enum { ANSWER_OK, ANSWER_TEMPFAIL, ANSWER_INVALID } status;
	struct span	text;		/* on failure, or when not listed */
	/* RESOLVE */
	unsigned	class;		/* CLASS_* */
	bool		listed, alias;
	bool		routed;		/* through us to elsewhere */
	int		refused;	/* by the transport: 550 for error:text,
					 * 450 for retry:text, 0 not */
	struct span	address, relocated, rule, nexthop;
	/* LOOKUP */
	bool		found;
	unsigned	key;
	struct span	value;
	/* ROOM */
	bool		room, never;	/* never: larger than all it may hold */
};

struct ask;
typedef void answer_fn(struct ask *a, const struct answer *answer);

/* A question under way; embedded in who asks, zeroed at first. */
struct ask {
	struct list	 link;
	answer_fn	*fn;		/* spans are good during the call */
};

void	 lookup_start(struct loop *l, const char *path);
/*
 * Ask.  fn is called once, from here when the answer is known already, and
 * not at all after lookup_cancel().
 */
void	 lookup_resolve(struct ask *a, struct span addr, bool want_listed);
/* Whether the mailbox of addr has room for a message of bytes: a.room. */
void	 lookup_room(struct ask *a, struct span addr, uint64_t bytes);
struct lookup_keys {
	struct span	v[REWRITE_KEYS_MAX];
	unsigned	n, nwhole;
};
void	 lookup_table(struct ask *a, struct span table,
	    const struct lookup_keys *keys);
void	 lookup_cancel(struct ask *a);

/* --- what verify answers: verify.c ------------------------------------------ */

void	 verify_start(struct loop *l);
/* Whether addr can be delivered to, as lookup_resolve(): the answer's class is
 * an enum verify_status. */
void	 verify_ask(struct ask *a, struct span addr);

/* --- a mail transaction ------------------------------------------------------ */

struct txn {
	struct arena	 arena;		/* all that is below points into it */
	struct envelope	 env;
	struct span	 sender_show;	/* quoted, for logs and replies */
	char		 trace[TRACE_ID_MAX];
	uint64_t	 declared;	/* SIZE= */
	bool		 binary;	/* BODY=BINARYMIME */
	struct binary	*coder;		/* made with its first bytes */
	bool		 utf8;
	/* Recipients beyond the limit, and refused ones. */
	unsigned	 over, refused;
	/* Actions of access tables. */
	bool		 discard;
	ARRAY(struct span) prepend;
	ARRAY(struct span) bcc;
	size_t		 bcc_sent;	/* cleanup has so many of these */
	bool		 changed;	/* an action after the envelope */
	/* Content. */
	struct scan	 scan;
	uint64_t	 wire;		/* bytes with CR LF, without dots */
	uint64_t	 chunk_left;	/* BDAT */
	uint64_t	 chunk_size;
	bool		 chunk_last;
	bool		 carried_cr;	/* the last chunk ended in CR */
	bool		 too_big;
	bool		 failed;	/* why says it; content is dropped */
	const struct why *why;		/* of failed, NULL before */
	int		 why_smtp;
	/* With cleanup. */
	uint32_t	 tag;		/* 0: none */
	bool		 logged;	/* client= */
};

/* How it went to find the client's name. */
enum name_status {
	NAME_OK,
	NAME_TEMP,	/* the DNS failed */
	NAME_PERM,	/* there is none */
	NAME_FORGED	/* it belongs to another address */
};

struct auth_attempt;
struct binary;
struct peername;
struct policy_run;
struct etrn;
struct client;

struct session {
	struct list	 link;		/* of all sessions */
	struct list	 room;		/* of those that wait for room */
	struct stream	*stream;
	struct txn	*txn;		/* from MAIL to its end */
	struct policy_run *run;
	struct etrn	*etrn;		/* qmgr is asked, or NULL */
	struct client	*client;	/* counters, limits.c */
	struct loop_timer *timer;	/* made when first needed */
	struct buf	 held;		/* replies that are delayed */
	void		(*resume)(struct session *s); /* after WAIT_DELAY */

	enum state	 state;
	enum wait	 wait;
	enum cmd	 cmd;		/* the one being done */
	enum cmd	 last_cmd;	/* for "lost connection after" */
	bool		 esmtp;		/* EHLO or LHLO */
	bool		 in_read;
	bool		 resync;	/* dropping the rest of a long line */
	bool		 ill_pipelined;
	bool		 trusted;	/* in mynetworks */
	bool		 newline_excluded;
	bool		 may_xclient, may_xforward;
	bool		 counted;	/* the final reply was counted */
	bool		 ipv6;
	bool		 waited;	/* in_flow_delay was done for MAIL */

	/* What limits_connect() has found, and when. */
	enum { OVER_NOTHING, OVER_CONCURRENCY, OVER_RATE } over;
	uint32_t	 over_count;

	struct sock_addr addr;		/* after PROXY and XCLIENT */
	char		*name;		/* "localhost", "unknown" */
	char		*addr_text;	/* "192.0.2.1", "2001:db8::1"; this
					 * and the next lie behind name */
	char		*namaddr;	/* "name[addr]" for the log */
	char		*reverse_name;	/* the PTR record's; NULL: unknown */
	char		*dest_addr;	/* ours, as XCLIENT or PROXY say; */
	uint16_t	 dest_port;	/* NULL: see getsockname(2) */
	enum name_status name_status, reverse_status;
	struct peername	*naming;	/* WAIT_NAME */
	char		*helo;		/* NULL before HELO */
	char		*login;		/* AUTH, or XCLIENT LOGIN */
	char		*sasl_method;	/* with login; NULL for XCLIENT */
	struct auth_attempt *auth;	/* WAIT_AUTH, ST_AUTH */
	struct secured	*secured;	/* what TLS has told us, or NULL */
	struct xforward	*forward;	/* XFORWARD's attributes, or NULL */
	char		*deferral;	/* defer_if_permit of an earlier stage */
	char		 trace[17];
	uint32_t	 messages;	/* MAIL commands, for trace ids */

	unsigned	 errors, junk;
	unsigned	 discard;	/* EHLO_*: not announced */
	int64_t		 until_ms;	/* the present request's deadline */
	uint64_t	 data_bytes;	/* of this message, for the log */
	uint64_t	 skip_left;	/* ST_SKIP: bytes of a refused chunk */
	char		*skip_reply;	/* and what follows them, */
	size_t		 skip_replies;	/* so many times */
	uint32_t	 count[CMD_COUNT], ok[CMD_COUNT];
};

struct secured {
	bool		 cert_trusted;	/* leads to a CA of ours */
	char		*received;	/* for Received, or NULL */
	struct buf	 exporter, endpoint;	/* channel bindings */
	char		*cert_name;	/* of a verified certificate, or NULL */
	/* Of any client certificate and its key, in hexadecimal; or NULL. */
	char		*cert_print, *pkey_print;
};

struct xforward {
	char	*name, *addr, *port, *proto, *helo, *ident, *source;
};

/* session.c */
void	 session_start(struct loop *l);
void	 session_new(int fd, const struct sock_addr *peer, int index);
void	 session_drain(void);
/* After the reply to a message: where a process that stops says goodbye. */
void	 session_message_done(struct session *s);
void	 session_set_state(struct session *s, enum state to);
void	 session_wait(struct session *s, enum wait w);
/* Go on with the input at the end of this turn. */
void	 session_wake(struct session *s);
/* What is waited for may take ms: until then the client is not given up. */
void	 session_patience(struct session *s, int64_t ms);
/* Wait ms, then call fn and go on. */
void	 session_delay(struct session *s, int64_t ms,
	    void (*fn)(struct session *));
/* Log the end, send what there is, forget the session when it is safe. */
void	 session_close(struct session *s, const char *reason);
/*
 * What may close the session stands between these two, so that it is not freed
 * meanwhile.  False: it is gone now.
 */
void	 session_enter(struct session *s);
bool	 session_leave(struct session *s);

void	 session_reset(struct session *s);	/* drop the transaction */
const char *session_proto(const struct session *s);
/* "ESMTPSA" and the like, RFC 3848. */
const char *session_with(const struct session *s);
size_t	 session_data(struct session *s, struct span in);
/* Bytes are waiting behind the command being done. */
bool	 session_input_waiting(struct session *s);
struct loop *session_loop(void);
/* Sessions that cleanup's connection has room for again. */
void	 session_room(void);

/* arrive.c */
/* Its address is known: find its name, and go on. */
void	 session_arrived(struct session *s);
void	 session_greet(struct session *s);
/* The greeting itself, after TLS where that comes first. */
void	 session_welcome(struct session *s);
/* A client whose address or name has changed (PROXY, XCLIENT). */
void	 session_set_peer(struct session *s, const struct sock_addr *a,
	    const char *name);
/* Our own address and port, where the client is not connected to us. */
void	 session_set_dest(struct session *s, const char *addr, uint16_t port);
/* The client sent them without waiting for a reply that it had to wait for:
 * log it; true when the session is over because of that. */
bool	 session_out_of_step(struct session *s, const char *where,
	    struct span early);

/* peername.c */
struct dns_client;
void	 peername_start(struct loop *l);
/* Look for the client's name, then call done, unless peername_cancel() comes
 * first.  False: there is nothing to look for. */
bool	 peername_find(struct session *s, void (*done)(struct session *s));
void	 peername_cancel(struct session *s);
/* smtpd_dns_reply_filter; before the jail. */
MUST_CHECK int peername_open(struct why *why);
/* The connection to the resolver for restrictions, made when it is needed. */
struct dns_client *smtpd_dns(void);

/* command.c */
void	 command_start(void);
void	 command_line(struct session *s, struct span line);
const char *command_name(enum cmd c);	/* "RCPT" */
const char *command_log_name(enum cmd c);	/* "rcpt" */
/* The tables of commands and clients; before the jail. */
MUST_CHECK int command_open(struct why *why);
/* EHLO_* of what is not announced to those who are in no table. */
unsigned command_discard(void);
enum {
	EHLO_PIPELINING = 1 << 0, EHLO_SIZE = 1 << 1, EHLO_VRFY = 1 << 2,
	EHLO_CODES = 1 << 3, EHLO_8BITMIME = 1 << 4, EHLO_DSN = 1 << 5,
	EHLO_SMTPUTF8 = 1 << 6, EHLO_CHUNKING = 1 << 7, EHLO_BINARY = 1 << 8,
	EHLO_LIMITS = 1 << 9, EHLO_XCLIENT = 1 << 10, EHLO_XFORWARD = 1 << 11,
	EHLO_ETRN = 1 << 12, EHLO_STARTTLS = 1 << 13, EHLO_AUTH = 1 << 14,
	EHLO_SILENT = 1 << 15, EHLO_REQUIRETLS = 1 << 16
};
/* PARSE_* by what we announce to this client. */
unsigned command_parse_flags(const struct session *s);
void	 cmd_mail(struct session *s, struct span arg);
void	 cmd_rcpt(struct session *s, struct span arg);
void	 cmd_data(struct session *s, struct span arg);
void	 cmd_bdat(struct session *s, struct span arg);
void	 cmd_xclient(struct session *s, struct span arg);
void	 cmd_xforward(struct session *s, struct span arg);
void	 xforward_free(struct xforward **x);

/* cmd_etrn.c */
void	 etrn_start(struct loop *l);
void	 etrn_cancel(struct session *s);
void	 cmd_etrn(struct session *s, struct span arg);

/* cmd_auth.c */
MUST_CHECK int auth_open(struct why *why);	/* before the jail */
void	 auth_start(struct loop *l, const char *path);
bool	 auth_enabled(const struct session *s);
void	 auth_ehlo(const struct session *s, struct buf *out);
void	 cmd_auth(struct session *s, struct span arg);
void	 auth_line(struct session *s, struct span line);
void	 auth_line_too_long(struct session *s);

/* cmd_data.c: bytes of a message; returns how many were used. */
size_t	 data_input(struct session *s, struct span in);
size_t	 chunk_input(struct session *s, struct span in);
size_t	 skip_input(struct session *s, struct span in);
/* The answer from cleanup, or its absence (res == NULL). */
void	 data_result(struct session *s, const struct cleanup_result *res);
/* "client=", once a message. */
void	 data_log_client(struct session *s, struct span queue_id);

/* cmd_starttls.c */
MUST_CHECK int starttls_open(struct why *why);	/* before the jail */
void	 starttls_start(struct loop *l);
bool	 starttls_implicit(void);	/* TLS comes before the greeting */
/* TLS is required, and this session has none. */
bool	 starttls_required(const struct session *s);
bool	 starttls_required_cert(void);	/* a client's certificate is, too */
bool	 starttls_offered(const struct session *s);
void	 secured_free(struct secured **sec);
/* Begin the handshake.  keep_input: what lies there is its beginning. */
void	 starttls_begin(struct session *s, bool keep_input);
/* The same with the connection; false: it cannot be, so close it. */
bool	 starttls_implicit_begin(struct session *s, bool keep_input);
void	 cmd_starttls(struct session *s, struct span arg);

/* reply.c: one reply, without its line end; counts it as the outcome of the
 * command being done. */
void	 reply(struct session *s, const char *fmt, ...) PRINTF(2, 3);
/* The same for a 354 or a second reply to one command: not counted. */
void	 reply_more(struct session *s, const char *fmt, ...) PRINTF(2, 3);
/* Lines that are ready to be sent, not counted. */
void	 reply_more_lines(struct session *s, struct span lines);
/* Lines that are ready to be sent; the first decides how they count. */
void	 reply_lines(struct session *s, struct span lines);
void	 reply_flush_held(struct session *s);

/* footer.c */
MUST_CHECK int footer_open(struct why *why);	/* before the jail */
/* Add reply, a line with its CR LF, to out with the footer that it gets;
 * false, and out as it was, when it gets none. */
MUST_CHECK bool footer_add(const struct session *s, struct span reply,
	    struct buf *out);

/* policy.c */
enum stage {
	STAGE_CONNECT, STAGE_HELO, STAGE_MAIL, STAGE_RCPT, STAGE_VRFY,
	STAGE_ETRN, STAGE_DATA, STAGE_EOD, STAGE_COUNT
};
/* ok: go on.  Otherwise the reply has been chosen: "554 5.7.1 ...". */
typedef void policy_fn(struct session *s, bool ok, const char *text);
struct policy_rcpt {		/* of a RCPT that was accepted */
	struct span	addr;	/* normalised */
};
/* Read the restriction lists; -1 with why for the first mistake, after all
 * of them were logged. */
MUST_CHECK int policy_compile(struct why *why);
MUST_CHECK int policy_open(struct why *why);	/* lists of networks etc. */
/*
 * Decide.  arg is what the stage is about (HELO's name, the recipient) and
 * is copied.  done is called from here or later; in between the session is
 * in WAIT_POLICY.
 */
void	 policy_start(struct session *s, enum stage stage, struct span arg,
	    policy_fn *done);
void	 policy_cancel(struct session *s);
/* While done runs: the recipient as it goes on. */
const struct policy_rcpt *policy_recipient(const struct session *s);
enum policy_list {
	LIST_MYNETWORKS, LIST_XCLIENT, LIST_XFORWARD, LIST_NEWLINE,
	LIST_LIMITS, LIST_SASL_EXCEPTIONS, LIST_MX_BACKUP, LIST_COUNT
};
/* Whether the client is in a list that was read at the start.  A list that
 * cannot be read is logged, and the client is not in it. */
bool	 policy_list_has(enum policy_list l, const struct session *s);
/* Whether a name could be in it that an address is not: patterns of hosts, or
 * a table. */
bool	 policy_list_has_names(enum policy_list l);
/* The same for another host. */
bool	 policy_list_has_addr(enum policy_list l, const struct sock_addr *a,
	    const char *name);

/* submit.c */
void	 submit_start(struct loop *l, const char *path);
/* Whether a message can be begun; false fills the reply. */
bool	 submit_ready(const char **text, int64_t *delay_ms);
/* 0, or -1: cleanup is away. */
MUST_CHECK int submit_begin(struct session *s);
/* Room for n bytes of content, then how many of them were used. */
char	*submit_reserve(struct session *s, size_t n);
void	 submit_commit(struct session *s, size_t n);
void	 submit_end(struct session *s);
void	 submit_abort(struct txn *t);		/* no RESULT will come */
bool	 submit_full(void);			/* stop reading for now */

/* limits.c */
void	 limits_start(void);
/* Count a connection; whether that is one too many. */
bool	 limits_connect(struct session *s);
/* The reply that it gets then; NULL: none, or the client is excepted, which
 * may depend on its name. */
const char *limits_refusal(struct session *s);
void	 limits_disconnect(struct session *s);
enum limit_event { LIMIT_MESSAGE, LIMIT_RCPT, LIMIT_AUTH, LIMIT_TLS };
/* False: over the rate. */
bool	 limits_event(struct session *s, enum limit_event e);

#endif
