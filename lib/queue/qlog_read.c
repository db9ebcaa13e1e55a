/* SPDX-License-Identifier: ISC */
/*
 * qlog_read - reading a log back; see qlog.h for what is on disk.
 *
 * A scan makes two passes.  The first finds the highest `durable` that any
 * record names: all up to there was acknowledged.  The second visits; where
 * the next record is missing, that number says whether something acknowledged
 * was damaged (report it, search for the next record, go on) or whether this
 * is the torn tail (stop).
 *
 * The writer may be at work meanwhile.  What it appends behind our back can
 * only make us see more.  When it reuses a slot under our eyes, what we miss
 * there was finished before: so before any damage is reported, the slot's
 * header is read again, and a slot with another generation is left at once.
 *
 * Pages that the disk cannot read are taken as zeros: one bad sector is
 * damage to the records in it, not to the whole queue.
 */
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/array.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "base/num.h"
#include "io/fd.h"
#include "queue/qlog.h"
#include "queue/qlog_slot.h"

#define WINDOW		(256u << 10)	/* bytes read at once, at least */
#define DAMAGE_SHOW_MAX	(32u << 20)	/* bytes given to visit->damage */

/* A piece of a file in memory. */
struct window {
	int		fd;
	uint64_t	size;		/* of the file, whole pages */
	uint64_t	at;
	size_t		len, alloc;
	char		*data;
};

static void
window_init(struct window *w, int fd, uint64_t size)
{
	*w = (struct window){ .fd = fd, .size = size };
}

static void
window_fini(struct window *w)
{
	mem_free(w->data);
	*w = (struct window){ .fd = -1 };
}

/* Read [at, at + n); what cannot be read becomes zeros. */
static void
read_pages(int fd, char *p, size_t n, uint64_t at)
{
	size_t step = n;

	while (n > 0) {
		size_t want = MIN(n, step);
		ssize_t got = pread(fd, p, want, (off_t)at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			if (got < 0 && step > QLOG_PAGE) {
				step = QLOG_PAGE;
				continue;
			}
			/* A bad page, or the file ends early. */
			memset(p, 0, want);
			got = (ssize_t)want;
		}
		p += got;
		n -= (size_t)got;
		at += (uint64_t)got;
	}
}

/* n bytes at at, good until the next call; NULL beyond the end. */
static const char *
window_get(struct window *w, uint64_t at, size_t n)
{
	uint64_t from;
	size_t want;

	if (at > w->size || n > w->size - at)
		return NULL;
	if (at >= w->at && at - w->at <= w->len && n <= w->len - (at - w->at))
		return w->data + (at - w->at);
	from = at & ~(uint64_t)(QLOG_PAGE - 1);
	want = MAX(n + (size_t)(at - from), (size_t)WINDOW);
	want = (size_t)MIN((uint64_t)want, w->size - from);
	if (want > w->alloc) {
		mem_free(w->data);
		w->data = mem_alloc(want);
		w->alloc = want;
	}
	read_pages(w->fd, w->data, want, from);
	w->at = from;
	w->len = want;
	return w->data + (at - from);
}

static uint64_t
rec_need(uint32_t len)
{
	return QLOG_HEADER_LEN + (((uint64_t)len + 7) & ~(uint64_t)7);
}

enum { ANY_GENERATION = 1, WITH_PAYLOAD = 2 };

/* Whether a whole record of this generation lies at at. */
static bool
record_at(struct window *w, uint64_t at, uint32_t generation, int flags,
    struct rec_head *r, struct span *payload)
{
	const char *p = window_get(w, at, QLOG_HEADER_LEN);

	if (p == NULL || rec_head_decode(r, p) < 0 ||
	    (!(flags & ANY_GENERATION) && r->generation != generation) ||
	    r->seq == 0 || r->seq > SEQ_MAX || r->durable >= r->seq ||
	    at + rec_need(r->len) > w->size)
		return false;
	if (!(flags & WITH_PAYLOAD))
		return true;
	p = window_get(w, at + QLOG_HEADER_LEN, r->len);
	if (p == NULL || crc32c(0, p, r->len) != r->payload_crc)
		return false;
	*payload = span_make(p, r->len);
	return true;
}

static bool
all_zero(const char *p, size_t n)
{
	return n == 0 || (p[0] == '\0' && memcmp(p, p + 1, n - 1) == 0);
}

static uint64_t
page_end(uint64_t at)
{
	return (at + QLOG_PAGE - 1) & ~(uint64_t)(QLOG_PAGE - 1);
}

/* The next place at or behind at with a whole record and seq >= min_seq. */
static bool
search_record(struct window *w, uint64_t at, uint32_t generation,
    uint64_t min_seq, int flags, struct rec_head *r, uint64_t *found)
{
	struct span payload;

	for (at = (at + 7) & ~(uint64_t)7; at + QLOG_HEADER_LEN <= w->size;) {
		uint64_t end = MIN(at + WINDOW / 2, w->size);
		const char *p = window_get(w, at, (size_t)(end - at));
		uint64_t from = at;

		while (at + 4 <= end &&
		    num_get_le32(p + (at - from)) != REC_MAGIC)
			at += 8;
		if (at + 4 > end)
			continue;
		if (record_at(w, at, generation, flags, r, &payload) &&
		    r->seq >= min_seq) {
			*found = at;
			return true;
		}
		at += 8;
	}
	return false;
}

/* --- one slot ------------------------------------------------------------------- */

/* What the records of a slot say is durable. */
static uint64_t
slot_durable(struct window *w, uint32_t generation)
{
	struct rec_head r;
	struct span none;
	uint64_t at = QLOG_PAGE, max = 0;

	for (;;) {
		if (record_at(w, at, generation, 0, &r, &none)) {
			max = MAX(max, r.durable);
			if (r.type == QLOG_SEAL)
				return max;
			at += rec_need(r.len);
			continue;
		}
		if (!search_record(w, at, generation, 0, 0, &r, &at))
			return max;
	}
}

struct walk {
	struct window	*w;
	int		fd;
	uint32_t	no, generation;
	uint64_t	expect;		/* the next seq */
	uint64_t	at;		/* behind the last record */
	uint64_t	max_durable;
	uint64_t	from_seq;
	const struct qlog_visit *visit;	/* NULL: just go to the end */
	bool		sealed, stopped, empty, torn;
};

/* Whether the slot has been released or reused since we opened it. */
static bool
slot_gone(const struct walk *k)
{
	char head[SLOT_HEAD_LEN];
	struct slot_head h;

	if (fd_pread_all(k->fd, head, sizeof(head), 0) < 0 ||
	    slot_head_decode(&h, head) < 0)
		return false;
	return !h.used || h.generation != k->generation;
}

static void
show_damage(struct walk *k, uint64_t at, uint64_t end)
{
	size_t n = (size_t)MIN(end - at, (uint64_t)DAMAGE_SHOW_MAX);
	struct window own;

	if (k->visit == NULL || k->visit->damage == NULL)
		return;
	window_init(&own, k->fd, k->w->size);	/* k->w stays where it is */
	k->visit->damage(k->visit->arg, k->no, at,
	    span_make(window_get(&own, at, n), n));
	window_fini(&own);
}

static void
walk_slot(struct walk *k)
{
	uint64_t at = QLOG_PAGE;
	struct rec_head r;
	struct span payload;

	k->at = at;
	k->empty = true;
	for (;;) {
		const char *rest;
		uint64_t next;

		if (record_at(k->w, at, k->generation, WITH_PAYLOAD, &r,
		    &payload) && r.seq == k->expect) {
			struct qlog_pos pos = { k->no, k->generation, at,
			    r.len, r.seq };

			if (r.type == QLOG_SEAL) {
				k->sealed = true;
				return;
			}
			k->empty = false;
			if (k->visit != NULL && r.seq >= k->from_seq &&
			    !k->visit->record(k->visit->arg, &pos, r.type,
			    r.wall_us, payload)) {
				k->stopped = true;
				return;
			}
			k->expect++;
			at += rec_need(r.len);
			k->at = at;
			continue;
		}
		/* The zeros between two batches? */
		next = page_end(at);
		rest = window_get(k->w, at, (size_t)(next - at));
		if (next != at && rest != NULL &&
		    all_zero(rest, (size_t)(next - at))) {
			at = next;
			continue;
		}
		if (k->expect > k->max_durable) {
			k->torn = true;
			return;
		}
		if (slot_gone(k))
			return;
		if (!search_record(k->w, at, k->generation, k->expect,
		    WITH_PAYLOAD, &r, &next)) {
			/* The rest of this slot; what it held is unknown. */
			show_damage(k, at, k->w->size);
			return;
		}
		show_damage(k, at, next);
		k->empty = false;
		k->expect = r.seq;
		at = next;
	}
}

int
slot_find_end(int fd, uint32_t generation, uint64_t first_seq, uint64_t size,
    struct slot_end *end, struct why *why)
{
	struct window w;
	struct walk k = { .w = &w, .fd = fd, .generation = generation,
	    .expect = first_seq };

	window_init(&w, fd, size);
	k.max_durable = slot_durable(&w, generation);
	walk_slot(&k);
	window_fini(&w);
	/* Damage up to the very end: all that was acknowledged is counted. */
	*end = (struct slot_end){ .at = k.at,
	    .next_seq = MAX(k.expect, k.max_durable + 1),
	    .sealed = k.sealed || (!k.torn && k.expect <= k.max_durable),
	    .empty = k.empty };
	return 0;
}

bool
slot_tail_dirty(int fd, uint32_t generation, uint64_t at, uint64_t size)
{
	struct window w;
	struct rec_head r;
	uint64_t next = page_end(at);
	const char *rest;
	bool dirty;

	window_init(&w, fd, size);
	rest = window_get(&w, at, (size_t)(next - at));
	dirty = (rest != NULL && !all_zero(rest, (size_t)(next - at))) ||
	    search_record(&w, at, generation, 0, 0, &r, &next);
	window_fini(&w);
	return dirty;
}

/* --- the directory ---------------------------------------------------------------- */

/* The header is damaged: do the records still say what they are? */
static void
salvage(int fd, struct slot_info *info)
{
	struct window w;
	struct rec_head r;
	uint64_t at;

	info->state = SLOT_INFO_BAD;
	info->salvaged = true;
	window_init(&w, fd, info->size);
	if (search_record(&w, QLOG_PAGE, 0, 1, ANY_GENERATION | WITH_PAYLOAD,
	    &r, &at)) {
		info->state = SLOT_INFO_USED;
		info->head = (struct slot_head){ .no = info->no,
		    .generation = r.generation, .first_seq = r.seq,
		    .used = true };
	}
	window_fini(&w);
}

static int
slot_inspect(int dirfd, const char *name, struct slot_info *info,
    struct why *why)
{
	char head[SLOT_HEAD_LEN] = { 0 };
	struct stat st;
	int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0) {
		if (errno == ENOENT)
			return 0;	/* removed since readdir */
		return why_errno(why, "4.3.0", "open log segment %s", name);
	}
	if (fstat(fd, &st) < 0) {
		why_errno(why, "4.3.0", "stat log segment %s", name);
		fd_close(&fd);
		return -1;
	}
	info->size = (uint64_t)st.st_size & ~(uint64_t)(QLOG_PAGE - 1);
	read_pages(fd, head, sizeof(head), 0);
	if (slot_head_decode(&info->head, head) < 0 ||
	    info->head.no != info->no)
		salvage(fd, info);
	else
		info->state = info->head.used ? SLOT_INFO_USED :
		    SLOT_INFO_FREE;
	fd_close(&fd);
	return 1;
}

int
slot_list(int dirfd, int (*fn)(void *arg, const struct slot_info *), void *arg,
    struct why *why)
{
	struct dirent *de;
	DIR *dir;
	int rc = 0, fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || (dir = fdopendir(fd)) == NULL) {
		why_errno(why, "4.3.0", "read log directory");
		fd_close(&fd);
		return -1;
	}
	while (rc == 0) {
		struct span name, no;
		struct slot_info info = { 0 };

		errno = 0;
		de = readdir(dir);
		if (de == NULL) {
			if (errno != 0)
				rc = why_errno(why, "4.3.0",
				    "read log directory");
			break;
		}
		name = span_of(de->d_name);
		if (!span_ends(name, SPAN(".seg")))
			continue;
		no = span_sub(name, 0, name.len - 4);
		if (num_parse_u32(no, UINT32_MAX - 1, &info.no) < 0)
			continue;
		rc = slot_inspect(dirfd, de->d_name, &info, why);
		if (rc > 0)
			rc = fn(arg, &info);
	}
	closedir(dir);
	return rc < 0 ? -1 : 0;
}

/* --- a scan ------------------------------------------------------------------------ */

struct scan {
	ARRAY(struct slot_info) slots;
};

static int
collect(void *arg, const struct slot_info *info)
{
	struct scan *s = arg;

	if (info->state != SLOT_INFO_FREE)
		*ARRAY_PUSH(&s->slots) = *info;
	return 0;
}

static int
cmp_info(const void *a, const void *b)
{
	const struct slot_info *x = a, *y = b;

	return x->head.first_seq < y->head.first_seq ? -1 :
	    x->head.first_seq > y->head.first_seq;
}

/* The header of a slot could not be read: show it. */
static void
bad_header(int dirfd, const struct slot_info *info, const struct qlog_visit *v)
{
	struct window w;
	struct why ignored = WHY_INIT;
	struct walk k = { .w = &w, .no = info->no, .visit = v };
	int fd = qlog_open_slot(dirfd, ".", info->no, &ignored);

	if (fd < 0)
		return;
	window_init(&w, fd, info->size);
	k.fd = fd;
	show_damage(&k, 0, MIN(info->size, (uint64_t)QLOG_PAGE));
	window_fini(&w);
	fd_close(&fd);
}

int
qlog_scan(int dirfd, const char *path, uint64_t from_seq,
    const struct qlog_visit *v, struct why *why)
{
	struct scan s = { 0 };
	uint64_t max_durable = 0;
	size_t first = 0;
	int rc = -1, dir;

	dir = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return why_errno(why, "4.3.0", "open log directory %s", path);
	if (slot_list(dir, collect, &s, why) < 0)
		goto out;
	if (s.slots.len > 0)
		qsort(s.slots.v, s.slots.len, sizeof(s.slots.v[0]), cmp_info);
	/* Slots that lie before from_seq as a whole need no look. */
	for (size_t i = 0; i + 1 < s.slots.len; i++)
		if (s.slots.v[i + 1].state == SLOT_INFO_USED &&
		    s.slots.v[i + 1].head.first_seq <= from_seq)
			first = i + 1;
	for (size_t i = first; i < s.slots.len; i++) {
		struct slot_info *info = &s.slots.v[i];
		struct window w;
		int fd;

		if (info->state == SLOT_INFO_BAD)
			continue;
		fd = qlog_open_slot(dir, ".", info->no, why);
		if (fd < 0)
			goto out;
		window_init(&w, fd, info->size);
		max_durable = MAX(max_durable,
		    slot_durable(&w, info->head.generation));
		window_fini(&w);
		fd_close(&fd);
	}
	for (size_t i = first; i < s.slots.len; i++) {
		struct slot_info *info = &s.slots.v[i];
		struct window w;
		struct walk k = { .w = &w, .no = info->no,
		    .generation = info->head.generation,
		    .expect = info->head.first_seq,
		    .max_durable = max_durable, .from_seq = from_seq,
		    .visit = v };

		if (info->salvaged)
			bad_header(dir, info, v);
		if (info->state == SLOT_INFO_BAD)
			continue;
		k.fd = qlog_open_slot(dir, ".", info->no, why);
		if (k.fd < 0)
			goto out;
		window_init(&w, k.fd, info->size);
		if (!slot_gone(&k))
			walk_slot(&k);
		window_fini(&w);
		fd_close(&k.fd);
		if (k.stopped || k.torn)
			break;
	}
	rc = 0;
out:
	ARRAY_FINI(&s.slots);
	fd_close(&dir);
	return rc;
}

int
qlog_open_slot(int dirfd, const char *path, uint32_t slot, struct why *why)
{
	char name[SLOT_NAME_MAX];
	int dir, fd;

	slot_name(slot, name);
	dir = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return why_errno(why, "4.3.0", "open log directory %s", path);
	fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		why_errno(why, "4.3.0", "open log segment %s", name);
	fd_close(&dir);
	return fd;
}

int
qlog_read(int slot_fd, const struct qlog_pos *pos, struct buf *out,
    struct why *why)
{
	char head[QLOG_HEADER_LEN], *p;
	struct rec_head r;

	if (fd_pread_all(slot_fd, head, sizeof(head), (off_t)pos->offset) < 0)
		return why_errno(why, "4.3.0", "read log record");
	if (rec_head_decode(&r, head) < 0 || r.generation != pos->generation ||
	    r.seq != pos->seq || r.len != pos->len)
		return why_set(why, "4.3.0", "log record %llu is damaged or "
		    "gone", (unsigned long long)pos->seq);
	p = buf_reserve(out, r.len);
	if (p == NULL)
		return why_set(why, "4.3.0", "log record of %u bytes is too "
		    "large", r.len);
	if (r.len > 0 && fd_pread_all(slot_fd, p, r.len,
	    (off_t)(pos->offset + QLOG_HEADER_LEN)) < 0)
		return why_errno(why, "4.3.0", "read log record");
	if (crc32c(0, p, r.len) != r.payload_crc)
		return why_set(why, "4.3.0", "log record %llu is damaged",
		    (unsigned long long)pos->seq);
	buf_commit(out, r.len);
	return 0;
}
