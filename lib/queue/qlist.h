/* SPDX-License-Identifier: ISC */
/*
 * qlist - look through the queue on disk, for those who do not own it.
 *
 * Says what log/, state/ and the queue files say at the moment; a message may
 * be delivered while it is being looked at.  What qmgr holds in memory only
 * (delivered, not yet in state/) it is asked for itself (msg_qctl.h).
 */
#ifndef QUEUE_QLIST_H
#define QUEUE_QLIST_H

#include "base/cc.h"
#include "base/why.h"
#include "queue/qmsg.h"

struct qlist_entry {
	const char		*queue;		/* "active", "deferred", ... */
	const struct envelope	*envelope;	/* with fates */
	struct qmsg_content	 content;	/* fd is good during the call;
						 * -1 when it cannot be read */
	uint64_t		 seq;		/* in the log; 0: a file */
	char			 path[SPOOL_PATH_MAX];
};

/* Return false to stop. */
typedef bool qlist_fn(void *arg, const struct qlist_entry *e);

/* Messages in log/ with a recipient that is not finished and no queue file of
 * their own: "active". */
MUST_CHECK int qlist_log(const struct spool *s, qlist_fn *fn, void *arg,
	    struct why *why);
/*
 * The files of deferred/, hold/ or corrupt/, as they are found.  One that
 * cannot be read is passed over with a warning in the log.
 */
MUST_CHECK int qlist_files(const struct spool *s, enum spool_queue q,
	    qlist_fn *fn, void *arg, struct why *why);
/* One message wherever it is.  1 when fn was called, 0 when there is none. */
MUST_CHECK int qlist_find(const struct spool *s, struct span id,
	    qlist_fn *fn, void *arg, struct why *why);

#endif
