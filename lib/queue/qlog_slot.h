/* SPDX-License-Identifier: ISC */
/*
 * qlog_slot - what qlog's writer and readers share; private to lib/queue.
 */
#ifndef QUEUE_QLOG_SLOT_H
#define QUEUE_QLOG_SLOT_H

#include "base/cc.h"
#include "base/why.h"
#include "queue/qlog.h"

#define SLOT_MAGIC	0x474c514du	/* "MQLG" */
#define SLOT_VERSION	1
#define SLOT_HEAD_LEN	64		/* within one sector */
#define SLOT_NAME_MAX	16
#define REC_MAGIC	0x4345524du	/* "MREC" */
#define SEQ_MAX		(UINT64_C(1) << 62)	/* more is damage */

struct slot_head {
	uint32_t	no, generation;
	uint64_t	first_seq;	/* of its records */
	uint64_t	mark;		/* next seq when it was released */
	bool		used;
};

struct rec_head {
	uint16_t	type;
	uint32_t	generation;
	uint64_t	seq, durable;
	uint32_t	len, payload_crc;
	int64_t		wall_us;
};

void	 slot_head_encode(const struct slot_head *h, char out[SLOT_HEAD_LEN]);
MUST_CHECK int slot_head_decode(struct slot_head *h,
	    const char in[SLOT_HEAD_LEN]);
void	 slot_name(uint32_t no, char out[SLOT_NAME_MAX]);
void	 rec_head_encode(const struct rec_head *r, char out[QLOG_HEADER_LEN]);
/* 0, or -1 when this is no record header. */
MUST_CHECK int rec_head_decode(struct rec_head *r,
	    const char in[QLOG_HEADER_LEN]);

/* All of it, or -1 with errno. */
MUST_CHECK int slot_pwrite(int fd, const char *p, size_t n, uint64_t at);
MUST_CHECK int slot_zero(int fd, uint64_t at, uint64_t end);
/*
 * Make slot no: whole and durable before it has its name.  With zeros every
 * byte is written; without, the space is only allocated where the file system
 * can, and the first use of each place costs it a journal entry.  Returns the
 * descriptor, or -1 with errno and *what.
 */
MUST_CHECK int slot_create(int dirfd, uint32_t no, size_t size,
	    uint32_t generation, bool zeros, const char **what);
/* Write a header that says "free", durably; the descriptor, or -1. */
MUST_CHECK int slot_release(int dirfd, const struct slot_head *h);

/* What a slot's first page says, or, when it is damaged, its records. */
struct slot_info {
	uint32_t	no;
	uint64_t	size;		/* whole pages */
	struct slot_head head;
	enum { SLOT_INFO_FREE, SLOT_INFO_USED, SLOT_INFO_BAD } state;
	bool		salvaged;	/* the header was damaged */
};
/* Call fn for each slot of the directory; it returns -1 to stop. */
MUST_CHECK int slot_list(int dirfd, int (*fn)(void *arg,
	    const struct slot_info *), void *arg, struct why *why);

/* Where the last slot's records end. */
struct slot_end {
	uint64_t	at;		/* file offset behind the last record */
	uint64_t	next_seq;
	bool		sealed, empty;
};
MUST_CHECK int slot_find_end(int fd, uint32_t generation, uint64_t first_seq,
	    uint64_t size, struct slot_end *end, struct why *why);
/* Whether there is something at and behind at that could be taken for a
 * record, or bytes that are not zero in the rest of that page. */
bool	 slot_tail_dirty(int fd, uint32_t generation, uint64_t at,
	    uint64_t size);

#endif
