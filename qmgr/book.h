/* SPDX-License-Identifier: ISC */
/*
 * book - which slots of the message log may be reused.
 *
 * A slot is given back when no more messages can come into it (a message of a
 * later slot has been counted), all that came are finished and durable, and
 * no agent still reads from it.  Messages are counted in the order of their
 * sequence numbers, each once.
 *
 * Until cleanup says that the release is on disk a crash brings the records
 * back; so what state/ says of them is still needed, and book_min_seq() does
 * not pass them before book_forget().
 */
#ifndef QMGR_BOOK_H
#define QMGR_BOOK_H

#include "base/array.h"
#include "base/cc.h"
#include "queue/qlog.h"

struct book_slot {
	bool		 used;
	bool		 closed;	/* no more messages will come */
	bool		 released;
	uint32_t	 slot, generation;
	uint32_t	 unfinished;	/* messages */
	uint32_t	 lent;		/* deliveries that read from it */
	uint64_t	 first_seq, last_seq;
	int64_t		 closed_ms;	/* monotonic */
	int		 fd;		/* for reading; -1 until needed */
};

struct book {
	ARRAY(struct book_slot) slots;	/* by slot number */
	uint64_t	 counted;	/* highest seq that was counted */
	uint32_t	 current;	/* slot of that one */
	bool		 any;
	uint32_t	 unfinished;	/* messages in all slots */
	void		(*release)(void *arg, uint32_t slot,
			    uint32_t generation);
	void		*arg;
};

#define BOOK_INIT	((struct book){ .slots = ARRAY_EMPTY })
#define BOOK_SLOT_MAX	65536

/*
 * A record of the log: unfinished says whether it is a message that still
 * has work.  Ignored when its seq has been counted already.  False then, or
 * when the position makes no sense.
 */
bool	 book_count(struct book *b, const struct qlog_pos *pos, bool unfinished,
	    int64_t now_ms);
/* One message of it is finished, and that is durable. */
void	 book_finish(struct book *b, uint32_t slot, uint32_t generation);
/* An agent reads from it, or has stopped to. */
void	 book_lend(struct book *b, uint32_t slot, uint32_t generation);
void	 book_return(struct book *b, uint32_t slot, uint32_t generation);
/* NULL when it holds another generation by now. */
struct book_slot *book_slot(struct book *b, uint32_t slot,
	    uint32_t generation);
/* Say release() again for all that were released (cleanup has restarted). */
void	 book_release_again(struct book *b);
/* Every record with a lower seq is gone from the disk. */
uint64_t book_min_seq(const struct book *b);
/* The release is durable. */
void	 book_forget(struct book *b, uint32_t slot);
void	 book_fini(struct book *b);

#endif
