/* SPDX-License-Identifier: ISC */
/*
 * qmsg - see qmsg.h.
 *
 * A queue file is appended to and never changed in place: the message, then
 * one QREC_STATE after the other.  A torn state at the end was never relied
 * upon (who relies on a state syncs it first); the next one takes its place.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crc32c.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "io/fault.h"
#include "io/fd.h"
#include "queue/qlog_slot.h"
#include "queue/qmsg.h"
#include "queue/qmsg_priv.h"
#include "queue/queue_id.h"

#define COPY_STEP	(256u << 10)
#define ENVELOPE_BYTES_MAX (64u << 20)	/* of one encoded envelope */
#define WINDOW		4096		/* bytes that are read at once */

struct qfile {
	int		fd;
	bool		view;		/* for a list: content unchecked */
	uint64_t	content_at, content_len;
	uint64_t	end;		/* where the next state goes */
	uint64_t	states;		/* seq of the last record */
	struct buf	text;		/* what envelope's spans point into */
	struct envelope	envelope;
};

int
qmsg_parse(uint16_t type, struct span payload, struct envelope *e,
    struct span *content, struct why *why)
{
	uint32_t len;

	*e = ENVELOPE_INIT;
	*content = SPAN_EMPTY;
	if (type != QREC_MESSAGE && type != QREC_LARGE)
		return why_set(why, "4.3.0", "log record of type %u is no "
		    "message", type);
	if (payload.len < 4)
		return why_set(why, "4.3.0", "message record is too short");
	len = num_get_le32(payload.p);
	if (len > payload.len - 4 ||
	    (type == QREC_LARGE && len != payload.len - 4))
		return why_set(why, "4.3.0", "message record has a bad "
		    "envelope length");
	if (envelope_decode(e, span_make(payload.p + 4, len), why) < 0)
		return -1;
	*content = span_from(payload, 4 + (size_t)len);
	return 0;
}

int
spool_sync(const struct spool *s, struct why *why)
{
	if (fault_syncfs(s->dirfd) < 0)
		return why_errno(why, "4.3.0", "sync queue directory");
	return 0;
}

/* --- writing ---------------------------------------------------------------------- */

static int
pwrite_all(int fd, const char *p, size_t n, uint64_t at)
{
	while (n > 0) {
		ssize_t done = fault_pwrite(fd, p, n, (off_t)at);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0) {
			errno = done == 0 ? EIO : errno;
			return -1;
		}
		p += done;
		at += (uint64_t)done;
		n -= (size_t)done;
	}
	return 0;
}

/* Write the record of the message; its header comes last. */
static int
write_message(int fd, const struct envelope *e, const struct qmsg_content *c,
    struct why *why)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	struct rec_head r = { .type = QREC_MESSAGE, .seq = 1,
	    .wall_us = clock_wall_us() };
	char head[QLOG_HEADER_LEN], le[4];
	char *step = NULL;
	uint64_t at = QLOG_HEADER_LEN, from, left;
	int rc = -1;

	buf_add(&b, "\0\0\0\0", 4);
	envelope_encode(&b, e);
	num_put_le32(le, (uint32_t)(b.len - 4));
	memcpy(b.data, le, 4);
	if (c->len > UINT32_MAX - 64 - b.len) {
		why_set(why, "5.3.4", "message of %llu bytes is too large for "
		    "a queue file", (unsigned long long)c->len);
		goto out;
	}
	r.len = (uint32_t)(b.len + c->len);
	r.payload_crc = crc32c(0, b.data, b.len);
	if (pwrite_all(fd, b.data, b.len, at) < 0)
		goto bad;
	at += b.len;
	step = mem_alloc(COPY_STEP);
	for (from = c->offset, left = c->len; left > 0;) {
		size_t n = (size_t)MIN(left, (uint64_t)COPY_STEP);

		if (fd_pread_all(c->fd, step, n, (off_t)from) < 0) {
			why_errno(why, "4.3.0", "read message content");
			goto out;
		}
		r.payload_crc = crc32c(r.payload_crc, step, n);
		if (pwrite_all(fd, step, n, at) < 0)
			goto bad;
		from += n;
		left -= n;
		at += n;
	}
	rec_head_encode(&r, head);
	if (pwrite_all(fd, head, sizeof(head), 0) < 0)
		goto bad;
	rc = 0;
	goto out;
bad:
	why_errno(why, io_code(), "write queue file");
out:
	mem_free(step);
	buf_fini(&b);
	return rc;
}

static int
set_mtime(int fd, int64_t us, struct why *why)
{
	struct timespec ts[2] = {
		{ .tv_nsec = UTIME_OMIT },
		{ .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000 }
	};

	if (futimens(fd, ts) < 0)
		return why_errno(why, "4.3.0", "set time of queue file");
	return 0;
}

int
qfile_create(const struct spool *s, enum spool_queue q,
    const struct envelope *e, const struct qmsg_content *c, struct why *why)
{
	char path[SPOOL_PATH_MAX], tmp[SPOOL_PATH_MAX + 4];
	int fd;

	if (!queue_id_valid(e->queue_id))
		return why_set(why, "4.3.0", "bad queue id");
	spool_path(q, e->queue_id, path);
	/* The name has no place in a listing: ids have no dot. */
	snprintf(tmp, sizeof(tmp), "%s.tmp", path);
	fd = fault_openat(s->dirfd, tmp,
	    O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 && errno == ENOENT) {
		if (spool_make_folder(s, path, why) < 0)
			return -1;
		fd = fault_openat(s->dirfd, tmp,
		    O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	}
	if (fd < 0)
		return why_errno(why, io_code(), "create %s", tmp);
	if (write_message(fd, e, c, why) < 0 ||
	    set_mtime(fd, e->next_us, why) < 0)
		goto bad;
	if (fault_renameat(s->dirfd, tmp, s->dirfd, path) < 0) {
		why_errno(why, io_code(), "rename %s", tmp);
		goto bad;
	}
	fd_close(&fd);
	return 0;
bad:
	fd_close(&fd);
	(void)unlinkat(s->dirfd, tmp, 0);
	return -1;
}

int
qfile_set_state(struct qfile *f, const struct envelope *e, struct why *why)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	struct rec_head r = { .type = QREC_STATE, .seq = f->states + 1,
	    .wall_us = clock_wall_us() };
	char head[QLOG_HEADER_LEN] = { 0 };
	struct envelope again;
	struct stat st;
	int rc = -1;

	buf_add(&b, head, sizeof(head));
	envelope_encode(&b, e);
	r.len = (uint32_t)(b.len - sizeof(head));
	r.payload_crc = crc32c(0, b.data + sizeof(head), r.len);
	rec_head_encode(&r, head);
	memcpy(b.data, head, sizeof(head));
	while (b.len % 8 != 0)
		buf_add_char(&b, '\0');
	/* What a torn state left must not be read behind this one. */
	if (fstat(f->fd, &st) < 0) {
		why_errno(why, "4.3.0", "stat queue file");
		goto out;
	}
	if ((uint64_t)st.st_size > f->end &&
	    fault_ftruncate(f->fd, (off_t)f->end) < 0) {
		why_errno(why, "4.3.0", "truncate queue file");
		goto out;
	}
	if (pwrite_all(f->fd, b.data, b.len, f->end) < 0) {
		why_errno(why, io_code(), "write queue file");
		goto out;
	}
	if (set_mtime(f->fd, e->next_us, why) < 0)
		goto out;
	f->end += b.len;
	f->states = r.seq;
	/* e may be our own envelope with changes: decode before the switch. */
	buf_consume(&b, sizeof(head));
	if (envelope_decode(&again, span_make(b.data, r.len), why) < 0)
		goto out;
	envelope_fini(&f->envelope);
	buf_fini(&f->text);
	f->envelope = again;
	f->text = b;
	return 0;
out:
	buf_fini(&b);
	return rc;
}

int
qfile_sync(struct qfile *f, struct why *why)
{
	if (fault_fdatasync(f->fd) < 0)
		return why_errno(why, "4.3.0", "sync queue file");
	return 0;
}

/* --- reading ---------------------------------------------------------------------- */

static int
damaged(struct why *why, const char *what)
{
	return why_set(why, "4.3.0", "queue file is damaged: %s", what);
}

/*
 * What was read of a file in one go: of most files all there is, so that
 * looking at a million of them takes one call each.
 */
struct window {
	int		fd;
	uint64_t	at, len;
	char		data[WINDOW];
};

static int
window_read(struct window *w, void *to, size_t n, uint64_t at)
{
	if (at < w->at || at - w->at > w->len || w->len - (at - w->at) < n) {
		ssize_t got;

		if (n > sizeof(w->data))
			return fd_pread_all(w->fd, to, n, (off_t)at);
		do {
			got = pread(w->fd, w->data, sizeof(w->data),
			    (off_t)at);
		} while (got < 0 && errno == EINTR);
		if (got < 0)
			return -1;
		w->at = at;
		w->len = (uint64_t)got;
		/* Shorter than there is, or has it been cut off? */
		if (w->len < n)
			return fd_pread_all(w->fd, to, n, (off_t)at);
	}
	memcpy(to, w->data + (at - w->at), n);
	return 0;
}

/* The record header at at; *end is where the next record begins. */
static int
read_head(struct window *w, uint64_t at, uint64_t size, struct rec_head *r,
    uint64_t *end)
{
	char head[QLOG_HEADER_LEN];

	*end = at;
	if (at > size || size - at < sizeof(head) ||
	    window_read(w, head, sizeof(head), at) < 0 ||
	    rec_head_decode(r, head) < 0 || r->generation != 0 ||
	    r->len > size - at - sizeof(head))
		return -1;
	*end = at + sizeof(head) + (((uint64_t)r->len + 7) & ~(uint64_t)7);
	return 0;
}

/* Read the rest of the message's payload for its CRC. */
static int
check_content(struct qfile *f, const struct rec_head *r, uint32_t crc,
    struct why *why)
{
	char *step = mem_alloc(COPY_STEP);
	uint64_t at = f->content_at, left = f->content_len;
	int rc = -1;

	while (left > 0) {
		size_t n = (size_t)MIN(left, (uint64_t)COPY_STEP);

		if (fd_pread_all(f->fd, step, n, (off_t)at) < 0) {
			why_errno(why, "4.3.0", "read queue file");
			goto out;
		}
		crc = crc32c(crc, step, n);
		at += n;
		left -= n;
	}
	rc = crc == r->payload_crc ? 0 : damaged(why, "content");
out:
	mem_free(step);
	return rc;
}

static int
read_message(struct qfile *f, struct window *w, uint64_t size, uint64_t *end,
    struct why *why)
{
	struct rec_head r;
	uint32_t len, crc;
	char le[4], *p;

	if (read_head(w, 0, size, &r, end) < 0 || r.type != QREC_MESSAGE ||
	    r.len < 4)
		return damaged(why, "no message record");
	if (window_read(w, le, 4, QLOG_HEADER_LEN) < 0)
		return why_errno(why, "4.3.0", "read queue file");
	len = num_get_le32(le);
	if (len > r.len - 4 || len > ENVELOPE_BYTES_MAX)
		return damaged(why, "envelope length");
	p = buf_reserve(&f->text, len);
	if (p == NULL)
		return damaged(why, "envelope length");
	if (window_read(w, p, len, QLOG_HEADER_LEN + 4) < 0)
		return why_errno(why, "4.3.0", "read queue file");
	buf_commit(&f->text, len);
	crc = crc32c(crc32c(0, le, 4), p, len);
	f->content_at = QLOG_HEADER_LEN + 4 + (uint64_t)len;
	f->content_len = r.len - 4 - len;
	f->states = r.seq;
	if (!f->view && check_content(f, &r, crc, why) < 0)
		return -1;
	return envelope_decode(&f->envelope, buf_span(&f->text), why);
}

/* Take the states over, one after the other, up to the first that is torn. */
static int
read_states(struct qfile *f, struct window *w, uint64_t at, uint64_t size,
    struct why *why)
{
	struct rec_head r;
	uint64_t end;
	bool any = false;

	f->end = at;
	while (read_head(w, f->end, size, &r, &end) == 0 &&
	    r.type == QREC_STATE && r.seq == f->states + 1 &&
	    r.len <= ENVELOPE_BYTES_MAX) {
		struct buf b = BUF_INIT(BUF_UNLIMITED);
		char *p = buf_reserve(&b, r.len);

		if (p == NULL || (r.len > 0 && window_read(w, p, r.len,
		    f->end + QLOG_HEADER_LEN) < 0) ||
		    crc32c(0, p, r.len) != r.payload_crc) {
			buf_fini(&b);
			break;
		}
		buf_commit(&b, r.len);
		/* The spans of the envelope point into what goes here. */
		envelope_fini(&f->envelope);
		f->envelope = ENVELOPE_INIT;
		buf_fini(&f->text);
		f->text = b;
		f->end = end;
		f->states = r.seq;
		any = true;
	}
	return any ? envelope_decode(&f->envelope, buf_span(&f->text), why) :
	    0;
}

/* Takes fd, also when there is nothing good in it. */
static struct qfile *
read_file(int fd, bool view, struct why *why)
{
	struct qfile *f = mem_zalloc(sizeof(*f));
	struct window w;
	struct stat st;
	uint64_t end;

	w.fd = f->fd = fd;
	w.at = w.len = 0;
	f->view = view;
	f->text = BUF_INIT(BUF_UNLIMITED);
	if (fstat(f->fd, &st) < 0) {
		why_errno(why, "4.3.0", "stat the queue file");
		goto bad;
	}
	if (!S_ISREG(st.st_mode)) {
		damaged(why, "not a regular file");
		goto bad;
	}
	if (read_message(f, &w, (uint64_t)st.st_size, &end, why) < 0 ||
	    read_states(f, &w, end, (uint64_t)st.st_size, why) < 0)
		goto bad;
	return f;
bad:
	qfile_close(&f);
	return NULL;
}

static struct qfile *
open_file(const struct spool *s, enum spool_queue q, struct span id,
    bool view, struct why *why)
{
	char path[SPOOL_PATH_MAX];
	struct qfile *f;
	int fd;

	if (!queue_id_valid(id)) {
		why_set(why, "4.3.0", "bad queue id");
		return NULL;
	}
	spool_path(q, id, path);
	fd = openat(s->dirfd, path, (view ? O_RDONLY : O_RDWR) | O_CLOEXEC |
	    O_NOFOLLOW);
	if (fd < 0) {
		why_errno(why, "4.3.0", "open %s", path);
		return NULL;
	}
	f = read_file(fd, view, why);
	if (f != NULL && !span_eq(f->envelope.queue_id, id)) {
		damaged(why, "it has the name of another message");
		qfile_close(&f);
	}
	return f;
}

struct qfile *
qfile_view_fd(int fd, struct why *why)
{
	return read_file(fd, true, why);
}

struct qfile *
qfile_open(const struct spool *s, enum spool_queue q, struct span id,
    struct why *why)
{
	return open_file(s, q, id, false, why);
}

struct qfile *
qfile_view(const struct spool *s, enum spool_queue q, struct span id,
    struct why *why)
{
	return open_file(s, q, id, true, why);
}

void
qfile_close(struct qfile **fp)
{
	struct qfile *f = *fp;

	*fp = NULL;
	if (f == NULL)
		return;
	envelope_fini(&f->envelope);
	buf_fini(&f->text);
	fd_close(&f->fd);
	mem_free(f);
}

const struct envelope *
qfile_envelope(const struct qfile *f)
{
	return &f->envelope;
}

struct qmsg_content
qfile_content(const struct qfile *f)
{
	return (struct qmsg_content){ f->fd, f->content_at, f->content_len };
}
