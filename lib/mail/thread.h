/* SPDX-License-Identifier: ISC */
/*
 * thread - THREAD=REFERENCES and THREAD=ORDEREDSUBJECT (RFC 5256 3).
 *
 * Works on what the cache records say (message_cache.h); knows no mailbox.
 * Linear in messages and references but for sorting; nothing recurses, so a
 * chain of a million replies is as good as any other tree.
 */
#ifndef MAIL_THREAD_H
#define MAIL_THREAD_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"

struct thread_msg {
	uint32_t	 num;		/* shown: sequence number or UID */
	uint64_t	 msgid;		/* message_id_hash(), 0: none */
	const uint64_t	*refs;		/* the oldest first */
	uint32_t	 nrefs;
	int64_t		 sent_s;	/* Date, or INTERNALDATE without one */
	struct span	 base_subject;	/* casemapped */
	bool		 is_reply;
};

enum thread_algorithm { THREAD_ORDEREDSUBJECT, THREAD_REFERENCES };

/*
 * Append the threads as the untagged THREAD response shows them, "(2)(3 6
 * (4 23)(44 7 96))"; nothing when there are no messages.  msgs are in the order
 * of the mailbox.  alive, when not NULL, is asked now and then; false from it
 * ends the work: -1, out is unchanged.  -1 also when out is full.
 */
MUST_CHECK int thread_messages(enum thread_algorithm alg,
	    const struct thread_msg *msgs, size_t n, struct buf *out,
	    bool (*alive)(void *arg), void *arg);

#endif
