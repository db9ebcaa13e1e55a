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
 *	"MNSOCCH2", u64 generation of the journal, u64 its own number, u64 0
 * then, each at a multiple of 8,
 *	u32 "CCHE", u32 UID, u32 bytes, u32 CRC of what is before, record
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
#include "mail/message_cache.h"
#include "store/mailbox_internal.h"

#define ENTRY_MAGIC	0x45484343u	/* "CCHE" */
#define ENTRY_HEAD	16
#define FILE_MAGIC	"MNSOCCH2"
#define FILE_HEAD	32
#define MAP_MORE	(1u << 20)	/* bytes mapped ahead of the file */
#define WRITE_STEP	(512u << 10)	/* bytes gathered for one write */
#define AHEAD		3u		/* records: memory takes so long */
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

/* An entry's head that is right: its UID and length. */
static bool
entry_head(const char *h, uint32_t *uid, uint32_t *len)
{
	*uid = num_get_le32(h + 4);
	*len = num_get_le32(h + 8);
	return num_get_le32(h) == ENTRY_MAGIC && *len <= MESSAGE_CACHE_MAX &&
	    num_get_le32(h + 12) == crc32c(0, h, 12);
}

static void
note_entry(struct mailbox *m, struct record *r, uint64_t at, uint32_t len)
{
	uint32_t i;

	/* Other bytes than those that were looked at. */
	if (m->nchecked > 0 && (i = record_find(m, r->uid)) < m->nchecked)
		m->checked[i / 2] &= (uint8_t)~(CHECKED_RECORDS << i % 2 * 4);
	/* Somebody has made it anew: what lies in the segment is damaged. */
	if (r->cache_len != len)
		r->flags &= ~RECORD_BEHIND;
	r->cache_at = at;
	r->cache_len = len;
}

/* Note what is in the file behind cache_tail. */
void
mailbox_read_cache(struct mailbox *m)
{
	const char *p;
	uint64_t at;

	if (open_cache(m, false) < 0)
		return;
	at = MAX(m->cache_tail, FILE_HEAD);
	while ((p = cache_bytes(m, at, ENTRY_HEAD)) != NULL) {
		uint32_t uid, len;
		struct record *r;

		if (!entry_head(p, &uid, &len) ||
		    cache_bytes(m, at + ENTRY_HEAD, len) == NULL)
			break;
		if ((r = record_by_uid(m, uid)) != NULL)
			note_entry(m, r, at + ENTRY_HEAD, len);
		at += ENTRY_HEAD + packed_align(len);
	}
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

static void
put_entry(struct buf *b, uint32_t uid, struct span record)
{
	static const char zeros[8];
	uint8_t h[ENTRY_HEAD];

	num_put_le32(h, ENTRY_MAGIC);
	num_put_le32(h + 4, uid);
	num_put_le32(h + 8, (uint32_t)record.len);
	num_put_le32(h + 12, crc32c(0, h, 12));
	buf_add(b, h, sizeof(h));
	buf_add_span(b, record);
	buf_add(b, zeros, (8 - record.len % 8) % 8);
}

/* Append entries.  0: they are there and noted. */
static int
append_entries(struct mailbox *m, struct span entries)
{
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
	} else if (fd_pwrite_all(m->cachefd, entries.p, entries.len,
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
write_cache(struct mailbox *m, const struct record *r, struct span record)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);

	put_entry(&b, r->uid, record);
	(void)append_entries(m, buf_span(&b));
	buf_fini(&b);
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
			used += ENTRY_HEAD + packed_align(r->cache_len);
	}
	return m->cache_tail - used > MAX(used, WASTE_MIN);
}

struct gatherer {
	struct mailbox	*m;
	int		 fd;		/* of a segment, or -1 */
	uint32_t	 segment;
	struct buf	 record, entries;
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
	return message_cache_decode(buf_span(&g->record), MESSAGE_CACHE_ALL,
	    &c) == 0;
}

void
mailbox_gather_cache(struct mailbox *m)
{
	struct gatherer g = { .m = m, .fd = -1,
	    .record = BUF_INIT(BUF_UNLIMITED),
	    .entries = BUF_INIT(BUF_UNLIMITED) };
	bool ok = true;

	if (is_waste(m)) {
		remove_file(m);
		forget_places(m);
	}
	/* Those that the index knows were gathered before it was written. */
	for (uint32_t i = m->cache_tail <= FILE_HEAD ? 0 : m->nbase;
	    ok && i < record_count(m); i++) {
		const struct record *r = record_at(m, i);

		if (!(r->flags & RECORD_BEHIND) || r->cache_at != 0 ||
		    r->flags & MESSAGE_EXPUNGED ||
		    r->cache_len > MESSAGE_CACHE_MAX || !read_behind(&g, r))
			continue;
		put_entry(&g.entries, r->uid, buf_span(&g.record));
		if (g.entries.len >= WRITE_STEP) {
			ok = append_entries(m, buf_span(&g.entries)) == 0;
			buf_reset(&g.entries);
		}
	}
	if (ok && g.entries.len > 0)
		(void)append_entries(m, buf_span(&g.entries));
	fd_close(&g.fd);
	buf_fini(&g.record);
	buf_fini(&g.entries);
}

/* --- reading ---------------------------------------------------------------------- */

static struct span
find_behind(struct mailbox *m, const struct record *r)
{
	struct why why = WHY_INIT;
	const char *p;

	if (!(r->flags & RECORD_BEHIND) || m->a == NULL)
		return SPAN_EMPTY;
	p = account_map(m->a, r->segment, packed_align(r->offset +
	    PACKED_MESSAGE_HEADER + r->len), r->cache_len, &why);
	return p != NULL ? span_make(p, r->cache_len) : SPAN_EMPTY;
}

/* Its entry in the cache file. */
static const char *
find_entry(struct mailbox *m, const struct record *r)
{
	struct cache_map *map;
	const char *p;

	if (r->cache_at < ENTRY_HEAD || open_cache(m, false) < 0 ||
	    (p = cache_bytes(m, r->cache_at - ENTRY_HEAD,
	    ENTRY_HEAD + (uint64_t)r->cache_len)) == NULL)
		return NULL;
	map = &m->cache_maps.v[m->cache_maps.len - 1];
	(void)looks_at(&map->looks, map->p, map->size, r->cache_at);
	return num_get_le32(p) == ENTRY_MAGIC &&
	    num_get_le32(p + 4) == r->uid &&
	    num_get_le32(p + 8) == r->cache_len ? p : NULL;
}

/* Where it should be; p NULL: it is not there. */
static struct span
find_cache(struct mailbox *m, const struct record *r)
{
	const char *p;

	if (r->cache_len == 0 || r->cache_len > MESSAGE_CACHE_MAX)
		return SPAN_EMPTY;
	return (p = find_entry(m, r)) != NULL ?
	    span_make(p + ENTRY_HEAD, r->cache_len) : find_behind(m, r);
}

/*
 * Records are mostly read one after the other, and are too far apart for the
 * processor to see that.
 */
static void
prefetch_record(const struct mailbox *m, uint32_t i,
    enum message_cache_part part)
{
	/* Bytes, mostly; more than this is a long stretch. */
	static const uint32_t some[] = {
		[MESSAGE_CACHE_KEYS] = 256, [MESSAGE_CACHE_SEARCH] = 896,
		[MESSAGE_CACHE_ALL] = 896,
	};
	const struct cache_map *map;
	const struct record *r;

	if (i >= record_count(m) || m->cache_maps.len == 0)
		return;
	map = &m->cache_maps.v[m->cache_maps.len - 1];
	r = record_at(m, i);
	if (r->cache_at == 0 || r->cache_at > map->size ||
	    r->cache_len > map->size - r->cache_at)
		return;
	for (size_t at = 0; at < MIN(r->cache_len, some[part]); at += 64)
		__builtin_prefetch(map->p + r->cache_at + at);
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
	if (message_cache_decode(out->bytes, MESSAGE_CACHE_ALL, c) < 0)
		log_panic("a cache record that was just made is damaged");
	if (r->size == 0)
		r->size = c->crlf_size;
	if (m->p->writable)
		write_cache(m, r, out->bytes);
	buf_fini(&b);
	return 0;
}

static int
take_apart(struct mailbox *m, uint32_t i, struct span in,
    enum message_cache_part part, struct message_cache *c)
{
	for (int p = MESSAGE_CACHE_ALL; p >= (int)part; p--)
		if (mailbox_was_checked(m, i, CHECKED_RECORD << p))
			return message_cache_again(in,
			    (enum message_cache_part)p, c);
	if (message_cache_decode(in, part, c) < 0)
		return -1;
	mailbox_set_checked(m, i, CHECKED_RECORD << part);
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
	out->bytes = find_cache(m, r);
	prefetch_record(m, i + AHEAD, part);
	if (out->bytes.p != NULL) {
		if (take_apart(m, i, out->bytes, part, c) == 0)
			return 0;
		out->bytes = SPAN_EMPTY;
	}
	return make_cache(m, i, out, c, why);
}
