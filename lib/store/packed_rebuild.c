/* SPDX-License-Identifier: ISC */
/*
 * packed_rebuild - making a journal: for a new mailbox, or where the one that
 * was there has lost its head.
 *
 * Its records have checksums of their own: where any is left they are kept as
 * they are, with what was copied into the mailbox, which nothing else names.
 * Only without them the headers of messages in the segments tell what was in
 * it.  Either way UIDs and MODSEQs go on behind all that may have been seen:
 * the states in the head and the index's head say how far that was, whichever
 * of them can still be read.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/crc32c.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/rnd.h"
#include "io/fault.h"
#include "io/fd.h"
#include "mail/message_cache.h"
#include "store/compress.h"
#include "store/index.h"
#include "store/packed_file.h"
#include "store/store_internal.h"

struct rebuild {
	ARRAY(struct packed_arrival) v;
	uint32_t	 uidvalidity, segment, box;
	/* Where the message was that uidvalidity is of. */
	uint32_t	 at_segment;
	uint64_t	 at;
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

/* What was compressed; nothing where it is damaged. */
static struct span
undone(struct span in, struct buf *raw)
{
	int64_t len = compress_undone_len(in);
	char *p;

	if (len <= 0 || (p = buf_reserve(raw, (size_t)len)) == NULL ||
	    compress_undo(in, p, (size_t)len) < 0)
		return SPAN_EMPTY;
	buf_commit(raw, (size_t)len);
	return buf_span(raw);
}

static void
rebuild_message(struct rebuild *rb, const struct packed_message *m,
    uint32_t no, uint64_t at, struct span bytes)
{
	struct line_count lines = LINE_COUNT_INIT;
	struct buf raw = BUF_INIT(BUF_UNLIMITED);
	struct packed_arrival *a;

	if (m->box != rb->box)
		return;
	/* Of what it was before an import gave it another one (import.h)
	 * nothing is left. */
	if (m->uidvalidity != rb->uidvalidity) {
		if (rb->v.len > 0 && (no < rb->at_segment ||
		    (no == rb->at_segment && at < rb->at)))
			return;
		rb->v.len = 0;
		rb->uidvalidity = m->uidvalidity;
	}
	if (no > rb->at_segment || (no == rb->at_segment && at > rb->at)) {
		rb->at_segment = no;
		rb->at = at;
	}
	if (m->zstd)
		bytes = undone(bytes, &raw);
	line_count_add(&lines, bytes);
	a = ARRAY_PUSH(&rb->v);
	*a = (struct packed_arrival){
		.uid = m->uid, .segment = no, .crc = m->crc, .offset = at,
		.len = m->len, .date_us = m->date_us,
		.zone_min = clock_zone_min(m->date_us / 1000000),
		.size = bytes.len + lines.bare, .how = line_count_how(&lines) |
		    (m->zstd ? PACKED_ZSTD : 0),
	};
	memcpy(a->guid, m->guid, sizeof(a->guid));
	buf_fini(&raw);
}

/*
 * What one segment holds for the mailbox.  From message to message, and over
 * the cache records behind them, by their lengths: what is inside of them was
 * written by strangers.  Only behind damage each place is looked at.
 */
static void
rebuild_scan(struct span in, uint32_t no, struct rebuild *rb)
{
	size_t at = 0;

	while (at + PACKED_MESSAGE_HEADER <= in.len) {
		struct packed_message m;

		if (packed_message_decode(&m, span_from(in, at)) < 0 ||
		    m.len > in.len - at - PACKED_MESSAGE_HEADER) {
			at += 8;
			continue;
		}
		rebuild_message(rb, &m, no, at, span_sub(in, at +
		    PACKED_MESSAGE_HEADER, (size_t)m.len));
		at = (size_t)packed_align(at + PACKED_MESSAGE_HEADER + m.len);
		if (at < in.len)
			at = (size_t)packed_align(at +
			    message_cache_len(span_from(in, at)));
	}
}

static int
rebuild_segment(int dirfd, const char *name, uint32_t no, struct rebuild *rb)
{
	struct stat st;
	void *map;
	int fd, rc = -1;

	if ((fd = packed_open_checked(dirfd, name, O_RDONLY)) < 0)
		return -1;
	if (fstat(fd, &st) == 0 && st.st_size == 0) {
		rc = 0;
	} else if (st.st_size > 0) {
		map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE,
		    fd, 0);
		if (map != MAP_FAILED) {
			rebuild_scan(span_make(map, (size_t)st.st_size), no,
			    rb);
			(void)munmap(map, (size_t)st.st_size);
			rc = 0;
		}
	}
	close(fd);
	return rc;
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

/* --- what else is left ------------------------------------------------------------ */

struct left {
	struct buf	 records;	/* of the old journal, and damage */
	bool		 any;		/* at least one is there */
	bool		 named;		/* head's UIDVALIDITY and ids are */
	struct packed_head head;	/* its state: lower bounds */
};

static bool
note_left(void *arg, const struct packed_record *r)
{
	struct left *l = arg;
	struct packed_state *st = &l->head.state;
	struct packed_arrival a;

	l->any = true;
	st->modseq = MAX(st->modseq, r->modseq);
	if (r->type == PACKED_ARRIVAL &&
	    packed_arrival_decode(&a, r->payload) == 0 && a.uid < UINT32_MAX)
		st->uidnext = MAX(st->uidnext, a.uid + 1);
	return true;
}

/* What the journal says whose head is damaged. */
static int
read_left(struct packed *p, struct left *l)
{
	struct packed_head h = { .uidvalidity = 0 };
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	unsigned parts;
	struct stat st;
	int fd, rc = -1;

	fd = packed_open_checked(p->dirfd, p->jname, O_RDONLY);
	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	if (fstat(fd, &st) == 0 && fd_pread_all(fd, buf_reserve(&b,
	    (size_t)st.st_size), (size_t)st.st_size, 0) == 0) {
		buf_commit(&b, (size_t)st.st_size);
		rc = 0;
	}
	close(fd);
	parts = packed_head_parts(&h, buf_span(&b));
	if (parts & PACKED_HEAD_STATE) {
		l->head.state.modseq = h.state.modseq;
		l->head.state.uidnext = MAX(h.state.uidnext,
		    h.state.reserved);
	}
	if (parts & PACKED_HEAD_FIXED) {
		l->head.uidvalidity = h.uidvalidity;
		memcpy(l->head.mailboxid, h.mailboxid, 16);
		l->named = true;
	}
	buf_add_span(&l->records, span_from(buf_span(&b), PACKED_START));
	(void)packed_scan(buf_span(&l->records), PACKED_START, NULL,
	    note_left, l);
	buf_fini(&b);
	return rc;
}

/* And the index, of which only the head is looked at. */
static void
read_index(struct packed *p, struct left *l)
{
	char name[PACKED_NAME_MAX] = "mansio.idx";
	struct index_head h;
	int fd;

	if (!p->alone)
		packed_name(p->box, "idx", name);
	if (p->box == 0 || p->fresh || (fd = packed_open_checked(p->dirfd,
	    name, O_RDONLY)) < 0)
		return;
	if (fd_pread_all(fd, &h, sizeof(h), 0) == 0 &&
	    memcmp(h.magic, INDEX_MAGIC, sizeof(h.magic)) == 0 &&
	    h.crc == crc32c(0, &h, offsetof(struct index_head, crc)) &&
	    h.order == INDEX_ORDER && h.uidvalidity != 0) {
		struct packed_state *st = &l->head.state;

		st->modseq = MAX(st->modseq, h.modseq);
		st->uidnext = MAX(st->uidnext, h.uidnext);
		if (!l->named) {
			l->head.uidvalidity = h.uidvalidity;
			memcpy(l->head.mailboxid, h.mailboxid, 16);
			l->named = true;
		}
	}
	close(fd);
}

/* UIDs and MODSEQs that nobody has seen. */
static void
go_beyond(struct packed_state *st, const struct packed_state *seen)
{
	uint32_t next = MAX(st->uidnext, seen->uidnext);

	st->uidnext = next < UINT32_MAX - 3 * PACKED_UID_STEP ?
	    next + PACKED_UID_STEP : next;
	st->reserved = MIN(st->uidnext, UINT32_MAX - PACKED_UID_STEP) +
	    PACKED_UID_STEP;
	st->modseq = MAX(st->modseq, seen->modseq) + PACKED_MODSEQ_STEP;
}

/* --- the journal ------------------------------------------------------------------ */

/*
 * Make the journal: empty, or of what is there.  The lock on
 * the directory is ours; the file appears whole, under its name, at once.
 *
 * An empty one, too, is on the disk before it has its name: one that a power
 * cut leaves without its head is made again from the segments, and if the
 * first message's bytes had got there, it would be in the mailbox without its
 * queue id, and be delivered once more.
 */
int
packed_make_journal(struct packed *p, bool damaged, struct why *why)
{
	struct rebuild rb = { .box = p->box };
	struct left left = { .records = BUF_INIT(BUF_UNLIMITED) };
	struct packed_head h = { .box = p->box };
	struct buf all = BUF_INIT(BUF_UNLIMITED), a = BUF_INIT(BUF_UNLIMITED);
	uint8_t raw[PACKED_START];
	char tmp[PACKED_NAME_MAX + 40];
	bool with_segments = !p->alone && p->box != 0;
	int fd = -1, rc = -1;

	if ((with_segments && !p->fresh &&
	    collect_segments(p->dirfd, &rb) < 0) ||
	    (damaged && read_left(p, &left) < 0)) {
		(void)store_fail(why, "cannot read", p->path);
		goto out;
	}
	read_index(p, &left);
	h.created_us = clock_wall_us();
	rnd_bytes(h.mailboxid, sizeof(h.mailboxid));
	h.generation = rnd_u64() | 1;
	h.state = (struct packed_state){
		.turn = 1, .epoch = p->epoch, .uidnext = 1,
		/* What an empty mailbox says: its first message has a
		 * greater one, or CHANGEDSINCE would miss it. */
		.modseq = 1,
		.reserved = 1 + PACKED_UID_STEP, .tail = PACKED_START,
		.segment = rb.segment,
		.segment_tail = SEGMENT_CLOSED, .totals = true,
	};
	if (left.any || rb.v.len > 0) {
		h.uidvalidity = left.named ? left.head.uidvalidity :
		    rb.uidvalidity;
		if (left.named)
			memcpy(h.mailboxid, left.head.mailboxid, 16);
	} else {
		h.uidvalidity = left.named ? left.head.uidvalidity + 1 : 0;
	}
	if (h.uidvalidity == 0 || !(left.any || rb.v.len > 0)) {
		/*
		 * Seconds, so that a mailbox made again after it was lost, or
		 * deleted, has another value.  (RFC 9051 2.3.1.1)
		 */
		h.uidvalidity = MAX(h.uidvalidity,
		    (uint32_t)(h.created_us / 1000000));
		h.uidvalidity = MAX(h.uidvalidity, p->least_valid);
	}
	if (left.any) {
		/* Also what is damaged, for that may name messages. */
		buf_add_span(&all, buf_span(&left.records));
		go_beyond(&h.state, &left.head.state);
		log_warning("%s: the head of %s is damaged: its records are "
		    "kept", p->path, p->jname);
	} else if (rb.v.len > 0) {
		qsort(rb.v.v, rb.v.len, sizeof(rb.v.v[0]), by_uid);
		h.state.modseq = MAX(left.head.state.modseq, 1);
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
		h.state.uidnext = MIN(rb.v.v[rb.v.len - 1].uid,
		    UINT32_MAX - 1) + 1;
		go_beyond(&h.state, &left.head.state);
		h.state.totals = false;
		log_warning("%s: journal %s: rebuilt it from %zu messages; "
		    "flags are lost", p->path, damaged ? "is damaged" :
		    "is missing", rb.v.len);
	}
	snprintf(tmp, sizeof(tmp), "%s.%ld.tmp", p->jname, (long)getpid());
	(void)unlinkat(p->dirfd, tmp, 0);
	fd = fault_openat(p->dirfd, tmp, O_RDWR | O_CREAT | O_EXCL |
	    O_NOFOLLOW | O_CLOEXEC, 0600);
	packed_head_encode(&h, raw);
	if (fd < 0 || fd_pwrite_all(fd, raw, sizeof(raw), 0) < 0 ||
	    fd_pwrite_all(fd, all.data, all.len, PACKED_START) < 0 ||
	    (with_segments && fault_fdatasync(fd) < 0)) {
		(void)store_fail(why, "cannot make the journal of", p->path);
		goto out;
	}
	if (damaged) {
		char aside[PACKED_NAME_MAX + 40];

		snprintf(aside, sizeof(aside), "%s.damaged-%lld", p->jname,
		    (long long)(h.created_us / 1000000));
		if (fault_renameat(p->dirfd, p->jname, p->dirfd,
		    aside) < 0 && errno != ENOENT) {
			(void)store_fail(why, "cannot set aside the journal of",
			    p->path);
			goto out;
		}
		if (rb.v.len == 0 && !left.any)
			log_warning("%s: %s is damaged: it is set aside as %s, "
			    "and begun anew", p->path, p->jname, aside);
	}
	if (fault_renameat(p->dirfd, tmp, p->dirfd, p->jname) < 0) {
		(void)store_fail(why, "cannot make the journal of", p->path);
		goto out;
	}
	p->jfd = fd;
	p->ddirty = p->jdirty = true;
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
	buf_fini(&left.records);
	buf_fini(&all);
	buf_fini(&a);
	return rc;
}

int
packed_replace(struct packed *p, struct span records, struct why *why)
{
	struct packed_head h = p->head;
	char tmp[PACKED_NAME_MAX + 40];
	uint8_t raw[PACKED_START];
	int fd, rc = -1;

	h.generation = rnd_u64() | 1;
	h.state.tail = PACKED_START + records.len;
	h.state.turn++;
	packed_head_encode(&h, raw);
	snprintf(tmp, sizeof(tmp), "%s.%ld.tmp", p->jname, (long)getpid());
	(void)unlinkat(p->dirfd, tmp, 0);
	fd = fault_openat(p->dirfd, tmp, O_RDWR | O_CREAT | O_EXCL |
	    O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || fd_pwrite_all(fd, raw, sizeof(raw), 0) < 0 ||
	    fd_pwrite_all(fd, records.p, records.len, PACKED_START) < 0 ||
	    fault_fdatasync(fd) < 0 ||
	    fault_renameat(p->dirfd, tmp, p->dirfd, p->jname) < 0) {
		(void)store_fail(why, "cannot compact", p->path);
		if (fd >= 0)
			(void)unlinkat(p->dirfd, tmp, 0);
	} else {
		/* Until the name is durable the old file may come back, with
		 * all that it said: nothing is lost by that. */
		rc = fault_fsync(p->dirfd);
		if (rc < 0)
			(void)store_fail(why, "cannot sync", p->path);
	}
	fd_close(&fd);
	return rc;
}
