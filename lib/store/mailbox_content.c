/* SPDX-License-Identifier: ISC */
/*
 * mailbox_content - the bytes of messages, and what is kept of them.
 *
 * A message's bytes are mapped and compared with their checksum once in each
 * view.  Its cache record lies behind it in the segment, or, where nobody made
 * one at delivery, in the cache file <box>.cch, which grows at its end only
 * and can be deleted at any time:
 *	u32 "CCHE", u32 UID, u32 bytes, u32 CRC of what is before, record,
 *	zeros up to a multiple of 8
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
#include "io/fault.h"
#include "io/fd.h"
#include "mail/message_cache.h"
#include "mail/signature.h"
#include "store/mailbox_internal.h"

#define ENTRY_MAGIC	0x45484343u	/* "CCHE" */
#define ENTRY_HEAD	16
/* "MNSOCCH1", u64 generation of the journal. */
#define FILE_MAGIC	"MNSOCCH1"
#define FILE_HEAD	16

/* --- the bytes ---------------------------------------------------------------- */

/* Which checksums of a message were right when they were looked at: two bits
 * each. */
enum { CHECKED_BYTES = 1 << 0, CHECKED_RECORD = 1 << 1 };

static bool
was_checked(struct mailbox *m, uint32_t i, unsigned what)
{
	uint32_t n = record_count(m);

	if (m->nchecked < n) {
		uint32_t grown = (n + n / 4 + 64) & ~3u;

		m->checked = mem_realloc_array(m->checked, grown / 4, 1);
		memset(m->checked + m->nchecked / 4, 0,
		    (grown - m->nchecked) / 4);
		m->nchecked = grown;
	}
	return m->checked[i / 4] & what << i % 4 * 2;
}

static void
set_checked(struct mailbox *m, uint32_t i, unsigned what)
{
	m->checked[i / 4] |= (uint8_t)(what << i % 4 * 2);
}

static int
map_message(struct mailbox *m, uint32_t i, struct mailbox_content *out,
    struct why *why)
{
	const struct record *r = record_at(m, i);
	const char *p;

	p = account_map(m->a, r->segment, r->offset + PACKED_MESSAGE_HEADER,
	    r->len, why);
	if (p == NULL)
		return -1;
	out->bytes = span_make(p, (size_t)r->len);
	if (was_checked(m, i, CHECKED_BYTES))
		return 0;
	if (crc32c(0, p, (size_t)r->len) != r->crc) {
		log_error("%s: message %u is damaged: its checksum is wrong",
		    m->p->path, (unsigned)r->uid);
		return account_say(m->a, ACCOUNT_CORRUPT, why, "message %u is "
		    "damaged", (unsigned)r->uid);
	}
	set_checked(m, i, CHECKED_BYTES);
	return 0;
}

int
mailbox_content(struct mailbox *m, uint32_t uid, struct mailbox_content *out,
    struct why *why)
{
	uint32_t i = record_find(m, uid);

	*out = (struct mailbox_content){ .hold = NULL };
	if (i >= record_count(m) || record_at(m, i)->uid != uid)
		return account_say(m->a, ACCOUNT_EXPUNGED, why, "no message "
		    "with UID %u", (unsigned)uid);
	if (m->md != NULL)
		return maildir_view_content(m, record_at(m, i), out, why);
	if (map_message(m, i, out, why) == 0)
		return 0;
	if (out->bytes.p == NULL) {
		/* A compaction gave it another place: read where. */
		uint32_t segment = record_at(m, i)->segment;
		uint64_t offset = record_at(m, i)->offset;

		if (packed_catch_up(m->p, NULL) > 0 && (segment !=
		    record_at(m, i)->segment || offset !=
		    record_at(m, i)->offset))
			return map_message(m, i, out, why);
	}
	return -1;
}

void
content_hold_free(struct content_hold *h)
{
	if (h != NULL && h->map != NULL)
		(void)munmap(h->map, h->len);
	mem_free(h);
}

void
mailbox_content_done(struct mailbox_content *c)
{
	content_hold_free(c->hold);
	*c = (struct mailbox_content){ .hold = NULL };
}

/* How the bytes of r end, and, where that is not known, their CRLF form. */
static void
learn_lines(struct mailbox *m, struct record *r)
{
	struct line_count lines = LINE_COUNT_INIT;
	struct mailbox_content c;
	struct why why = WHY_INIT;
	const char *last = NULL;

	if (r->size != 0 && m->md == NULL)
		last = account_map(m->a, r->segment, r->offset +
		    PACKED_MESSAGE_HEADER + r->len - 1, 1, &why);
	if (last != NULL) {
		lines.last = *last;
	} else if (mailbox_content(m, r->uid, &c, &why) == 0) {
		line_count_add(&lines, c.bytes);
		r->size = c.bytes.len + lines.bare;
		mailbox_content_done(&c);
	} else {
		mailbox_content_done(&c);
		return;
	}
	r->flags |= line_count_how(&lines) == PACKED_OPEN ? RECORD_OPEN :
	    RECORD_ENDED;
	m->work++;
}

uint64_t
mailbox_lines_size(struct mailbox *m, uint32_t seq)
{
	struct record *r;
	uint64_t size;

	if (seq == 0 || seq > m->count)
		return 0;
	r = record_at(m, record_of_seq(m, seq));
	if (r->len > 0 && (r->size == 0 || record_how(r) == 0))
		learn_lines(m, r);
	size = r->size != 0 ? r->size : r->len;
	return r->flags & RECORD_OPEN ? size + 2 : size;
}

/* --- the cache file --------------------------------------------------------------- */

static void
cache_name(const struct mailbox *m, char out[PACKED_NAME_MAX])
{
	if (m->p->alone)
		snprintf(out, PACKED_NAME_MAX, "mansio.cch");
	else
		packed_name(m->box, "cch", out);
}

/* Open it; a file that is not of this journal is begun anew. */
static int
open_cache(struct mailbox *m, bool create)
{
	char name[PACKED_NAME_MAX], head[FILE_HEAD] = FILE_MAGIC, got[16];
	struct stat st;

	if (m->cachefd >= 0)
		return 0;
	cache_name(m, name);
	num_put_le64(head + 8, m->p->head.generation);
	m->cachefd = packed_open_checked(m->p->dirfd, name, O_RDWR);
	if (m->cachefd < 0 && errno == ENOENT && create)
		m->cachefd = fault_openat(m->p->dirfd, name, O_RDWR | O_CREAT |
		    O_NOFOLLOW | O_CLOEXEC, 0600);
	if (m->cachefd < 0)
		return -1;
	if (fstat(m->cachefd, &st) == 0 && st.st_size >= FILE_HEAD &&
	    fd_pread_all(m->cachefd, got, sizeof(got), 0) == 0 &&
	    memcmp(got, head, sizeof(head)) == 0)
		return 0;
	if (create && flock(m->cachefd, LOCK_EX) == 0) {
		bool ok = fault_ftruncate(m->cachefd, 0) == 0 &&
		    fd_pwrite_all(m->cachefd, head, sizeof(head), 0) == 0;

		(void)flock(m->cachefd, LOCK_UN);
		if (ok) {
			m->cache_tail = FILE_HEAD;
			return 0;
		}
	}
	fd_close(&m->cachefd);
	return -1;
}

/* An entry's head that is right: its UID and length. */
static bool
entry_head(const char h[ENTRY_HEAD], uint32_t *uid, uint32_t *len)
{
	*uid = num_get_le32(h + 4);
	*len = num_get_le32(h + 8);
	return num_get_le32(h) == ENTRY_MAGIC && *len <= MESSAGE_CACHE_MAX &&
	    num_get_le32(h + 12) == crc32c(0, h, 12);
}

/* Note what is in the cache file behind cache_tail. */
void
mailbox_read_cache(struct mailbox *m)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	struct stat st;
	uint64_t at;

	if (open_cache(m, false) < 0 || fstat(m->cachefd, &st) < 0)
		return;
	at = MAX(m->cache_tail, FILE_HEAD);
	while (at + ENTRY_HEAD <= (uint64_t)st.st_size) {
		char h[ENTRY_HEAD];
		uint32_t uid, len;
		struct record *r;

		if (fd_pread_all(m->cachefd, h, sizeof(h), (off_t)at) < 0 ||
		    !entry_head(h, &uid, &len) ||
		    at + ENTRY_HEAD + len > (uint64_t)st.st_size)
			break;
		r = record_by_uid(m, uid);
		if (r != NULL) {
			r->cache_at = at + ENTRY_HEAD;
			r->cache_len = len;
		}
		at += ENTRY_HEAD + packed_align(len);
	}
	m->cache_tail = at;
	buf_fini(&b);
}

static void
write_cache(struct mailbox *m, struct record *r, struct span record)
{
	static const char zeros[8];
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	uint8_t h[ENTRY_HEAD];
	struct stat st;

	if (open_cache(m, true) < 0)
		return;
	num_put_le32(h, ENTRY_MAGIC);
	num_put_le32(h + 4, r->uid);
	num_put_le32(h + 8, (uint32_t)record.len);
	num_put_le32(h + 12, crc32c(0, h, 12));
	buf_add(&b, h, sizeof(h));
	buf_add_span(&b, record);
	buf_add(&b, zeros, (8 - record.len % 8) % 8);
	if (flock(m->cachefd, LOCK_EX) == 0) {
		if (fstat(m->cachefd, &st) == 0) {
			uint64_t at = packed_align((uint64_t)st.st_size);

			if (fd_pwrite_all(m->cachefd, b.data, b.len,
			    (off_t)at) == 0) {
				r->cache_at = at + ENTRY_HEAD;
				r->cache_len = (uint32_t)record.len;
				if (m->cache_tail == at)
					m->cache_tail = at + b.len;
			} else {
				(void)fault_ftruncate(m->cachefd, st.st_size);
			}
		}
		(void)flock(m->cachefd, LOCK_UN);
	}
	buf_fini(&b);
}

/* Where it should be.  out->bytes.p stays NULL when it is not there. */
static void
find_cache(struct mailbox *m, const struct record *r,
    struct mailbox_content *out)
{
	struct why why = WHY_INIT;
	const char *p;
	struct content_hold *copy;

	if (r->cache_len == 0 || r->cache_len > MESSAGE_CACHE_MAX)
		return;
	if (r->cache_at == 0) {
		p = account_map(m->a, r->segment, packed_align(r->offset +
		    PACKED_MESSAGE_HEADER + r->len), r->cache_len, &why);
		if (p != NULL)
			out->bytes = span_make(p, r->cache_len);
		return;
	}
	if (open_cache(m, false) < 0)
		return;
	copy = mem_alloc(sizeof(*copy) + r->cache_len);
	*copy = (struct content_hold){ NULL, 0 };
	if (fd_pread_all(m->cachefd, copy + 1, r->cache_len,
	    (off_t)r->cache_at) < 0) {
		mem_free(copy);
		return;
	}
	out->hold = copy;
	out->bytes = span_make(copy + 1, r->cache_len);
}

static int
get_cache(struct mailbox *m, uint32_t uid, struct mailbox_content *out,
    struct message_cache *c, bool trusted, struct why *why)
{
	struct mailbox_content bytes;
	struct content_hold *hold;
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	uint32_t i = record_find(m, uid);
	struct record *r;

	*out = (struct mailbox_content){ .hold = NULL };
	if (i >= record_count(m) || (r = record_at(m, i))->uid != uid ||
	    r->flags & RECORD_OFFERED)
		return account_say(m->a, ACCOUNT_EXPUNGED, why, "no message "
		    "with UID %u", (unsigned)uid);
	find_cache(m, r, out);
	if (out->bytes.p != NULL) {
		bool again = trusted || was_checked(m, i, CHECKED_RECORD);

		if ((again ? message_cache_again(out->bytes, c) :
		    message_cache_decode(out->bytes, c)) == 0) {
			if (!again)
				set_checked(m, i, CHECKED_RECORD);
			return 0;
		}
	}
	mailbox_content_done(out);
	if (mailbox_content(m, uid, &bytes, why) < 0) {
		mailbox_content_done(&bytes);
		return -1;
	}
	message_make_cache(bytes.bytes, &b);
	mailbox_content_done(&bytes);
	if (message_cache_decode(buf_span(&b), c) < 0)
		log_panic("a cache record that was just made is damaged");
	if (r->size == 0)
		r->size = c->crlf_size;
	if (m->p->writable)
		write_cache(m, r, buf_span(&b));
	hold = mem_alloc(sizeof(*hold) + b.len);
	*hold = (struct content_hold){ NULL, 0 };
	memcpy(hold + 1, b.data, b.len);
	out->bytes = span_make(hold + 1, b.len);
	out->hold = hold;
	buf_fini(&b);
	return message_cache_decode(out->bytes, c);
}

int
mailbox_cache(struct mailbox *m, uint32_t uid, struct mailbox_content *out,
    struct message_cache *c, struct why *why)
{
	return get_cache(m, uid, out, c, false, why);
}

int
mailbox_cache_keys(struct mailbox *m, uint32_t uid,
    struct mailbox_content *out, struct message_cache *c, struct why *why)
{
	return get_cache(m, uid, out, c, true, why);
}

int
mailbox_threadid(struct mailbox *m, uint32_t uid, uint8_t out[16],
    struct why *why)
{
	struct mailbox_content rec;
	struct message_cache c;
	uint64_t root;

	if (mailbox_cache(m, uid, &rec, &c, why) < 0)
		return -1;
	/*
	 * The oldest message that it names: the start of the thread, as far as
	 * this message knows.  It depends on nothing else, so it never
	 * changes.  (RFC 8474 4.4)
	 */
	root = c.nrefs > 0 ? message_cache_ref(&c, 0) : c.msgid;
	mailbox_content_done(&rec);
	if (root == 0)
		return 0;
	num_put_le64(out, root);
	num_put_le64(out + 8, root * 0x9e3779b97f4a7c15u);
	return 1;
}

bool
mailbox_maybe(struct mailbox *m, uint32_t uid,
    const struct signature_query *q)
{
	struct mailbox_content rec;
	struct message_cache c;
	bool maybe = true;

	if (q->n == 0 || mailbox_cache(m, uid, &rec, &c, NULL) < 0)
		return true;
	if (c.signature.len == SIGNATURE_SIZE)
		maybe = signature_may_contain(
		    (const uint8_t *)c.signature.p, q);
	mailbox_content_done(&rec);
	return maybe;
}
