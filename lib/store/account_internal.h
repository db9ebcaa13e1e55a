/* SPDX-License-Identifier: ISC */
/*
 * account_internal - what the files of an account share; lib/store only.
 */
#ifndef STORE_ACCOUNT_INTERNAL_H
#define STORE_ACCOUNT_INTERNAL_H

#include <time.h>

#include "base/array.h"
#include "base/hash.h"
#include "store/account.h"
#include "store/looks.h"
#include "store/packed_file.h"
#include "store/store_internal.h"

struct acct_box {
	uint32_t	 box;
	char		*name;
	unsigned	 flags;		/* BOX_NOSELECT */
	unsigned	 special;
	uint32_t	 uidvalidity;
	uint8_t		 mailboxid[16];
	/* Deleted; name, use and rights are its last ones, to be had back
	 * until it is purged, too. */
	bool		 gone, purged;
	int64_t		 gone_us;
};

struct acct_right {
	uint32_t	 box;
	char		*ident;
	unsigned	 rights;
};

/* Another account below a name of this one's list (account_mount.c). */
struct acct_mount {
	char		*prefix;	/* "Other Users/bob@example.org" */
	struct account	*a;
};
#define MOUNT_SHIFT	24		/* of a mount's number in a box's */

/* A segment, mapped for reading. */
struct acct_segment {
	uint32_t	 number;
	const char	*map;
	size_t		 len, size;	/* mapped; bytes of file */
	int		 fd;
	struct looks	 looks;
};

/* What mailbox_content.hold is: the memory behind it, or a mapping. */
struct content_hold {
	void		*map;
	size_t		 len;		/* of it, or of the memory */
	unsigned	 others;	/* hold it, too */
};
void	 content_hold_free(struct content_hold *h);

struct account {
	struct account_options	 opt;		/* with copies of the strings */
	enum store_format	 format;
	char			*path;		/* for messages */
	int			 dirfd;
	struct packed_epoch	 epoch;
	struct packed		*list;		/* its journal */
	enum account_error	 error;
	ARRAY(struct acct_box)	 boxes;		/* by number */
	struct hash		 subscribed;	/* name -> itself */
	struct hash		 metadata;	/* key -> struct buf's bytes */
	/* Keys that changed last, the oldest first; since: how many before. */
	char			*meta_keys[ACCOUNT_METADATA_TOLD];
	uint32_t		 meta_boxes[ACCOUNT_METADATA_TOLD];
	uint64_t		 meta_changes;	/* counted from the open */
	ARRAY(struct acct_right) rights;
	ARRAY(struct account_box) shown;	/* made from these when wanted */
	/* Others' that may be used by those who know their names, and not be
	 * listed (account_mount.c). */
	ARRAY(struct account_box) hidden;
	ARRAY(char *)		 made;		/* names that only these two have */
	bool			 stale;		/* shown is to be made again */
	struct timespec		 listed;	/* maildir: root's time */
	uint64_t		 change;	/* counts applied records */
	ARRAY(int)		 dirty;		/* descriptors to be synced */
	bool			 lost;		/* some could not be */
	uint64_t		 sync_turn;	/* counts account_sync() */
	uint64_t		 ahead;		/* bytes appended (mailbox_append.c) */
	ARRAY(struct packed *)	 writers;	/* journals open for appending */
	ARRAY(struct acct_segment) segments;
	/* The compressed message that was undone last: clients ask for a large
	 * one in pieces. */
	struct {
		struct content_hold *hold;	/* NULL: none */
		uint32_t	 segment, crc;
		uint64_t	 offset;
	} undone;
	size_t			 views;		/* open mailboxes */
	int64_t			 before_us;	/* tests: what is over */
	struct mailbox		*target;	/* put into last, or NULL */
	struct account		*parent;	/* it is mounted there */
	uint32_t		 base;		/* its mount's number, shifted */
	ARRAY(struct acct_mount) mounts;
	ARRAY(char *)		 reserved;	/* names that are for mounts */
	int64_t			 limits_ms;	/* 0: not read lately */
	struct store_quota	 limits;
	int64_t			 used_ms;	/* 0: not counted lately */
	uint64_t		 used_bytes, used_messages;
};

/* Note what went wrong, for account_error(); returns -1. */
int	 account_fail(struct account *a, enum account_error e);
/* -1 with why and error in one. */
int	 account_say(struct account *a, enum account_error e, struct why *why,
	    const char *fmt, ...) PRINTF(4, 5);
/* The error that errno, or a why of the store, stands for. */
int	 account_io(struct account *a, const struct why *why);
#if defined(__clang_analyzer__) && !defined(ACCOUNT_IMPLEMENTATION)
/* So that it knows what the calls return. */
#define account_fail(...)	((void)(account_fail)(__VA_ARGS__), -1)
#define account_say(...)	((void)(account_say)(__VA_ARGS__), -1)
#define account_io(...)		((void)(account_io)(__VA_ARGS__), -1)
#endif

struct acct_box *account_box_by_id(struct account *a, uint32_t box);
struct acct_box *account_box_by_name(struct account *a, struct span name);
/* Lock the list's journal with all of it read: 0 or -1. */
int	 account_lock(struct account *a, struct why *why);
void	 account_unlock(struct account *a);
/* Write what was put, under the lock. */
int	 account_flush(struct account *a, struct why *why);
void	 account_put_box(struct account *a, const struct acct_box *b);
/* Those of these special uses that no mailbox but this one has. */
unsigned account_uses_free(const struct account *a, unsigned uses,
	    uint32_t but);
/*
 * What was deleted before then cannot be had back from now on; its files are
 * the caller's to remove.  Where the disk is full the list does not say so,
 * and they are removed all the same.
 */
void	 account_forget_deleted(struct account *a, int64_t before_us);
/* INBOX without case is "INBOX". */
struct span account_canon(struct span name);

/*
 * The journal of a box, opened for writing, kept, and locked; or NULL with
 * why.  The caller unlocks it.
 */
struct packed *account_writer(struct account *a, uint32_t box,
	    struct why *why);
void	 account_drop_writer(struct account *a, struct packed *p);
/* PACKED_CREATE where the list says that there is such a mailbox: a journal
 * that was lost or damaged is made from the segments.  Else 0. */
unsigned account_may_make(struct account *a, uint32_t box);
/* Open the journal of a box anew. */
struct packed *account_journal(struct account *a, uint32_t box,
	    unsigned flags, struct why *why);
/* A descriptor of a file or directory that is to be synced. */
void	 account_note_dirty(struct account *a, int fd);
/* What was written through p is to be synced with the account. */
void	 account_wrote(struct account *a, struct packed *p);
void	 account_segments_fini(struct account *a);
/* Bytes offset to offset + len of a segment; NULL with why. */
const char *account_map(struct account *a, uint32_t no, uint64_t offset,
	    uint64_t len, struct why *why);
/*
 * The same for who only looks: where little is looked at around them (looks.h)
 * the first few of them, copied into room; else all.  Empty: they are not to be
 * had.
 */
struct span account_look(struct account *a, uint32_t no, uint64_t offset,
	    uint64_t len, size_t few, char *room);
/* A descriptor of the directory of a box (maildir) or the account's. */
int	 account_box_dir(struct account *a, uint32_t box, struct why *why);
/* Whether the acting user has all of these rights; else ACCOUNT_NOPERM. */
int	 account_need(struct account *a, uint32_t box, unsigned rights,
	    struct why *why);
/* Whether the acting user is whose account it is. */
bool	 account_is_owner(const struct account *a);
/* Whether the user may know that this mailbox of a is there (RFC 4314 4). */
bool	 account_is_known(struct account *a, uint32_t box);
/* Put records that give box the rights of another, for account_flush(). */
void	 account_inherit_rights(struct account *a, uint32_t from, uint32_t box);
/* Write the name into the mailbox's own journal, in case that the list is lost;
 * the mailbox's MODSEQ grows by that. */
void	 account_note_name(struct account *a, uint32_t box, struct span name);
/* Put records that take these uses away from whoever but box has them. */
void	 account_take_special(struct account *a, unsigned special,
	    uint32_t but);

/* --- account_list.c ------------------------------------------------------------ */

int	 account_list_open(struct account *a, struct why *why);	/* account.c */
/* Make what is missing: INBOX, the folders of store_auto_create. */
int	 account_list_init(struct account *a, struct why *why);
void	 account_list_fini(struct account *a);

/* --- account_maildir.c: Maildir++ ---------------------------------------------- */

/* Take folders that others made or removed into the list. */
int	 account_maildir_list(struct account *a, struct why *why);
/* Make the folder of b->name with its journal; fills b.  The list's lock is
 * held in this and what follows. */
int	 account_maildir_make(struct account *a, struct acct_box *b,
	    uint32_t least_valid, struct why *why);
int	 account_maildir_delete(struct account *a, const struct acct_box *b,
	    struct why *why);
/* A folder that was deleted gets its place back. */
int	 account_maildir_undelete(struct account *a, const struct acct_box *b,
	    struct why *why);
/* Remove messages and folders that were deleted before then. */
void	 account_maildir_purge(struct account *a, int64_t before_us,
	    struct account_purged *out);
/* Move the folders; with -1 none is moved. */
int	 account_maildir_rename(struct account *a, struct span from,
	    struct span to, struct why *why);
/* Undo these, when the list could not be written. */
void	 account_maildir_unmake(struct account *a, const struct acct_box *b);
void	 account_maildir_unrename(struct account *a, struct span from,
	    struct span to);

/* --- account_mount.c ----------------------------------------------------------- */

/* The account that box belongs to, and its own number of it. */
struct account *account_at(struct account *a, uint32_t *box);
/* The same for a name, which loses the mount's prefix. */
struct account *account_named(struct account *a, struct span *name);
bool	 account_is_reserved(const struct account *a, struct span name);
int	 account_not_reserved(struct account *a, struct span name,
	    struct why *why);
void	 account_show_mounts(struct account *a);
void	 account_refresh_mounts(struct account *a);
void	 account_mounts_fini(struct account *a);

/* --- account_metadata.c ------------------------------------------------------ */

/* A mailbox gets a copy of another's annotations. */
int	 account_metadata_copy(struct account *a, uint32_t from, uint32_t to,
	    struct why *why);

/* --- account_records.c ------------------------------------------------------- */

/* A record of the account's journal. */
void	 account_apply(void *arg, const struct packed_record *r, bool own);
void	 account_records_fini(struct account *a);
/* The key of a metadata entry in the hash. */
void	 account_metadata_key(struct buf *key, uint32_t box,
	    struct span entry);

#endif
