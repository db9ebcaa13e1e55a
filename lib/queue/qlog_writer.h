/* SPDX-License-Identifier: ISC */
/*
 * qlog_writer - the writer's state: qlog.c appends and commits, qlog_slots.c
 * keeps the table of slots.  Private to the two.
 */
#ifndef QUEUE_QLOG_WRITER_H
#define QUEUE_QLOG_WRITER_H

#include <pthread.h>

#include "base/array.h"
#include "queue/qlog.h"
#include "queue/qlog_slot.h"

enum slot_state {
	SLOT_FREE, SLOT_CURRENT, SLOT_SEALING, SLOT_USED, SLOT_RELEASING,
	SLOT_DEAD
};

struct slot {
	uint32_t	no;
	enum slot_state	state;
	uint32_t	generation;
	uint64_t	first_seq;
	uint64_t	size;		/* whole pages */
	uint64_t	mark;		/* next seq, when released */
	int		fd;		/* -1 when not needed */
	bool		busy;		/* the preparer is at it */
};

/* Bytes of a chunk: the owner's, or those at off in the chunk's data. */
struct piece {
	const char	*p;		/* NULL: in data */
	size_t		 off, len;
};

struct chunk {				/* one write */
	int		fd;
	uint64_t	at;
	size_t		len;		/* of all pieces */
	ARRAY(struct piece) pieces;
	struct buf	data;
};

struct qlog_batch {
	ARRAY(struct chunk) chunks;
	size_t		nchunks;	/* in use; the others keep memory */
	ARRAY(uint32_t)	sealed;		/* slots that end in this batch */
	uint64_t	last_seq;
	int		err;		/* errno, 0 done */
	const char	*what;		/* that failed */
};

struct qlog {
	int		dirfd, lockfd;
	struct qlog_options opt;
	size_t		record_max;
	uint64_t	next_seq, durable_seq;
	bool		broken;

	/* The slot being written; cur_fd -1 when there is none. */
	int		cur_fd;
	uint32_t	cur_no, cur_generation;
	uint64_t	cur_size, cur_at, cur_next_seq;
	unsigned	cur_batches;	/* that went to it */

	struct qlog_batch batch[2];
	struct qlog_batch *gather;	/* never NULL */
	struct qlog_batch *out;		/* under way, or NULL */

	pthread_mutex_t	lock;		/* of all below */
	pthread_cond_t	cond;
	pthread_t	thread;
	bool		threaded, stop;
	int64_t		retry_ms;	/* 0, or no slot is made before */
	int64_t		trim_ms;	/* 0, or when surplus slots go */
	size_t		free_min;	/* fewest that were free since */
	bool		big_batches;	/* see qlog_prepare_one() */
	ARRAY(struct slot) slots;
	ARRAY(struct qlog_slot) released;
	char		trouble[160];	/* why no slot could be made */
	bool		no_space;	/* ... and it may work later */
};

/* --- qlog_slots.c: all of these with the lock held ---------------------------- */

struct slot *qlog_slot_find(struct qlog *q, uint32_t no);
size_t	 qlog_slot_count(const struct qlog *q, enum slot_state state);
/* The first that the preparer is not busy with; NULL: none. */
struct slot *qlog_slot_first(struct qlog *q, enum slot_state state);
/* For qsort(): by first_seq. */
int	 qlog_slot_cmp(const void *a, const void *b);
/* Make one slot; -1 with q->trouble.  Drops the lock meanwhile. */
MUST_CHECK int qlog_prepare_one(struct qlog *q);
/* Something to prepare: now without a thread, else in it. */
void	 qlog_preparer_wake(struct qlog *q);
void	*qlog_preparer(void *arg);		/* the thread */

#endif
