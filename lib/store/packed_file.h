/* SPDX-License-Identifier: ISC */
/*
 * packed_file - the files of a packed mailbox: its journal and segments, as
 * deliveries and open views use them; seen by lib/store only.
 *
 * A maildir's journal is one, too: without segments, its messages lie in files
 * of their own.
 */
#ifndef STORE_PACKED_FILE_H
#define STORE_PACKED_FILE_H

#include "base/array.h"
#include "base/hash.h"
#include "store/lines.h"
#include "store/packed.h"

struct packed {
	int			 dirfd, jfd, segfd;
	uint32_t		 segno;		/* what segfd is */
	char			*path;		/* for messages */
	char			 jname[PACKED_NAME_MAX];
	uint32_t		 box;
	bool			 writable, alone, fresh;
	uint32_t		 least_valid;	/* UIDVALIDITY of a new one */
	struct packed_epoch	 epoch;
	struct packed_head	 head;		/* state: at state.tail */
	struct hash		 index;		/* queue id NUL rcpt -> place */
	bool			 have_index, locked, checked;
	bool			 damaged;	/* records were passed over */
	bool			 moved;		/* index: some have other places */
	uint64_t		 saved_tail;
	uint64_t		 upto;		/* read no further; 0: all */
	struct buf		 out;		/* records being put */
	bool			 jdirty, sdirty;	/* to be synced: journal, */
	bool			 ddirty;	/* segment, directory */
	bool			 keep;		/* who syncs file by file: */
	ARRAY(int)		 unsynced;	/* segments left while dirty */
	uint64_t		 jturn, sturn;	/* account_wrote()'s */
	/* Called for each record as state comes past it; own: one that
	 * packed_flush() has just written. */
	void			(*hook)(void *arg,
				    const struct packed_record *r, bool own);
	void			*hook_arg;
	/* Wait before the lock is tried again, ms; NULL: sleep. */
	void			(*wait)(void *arg, int64_t ms);
	void			*wait_arg;
};

/* Results beside 0 and -1. */
#define PACKED_GONE	(-2)	/* the file was removed or replaced: open it
				 * again */
/* How often in a row, at most: several processes may be compacting. */
#define PACKED_TURNS	100

/* --- packed_journal.c ------------------------------------------------------- */

enum {
	PACKED_WRITE	= 1 << 0,	/* else only read */
	PACKED_CREATE	= 1 << 1,	/* make it when missing or damaged */
	PACKED_FRESH	= 1 << 3,	/* a number that no mailbox had: there
					 * is nothing of it in the segments */
	PACKED_ALONE	= 1 << 2,	/* maildir: no segments to rebuild from,
					 * the file is "mansio.jrn" */
	PACKED_CHANGES	= 1 << 4,	/* the change journal (changes.c) */
};
#define PACKED_CHANGES_NAME "changes.jrn"
#define PACKED_ALONE_CHANGES "mansio-changes.jrn"
#define PACKED_ALONE_NAME "mansio.jrn"
#define PACKED_ALONE_ACCOUNT "mansio-account.jrn"

/*
 * Open the journal of box in dirfd, which is duplicated; box 0 is the
 * account's.  A new one gets a UIDVALIDITY of at least least_valid.  NULL with
 * why and errno (ENOENT: there is none).
 */
struct packed *packed_open(int dirfd, const char *path, uint32_t box,
	    const struct packed_epoch *e, unsigned flags,
	    uint32_t least_valid, struct why *why);
void	 packed_close(struct packed **p);
void	 packed_name(uint32_t box, const char *suffix,
	    char out[PACKED_NAME_MAX]);
/*
 * Go past what others have appended since.  Without the lock a record that is
 * not whole yet is left for later; with it, it is cut off.  1: there was
 * something, 0: nothing; -1 with why; PACKED_GONE.
 */
int	 packed_catch_up(struct packed *p, struct why *why);
/* Start over from the first record. */
void	 packed_rewind(struct packed *p);
/* Some that were there are not any more: their UIDs must not come again. */
void	 packed_records_lost(struct packed *p);
/* Take the lock, catch up, and see to it that this epoch may write: 0, -1,
 * PACKED_GONE (then the lock is not held). */
int	 packed_lock(struct packed *p, struct why *why);
void	 packed_unlock(struct packed *p);
/*
 * Let others write while we go on to put what is not to be flushed, but to be
 * packed_restart()ed with: bytes go to segments that nobody knows of.
 */
void	 packed_part(struct packed *p);
/* See to it that n more UIDs may be given out. */
int	 packed_reserve(struct packed *p, uint32_t n, struct why *why);
/*
 * Put a record; flush writes all that were put with one modseq, state.modseq
 * + 1, and goes past them.  After a failure nothing was written.
 */
void	 packed_put(struct packed *p, unsigned type, struct span payload);
int	 packed_flush(struct packed *p, struct why *why);
/*
 * Replace all that the journal says by what was put, with the head's
 * UIDVALIDITY and at least this UIDNEXT; it is durable then.  The file that p
 * has open is not the mailbox's any more.
 */
int	 packed_restart(struct packed *p, uint32_t uidnext, struct why *why);
/* No UID below this one is given out any more; under the lock. */
int	 packed_raise_uidnext(struct packed *p, uint32_t uidnext,
	    struct why *why);
/* Forget what was put. */
void	 packed_drop(struct packed *p);
int64_t	 packed_scan_file(int fd, uint64_t from, uint64_t size,
	    size_t *damaged, bool (*fn)(void *, const struct packed_record *),
	    void *arg);
int	 packed_open_checked(int dirfd, const char *name, int flags);
void	 packed_new_guid(uint8_t out[16]);

static inline uint64_t
packed_align(uint64_t n)
{
	return (n + 7) & ~(uint64_t)7;
}

/* --- packed_rebuild.c -------------------------------------------------------- */

/* Make the journal, empty or from the segments; damaged: one is there. */
int	 packed_make_journal(struct packed *p, bool damaged, struct why *why);
/* Replace the journal, whose lock is ours, by these records: they and the new
 * head are durable, or, with -1, nothing has changed. */
int	 packed_replace(struct packed *p, struct span records,
	    struct why *why);

/* --- packed_segment.c -------------------------------------------------------- */

/* A segment_tail that lets no message be appended. */
#define SEGMENT_CLOSED	((uint64_t)PACKED_SEGMENT_MAX + 1)

void	 packed_segment_name(uint32_t no, char out[PACKED_NAME_MAX]);
/* Leave the open segment. */
void	 packed_segment_close(struct packed *p);
/* Make segfd segment no.  0, or -1 with errno. */
int	 packed_segment_open(struct packed *p, uint32_t no);
/* Make segfd the one that need bytes are appended to at segment_tail. */
int	 packed_segment_choose(struct packed *p, uint64_t need,
	    struct why *why);

/* A message to be written: pieces that are at hand, then a file's bytes. */
struct packed_source {
	struct span	head;		/* in front */
	struct store_content *content;	/* or NULL */
	struct span	cache;		/* behind it; may be empty */
	const struct line_count *lines;	/* of all of it; NULL: to be counted */
};
/* Write it at offset of the open segment: *m gets len and crc. */
int	 packed_segment_write(struct packed *p, struct packed_source *src,
	    struct packed_message *m, uint64_t offset,
	    struct line_count *lines, struct why *why);
/*
 * Compress what src says, when that is worth it: src is the compressed bytes,
 * in out, then; *lines counts them as they were, *len is how many.
 */
bool	 packed_compress(struct packed_source *src, int level, struct buf *out,
	    struct line_count *lines, uint64_t *len);
/* Append the cache record of a message; *lines, unless it is NULL, gets what
 * has been counted on the way. */
void	 message_make_cache(struct span bytes, struct buf *out,
	    struct line_count *lines);
/* Bytes that a message of len takes up. */
static inline uint64_t
packed_need(uint64_t len, uint64_t cache_len)
{
	return packed_align(PACKED_MESSAGE_HEADER + len) +
	    packed_align(cache_len);
}
/* Give back what was written behind the tail. */
void	 packed_segment_undo(struct packed *p);
/* CRC of len bytes: 1 it is want, 0 it is not, -1 with errno. */
int	 packed_check_bytes(int fd, uint64_t at, uint64_t len, uint32_t want);

/* --- packed_deliver.c --------------------------------------------------------- */

void	 packed_index_add(struct packed *p, const struct packed_arrival *a);

#endif
