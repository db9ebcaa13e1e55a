/* SPDX-License-Identifier: ISC */
/*
 * cache_batch - batches of cache records, as the cache file has them
 * (mailbox_cache.c; mansio-store(5)).  Each at a multiple of 8,
 *
 *	u32 "CCHB", u32 bytes of all, u32 records, u32 CRC of what is before
 *	of each record:
 *	    u32 "CCHE", u32 UID, u32 bytes of each of its three parts,
 *	    u32 where the second and the third are, counted from here,
 *	    u32 CRC of what is before, first part; then up to a multiple of 8
 *	the second parts, the third parts; then up to a multiple of 8
 *
 * The parts are with their like, for who sorts wants nothing but the first of
 * all records, and who searches not the third: so they touch a tenth or a half
 * of the file's pages.
 */
#ifndef STORE_CACHE_BATCH_H
#define STORE_CACHE_BATCH_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"
#include "mail/message_cache.h"

#define CACHE_BATCH_HEAD	16u	/* bytes */
#define CACHE_ENTRY_HEAD	32u

/* --- writing ------------------------------------------------------------------------ */

struct cache_batch {
	struct buf	part[MESSAGE_CACHE_PARTS];	/* the first with heads */
	uint32_t	records;
};

void	 cache_batch_init(struct cache_batch *b);
void	 cache_batch_fini(struct cache_batch *b);
/* Bytes, more or less. */
size_t	 cache_batch_len(const struct cache_batch *b);
/* Put a record, which lies in one piece; what is none is left out. */
void	 cache_batch_add(struct cache_batch *b, uint32_t uid,
	    struct span record);
/* All of it, good until cache_batch_fini(); nothing can be put any more. */
struct span cache_batch_end(struct cache_batch *b);

/* --- reading ------------------------------------------------------------------------ */

/* The head of a batch, CACHE_BATCH_HEAD bytes.  False: it is none; *len bytes,
 * with the head, need not be there. */
bool	 cache_batch_decode(const char *head, uint32_t *len,
	    uint32_t *records);

/* An entry's head, taken apart. */
struct cache_entry {
	uint32_t	uid;
	uint32_t	len[MESSAGE_CACHE_PARTS];	/* of each part */
	uint32_t	at[MESSAGE_CACHE_PARTS];	/* from the head on */
	uint32_t	bytes;		/* of all parts */
};

/* CACHE_ENTRY_HEAD bytes.  False: it is none.  The parts need not be there. */
bool	 cache_entry_decode(const char *head, struct cache_entry *e);
/* The same, of what may be anything: for who only guesses. */
void	 cache_entry_guess(const char *head, struct cache_entry *e);
/* The bytes from an entry to the next one, a multiple of 8. */
uint64_t cache_entry_step(const struct cache_entry *e);

#endif
