/* SPDX-License-Identifier: ISC */
/*
 * index - the index file of a mailbox: a snapshot of its journal.
 *
 * <box>.idx holds what an open mailbox knows at some point of the journal, so
 * that opening it means mapping the file and reading on from there.  It is
 * written to another name and renamed; it is never changed.  It covers
 * only what is durable in the journal; it need not be durable itself, for its
 * checksums tell what a power cut has left of it.  When it is missing, damaged, of
 * another machine's byte order or of another journal (generation), the journal
 * is read from its start.
 *
 * A head of INDEX_HEAD bytes, then the records (struct record), a line for each
 * RECORD_BLOCK of them (struct index_block), the expunges (struct vanished), the
 * keywords (u16 length, bytes), the keyword sets (u32 how many, u32 numbers),
 * the file names of a maildir (names_len bytes); all in the machine's byte
 * order.
 *
 * Opening checks the head and all that lies behind the records.  A block of
 * records is checked when one of them is looked at first, or changed: so
 * SELECT and STATUS, which are answered from the head's sums, cost the same for
 * ten messages and a million.  A block that turns out to be damaged is mended
 * (mailbox_mend.c).  Nothing of a block that was not checked is copied into
 * another index.
 */
#ifndef STORE_INDEX_H
#define STORE_INDEX_H

#include "store/mailbox_internal.h"

#define INDEX_MAGIC	"MNSOIDX3"
#define INDEX_ORDER	0x01020304u
#define INDEX_HEAD	4096u

/* It was not synced: a power cut may leave less of it. */
#define INDEX_UNSYNCED	1u

struct index_head {
	char		magic[8];
	uint32_t	order, record_size;
	uint64_t	generation;
	uint8_t		mailboxid[16];
	uint32_t	uidvalidity, nrecords;
	uint64_t	tail, modseq;
	uint32_t	uidnext, segment;
	uint64_t	segment_tail, bytes;
	uint32_t	messages, recent_from;
	uint64_t	history;
	uint32_t	nvanished, nkeywords, nkwsets, flags;
	uint64_t	cache_tail, cache_number, names_len;
	struct packed_epoch epoch;	/* of who wrote it */
	/* Sums of the records, as struct mailbox_sum. */
	uint64_t	deleted_bytes;
	uint32_t	unseen, deleted, first_unseen;
	uint32_t	recent_at;	/* the first from recent_from on */
	uint64_t	len;		/* bytes behind the head */
	uint32_t	rest_crc;	/* of what is behind the records */
	uint32_t	crc;		/* of all before it */
};

struct index_block {
	uint32_t	crc;		/* of its records */
	uint32_t	first, last;	/* UIDs of the first and last one */
};

/*
 * Check a file that was read or mapped: the head, that all it speaks of lies
 * within len, and all but the records.  NULL: it is fine; else what is wrong.
 */
const char *index_check(const void *file, size_t len);
/* The records of one block, which index_check() has found to lie there. */
const char *index_check_block(const void *file, uint32_t block);

#endif
