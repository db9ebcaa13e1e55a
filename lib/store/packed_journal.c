/* SPDX-License-Identifier: ISC */
/*
 * packed_journal - opening, locking, reading on and writing a journal.
 *
 * Everything that is known of a mailbox while it is open hangs on how far the
 * journal was read (state.tail): packed_catch_up() is the one place where the
 * state goes on, for readers and writers alike, and what is written here goes
 * through it, too.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "io/fault.h"
#include "io/fd.h"
#include "store/packed_file.h"
#include "store/store_internal.h"

#define LOCK_WAIT_MS	10
#define LOCK_TRIES	1000	/* 10 s: other writers hold it for ms */
#define SAVE_STEP	(256u * 1024)	/* bytes of journal between states */
#define READ_STEP	(1u << 20)

/* --- the state -------------------------------------------------------------------- */

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

/* The slots as they are now: turn, slot and reserved are everybody's. */
static int
read_slots(struct packed *p, struct packed_head *now, struct why *why)
{
	int rc = read_head(p->jfd, now);

	if (rc < 0)
		return store_fail(why, "cannot read", p->path);
	if (rc > 0)
		return why_set(why, "4.3.0", "journal of %s is damaged",
		    p->path);
	p->head.slot = now->slot;
	p->head.state.turn = now->state.turn;
	p->head.state.reserved = MAX(now->state.reserved,
	    p->head.state.reserved);
	return 0;
}

static void
take_arrival(struct packed *p, const struct packed_arrival *a)
{
	struct packed_state *st = &p->head.state;

	if (a->uid >= st->uidnext && a->uid < UINT32_MAX)
		st->uidnext = a->uid + 1;
	st->messages++;
	st->bytes += a->size != 0 ? a->size : a->len;
	if (p->have_index && a->queue_id.len > 0 && !(a->how & PACKED_FILE))
		packed_index_add(p, a);
	if (a->how & (PACKED_REF | PACKED_FILE))
		return;
	if (a->segment > st->segment) {
		st->segment = a->segment;
		st->segment_tail = 0;
	}
	uint64_t end = a->offset + packed_need(a->len, a->cache_len);
	if (a->segment == st->segment && end > st->segment_tail)
		st->segment_tail = end;
}

static bool
catch_record(void *arg, const struct packed_record *r)
{
	struct packed *p = arg;
	struct packed_state *st = &p->head.state;
	const uint8_t *in = (const uint8_t *)r->payload.p;
	struct packed_arrival a;

	if (r->modseq > st->modseq)
		st->modseq = r->modseq;
	if (r->type == PACKED_ARRIVAL) {
		if (packed_arrival_decode(&a, r->payload) == 0)
			take_arrival(p, &a);
	} else if (r->type == PACKED_EXPUNGE) {
		st->totals = false;	/* does not say how large it was */
	} else if (r->type == PACKED_EXPUNGE_SET && r->payload.len >= 24) {
		uint32_t n = num_get_le32(in + 8);
		uint64_t bytes = num_get_le64(in + 16);

		st->messages -= MIN(n, st->messages);
		st->bytes -= MIN(bytes, st->bytes);
	}
	if (r->type == PACKED_DELETED || r->type == PACKED_RESTORED)
		st->deleted = r->type == PACKED_DELETED;
	p->moved |= r->type == PACKED_MOVED;
	if (p->hook != NULL)
		p->hook(p->hook_arg, r, false);
	return true;
}

static bool
own_record(void *arg, const struct packed_record *r)
{
	struct packed *p = arg;
	void (*hook)(void *, const struct packed_record *, bool) = p->hook;

	p->hook = NULL;
	(void)catch_record(p, r);
	p->hook = hook;
	if (hook != NULL)
		hook(p->hook_arg, r, true);
	return true;
}

/*
 * Read the records from offset from to size through fn.  Returns the end of
 * the last one, or -1 with errno.
 */
int64_t
packed_scan_file(int fd, uint64_t from, uint64_t size, size_t *damaged,
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
			/* Cut by a writer meanwhile: what is left is whole. */
			if (errno == EPIPE)
				break;
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
			from += n - packed_align(PACKED_RECORD_HEADER +
			    PACKED_RECORD_MAX);
	}
	buf_fini(&b);
	return (int64_t)end;
}

void
packed_rewind(struct packed *p)
{
	struct packed_state *st = &p->head.state;

	st->tail = PACKED_START;
	st->totals = true;
	st->deleted = false;
	st->messages = 0;
	st->bytes = 0;
	p->saved_tail = 0;
}

void
packed_records_lost(struct packed *p)
{
	struct packed_state *st = &p->head.state;

	st->uidnext = MAX(st->uidnext, st->reserved);
}

/*
 * The last record cannot be read, though all of it is there.  That is none
 * that its writer did not finish, unless the power went meanwhile: what it
 * named is found again by salvage.c.  Returns where it ends, or end.
 */
static uint64_t
behind_damage(struct packed *p, uint64_t end, uint64_t size)
{
	uint8_t h[PACKED_RECORD_HEADER];
	struct packed_head now;
	uint64_t whole;

	if (size - end < sizeof(h) || fd_pread_all(p->jfd, h, sizeof(h),
	    (off_t)end) < 0 || read_head(p->jfd, &now) != 0 ||
	    memcmp(&now.state.epoch, &p->epoch, sizeof(p->epoch)) != 0)
		return end;
	whole = packed_record_len(span_make(h, sizeof(h)));
	return whole <= size - end ? end + whole : end;
}

/*
 * What is behind tail was not finished by its writer, and is cut off; or it is
 * damage that stays.  Either way somebody may know numbers that it gave: they
 * are not given again.
 */
static int
go_past(struct packed *p, bool cut, struct why *why)
{
	struct packed_state *st = &p->head.state;
	struct packed_head now;

	if (read_slots(p, &now, why) < 0)
		return -1;
	packed_records_lost(p);
	st->modseq = MAX(st->modseq, now.state.modseq) + PACKED_MODSEQ_STEP;
	if (save_state(p, true) < 0 ||
	    (cut && fault_ftruncate(p->jfd, (off_t)st->tail) < 0))
		return store_fail(why, "cannot cut", p->path);
	return 0;
}

int
packed_catch_up(struct packed *p, struct why *why)
{
	struct packed_state *st = &p->head.state;
	struct stat sb;
	size_t damaged = 0;
	int64_t end, last = 0;
	bool went_on;

	if (fstat(p->jfd, &sb) < 0)
		return store_fail(why, "cannot read", p->path);
	if (sb.st_nlink == 0)
		return PACKED_GONE;
	if (p->upto > 0 && (uint64_t)sb.st_size > p->upto)
		sb.st_size = (off_t)p->upto;
	if ((uint64_t)sb.st_size == st->tail)
		return 0;
	if ((uint64_t)sb.st_size < st->tail) {
		/* Lost with the power, or cut by a hand: what a view knows of
		 * it is wrong, and the numbers that we have are lower
		 * bounds. */
		if (p->hook != NULL)
			return PACKED_GONE;
		packed_rewind(p);
		packed_records_lost(p);
	}
	end = packed_scan_file(p->jfd, st->tail, (uint64_t)sb.st_size,
	    &damaged, catch_record, p);
	if (end < 0)
		return store_fail(why, "cannot read", p->path);
	/* Only who has the lock knows that nobody is writing it just now. */
	if (end < sb.st_size && p->locked) {
		last = (int64_t)behind_damage(p, (uint64_t)end,
		    (uint64_t)sb.st_size);
		damaged += last > end;
	}
	p->damaged |= end < sb.st_size;
	if (damaged > 0) {
		log_warning("%s: journal is damaged in %zu places: going on "
		    "behind them", p->path, damaged);
		packed_records_lost(p);
		p->damaged = true;
	}
	went_on = (uint64_t)MAX(end, last) != st->tail;
	st->tail = (uint64_t)MAX(end, last);
	if (end < sb.st_size && p->locked) {
		bool cut = st->tail < (uint64_t)sb.st_size;

		if (cut)
			log_warning("%s: cutting off %lld bytes of a record "
			    "that was not finished", p->path,
			    (long long)sb.st_size - (long long)st->tail);
		if (go_past(p, cut, why) < 0)
			return -1;
	}
	return went_on;
}

/* Another epoch wrote last: what it did not sync may be gone. */
static int
check_epoch(struct packed *p, struct why *why)
{
	struct packed_state *st = &p->head.state;
	struct packed_head now;

	if (p->checked)
		return 0;
	if (read_slots(p, &now, why) < 0)
		return -1;
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
		st->modseq = MAX(st->modseq, now.state.modseq);
		st->epoch = p->epoch;
		p->checked = true;
		return 0;
	}
	st->epoch = p->epoch;
	st->uidnext = MAX(st->uidnext, st->reserved);
	st->reserved = st->uidnext + PACKED_UID_STEP;
	/* Others may have seen numbers whose records are lost. */
	st->modseq = MAX(st->modseq, now.state.modseq) + PACKED_MODSEQ_STEP;
	st->segment_tail = SEGMENT_CLOSED;
	if (save_state(p, true) < 0)
		return store_fail(why, "cannot write to", p->path);
	p->checked = true;
	return 0;
}

/* More UIDs: the bound is on the disk before one below it is used. */
int
packed_reserve(struct packed *p, uint32_t n, struct why *why)
{
	struct packed_state *st = &p->head.state;
	struct packed_head now;
	uint64_t last = (uint64_t)st->uidnext + n;

	if (last <= st->reserved)
		return 0;
	if (last >= UINT32_MAX - PACKED_UID_STEP)
		return why_set(why, "4.3.0", "%s has used up all its UIDs",
		    p->path);
	if (read_slots(p, &now, why) < 0)
		return -1;
	if (last <= st->reserved)
		return 0;
	st->reserved = (uint32_t)last + PACKED_UID_STEP;
	if (save_state(p, true) < 0)
		return store_fail(why, "cannot write to", p->path);
	return 0;
}

/* The head is there twice: both are right again, or are from now on. */
static void
mend_head(struct packed *p)
{
	uint8_t raw[PACKED_START];

	packed_head_encode(&p->head, raw);
	if (!p->head.single)
		log_warning("%s: the head of %s is damaged: mended from its "
		    "copy", p->path, p->jname);
	/* Without its state, which is others' to write. */
	if (fd_pwrite_all(p->jfd, raw, PACKED_HEAD_WHOLE, 0) < 0 ||
	    fd_pwrite_all(p->jfd, raw, PACKED_HEAD_WHOLE,
	    PACKED_HEAD_COPY) < 0)
		log_warning("%s: cannot mend the head of %s", p->path,
		    p->jname);
}

/* --- life ------------------------------------------------------------------------- */

/* Two writers at once: the second finds the first one's. */
static int
open_or_make(struct packed *p, struct why *why)
{
	int lock, rc = -1;

	lock = openat(p->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (lock < 0 || flock(lock, LOCK_EX) < 0) {
		(void)store_fail(why, "cannot lock", p->path);
		goto out;
	}
	fd_close(&p->jfd);
	p->jfd = packed_open_checked(p->dirfd, p->jname, O_RDWR);
	rc = p->jfd >= 0 ? read_head(p->jfd, &p->head) :
	    errno == ENOENT ? 1 : -1;
	if (rc < 0) {
		(void)store_fail(why, "cannot open mailbox", p->path);
	} else if (rc > 0) {
		bool damaged = p->jfd >= 0;

		fd_close(&p->jfd);
		rc = packed_make_journal(p, damaged, why);
	}
out:
	fd_close(&lock);
	return rc;
}

struct packed *
packed_open(int dirfd, const char *path, uint32_t box,
    const struct packed_epoch *e, unsigned flags, uint32_t least_valid,
    struct why *why)
{
	struct packed *p = mem_zalloc(sizeof(*p));
	bool create = flags & PACKED_CREATE;
	int rc, err;

	p->jfd = p->segfd = -1;
	p->epoch = *e;
	p->box = box;
	p->least_valid = least_valid;
	p->out = BUF_INIT(BUF_UNLIMITED);
	p->writable = flags & (PACKED_WRITE | PACKED_CREATE);
	p->alone = flags & PACKED_ALONE;
	p->fresh = flags & PACKED_FRESH;
	p->path = mem_strdup(path);
	if (flags & PACKED_CHANGES)
		snprintf(p->jname, sizeof(p->jname), "%s", p->alone ?
		    PACKED_ALONE_CHANGES : PACKED_CHANGES_NAME);
	else if (p->alone)
		snprintf(p->jname, sizeof(p->jname), "%s", box == 0 ?
		    PACKED_ALONE_ACCOUNT : PACKED_ALONE_NAME);
	else if (box == 0)
		snprintf(p->jname, sizeof(p->jname), "%s", PACKED_ACCOUNT);
	else
		packed_name(box, "jrn", p->jname);
	p->dirfd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p->dirfd < 0) {
		(void)store_fail(why, "cannot open mailbox", path);
		goto fail;
	}
	p->jfd = packed_open_checked(p->dirfd, p->jname,
	    p->writable ? O_RDWR : O_RDONLY);
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
		errno = EIO;
		goto fail;
	}
	if (rc > 0 && open_or_make(p, why) < 0)
		goto fail;
	if (p->head.differ && p->writable)
		mend_head(p);
	p->saved_tail = p->head.state.tail;
	return p;
fail:
	err = errno;
	packed_close(&p);
	errno = err;
	return NULL;
}

/*
 * Leave a state that covers all of the file: the next one need not read it,
 * and sees from it when something was cut off.  Only a hint; nobody waits.
 */
static void
save_hint(struct packed *p)
{
	struct packed_head now;
	struct stat st;

	if (!p->checked || p->jfd < 0 || p->head.state.tail <= p->saved_tail ||
	    flock(p->jfd, LOCK_EX | LOCK_NB) < 0)
		return;
	if (fstat(p->jfd, &st) == 0 && st.st_nlink > 0 &&
	    (uint64_t)st.st_size == p->head.state.tail &&
	    read_slots(p, &now, NULL) == 0)
		(void)save_state(p, false);
	(void)flock(p->jfd, LOCK_UN);
}

void
packed_close(struct packed **pp)
{
	struct packed *p = *pp;

	if (p == NULL)
		return;
	*pp = NULL;
	packed_unlock(p);
	save_hint(p);
	hash_fini(&p->index, mem_free);
	buf_fini(&p->out);
	for (size_t i = 0; i < p->unsynced.len; i++)
		close(p->unsynced.v[i]);
	ARRAY_FINI(&p->unsynced);
	fd_close(&p->jfd);
	fd_close(&p->segfd);
	fd_close(&p->dirfd);
	mem_free(p->path);
	mem_free(p);
}

/* --- the lock ---------------------------------------------------------------------- */

static void
wait_ms(struct packed *p, int64_t ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	if (p->wait != NULL) {
		p->wait(p->wait_arg, ms);
		return;
	}
	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		;
}

int
packed_lock(struct packed *p, struct why *why)
{
	int rc;

	if (p->locked)
		return 0;
	for (int i = 0; flock(p->jfd, LOCK_EX | LOCK_NB) < 0; i++) {
		if (errno == EINTR)
			continue;
		if (errno != EWOULDBLOCK)
			return store_fail(why, "cannot lock", p->path);
		if (i == LOCK_TRIES)
			return why_set(why, "4.2.0", "%s is locked", p->path);
		/* The first times it is probably over at once. */
		wait_ms(p, i < 10 ? 1 : LOCK_WAIT_MS);
	}
	p->locked = true;
	/* The epoch also when nothing seems to have changed: the slots may be
	 * another one's. */
	if ((rc = packed_catch_up(p, why)) < 0 ||
	    (rc = check_epoch(p, why)) < 0) {
		packed_unlock(p);
		return rc;
	}
	return 0;
}

void
packed_unlock(struct packed *p)
{
	if (!p->locked)
		return;
	/* So that the next one who opens it need not read it all. */
	if (p->head.state.tail - p->saved_tail >= SAVE_STEP && p->checked) {
		struct packed_head now;

		/* A hint: that it fails costs only time. */
		if (read_slots(p, &now, NULL) < 0 || save_state(p, false) < 0)
			p->saved_tail = p->head.state.tail;
	}
	(void)flock(p->jfd, LOCK_UN);
	p->locked = false;
}

void
packed_part(struct packed *p)
{
	packed_segment_close(p);
	p->head.state.segment_tail = SEGMENT_CLOSED;
	/* Nobody else is told of our segments. */
	p->saved_tail = p->head.state.tail;
	(void)flock(p->jfd, LOCK_UN);
	p->locked = false;
}

/* --- writing ------------------------------------------------------------------------ */

void
packed_put(struct packed *p, unsigned type, struct span payload)
{
	packed_sub_encode(&p->out, type, payload);
}

void
packed_drop(struct packed *p)
{
	buf_reset(&p->out);
}

/*
 * The modseq of what is written next.  Who saw a message first is no change
 * of it: \\Recent has no modseq (RFC 7162 3.1); nor when somebody looked.
 */
static uint64_t
next_modseq(const struct packed *p, struct span one)
{
	unsigned type = num_get_le16((const uint8_t *)one.p);
	uint64_t now = p->head.state.modseq;

	return (type == PACKED_RECENT || type == PACKED_SCANNED) && now > 0 ?
	    now : now + 1;
}

/* The length of the record at in's start. */
static size_t
sub_len(struct span in)
{
	return PACKED_SUB_HEADER +
	    packed_align(num_get_le32((const uint8_t *)in.p + 4));
}

/* What was put, as records of the journal. */
static void
encode_put(const struct packed *p, struct buf *w)
{
	const struct packed_state *st = &p->head.state;
	struct span in = buf_span(&p->out);

	while (in.len > 0) {
		size_t n = sub_len(in), more;

		while (n < in.len && n + (more = sub_len(span_from(in, n))) <=
		    PACKED_RECORD_MAX)
			n += more;
		if (n == sub_len(in))
			packed_record_encode(w,
			    num_get_le16((const uint8_t *)in.p),
			    next_modseq(p, in), span_sub(in, PACKED_SUB_HEADER,
			    num_get_le32((const uint8_t *)in.p + 4)));
		else
			packed_record_encode(w, PACKED_GROUP, st->modseq + 1,
			    span_sub(in, 0, n));
		in = span_from(in, n);
	}
}

int
packed_flush(struct packed *p, struct why *why)
{
	struct packed_state *st = &p->head.state;
	struct buf w = BUF_INIT(BUF_UNLIMITED);
	int rc = 0;

	/* Two writers at once would write over each other's records. */
	if (!p->locked && p->out.len > 0)
		log_panic("%s: a journal is written without its lock",
		    p->path);
	encode_put(p, &w);
	if (w.len > 0) {
		rc = fd_pwrite_all(p->jfd, w.data, w.len, (off_t)st->tail);
		if (rc < 0) {
			(void)store_fail(why, "cannot write to", p->path);
			/* Else the next writer cuts it. */
			(void)fault_ftruncate(p->jfd, (off_t)st->tail);
		} else {
			uint64_t at = st->tail;

			st->tail += w.len;
			p->jdirty = true;
			(void)packed_scan(buf_span(&w), at, NULL, own_record,
			    p);
		}
	}
	buf_fini(&w);
	buf_reset(&p->out);
	return rc;
}

int
packed_restart(struct packed *p, uint32_t uidnext, struct why *why)
{
	struct packed_state *st = &p->head.state;
	struct packed_state was = *st;
	struct buf w = BUF_INIT(BUF_UNLIMITED);
	void (*hook)(void *, const struct packed_record *, bool) = p->hook;
	int rc;

	encode_put(p, &w);
	packed_rewind(p);
	st->uidnext = uidnext;
	p->hook = NULL;
	(void)packed_scan(buf_span(&w), PACKED_START, NULL, catch_record, p);
	p->hook = hook;
	st->reserved = st->uidnext + PACKED_UID_STEP;
	rc = packed_replace(p, buf_span(&w), why);
	*st = was;
	p->saved_tail = st->tail;
	packed_drop(p);
	buf_fini(&w);
	return rc;
}

int
packed_raise_uidnext(struct packed *p, uint32_t uidnext, struct why *why)
{
	struct packed_state *st = &p->head.state;
	struct packed_head now;

	if (uidnext <= st->uidnext)
		return 0;
	if (read_slots(p, &now, why) < 0)
		return -1;
	st->uidnext = uidnext;
	st->reserved = MAX(st->reserved, uidnext + PACKED_UID_STEP);
	if (save_state(p, true) < 0)
		return store_fail(why, "cannot write to", p->path);
	return 0;
}
