/* SPDX-License-Identifier: ISC */
/*
 * mailbox_internal - an open mailbox from inside; lib/store only.
 *
 * The messages are records, ascending by UID: first those of the index file
 * (index.h), mapped privately so that changes stay ours, then those that came
 * later.  A record never leaves while the view is open; what the client calls
 * a sequence number is a position in `order', or, while nothing is missing
 * from it (order is NULL), the record's number + 1.
 */
#ifndef STORE_MAILBOX_INTERNAL_H
#define STORE_MAILBOX_INTERNAL_H

#include <sys/stat.h>
#include <time.h>

#include "base/array.h"
#include "base/ranges.h"
#include "store/account_internal.h"
#include "store/mailbox.h"
#include "store/uidls.h"

/* As in the index file: the layout is the file's. */
struct record {
	uint32_t	uid;
	uint32_t	flags;		/* STORE_*, MESSAGE_*, RECORD_* */
	uint64_t	modseq;
	uint32_t	kwset;
	uint32_t	segment;	/* or PACKED_NO_SEGMENT: a file */
	uint64_t	offset;		/* in it; file: in mailbox.names */
	uint64_t	len;		/* bytes stored there */
	uint64_t	size;		/* bytes in CRLF form; 0: not known */
	int64_t		date_us;
	uint32_t	save_s;
	uint32_t	crc;		/* of the bytes stored */
	uint64_t	cache_at;	/* offset in the cache file; 0: it is
					 * not there */
	uint32_t	cache_len;	/* bytes; 0: none */
	int16_t		zone_min;	/* of date_us: minutes east of UTC */
	uint16_t	spare;
	uint8_t		guid[16];
};

#define RECORD_BLOCK	512u		/* of the index: checked together */

#define RECORD_CHANGED	(1u << 17)	/* told at the next refresh */
#define RECORD_OFFERED	(1u << 18)	/* expunged and told */
/* As PACKED_ENDED and PACKED_OPEN. */
#define RECORD_ENDED	(1u << 19)
#define RECORD_OPEN	(1u << 20)
#define RECORD_COPIED	(1u << 21)	/* as PACKED_COPIED */
#define RECORD_BEHIND	(1u << 22)	/* the cache record lies behind the
					 * message, too */
#define RECORD_ZSTD	(1u << 23)	/* as PACKED_ZSTD */
#define RECORD_STORED	(STORE_SEEN | STORE_ANSWERED | STORE_FLAGGED | \
			 STORE_DELETED | STORE_DRAFT)
/* What the index file keeps of flags. */
#define RECORD_KEPT	(RECORD_STORED | RECORD_ENDED | RECORD_OPEN | \
			 RECORD_COPIED | RECORD_BEHIND | RECORD_ZSTD)

static inline uint32_t
record_how(const struct record *r)
{
	return r->flags & RECORD_ENDED ? PACKED_ENDED :
	    r->flags & RECORD_OPEN ? PACKED_OPEN : 0;
}

struct kwset {
	uint32_t	 n;
	uint32_t	*v;
};

struct uid_pair {
	uint32_t	first, last;
};

struct vanished {
	uint64_t	modseq;
	uint32_t	first, last;
};

/* When messages were expunged, for those who want to have them back. */
struct expunge_time {
	uint64_t	modseq;
	int64_t		when_us;
	uint32_t	first, last, moved;
};

/* Sums over the messages that are not expunged, as far as the journal was read,
 * and where to begin to look. */
struct mailbox_sum {
	uint32_t	messages, unseen, deleted;
	uint32_t	first_unseen;		/* no record before it is */
	uint32_t	recent_from, recent_at;	/* of the index: the first
						 * record from this UID on */
	uint64_t	bytes, deleted_bytes;
};

/* A mapping of the cache file, longer than it is. */
struct cache_map {
	const char	*p;
	size_t		 len, size;
	struct looks	 looks;
};

struct mailbox {
	struct account	*a;
	uint32_t	 box;
	unsigned	 flags;
	unsigned	 rights;
	struct packed	*p;
	mailbox_progress_fn *progress;		/* or NULL */
	void		*progress_arg;
	uint64_t	 files_done, files_goal; /* maildir: to be renamed; 0:
						 * that is not told */
	/* records */
	void		*map;			/* of the index file */
	struct stat	 map_st;
	bool		 map_lost;		/* the power may have cut it */
	struct record	*base;
	uint32_t	 nbase;
	uint32_t	 base_last;		/* UID of the last of them */
	ARRAY(struct record) extra;
	uint64_t	 index_tail;		/* journal covered by it */
	struct mailbox_sum sum;
	/* Those of the index come in blocks, which are checked when they are
	 * looked at first; only of ready ones record_at() may be used. */
	const struct index_block *blocks;
	uint8_t		*ready;			/* of each block: 0 or 1 */
	uint32_t	 nunready;		/* 0: they all are */
	bool		 late;			/* they may be unready */
	bool		 bad;			/* one is damaged: mend it */
	bool		 distrust;		/* load without the index */
	uint64_t	 upto;			/* and no more than this */
	/* the view */
	uint32_t	*order;			/* seq - 1 -> record */
	uint32_t	 count;
	uint32_t	 shown;			/* records announced so far */
	uint32_t	 nrecent;
	ARRAY(struct uid_pair) recent;		/* claimed by us, ascending */
	uint32_t	 recent_from;		/* UIDs nobody has claimed */
	bool		 gone, loading;
	bool		 whole;			/* also what was expunged */
	ARRAY(struct expunge_time) times;	/* when whole */
	/* keywords */
	ARRAY(char *)	 keywords;
	ARRAY(struct kwset) kwsets;
	bool		 new_keywords;
	size_t		 kw_mark, set_mark;	/* written so far */
	/* expunges that can be told to QRESYNC clients */
	ARRAY(struct vanished) vanished;
	uint64_t	 history;		/* complete above this modseq */
	/* what others did and was not told yet */
	uint32_t	 nexpunged;
	uint64_t	 pending_from;		/* the first one's modseq */
	bool		 changed;		/* some RECORD_CHANGED */
	/* results */
	ARRAY(struct mailbox_expunge) told;
	ARRAY(uint32_t)	 told_flags;
	struct ranges	 set1, set2;
	/* content */
	uint8_t		*checked;		/* CHECKED_* of each record,
						 * packed */
	uint32_t	 nchecked;
	int		 cachefd;
	ARRAY(struct cache_map) cache_maps;	/* the last one holds */
	uint64_t	 cache_number;		/* of the file; 0: none yet */
	uint64_t	 cache_tail;		/* of the cache file, read */
	bool		 cache_later;		/* not read yet */
	struct buf	 names;			/* maildir: u16 length, name */
	bool		 foreign;		/* flushing what others did */
	uint64_t	 work;			/* records changed, or learned
						 * about, since the index */
	struct maildir_view *md;
	struct uidls	*uidls;		/* NULL: not read yet */
	struct stat	 rested;	/* the journal, in mailbox_rest() */
	/* maildir: when all that was in its directories was known. */
	struct {
		struct timespec	 cur, new;
		uint32_t	 nnew;		/* files in new/ then */
		uint32_t	 uidnext;	/* of the journal */
		uint64_t	 at;		/* of the record; 0: none */
	} scanned;
};

static inline uint32_t
record_count(const struct mailbox *m)
{
	return m->nbase + (uint32_t)m->extra.len;
}

static inline struct record *
record_at(const struct mailbox *m, uint32_t i)
{
	return i < m->nbase ? &m->base[i] : &m->extra.v[i - m->nbase];
}

/* UID of the last record; 0: there is none. */
static inline uint32_t
record_last_uid(const struct mailbox *m)
{
	return m->extra.len > 0 ? m->extra.v[m->extra.len - 1].uid :
	    m->base_last;
}

/* See to it that all records may be looked at.  They may be others then, with
 * other numbers; sequence numbers stay what they are. */
void	 mailbox_mend(struct mailbox *m);
bool	 index_all_ready(struct mailbox *m);

static inline void
mailbox_settle(struct mailbox *m)
{
	if (m->nunready > 0 && !index_all_ready(m))
		mailbox_mend(m);
}

static inline bool
record_is_ready(const struct mailbox *m, uint32_t i)
{
	return m->nunready == 0 || i >= m->nbase || m->ready[i / RECORD_BLOCK];
}

/* Whether it has one of MESSAGE_EXPUNGED, RECORD_CHANGED and RECORD_OFFERED,
 * which nobody has given to one that is not ready. */
static inline bool
record_marked(const struct mailbox *m, uint32_t i, uint32_t flags)
{
	return record_is_ready(m, i) && record_at(m, i)->flags & flags;
}

/* The record of a sequence number from 1 to count. */
static inline uint32_t
record_of_seq(const struct mailbox *m, uint32_t seq)
{
	return m->order != NULL ? m->order[seq - 1] : seq - 1;
}

/* The record of a sequence number, which may be looked at; NULL: there is
 * none. */
struct record *record_shown(const struct mailbox *m, uint32_t seq);
/* The number of the first record whose UID is at least uid; it may be looked
 * at, those behind it only when all are ready. */
uint32_t record_find(const struct mailbox *m, uint32_t uid);
/* The record of a UID that exists, or did and is still in the view. */
struct record *record_by_uid(const struct mailbox *m, uint32_t uid);

/* --- mailbox_apply.c: records of the journal ------------------------------- */

void	 mailbox_apply(void *arg, const struct packed_record *r, bool own);
/* The set of these keywords, 0 for none; made with records put into m->p when
 * there is none yet.  numbers ascend. */
uint32_t mailbox_kwset_number(struct mailbox *m, const uint32_t *v,
	    uint32_t n);
/* The number of a keyword, put when it is new; -1 with why: no more. */
int64_t	 mailbox_keyword_number(struct mailbox *m, struct span name,
	    struct why *why);
void	 mailbox_keywords_fini(struct mailbox *m);
/* Append a set to a payload as pairs, at most PACKED_SET_MAX of them from
 * *at on. */
#define PACKED_SET_MAX	16384
void	 packed_set_encode(struct buf *b, const struct ranges *r, size_t *at);

/* --- mailbox_load.c ---------------------------------------------------------- */

int	 mailbox_load(struct mailbox *m, struct why *why);
void	 mailbox_unload(struct mailbox *m);
/* Take the expunged ones out of the view; what was told is in m->told. */
void	 mailbox_take_out(struct mailbox *m);
/* Whether this view has claimed it: \\Recent. */
bool	 mailbox_is_recent(const struct mailbox *m, uint32_t uid);
/* Show the records that came since. */
uint32_t mailbox_take_in(struct mailbox *m);
/* Lock for a change: the view knows all that others did.  0, -1. */
int	 mailbox_lock(struct mailbox *m, struct why *why);
/* The same without a look at a maildir's files: to add some. */
int	 mailbox_lock_journal(struct mailbox *m, struct why *why);
/* Have m->order, for a view that something is missing from. */
void	 mailbox_need_order(struct mailbox *m);
/* The first record from this UID on, which mostly is m->recent_from. */
uint32_t mailbox_first_recent(const struct mailbox *m, uint32_t from);

/* --- mailbox_mend.c ---------------------------------------------------------- */

/* The journal was replaced: load what there is now.  1, or -1 with why. */
int	 mailbox_reload(struct mailbox *m, struct why *why);
void	 mailbox_unlock(struct mailbox *m);
int	 mailbox_flush(struct mailbox *m, struct why *why);

/* As mailbox_open(), for our own use: no rights, nothing becomes less recent. */
struct mailbox *mailbox_open_inside(struct account *a, uint32_t box,
	    unsigned flags, struct why *why);
/*
 * The same from the journal alone, with the records of all that was expunged
 * and is still in it, and m->times.
 */
struct mailbox *mailbox_open_whole(struct account *a, uint32_t box,
	    struct why *why);
/* When and where a record that is expunged went; false: not known. */
bool	 mailbox_expunge_time(const struct mailbox *m,
	    const struct record *r, struct expunge_time *out);
/* --- mailbox_cache.c ---------------------------------------------------------- */

/* Note what the cache file has. */
void	 mailbox_read_cache(struct mailbox *m);
/* The same, where it was left for later. */
void	 mailbox_note_cache(struct mailbox *m);
/* Copy the records that lie behind messages into it. */
void	 mailbox_gather_cache(struct mailbox *m);
void	 mailbox_cache_fini(struct mailbox *m);
/* Which checksums of a message were right when they were looked at: four bits
 * each. */
enum {
	CHECKED_BYTES	= 1 << 0,
	CHECKED_RECORD	= 1 << 1,	/* shifted by the part of the cache
					 * record */
	CHECKED_RECORDS	= 7 << 1,
};
bool	 mailbox_was_checked(struct mailbox *m, uint32_t i, unsigned what);
void	 mailbox_set_checked(struct mailbox *m, uint32_t i, unsigned what);

/* mailbox_change.c */
void	 mailbox_put_expunge(struct mailbox *m, const struct ranges *set,
	    uint32_t moved);
/* The same, and all that it takes: 0, or -1 with nothing changed. */
int	 mailbox_flush_expunge(struct mailbox *m, const struct ranges *set,
	    uint32_t moved, struct why *why);

/* --- purge.c -------------------------------------------------------------------- */

/* Wait for the end of one that is under way; there is none as long as the
 * descriptor is open that this returns.  -1 with why. */
int	 account_purge_hold(struct account *a, struct why *why);

/* --- compact.c ------------------------------------------------------------------ */

enum compact_how {
	COMPACT_WASTE,		/* when something in it is over */
	COMPACT_NOW,
};

/*
 * Write the journal anew, without what is over: 1 done, 0 it was not worth
 * it, or the journal is damaged: what cannot be read may name messages; -1.
 */
int	 mailbox_compact(struct account *a, uint32_t box, enum compact_how how,
	    struct why *why);
/* --- salvage.c ------------------------------------------------------------------ */

/* Whether there are records in the journal that cannot be read. */
bool	 mailbox_damaged(struct mailbox *m);
/* Write such a journal anew, with all that can be found of what they said. */
int	 mailbox_salvage(struct account *a, uint32_t box, struct why *why);

/* What was expunged before this time is over. */
int64_t	 compact_before(const struct account *a);
bool	 record_is_kept(const struct mailbox *m, const struct record *r,
	    int64_t before_us);

/* --- mailbox_append.c ---------------------------------------------------------- */

/* A mailbox that messages are put into, locked. */
struct target {
	struct account	*a;
	uint32_t	 box;
	struct packed	*p;
	struct mailbox	*view;		/* or NULL: its journal is enough */
	uint32_t	 segment;	/* where its segment ended before */
	uint64_t	 tail;
};

/*
 * words: messages have keywords.  view: the caller's open mailbox, which is
 * used when it is this one.
 */
int	 target_lock(struct target *t, struct account *a, uint32_t box,
	    bool words, struct mailbox *view, struct why *why);
void	 target_unlock(struct target *t);
/* Write one message and put its arrival, of which uid, flags, kwset, dates
 * and guid are filled in. */
int	 target_write(struct target *t, struct packed_source *src,
	    struct packed_arrival *a, struct why *why);
/* Put an arrival that shares the bytes of r; how: PACKED_COPIED when r's
 * message stays. */
void	 target_put_reference(struct target *t, const struct record *r,
	    struct packed_arrival *a);
uint32_t target_kwset(struct target *t, const struct span *names, size_t n,
	    struct why *why, bool *failed);
uint32_t target_flags(unsigned rights, uint32_t flags);
/* All that was put becomes visible, or nothing. */
int	 target_flush(struct target *t, struct why *why);
void	 target_undo(struct target *t);

/* --- maildir_view.c, maildir_sync.c, maildir_change.c ---------------------------- */

int	 maildir_view_open(struct mailbox *m, struct why *why);
void	 maildir_view_close(struct mailbox *m);
/* Look at new/ and cur/, when they have changed, and write what is new there
 * into the journal.  With a full disk what is new is not seen: 0. */
int	 maildir_view_sync(struct mailbox *m, struct why *why);
/* The same in mailbox_lock(): what is changed are files with names that
 * others may have changed since. */
int	 maildir_view_sync_locked(struct mailbox *m, struct why *why);
/* In mailbox_lock(), before these messages are changed: their files are where
 * they are looked for. */
int	 maildir_view_prepare(struct mailbox *m, const struct ranges *uids,
	    struct why *why);
/* The next look is at all files. */
void	 maildir_view_force(struct mailbox *m);
/* The view's records are others now. */
void	 maildir_view_reloaded(struct mailbox *m);
struct span record_base(const struct mailbox *m, const struct record *r);
int	 maildir_view_content(struct mailbox *m, const struct record *r,
	    struct mailbox_content *out, struct why *why);

/*
 * Changes.  All that these do to files, before the journal is written, is
 * undone by maildir_view_undo() when it cannot be; maildir_view_done() ends
 * what cannot be undone.  After -1 undo is still to be called.
 */
/* The files of these UIDs get names that say these flags. */
int	 maildir_view_rename(struct mailbox *m, const struct ranges *uids,
	    uint32_t flags, struct why *why);
/* They leave; moved: not to be had back. */
int	 maildir_view_expunge(struct mailbox *m, const struct ranges *uids,
	    bool moved, struct why *why);
/* Write a message, and put its arrival; its queue_id, unless it is empty, is
 * what the file is called, and no other one may be. */
int	 maildir_view_add(struct mailbox *m, struct packed_source *src,
	    struct packed_arrival *a, struct why *why);
/* Put the arrival of a file that is there, called as a->queue_id says, with
 * these bytes. */
void	 maildir_view_adopt(struct mailbox *m, struct span bytes,
	    struct packed_arrival *a);
/* Have the file of an expunged record of w back, and put its arrival. */
int	 maildir_view_restore(struct mailbox *m, const struct mailbox *w,
	    const struct record *r, struct packed_arrival *a,
	    struct why *why);
/* What was added gets its place. */
int	 maildir_view_place(struct mailbox *m, struct why *why);
void	 maildir_view_done(struct mailbox *m);
void	 maildir_view_undo(struct mailbox *m);
/* Whether the file of an expunged message can be had back. */
bool	 maildir_is_kept(const struct mailbox *w, const struct record *r);
/* Remove what was expunged before then from a folder; how many bytes. */
uint64_t maildir_purge(int dir, int64_t before_us);

/* --- uidls.c ------------------------------------------------------------------ */

/* The name of the mailbox's file of unique ids. */
void	 uidls_name(const struct mailbox *m, char out[PACKED_NAME_MAX]);
void	 mailbox_uidls_free(struct mailbox *m);
/* Whether the file says what it said when it was read, if it was. */
bool	 mailbox_uidls_hold(const struct mailbox *m);

/* --- index.c ------------------------------------------------------------------ */

/* Map the index of a journal whose head is m->p's: 1 it was taken, 0 there is
 * none that fits.  late: its records need not be ready yet. */
int	 index_load(struct mailbox *m, bool late);
/* Write it anew when much has happened since, or force is set. */
void	 index_save(struct mailbox *m, bool force);
void	 index_unload(struct mailbox *m);
/* Write what m knows, all of which is durable in the journal.  sync: it is on
 * the disk before it takes the place of the one before.  0, -1. */
int	 index_write(struct mailbox *m, bool sync);
/* Say what is wrong with it, unless that was to be expected. */
void	 index_say(const struct mailbox *m, const char *bad);

/* --- index_check.c -------------------------------------------------------------- */

/* This file is as it was written, and will be. */
void	 index_note_right(const struct stat *st);
/* Take the records of m->map; returns what lies behind them and their blocks. */
const char *index_take_blocks(struct mailbox *m);
/*
 * Make a block ready.  False: it is damaged; that was said, m->bad is set, and
 * mailbox_mend() has to follow.
 */
bool	 index_block_ready(struct mailbox *m, uint32_t block);
/* The block that uid, at most base_last, is in or before. */
uint32_t index_block_of(const struct mailbox *m, uint32_t uid);
/* Make all ready that have UIDs from first to last, and the next one. */
bool	 index_uids_ready(struct mailbox *m, uint32_t first, uint32_t last);

#endif
