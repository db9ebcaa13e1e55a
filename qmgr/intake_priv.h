/* SPDX-License-Identifier: ISC */
/*
 * intake_priv - what intake.c (which messages become active), backlog.c (those
 * that wait in the log) and intake_log.c (how they are heard of) share.
 */
#ifndef QMGR_INTAKE_PRIV_H
#define QMGR_INTAKE_PRIV_H

#include "qmgr/qmgr.h"

/* A message of the log that waits. */
struct waiting {
	uint64_t	seq, offset;
	uint32_t	slot, generation, len;
	bool		large;
};

struct intake {
	struct ipc_client *feed;
	struct loop_timer *pump_timer, *due_timer, *tick;
	struct loop_defer  pump;
	ARRAY(struct waiting) backlog;
	size_t		 head;
	uint64_t	 cursor;	/* first seq left out of it; 0 none */
	struct hash	 skip;		/* seqs there that have gone ahead */
	struct state_entries found;	/* what state/ said at the start */
	struct hash	 held;		/* ids in hold/, and of files that were
					 * taken up, until the first scan */
	struct hash	 large;		/* ids of large files in use, ditto */
	bool		 subscribed, synced, first_done;
	uint64_t	 target;	/* durable up to here: read up to here */
	uint64_t	 recovered_upto;
	bool		 later_turn;	/* whose turn it is */
	uint32_t	 load_sent_incoming, load_sent_active;
	int64_t		 clock_offset;	/* wall - monotonic */
	unsigned	 ticks;
	struct buf	 record, blob;
};
extern struct intake intake;

/* --- intake.c ----------------------------------------------------------------- */

/* Whether one more may become active; deferred: one that was tried before. */
bool	 intake_room(bool deferred);

/* --- backlog.c ---------------------------------------------------------------- */

/* It waits, behind the others. */
void	 backlog_push(const struct qlog_pos *pos, bool large);
/* It was seen, and is not to be seen again when the backlog is read anew. */
void	 backlog_skip(uint64_t seq);
/* Nobody is ahead of a message that comes now. */
bool	 backlog_empty(void);
/* A message of the log becomes active; NULL with why. */
struct message *backlog_start(const struct qlog_pos *pos, bool large,
	    size_t content_skip, struct span envelope, struct why *why);
/* The record could not be read: keep what there is, and go on. */
void	 backlog_lost(const struct waiting *w, const struct why *why);

/* --- intake_log.c -------------------------------------------------------------- */

/* Read on in the log; does nothing when it has been read. */
void	 intake_scan(void);
void	 intake_feed_start(void);
/* Tell cleanup how much waits, when that has changed. */
void	 intake_send_load(void);

#endif
