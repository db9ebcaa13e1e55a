/* SPDX-License-Identifier: ISC */
/*
 * authd.h - private to the authentication daemon.
 *
 *	main.c		what daemon_main() needs
 *	session.c	clients: frames in, frames out (msg_auth.h)
 *	origin.c	where a front's client is
 *	attempt.c	one login from its start to OK or FAIL
 *	account.c	user names, and what the user databases say
 *	verify.c	password checks in threads: bounded, fair
 *	cache.c		passwords that were right a moment ago
 *	guard.c		failures, delays and bans; guard_file.c keeps them
 *	place.c		whom to become and where the mail lies
 *	ticket.c	one-time tickets
 *	upgrade.c	better hashes after a login; keeper.c writes them
 *	helper.c	processes for what authd may not do; nurse.c forks them
 *	pam.c		asks PAM through pam_helper.c
 *	oauth.c		bearer tokens; introspect.c asks about them through
 *			introspect_helper.c
 *	dovecot.c	other mail servers, in Dovecot's protocol
 *
 * An attempt belongs to who speaks for the client (a session) and answers
 * through a sink.  It does one thing at a time: it waits for a response, for
 * a verification, or for the time at which a failure may be told.
 */
#ifndef AUTHD_AUTHD_H
#define AUTHD_AUTHD_H

#include "auth/sasl.h"
#include "auth/userline.h"
#include "base/buf.h"
#include "base/cc.h"
#include "base/list.h"
#include "base/span.h"
#include "base/why.h"
#include "io/loop.h"
#include "io/sock.h"
#include "ipc/msg_auth.h"
#include "store/quota.h"

/* We were not started as root: a test, or one user's own system. */
extern bool authd_unprivileged;

/* --- account.c --------------------------------------------------------------- */

/*
 * What a database says of a user, as a line of authd_password_file (see
 * userline.h): everything else is turned into one.
 */
struct account {
	struct buf	name;		/* normalised */
	struct buf	text;		/* the line, without "name:" */
	struct userline	line;		/* points into text */
	bool		found;
	bool		in_file;	/* authd_password_file has it */
	/* Only a dialogue with PAM can tell; text is empty. */
	const char	*pam_service;
	/* A passwd-file's facts; uid 0: none. */
	uid_t		uid;
	gid_t		gid;
	struct buf	home;
};

MUST_CHECK int accounts_open(struct why *why);	/* before the jail */
MUST_CHECK int accounts_reload(struct why *why);
/* The settings alone. */
MUST_CHECK int accounts_check(struct why *why);
void	 accounts_close(void);
void	 account_init(struct account *a);
void	 account_fini(struct account *a);		/* wipes */
/* The name as databases have it, in *out; realm is the domain of one that has
 * none, "" for authd_default_domain.  -1: it can be none. */
MUST_CHECK int account_name(struct span typed, struct span realm,
	    struct buf *out);
/* Fill a for a normalised name; found says whether.  -1 with why: a database
 * could not be asked. */
MUST_CHECK int user_find(struct account *a, struct span name,
	    struct why *why);
/* Made-up keys for a name that has none: the same ones each time. */
void	 account_fake_keys(struct span name, enum digest d,
	    struct scram_keys *out);

/* --- place.c ------------------------------------------------------------------- */

struct place {
	struct buf	user, home, base, path, groups;
	uid_t		uid;
	gid_t		gid;
	unsigned	format;
	bool		detect, virtual;
	struct store_quota quota;
};

MUST_CHECK int places_open(struct why *why);	/* before the jail */
void	 places_close(void);
void	 place_init(struct place *p);
void	 place_fini(struct place *p);
/* 1 found, 0 no mail for such a user, -1 with why. */
MUST_CHECK int place_find(struct span user, struct place *out,
	    struct why *why);
/* Whether a name without domain, or with this one, is a system user. */
bool	 place_is_system_domain(struct span domain);

/* --- verify.c -------------------------------------------------------------------- */

struct verify_job;
/* right: 1 yes, 0 no, -1 the hash is of an unknown kind.  Not called after
 * verify_cancel(). */
typedef void verify_fn(void *arg, int right);

void	 verify_start(struct loop *l);
/*
 * Check a password against secret; key is who to be fair to.  NULL: too
 * much is waiting already, from there or in all.
 */
struct verify_job *verify_new(struct span key, struct span password,
	    struct span secret, verify_fn *fn, void *arg);
void	 verify_cancel(struct verify_job **j);
size_t	 verify_waiting(void);

/* --- cache.c ----------------------------------------------------------------------- */

/* The digest that stands for a right password for this account as it is now,
 * under a key that only this process has. */
void	 cache_digest(struct span user, struct span service,
	    struct span password, struct span account, unsigned char out[32]);
bool	 cache_has(struct span user, const unsigned char digest[32]);
void	 cache_put(struct span user, const unsigned char digest[32]);
void	 cache_drop(void);

/* --- guard.c ------------------------------------------------------------------------ */

/* Before the jail: bans from before a restart. */
void	 guard_read(void);
void	 guard_start(struct loop *l);
MUST_CHECK int guard_load(struct why *why);	/* authd_ban_exceptions */
/* The network a client counts as: itself, or its /64. */
#define GUARD_KEY_MAX	64
void	 guard_key(const struct sock_addr *a, char out[GUARD_KEY_MAX]);
/* Whether the client, or the user from there, is banned. */
bool	 guard_banned(const struct sock_addr *client, struct span user);
/*
 * A failure: how long its answer is to be kept, in ms.  digest stands for the
 * password that was tried, so that the same one again counts once; NULL when
 * there was none.
 */
int64_t	 guard_failed(const struct sock_addr *client, struct span user,
	    const unsigned char *digest);
void	 guard_succeeded(const struct sock_addr *client, struct span user);
/* The administrator's: an address, a network, or a user's name. */
MUST_CHECK int guard_ban(struct span what, int64_t seconds, struct why *why);
unsigned guard_unban(struct span what);		/* "all" is everything */
void	 guard_each(void (*fn)(void *arg, const struct auth_entry *), void *arg);

/* --- origin.c ------------------------------------------------------------------------- */

/* Who may speak for others, as main.cf and master.cf say. */
void	 origins_load(void);
/*
 * Put into m where the client is whose socket the front showed (fd < 0: none),
 * in the place of what the front says.  text is for m to point to.  1; 0: the
 * client has gone, and nobody can tell any more; -1: it is no client's.
 */
int	 origin_find(int fd, struct auth_start *m,
	    char text[SOCK_ADDR_TEXT_MAX]);

/* --- ticket.c ------------------------------------------------------------------------- */

void	 tickets_start(struct loop *l);
/* What a ticket stands for. */
struct ticket_facts {
	struct span	user, login;
	struct auth_came came;		/* where the client is */
};
void	 ticket_make(struct span service, const struct ticket_facts *f,
	    char out[AUTH_TICKET_LEN]);
/* Take it away: f points into text.  False: it is none, or for another
 * service. */
bool	 ticket_take(struct span service, struct span ticket,
	    struct ticket_facts *f, struct buf *text);

/* --- attempt.c -------------------------------------------------------------------------- */

struct attempt;

/* Where answers go.  After ok and fail the owner frees the attempt, then or
 * later. */
struct attempt_sink {
	void	(*challenge)(void *owner, uint32_t tag, struct span data);
	void	(*ok)(void *owner, uint32_t tag, const struct auth_ok *ok);
	void	(*fail)(void *owner, uint32_t tag, const struct auth_fail *f);
};

void	 attempts_start(struct loop *l);
struct attempt *attempt_new(const struct auth_start *m,
	    const struct attempt_sink *sink, void *owner, uint32_t tag);
void	 attempt_run(struct attempt *a);	/* once, after _new */
void	 attempt_response(struct attempt *a, struct span data);
void	 attempt_free(struct attempt **a);

/* --- session.c ---------------------------------------------------------------------------- */

void	 session_start(int fd, const struct sock_addr *peer, int index);
void	 session_drain_all(void);

#endif
