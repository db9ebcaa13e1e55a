/* SPDX-License-Identifier: ISC */
/*
 * store_internal - what the formats share; seen by lib/store only.
 */
#ifndef STORE_STORE_INTERNAL_H
#define STORE_STORE_INTERNAL_H

#include <sys/stat.h>

#include "base/array.h"
#include "base/hash.h"
#include "base/list.h"
#include "store/packed_file.h"
#include "store/store.h"

struct store_fs;

struct store {
	struct store_options	 opt;
	char			*hostname;	/* fit for a file name */
	struct hash		 open;		/* key -> struct handle */
	struct list		 lru;		/* head: used last */
	size_t			 nopen;
	ARRAY(struct store_fs *) fss;
	bool			 dirty;
	struct packed_epoch	 epoch;
	struct handle		*locked;	/* whose lock we still hold */
	bool			 stale;		/* since we took that */
	bool			 tidy, tidy_idle;	/* store_tidy() may
						 * find something */
	struct buf		 scratch;	/* one message's record */
	struct buf		 cache;		/* what is kept of a message */
	struct buf		 small;		/* one, compressed */
};

/* An open mailbox. */
struct handle {
	struct list		 lru;
	struct span		 key;		/* in the hash */
	enum store_format	 format;
	char			*path;		/* base/path, for messages */
	dev_t			 dev;		/* of its directory */
	ino_t			 ino;
	struct store_fs		*fs;
	/* deliver_account.c: what limits the delivery under way, and what the
	 * account held when it was counted last. */
	const struct store_quota *limits;	/* the place's, or NULL */
	bool			 own_quota;
	struct store_quota	 own;		/* what its file says */
	int64_t			 usage_ms;	/* 0: not counted */
	uint64_t		 other_bytes, other_messages;
	unsigned		 warn;		/* a level was reached, percent */
	/* digest.c: messages since it was done, of these those that a
	 * checkpoint under way covers, and those that are durable; and how
	 * far the journal was then. */
	uint32_t		 fresh, syncing, durable;
	uint64_t		 syncing_tail, durable_tail;
	union {
		struct {
			int		tmp, new, cur;	/* directories */
			struct hash	seen;		/* base names in cur */
			struct timespec	seen_at;	/* cur's mtime */
			bool		have_seen;
		} md;
		struct packed	*pk;
	};
};

/* --- paths.c ---------------------------------------------------------------- */

/*
 * Open path below the directory dirfd, never leaving it: with openat2 where
 * there is one (links that stay below are fine), else component by component
 * without following any link.  -1 with errno; EXDEV or ELOOP for a link.
 */
int	 path_open_beneath(int dirfd, const char *path, int flags, mode_t mode);
/* The directory path below base, made with mode where missing. */
int	 path_make_beneath(int dirfd, const char *path, mode_t mode);
/* A descriptor of place's base directory. */
int	 path_open_base(const struct store_place *p, struct why *why);
/* Fill why from errno for what was tried on a mailbox. */
int	 store_fail(struct why *why, const char *what, const char *path);
#if defined(__clang_analyzer__) && !defined(STORE_FAIL_IMPLEMENTATION)
/* So that it knows what the call returns. */
#define store_fail(...)		((void)(store_fail)(__VA_ARGS__), -1)
#endif
/* Whether nobody has written to a file, nor put another one in its place. */
bool	 store_same_file(const struct stat *a, const struct stat *b);

/* --- store.c ------------------------------------------------------------------ */

void	 store_touch_fs(struct store *s, struct store_fs *fs);
struct store_fs *store_fs_of(struct store *s, int fd, dev_t dev);
void	 store_slow(struct store *s);
/* What a directory that is there already is. */
enum store_format store_detect(int dirfd, enum store_format fallback);
void	 store_wait(struct store *s, int64_t ms);

/* --- the formats -------------------------------------------------------------- */

int	 maildir_open(struct store *s, struct handle *h,
	    const struct store_place *p, int dirfd, struct why *why);
void	 maildir_close(struct handle *h);
/* 0, 1, -1; -2: the directory has gone, open it again. */
int	 maildir_deliver(struct store *s, struct handle *h,
	    const struct store_message *m, struct why *why);
int	 mbox_deliver(struct store *s, const struct store_place *p,
	    const struct store_message *m, struct why *why);
int	 packed_deliver(struct store *s, struct handle *h,
	    const struct store_message *m, struct why *why);

/* digest.c: note what a checkpoint that begins will have made durable. */
void	 digest_sync_begins(struct store *s);

/* The box of a folder of the packed account in dirfd, or INBOX's. */
uint32_t deliver_folder(int dirfd, const char *path, const char *folder);
/* Whether a message of so many bytes fits into the account: 0, or -1 with why
 * (4.2.2; 5.2.2: it never will). */
int	 deliver_quota(struct store *s, struct handle *h, uint64_t bytes,
	    struct why *why);
/* What the account in dirfd holds (usage.c). */
int	 usage_count(int dirfd, const char *path, enum store_format f,
	    const struct packed_epoch *e, struct store_quota *out,
	    struct why *why);
/* It was stored: h->warn says whether a level was reached. */
void	 deliver_counted(struct handle *h, uint64_t bytes);
/* Warn of h->warn: in the log, and by a message in the account's INBOX. */
void	 deliver_warn(struct store *s, struct handle *h,
	    const struct store_place *p, const struct store_message *m);

/* maildir file name of a delivery, without what follows the recipient. */
#define MAILDIR_NAME_MAX 255
void	 maildir_name(const struct store *s, const struct store_message *m,
	    char out[MAILDIR_NAME_MAX + 1]);

/* --- mbox's text -------------------------------------------------------------- */

/* "From sender date\n": sender without what would break the line. */
void	 mbox_from_line(struct buf *out, struct span sender, int64_t wall_us);
/*
 * Put '>' in front of lines that begin with "From " while bytes stream past
 * in pieces of any size.  Zeroed at first; tail ends the message: a line end
 * where one is missing, and the blank line.
 */
struct mbox_quoter {
	unsigned	matched;	/* bytes of "From " seen on this line */
	bool		in_line;	/* not at the start of a line */
	bool		last_nl;
	bool		any;
};
void	 mbox_quote(struct mbox_quoter *q, struct span in, struct buf *out);
void	 mbox_quote_end(struct mbox_quoter *q, struct buf *out);
/*
 * Where the last message of an mbox was begun and not finished by a writer
 * of ours: the offset of its NUL, or -1 when the mailbox ends well.  in is
 * the end of the file, whose first byte has offset at.
 */
int64_t	 mbox_find_half(struct span in, int64_t at);
/* Is there a message start at p, where a line begins?  2: one that was
 * committed, 1: a half, 0: none. */
int	 mbox_start_at(const char *p, size_t left);

/* --- mbox's locks ------------------------------------------------------------- */

/* One attempt at the locks of flags (STORE_LOCK_FCNTL, STORE_LOCK_FLOCK) that
 * are on the file itself; 0, or -1 with errno. */
MUST_CHECK int mbox_lock_file(int fd, unsigned flags);
/* One attempt at the file name: 1 it is ours now, to be unlinked, 0 somebody
 * has it, or had it and is dead: try again; -1 it cannot be made, errno. */
MUST_CHECK int mbox_dotlock(struct store *s, int dirfd, const char *name);

/* --- readers ------------------------------------------------------------------ */

struct box_item {
	struct store_item	 item;
	/* maildir: the file; mbox: offset and raw length; packed: where. */
	char			*name;
	char			*qid, *rcpt;
	uint32_t		 segment;
	uint64_t		 offset, len;
	uint32_t		 crc;
	bool			 in_cur, zstd;
};

struct store_box {
	enum store_format	 format;
	char			*path;
	int			 dirfd;		/* mbox: the file */
	ARRAY(struct box_item)	 items;
	uint32_t		 uidvalidity, uidnext;
};

int	 maildir_box_load(struct store_box *b, struct why *why);
int	 maildir_box_read(struct store_box *b, const struct box_item *it,
	    struct buf *out, struct why *why);
int	 mbox_box_load(struct store_box *b, struct why *why);
int	 mbox_box_read(struct store_box *b, const struct box_item *it,
	    struct buf *out, struct why *why);
int	 packed_box_load(struct store_box *b, struct why *why);
int	 packed_box_read(struct store_box *b, const struct box_item *it,
	    struct buf *out, struct why *why);

#endif
