/* SPDX-License-Identifier: ISC */
/*
 * shares - who has given others rights on mailboxes: the list from which the
 * monitor knows whose mail, beside his own, a user's process may open.
 *
 * It says less than ACLs do: only that there may be something.  What a user
 * may do is in the ACL of each mailbox; a line too many shows nothing, a line
 * too few hides what is shared.  A line is
 *
 *	owner TAB identifier TAB uid gid format detect quotas TAB base TAB path
 *
 * in the file "shares" of data_directory, which belongs to root.  The monitor
 * writes it for owners whose process tells of a change (control.h), and
 * "mansio acl" does, each under a lock.
 */
#ifndef SESSION_SHARES_H
#define SESSION_SHARES_H

#include <time.h>

#include "base/array.h"
#include "session/engine.h"

#define SHARES_OWNER_MAX	200	/* lines of an owner */
#define SHARES_USER_MAX		100	/* accounts shown to a user */

struct share {
	struct session_user	 owner;		/* login is name */
	char			*ident;
	char			*text;		/* holds owner's strings */
};

struct shares {
	ARRAY(struct share)	 v;
	struct timespec		 at;		/* the file's mtime */
	uint64_t		 ino;
};

/*
 * Read the file if it is another than before.  1: it is; 0: not; -1 with why
 * (then nothing is shared, rather than what was).
 */
MUST_CHECK int shares_load(struct shares *s, struct why *why);
void	 shares_fini(struct shares *s);
/*
 * Call fn for each account that lets user, or a group of his, see something:
 * those of the same uid only, each once, not his own, at most
 * SHARES_USER_MAX.
 */
void	 shares_each(const struct shares *s, const struct session_user *user,
	    void (*fn)(void *arg, const struct session_user *owner), void *arg);
/* Whether an identifier of an ACL means this user. */
bool	 shares_ident_is(struct span ident, const struct session_user *user);
/* Note, or forget, that owner gives ident rights.  1 changed, 0, -1 with why. */
MUST_CHECK int shares_note(const struct session_user *owner,
	    struct span ident, bool on, struct why *why);
/* The name below which owner's mailboxes are shown to others: in out, without
 * '/' at its end.  False: nowhere. */
bool	 shares_prefix(struct span owner, struct buf *out);

#endif
