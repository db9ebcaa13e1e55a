/* SPDX-License-Identifier: ISC */
/*
 * qlog - an append-only log of records in recycled segments.
 *
 * A log is a directory of slots ("00.seg", "01.seg", ...), files of a fixed
 * size that were filled with zeros once and are never truncated: writing in
 * place needs one flush where a growing file needs two.  (While batches are
 * large slots are allocated only, see qlog_prepare_one(): a flush more each,
 * in their first use.)  A slot's first page is its header: magic, version,
 * slot, generation, first sequence number, CRC.  Records follow, each aligned to 8 bytes:
 *
 *	u32 magic	u16 type	u16 flags (0)
 *	u32 generation	u32 header crc (this field 0)
 *	u64 seq		u64 durable: the highest seq known durable when this
 *			record was written
 *	u32 len (payload bytes)	u32 payload crc
 *	u64 wall clock, us
 *	payload, zero padding
 *
 * all little-endian, CRC32C.  A batch is written with one pwrite, padded with
 * zeros to the page, and made durable with one fdatasync; only then are its
 * records acknowledged.
 *
 * Reading back: a slot's records end at the first that does not fit (bad CRC,
 * other generation, seq not following).  If a record further on has the same
 * generation and durable >= the missing seq, acknowledged data was damaged:
 * that is reported with its place, and reading goes on behind it; otherwise
 * it is a torn tail, which was never acknowledged.  A slot that is full ends
 * with a record of type QLOG_SEAL, which has the seq of the record that comes
 * next, in another slot.
 *
 * A generation starts at a random number and grows by one at each reuse: a
 * sender who writes something like a record into a mail cannot know it, so
 * that no search for what lies behind a damaged place finds a false record.
 *
 * One writer a log (flock on the directory's "lock" file); any number of
 * readers, who need no lock: what they have a position for stays in place
 * until its slot is released.
 *
 * After a failed write or fdatasync the log is broken: nothing more is
 * accepted (qlog_broken()), because what the kernel still holds is unknown.
 * The process reports, exits, and recovers from what the disk says.
 */
#ifndef QUEUE_QLOG_H
#define QUEUE_QLOG_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"
#include "base/why.h"

#define QLOG_SEGMENT_SIZE	(64u << 20)	/* bytes, the default */
#define QLOG_RECORD_MAX		(16u << 20)	/* bytes of payload */
#define QLOG_HEADER_LEN		48
#define QLOG_PAGE		4096
#define QLOG_SEAL		0xffff	/* type: private */
#define QLOG_SEGMENT_MIN	(64u << 10)

struct qlog_pos {
	uint32_t	slot;
	uint32_t	generation;
	uint64_t	offset;		/* of the record header, from file start */
	uint32_t	len;		/* of the payload */
	uint64_t	seq;
};

struct qlog;

struct qlog_options {
	size_t		segment_size;	/* 0: QLOG_SEGMENT_SIZE */
	unsigned	slots_max;	/* 0: 65536 */
	unsigned	slots_keep;	/* free slots kept ready; 0: 2 */
	unsigned	surplus_ms;	/* how long others are; 0: 5 minutes */
	/* Prepare and release slots in the calls instead of in a thread: for
	 * tests, and commands that append little. */
	bool		no_thread;
};

/* --- the writer ------------------------------------------------------------- */

/*
 * Open, or create, the log in directory path below dirfd; finds the end.  A
 * log for which there is no space yet opens too: see qlog_full().
 */
struct qlog *qlog_open(int dirfd, const char *path,
	    const struct qlog_options *opt, struct why *why);
void	 qlog_close(struct qlog **q);		/* commits nothing */
uint64_t qlog_next_seq(const struct qlog *q);
uint64_t qlog_durable_seq(const struct qlog *q);
/* Raise the next sequence number to at least seq. */
void	 qlog_set_next_seq(struct qlog *q, uint64_t seq);
/*
 * Put a record into the batch that gathers; the parts are copied.  *pos is
 * where it will be.  -1 with why (too large: 5.3.4; no free slot or disk
 * full: 4.3.1; broken: 4.3.0).
 */
MUST_CHECK int qlog_append(struct qlog *q, uint16_t type,
	    const struct span *parts, size_t nparts, struct qlog_pos *pos,
	    struct why *why);
/*
 * The same, but long parts are not copied: they must stay until the batch that
 * they are in has ended (qlog_commit_end()), whatever came of it.
 */
MUST_CHECK int qlog_append_kept(struct qlog *q, uint16_t type,
	    const struct span *parts, size_t nparts, struct qlog_pos *pos,
	    struct why *why);
bool	 qlog_dirty(const struct qlog *q);	/* something gathered */
/*
 * Commit in three steps, so that the middle one can run in a thread while
 * the next batch gathers: begin detaches the gathered batch (NULL when there
 * is none or one is under way), write does the I/O and touches nothing else,
 * end takes the result: 0, every record up to qlog_durable_seq() is durable,
 * or -1 with why and the log is broken.
 */
struct qlog_batch;
struct qlog_batch *qlog_commit_begin(struct qlog *q);
void	 qlog_batch_write(struct qlog_batch *b);
MUST_CHECK int qlog_commit_end(struct qlog *q, struct qlog_batch **b,
	    struct why *why);
/* All three in one, blocking. */
MUST_CHECK int qlog_commit(struct qlog *q, struct why *why);
bool	 qlog_broken(const struct qlog *q);
/*
 * All records of this slot and generation are finished: it may be reused.
 * The slot that is being written is not released (false): ask again when
 * there is a later one.  Until the release is on disk a crash brings the
 * records back, so what says that they are finished must be kept until
 * qlog_take_released() has named the slot.
 */
bool	 qlog_release(struct qlog *q, uint32_t slot, uint32_t generation);
/* Slots in use, with their generation and first seq; the number, at most
 * max.  The slot being written comes last. */
struct qlog_slot { uint32_t slot, generation; uint64_t first_seq; };
size_t	 qlog_slots(struct qlog *q, struct qlog_slot *out, size_t max);
/* The next slot whose release has become durable; false when there is none.
 * Releases are made in the thread: look again while some are under way. */
bool	 qlog_take_released(struct qlog *q, struct qlog_slot *out);
size_t	 qlog_releasing(struct qlog *q);	/* asked for, not yet named */
size_t	 qlog_free_slots(struct qlog *q);	/* ready for use */
/* Whether, after an append found no slot (4.3.1), one is on its way: the
 * same append is worth another try in some milliseconds. */
bool	 qlog_preparing(struct qlog *q);
/* Whether there is nowhere to append, because no slot could be made for want
 * of space; why then says so (4.3.1).  It ends by itself when there is some. */
bool	 qlog_full(struct qlog *q, struct why *why);
/* Whether a crash could bring this slot's records of this generation back. */
bool	 qlog_slot_used(struct qlog *q, uint32_t slot, uint32_t generation);

/* --- readers ----------------------------------------------------------------- */

struct qlog_visit {
	/* Return false to stop.  payload is good during the call. */
	bool	(*record)(void *arg, const struct qlog_pos *pos,
		    uint16_t type, int64_t wall_us, struct span payload);
	/* Acknowledged records were lost to damage here; bytes is what lies
	 * there.  NULL: not told. */
	void	(*damage)(void *arg, uint32_t slot, uint64_t offset,
		    struct span bytes);
	void	*arg;
};
/* Every record with seq >= from_seq, in order, that is on disk now. */
MUST_CHECK int qlog_scan(int dirfd, const char *path, uint64_t from_seq,
	    const struct qlog_visit *v, struct why *why);
/* Open a slot's file for reading; -1 with why. */
int	 qlog_open_slot(int dirfd, const char *path, uint32_t slot,
	    struct why *why);
/* Read one payload through a slot's descriptor, checking generation, seq and
 * CRC; appended to out. */
MUST_CHECK int qlog_read(int slot_fd, const struct qlog_pos *pos,
	    struct buf *out, struct why *why);

#endif
