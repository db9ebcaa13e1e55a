/* SPDX-License-Identifier: ISC */
/*
 * qlist - see qlist.h.
 */
#include <sys/stat.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "io/fd.h"
#include "queue/qlist.h"
#include "queue/queue_id.h"

#define FINISHED_LEN	12		/* bytes of an entry in state/ */

struct finished {
	uint64_t	seq;
	uint32_t	rcpt;
};

struct listing {
	const struct spool	*s;
	qlist_fn		*fn;
	void			*arg;
	ARRAY(struct finished)	 done;		/* sorted */
	struct span		 only_id;	/* "": all */
	int			 slot_fd;
	uint32_t		 slot, generation;
	bool			 stopped, called;
};

/* --- what is finished ----------------------------------------------------------- */

static bool
on_state(void *arg, const struct qlog_pos *pos, uint16_t type,
    int64_t wall_us, struct span payload)
{
	struct listing *l = arg;

	if (type != QREC_FINISHED)
		return true;
	for (size_t at = 0; at + FINISHED_LEN <= payload.len;
	    at += FINISHED_LEN)
		*ARRAY_PUSH(&l->done) = (struct finished){
			num_get_le64(payload.p + at),
			num_get_le32(payload.p + at + 8)
		};
	return true;
}

static int
by_seq(const void *a, const void *b)
{
	const struct finished *x = a, *y = b;

	if (x->seq != y->seq)
		return x->seq < y->seq ? -1 : 1;
	return x->rcpt < y->rcpt ? -1 : x->rcpt > y->rcpt;
}

/* The first entry for seq, or the place where it would be. */
static size_t
first_of(const struct listing *l, uint64_t seq)
{
	size_t lo = 0, hi = l->done.len;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (l->done.v[mid].seq < seq)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Mark what state/ says is finished; false when nothing is left to do. */
static bool
mark_finished(const struct listing *l, uint64_t seq, struct envelope *e)
{
	size_t left = e->rcpts.len;

	for (size_t i = first_of(l, seq);
	    i < l->done.len && l->done.v[i].seq == seq; i++) {
		uint32_t r = l->done.v[i].rcpt;

		if (r == QREC_ALL)
			return false;
		if (r < e->rcpts.len &&
		    e->rcpts.v[r].fate == RCPT_PENDING) {
			e->rcpts.v[r].fate = RCPT_DELIVERED;
			left--;
		}
	}
	return left > 0;
}

/* --- the log ---------------------------------------------------------------------- */

static bool
has_file(const struct spool *s, struct span id)
{
	char path[SPOOL_PATH_MAX];
	struct stat st;

	for (enum spool_queue q = SPOOL_DEFERRED; q <= SPOOL_HOLD; q++) {
		spool_path(q, id, path);
		if (fstatat(s->dirfd, path, &st, AT_SYMLINK_NOFOLLOW) == 0)
			return true;
	}
	return false;
}

/* The descriptor and place of the content of a log record. */
static struct qmsg_content
log_content(struct listing *l, const struct qlog_pos *pos, uint16_t type,
    const struct envelope *e, size_t skip, size_t len, int *close_fd)
{
	char path[SPOOL_PATH_MAX];

	if (type == QREC_LARGE) {
		spool_path(SPOOL_LARGE, e->queue_id, path);
		*close_fd = openat(l->s->dirfd, path,
		    O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		return (struct qmsg_content){ *close_fd, 0, e->size };
	}
	if (l->slot_fd < 0 || l->slot != pos->slot ||
	    l->generation != pos->generation) {
		fd_close(&l->slot_fd);
		l->slot_fd = qlog_open_slot(l->s->dirfd, "log", pos->slot,
		    NULL);
		l->slot = pos->slot;
		l->generation = pos->generation;
	}
	return (struct qmsg_content){
		l->slot_fd, pos->offset + QLOG_HEADER_LEN + skip, len
	};
}

static bool
on_message(void *arg, const struct qlog_pos *pos, uint16_t type,
    int64_t wall_us, struct span payload)
{
	struct listing *l = arg;
	struct envelope e = ENVELOPE_INIT;
	struct qlist_entry entry = { .queue = "active", .seq = pos->seq };
	struct span content;
	struct why why = WHY_INIT;
	int close_fd = -1;

	if (type != QREC_MESSAGE && type != QREC_LARGE)
		return true;
	if (qmsg_parse(type, payload, &e, &content, &why) < 0) {
		log_warning("log segment %u, offset %llu: %s", pos->slot,
		    (unsigned long long)pos->offset, why.text);
		return true;
	}
	if ((l->only_id.len == 0 || span_eq(e.queue_id, l->only_id)) &&
	    mark_finished(l, pos->seq, &e) && !has_file(l->s, e.queue_id)) {
		snprintf(entry.path, sizeof(entry.path), "log/%02u.seg",
		    pos->slot);
		entry.envelope = &e;
		entry.content = log_content(l, pos, type, &e,
		    payload.len - content.len, content.len, &close_fd);
		l->called = true;
		l->stopped = !l->fn(l->arg, &entry) || l->only_id.len > 0;
	}
	fd_close(&close_fd);
	envelope_fini(&e);
	return !l->stopped;
}

static int
scan_log(struct listing *l, struct why *why)
{
	struct qlog_visit state = { .record = on_state, .arg = l };
	struct qlog_visit visit = { .record = on_message, .arg = l };
	int rc;

	l->slot_fd = -1;
	rc = qlog_scan(l->s->dirfd, "state", 0, &state, why);
	if (rc == 0) {
		if (l->done.len > 1)
			qsort(l->done.v, l->done.len, sizeof(l->done.v[0]),
			    by_seq);
		rc = qlog_scan(l->s->dirfd, "log", 0, &visit, why);
	}
	fd_close(&l->slot_fd);
	ARRAY_FINI(&l->done);
	return rc;
}

int
qlist_log(const struct spool *s, qlist_fn *fn, void *arg, struct why *why)
{
	struct listing l = { .s = s, .fn = fn, .arg = arg };

	return scan_log(&l, why);
}

/* --- files ------------------------------------------------------------------------- */

struct file_listing {
	const struct spool	*s;
	enum spool_queue	 q;
	qlist_fn		*fn;
	void			*arg;
	bool			 called;
};

static bool
on_file(void *arg, const char *id)
{
	struct file_listing *l = arg;
	struct qlist_entry entry = { .queue = spool_queue_name(l->q) };
	struct why why = WHY_INIT;
	struct qfile *f = qfile_view(l->s, l->q, span_of(id), &why);
	bool more;

	if (f == NULL) {
		char path[SPOOL_PATH_MAX];
		struct stat st;

		/* Delivered since the directory was read? */
		spool_path(l->q, span_of(id), path);
		if (fstatat(l->s->dirfd, path, &st, AT_SYMLINK_NOFOLLOW) == 0)
			log_warning("%s: %s", path, why.text);
		return true;
	}
	spool_path(l->q, span_of(id), entry.path);
	entry.envelope = qfile_envelope(f);
	entry.content = qfile_content(f);
	l->called = true;
	more = l->fn(l->arg, &entry);
	qfile_close(&f);
	return more;
}

int
qlist_files(const struct spool *s, enum spool_queue q, qlist_fn *fn,
    void *arg, struct why *why)
{
	struct file_listing l = { .s = s, .q = q, .fn = fn, .arg = arg };
	int rc = 0;

	for (unsigned x = 0; x < spool_folders(q) && rc == 0; x++)
		rc = qfile_names(s, q, x, on_file, &l, why);
	return rc < 0 ? -1 : 0;
}

int
qlist_find(const struct spool *s, struct span id, qlist_fn *fn, void *arg,
    struct why *why)
{
	static const enum spool_queue queues[] = {
		SPOOL_DEFERRED, SPOOL_HOLD, SPOOL_CORRUPT
	};
	struct listing l = { .s = s, .fn = fn, .arg = arg, .only_id = id };
	char path[SPOOL_PATH_MAX], *name;
	struct stat st;

	if (!queue_id_valid(id))
		return why_set(why, "4.3.0", "not a queue id");
	name = span_dup(id);
	for (size_t i = 0; i < ARRAY_LEN(queues); i++) {
		struct file_listing f = {
			.s = s, .q = queues[i], .fn = fn, .arg = arg
		};

		spool_path(queues[i], id, path);
		if (fstatat(s->dirfd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		(void)on_file(&f, name);
		if (f.called) {
			mem_free(name);
			return 1;
		}
	}
	mem_free(name);
	if (scan_log(&l, why) < 0)
		return -1;
	return l.called ? 1 : 0;
}
