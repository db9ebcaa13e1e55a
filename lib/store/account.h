/* SPDX-License-Identifier: ISC */
/*
 * account - one user's mailboxes: the list of them and what belongs to it.
 *
 * Names are UTF-8 with '/' between the levels, no '/' at either end; "INBOX"
 * is the one name that is compared without case and is always there.
 * (Modified UTF-7 is imapd's matter.)  A mailbox has a number, its box, for
 * as long as it lives; renaming does not change it, and it is not used again.
 *
 * Format packed keeps the list in the account's own journal (account.jrn,
 * mansio-store(5)); maildir in the directories themselves (Maildir++) and,
 * for what these cannot hold, in a journal beside them.
 *
 * One thread; any number of processes at once, each with its own struct
 * account.  What others change is seen at account_refresh().  No call waits
 * for the network or for a client; locks of others are held for milliseconds
 * and are waited for at most 10 s (then: ACCOUNT_INUSE).
 *
 * Every function that changes something takes effect at once for all
 * processes, and survives kill -9 of ours from then on; it survives a power
 * cut once account_sync() has returned 0.  An IMAP server calls that before
 * it says OK, once for as many commands as were pipelined.
 */
#ifndef STORE_ACCOUNT_H
#define STORE_ACCOUNT_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"
#include "base/why.h"
#include "store/store.h"

#define ACCOUNT_NAME_MAX	1024	/* bytes, whatever the limit says */
#define ACCOUNT_UNLIMITED	QUOTA_UNLIMITED
#define ACCOUNT_INBOX		1u	/* INBOX's box */
#define ACCOUNT_ENTRY_MAX	255	/* bytes of a metadata entry's name */
#define ACCOUNT_IDENT_MAX	255	/* bytes of an ACL identifier */

struct account;

/*
 * Why the last call on this account, or on a mailbox of it, failed: what a
 * protocol says about it.  The text is in why.
 */
enum account_error {
	ACCOUNT_OK = 0,
	ACCOUNT_NONEXISTENT,	/* RFC 5530 NONEXISTENT, TRYCREATE */
	ACCOUNT_EXISTS,		/* ALREADYEXISTS */
	ACCOUNT_CANNOT,		/* CANNOT: a name that can never be */
	ACCOUNT_NOPERM,		/* NOPERM: an ACL forbids it */
	ACCOUNT_OVERQUOTA,	/* OVERQUOTA */
	ACCOUNT_LIMIT,		/* LIMIT: too many, too long */
	ACCOUNT_INUSE,		/* INUSE: locked for too long */
	ACCOUNT_HASCHILDREN,	/* HASCHILDREN */
	ACCOUNT_EXPUNGED,	/* EXPUNGEISSUED: the message is gone */
	ACCOUNT_CORRUPT,	/* CORRUPTION: these bytes are damaged */
	ACCOUNT_UNAVAILABLE,	/* UNAVAILABLE: the disk, for now */
};

struct account_options {
	enum store_format	 format;	/* PACKED or MAILDIR */
	/* STORE_DETECT, STORE_MAKE_BASE; as in struct store_place. */
	unsigned		 flags;
	const char		*base, *path;	/* as in struct store_place */
	const char		*owner;		/* whose account it is */
	const char		*user;		/* who acts; NULL: the owner */
	const char *const	*groups;	/* of user, for ACLs */
	size_t			 ngroups;
	const char		*hostname;	/* in maildir names */
	int			 compression;	/* packed: compress_level() */
	/* Limits, nothing unset; own_quota: a file in the account comes first
	 * (quota.h; not where users can write such a file). */
	struct store_quota	 quota;
	bool			 own_quota;
	uint64_t		 trash_extra;	/* bytes more for \\Trash */
	uint32_t		 name_limit;	/* bytes of a name */
	uint32_t		 depth_limit;	/* levels */
	uint32_t		 count_limit;	/* mailboxes */
	int64_t			 expunge_delay_s;
	/* "Drafts Sent ...": made with their special use on first use. */
	const char		*auto_create;
	const char		*auto_subscribe;
	const char		*special_use;
	const char		*owner_rights;	/* what the owner always has */
};

/*
 * Learn what a jailed process cannot read; call it before the jail, or in the
 * process that those are forked from.  Without it, each process takes the
 * machine for newly started, and UIDs jump.
 */
void	 account_warm(void);
/*
 * *o from the settings (conf): limits, store_auto_create and so on.  The
 * caller sets format, base, path, owner, user.
 */
void	 account_options_init(struct account_options *o);
/*
 * Open the account; its directory is made when missing and the format is
 * packed or maildir.  Everything in o is copied.  NULL with why.
 */
struct account *account_open(const struct account_options *o,
	    struct why *why);
/* Its mailboxes must have been closed. */
void	 account_close(struct account **a);
/*
 * Show the mailboxes of another account, opened for the same user, below
 * prefix: those that its ACLs let the user see.  All functions then take their
 * names and numbers; the account's own subscriptions may name them.  other
 * belongs to a from now on.  At most ACCOUNT_MOUNTS_MAX: -1, ACCOUNT_LIMIT.
 */
#define ACCOUNT_MOUNTS_MAX	100u
MUST_CHECK int account_mount(struct account *a, const char *prefix,
	    struct account *other, struct why *why);
/*
 * The number that stands for the list of mailboxes of the i-th of them, to
 * store_watch_add(); 0: there are not so many.
 */
uint32_t account_mount_list(const struct account *a, size_t i);
/* The same of the one that mailbox box is in; 0: it is the account's own. */
uint32_t account_list_of(const struct account *a, uint32_t box);
/* No mailbox of one's own can be made with this name or below. */
void	 account_reserve(struct account *a, const char *name);
/* Whether a name is another account's. */
bool	 account_is_mounted(struct account *a, struct span name);
/* Whether it is in the personal namespace: neither another account's nor kept
 * for those. */
bool	 account_is_personal(struct account *a, struct span name);
enum account_error account_error(const struct account *a);
enum store_format account_format(const struct account *a);
const char *account_owner(const struct account *a);

/* Something was changed since the last account_sync(). */
bool	 account_dirty(const struct account *a);
/*
 * Make all that was changed through this account and its mailboxes durable:
 * one fdatasync a file that was written to.  After -1 nothing that was not
 * synced before may be promised; close the account (and, best, the process).
 */
MUST_CHECK int account_sync(struct account *a, struct why *why);
/*
 * The same in three steps, for an event loop: begin takes the list of files,
 * run syncs them and may be called in another thread (the account may be
 * used and changed meanwhile; only what was changed before begin is covered),
 * free ends it.
 */
struct account_sync;
struct account_sync *account_sync_begin(struct account *a);
MUST_CHECK int account_sync_run(struct account_sync *y, struct why *why);
void	 account_sync_free(struct account_sync **y);

/* --- the list ----------------------------------------------------------------- */

enum {					/* account_box.flags */
	BOX_NOSELECT	 = 1 << 0,	/* \Noselect */
	BOX_NONEXISTENT	 = 1 << 1,	/* \NonExistent: only its children, or
					 * its subscription, are there; box is
					 * 0 */
	BOX_CHILDREN	 = 1 << 2,	/* \HasChildren, else \HasNoChildren */
	BOX_SUBSCRIBED	 = 1 << 3,
	BOX_SUBSCRIBED_CHILD = 1 << 4,	/* something below is subscribed */
	BOX_NOINFERIORS	 = 1 << 5,
	BOX_HIDDEN	 = 1 << 6,	/* another user's, without "l" but with
					 * another right: it is not in the list */
	BOX_NOREAD	 = 1 << 7,	/* another user's, without "r" */
};
enum {					/* account_box.special: RFC 6154 */
	USE_ALL		 = 1 << 0,
	USE_ARCHIVE	 = 1 << 1,
	USE_DRAFTS	 = 1 << 2,
	USE_FLAGGED	 = 1 << 3,
	USE_JUNK	 = 1 << 4,
	USE_SENT	 = 1 << 5,
	USE_TRASH	 = 1 << 6,
	USE_IMPORTANT	 = 1 << 7,	/* RFC 8457 */
};
/* "\\Drafts" -> USE_DRAFTS, without case; 0 for others. */
unsigned account_use_parse(struct span name);
const char *account_use_name(unsigned one);	/* with the backslash */

struct account_box {
	uint32_t	 box;
	const char	*name;
	unsigned	 flags, special;
	uint8_t		 mailboxid[16];		/* RFC 8474 4.1 */
};

/*
 * The list as of the last account_refresh() or own change, sorted by name
 * (bytes), INBOX first, parents before children; with entries for parents
 * that are not mailboxes.  Pointers are good until the next refresh or
 * change.
 */
size_t	 account_count(const struct account *a);
const struct account_box *account_box(const struct account *a, size_t i);
/*
 * By name ("inbox" is INBOX); NULL: no such entry.  Also those with
 * BOX_HIDDEN (RFC 4314 4).
 */
const struct account_box *account_find(struct account *a, struct span name);
/* By number, also of those; NULL: it has been deleted. */
const struct account_box *account_by_id(struct account *a, uint32_t box);
/* By MAILBOXID. */
const struct account_box *account_by_mailboxid(struct account *a,
	    const uint8_t id[16]);
/*
 * Read what others changed.  1: the list, a subscription, metadata or a
 * right is another than before; 0; -1 with why.  Costs one fstat when there
 * is nothing new.
 */
MUST_CHECK int account_refresh(struct account *a, struct why *why);
/* Grows with every change of the list: for LIST after NOTIFY. */
uint64_t account_list_modseq(const struct account *a);
/*
 * Whether name could be a mailbox: UTF-8, no control characters, no empty
 * level, no level "." or "..", within the limits.  -1: ACCOUNT_CANNOT or
 * ACCOUNT_LIMIT.
 */
MUST_CHECK int account_check_name(struct account *a, struct span name,
	    struct why *why);

/*
 * Each of these looks at what others did first, and fails with one of the
 * errors above.  special: USE_* (RFC 6154 3; only one mailbox has each: it is
 * taken from another).
 */
MUST_CHECK int account_create(struct account *a, struct span name,
	    unsigned special, uint32_t *box, struct why *why);
/*
 * Delete a mailbox.  Its messages can be had back with account_undelete()
 * for store_expunge_delay.  Children stay.  INBOX: ACCOUNT_CANNOT.
 */
MUST_CHECK int account_delete(struct account *a, struct span name,
	    struct why *why);
/*
 * Rename a mailbox and what lies below it.  Renaming INBOX moves its messages
 * into a new mailbox and leaves INBOX empty.  (RFC 9051 6.3.6)
 */
MUST_CHECK int account_rename(struct account *a, struct span from,
	    struct span to, struct why *why);
/* The mailbox need not exist.  (RFC 9051 6.3.7) */
MUST_CHECK int account_subscribe(struct account *a, struct span name, bool on,
	    struct why *why);
/* Set what it is used for. */
MUST_CHECK int account_set_special(struct account *a, uint32_t box,
	    unsigned special, struct why *why);
/*
 * The mailbox with this use ("\\Junk"), made by its usual name when there is
 * none.  *box.
 */
MUST_CHECK int account_special(struct account *a, unsigned one, uint32_t *box,
	    struct why *why);

/*
 * Have a deleted mailbox back, under its name, with its messages.  packed
 * only.
 */
MUST_CHECK int account_undelete(struct account *a, struct span name,
	    struct why *why);

/*
 * Give back the space of what was expunged or deleted longer than
 * store_expunge_delay ago: compact journals and segments.  For a command or a
 * quiet hour; others go on meanwhile.
 */
struct account_purged {
	uint32_t	journals, segments, mailboxes, damaged;
	uint64_t	bytes;
};
MUST_CHECK int account_purge(struct account *a, struct account_purged *out,
	    struct why *why);
/* The same, with at most so many segments (64 MiB each) copied. */
MUST_CHECK int account_purge_some(struct account *a, uint32_t most,
	    struct account_purged *out, struct why *why);
/* Whether the last time is interval_s ago; 0: never. */
bool	 account_purge_due(struct account *a, int64_t interval_s);

/* --- what has changed ------------------------------------------------------------ */

/*
 * A state of the whole account, for those who come back and want to know what
 * has changed since, in which mailbox.  What happened between two looks is
 * one change, and has no order.
 */
struct account_state {
	uint32_t	validity;	/* another: it cannot be known */
	uint64_t	number;
};
struct account_change {
	uint32_t	box;		/* 0: the list, a subscription, a right,
					 * an annotation */
	/*
	 * MODSEQs of the mailbox: what is greater than from has changed
	 * (mailbox_vanished() knows what left), and of that what has UID
	 * uidnext or greater has come.  from 0: all of it may be another.
	 */
	uint64_t	from, to;
	uint32_t	uidnext;
	int64_t		seen_us;	/* when somebody looked */
	bool		gone;		/* it was deleted */
};
/*
 * *now is the state; fn (may be NULL) for each mailbox that has changed since,
 * once.  1; 0: since (may be NULL) is too long ago, or of another account:
 * then all mailboxes are told that somebody has ever looked at; -1.  Durable
 * with account_sync(); costs a look at each mailbox.
 */
MUST_CHECK int account_changes(struct account *a,
	    const struct account_state *since, struct account_state *now,
	    void (*fn)(void *arg, const struct account_change *ch), void *arg,
	    struct why *why);

/* --- status ---------------------------------------------------------------------- */

struct mailbox_status {			/* RFC 9051 6.3.11 and friends */
	uint32_t	messages, recent, unseen, deleted;
	uint32_t	uidnext, uidvalidity;
	uint64_t	modseq;			/* HIGHESTMODSEQ, at least 1 */
	uint64_t	size;			/* bytes, RFC 8438 */
	uint64_t	deleted_size;		/* RFC 9208 DELETED-STORAGE */
	uint8_t		mailboxid[16];
	unsigned	special;
};
/*
 * Without opening it; the message counts are as of now, and nothing becomes
 * less recent.
 */
MUST_CHECK int account_status(struct account *a, uint32_t box,
	    struct mailbox_status *out, struct why *why);

/* --- metadata (RFC 5464) ------------------------------------------------------- */

/*
 * Entries "/private/..." and "/shared/...", compared without case; box 0 is
 * the server's (the account's).  Each user has "/private" entries of his own.
 * That needs "l" and one of "r", "s", "w", "i", "p": account_metadata_may(),
 * which is asked by all of these, else -1.  get: 1 and the value appended to
 * out; 0 none.  "/private/specialuse" is the mailbox's uses (RFC 6154 4).
 */
int	 account_metadata_may(struct account *a, uint32_t box,
	    struct why *why);
MUST_CHECK int account_metadata_get(struct account *a, uint32_t box,
	    struct span entry, struct buf *out, struct why *why);
/* All of these or none; value.p == NULL deletes one.  "/shared" needs "w". */
struct account_entry {
	struct span	 name, value;
};
MUST_CHECK int account_metadata_set_all(struct account *a, uint32_t box,
	    const struct account_entry *v, size_t n, struct why *why);
MUST_CHECK int account_metadata_set(struct account *a, uint32_t box,
	    struct span entry, struct span value, struct why *why);
/* fn for each entry, sorted; false ends it. */
void	 account_metadata_each(struct account *a, uint32_t box,
	    bool (*fn)(void *arg, struct span entry, struct span value),
	    void *arg);
/*
 * For NOTIFY (RFC 5465 5.6, 5.7): a number that grows with every change, and
 * fn for each change after since; no more than the last
 * ACCOUNT_METADATA_TOLD are known.
 */
#define ACCOUNT_METADATA_TOLD	64
uint64_t account_metadata_changes(const struct account *a);
void	 account_metadata_since(const struct account *a, uint64_t since,
	    void (*fn)(void *arg, uint32_t box, const char *entry), void *arg);

/* --- rights (RFC 4314) ---------------------------------------------------------- */

enum {					/* one bit a right */
	RIGHT_LOOKUP	 = 1 << 0,	/* l */
	RIGHT_READ	 = 1 << 1,	/* r */
	RIGHT_SEEN	 = 1 << 2,	/* s */
	RIGHT_WRITE	 = 1 << 3,	/* w */
	RIGHT_INSERT	 = 1 << 4,	/* i */
	RIGHT_POST	 = 1 << 5,	/* p */
	RIGHT_CREATE	 = 1 << 6,	/* k */
	RIGHT_DELETE_BOX = 1 << 7,	/* x */
	RIGHT_DELETE	 = 1 << 8,	/* t */
	RIGHT_EXPUNGE	 = 1 << 9,	/* e */
	RIGHT_ADMIN	 = 1 << 10,	/* a */
	RIGHT_ALL	 = (1 << 11) - 1,
};
/* "lrs", also the obsolete c and d; -1 for an unknown letter. */
MUST_CHECK int account_rights_parse(struct span text, unsigned *out);
/* In the order lrswipkxtea, and cd where both of theirs are there. */
#define ACCOUNT_RIGHTS_MAX 16
void	 account_rights_format(unsigned rights, char out[ACCOUNT_RIGHTS_MAX]);
/*
 * What the acting user may do with a mailbox: the owner's rights, else the
 * union of "anyone", the groups' and the user's own, less the negative ones.
 * Every function here and in mailbox.h that changes or opens something checks
 * it itself; those that only list do not.
 */
unsigned account_rights(struct account *a, uint32_t box);
/* What this identifier has there whatever the list says: the owner's. */
unsigned account_always(struct account *a, uint32_t box, struct span ident);
/*
 * The mailbox's list: fn(identifier, rights); identifiers "anyone",
 * "$group", "user", with '-' in front for negative rights.  With the owner's.
 */
void	 account_acl_each(struct account *a, uint32_t box,
	    bool (*fn)(void *arg, struct span ident, unsigned rights),
	    void *arg);
/* rights 0 deletes the entry; mod '+' or '-' changes it, 0 replaces it. */
MUST_CHECK int account_acl_set(struct account *a, uint32_t box,
	    struct span ident, char mod, unsigned rights, struct why *why);

/* --- quota (RFC 9208) ----------------------------------------------------------- */

struct account_usage {
	uint64_t	storage, messages, mailboxes;		/* bytes; n */
	uint64_t	storage_limit, messages_limit, mailboxes_limit;
};
/* Of all mailboxes together: one quota root, "". */
MUST_CHECK int account_usage(struct account *a, struct account_usage *out,
	    struct why *why);
/*
 * Whether that much more fits, into box: 0, or -1 with ACCOUNT_OVERQUOTA.
 * Deleting must be possible when it does not: \\Trash may have more.
 */
MUST_CHECK int account_quota_check(struct account *a, uint32_t box,
	    uint64_t bytes, uint64_t messages, struct why *why);
/* The limits that hold now. */
MUST_CHECK int account_limits(struct account *a, struct store_quota *out,
	    struct why *why);
/*
 * Set the account's own limits, for administrators; what is unset comes from
 * the tables again.  Durable at once.  ACCOUNT_NOPERM where an account has
 * none of its own (a system user's).
 */
MUST_CHECK int account_quota_set(struct account *a,
	    const struct store_quota *q, struct why *why);

#endif
