/* SPDX-License-Identifier: ISC */
/*
 * packed - writing and reading a packed mailbox (packed.h says how it works).
 *
 * A hot delivery is a pwritev of the message, a pwrite of its record and the
 * lock; several in a row to the same mailbox share the lock.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/crc32c.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/rnd.h"
#include "io/fault.h"
#include "io/fd.h"
#include "store/packed.h"
#include "store/store_internal.h"

#define LOCK_WAIT_MS	10
#define LOCK_TRIES	1000	/* 10 s: other writers hold it for ms */
#define SAVE_STEP	(256u * 1024)	/* bytes of journal between states */
#define READ_STEP	(1u << 20)
/* A segment_tail that lets no message be appended. */
#define SEGMENT_CLOSED	((uint64_t)PACKED_SEGMENT_MAX + 1)

struct place {				/* where a delivery's bytes lie */
	uint32_t	segment, uid, crc;
	uint64_t	offset, len;
	int64_t		date_us;
	uint8_t		guid[16];
};

struct packed {
	int			 dirfd, jfd, segfd;
	uint32_t		 segno;		/* what segfd is */
	char			*path;
	struct packed_epoch	 epoch;
	struct packed_head	 head;
	struct hash		 index;		/* queue id NUL rcpt -> place */
	bool			 have_index, locked, checked;
	uint64_t		 saved_tail;
};

void
packed_epoch_get(struct packed_epoch *e)
{
	struct buf b = BUF_INIT(256);
	/* For crash rigs, which mount the disk of a "dead" machine without a
	 * reboot of their own. */
	const char *given = getenv("MANSIO_STORE_EPOCH");
	uint32_t crc;

	if (given != NULL)
		buf_add_span(&b, span_sub(span_of(given), 0, 255));
	else if (fd_read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id",
	    &b) < 0)
		buf_reset(&b);
	if (b.len == 0) {
		/* Unknown: then each process is an epoch of its own. */
		rnd_bytes(e->b, sizeof(e->b));
	} else {
		for (unsigned i = 0; i < 4; i++) {
			crc = crc32c(i, b.data, b.len);
			num_put_le32(e->b + 4 * i, crc ^ (i * 0x9e3779b9));
		}
	}
	buf_fini(&b);
}

static uint64_t
align8(uint64_t n)
{
	return (n + 7) & ~(uint64_t)7;
}

static void
new_guid(uint8_t out[16])
{
	static uint64_t mine, count;

	if (mine == 0)
		mine = rnd_u64() | 1;
	num_put_le64(out, mine);
	num_put_le64(out + 8, ++count);
}

static void
segment_name(uint32_t no, char out[PACKED_NAME_MAX])
{
	snprintf(out, PACKED_NAME_MAX, "%08x.seg", (unsigned)no);
}

static int
open_checked(int dirfd, const char *name, int flags)
{
	struct stat st;
	int fd;

	fd = openat(dirfd, name, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -1;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink > 1) {
		close(fd);
		errno = EPERM;
		return -1;
	}
	return fd;
}

/* --- the journal --------------------------------------------------------------- */

/* Write the state into the slot that is not in use. */
static int
save_state(struct packed *p, bool sync)
{
	uint8_t slot[PACKED_SLOT_LEN];
	struct packed_state st = p->head.state;
	unsigned to = p->head.slot ^ 1;
	size_t at;

	st.turn++;
	at = packed_slot_encode(&st, to, slot);
	if (fd_pwrite_all(p->jfd, slot, sizeof(slot), (off_t)at) < 0)
		return -1;
	if (sync && fault_fdatasync(p->jfd) < 0)
		return -1;
	p->head.state = st;
	p->head.slot = to;
	p->saved_tail = st.tail;
	return 0;
}

static int
read_head(int fd, struct packed_head *h)
{
	uint8_t raw[PACKED_START];

	if (fd_pread_all(fd, raw, sizeof(raw), 0) < 0)
		return errno == EPIPE ? 1 : -1;
	return packed_head_decode(h, span_make(raw, sizeof(raw))) < 0 ? 1 : 0;
}

static void
index_add(struct packed *p, const struct packed_arrival *a)
{
	struct buf key = BUF_INIT(BUF_UNLIMITED);
	struct place *pl = mem_alloc(sizeof(*pl));

	*pl = (struct place){ a->segment, a->uid, a->crc, a->offset, a->len,
	    a->date_us, { 0 } };
	memcpy(pl->guid, a->guid, sizeof(pl->guid));
	buf_add_span(&key, a->queue_id);
	buf_add_char(&key, '\0');
	buf_add_span(&key, a->rcpt);
	mem_free(hash_put(&p->index, buf_span(&key), pl));
	buf_fini(&key);
}

static bool
catch_record(void *arg, const struct packed_record *r)
{
	struct packed *p = arg;
	struct packed_state *st = &p->head.state;
	struct packed_arrival a;

	if (r->modseq > st->modseq)
		st->modseq = r->modseq;
	if (r->type == PACKED_ARRIVAL &&
	    packed_arrival_decode(&a, r->payload) == 0) {
		if (a.uid >= st->uidnext && a.uid < UINT32_MAX)
			st->uidnext = a.uid + 1;
		if (a.segment > st->segment) {
			st->segment = a.segment;
			st->segment_tail = 0;
		}
		uint64_t end = align8(a.offset + PACKED_MESSAGE_HEADER + a.len);
		if (a.segment == st->segment && end > st->segment_tail)
			st->segment_tail = end;
		if (p->have_index && a.queue_id.len > 0)
			index_add(p, &a);
	}
	return true;
}

/*
 * Read the records from offset from to size through fn.  Returns the end of
 * the last one, or -1 with errno.
 */
static int64_t
scan_file(int fd, uint64_t from, uint64_t size, size_t *damaged,
    bool (*fn)(void *, const struct packed_record *), void *arg)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	uint64_t end = from;

	while (from < size) {
		size_t n = (size_t)MIN(size - from, (uint64_t)READ_STEP);
		uint64_t got;
		char *q;

		buf_reset(&b);
		q = buf_reserve(&b, n);
		if (fd_pread_all(fd, q, n, (off_t)from) < 0) {
			buf_fini(&b);
			return -1;
		}
		got = packed_scan(span_make(q, n), from, damaged, fn, arg);
		if (got > end)
			end = got;
		if (from + n >= size)
			break;
		/*
		 * A record may lie across the end of the piece: go on behind
		 * the last whole one, or, when there was none, far enough on
		 * that one of the greatest length cannot be passed over.
		 */
		if (got > from)
			from = got;
		else
			from += n - align8(PACKED_RECORD_HEADER +
			    PACKED_RECORD_MAX);
	}
	buf_fini(&b);
	return (int64_t)end;
}

/* Bring the state up to what the file holds; the lock is ours.  0, -1, or -2
 * when the mailbox has been removed. */
static int
catch_up(struct packed *p, struct why *why)
{
	struct packed_state *st = &p->head.state;
	struct stat sb;
	size_t damaged = 0;
	int64_t end;

	if (fstat(p->jfd, &sb) < 0)
		return store_fail(why, "cannot read", p->path);
	if (sb.st_nlink == 0)
		return -2;
	if ((uint64_t)sb.st_size == st->tail && p->checked)
		return 0;
	if ((uint64_t)sb.st_size < st->tail) {
		/* Cut by another writer, or lost with the power: the numbers
		 * that we have stay lower bounds. */
		st->tail = PACKED_START;
		p->saved_tail = 0;
	}
	end = scan_file(p->jfd, st->tail, (uint64_t)sb.st_size, &damaged,
	    catch_record, p);
	if (end < 0)
		return store_fail(why, "cannot read", p->path);
	if (damaged > 0) {
		log_warning("%s: journal is damaged in %zu places: going on "
		    "behind them", p->path, damaged);
		if (st->uidnext < st->reserved)
			st->uidnext = st->reserved;
	}
	if (end < sb.st_size) {
		log_warning("%s: cutting off %lld bytes of a record that was "
		    "not finished", p->path, (long long)(sb.st_size - end));
		if (fault_ftruncate(p->jfd, (off_t)end) < 0)
			return store_fail(why, "cannot cut", p->path);
	}
	st->tail = (uint64_t)end;
	return 0;
}

/* Another epoch wrote last: what it did not sync may be gone. */
static int
check_epoch(struct packed *p, struct why *why)
{
	struct packed_state *st = &p->head.state;
	struct packed_head now;
	int rc;

	if (p->checked)
		return 0;
	if ((rc = read_head(p->jfd, &now)) != 0)
		return rc < 0 ? store_fail(why, "cannot read", p->path) :
		    why_set(why, "4.3.0", "journal of %s is damaged", p->path);
	if (now.state.reserved > st->reserved)
		st->reserved = now.state.reserved;
	p->head.slot = now.slot;
	st->turn = now.state.turn;
	if (memcmp(&now.state.epoch, &p->epoch, sizeof(p->epoch)) == 0) {
		/* Somebody else has begun it, and perhaps closed the segment
		 * that we know as the last. */
		if (now.state.segment > st->segment ||
		    (now.state.segment == st->segment &&
		    now.state.segment_tail > st->segment_tail)) {
			st->segment = now.state.segment;
			st->segment_tail = now.state.segment_tail;
		}
		st->uidnext = MAX(st->uidnext, now.state.uidnext);
		st->epoch = p->epoch;
		p->checked = true;
		return 0;
	}
	st->epoch = p->epoch;
	if (st->uidnext < st->reserved)
		st->uidnext = st->reserved;
	st->reserved = st->uidnext + PACKED_UID_STEP;
	st->segment_tail = SEGMENT_CLOSED;
	if (save_state(p, true) < 0)
		return store_fail(why, "cannot write to", p->path);
	p->checked = true;
	return 0;
}

/* More UIDs: the bound is on the disk before one below it is used. */
static int
reserve_uids(struct packed *p, struct why *why)
{
	struct packed_state *st = &p->head.state;
	struct packed_head now;
	int rc;

	if (st->uidnext < st->reserved)
		return 0;
	if (st->uidnext >= UINT32_MAX - PACKED_UID_STEP)
		return why_set(why, "4.3.0", "%s has used up all its UIDs",
		    p->path);
	if ((rc = read_head(p->jfd, &now)) != 0)
		return rc < 0 ? store_fail(why, "cannot read", p->path) :
		    why_set(why, "4.3.0", "journal of %s is damaged", p->path);
	p->head.slot = now.slot;
	st->turn = now.state.turn;
	st->reserved = MAX(now.state.reserved, st->reserved);
	if (st->uidnext < st->reserved)
		return 0;
	st->reserved = st->uidnext + PACKED_UID_STEP;
	if (save_state(p, true) < 0)
		return store_fail(why, "cannot write to", p->path);
	return 0;
}

/* --- making and mending ---------------------------------------------------------- */

struct rebuild {
	ARRAY(struct packed_arrival) v;
	uint32_t	 uidvalidity, uidmax, segment;
};

static int
by_uid(const void *a, const void *b)
{
	const struct packed_arrival *x = a, *y = b;

	if (x->uid != y->uid)
		return x->uid < y->uid ? -1 : 1;
	/* The later one was written over a lost one: it comes last. */
	if (x->segment != y->segment)
		return x->segment < y->segment ? -1 : 1;
	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* What one segment holds for INBOX. */
static int
rebuild_segment(int dirfd, const char *name, uint32_t no, struct rebuild *rb)
{
	uint8_t h[PACKED_MESSAGE_HEADER];
	struct packed_message m;
	struct stat st;
	uint64_t at = 0, size;
	int fd;

	if ((fd = open_checked(dirfd, name, O_RDONLY)) < 0)
		return -1;
	if (fstat(fd, &st) < 0) {
		close(fd);
		return -1;
	}
	size = (uint64_t)st.st_size;
	while (at + sizeof(h) <= size) {
		if (fd_pread_all(fd, h, sizeof(h), (off_t)at) < 0) {
			close(fd);
			return -1;
		}
		if (packed_message_decode(&m, span_make(h, sizeof(h))) < 0 ||
		    at + sizeof(h) + m.len > size) {
			at += 8;
			continue;
		}
		if (m.box == PACKED_INBOX_BOX) {
			if (m.uidvalidity > rb->uidvalidity)
				rb->uidvalidity = m.uidvalidity;
			*ARRAY_PUSH(&rb->v) = (struct packed_arrival){
				.uid = m.uid, .segment = no, .crc = m.crc,
				.offset = at, .len = m.len,
				.date_us = m.date_us,
			};
			memcpy(rb->v.v[rb->v.len - 1].guid, m.guid, 16);
			if (m.uid > rb->uidmax)
				rb->uidmax = m.uid;
		}
		at = align8(at + sizeof(h) + m.len);
	}
	close(fd);
	return 0;
}

static int
collect_segments(int dirfd, struct rebuild *rb)
{
	struct dirent *e;
	DIR *d;
	int fd, rc = 0;

	fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || (d = fdopendir(fd)) == NULL) {
		fd_close(&fd);
		return -1;
	}
	while (rc == 0 && (e = readdir(d)) != NULL) {
		struct span n = span_of(e->d_name);
		uint64_t no;

		if (n.len != 12 || !span_ends(n, SPAN(".seg")) ||
		    num_parse_hex(span_sub(n, 0, 8), &no) < 0 || no == 0)
			continue;
		if (no > rb->segment)
			rb->segment = (uint32_t)no;
		rc = rebuild_segment(dirfd, e->d_name, (uint32_t)no, rb);
	}
	closedir(d);
	return rc;
}

/*
 * Make the journal: empty, or from the segments that are there.  The lock on
 * the directory is ours; the file appears whole, under its name, at once.
 */
static int
make_journal(struct packed *p, bool damaged, struct why *why)
{
	struct rebuild rb = { .uidvalidity = 0 };
	struct packed_head h = { .box = PACKED_INBOX_BOX };
	struct buf all = BUF_INIT(BUF_UNLIMITED), a = BUF_INIT(BUF_UNLIMITED);
	uint8_t raw[PACKED_START];
	char tmp[PACKED_NAME_MAX + 32];
	int fd = -1, rc = -1;

	if (collect_segments(p->dirfd, &rb) < 0) {
		(void)store_fail(why, "cannot read", p->path);
		goto out;
	}
	h.created_us = clock_wall_us();
	/*
	 * Seconds, so that a mailbox made again after it was lost, or
	 * deleted, has another value.  (RFC 9051 2.3.1.1)
	 */
	h.uidvalidity = (uint32_t)(h.created_us / 1000000);
	if (h.uidvalidity <= rb.uidvalidity)
		h.uidvalidity = rb.uidvalidity;
	rnd_bytes(h.mailboxid, sizeof(h.mailboxid));
	h.state = (struct packed_state){
		.turn = 1, .epoch = p->epoch, .uidnext = 1,
		.reserved = 1 + PACKED_UID_STEP, .tail = PACKED_START,
		.segment = rb.segment,
		.segment_tail = SEGMENT_CLOSED,
	};
	if (rb.v.len > 0) {
		h.uidvalidity = rb.uidvalidity;
		qsort(rb.v.v, rb.v.len, sizeof(rb.v.v[0]), by_uid);
		for (size_t i = 0; i < rb.v.len; i++) {
			if (i + 1 < rb.v.len &&
			    rb.v.v[i].uid == rb.v.v[i + 1].uid)
				continue;
			buf_reset(&a);
			packed_arrival_encode(&a, &rb.v.v[i]);
			packed_record_encode(&all, PACKED_ARRIVAL,
			    ++h.state.modseq, buf_span(&a));
		}
		/* UIDs above may have been in use without a message left. */
		h.state.uidnext = rb.uidmax < UINT32_MAX - 3 * PACKED_UID_STEP ?
		    rb.uidmax + 1 + PACKED_UID_STEP : rb.uidmax;
		h.state.reserved = h.state.uidnext + PACKED_UID_STEP;
		log_warning("%s: journal %s: rebuilt it from %zu messages; "
		    "flags are lost", p->path, damaged ? "is damaged" :
		    "is missing", rb.v.len);
	}
	snprintf(tmp, sizeof(tmp), "%s.%ld.tmp", PACKED_INBOX, (long)getpid());
	(void)unlinkat(p->dirfd, tmp, 0);
	fd = fault_openat(p->dirfd, tmp, O_RDWR | O_CREAT | O_EXCL |
	    O_NOFOLLOW | O_CLOEXEC, 0600);
	packed_head_encode(&h, raw);
	if (fd < 0 || fd_pwrite_all(fd, raw, sizeof(raw), 0) < 0 ||
	    fd_pwrite_all(fd, all.data, all.len, PACKED_START) < 0 ||
	    (rb.v.len > 0 && fault_fdatasync(fd) < 0)) {
		(void)store_fail(why, "cannot make the journal of", p->path);
		goto out;
	}
	if (damaged) {
		char aside[PACKED_NAME_MAX + 40];

		snprintf(aside, sizeof(aside), "%s.damaged-%lld", PACKED_INBOX,
		    (long long)(h.created_us / 1000000));
		if (fault_renameat(p->dirfd, PACKED_INBOX, p->dirfd,
		    aside) < 0 && errno != ENOENT) {
			(void)store_fail(why, "cannot set aside the journal of",
			    p->path);
			goto out;
		}
	}
	if (fault_renameat(p->dirfd, tmp, p->dirfd, PACKED_INBOX) < 0) {
		(void)store_fail(why, "cannot make the journal of", p->path);
		goto out;
	}
	p->jfd = fd;
	p->head = h;
	p->head.slot = 0;
	fd = -1;
	rc = 0;
out:
	if (fd >= 0) {
		close(fd);
		(void)unlinkat(p->dirfd, tmp, 0);
	}
	ARRAY_FINI(&rb.v);
	buf_fini(&all);
	buf_fini(&a);
	return rc;
}

struct packed *
packed_open(int dirfd, const char *path, const struct packed_epoch *e,
    bool create, struct why *why)
{
	struct packed *p = mem_zalloc(sizeof(*p));
	int lock = -1, rc;

	p->jfd = p->segfd = -1;
	p->epoch = *e;
	p->path = mem_strdup(path);
	p->dirfd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p->dirfd < 0) {
		(void)store_fail(why, "cannot open mailbox", path);
		goto fail;
	}
	p->jfd = open_checked(p->dirfd, PACKED_INBOX,
	    create ? O_RDWR : O_RDONLY);
	if (p->jfd < 0 && (errno != ENOENT || !create)) {
		(void)store_fail(why, "cannot open mailbox", path);
		goto fail;
	}
	rc = p->jfd < 0 ? 1 : read_head(p->jfd, &p->head);
	if (rc < 0 || (rc > 0 && !create)) {
		if (rc < 0)
			(void)store_fail(why, "cannot read", path);
		else
			(void)why_set(why, "4.3.0", "journal of %s is damaged",
			    path);
		goto fail;
	}
	if (rc > 0) {
		/* Two writers at once: the second finds the first one's. */
		lock = openat(p->dirfd, ".", O_RDONLY | O_DIRECTORY |
		    O_CLOEXEC);
		if (lock < 0 || flock(lock, LOCK_EX) < 0) {
			(void)store_fail(why, "cannot lock", path);
			goto fail;
		}
		fd_close(&p->jfd);
		p->jfd = open_checked(p->dirfd, PACKED_INBOX, O_RDWR);
		rc = p->jfd >= 0 ? read_head(p->jfd, &p->head) :
		    errno == ENOENT ? 1 : -1;
		if (rc < 0) {
			(void)store_fail(why, "cannot open mailbox", path);
			goto fail;
		}
		if (rc > 0) {
			bool damaged = p->jfd >= 0;

			fd_close(&p->jfd);
			if (make_journal(p, damaged, why) < 0)
				goto fail;
		}
		fd_close(&lock);
	}
	p->saved_tail = p->head.state.tail;
	return p;
fail:
	fd_close(&lock);
	packed_close(&p);
	return NULL;
}

void
packed_close(struct packed **pp)
{
	struct packed *p = *pp;

	if (p == NULL)
		return;
	*pp = NULL;
	packed_unlock(p);
	hash_fini(&p->index, mem_free);
	fd_close(&p->jfd);
	fd_close(&p->segfd);
	fd_close(&p->dirfd);
	mem_free(p->path);
	mem_free(p);
}

void
packed_unlock(struct packed *p)
{
	if (!p->locked)
		return;
	/* So that the next one who opens it need not read it all. */
	if (p->head.state.tail - p->saved_tail >= SAVE_STEP && p->checked) {
		struct packed_head now;

		if (read_head(p->jfd, &now) == 0) {
			p->head.slot = now.slot;
			p->head.state.turn = now.state.turn;
			p->head.state.reserved = MAX(now.state.reserved,
			    p->head.state.reserved);
			/* A hint: that it fails costs only time. */
			if (save_state(p, false) < 0)
				p->saved_tail = p->head.state.tail;
		}
	}
	(void)flock(p->jfd, LOCK_UN);
	p->locked = false;
}

static int
lock_journal(struct store *s, struct packed *p, struct why *why)
{
	for (int i = 0; flock(p->jfd, LOCK_EX | LOCK_NB) < 0; i++) {
		if (errno == EINTR)
			continue;
		if (errno != EWOULDBLOCK)
			return store_fail(why, "cannot lock", p->path);
		if (i == LOCK_TRIES)
			return why_set(why, "4.2.0", "%s is locked", p->path);
		if (i == 5)
			store_slow(s);
		store_wait(s, LOCK_WAIT_MS);
	}
	p->locked = true;
	return 0;
}

/* --- delivering ------------------------------------------------------------------- */

static int
open_segment(struct packed *p, uint32_t no)
{
	char name[PACKED_NAME_MAX];

	if (p->segfd >= 0 && p->segno == no)
		return 0;
	fd_close(&p->segfd);
	segment_name(no, name);
	p->segfd = open_checked(p->dirfd, name, O_RDWR);
	p->segno = no;
	return p->segfd < 0 ? -1 : 0;
}

static int
choose_segment(struct packed *p, uint64_t need, struct why *why)
{
	struct packed_state *st = &p->head.state;
	char name[PACKED_NAME_MAX];

	if (st->segment > 0 && (st->segment_tail == 0 ||
	    st->segment_tail + need <= PACKED_SEGMENT_MAX)) {
		if (open_segment(p, st->segment) == 0)
			return 0;
		if (errno != ENOENT)
			return store_fail(why, "cannot open a segment of",
			    p->path);
	}
	for (uint32_t no = st->segment + 1; no < UINT32_MAX; no++) {
		int fd;

		segment_name(no, name);
		fd = fault_openat(p->dirfd, name, O_RDWR | O_CREAT | O_EXCL |
		    O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd < 0 && errno == EEXIST)
			continue;
		if (fd < 0)
			return store_fail(why, "cannot make a segment of",
			    p->path);
		fd_close(&p->segfd);
		p->segfd = fd;
		p->segno = no;
		st->segment = no;
		st->segment_tail = 0;
		return 0;
	}
	return why_set(why, "4.3.0", "%s has no segment number left", p->path);
}

/*
 * Write a message at offset of the open segment.  A small one is one write;
 * of a large one the header, which makes it found, comes last.
 */
static int
write_message(struct packed *p, const struct store_message *m,
    struct packed_message *pm, uint64_t offset, struct why *why)
{
	uint8_t h[PACKED_MESSAGE_HEADER];
	uint64_t done = 0, at = offset + sizeof(h);
	struct span piece;
	uint32_t crc;

	pm->len = m->head.len + m->content->len;
	crc = crc32c(0, m->head.p, m->head.len);
	if (store_content_read(m->content, 0, &piece, why) < 0)
		return -1;
	if (piece.len == m->content->len) {
		struct iovec iov[3] = {
			{ h, sizeof(h) },
			{ (void *)(uintptr_t)m->head.p, m->head.len },
			{ (void *)(uintptr_t)piece.p, piece.len },
		};

		pm->crc = crc32c(crc, piece.p, piece.len);
		packed_message_encode(pm, h);
		if ((pm->len < STORE_OUT_MIN ? fd_pwritev_all :
		    fd_pwritev_out)(p->segfd, iov, 3, (off_t)offset) < 0)
			return store_fail(why, "cannot write to", p->path);
		return 0;
	}
	if (fd_pwrite_all(p->segfd, m->head.p, m->head.len, (off_t)at) < 0)
		return store_fail(why, "cannot write to", p->path);
	at += m->head.len;
	while (done < m->content->len) {
		if (store_content_read(m->content, done, &piece, why) < 0)
			return -1;
		struct iovec iov = { (void *)(uintptr_t)piece.p, piece.len };

		if (fd_pwritev_out(p->segfd, &iov, 1, (off_t)at) < 0)
			return store_fail(why, "cannot write to", p->path);
		crc = crc32c(crc, piece.p, piece.len);
		at += piece.len;
		done += piece.len;
	}
	pm->crc = crc;
	packed_message_encode(pm, h);
	if (fd_pwrite_all(p->segfd, h, sizeof(h), (off_t)offset) < 0)
		return store_fail(why, "cannot write to", p->path);
	return 0;
}

/* CRC of len bytes of the open segment: 1 it is crc, 0 it is not, -1. */
static int
check_bytes(int fd, uint64_t at, uint64_t len, uint32_t want)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	uint32_t crc = 0;
	int rc = 1;

	while (len > 0) {
		size_t n = (size_t)MIN(len, (uint64_t)READ_STEP);
		char *q;

		buf_reset(&b);
		q = buf_reserve(&b, n);
		if (fd_pread_all(fd, q, n, (off_t)at) < 0) {
			rc = errno == EPIPE ? 0 : -1;
			break;
		}
		crc = crc32c(crc, q, n);
		at += n;
		len -= n;
	}
	buf_fini(&b);
	return rc == 1 ? crc == want : rc;
}

static int
build_index(struct packed *p, struct why *why)
{
	if (p->have_index)
		return 0;
	p->have_index = true;
	if (scan_file(p->jfd, PACKED_START, p->head.state.tail, NULL,
	    catch_record, p) < 0) {
		p->have_index = false;
		hash_fini(&p->index, mem_free);
		return store_fail(why, "cannot read", p->path);
	}
	return 0;
}

/*
 * Is this delivery in the journal?  1: yes, and its bytes are right, or have
 * been made right; 0: no; -1 why.
 */
static int
look_for(struct packed *p, const struct store_message *m, struct why *why)
{
	struct buf key = BUF_INIT(BUF_UNLIMITED);
	const struct place *pl;
	struct packed_message pm;
	uint8_t h[PACKED_MESSAGE_HEADER];
	char name[PACKED_NAME_MAX];
	int rc;

	if (build_index(p, why) < 0)
		return -1;
	buf_add_span(&key, span_sub(m->queue_id, 0, PACKED_ID_MAX));
	buf_add_char(&key, '\0');
	buf_add_span(&key, span_sub(m->rcpt, 0, PACKED_ID_MAX));
	pl = hash_get(&p->index, buf_span(&key));
	buf_fini(&key);
	if (pl == NULL)
		return 0;
	segment_name(pl->segment, name);
	if (open_segment(p, pl->segment) < 0) {
		if (errno != ENOENT)
			return store_fail(why, "cannot open a segment of",
			    p->path);
		/* Its directory entry was lost; the number is ours still. */
		p->segfd = fault_openat(p->dirfd, name, O_RDWR | O_CREAT |
		    O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (p->segfd < 0)
			return store_fail(why, "cannot make a segment of",
			    p->path);
		p->segno = pl->segment;
	}
	rc = check_bytes(p->segfd, pl->offset + sizeof(h), pl->len, pl->crc);
	if (rc == 1) {
		/* The header is needed only to rebuild the journal. */
		if (fd_pread_all(p->segfd, h, sizeof(h),
		    (off_t)pl->offset) == 0 && packed_message_decode(&pm,
		    span_make(h, sizeof(h))) == 0 && pm.crc == pl->crc &&
		    pm.uid == pl->uid)
			return 1;
	} else if (rc < 0) {
		return store_fail(why, "cannot read", p->path);
	}
	if (pl->len != m->head.len + m->content->len)
		return rc;	/* whole: there; damaged: deliver it anew */
	log_warning("%.*s: %s: writing message %u again: its bytes were lost",
	    SPAN_ARG(m->queue_id), p->path, (unsigned)pl->uid);
	pm = (struct packed_message){
		.box = p->head.box, .uidvalidity = p->head.uidvalidity,
		.uid = pl->uid, .date_us = pl->date_us,
	};
	memcpy(pm.guid, pl->guid, sizeof(pm.guid));
	if (write_message(p, m, &pm, pl->offset, why) < 0)
		return -1;
	if (pm.crc == pl->crc)
		return 1;
	/* Same length, other bytes: the record would not match. */
	return 0;
}

int
packed_deliver(struct store *s, struct handle *h,
    const struct store_message *m, struct why *why)
{
	struct packed *p = h->pk;
	struct packed_state *st = &p->head.state;
	struct buf *b = &s->scratch;
	struct packed_message pm;
	struct packed_arrival a;
	uint64_t need;
	int rc;

	if (!p->locked) {
		if (lock_journal(s, p, why) < 0)
			return -1;
		s->locked = h;
		/* The first time also when nothing seems to have changed: the
		 * slots may be another epoch's. */
		if ((rc = catch_up(p, why)) < 0 ||
		    (rc = check_epoch(p, why)) < 0)
			return rc;
	}
	if (m->again && (rc = look_for(p, m, why)) != 0)
		return rc;
	if (reserve_uids(p, why) < 0)
		return -1;
	need = align8(PACKED_MESSAGE_HEADER + m->head.len + m->content->len);
	if (choose_segment(p, need, why) < 0)
		return -1;
	pm = (struct packed_message){
		.box = p->head.box, .uidvalidity = p->head.uidvalidity,
		.uid = st->uidnext, .date_us = clock_wall_us(),
	};
	new_guid(pm.guid);
	if (write_message(p, m, &pm, st->segment_tail, why) < 0)
		goto undo_segment;
	a = (struct packed_arrival){
		.uid = pm.uid, .segment = st->segment, .crc = pm.crc,
		.offset = st->segment_tail, .len = pm.len,
		.date_us = pm.date_us,
		.queue_id = span_sub(m->queue_id, 0, PACKED_ID_MAX),
		.rcpt = span_sub(m->rcpt, 0, PACKED_ID_MAX),
	};
	memcpy(a.guid, pm.guid, sizeof(a.guid));
	/* Payload first, behind it the record made from it. */
	buf_reset(b);
	packed_arrival_encode(b, &a);
	size_t n = b->len;
	packed_record_encode(b, PACKED_ARRIVAL, st->modseq + 1,
	    span_make(b->data, n));
	if (fd_pwrite_all(p->jfd, b->data + n, b->len - n,
	    (off_t)st->tail) < 0) {
		(void)store_fail(why, "cannot write to", p->path);
		/* Else the next writer cuts it. */
		(void)fault_ftruncate(p->jfd, (off_t)st->tail);
		goto undo_segment;
	}
	st->tail += b->len - n;
	st->modseq++;
	st->uidnext++;
	st->segment_tail += need;
	if (p->have_index && a.queue_id.len > 0)
		index_add(p, &a);
	return 0;
undo_segment:
	/* Gives back space on a full disk; the bytes are nobody's anyway. */
	(void)fault_ftruncate(p->segfd, (off_t)st->segment_tail);
	return -1;
}

/* --- reading ---------------------------------------------------------------------- */

static struct box_item *
find_uid(struct store_box *b, uint32_t uid)
{
	size_t lo = 0, hi = b->items.len;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (b->items.v[mid].item.uid == uid)
			return &b->items.v[mid];
		if (b->items.v[mid].item.uid < uid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

static bool
load_record(void *arg, const struct packed_record *r)
{
	struct store_box *b = arg;
	const uint8_t *p = (const uint8_t *)r->payload.p;
	struct packed_arrival a;
	struct box_item *it;

	if (r->type == PACKED_ARRIVAL &&
	    packed_arrival_decode(&a, r->payload) == 0) {
		/* UIDs only grow; anything else is damage. */
		if (a.uid < b->uidnext)
			return true;
		b->uidnext = a.uid + 1;
		it = ARRAY_PUSH(&b->items);
		it->item = (struct store_item){
			.uid = a.uid, .modseq = r->modseq, .flags = a.flags,
			.date_us = a.date_us, .size = a.len,
		};
		it->segment = a.segment;
		it->offset = a.offset;
		it->len = a.len;
		it->crc = a.crc;
		it->qid = span_dup(a.queue_id);
		it->rcpt = span_dup(a.rcpt);
	} else if (r->type == PACKED_FLAGS && r->payload.len >= 8) {
		it = find_uid(b, num_get_le32(p));
		if (it != NULL) {
			it->item.flags = num_get_le32(p + 4);
			it->item.modseq = r->modseq;
		}
	} else if (r->type == PACKED_EXPUNGE && r->payload.len >= 4) {
		it = find_uid(b, num_get_le32(p));
		if (it != NULL)
			it->segment = 0;
	}
	return true;
}

int
packed_box_load(struct store_box *b, struct why *why)
{
	struct packed_epoch none = { { 0 } };
	struct packed *p;
	struct stat st;
	size_t keep = 0;
	int rc = 0;

	p = packed_open(b->dirfd, b->path, &none, false, why);
	if (p == NULL)
		return -1;
	b->uidvalidity = p->head.uidvalidity;
	b->uidnext = 1;
	if (fstat(p->jfd, &st) < 0 || scan_file(p->jfd, PACKED_START,
	    (uint64_t)st.st_size, NULL, load_record, b) < 0)
		rc = store_fail(why, "cannot read", b->path);
	if (p->head.state.uidnext > b->uidnext)
		b->uidnext = p->head.state.uidnext;
	for (size_t i = 0; i < b->items.len; i++) {
		if (b->items.v[i].segment == 0) {
			mem_free(b->items.v[i].qid);
			mem_free(b->items.v[i].rcpt);
			continue;
		}
		b->items.v[keep++] = b->items.v[i];
	}
	b->items.len = keep;
	packed_close(&p);
	return rc;
}

int
packed_box_read(struct store_box *b, const struct box_item *it,
    struct buf *out, struct why *why)
{
	char name[PACKED_NAME_MAX], *q;
	int fd, rc;

	segment_name(it->segment, name);
	if ((fd = open_checked(b->dirfd, name, O_RDONLY)) < 0)
		return store_fail(why, "cannot open a segment of", b->path);
	q = buf_reserve(out, (size_t)it->len);
	if (q == NULL)
		rc = why_set(why, "5.2.3", "message %u of %s is too large",
		    (unsigned)it->item.uid, b->path);
	else if (fd_pread_all(fd, q, (size_t)it->len, (off_t)(it->offset +
	    PACKED_MESSAGE_HEADER)) < 0 || crc32c(0, q, (size_t)it->len) !=
	    it->crc)
		rc = why_set(why, "4.3.0", "message %u of %s is damaged",
		    (unsigned)it->item.uid, b->path);
	else {
		buf_commit(out, (size_t)it->len);
		rc = 0;
	}
	close(fd);
	return rc;
}
