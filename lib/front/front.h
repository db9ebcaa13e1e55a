/* SPDX-License-Identifier: ISC */
/*
 * front - a client before its login, and the TLS around it after.
 *
 * imapd and pop3d are two small parsers on this library, which does what is
 * the same for both: the listener's clients with their limits (number per
 * address, time until the login, bytes before it), implicit TLS and STARTTLS,
 * the SASL exchange with authd, the hand-over of who logged in to the session
 * monitor, and then, where TLS ends here, carrying bytes between the client
 * and the session process.  We run in a jail, without files, keys, passwords'
 * hashes or mail.
 *
 *	front_ops.greet		the connection stands (TLS too where implicit)
 *	front_ops.input		a client's bytes, until it is logged in
 *	front_starttls()	from input, after the go-ahead was written
 *	front_auth()		from input; SASL lines are read here, and the
 *				end is front_ops.failed() or a hand-over
 *	front_ops.goodbye	we end the connection: a last word
 *
 * After a successful login the session process answers the client; what is
 * pipelined behind the login command goes there unread.  When the session gives
 * the client back (front_ops.again), it is a stranger's as at the beginning.
 */
#ifndef FRONT_FRONT_H
#define FRONT_FRONT_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"
#include "base/why.h"
#include "io/loop.h"
#include "io/sock.h"
#include "io/stream.h"
#include "ipc/msg_auth.h"
#include "tls/tls.h"

struct front;			/* one client */

/*
 * Why a login did not succeed: authd's reason (auth_imap_code() and the like
 * give the response code), or one of these.  text is for the client.
 */
enum {
	FRONT_CANCELLED = 100,	/* the client sent "*": BAD, or -ERR */
	FRONT_LIMIT,		/* too many connections: [LIMIT], [IN-USE] */
	FRONT_TOO_SOON,		/* [LOGIN-DELAY] */
};

/* Why we end a connection. */
enum front_bye {
	FRONT_BYE_SHUTDOWN,	/* the server stops */
	FRONT_BYE_TIMEOUT,	/* no login in time */
	FRONT_BYE_TOO_LONG,	/* a line over the limit */
	FRONT_BYE_TOO_MANY,	/* connections from this address */
	FRONT_BYE_ERRORS,	/* too many bad commands or failed logins */
};

struct front_ops {
	const char	*service;	/* "imap": authd, tickets, the log */
	const char	*daemon;	/* "imapd": parameter names, the log */
	const char	*alpn;		/* "imap", "pop3" (RFC 7301's registry) */
	void		(*greet)(struct front *f);
	/* The same for a client whose session gave it back: it is told
	 * nothing.  Or NULL: sessions of this service do not. */
	void		(*again)(struct front *f);
	/*
	 * Bytes have come: take whole commands off front_input() with
	 * front_consume(), as many as there are, until front_busy().
	 */
	void		(*input)(struct front *f);
	/* The login command with that tag did not succeed: answer it. */
	void		(*failed)(struct front *f, struct span tag, int reason,
			    const char *text);
	void		(*goodbye)(struct front *f, enum front_bye why);
	/* What greet put into front_set_data() is to be freed.  Or NULL. */
	void		(*free)(void *data);
};

/* Settings of the service, read once at the start; strings are not copied. */
struct front_settings {
	int64_t		 login_timeout_ms;
	size_t		 input_max;	/* bytes of input before the login that
					 * may lie there: a line, a literal */
	int64_t		 error_limit;	/* bad commands; then goodbye */
	enum tls_service tls;		/* whose TLS settings */
	bool		 tls_wrappermode; /* TLS from the first byte */
	int64_t		 tls_loglevel;	/* 2: a line for each TLS session */
	const char	*cleartext_networks; /* log in without TLS from there */
};

/* --- the daemon's own functions: struct daemon's fields ------------------------ */

/* In pre_jail: what needs files.  Both arguments stay the caller's, and are
 * there as long as the process. */
MUST_CHECK int front_pre_jail(const struct front_ops *ops,
	    const struct front_settings *s, struct why *why);
/* In start: keyd, authd, the session monitor. */
MUST_CHECK int front_start(struct why *why);
void	 front_accept(int fd, const struct sock_addr *peer, int index);
void	 front_drain(void);

/* --- one client ----------------------------------------------------------------- */

void	*front_data(const struct front *f);
void	 front_set_data(struct front *f, void *data);
struct span front_input(const struct front *f);
void	 front_consume(struct front *f, size_t n);
void	 front_write(struct front *f, struct span d);
void	 front_printf(struct front *f, const char *fmt, ...) PRINTF(2, 3);
/* A hand-over, a TLS handshake, a SASL exchange or the end is under way: input
 * is not for the protocol now. */
bool	 front_busy(const struct front *f);
/* A bad command was answered; beyond the limit the client is sent away, and
 * front_busy() is true. */
void	 front_error(struct front *f);
/*
 * Whether the line is a browser's request.  Then the connection ends without
 * a word: a page on a foreign site could have sent it, with commands to follow
 * and an answer to be read as our site's (cross-protocol attacks, ALPACA).
 */
bool	 front_http(struct front *f, struct span line);
/* The client leaves (LOGOUT, QUIT), after what was written. */
void	 front_quit(struct front *f);

bool	 front_tls_active(const struct front *f);
bool	 front_tls_possible(const struct front *f);	/* offer STARTTLS */
/* Whether passwords may be sent now; false: LOGINDISABLED. */
bool	 front_login_possible(const struct front *f);
/* Append the SASL mechanisms offered now, each after prefix and with spaces
 * between: "AUTH=PLAIN AUTH=SCRAM-SHA-256"; nothing for none. */
void	 front_mechanisms(const struct front *f, const char *prefix,
	    struct buf *out);
/* Whether one may be tried: also one that is not announced
 * (authd_mechanism_quiet). */
bool	 front_offers(const struct front *f, struct span mechanism);
const char *front_id(const struct front *f);		/* in the log */

/*
 * Begin TLS behind what was written.  Bytes that lie in the input were sent
 * before the handshake and are thrown away (RFC 9051 6.2.1, RFC 2595 4); the
 * protocol's state begins anew, without a greeting.
 */
void	 front_starttls(struct front *f);
/*
 * A SASL exchange (RFC 4422, 5034).  tag answers the command later (IMAP; ""
 * else).  initial is the base64 of the initial response, "=" for an empty
 * one, p NULL for none.
 */
void	 front_auth(struct front *f, struct span tag, struct span mechanism,
	    struct span initial);
/* A user name and a password (LOGIN, USER and PASS). */
void	 front_login(struct front *f, struct span tag, struct span user,
	    struct span password);
/* For the engine: facts.notes, in whatever form the two agree upon. */
void	 front_set_notes(struct front *f, struct span notes);

#endif
