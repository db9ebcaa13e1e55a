/* SPDX-License-Identifier: ISC */
/*
 * mailbox - an open mailbox: a view whose numbers hold still.
 *
 * A view has message sequence numbers 1 to mailbox_count().  They change only
 * in mailbox_refresh(), and messages leave only when that is allowed to report
 * expunges (RFC 9051 7.5.1 forbids it during FETCH, STORE, SEARCH).  A message
 * that somebody else has expunged in between stays readable until then.  Flags
 * are those that hold now as far as this view has looked; who changed what is
 * reported once, by mailbox_refresh().
 *
 * What the view itself changes (mailbox_store_flags() and so on) is not
 * reported again: the caller gets it as the call's result.
 *
 * UIDs: functions on several messages take a set of UIDs; those that are not
 * in the view are passed over.  Sets in results belong to the view and are
 * good until the next call on it.
 *
 * Bytes are spans into the mapped segment: no copy, no limit on size, good
 * until mailbox_content_done(), or the account is closed.  They are as they
 * were stored: lines end in LF (deliveries) or CRLF (APPEND), mail/message.h
 * takes both; sizes are those of the CRLF form.
 *
 * Changes are durable after account_sync() (account.h says more).
 */
#ifndef STORE_MAILBOX_H
#define STORE_MAILBOX_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/ranges.h"
#include "base/span.h"
#include "base/why.h"
#include "mail/message_cache.h"
#include "store/account.h"

struct mailbox;
struct signature_query;

enum {					/* mailbox_open */
	MAILBOX_READONLY = 1 << 0,	/* EXAMINE */
	MAILBOX_RECENT	 = 1 << 1,	/* what nobody has opened yet becomes
					 * \Recent to us (IMAP4rev1) */
	MAILBOX_LATER	 = 1 << 2,	/* what the index says of messages is
					 * checked, and mended, when they are
					 * looked at first: opening takes as
					 * long for ten as for a million */
};

/*
 * Open box.  READONLY is forced where the rights allow no change at all.
 * NULL with why, account_error(a).
 */
struct mailbox *mailbox_open(struct account *a, uint32_t box, unsigned flags,
	    struct why *why);
void	 mailbox_close(struct mailbox **m);
/*
 * Lay a view aside for who opens the mailbox next, who will mostly find that
 * nothing has happened.  False: something has, since it was opened, or it is a
 * maildir's; close it.
 */
MUST_CHECK bool	 mailbox_rest(struct mailbox *m);
/*
 * Whether m, which rests, is what mailbox_open() would give: as of the last
 * account_refresh(), no byte of what it was read from is another one now, nor
 * what the user may do.  False: close it.
 */
MUST_CHECK bool	 mailbox_wake(struct mailbox *m);
/*
 * Write the index anew, when much has happened since, so that the next one who
 * opens it need not read the journal.  Closing does this, too; it syncs, so
 * not while somebody waits.
 */
void	 mailbox_tidy(struct mailbox *m);

struct account *mailbox_account(const struct mailbox *m);
uint32_t mailbox_box(const struct mailbox *m);
/* It belongs to another account, mounted in mailbox_account(). */
bool	 mailbox_is_mounted(const struct mailbox *m);
/*
 * What the user may do there is decided when it is opened; look again, as of
 * the last account_refresh().  False: it may not be read any more, and should
 * be closed.
 */
MUST_CHECK bool mailbox_refresh_rights(struct mailbox *m);
unsigned mailbox_rights(const struct mailbox *m);	/* RIGHT_* */
bool	 mailbox_readonly(const struct mailbox *m);
uint32_t mailbox_count(const struct mailbox *m);	/* EXISTS */
uint32_t mailbox_recent(const struct mailbox *m);	/* RECENT, to us */
uint32_t mailbox_uidvalidity(const struct mailbox *m);
uint32_t mailbox_uidnext(const struct mailbox *m);	/* of the view */
/* HIGHESTMODSEQ: all changes up to it are in the view. */
uint64_t mailbox_modseq(const struct mailbox *m);
/* The same while expunges wait for being allowed: what is before all of them. */
uint64_t mailbox_modseq_told(const struct mailbox *m);
const uint8_t *mailbox_id(const struct mailbox *m);	/* 16 bytes */

/* --- messages -------------------------------------------------------------------- */

/* Flags are STORE_SEEN ... (store.h), and: */
#define MESSAGE_RECENT	 (1u << 8)	/* to this view */
#define MESSAGE_EXPUNGED (1u << 9)	/* by somebody; not yet reported */

struct mailbox_message {
	uint32_t	uid;
	uint32_t	flags;
	uint32_t	kwset;		/* its keywords: mailbox_kwset() */
	uint64_t	modseq;
	uint64_t	size;		/* RFC822.SIZE, bytes */
	int64_t		date_us;	/* INTERNALDATE */
	int		zone_min;	/* its zone: minutes east of UTC */
	int64_t		save_s;		/* SAVEDATE (RFC 8514), wall clock */
	uint8_t		emailid[16];	/* RFC 8474: hex of it */
};

/* seq 1 to count.  False: there is none. */
bool	 mailbox_message(const struct mailbox *m, uint32_t seq,
	    struct mailbox_message *out);
/* Cheaper, for loops; 0 where there is none. */
uint32_t mailbox_uid(const struct mailbox *m, uint32_t seq);
/* The 16 bytes of its EMAILID; *copied: it came here as a copy, and another
 * message may have the same.  NULL: there is none. */
const uint8_t *mailbox_emailid(const struct mailbox *m, uint32_t seq,
	    bool *copied);
/* maildir: the name of its file without the flags.  Empty: it has none. */
struct span mailbox_file(const struct mailbox *m, uint32_t seq);
/* The unique id that clients know it by from another server (uidls.h).  Empty:
 * there is none. */
struct span mailbox_uidl(struct mailbox *m, uint32_t seq);
/* The sequence number of uid, 0 when it is not in the view. */
uint32_t mailbox_seq(const struct mailbox *m, uint32_t uid);
/* The first sequence number whose UID is at least uid; count + 1: none. */
uint32_t mailbox_seq_from(const struct mailbox *m, uint32_t uid);
/* The first message without \Seen: a sequence number, or 0. */
uint32_t mailbox_first_unseen(const struct mailbox *m);

/*
 * Keywords.  Each has a number from 0 in this mailbox; a message has a set of
 * them, and messages with the same set share its number (0 is the empty one).
 * Names keep the case they were first used with and compare without it.
 */
uint32_t mailbox_keyword_count(const struct mailbox *m);
const char *mailbox_keyword(const struct mailbox *m, uint32_t number);
/* The number of name, or -1. */
int64_t	 mailbox_keyword_find(const struct mailbox *m, struct span name);
/* The numbers in a set, ascending; *v is good until the next change. */
uint32_t mailbox_kwset(const struct mailbox *m, uint32_t kwset,
	    const uint32_t **v);
bool	 mailbox_kwset_has(const struct mailbox *m, uint32_t kwset,
	    uint32_t number);
#define MAILBOX_KEYWORD_MAX	255	/* bytes of a name */
#define MAILBOX_KEYWORDS_MAX	4096	/* names in a mailbox */

/* --- content ----------------------------------------------------------------------- */

struct mailbox_content {
	struct span	 bytes;
	void		*hold;		/* private */
};
/*
 * The bytes of a message, checked against their checksum the first time.  -1
 * with why: ACCOUNT_EXPUNGED it is gone for good, ACCOUNT_CORRUPT damaged
 * (reported in the log; the bytes are there all the same when bytes.p is not
 * NULL, so that a person may save what is left).
 */
MUST_CHECK int mailbox_content(struct mailbox *m, uint32_t uid,
	    struct mailbox_content *out, struct why *why);
void	 mailbox_content_done(struct mailbox_content *c);
/*
 * The octets of message seq when it is sent as lines, each with its CRLF: its
 * size, and 2 more when the last line has no end (RFC 1939 3).  Mostly known
 * from when it was stored; otherwise found out here, and kept.
 */
uint64_t mailbox_lines_size(struct mailbox *m, uint32_t seq);
/*
 * The cache record of a message (mail/message_cache.h), from where it was
 * stored; made, and kept, when there was none.  *c, whose spans are of it, is
 * good until mailbox_content_done(), and has this part at least.
 */
MUST_CHECK int mailbox_cache(struct mailbox *m, uint32_t uid,
	    enum message_cache_part part, struct mailbox_content *out,
	    struct message_cache *c, struct why *why);
/* Threads: 1 and RFC 8474's THREADID, 0 there is none (NIL), -1. */
MUST_CHECK int mailbox_threadid(struct mailbox *m, uint32_t uid,
	    uint8_t out[16], struct why *why);

/*
 * Whether a message may contain what the signature query looks for
 * (mail/signature.h; the cache record's signature is asked).  False: it is
 * certainly not there.  A message without a usable record: true.
 */
bool	 mailbox_maybe(struct mailbox *m, uint32_t uid,
	    const struct signature_query *q);

/*
 * Whether the string is in a text part of the message, whose record is c, as
 * far as its bytes say that without being decoded.  1: certainly (the bytes are
 * not compared with their checksum); -1: certainly nowhere in the message, which
 * is said only of a word; 0: nothing is known.
 */
MUST_CHECK int mailbox_has_plain(struct mailbox *m, uint32_t uid,
	    const struct message_cache *c, const struct message_key *k);

/* --- what has changed -------------------------------------------------------------- */

struct mailbox_expunge {
	uint32_t	seq;		/* at the moment it is to be said:
					 * earlier ones are gone already */
	uint32_t	uid;
};

/* Arrays belong to the view and are good until the next call on it. */
struct mailbox_changes {
	/* In the order in which IMAP reports them: */
	const struct mailbox_expunge *expunged;
	size_t		 nexpunged;
	uint32_t	 count;		/* EXISTS now */
	uint32_t	 arrived;	/* how many of them are new: the last */
	/* Sequence numbers (after the expunges), ascending, whose flags
	 * others changed. */
	const uint32_t	*flags;
	size_t		 nflags;
	bool		 keywords;	/* there are new ones: say FLAGS */
	bool		 gone;		/* the mailbox was deleted, or made
					 * anew with another UIDVALIDITY: close
					 * it; nothing else is filled in */
	bool		 pending;	/* expunges wait for being allowed */
};
enum { MAILBOX_EXPUNGES = 1 };		/* they may be reported now */
/*
 * See what others did.  1: *c says; 0: nothing (one fstat), *c holds the
 * count; -1 with why.
 */
MUST_CHECK int mailbox_refresh(struct mailbox *m, unsigned flags,
	    struct mailbox_changes *c, struct why *why);

/*
 * RFC 7162 QRESYNC: UIDs that were expunged after modseq.  Where the history
 * does not reach back so far it is all UIDs below UIDNEXT that are not there
 * (RFC 7162 3.2.5.1 allows that); the caller intersects it with what the
 * client knows.  Changed messages are those with a greater modseq.
 */
MUST_CHECK int mailbox_vanished(struct mailbox *m, uint64_t modseq,
	    struct ranges *out, struct why *why);
/*
 * Add to *out what was gone at modseq already, as far as the history goes back:
 * an expunge says ranges, which may name such messages once more.
 */
void	 mailbox_vanished_before(const struct mailbox *m, uint64_t modseq,
	    struct ranges *out);

/* --- changing ----------------------------------------------------------------------- */

enum flags_op { FLAGS_REPLACE, FLAGS_ADD, FLAGS_REMOVE };

struct flags_request {
	const struct ranges *uids;
	enum flags_op	 op;
	uint32_t	 flags;
	const struct span *keywords;
	size_t		 nkeywords;
	/* RFC 7162 UNCHANGEDSINCE; UINT64_MAX: without.  0 never holds for a
	 * message that exists.  What others have changed since the last
	 * mailbox_refresh() does not matter where other flags are added or
	 * removed. */
	uint64_t	 unchanged_since;
};
struct flags_result {
	const struct ranges *changed;	/* UIDs whose flags are others now */
	const struct ranges *modified;	/* RFC 7162 MODIFIED: left alone */
	uint64_t	 modseq;	/* of this change; 0: nothing changed */
	bool		 keywords;	/* there are new ones */
};
/*
 * Change flags: all of it, or, with -1, nothing.  The rights s, w, t decide
 * flag by flag; what is not allowed is left alone, and when nothing of it is
 * allowed: ACCOUNT_NOPERM.
 */
MUST_CHECK int mailbox_store_flags(struct mailbox *m,
	    const struct flags_request *r, struct flags_result *out,
	    struct why *why);

/*
 * Expunge: those of uids that have \Deleted; uids NULL: all that have.  force:
 * whatever their flags are (POP3, MOVE).  The messages leave the view in this
 * call: *out has them as for mailbox_refresh(), together with what others had
 * expunged.
 */
struct expunge_result {
	const struct mailbox_expunge *v;
	size_t		 n;
	uint64_t	 modseq;	/* of this change; 0: nothing changed */
};
MUST_CHECK int mailbox_expunge(struct mailbox *m, const struct ranges *uids,
	    bool force, struct expunge_result *out, struct why *why);

/*
 * What RFC 4315 COPYUID and APPENDUID say.  Both sets ascend, and their nth
 * members belong together.
 */
struct uid_result {
	uint32_t	 uidvalidity;	/* of the destination */
	const struct ranges *from, *to;	/* from is NULL for APPEND */
	struct expunge_result expunged;	/* MOVE, REPLACE: left this view */
};
/*
 * fn is called before each message of a copy that writes bytes, and before each
 * file that a change of flags or an expunge renames in a maildir, which may take
 * seconds: done of goal are there.  fn may be NULL.  Locks are held then, and
 * nothing is there for others: it may call nothing of an account.
 */
typedef void mailbox_progress_fn(void *arg, uint64_t done, uint64_t goal);
void	 mailbox_on_progress(struct mailbox *m, mailbox_progress_fn *fn,
	    void *arg);
/*
 * Copy, or move, to dst of the account to (the same account: no byte is
 * copied).  All or nothing, but for a crash in the middle of a move, which
 * may leave messages in both.  *out is good until the next call on m.
 */
MUST_CHECK int mailbox_copy(struct mailbox *m, const struct ranges *uids,
	    struct account *to, uint32_t dst, struct uid_result *out,
	    struct why *why);
MUST_CHECK int mailbox_move(struct mailbox *m, const struct ranges *uids,
	    struct account *to, uint32_t dst, struct uid_result *out,
	    struct why *why);

/*
 * Whether messages of uids are expunged, by others: they stay in the view until
 * that may be told, but are left out by the two above.  As of the last
 * mailbox_refresh().
 */
bool	 mailbox_gone(struct mailbox *m, const struct ranges *uids);

/*
 * APPEND, MULTIAPPEND, CATENATE, REPLACE.  begin checks rights and quota;
 * then for each message: next(), data() as it comes, in pieces of any size
 * (small messages wait in memory, large ones in a file without a name; no
 * lock is held), and at the end commit(): all messages or none.  abort() at
 * any time, also after commit() failed.  Content is stored as it came.
 */
struct append;
struct append_info {
	uint32_t	 flags;
	const struct span *keywords;
	size_t		 nkeywords;
	int64_t		 date_us;	/* INTERNALDATE; 0: now */
	int		 zone_min;	/* of date_us */
	uint64_t	 size;		/* of what will come, when it is known;
					 * else 0: only for the quota */
};
/*
 * m: commit expunges uid of it when the message is there (RFC 8508); else
 * NULL.  That must be allowed, and the quota counts what is left.
 */
struct append *append_begin(struct account *a, uint32_t box,
	    struct mailbox *m, uint32_t uid, struct why *why);
MUST_CHECK int append_next(struct append *ap, const struct append_info *i,
	    struct why *why);
MUST_CHECK int append_data(struct append *ap, struct span s,
	    struct why *why);
/*
 * The message that came last is complete, and is to be another: fn is shown
 * its bytes and puts the other's with append_data().  What fn returns; -1 with
 * why also when they cannot be read.
 */
MUST_CHECK int append_again(struct append *ap,
	    int (*fn)(void *arg, struct span bytes, struct why *why),
	    void *arg, struct why *why);
/* *out is good until append_free(). */
MUST_CHECK int append_commit(struct append *ap, struct uid_result *out,
	    struct why *why);
void	 append_free(struct append **ap);

/* --- undelete ----------------------------------------------------------------------- */

struct mailbox_deleted {
	uint32_t	uid;
	uint64_t	size;
	int64_t		date_us, expunged_us;
};
/* What was expunged and still can be had, oldest UID first. */
MUST_CHECK int mailbox_deleted(struct account *a, uint32_t box,
	    bool (*fn)(void *arg, const struct mailbox_deleted *d), void *arg,
	    struct why *why);
/* Back again, with new UIDs and the flags they had but \Deleted. */
MUST_CHECK int mailbox_undelete(struct mailbox *m, const struct ranges *uids,
	    struct uid_result *out, struct why *why);

/* --- mending ------------------------------------------------------------------------ */

struct mailbox_verified {
	uint32_t	messages, damaged;
	uint32_t	differences;	/* between index and journal */
};
/* Compare the index with the journal and all messages with their checksums. */
MUST_CHECK int mailbox_verify(struct account *a, uint32_t box,
	    struct mailbox_verified *out, struct why *why);
/* Make index and cache anew; what a damaged journal does not say is given up. */
MUST_CHECK int mailbox_rebuild(struct account *a, uint32_t box,
	    struct why *why);

/* --- being told ---------------------------------------------------------------------- */

/*
 * One descriptor (inotify) that becomes readable when any of the mailboxes
 * that were added, or the list of an account, may have changed: within a
 * millisecond of a delivery.  Then call store_watch_read(), and
 * mailbox_refresh(), account_status() or account_refresh() for what it names.
 * A mailbox need not be open to be watched (NOTIFY).
 */
struct store_watch;
struct store_watch *store_watch_new(void);
void	 store_watch_free(struct store_watch **w);
int	 store_watch_fd(const struct store_watch *w);
/* box 0: the account's list.  Adding again is fine.  -1 with why. */
MUST_CHECK int store_watch_add(struct store_watch *w, struct account *a,
	    uint32_t box, struct why *why);
void	 store_watch_remove(struct store_watch *w, struct account *a,
	    uint32_t box);
/*
 * fn for each that may have changed, once; box 0: the list.  Does not block.
 * A watch whose file was replaced (compaction) is set on the new one here.
 */
void	 store_watch_read(struct store_watch *w,
	    void (*fn)(void *arg, struct account *a, uint32_t box), void *arg);

/*
 * For a session that hibernates: descriptors that the monitor watches with
 * inotify (/proc/self/fd/N, mask STORE_WATCH_MASK) and nothing else.  At most
 * max are written to fds (packed: 1, maildir: 3 a mailbox); they belong to
 * the caller, who closes them once they are passed on.  Returns how many, or
 * -1 with why.  Between opening them and waiting, compare
 * mailbox_refresh() == 0 once more, so that nothing is missed.
 */
#define STORE_WATCH_MASK	0x00000fc6u	/* IN_MODIFY ATTRIB MOVE CREATE
						 * DELETE DELETE_SELF MOVE_SELF */
#define STORE_WATCH_FDS		3
MUST_CHECK int store_watch_fds(struct account *a, uint32_t box, int *fds,
	    int max, struct why *why);

#endif
