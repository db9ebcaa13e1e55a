/* SPDX-License-Identifier: ISC */
/*
 * queue_id - the name of a message for as long as we keep it, and in logs
 * after that.
 *
 * Postfix's long form, which people's log tools know: 6 characters of
 * seconds and 4 of microseconds in base 52, 'z', and a number in base 51;
 * there the number is the inode, here one that a spool gives once, whatever
 * the clock does, so that queue ids never repeat.  (It is not the sequence
 * number in the log: an id is needed, and logged, before the message has its
 * place there.)  Vowels and 'z' are not used as digits.
 */
#ifndef QUEUE_QUEUE_ID_H
#define QUEUE_QUEUE_ID_H

#include "base/cc.h"
#include "base/span.h"

#define QUEUE_ID_MAX	32	/* bytes, with the final '\0' */

void	 queue_id_make(int64_t wall_us, uint64_t seq, char out[QUEUE_ID_MAX]);
/* 0 and what it was made from (either may be NULL), or -1. */
MUST_CHECK int queue_id_parse(struct span id, int64_t *wall_us,
	    uint64_t *seq);
bool	 queue_id_valid(struct span id);
/* What some mail system may have given as a queue id, such as Postfix in its
 * short form: there is no such message here, but it is no mistake to ask. */
bool	 queue_id_plausible(struct span id);

#endif
