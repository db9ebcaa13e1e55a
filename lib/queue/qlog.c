/* SPDX-License-Identifier: ISC */
/*
 * qlog - the writer; see qlog.h.  qlog_slots.c has its table of slots; the
 * readers are in qlog_read.c.
 *
 * Three threads of control meet here.  The owner's thread appends, and begins
 * and ends commits.  qlog_batch_write() may run in another thread: it touches
 * the batch and nothing else.  The preparer, a thread of ours, makes new slots
 * and releases old ones, both of which wait for the disk; it shares only the
 * table of slots, under the mutex.  So the owner waits for no disk, unless no
 * slot is ready at all.
 *
 * A slot goes FREE -> CURRENT -> SEALING -> USED -> RELEASING -> FREE, where
 * SEALING lasts until the batch with its last record is on disk; whatever the
 * disk refuses becomes DEAD until the log is opened again.
 *
 * Order of writes.  A batch that spans two slots is written and synced slot by
 * slot, so that a later slot is never on disk without the whole of an earlier
 * one.  The header of a reused slot goes out in the same write as its first
 * records; the header is within one sector, so after a crash it is the old
 * one, which says "free", or the new one, and both read right.
 */
#include <sys/file.h>
#include <sys/uio.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crc32c.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/fault.h"
#include "io/fd.h"
#include "queue/qlog_writer.h"

#define BATCH_KEEP	(4u << 20)	/* bytes of buffer kept between uses */
#define BIG_BATCH	(1u << 20)	/* bytes; see qlog_prepare_one() */
#define WRITE_STEP	(2u << 20)	/* bytes of one system call */
#define REFER_MIN	8192		/* bytes; shorter parts are copied */
#define PIECES_MAX	64		/* of one system call */
#define SURPLUS_MS	(5 * 60 * 1000)	/* how long free slots lie about */

/* --- opening ------------------------------------------------------------------ */

/*
 * What is behind the last record was never acknowledged.  A whole record in
 * there would be taken for a good one as soon as the records before it have
 * been written again: so it goes.
 */
static int
clear_tail(int fd, uint32_t generation, uint64_t at, uint64_t size,
    struct why *why)
{
	if (!slot_tail_dirty(fd, generation, at, size))
		return 0;
	if (slot_zero(fd, at, size) < 0 || fault_fdatasync(fd) < 0)
		return why_errno(why, "4.3.0", "clear torn log tail");
	return 0;
}

/* Find the end of the log in the last slot that is in use. */
static int
find_end(struct qlog *q, struct why *why)
{
	struct slot *last = NULL;
	struct slot_end end;
	char name[SLOT_NAME_MAX];
	int fd;

	for (size_t i = 0; i < q->slots.len; i++) {
		struct slot *s = &q->slots.v[i];

		q->next_seq = MAX(q->next_seq, MAX(s->first_seq, s->mark));
		if (s->state == SLOT_USED &&
		    (last == NULL || s->first_seq > last->first_seq))
			last = s;
	}
	if (last == NULL)
		return 0;
	slot_name(last->no, name);
	fd = openat(q->dirfd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return why_errno(why, "4.3.0", "open log segment %s", name);
	if (slot_find_end(fd, last->generation, last->first_seq, last->size,
	    &end, why) < 0)
		goto bad;
	q->next_seq = MAX(q->next_seq, end.next_seq);
	if (end.sealed) {
		fd_close(&fd);
		return 0;
	}
	if (clear_tail(fd, last->generation, end.at, last->size, why) < 0)
		goto bad;
	last->fd = fd;
	if (end.empty) {	/* its first batch never got here */
		last->state = SLOT_FREE;
		return 0;
	}
	last->state = SLOT_CURRENT;
	q->cur_fd = fd;
	q->cur_no = last->no;
	q->cur_generation = last->generation;
	q->cur_size = last->size;
	q->cur_at = (end.at + QLOG_PAGE - 1) & ~(uint64_t)(QLOG_PAGE - 1);
	q->cur_next_seq = end.next_seq;
	return 0;
bad:
	fd_close(&fd);
	return -1;
}

static int
add_slot(void *arg, const struct slot_info *in)
{
	struct qlog *q = arg;
	struct slot *s = ARRAY_PUSH(&q->slots);

	*s = (struct slot){ .no = in->no, .fd = -1, .size = in->size,
	    .generation = in->head.generation,
	    .first_seq = in->head.first_seq, .mark = in->head.mark };
	switch (in->state) {
	case SLOT_INFO_FREE:	s->state = SLOT_FREE; break;
	case SLOT_INFO_USED:	s->state = SLOT_USED; break;
	case SLOT_INFO_BAD:
		log_warning("log segment %u is damaged and holds no record: "
		    "it is left alone", in->no);
		s->state = SLOT_DEAD;
		s->first_seq = s->mark = 0;
		break;
	}
	return 0;
}

struct qlog *
qlog_open(int dirfd, const char *path, const struct qlog_options *opt,
    struct why *why)
{
	struct qlog *q = mem_zalloc(sizeof(*q));
	pthread_condattr_t monotonic;

	if (opt != NULL)
		q->opt = *opt;
	if (q->opt.segment_size == 0)
		q->opt.segment_size = QLOG_SEGMENT_SIZE;
	q->opt.segment_size &= ~(size_t)(QLOG_PAGE - 1);
	q->opt.segment_size = MAX(q->opt.segment_size, QLOG_SEGMENT_MIN);
	if (q->opt.slots_max == 0)
		q->opt.slots_max = 65536;
	if (q->opt.slots_keep == 0)
		q->opt.slots_keep = 2;
	if (q->opt.surplus_ms == 0)
		q->opt.surplus_ms = SURPLUS_MS;
	/* The first page is the header, the last is kept for the seal. */
	q->record_max = MIN((size_t)QLOG_RECORD_MAX, q->opt.segment_size -
	    2 * QLOG_PAGE - QLOG_HEADER_LEN - 8);
	q->cur_fd = q->lockfd = -1;
	q->next_seq = 1;
	q->gather = &q->batch[0];
	pthread_mutex_init(&q->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&q->cond, &monotonic);
	pthread_condattr_destroy(&monotonic);
	q->dirfd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (q->dirfd < 0) {
		why_errno(why, "4.3.0", "open log directory %s", path);
		goto bad;
	}
	q->lockfd = openat(q->dirfd, "lock",
	    O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (q->lockfd < 0) {
		why_errno(why, "4.3.0", "open %s/lock", path);
		goto bad;
	}
	if (flock(q->lockfd, LOCK_EX | LOCK_NB) < 0) {
		if (errno == EWOULDBLOCK)
			why_set(why, "4.3.0", "%s is in use by another "
			    "process", path);
		else
			why_errno(why, "4.3.0", "lock %s", path);
		goto bad;
	}
	if (slot_list(q->dirfd, add_slot, q, why) < 0 || find_end(q, why) < 0)
		goto bad;
	if (q->slots.len > 0)
		qsort(q->slots.v, q->slots.len, sizeof(q->slots.v[0]),
		    qlog_slot_cmp);
	q->durable_seq = q->next_seq - 1;
	/* Be able to take a message at once; the rest is prepared behind. */
	if (q->cur_fd < 0 && qlog_slot_count(q, SLOT_FREE) == 0) {
		pthread_mutex_lock(&q->lock);
		if (qlog_prepare_one(q) < 0)
			why_set(why, "4.3.1", "%s", q->trouble);
		pthread_mutex_unlock(&q->lock);
		if (qlog_slot_count(q, SLOT_FREE) == 0 && !q->no_space)
			goto bad;
	}
	if (!q->opt.no_thread) {
		sigset_t all, old;

		sigfillset(&all);
		pthread_sigmask(SIG_BLOCK, &all, &old);
		q->threaded = pthread_create(&q->thread, NULL,
		    qlog_preparer, q) == 0;
		pthread_sigmask(SIG_SETMASK, &old, NULL);
		if (!q->threaded) {
			why_set(why, "4.3.0", "no thread for %s", path);
			goto bad;
		}
	}
	return q;
bad:
	qlog_close(&q);
	return NULL;
}

static void
batch_fini(struct qlog_batch *b)
{
	for (size_t i = 0; i < b->chunks.len; i++) {
		buf_fini(&b->chunks.v[i].data);
		ARRAY_FINI(&b->chunks.v[i].pieces);
	}
	ARRAY_FINI(&b->chunks);
	ARRAY_FINI(&b->sealed);
}

void
qlog_close(struct qlog **qp)
{
	struct qlog *q = *qp;

	*qp = NULL;
	if (q == NULL)
		return;
	if (q->threaded) {
		pthread_mutex_lock(&q->lock);
		q->stop = true;
		pthread_cond_signal(&q->cond);
		pthread_mutex_unlock(&q->lock);
		pthread_join(q->thread, NULL);
	}
	for (size_t i = 0; i < q->slots.len; i++)
		fd_close(&q->slots.v[i].fd);
	ARRAY_FINI(&q->slots);
	ARRAY_FINI(&q->released);
	batch_fini(&q->batch[0]);
	batch_fini(&q->batch[1]);
	fd_close(&q->lockfd);
	fd_close(&q->dirfd);
	pthread_cond_destroy(&q->cond);
	pthread_mutex_destroy(&q->lock);
	mem_free(q);
}

uint64_t
qlog_next_seq(const struct qlog *q)
{
	return q->next_seq;
}

uint64_t
qlog_durable_seq(const struct qlog *q)
{
	return q->durable_seq;
}

void
qlog_set_next_seq(struct qlog *q, uint64_t seq)
{
	q->next_seq = MAX(q->next_seq, seq);
}

bool
qlog_broken(const struct qlog *q)
{
	return q->broken;
}

bool
qlog_dirty(const struct qlog *q)
{
	return q->gather->nchunks > 0;
}

/* --- appending ----------------------------------------------------------------- */

static struct chunk *
chunk_new(struct qlog_batch *b, int fd, uint64_t at)
{
	struct chunk *c;

	if (b->nchunks == b->chunks.len)
		ARRAY_PUSH(&b->chunks)->data = BUF_INIT(BUF_UNLIMITED);
	c = &b->chunks.v[b->nchunks++];
	buf_reset(&c->data);
	c->pieces.len = 0;
	c->len = 0;
	c->fd = fd;
	c->at = at;
	return c;
}

/* The chunk that ends where the next record goes. */
static struct chunk *
chunk_here(struct qlog *q)
{
	struct qlog_batch *b = q->gather;

	if (b->nchunks > 0 && b->chunks.v[b->nchunks - 1].fd == q->cur_fd)
		return &b->chunks.v[b->nchunks - 1];
	return chunk_new(b, q->cur_fd, q->cur_at);
}

/* n more bytes of its own, to be filled in before the next call. */
static char *
chunk_extend(struct chunk *c, size_t n)
{
	char *p = buf_reserve(&c->data, n);
	struct piece *last = c->pieces.len == 0 ? NULL :
	    &c->pieces.v[c->pieces.len - 1];

	if (p == NULL)
		log_panic("qlog: no room in a batch");
	if (last == NULL || last->p != NULL) {
		last = ARRAY_PUSH(&c->pieces);
		last->off = c->data.len;
	}
	last->len += n;
	c->len += n;
	buf_commit(&c->data, n);
	return p;
}

static void
chunk_refer(struct chunk *c, struct span bytes)
{
	*ARRAY_PUSH(&c->pieces) = (struct piece){ .p = bytes.p,
	    .len = bytes.len };
	c->len += bytes.len;
}

/* Zeros up to the next multiple of align (a power of two) in the file. */
static void
chunk_pad(struct chunk *c, size_t align)
{
	uint64_t end = c->at + c->len;
	size_t n = (size_t)(-end & (align - 1));

	if (n > 0)
		memset(chunk_extend(c, n), 0, n);
}

static void
put_seal(struct qlog *q)
{
	struct chunk *c = chunk_here(q);
	struct rec_head r = {
		.type = QLOG_SEAL, .generation = q->cur_generation,
		.seq = q->cur_next_seq, .durable = q->durable_seq,
		.payload_crc = crc32c(0, "", 0), .wall_us = clock_wall_us()
	};

	rec_head_encode(&r, chunk_extend(c, QLOG_HEADER_LEN));
	chunk_pad(c, QLOG_PAGE);
}

/* Go on in another slot. */
static int
next_slot(struct qlog *q, struct why *why)
{
	struct slot *s, *old;
	struct slot_head h;
	struct chunk *c;
	char name[SLOT_NAME_MAX];
	int rc = -1;

	pthread_mutex_lock(&q->lock);
	s = qlog_slot_first(q, SLOT_FREE);
	if (s == NULL && !q->threaded) {
		q->retry_ms = 0;
		if (qlog_prepare_one(q) == 0)
			s = qlog_slot_first(q, SLOT_FREE);
	}
	if (s == NULL) {
		why_set(why, "4.3.1", "%s", q->trouble[0] != '\0' ?
		    q->trouble : "no log segment is ready");
		qlog_preparer_wake(q);
		goto out;
	}
	if (s->fd < 0) {
		slot_name(s->no, name);
		s->fd = openat(q->dirfd, name,
		    O_RDWR | O_CLOEXEC | O_NOFOLLOW);
		if (s->fd < 0) {
			s->state = SLOT_DEAD;
			why_errno(why, "4.3.1", "open log segment %s", name);
			goto out;
		}
	}
	if (q->cur_fd >= 0) {
		put_seal(q);
		old = qlog_slot_find(q, q->cur_no);
		old->state = SLOT_SEALING;
		*ARRAY_PUSH(&q->gather->sealed) = old->no;
	}
	s->state = SLOT_CURRENT;
	q->free_min = MIN(q->free_min, qlog_slot_count(q, SLOT_FREE));
	q->big_batches = q->cur_batches > 0 &&
	    q->cur_size / q->cur_batches >= BIG_BATCH;
	q->cur_batches = 0;
	s->generation++;
	s->first_seq = q->next_seq;
	s->mark = 0;
	q->cur_fd = s->fd;
	q->cur_no = s->no;
	q->cur_generation = s->generation;
	q->cur_size = s->size;
	q->cur_next_seq = q->next_seq;
	h = (struct slot_head){ .no = s->no, .generation = s->generation,
	    .first_seq = q->next_seq, .used = true };
	c = chunk_new(q->gather, q->cur_fd, 0);
	memset(chunk_extend(c, QLOG_PAGE), 0, QLOG_PAGE);
	slot_head_encode(&h, c->data.data);
	q->cur_at = QLOG_PAGE;
	if (q->threaded)
		qlog_preparer_wake(q);
	rc = 0;
out:
	pthread_mutex_unlock(&q->lock);
	return rc;
}

static int
append(struct qlog *q, uint16_t type, const struct span *parts,
    size_t nparts, bool kept, struct qlog_pos *pos, struct why *why)
{
	struct rec_head r = { .type = type };
	struct chunk *c;
	size_t len = 0, at, head;
	uint64_t need;

	if (q->broken)
		return why_set(why, "4.3.0", "the message log is broken");
	for (size_t i = 0; i < nparts; i++) {
		if (parts[i].len > q->record_max - len)
			return why_set(why, "5.3.4", "record of more than %zu "
			    "bytes", q->record_max);
		len += parts[i].len;
	}
	need = QLOG_HEADER_LEN + ((len + 7) & ~(uint64_t)7);
	if (q->cur_fd < 0 || q->cur_next_seq != q->next_seq ||
	    q->cur_at + need > q->cur_size - QLOG_PAGE) {
		if (next_slot(q, why) < 0)
			return -1;
		/* A slot made when the setting was smaller. */
		if (q->cur_at + need > q->cur_size - QLOG_PAGE)
			return why_set(why, "4.3.1",
			    "log segment %u is too small", q->cur_no);
	}
	c = chunk_here(q);
	at = c->len;
	head = c->data.len;
	(void)chunk_extend(c, QLOG_HEADER_LEN);
	for (size_t i = 0; i < nparts; i++) {
		if (parts[i].len == 0)
			continue;
		r.payload_crc = crc32c(r.payload_crc, parts[i].p,
		    parts[i].len);
		if (kept && parts[i].len >= REFER_MIN)
			chunk_refer(c, parts[i]);
		else
			memcpy(chunk_extend(c, parts[i].len), parts[i].p,
			    parts[i].len);
	}
	chunk_pad(c, 8);
	r.generation = q->cur_generation;
	r.seq = q->next_seq;
	r.durable = q->durable_seq;
	r.len = (uint32_t)len;
	r.wall_us = clock_wall_us();
	rec_head_encode(&r, c->data.data + head);
	*pos = (struct qlog_pos){ .slot = q->cur_no,
	    .generation = q->cur_generation, .offset = c->at + at,
	    .len = r.len, .seq = r.seq };
	q->cur_at += need;
	q->cur_next_seq = ++q->next_seq;
	q->gather->last_seq = r.seq;
	return 0;
}

int
qlog_append(struct qlog *q, uint16_t type, const struct span *parts,
    size_t nparts, struct qlog_pos *pos, struct why *why)
{
	return append(q, type, parts, nparts, false, pos, why);
}

int
qlog_append_kept(struct qlog *q, uint16_t type, const struct span *parts,
    size_t nparts, struct qlog_pos *pos, struct why *why)
{
	return append(q, type, parts, nparts, true, pos, why);
}

/* --- committing ---------------------------------------------------------------- */

struct qlog_batch *
qlog_commit_begin(struct qlog *q)
{
	struct qlog_batch *b = q->gather;

	if (q->out != NULL || b->nchunks == 0 || q->broken)
		return NULL;
	for (size_t i = 0; i < b->nchunks; i++)
		chunk_pad(&b->chunks.v[i], QLOG_PAGE);
	q->cur_at = (q->cur_at + QLOG_PAGE - 1) & ~(uint64_t)(QLOG_PAGE - 1);
	b->err = 0;
	q->cur_batches++;
	q->out = b;
	q->gather = b == &q->batch[0] ? &q->batch[1] : &q->batch[0];
	return b;
}

static int
write_chunk(const struct chunk *c)
{
	uint64_t at = c->at;
	size_t i = 0, done = 0;		/* bytes of piece i */

	while (i < c->pieces.len) {
		struct iovec iov[PIECES_MAX];
		size_t left = WRITE_STEP;
		int n = 0;
		ssize_t got;

		for (size_t k = i; k < c->pieces.len && n < PIECES_MAX &&
		    left > 0; k++) {
			const struct piece *p = &c->pieces.v[k];
			const char *from = p->p != NULL ? p->p :
			    c->data.data + p->off;
			size_t skip = k == i ? done : 0;

			iov[n].iov_base = (char *)(uintptr_t)from + skip;
			iov[n].iov_len = MIN(p->len - skip, left);
			left -= iov[n++].iov_len;
		}
		got = fault_pwritev(c->fd, iov, n, (off_t)at, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got == 0)
			errno = EIO;
		if (got <= 0)
			return -1;
		/* The disk begins with it while the next is being copied. */
		if (left == 0)
			(void)sync_file_range(c->fd, (off_t)at, got,
			    SYNC_FILE_RANGE_WRITE);
		at += (uint64_t)got;
		for (done += (size_t)got; i < c->pieces.len &&
		    done >= c->pieces.v[i].len; i++)
			done -= c->pieces.v[i].len;
	}
	return 0;
}

void
qlog_batch_write(struct qlog_batch *b)
{
	for (size_t i = 0; i < b->nchunks; i++) {
		struct chunk *c = &b->chunks.v[i];

		b->what = "write";
		if (write_chunk(c) < 0)
			goto bad;
		b->what = "sync";
		if (fault_fdatasync(c->fd) < 0)
			goto bad;
	}
	return;
bad:
	b->err = errno != 0 ? errno : EIO;
}

/* All that was for these slots is on disk now. */
static void
finish_sealed(struct qlog *q, struct qlog_batch *b)
{
	pthread_mutex_lock(&q->lock);
	for (size_t i = 0; i < b->sealed.len; i++) {
		struct slot *s = qlog_slot_find(q, b->sealed.v[i]);

		s->state = SLOT_USED;
		fd_close(&s->fd);
	}
	pthread_mutex_unlock(&q->lock);
	b->sealed.len = 0;
}

int
qlog_commit_end(struct qlog *q, struct qlog_batch **bp, struct why *why)
{
	struct qlog_batch *b = *bp;

	*bp = NULL;
	if (b != q->out)
		log_panic("qlog_commit_end: not the batch under way");
	q->out = NULL;
	b->nchunks = 0;
	if (b->err != 0) {
		q->broken = true;
		errno = b->err;
		return why_errno(why, "4.3.0", "%s message log", b->what);
	}
	for (size_t i = 0; i < b->chunks.len; i++)
		if (b->chunks.v[i].data.alloc > BATCH_KEEP)
			buf_fini(&b->chunks.v[i].data);
	q->durable_seq = b->last_seq;
	if (b->sealed.len > 0)
		finish_sealed(q, b);
	return 0;
}

int
qlog_commit(struct qlog *q, struct why *why)
{
	struct qlog_batch *b = qlog_commit_begin(q);

	if (b == NULL) {
		if (q->broken)
			return why_set(why, "4.3.0",
			    "the message log is broken");
		return 0;
	}
	qlog_batch_write(b);
	return qlog_commit_end(q, &b, why);
}
