/* SPDX-License-Identifier: ISC */
/*
 * qmsg - queued messages: in the log, and as files of their own.
 *
 * In log/ a message is one record:
 *	QREC_MESSAGE	u32 length of envelope, envelope, content
 *	QREC_LARGE	the same without the content, which is the file
 *			large/<queue id>, synced before the record is
 * In state/ qmgr writes:
 *	QREC_FINISHED	n times (u64 seq, u32 recipient index or QREC_ALL)
 *
 * A queue file (deferred/, hold/, corrupt/) is a sequence of records with the
 * log's record header (generation 0): one QREC_MESSAGE, then any number of
 * QREC_STATE, each an envelope with the fate of every recipient; the last
 * valid one is what holds.  So one file is one message, and a state change is
 * one append.  Its mtime is the time of the next attempt.
 */
#ifndef QUEUE_QMSG_H
#define QUEUE_QMSG_H

#include "base/buf.h"
#include "base/cc.h"
#include "queue/envelope.h"
#include "queue/qlog.h"
#include "queue/spool.h"

enum { QREC_MESSAGE = 1, QREC_LARGE, QREC_STATE, QREC_FINISHED };
#define QREC_ALL	UINT32_MAX

/* Where the bytes of a message lie: enough to hand to another process. */
struct qmsg_content {
	int		fd;		/* the segment, large or queue file */
	uint64_t	offset;
	uint64_t	len;
};

/* Take a QREC_MESSAGE or QREC_LARGE payload apart.  content is where the
 * content begins in payload (QREC_LARGE: empty). */
MUST_CHECK int qmsg_parse(uint16_t type, struct span payload,
	    struct envelope *e, struct span *content, struct why *why);

/* --- queue files --------------------------------------------------------------- */

struct qfile;

/*
 * Make <queue>/xx/<id> from an envelope and content copied from c.  Written
 * under a temporary name and renamed; not synced: the caller syncs many with
 * spool_sync() before it forgets the source.
 */
MUST_CHECK int qfile_create(const struct spool *s, enum spool_queue q,
	    const struct envelope *e, const struct qmsg_content *c,
	    struct why *why);
/* Open and read it; NULL with why (4.3.0; text says "damaged" or errno). */
struct qfile *qfile_open(const struct spool *s, enum spool_queue q,
	    struct span id, struct why *why);
/* The same to show it: read-only, and the content is not checked. */
struct qfile *qfile_view(const struct spool *s, enum spool_queue q,
	    struct span id, struct why *why);
/* The same for a file that was opened elsewhere; takes fd, also on failure. */
struct qfile *qfile_view_fd(int fd, struct why *why);
void	 qfile_close(struct qfile **f);
const struct envelope *qfile_envelope(const struct qfile *f);
struct qmsg_content qfile_content(const struct qfile *f); /* fd stays f's */
/* Append the new state and set mtime to e->next_us. */
MUST_CHECK int qfile_set_state(struct qfile *f, const struct envelope *e,
	    struct why *why);
MUST_CHECK int qfile_sync(struct qfile *f, struct why *why);
MUST_CHECK int qfile_move(const struct spool *s, struct span id,
	    enum spool_queue from, enum spool_queue to, struct why *why);
MUST_CHECK int qfile_remove(const struct spool *s, enum spool_queue q,
	    struct span id, struct why *why);
/*
 * Call fn for each file of a queue, a folder after the other, as it is found:
 * the first comes soon however many there are.  next_us is the mtime, and
 * changed_us when that was set (ctime).  fn returns false to stop.
 */
MUST_CHECK int qfile_each(const struct spool *s, enum spool_queue q,
	    bool (*fn)(void *arg, const char *id, int64_t next_us,
	    int64_t changed_us), void *arg,
	    struct why *why);
/* How many folders a queue has. */
unsigned spool_folders(enum spool_queue q);
/* The same for one of its folders, and only names; what has one may be gone,
 * or be no file.  1 when fn has stopped it. */
MUST_CHECK int qfile_names(const struct spool *s, enum spool_queue q,
	    unsigned folder, bool (*fn)(void *arg, const char *id), void *arg,
	    struct why *why);
/* Remove files under temporary names ("tmp.*", "*.tmp") that a crash has
 * left; while nobody writes there. */
MUST_CHECK int spool_sweep_tmp(const struct spool *s, enum spool_queue q,
	    struct why *why);
/* Make all that was written to the spool durable (syncfs). */
MUST_CHECK int spool_sync(const struct spool *s, struct why *why);

#endif
