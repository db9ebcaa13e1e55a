/* SPDX-License-Identifier: ISC */
/*
 * userline - what stands behind "address:" in authd_password_file:
 *
 *	{ARGON2ID}$argon2id$v=19$...:scram256=32768,salt,stored,server:disabled
 *
 * First the hash with its scheme, then fields, each after a colon, in any
 * order; what is not known is kept.
 *
 *	scram256=KEYS	scram1=KEYS	what SCRAM needs (scram_keys_text());
 *				made from the same password as the hash
 *	disabled		nobody logs in, mail still arrives
 *	app=NAME,SCOPES,CREATED,EXPIRES,USED,HASH
 *				an app password: scopes "smtp+imap+pop3",
 *				times in seconds since 1970, 0 for never
 */
#ifndef AUTH_USERLINE_H
#define AUTH_USERLINE_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"

#define APP_NAME_MAX	64

struct userline {
	struct span	secret;		/* "{ARGON2ID}$argon2id$...", or "" */
	struct span	scram256, scram1;
	struct span	fields;		/* all of them, for app passwords */
	bool		disabled;
};

struct app_password {
	struct span	name, scopes, hash;
	uint64_t	created, expires, used;
};

/* text: without the address.  Spans point into it. */
void	 userline_parse(struct userline *l, struct span text);
/* The next field off *rest, without its colon; false when there is none. */
bool	 userline_field(struct span *rest, struct span *field);
/* Whether a field is an app password that can be read. */
bool	 app_password_parse(struct span field, struct app_password *out);
void	 app_password_text(const struct app_password *a, struct buf *out);
/* Whether scopes has the service ("smtp"). */
bool	 app_password_allows(const struct app_password *a, struct span service);
/* Letters, digits, '-', '_' and '.', at most APP_NAME_MAX. */
bool	 app_password_name_ok(struct span name);
/*
 * Append text with one field changed: the one that begins with prefix
 * ("scram256=", "app=phone,", "disabled") becomes field, is added, or goes
 * when field is "".  A prefix of "" is the hash.  field must not hold ':'.
 */
void	 userline_edit(struct span text, struct span prefix,
	    struct span field, struct buf *out);

#endif
