/* SPDX-License-Identifier: ISC */
/*
 * store - mailboxes: one interface, three formats behind it.
 *
 *	maildir		a directory of files that other programs share
 *	mbox		one file of messages that other programs share
 *	packed		our own: message segments and a journal (packed.h)
 *
 * What a caller may rely on, whatever the format:
 * - A message is in the mailbox whole or not at all.  When store_deliver()
 *   fails, nothing of it is seen by a reader; when the process is killed in
 *   the middle, the next writer removes what was begun.
 * - Delivering is not durable at once.  The file system that was touched is
 *   noted, and store_sync() makes all of them durable.
 * - A delivery has an identity: the queue id and the recipient it was queued
 *   for.  With message.again set, the mailbox is searched for it first, so
 *   that an attempt repeated after a crash stores nothing twice; damage that
 *   a power cut did to that message is repaired.
 * - No symbolic link below place.base is followed out of place.base, and a
 *   file is only written to when it is a regular file with one link that
 *   belongs to the owner.
 *
 * Identities are the caller's matter: files are opened, created and written
 * with whatever user and group the calling thread has.  Mailboxes stay open
 * between deliveries (store_new()'s open_max, least recently used goes
 * first); what is open is found again only for the same path, user and group.
 *
 * Nothing here knows of local disks more than "path": a later format can keep
 * its messages elsewhere.  Reading is by number or UID through store_box.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"
#include "base/why.h"
#include "store/quota.h"

enum store_format { STORE_MAILDIR = 1, STORE_MBOX, STORE_PACKED };

/* "maildir", "mbox", "packed"; -1 for any other name. */
MUST_CHECK int store_format_parse(struct span name, enum store_format *out);
const char *store_format_name(enum store_format f);

enum {					/* place.flags */
	STORE_LOCK_FCNTL	= 1 << 0,	/* mbox: how to lock */
	STORE_LOCK_FLOCK	= 1 << 1,
	STORE_LOCK_DOTLOCK	= 1 << 2,
	STORE_STRICT_OWNER	= 1 << 3,	/* refuse a file of another user */
	STORE_DEVICE		= 1 << 4,	/* mbox: may be /dev/null */
	STORE_DETECT		= 1 << 5,	/* an existing directory says by
						 * itself whether it is maildir
						 * or packed */
	STORE_MAKE_BASE		= 1 << 6,	/* make base when it is missing */
};

/* A mailbox: where, in which form, whose. */
struct store_place {
	enum store_format	 format;
	unsigned		 flags;
	/*
	 * base is a directory that we trust as far as the thread's identity
	 * does (a home, virtual_mailbox_base, "/var/mail", "/"); path is
	 * relative to it.
	 */
	const char		*base, *path;
	uid_t			 uid;		/* the owner */
	gid_t			 gid;
	/*
	 * mbox in a spool directory that its owner cannot write to: the file
	 * and its lock are made with this identity and given to the owner.
	 * The same as uid and gid otherwise.
	 */
	uid_t			 make_uid;
	gid_t			 make_gid;
	/* mbox, once it is open: who writes, so that quotas count. */
	uid_t			 write_uid;
	gid_t			 write_gid;
	int64_t			 size_limit;	/* bytes; PARAM_UNLIMITED */
	/* packed: the mailbox of the account with this name, without case,
	 * when there is one, else INBOX; NULL: INBOX. */
	const char		*folder;
	/*
	 * maildir, packed: how much the account may hold (quota.h), NULL: any
	 * amount; own_quota: what a file in the account says comes first (not
	 * where users can write such a file).
	 */
	const struct store_quota *quota;
	bool			 own_quota;
};

/* Where the bytes of a message come from; they are read as needed. */
struct store_content {
	int		fd;
	uint64_t	offset, len;
	struct buf	cache;		/* the content, when it is small, behind
					 * gap bytes of room */
	size_t		gap;		/* STORE_HEAD_GAP or up to a page more */
	uint64_t	align;		/* store_content_align() */
	bool		cached;
};
#define STORE_CONTENT_CACHE	(1u << 20)	/* bytes: above, in pieces */
#define STORE_HEAD_GAP		4096
/* What is written at once and is not kept in the system's memory. */
#define STORE_OUT_MIN		(128u << 10)

void	 store_content_init(struct store_content *c, int fd, uint64_t offset,
	    uint64_t len);
/* Of a message made here: bytes are copied, at most STORE_CONTENT_CACHE. */
void	 store_content_of(struct store_content *c, struct span bytes);
void	 store_content_fini(struct store_content *c);
/*
 * The bytes from at on, as many as are at hand (at least one below len).
 * Good until the next call.  -1 with why: the queue could not be read.
 */
MUST_CHECK int store_content_read(struct store_content *c, uint64_t at,
	    struct span *out, struct why *why);
/*
 * The beginning of the content, for a look at its header: n bytes, or all of
 * it, or more.  Reads no more of a large one.  Good until the next call.
 */
MUST_CHECK int store_content_peek(struct store_content *c, size_t n,
	    struct span *out, struct why *why);
/*
 * The content is going to be written to a file, where its first byte has the
 * offset at: from now on it lies in memory so that fd_pwritev_out() can write
 * it from there.
 */
void	 store_content_align(struct store_content *c, uint64_t at);
/*
 * head and the content in one piece, without copying the content.  False: it
 * is not all at hand, or head is too long.  Good until the next call.
 */
bool	 store_content_whole(struct store_content *c, struct span head,
	    struct span *out);

struct store_message {
	struct span	 queue_id;
	struct span	 rcpt;		/* as queued: the identity's other half */
	struct span	 sender;	/* for mbox's From_ line */
	int64_t		 arrival_us;	/* wall clock, when it was queued */
	struct span	 head;		/* header lines to put in front */
	struct store_content *content;
	bool		 again;		/* may be there already */
};

struct store;

#define STORE_FDS_PER_BOX 3

struct store_options {
	size_t		 open_max;	/* mailboxes kept open, each with
					 * STORE_FDS_PER_BOX descriptors */
	const char	*hostname;	/* in maildir file names */
	int		 lock_attempts;	/* mbox; as deliver_lock_attempts */
	int64_t		 lock_delay_ms;
	int64_t		 stale_lock_s;	/* a dotlock this old is nobody's */
	/*
	 * Called before we wait for somebody else's lock, so that the caller
	 * can do first what should not wait.  May be NULL.
	 */
	void		(*slow)(void *arg);
	/* Wait this long; NULL: sleep. */
	void		(*wait)(void *arg, int64_t ms);
	/*
	 * Called with the mailbox's lock held: whether what we are to deliver
	 * may have been given to somebody else meanwhile.  Then it is searched
	 * for, as with message.again: either we find what they have written,
	 * or they, who get the lock later, find ours.  NULL: never.
	 */
	bool		(*stale)(void *arg);
	/* Become this user and group, this thread only; NULL when nobody may
	 * change identity.  -1 with errno. */
	int		(*become)(void *arg, uid_t uid, gid_t gid);
	void		*arg;
	/*
	 * packed: store with each message what readers want to know of it
	 * (mail/message_cache.h).  That parses the message, which is for
	 * processes without rights; where it is not done, the first reader
	 * does it.
	 */
	bool		 parse;
	int		 compression;	/* packed: compress_level(), or 0 */
};

/* The options are copied; the strings too. */
struct store *store_new(const struct store_options *o);
void	 store_free(struct store **s);

/*
 * Put a message into a mailbox, which is made when missing.  0: it is there
 * now; 1: it was there already; -1 with why: 4.2.2 the owner's quota or the
 * size limit, 4.3.1 the disk is full, 4.2.0 and 4.3.0 others, 5.2.2 the
 * message alone is larger than the mailbox may be.
 */
MUST_CHECK int store_deliver(struct store *s, const struct store_place *p,
	    const struct store_message *m, struct why *why);
/* Give up the locks that deliveries left behind for a next one to the same
 * mailbox; call it at the end of every batch. */
void	 store_settle(struct store *s);
/*
 * How much the account of p holds, and what limits it: p->quota, or its own.
 * An account that does not exist holds nothing.  -1 with why.
 */
MUST_CHECK int store_usage(const struct store_place *p,
	    struct store_quota *used, struct store_quota *limits,
	    struct why *why);
/* Close all mailboxes that are open (SIGHUP, tests). */
void	 store_close_all(struct store *s);

/*
 * Durability.  store_dirty() says whether something was delivered since the
 * last store_sync_begin().  begin takes the list of touched file systems (in
 * the delivering thread), run calls syncfs on each (in any thread; touches
 * nothing else), and says whether all that was delivered before begin is now
 * on stable storage.  After a failure nothing more must be promised: what the
 * kernel still holds is unknown.
 */
struct store_sync;
bool	 store_dirty(const struct store *s);
struct store_sync *store_sync_begin(struct store *s);
MUST_CHECK int store_sync_run(struct store_sync *y, struct why *why);
void	 store_sync_free(struct store_sync **y);
/*
 * A sync that was begun last has returned 0, in whatever thread: what was
 * delivered before may be entered into indexes now.  store_tidy() does that for
 * one mailbox that it is worth it for, which takes milliseconds; false: there
 * is none.  idle: nothing is being delivered, so that less is worth it.
 */
void	 store_synced(struct store *s);
bool	 store_tidy(struct store *s, bool idle);
/* A file system that the store did not write to itself (a command's home). */
void	 store_touch(struct store *s, int fd);

/* --- reading --------------------------------------------------------------- */

/*
 * A mailbox seen as a list of messages, as it was when it was opened or last
 * refreshed.  No locks are held.
 */
struct store_box;

struct store_item {
	uint32_t	uid;		/* packed; else its number from 1 */
	uint64_t	modseq;		/* packed; else 0 */
	uint32_t	flags;		/* STORE_SEEN ... */
	int64_t		date_us;	/* INTERNALDATE */
	uint64_t	size;		/* bytes */
	bool		damaged;	/* its bytes are not those delivered */
	const char	*queue_id;	/* "" when it is not known */
	const char	*rcpt;
};

enum {
	STORE_SEEN = 1, STORE_ANSWERED = 2, STORE_FLAGGED = 4,
	STORE_DELETED = 8, STORE_DRAFT = 16
};

struct store_box *store_box_open(const struct store_place *p, struct why *why);
void	 store_box_close(struct store_box **b);
size_t	 store_box_count(const struct store_box *b);
const struct store_item *store_box_item(const struct store_box *b, size_t i);
/* Append the bytes of message i to out; -1 with why. */
MUST_CHECK int store_box_read(struct store_box *b, size_t i, struct buf *out,
	    struct why *why);
uint32_t store_box_uidvalidity(const struct store_box *b);	/* or 0 */
uint32_t store_box_uidnext(const struct store_box *b);

#endif
