/* SPDX-License-Identifier: ISC */
/*
 * auth_client - a front's logins: one connection to authd, many attempts.
 *
 *	client = auth_client_new(loop, "private/auth");
 *	...
 *	auth_offer(&facts, &line);		"PLAIN LOGIN SCRAM-SHA-256"
 *	a = auth_attempt_new(client, &facts, mech, &initial, &ops, session);
 *	on_challenge: send it in base64; the client's answer: auth_continue()
 *	on_ok, on_fail: over; auth_attempt_free()
 *
 * Handlers are never called from within auth_attempt_new(), auth_continue()
 * or auth_attempt_free(), but from the loop.  When authd goes away, attempts
 * under way fail with AUTH_UNAVAILABLE.
 */
#ifndef AUTH_AUTH_CLIENT_H
#define AUTH_AUTH_CLIENT_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"
#include "io/loop.h"
#include "io/sock.h"
#include "io/stream.h"
#include "ipc/msg_auth.h"

struct auth_client;
struct auth_attempt;

/* What a front says of a connection; strings are copied when used. */
struct auth_facts {
	const char	*service;	/* "smtp", "imap", "pop3" */
	const struct sock_addr *client, *server;	/* NULL: unknown */
	/* The client's: authd asks the kernel where it comes from. */
	const struct stream *stream;
	bool		 tls;
	struct span	 tls_exporter;	/* RFC 9266; "" when there is none */
	struct span	 tls_endpoint;	/* RFC 5929 tls-server-end-point */
	const char	*cert_name;	/* of a verified client certificate */
	const char	*realm;		/* of a name without a domain; or NULL */
	const char	*trace;
	bool		 want_ticket;
};

struct auth_ops {
	/* What to send as it is, in base64; good until the handler returns. */
	void	(*on_challenge)(void *arg, struct span data);
	/* The attempt is over; spans are good until the handler returns. */
	void	(*on_ok)(void *arg, const struct auth_ok *ok);
	void	(*on_fail)(void *arg, const struct auth_fail *fail);
};

/* path is relative to the queue directory. */
struct auth_client *auth_client_new(struct loop *l, const char *path);
void	 auth_client_free(struct auth_client **c);	/* no attempt is left */

/*
 * Begin.  initial is NULL when the client gave no initial response.  Never
 * NULL: when authd is away on_fail says so.  The mechanism and initial may be
 * anything a client sent; what is too long fails as AUTH_MALFORMED.
 */
struct auth_attempt *auth_attempt_new(struct auth_client *c,
	    const struct auth_facts *f, struct span mechanism,
	    const struct span *initial, const struct auth_ops *ops, void *arg);
/* The client's response to a challenge. */
void	 auth_continue(struct auth_attempt *a, struct span data);
/* Free it; one that is not over is cancelled.  *a may be NULL. */
void	 auth_attempt_free(struct auth_attempt **a);

/*
 * Append the names of the mechanisms to offer on this connection, each after
 * prefix ("" or "AUTH=") and with spaces between; nothing when there is none.
 * plaintext: whether PLAIN and LOGIN may be among them (TLS, or the service
 * does not ask for it).
 */
void	 auth_offer(const struct auth_facts *f, bool plaintext,
	    const char *prefix, struct buf *out);
/* Whether that list has it. */
bool	 auth_announced(const struct auth_facts *f, bool plaintext,
	    struct span mechanism);
/* Whether it may be tried: it is in that list, or is kept out of it only for
 * the sake of clients that could not do it (authd_mechanism_quiet). */
bool	 auth_offered(const struct auth_facts *f, bool plaintext,
	    struct span mechanism);

/*
 * The reply for a failure: "535 5.7.8 Error: authentication failed: ..." for
 * SMTP; the response code for IMAP ("AUTHENTICATIONFAILED") and POP3 ("AUTH",
 * "SYS/TEMP"); "" where there is none.
 */
const char *auth_smtp_code(enum auth_reason r);		/* "535 5.7.8" */
const char *auth_imap_code(enum auth_reason r);
const char *auth_pop3_code(enum auth_reason r);

#endif
