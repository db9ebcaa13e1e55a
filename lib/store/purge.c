/* SPDX-License-Identifier: ISC */
/*
 * purge - giving back the space of messages that are over.
 *
 * Journals are compacted first.  Then each segment that nobody appends to and
 * that holds much that no journal names is emptied: what is still named is
 * copied to a new segment and synced; each journal gets records that say where
 * (MOVED), and is synced; and only when a second look at all journals, each
 * under its lock, finds nobody who names the old segment, its place is taken
 * by an empty file, which keeps its number from being used again.  Whoever has
 * the old file open or mapped goes on reading it.
 *
 * A copier (mailbox_copy.c) reads the source's journal while it holds the
 * target's lock.  So it has either seen the MOVED record, or has written its
 * own record before the second look gets that lock.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crc32c.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "io/fault.h"
#include "io/fd.h"
#include "store/mailbox_internal.h"

#define WASTE_MIN	(1u << 20)	/* bytes worth the work */
#define LOCK_NAME	"purge.lock"

struct chunk {				/* of a segment, that is named */
	uint64_t	offset, len, cache_len;
	uint32_t	crc;
	uint64_t	to;		/* in the new segment */
};

struct seg {
	uint32_t	number;
	bool		open;		/* somebody appends to it */
	uint64_t	size;
	ARRAY(struct chunk) chunks;
};

struct purge {
	struct account	*a;
	int64_t		 before_us;
	ARRAY(struct seg) segs;
	bool		 hold;		/* a journal is damaged */
	struct account_purged *out;
};

static struct seg *
find_seg(struct purge *p, uint32_t no)
{
	for (size_t i = 0; i < p->segs.len; i++) {
		if (p->segs.v[i].number == no)
			return &p->segs.v[i];
	}
	return NULL;
}

static int
list_segments(struct purge *p, struct why *why)
{
	struct dirent *e;
	struct stat st;
	DIR *d;
	int fd;

	fd = openat(p->a->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || (d = fdopendir(fd)) == NULL) {
		fd_close(&fd);
		(void)store_fail(why, "cannot read", p->a->path);
		return account_io(p->a, why);
	}
	while ((e = readdir(d)) != NULL) {
		struct span n = span_of(e->d_name);
		uint64_t no;

		if (n.len == 12 && span_ends(n, SPAN(".seg")) &&
		    num_parse_hex(span_sub(n, 0, 8), &no) == 0 && no != 0 &&
		    fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(st.st_mode) && st.st_size > 0) {
			struct seg *s = ARRAY_PUSH(&p->segs);

			s->number = (uint32_t)no;
			s->size = (uint64_t)st.st_size;
		}
	}
	closedir(d);
	return 0;
}

/* What a damaged record named nobody can say, and an index made without it
 * does not know. */
static void
look_for_damage(struct purge *p, struct mailbox *m)
{
	if (!mailbox_damaged(m))
		return;
	log_warning("%s: the journal of %s is damaged: no space is given "
	    "back before \"mansio index rebuild\"", p->a->path,
	    account_box_by_id(p->a, m->box)->name);
	p->hold = true;
}

/* What a mailbox names. */
static int
note_box(struct purge *p, uint32_t box, struct why *why)
{
	struct mailbox *m = mailbox_open_whole(p->a, box, why);
	struct seg *s;

	if (m == NULL)
		return p->a->error == ACCOUNT_NONEXISTENT ? 0 : -1;
	look_for_damage(p, m);
	if ((s = find_seg(p, m->p->head.state.segment)) != NULL)
		s->open = true;
	for (uint32_t i = 0; i < record_count(m); i++) {
		const struct record *r = record_at(m, i);
		struct chunk *c;

		/* Also what is over but still in the journal: a name is a
		 * name. */
		if ((s = find_seg(p, r->segment)) == NULL)
			continue;
		c = ARRAY_PUSH(&s->chunks);
		c->offset = r->offset;
		c->len = r->len;
		c->cache_len = r->flags & RECORD_BEHIND ? r->cache_len : 0;
		c->crc = r->crc;
	}
	mailbox_close(&m);
	return 0;
}

static int
by_offset(const void *x, const void *y)
{
	const struct chunk *a = x, *b = y;

	if (a->offset != b->offset)
		return a->offset < b->offset ? -1 : 1;
	return a->cache_len > b->cache_len ? -1 : a->cache_len < b->cache_len;
}

/* Sort, drop copies that share bytes; returns how many bytes are named. */
static uint64_t
sort_chunks(struct seg *s)
{
	uint64_t used = 0;
	size_t keep = 0;

	if (s->chunks.len == 0)
		return 0;
	qsort(s->chunks.v, s->chunks.len, sizeof(s->chunks.v[0]), by_offset);
	for (size_t i = 0; i < s->chunks.len; i++) {
		struct chunk *c = &s->chunks.v[i];

		if (keep > 0 && s->chunks.v[keep - 1].offset == c->offset)
			continue;
		s->chunks.v[keep++] = *c;
		used += packed_need(c->len, c->cache_len);
	}
	s->chunks.len = keep;
	return used;
}

/* --- copying ------------------------------------------------------------------------ */

static int
copy_range(int from, uint64_t at, int to, uint64_t where, uint64_t len,
    struct buf *b)
{
	while (len > 0) {
		size_t n = (size_t)MIN(len, (uint64_t)1 << 20);
		char *q;

		buf_reset(b);
		q = buf_reserve(b, n);
		if (fd_pread_all(from, q, n, (off_t)at) < 0 ||
		    fd_pwrite_all(to, q, n, (off_t)where) < 0)
			return -1;
		at += n;
		where += n;
		len -= n;
	}
	return 0;
}

/* The named chunks into a new segment: 1, 0 (a message is damaged: leave it),
 * -1.  *number is the new one's. */
static int
copy_chunks(struct purge *p, struct seg *s, uint32_t *number,
    struct why *why)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	char name[PACKED_NAME_MAX];
	uint64_t tail = 0;
	int from, to = -1, rc = -1;

	packed_segment_name(s->number, name);
	from = packed_open_checked(p->a->dirfd, name, O_RDONLY);
	for (uint32_t no = s->number + 1; from >= 0 && to < 0; no++) {
		packed_segment_name(no, name);
		to = fault_openat(p->a->dirfd, name, O_RDWR | O_CREAT |
		    O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		*number = no;
		if (to < 0 && errno != EEXIST)
			break;
	}
	if (to < 0)
		goto out;
	for (size_t i = 0; i < s->chunks.len; i++) {
		struct chunk *c = &s->chunks.v[i];
		int ok = packed_check_bytes(from, c->offset +
		    PACKED_MESSAGE_HEADER, c->len, c->crc);

		if (ok == 0) {
			log_error("%s: segment %u holds a damaged message: "
			    "left as it is", p->a->path,
			    (unsigned)s->number);
			p->out->damaged++;
			rc = 0;
			goto out;
		}
		c->to = tail;
		uint64_t len = c->cache_len > 0 ? packed_align(
		    PACKED_MESSAGE_HEADER + c->len) + c->cache_len :
		    PACKED_MESSAGE_HEADER + c->len;
		if (ok < 0 || copy_range(from, c->offset, to, tail, len,
		    &b) < 0)
			goto out;
		tail += packed_need(c->len, c->cache_len);
	}
	if (fault_fdatasync(to) < 0 || fault_fsync(p->a->dirfd) < 0)
		goto out;
	rc = 1;
out:
	if (rc < 0) {
		(void)store_fail(why, "cannot copy a segment of", p->a->path);
		(void)account_io(p->a, why);
	}
	if (rc < 1 && to >= 0)
		(void)fault_unlinkat(p->a->dirfd, name, 0);
	fd_close(&from);
	fd_close(&to);
	buf_fini(&b);
	return rc;
}

/* --- telling ------------------------------------------------------------------------- */

/*
 * Write into a box's journal where its messages of the segment are now.
 * Returns how many, or -1.
 */
static int64_t
tell_box(struct purge *p, struct seg *s, uint32_t number, uint32_t box,
    struct why *why)
{
	struct mailbox *m = mailbox_open_whole(p->a, box, why);
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	int64_t n = 0;

	if (m == NULL)
		return p->a->error == ACCOUNT_NONEXISTENT ? 0 : -1;
	if (mailbox_lock(m, why) < 0) {
		mailbox_close(&m);
		return -1;
	}
	for (uint32_t i = 0; i < record_count(m) && n >= 0; i++) {
		const struct record *r = record_at(m, i);
		struct chunk key = { .offset = r->offset,
		    .cache_len = UINT64_MAX }, *c = NULL;
		uint8_t le[16];
		size_t lo = 0, hi = s->chunks.len;

		if (r->segment != s->number)
			continue;
		while (lo < hi) {
			size_t mid = lo + (hi - lo) / 2;

			if (s->chunks.v[mid].offset < key.offset)
				lo = mid + 1;
			else
				hi = mid;
		}
		if (lo < s->chunks.len && s->chunks.v[lo].offset == r->offset)
			c = &s->chunks.v[lo];
		if (c == NULL) {
			/* Came since we looked: another time. */
			n = -2;
			break;
		}
		num_put_le32(le, r->uid);
		num_put_le32(le + 4, number);
		num_put_le64(le + 8, c->to);
		buf_add(&b, le, sizeof(le));
		n++;
		if (b.len >= 65536) {
			packed_put(m->p, PACKED_MOVED, buf_span(&b));
			buf_reset(&b);
		}
	}
	if (b.len > 0)
		packed_put(m->p, PACKED_MOVED, buf_span(&b));
	if (n > 0 && mailbox_flush(m, why) < 0)
		n = -1;
	mailbox_unlock(m);
	mailbox_close(&m);
	buf_fini(&b);
	return n;
}

static int
tell_all(struct purge *p, struct seg *s, uint32_t number, struct why *why)
{
	for (int turn = 0; turn < 10; turn++) {
		int64_t n, total = 0;

		for (size_t i = 0; i < p->a->boxes.len; i++) {
			n = tell_box(p, s, number, p->a->boxes.v[i].box, why);
			if (n == -1)
				return -1;
			if (n < 0)
				return 0;
			total += n;
		}
		if (account_sync(p->a, why) < 0)
			return -1;
		if (total == 0)
			return 1;
	}
	return 0;
}

/* An empty file takes the segment's place. */
static int
retire(struct purge *p, struct seg *s, struct why *why)
{
	char name[PACKED_NAME_MAX], tmp[PACKED_NAME_MAX + 8];
	int fd;

	packed_segment_name(s->number, name);
	snprintf(tmp, sizeof(tmp), "%s.tmp", name);
	(void)unlinkat(p->a->dirfd, tmp, 0);
	fd = fault_openat(p->a->dirfd, tmp, O_RDWR | O_CREAT | O_EXCL |
	    O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || fault_renameat(p->a->dirfd, tmp, p->a->dirfd,
	    name) < 0) {
		(void)store_fail(why, "cannot empty a segment of",
		    p->a->path);
		fd_close(&fd);
		return account_io(p->a, why);
	}
	close(fd);
	return 0;
}

static int
purge_segment(struct purge *p, struct seg *s, struct why *why)
{
	uint64_t used = sort_chunks(s);
	uint32_t number = 0;
	int rc;

	if (s->open || (used > 0 &&
	    s->size < used + MAX(WASTE_MIN, s->size / 4)))
		return 0;
	if (s->chunks.len > 0 && (rc = copy_chunks(p, s, &number, why)) < 1)
		return rc;
	if ((rc = tell_all(p, s, number, why)) < 1)
		return rc;
	if (retire(p, s, why) < 0)
		return -1;
	p->out->segments++;
	p->out->bytes += s->size - MIN(used, s->size);
	return 0;
}

/* Mailboxes that were deleted long ago. */
static void
purge_boxes(struct purge *p)
{
	static const char *const suffixes[] = { "idx", "cch", "uidl", "jrn" };

	for (size_t i = 0; i < p->a->boxes.len; i++) {
		const struct acct_box *b = &p->a->boxes.v[i];
		char name[PACKED_NAME_MAX];

		if (!b->gone || b->gone_us >= p->before_us)
			continue;
		for (size_t k = 0; k < ARRAY_LEN(suffixes); k++) {
			packed_name(b->box, suffixes[k], name);
			if (fault_unlinkat(p->a->dirfd, name, 0) == 0 &&
			    k == ARRAY_LEN(suffixes) - 1)
				p->out->mailboxes++;
		}
	}
}

bool
account_purge_due(struct account *a, int64_t interval_s)
{
	int64_t now = clock_wall_s();
	struct stat st;
	int fd;

	if (interval_s <= 0)
		return false;
	if (fstatat(a->dirfd, LOCK_NAME, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return now - (int64_t)st.st_mtim.tv_sec >= interval_s ||
		    (int64_t)st.st_mtim.tv_sec > now;
	/* Nothing is over before the first interval is. */
	fd = openat(a->dirfd, LOCK_NAME, O_RDWR | O_CREAT | O_NOFOLLOW |
	    O_CLOEXEC, 0600);
	fd_close(&fd);
	return false;
}

int
account_purge_hold(struct account *a, struct why *why)
{
	int lock = openat(a->dirfd, LOCK_NAME, O_RDWR | O_CREAT | O_NOFOLLOW |
	    O_CLOEXEC, 0600);

	while (lock >= 0 && flock(lock, LOCK_EX) < 0) {
		if (errno == EINTR)
			continue;
		fd_close(&lock);
	}
	if (lock < 0) {
		(void)store_fail(why, "cannot lock", a->path);
		return account_io(a, why);
	}
	/* Nobody need try meanwhile (account_purge_due()). */
	(void)futimens(lock, NULL);
	return lock;
}

int
account_purge(struct account *a, struct account_purged *out, struct why *why)
{
	return account_purge_some(a, UINT32_MAX, out, why);
}

int
account_purge_some(struct account *a, uint32_t most,
    struct account_purged *out, struct why *why)
{
	struct purge p = { .a = a, .out = out,
	    .before_us = compact_before(a) };
	int lock, rc = -1;

	*out = (struct account_purged){ .segments = 0 };
	if (account_refresh(a, why) < 0)
		return -1;
	lock = openat(a->dirfd, LOCK_NAME, O_RDWR | O_CREAT | O_NOFOLLOW |
	    O_CLOEXEC, 0600);
	if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) < 0) {
		fd_close(&lock);
		return account_say(a, ACCOUNT_INUSE, why, "%s is being "
		    "purged already", a->path);
	}
	/* When it was, for account_purge_due(); also when it fails. */
	(void)futimens(lock, NULL);
	mailbox_close(&a->target);
	account_forget_deleted(a, p.before_us);
	if (a->format == STORE_PACKED)
		purge_boxes(&p);
	else
		account_maildir_purge(a, p.before_us, out);
	for (size_t i = 0; i < a->boxes.len; i++) {
		const struct acct_box *b = &a->boxes.v[i];
		int did = b->gone ? 0 : mailbox_compact(a, b->box,
		    COMPACT_WASTE, why);

		if (did < 0 && a->error != ACCOUNT_NONEXISTENT)
			goto out;
		out->journals += did > 0;
	}
	if (a->format == STORE_PACKED) {
		if (list_segments(&p, why) < 0)
			goto out;
		for (size_t i = 0; i < a->boxes.len; i++) {
			if (note_box(&p, a->boxes.v[i].box, why) < 0)
				goto out;
		}
		for (size_t i = 0; !p.hold && i < p.segs.len &&
		    out->segments < most; i++) {
			if (purge_segment(&p, &p.segs.v[i], why) < 0)
				goto out;
		}
	}
	rc = 0;
out:
	for (size_t i = 0; i < p.segs.len; i++)
		ARRAY_FINI(&p.segs.v[i].chunks);
	ARRAY_FINI(&p.segs);
	fd_close(&lock);
	return rc;
}
