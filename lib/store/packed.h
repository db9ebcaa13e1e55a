/* SPDX-License-Identifier: ISC */
/*
 * packed - Mansio's own mailbox: message segments and a journal.
 *
 * A mailbox is a journal, <box>.jrn (00000001.jrn is INBOX), and the segments
 * <number>.seg that it appends message bytes to; mansio-store(5) shows every
 * byte.  The journal says what is in the mailbox; the segments can rebuild it.
 *
 * Journal: a head of PACKED_START bytes (what does not change, twice, and two
 * states), then records of
 *	u32 magic, u32 crc of all that follows, u16 type, u16 flags (0),
 *	u32 len, u64 modseq, payload, zeros up to a multiple of 8
 * all little-endian, CRC32C.  A record is there when its CRC is right.
 *
 * Writers take flock(LOCK_EX) on the journal, read what others appended since
 * they last looked, and cut off a record that a dead writer left half.
 * Readers take no lock.  An arrival is written in this order: message bytes,
 * journal record; both with plain writes that are not synced.  So
 *
 * - after kill -9 the kernel has every write that was made: bytes without a
 *   record are overwritten by the next arrival;
 * - after a power cut any of the unsynced writes may be missing.  A record
 *   may be there without its bytes: its CRC of the bytes tells, and a
 *   repeated delivery writes them again in the same place.  So that this
 *   place is still free, no segment that was written to under another epoch
 *   (boot of the machine) is appended to.
 * - UIDs that a reader may have seen are not used again even if the record is
 *   lost: `reserved' in the head, which is synced before UIDs below it are
 *   given out, is where a writer of a new epoch goes on.
 */
#ifndef STORE_PACKED_H
#define STORE_PACKED_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"
#include "base/why.h"

#define PACKED_INBOX		"00000001.jrn"	/* "%08x.jrn" of its box */
#define PACKED_INBOX_BOX	1
#define PACKED_ACCOUNT		"account.jrn"	/* box 0 */
#define PACKED_START		2048	/* bytes: where records begin */
#define PACKED_HEAD_WHOLE	60	/* bytes of what does not change, */
#define PACKED_HEAD_COPY	1536	/* and where they are once more */
#define PACKED_RECORD_HEADER	24
#define PACKED_RECORD_MAX	262144	/* bytes of payload */
#define PACKED_SUB_HEADER	8	/* bytes, of a record in a group */
#define PACKED_MODSEQ_STEP	(1u << 20)	/* how far a new epoch goes on */
#define PACKED_MESSAGE_HEADER	64	/* bytes, in a segment */
#define PACKED_SEGMENT_MAX	(64u << 20)
#define PACKED_UID_STEP		2048	/* UIDs reserved with one sync */
#define PACKED_NAME_MAX		32
#define PACKED_ID_MAX		1024	/* bytes of queue id, of recipient */

/* The time between two starts of the machine: what was written in another
 * one and not synced may be lost. */
struct packed_epoch {
	uint8_t	b[16];
};
/* The first call reads a file; what it found is kept for later ones, which
 * may be made in a jail. */
void	 packed_epoch_get(struct packed_epoch *e);

/* --- the bytes: no I/O ----------------------------------------------------------- */

/*
 * A record of type GROUP holds several others, each with a header of u16
 * type, u16 0, u32 len and zeros up to a multiple of 8: they are there all or
 * none.  packed_scan() shows what is in it.
 *
 * Sets of UIDs are pairs u32 first, u32 last; UIDs in between that do not
 * exist mean nothing.
 */
enum packed_type {
	PACKED_ARRIVAL = 1,	/* packed_arrival */
	PACKED_FLAGS,		/* u32 uid, u32 flags: what they are now */
	PACKED_EXPUNGE,		/* u32 uid */
	PACKED_GROUP,
	PACKED_FLAGS_SET,	/* u32 flags, u32 keyword set: what they are
				 * now; UIDs */
	PACKED_EXPUNGE_SET,	/* i64 when, u32 messages, u32 box they were
				 * moved to or 0, u64 bytes; UIDs */
	PACKED_KEYWORD,		/* u32 number; name */
	PACKED_KWSET,		/* u32 number of the set; u32 keywords ... */
	PACKED_MOVED,		/* for each: u32 uid, u32 segment, u64 offset */
	PACKED_RECENT,		/* u32 uid: those below are not \\Recent */
	PACKED_DELETED,		/* i64 when: the mailbox is deleted */
	PACKED_RESTORED,	/* it is not deleted any more */
	PACKED_NAME,		/* the mailbox's name, should the list be lost */
	PACKED_HISTORY,		/* u64 modseq: expunges up to it may not be
				 * told any more */
	PACKED_SCANNED,		/* maildir: all was known when cur/ and new/
				 * had these times: i64 s, u32 ns of cur/, u32
				 * files in new/, i64 s, u32 ns of it, u32
				 * UIDs from here on came later */
	/* In the journal of an account: what is said last holds. */
	PACKED_BOX = 64,	/* u32 box, u32 flags, u32 special use, u32
				 * UIDVALIDITY, 16 bytes MAILBOXID; name */
	PACKED_BOX_GONE,	/* u32 box, u32 1: for ever, i64 when */
	PACKED_SUBSCRIBED,	/* u32 1 or 0; name */
	PACKED_METADATA,	/* u32 box, u16 bytes of entry, u16 1: there is
				 * a value; entry (account_metadata.c), value */
	PACKED_ACL,		/* u32 box, u32 rights; identifier */
	/* In the change journal: */
	PACKED_CHANGE = 96,	/* u32 box, u32 1: it is gone, u64 MODSEQ from,
				 * u64 to, i64 when it was seen, u32 UIDNEXT
				 * from, u32 to, u32 UIDVALIDITY, u32 0 */
};

struct packed_state {
	uint64_t		turn;		/* the larger of the two holds */
	struct packed_epoch	epoch;
	uint32_t		reserved;	/* UIDs below may be in use */
	uint32_t		uidnext;	/* at tail */
	uint64_t		modseq;		/* at tail */
	uint64_t		tail;		/* bytes of journal read for it */
	uint32_t		segment;	/* appended to; 0 none yet */
	uint64_t		segment_tail;
	/* What is in the mailbox at tail, for quotas; totals says whether
	 * they are known (journals of older versions have none). */
	bool			totals;
	bool			deleted;	/* the mailbox is */
	uint32_t		messages;
	uint64_t		bytes;
};

struct packed_head {
	uint32_t		uidvalidity;
	uint32_t		box;
	int64_t			created_us;
	uint8_t			mailboxid[16];
	uint64_t		generation;	/* another in each new file */
	struct packed_state	state;
	unsigned		slot;		/* 0 or 1: where state came from */
	bool			differ;		/* the copies of what is above state
						 * do: one is to be mended */
	bool			single;		/* as older versions write it */
};

struct packed_record {
	unsigned		type;
	uint64_t		modseq;
	struct span		payload;
	uint64_t		offset, end;	/* in the journal */
};

struct packed_arrival {
	uint32_t	uid, flags, segment, crc;
	uint64_t	offset;		/* of the message header */
	uint64_t	len;		/* bytes of message */
	int64_t		date_us;	/* INTERNALDATE */
	uint8_t		guid[16];
	struct span	queue_id, rcpt;
	/* What older versions do not write: zeros then, but for size, which
	 * is 0 when it is not known. */
	uint32_t	how;		/* PACKED_REF ... */
	uint32_t	kwset;
	int64_t		save_us;	/* SAVEDATE; 0: date_us */
	uint64_t	size;		/* bytes in CRLF form */
	uint32_t	cache_len;	/* bytes of cache record behind the
					 * message in the segment */
	int32_t		zone_min;	/* of date_us: minutes east of UTC */
};

enum {					/* packed_arrival.how */
	PACKED_REF	= 1 << 0,	/* the bytes are another mailbox's, or
					 * another message's: a copy */
	PACKED_FILE	= 1 << 1,	/* maildir: queue_id is the file's name */
	/* Of neither it is not known (it is old). */
	PACKED_ENDED	= 1 << 2,	/* the last line has its end, or there
					 * is no line */
	PACKED_OPEN	= 1 << 3,	/* it has none */
	PACKED_ZSTD	= 1 << 5,	/* its bytes are compressed (compress.h);
					 * len and crc are of what is stored */
	PACKED_COPIED	= 1 << 4,	/* guid is that of another message, too,
					 * which may lie in the same mailbox */
};
/* segment of a message that lies in a file of its own (maildir). */
#define PACKED_NO_SEGMENT	UINT32_MAX

struct packed_message {			/* header of a message in a segment */
	uint32_t	box, uidvalidity, uid, crc;
	uint64_t	len;
	int64_t		date_us;
	uint8_t		guid[16];
	bool		zstd;		/* the bytes are compressed */
};

/* The whole head, both state slots alike. */
void	 packed_head_encode(const struct packed_head *h,
	    uint8_t out[PACKED_START]);
/* One slot's bytes and where they go. */
#define PACKED_SLOT_LEN	128
size_t	 packed_slot_encode(const struct packed_state *st, unsigned slot,
	    uint8_t out[PACKED_SLOT_LEN]);
MUST_CHECK int packed_head_decode(struct packed_head *h, struct span in);
/* The same of what there is: which parts have right checksums, and are in h. */
#define PACKED_HEAD_FIXED	1u	/* what is above state */
#define PACKED_HEAD_STATE	2u
unsigned packed_head_parts(struct packed_head *h, struct span in);
void	 packed_record_encode(struct buf *b, unsigned type, uint64_t modseq,
	    struct span payload);
/* How long the record at in's start says that it is; 0: there is none. */
uint64_t packed_record_len(struct span in);
/*
 * The record at in's start, which is offset at of the journal.  1, or 0:
 * there is no whole valid record here.
 */
MUST_CHECK int packed_record_decode(struct span in, uint64_t at,
	    struct packed_record *r);
void	 packed_arrival_encode(struct buf *b, const struct packed_arrival *a);
MUST_CHECK int packed_arrival_decode(struct packed_arrival *a, struct span in);
void	 packed_message_encode(const struct packed_message *m,
	    uint8_t out[PACKED_MESSAGE_HEADER]);
MUST_CHECK int packed_message_decode(struct packed_message *m, struct span in);
/* Add a record to a group's payload. */
void	 packed_sub_encode(struct buf *b, unsigned type, struct span payload);
/*
 * Call fn for each record of in (also those in groups), whose first byte has offset at.  Bytes that
 * are no record are passed over to the next one that is; *damaged counts such
 * places.  Returns the offset behind the last record: what follows is a torn
 * tail.  fn returns false to stop.
 */
uint64_t packed_scan(struct span in, uint64_t at, size_t *damaged,
	    bool (*fn)(void *arg, const struct packed_record *r), void *arg);

#endif
