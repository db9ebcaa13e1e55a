/* SPDX-License-Identifier: ISC */
/*
 * state - qmgr's own log: which messages of log/ are finished.
 *
 * Entries gather and are committed in groups, by a thread: soon (some
 * milliseconds) when repeating the delivery would be seen outside, otherwise
 * within a second.  What waited for an entry (the slot's release, the large
 * file's removal) is done when the commit has returned.
 *
 * A slot of state/ is given back when every message that it speaks of has
 * left the disk.
 */
#ifndef QMGR_STATE_H
#define QMGR_STATE_H

#include "base/array.h"
#include "base/cc.h"
#include "base/why.h"
#include "io/loop.h"
#include "queue/qlog.h"
#include "queue/qmsg.h"

#define STATE_SOON_MS	 10
#define STATE_LAZY_MS	500

/* One message, or one recipient of it, that is finished. */
struct finished {
	uint64_t	seq;
	uint32_t	rcpt;		/* index, or QREC_ALL */
	uint32_t	slot, generation;
	bool		large;		/* large/<id> goes too */
	int64_t		id_us;		/* the queue id, when large */
	uint64_t	id_seq;
};

struct state;

/*
 * Open state/ below dirfd, or create it, and read it.  l may be NULL for a
 * reader without a loop.  done is called for each entry of a finished
 * message when it is durable.
 */
struct state *state_open(struct loop *l, int dirfd,
	    void (*done)(void *arg, const struct finished *f), void *arg,
	    struct why *why);
void	 state_close(struct state **s);
/* Record it; soon says which of the two delays. */
void	 state_note(struct state *s, const struct finished *f, bool soon);
/* Entries that are not durable yet. */
size_t	 state_pending(const struct state *s);
/* Commit now (when draining). */
void	 state_flush(struct state *s);
/* Give back the slots that speak only of messages below min_seq. */
void	 state_release_below(struct state *s, uint64_t min_seq);

/* --- what state/ said when it was read ------------------------------------- */

struct state_entry {
	uint64_t	seq;
	uint32_t	rcpt;
};
struct state_entries {
	ARRAY(struct state_entry) v;	/* sorted */
};
/* Read it without being the writer. */
MUST_CHECK int state_read(int dirfd, struct state_entries *out,
	    struct why *why);
/* The entries found by state_open(); the caller's from now on. */
struct state_entries state_take_entries(struct state *s);
void	 state_entries_fini(struct state_entries *e);
/* The entries of one message: how many, the first in *first. */
size_t	 state_entries_find(const struct state_entries *e, uint64_t seq,
	    const struct state_entry **first);
bool	 state_entries_all(const struct state_entries *e, uint64_t seq);
/* One record's payload; -1 when it makes no sense.  For fuzzing too. */
MUST_CHECK int state_parse(struct span payload, struct state_entries *out);

#endif
