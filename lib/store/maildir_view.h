/* SPDX-License-Identifier: ISC */
/*
 * maildir_view - a maildir as an open mailbox; seen by maildir_*.c only.
 *
 *	maildir_view.c		opening, names, content
 *	maildir_sync.c		what other programs did
 *	maildir_follow.c	being told of it
 *	maildir_change.c	what we do
 */
#ifndef STORE_MAILDIR_VIEW_H
#define STORE_MAILDIR_VIEW_H

#include <sys/stat.h>
#include <time.h>

#include "base/array.h"
#include "base/hash.h"
#include "store/mailbox_internal.h"

/* Expunged messages wait here, beside new/ and cur/, to be wanted back; other
 * programs take only names that begin with a dot for folders. */
#define MAILDIR_EXPUNGED "mansio-expunged"

struct mdfile {
	char		*name;		/* as it is now; NULL: not looked at */
	bool		 in_cur;
	bool		 seen;		/* in this scan */
	bool		 known;		/* has a record */
	bool		 counted;	/* in nnew */
	bool		 touched;	/* an event named it */
	uint32_t	 rec;
};

/* A file that has another name now, until the journal says so, too. */
struct mdmove {
	int		 from, to;	/* directories */
	char		*old, *name;
	enum { MOVED_FLAGS, MOVED_FRESH, MOVED_GONE, MOVED_BACK } why;
	bool		 done, drop;	/* drop: not to be had back */
};

struct maildir_view {
	int		 cur, new, tmp, gone;
	/*
	 * What the directories' times were when all in them was known; 0: not
	 * known.
	 */
	struct timespec	 cur_at, new_at;
	struct hash	 files;		/* base -> struct mdfile */
	ARRAY(struct hash_entry *) touched;
	uint32_t	 nnamed;	/* records whose name is in it */
	uint32_t	 nnew;		/* files in new/ */
	/* How many of new/'s had a UID below this one at the last look; what
	 * has a greater one was not in cur/. */
	uint32_t	 was_new, was_next;
	bool		 scanned;	/* files has all names */
	bool		 force;		/* believe nothing, read them */
	int		 events;	/* inotify, or -1 */
	int		 wd_cur, wd_new;
	bool		 followed;	/* every change since is an event */
	struct mdfile	 guess;		/* find_file()'s, when it has none */
	ARRAY(struct mdmove) moves;
};

/* --- maildir_view.c ------------------------------------------------------------ */

/* The part of a name that is a message's for ever. */
struct span maildir_base(const char *name);
/* The STORE_* flags that a name says. */
uint32_t maildir_flags(const char *name);
/* base, ":2," and the flags in the order of the alphabet, and what letters
 * other programs have put into old. */
void	 maildir_name_with(struct buf *out, struct span base, const char *old,
	    uint32_t flags);
/* A message's id, made from its file's name without the flags. */
void	 maildir_guid(struct span base, uint8_t out[16]);
/*
 * The file of a record: as it was seen, or as it should be called.  NULL:
 * there is none.  Good until the next call.
 */
struct mdfile *maildir_file(struct mailbox *m, const struct record *r);
int	 maildir_read_file(const struct maildir_view *v,
	    const struct mdfile *f, struct stat *st);
struct content_hold *maildir_hold_file(int fd, size_t len,
	    struct span *bytes);
void	 maildir_file_free(void *arg);

/* --- maildir_sync.c -------------------------------------------------------------- */

/* Enter the records that came since, so that their files are known. */
void	 maildir_enter_records(struct mailbox *m);
/* Note in the journal that all is known, for the next one who opens it. */
void	 maildir_note_scanned(struct mailbox *m);
/* Whether a file's name is that of a message. */
bool	 maildir_is_message(const char *name);
/* The file is, or is not, in new/. */
void	 maildir_count_new(struct maildir_view *v, struct mdfile *f, bool is);

/* --- maildir_follow.c ------------------------------------------------------------ */

#define MAILDIR_FOLLOW_MIN 1000	/* messages: fewer are read in no time */

/* Ask to be told, before all is read for the last time. */
void	 maildir_follow(struct mailbox *m);
void	 maildir_events_close(struct maildir_view *v);
bool	 maildir_has_events(const struct maildir_view *v);
/* Wait for who is renaming in a directory: its events are queued then. */
void	 maildir_barrier(int dir);
/* Take in all that is queued; false: it was too much, some are missing. */
bool	 maildir_drain(struct mailbox *m);
/*
 * Look at the files that events named.  1; 0: a message has gone, or events
 * are missing: all has to be read to be certain.
 */
int	 maildir_take_events(struct mailbox *m);
void	 maildir_forget_touched(struct maildir_view *v);
/* Whether the file has the name that is known. */
bool	 maildir_is_there(struct maildir_view *v, const struct mdfile *f);

#endif
