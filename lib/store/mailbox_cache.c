/* SPDX-License-Identifier: ISC */
/*
 * mailbox_cache - the cache records of messages (message_cache.h).
 *
 * The record of a message lies behind it in its segment, where whoever stored
 * it has made one; that costs a delivery nothing more, and copies share it.
 * The cache file <box>.cch has the records of a mailbox close together: who
 * reads all of them reads no messages with them.  It has those that a reader
 * had to make, and mailbox_gather_cache() copies the others there.
 *
 *	"MNSOCCH3", u64 generation of the journal, u64 its own number, u64 0
 * then batches of records (cache_batch.h), each at a multiple of 8.
 *
 * It can be deleted at any time.  It only grows, at its end and under its
 * flock, for others have mapped it: a file that cannot be gone on with, or is
 * mostly of messages that have gone, is removed, and the next who has something
 * to write makes another.  Its number tells who knows places in it (the index)
 * that this is not the file they are in.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/rnd.h"
#include "io/fault.h"
#include "io/fd.h"
#include "store/cache_batch.h"
#include "store/mailbox_internal.h"

#define FILE_MAGIC	"MNSOCCH3"
#define FILE_HEAD	32
#define MAP_MORE	(1u << 20)	/* bytes mapped ahead of the file */
#define WRITE_STEP	(2u << 20)	/* bytes gathered for one write, so that
					 * the keys among them are about a
					 * window of looks.h */
#define AHEAD		3u		/* records: memory takes so long */
#define PREFETCH	896u		/* bytes of a part of one, at most */
#define WASTE_MIN	(4u << 20)	/* bytes, and as much again as is used */

/* --- which checksums were right --------------------------------------------------- */

bool
mailbox_was_checked(struct mailbox *m, uint32_t i, unsigned what)
{
	uint32_t n = record_count(m);

	if (m->nchecked < n) {
		uint32_t grown = (n + n / 4 + 64) & ~1u;

		m->checked = mem_realloc_array(m->checked, grown / 2, 1);
		memset(m->checked + m->nchecked / 2, 0,
		    (grown - m->nchecked) / 2);
		m->nchecked = grown;
	}
	return m->checked[i / 2] & what << i % 2 * 4;
}

void
mailbox_set_checked(struct mailbox *m, uint32_t i, unsigned what)
{
	m->checked[i / 2] |= (uint8_t)(what << i % 2 * 4);
}

/* --- the file --------------------------------------------------------------------- */

static void
cache_name(const struct mailbox *m, char out[PACKED_NAME_MAX])
{
	if (m->p->alone)
		snprintf(out, PACKED_NAME_MAX, "mansio.cch");
	else
		packed_name(m->box, "cch", out);
}

/* Nothing is in the file: what was noted was another one's. */
static void
forget_places(struct mailbox *m)
{
	if (m->cache_tail <= FILE_HEAD)
		return;
	m->cache_tail = 0;
	mem_free(m->checked);
	m->checked = NULL;
	m->nchecked = 0;
	for (uint32_t i = 0; i < record_count(m); i++) {
		struct record *r = record_at(m, i);

		if (r->cache_at == 0)
			continue;
		r->cache_at = 0;
		if (!(r->flags & RECORD_BEHIND))
			r->cache_len = 0;
	}
}

/* What is mapped of it stays for spans that are in use, found by nobody. */
static void
leave_file(struct mailbox *m)
{
	fd_close(&m->cachefd);
	if (m->cache_maps.len > 0)
		(void)ARRAY_PUSH(&m->cache_maps);
}

static void
remove_file(struct mailbox *m)
{
	char name[PACKED_NAME_MAX];

	cache_name(m, name);
	(void)fault_unlinkat(m->p->dirfd, name, 0);
	leave_file(m);
}

static int
make_file(struct mailbox *m, const char *name)
{
	char head[FILE_HEAD] = FILE_MAGIC;

	m->cachefd = fault_openat(m->p->dirfd, name, O_RDWR | O_CREAT |
	    O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (m->cachefd < 0)
		return -1;
	m->cache_number = rnd_u64() | 1;
	num_put_le64(head + 8, m->p->head.generation);
	num_put_le64(head + 16, m->cache_number);
	if (fd_pwrite_all(m->cachefd, head, sizeof(head), 0) < 0) {
		remove_file(m);
		return -1;
	}
	m->cache_tail = FILE_HEAD;
	return 0;
}

/* Open it; one that is not of this journal is replaced. */
static int
open_cache(struct mailbox *m, bool create)
{
	char name[PACKED_NAME_MAX], head[FILE_HEAD];

	if (m->cachefd >= 0)
		return 0;
	cache_name(m, name);
	m->cachefd = packed_open_checked(m->p->dirfd, name,
	    m->p->writable ? O_RDWR : O_RDONLY);
	if (m->cachefd >= 0) {
		if (fd_pread_all(m->cachefd, head, sizeof(head), 0) == 0 &&
		    memcmp(head, FILE_MAGIC, 8) == 0 &&
		    num_get_le64(head + 8) == m->p->head.generation) {
			if (m->cache_number != num_get_le64(head + 16))
				forget_places(m);
			m->cache_number = num_get_le64(head + 16);
			return 0;
		}
		if (create)
			remove_file(m);
		leave_file(m);
	} else if (errno != ENOENT) {
		return -1;
	}
	forget_places(m);
	return create ? make_file(m, name) : -1;
}

/*
 * The bytes from at on; NULL: they are not in the file.  Spans of an older
 * mapping may still be in use: it stays until the view is closed.
 */
static const char *
cache_bytes(struct mailbox *m, uint64_t at, uint64_t len)
{
	struct cache_map *map = m->cache_maps.len > 0 ?
	    &m->cache_maps.v[m->cache_maps.len - 1] : NULL;
	struct cache_map more;
	struct stat st;

	if (at > INT64_MAX / 2)
		return NULL;
	if (map != NULL && at + len <= map->size)
		return map->p + at;
	if (fstat(m->cachefd, &st) < 0 || at + len > (uint64_t)st.st_size)
		return NULL;
	if (map != NULL && (uint64_t)st.st_size <= map->len) {
		map->size = (size_t)st.st_size;
		return map->p + at;
	}
	more.size = (size_t)st.st_size;
	more.len = more.size + more.size / 4 + MAP_MORE;
	more.looks = (struct looks){ NULL, 0 };
	more.p = mmap(NULL, more.len, PROT_READ, MAP_SHARED, m->cachefd, 0);
	if (more.p == MAP_FAILED)
		return NULL;
	*ARRAY_PUSH(&m->cache_maps) = more;
	return more.p + at;
}

void
mailbox_cache_fini(struct mailbox *m)
{
	for (size_t i = 0; i < m->cache_maps.len; i++) {
		struct cache_map *map = &m->cache_maps.v[i];

		if (map->p != NULL)
			(void)munmap((void *)(uintptr_t)map->p, map->len);
		looks_fini(&map->looks);
	}
	ARRAY_FINI(&m->cache_maps);
	fd_close(&m->cachefd);
	mem_free(m->checked);
	m->checked = NULL;
	m->nchecked = 0;
}

/* The record is in another place than what was looked at. */
static void
forget_checked(struct mailbox *m, uint32_t i)
{
	if (i < m->nchecked)
		m->checked[i / 2] &= (uint8_t)~(CHECKED_RECORDS << i % 2 * 4);
}

static void
note_entry(struct mailbox *m, struct record *r, uint64_t at, uint32_t len)
{
	if (m->nchecked > 0)
		forget_checked(m, record_find(m, r->uid));
	/* Somebody has made it anew: what lies in the segment is damaged. */
	if (r->cache_len != len)
		r->flags &= ~RECORD_BEHIND;
	r->cache_at = at;
	r->cache_len = len;
}

/* Note the records of a batch; false: it is damaged. */
static bool
note_batch(struct mailbox *m, uint64_t at, uint32_t len, uint32_t records)
{
	uint64_t end = at + len;

	at += CACHE_BATCH_HEAD;
	for (uint32_t i = 0; i < records; i++) {
		struct cache_entry e;
		struct record *r;

		if (end - at < CACHE_ENTRY_HEAD || !cache_entry_decode(
		    cache_bytes(m, at, CACHE_ENTRY_HEAD), &e) ||
		    cache_entry_step(&e) > end - at)
			return false;
		if ((r = record_by_uid(m, e.uid)) != NULL)
			note_entry(m, r, at + CACHE_ENTRY_HEAD, e.bytes);
		at += cache_entry_step(&e);
	}
	return true;
}

/* Note what is in the file behind cache_tail. */
void
mailbox_read_cache(struct mailbox *m)
{
	uint32_t len, records;
	const char *p;
	uint64_t at;

	if (open_cache(m, false) < 0)
		return;
	at = MAX(m->cache_tail, FILE_HEAD);
	while ((p = cache_bytes(m, at, CACHE_BATCH_HEAD)) != NULL &&
	    cache_batch_decode(p, &len, &records) &&
	    cache_bytes(m, at, len) != NULL &&
	    note_batch(m, at, len, records))
		at += len;
	m->cache_tail = at;
}

void
mailbox_note_cache(struct mailbox *m)
{
	if (!m->cache_later || m->gone)
		return;
	/* It may have to forget what any record says. */
	mailbox_settle(m);
	m->cache_later = false;
	mailbox_read_cache(m);
}

/* Append a batch.  0: its records are there and noted. */
static int
append_batch(struct mailbox *m, struct cache_batch *b)
{
	struct span bytes = cache_batch_end(b);
	struct stat st;
	int rc = -1;

	if (open_cache(m, true) < 0 || flock(m->cachefd, LOCK_EX) < 0)
		return -1;
	mailbox_read_cache(m);
	if (fstat(m->cachefd, &st) < 0 || st.st_nlink == 0) {
		/* Somebody has begun another one: the next time. */
		leave_file(m);
		return -1;
	} else if (m->cache_tail != (uint64_t)st.st_size) {
		/* Cut off, or damaged, in the middle. */
		remove_file(m);
		return -1;
	} else if (fd_pwrite_all(m->cachefd, bytes.p, bytes.len,
	    st.st_size) < 0) {
		remove_file(m);
		return -1;
	} else {
		mailbox_read_cache(m);
		rc = 0;
	}
	(void)flock(m->cachefd, LOCK_UN);
	return rc;
}

static void
write_cache(struct mailbox *m, uint32_t uid, struct span record)
{
	struct cache_batch b;

	cache_batch_init(&b);
	cache_batch_add(&b, uid, record);
	(void)append_batch(m, &b);
	cache_batch_fini(&b);
}

/* --- gathering -------------------------------------------------------------------- */

/* More of the file is of messages that have gone than of others. */
static bool
is_waste(const struct mailbox *m)
{
	uint64_t used = 0;

	if (m->cache_tail < WASTE_MIN)
		return false;
	for (uint32_t i = 0; i < record_count(m); i++) {
		const struct record *r = record_at(m, i);

		if (r->cache_at != 0 && !(r->flags & MESSAGE_EXPUNGED))
			used += CACHE_ENTRY_HEAD + packed_align(r->cache_len);
	}
	return m->cache_tail - used > MAX(used, WASTE_MIN);
}

struct gatherer {
	struct mailbox	*m;
	int		 fd;		/* of a segment, or -1 */
	uint32_t	 segment;
	struct buf	 record;
	struct cache_batch batch;
};

/* The record behind a message. */
static bool
read_behind(struct gatherer *g, const struct record *r)
{
	struct message_cache c;
	char name[PACKED_NAME_MAX];
	char *p;

	if (g->fd < 0 || g->segment != r->segment) {
		fd_close(&g->fd);
		packed_segment_name(r->segment, name);
		g->fd = packed_open_checked(g->m->p->dirfd, name, O_RDONLY);
		g->segment = r->segment;
	}
	if (g->fd < 0)
		return false;
	buf_reset(&g->record);
	p = buf_reserve(&g->record, r->cache_len);
	if (fd_pread_all(g->fd, p, r->cache_len, (off_t)packed_align(r->offset +
	    PACKED_MESSAGE_HEADER + r->len)) < 0)
		return false;
	buf_commit(&g->record, r->cache_len);
	return message_cache_whole(buf_span(&g->record), &c) == 0;
}

void
mailbox_gather_cache(struct mailbox *m)
{
	struct gatherer g = { .m = m, .fd = -1,
	    .record = BUF_INIT(BUF_UNLIMITED) };
	bool ok = true;

	if (is_waste(m)) {
		remove_file(m);
		forget_places(m);
	}
	cache_batch_init(&g.batch);
	/* Those that the index knows were gathered before it was written. */
	for (uint32_t i = m->cache_tail <= FILE_HEAD ? 0 : m->nbase;
	    ok && i < record_count(m); i++) {
		const struct record *r = record_at(m, i);

		if (!(r->flags & RECORD_BEHIND) || r->cache_at != 0 ||
		    r->flags & MESSAGE_EXPUNGED ||
		    r->cache_len > MESSAGE_CACHE_MAX ||
		    !read_behind(&g, r))
			continue;
		cache_batch_add(&g.batch, r->uid, buf_span(&g.record));
		if (cache_batch_len(&g.batch) < WRITE_STEP)
			continue;
		ok = append_batch(m, &g.batch) == 0;
		cache_batch_fini(&g.batch);
		cache_batch_init(&g.batch);
	}
	if (ok && g.batch.records > 0)
		(void)append_batch(m, &g.batch);
	fd_close(&g.fd);
	buf_fini(&g.record);
	cache_batch_fini(&g.batch);
}

/* --- reading ---------------------------------------------------------------------- */

/* Of the record behind a message, in one piece. */
static bool
find_behind(struct mailbox *m, const struct record *r,
    struct message_cache_bytes *out)
{
	struct why why = WHY_INIT;
	const char *p;

	if (!(r->flags & RECORD_BEHIND) || m->a == NULL)
		return false;
	p = account_map(m->a, r->segment, packed_align(r->offset +
	    PACKED_MESSAGE_HEADER + r->len), r->cache_len, &why);
	return p != NULL &&
	    message_cache_split(span_make(p, r->cache_len), out) == 0;
}

/* Of its entry in the cache file, as far as the part. */
static bool
find_entry(struct mailbox *m, const struct record *r,
    enum message_cache_part part, struct message_cache_bytes *out)
{
	struct cache_map *map;
	struct cache_entry e;
	const char *p;
	uint64_t at;

	if (r->cache_at < CACHE_ENTRY_HEAD || open_cache(m, false) < 0)
		return false;
	at = r->cache_at - CACHE_ENTRY_HEAD;
	if ((p = cache_bytes(m, at, CACHE_ENTRY_HEAD)) == NULL)
		return false;
	map = &m->cache_maps.v[m->cache_maps.len - 1];
	(void)looks_at(&map->looks, map->p, map->size, at);
	if (!cache_entry_decode(p, &e) || e.uid != r->uid ||
	    e.bytes != r->cache_len)
		return false;
	for (int i = 0; i <= (int)part; i++) {
		if (i > 0)
			(void)looks_at(&map->looks, map->p, map->size,
			    at + e.at[i]);
		if ((uint64_t)e.at[i] + e.len[i] > map->size - at)
			return false;
		out->part[i] = span_make(p + e.at[i], e.len[i]);
	}
	return true;
}

/* Where it should be, as far as the part; false: it is not there. */
static bool
find_cache(struct mailbox *m, uint32_t i, enum message_cache_part part,
    struct message_cache_bytes *out)
{
	const struct record *r = record_at(m, i);

	if (r->cache_len == 0 || r->cache_len > MESSAGE_CACHE_MAX)
		return false;
	if (r->cache_at != 0) {
		if (find_entry(m, r, part, out))
			return true;
		forget_checked(m, i);
	}
	return find_behind(m, r, out);
}

/*
 * Records are mostly read one after the other.  Their first parts lie so, too,
 * but of the others the next one is too far for the processor to see that.
 */
static void
prefetch_record(const struct mailbox *m, uint32_t i,
    enum message_cache_part part)
{
	const struct cache_map *map;
	const struct record *r;
	struct cache_entry e;
	const char *h;

	if (part == MESSAGE_CACHE_KEYS || i >= record_count(m) ||
	    m->cache_maps.len == 0)
		return;
	map = &m->cache_maps.v[m->cache_maps.len - 1];
	r = record_at(m, i);
	if (r->cache_at < CACHE_ENTRY_HEAD || r->cache_at > map->size)
		return;
	h = map->p + r->cache_at - CACHE_ENTRY_HEAD;
	cache_entry_guess(h, &e);
	for (int k = 1; k <= (int)part; k++) {
		uint32_t len = MIN(e.len[k], PREFETCH);

		if (e.at[k] + (uint64_t)len > map->size - r->cache_at)
			return;
		for (uint32_t b = 0; b < len; b += 64)
			__builtin_prefetch(h + e.at[k] + b);
	}
}

/* Make it of the message, for out and for later. */
static int
make_cache(struct mailbox *m, uint32_t i, struct mailbox_content *out,
    struct message_cache *c, struct why *why)
{
	struct record *r = record_at(m, i);
	struct mailbox_content bytes;
	struct content_hold *hold;
	struct buf b = BUF_INIT(BUF_UNLIMITED);

	if (mailbox_content(m, r->uid, &bytes, why) < 0) {
		mailbox_content_done(&bytes);
		return -1;
	}
	message_make_cache(bytes.bytes, &b, NULL);
	mailbox_content_done(&bytes);
	r = record_at(m, i);
	hold = mem_alloc(sizeof(*hold) + b.len);
	*hold = (struct content_hold){ NULL, 0, 0 };
	memcpy(hold + 1, b.data, b.len);
	out->bytes = span_make(hold + 1, b.len);
	out->hold = hold;
	if (message_cache_whole(out->bytes, c) < 0)
		log_panic("a cache record that was just made is damaged");
	if (r->size == 0)
		r->size = c->crlf_size;
	if (m->p->writable)
		write_cache(m, r->uid, out->bytes);
	buf_fini(&b);
	return 0;
}

/* As far as the part at least: more, where that was looked at before. */
static int
get_parts(struct mailbox *m, uint32_t i, enum message_cache_part part,
    struct message_cache *c)
{
	struct message_cache_bytes bytes;
	enum message_cache_part p = MESSAGE_CACHE_ALL;

	while (p > part && !mailbox_was_checked(m, i, CHECKED_RECORD << p))
		p--;
	if (!find_cache(m, i, p, &bytes))
		return -1;
	if (mailbox_was_checked(m, i, CHECKED_RECORD << p))
		return message_cache_again(&bytes, p, c);
	if (message_cache_decode(&bytes, p, c) < 0)
		return -1;
	mailbox_set_checked(m, i, CHECKED_RECORD << p);
	return 0;
}

int
mailbox_cache(struct mailbox *m, uint32_t uid, enum message_cache_part part,
    struct mailbox_content *out, struct message_cache *c, struct why *why)
{
	struct record *r;
	uint32_t i;

	*out = (struct mailbox_content){ .hold = NULL };
	mailbox_note_cache(m);
	i = record_find(m, uid);
	if (i >= record_count(m) || (r = record_at(m, i))->uid != uid ||
	    r->flags & RECORD_OFFERED)
		return account_say(m->a, ACCOUNT_EXPUNGED, why, "no message "
		    "with UID %u", (unsigned)uid);
	prefetch_record(m, i + AHEAD, part);
	return get_parts(m, i, part, c) == 0 ? 0 :
	    make_cache(m, i, out, c, why);
}
