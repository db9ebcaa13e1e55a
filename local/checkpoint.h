/* SPDX-License-Identifier: ISC */
/*
 * checkpoint - what an agent delivers becomes durable, all at once: a thread
 * calls syncfs() on the file systems that were touched, at most every
 * CHECKPOINT_MS.
 *
 * When that fails the process says so and exits: which deliveries are lost
 * nobody can tell, and qmgr has all since the last one made again.
 */
#ifndef LOCAL_CHECKPOINT_H
#define LOCAL_CHECKPOINT_H

#include "base/cc.h"
#include "base/why.h"
#include "store/store.h"

#define CHECKPOINT_MS	500

/* Deliveries with this serial, and those before, are durable. */
typedef void checkpoint_fn(uint64_t serial);

/* Once, in the jail. */
MUST_CHECK int checkpoint_start(struct store *store, checkpoint_fn *durable,
	    struct why *why);
/* The serial of a delivery that is made now. */
uint64_t checkpoint_serial(void);
/* Readable: one has ended, checkpoint_poll() or _end() is to be called. */
int	 checkpoint_event(void);
/* Take the result of one that has ended, if one has. */
void	 checkpoint_end(void);
/* Begin or end one where it is time.  How long until the next look, in ms;
 * -1: there is nothing to look for. */
int64_t	 checkpoint_poll(void);
/* All that was delivered is durable. */
bool	 checkpoint_idle(void);
/* Wait until it is. */
void	 checkpoint_finish(void);

#endif
