/* SPDX-License-Identifier: ISC */
/*
 * spool - the queue directory: what lies where.
 *
 *	log/		message log: segments that cleanup writes; ids, how
 *			far the numbers in queue ids are given away
 *	state/		qmgr's log of what is finished
 *	large/		contents too big for a segment, named by queue id
 *	deferred/xx/	one file per message that waits for its next attempt
 *	hold/xx/	one file per message that waits for postsuper -H
 *	corrupt/	what could not be read, for a person to look at
 *	private/ public/ jail/	sockets (see ARCHITECTURE.md)
 *	pid/		master.pid, locked by the running master
 *
 * xx is two hexadecimal digits of the number in the queue id.
 */
#ifndef QUEUE_SPOOL_H
#define QUEUE_SPOOL_H

#include "base/cc.h"
#include "base/span.h"
#include "base/why.h"

enum spool_queue { SPOOL_DEFERRED, SPOOL_HOLD, SPOOL_CORRUPT, SPOOL_LARGE };

struct spool {
	int	dirfd;			/* the queue directory */
};

/* Open conf.queue_directory.  -1 with why. */
MUST_CHECK int spool_open(struct spool *s, const char *path, struct why *why);
void	 spool_close(struct spool *s);
/* Make what is missing, with the right modes; as root, owned by uid:gid. */
MUST_CHECK int spool_create(const char *path, unsigned uid, unsigned gid,
	    struct why *why);
const char *spool_queue_name(enum spool_queue q);	/* "deferred" */
/* "deferred/3f/4cXy..." for a valid queue id. */
#define SPOOL_PATH_MAX 64
void	 spool_path(enum spool_queue q, struct span id,
	    char out[SPOOL_PATH_MAX]);
/* The folder of such a path, "deferred/3f", durably: it is made when the
 * first file is to lie there. */
MUST_CHECK int spool_make_folder(const struct spool *s, const char *path,
	    struct why *why);
/* Free bytes and inodes of the file system. */
MUST_CHECK int spool_free(const struct spool *s, uint64_t *bytes,
	    uint64_t *inodes, struct why *why);

#endif
