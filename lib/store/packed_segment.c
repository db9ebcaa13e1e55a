/* SPDX-License-Identifier: ISC */
/*
 * packed_segment - the files that hold message bytes.
 *
 * A segment is appended to by one mailbox only, under that mailbox's lock;
 * the messages of others may lie in it, too, as copies that share the bytes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "io/fault.h"
#include "io/fd.h"
#include "mail/message_cache.h"
#include "store/compress.h"
#include "store/packed_file.h"
#include "store/store_internal.h"

#define READ_STEP	(1u << 20)

void
packed_segment_name(uint32_t no, char out[PACKED_NAME_MAX])
{
	packed_name(no, "seg", out);
}

void
packed_segment_close(struct packed *p)
{
	if (p->segfd >= 0 && p->keep && p->sdirty) {
		*ARRAY_PUSH(&p->unsynced) = p->segfd;
		p->segfd = -1;
	}
	p->sdirty = false;
	p->sturn = 0;
	fd_close(&p->segfd);
}

int
packed_segment_open(struct packed *p, uint32_t no)
{
	char name[PACKED_NAME_MAX];

	if (p->segfd >= 0 && p->segno == no)
		return 0;
	packed_segment_close(p);
	packed_segment_name(no, name);
	p->segfd = packed_open_checked(p->dirfd, name, O_RDWR);
	p->segno = no;
	return p->segfd < 0 ? -1 : 0;
}

int
packed_segment_choose(struct packed *p, uint64_t need, struct why *why)
{
	struct packed_state *st = &p->head.state;
	char name[PACKED_NAME_MAX];

	if (st->segment > 0 && (st->segment_tail == 0 ||
	    st->segment_tail + need <= PACKED_SEGMENT_MAX)) {
		if (packed_segment_open(p, st->segment) == 0)
			return 0;
		if (errno != ENOENT)
			return store_fail(why, "cannot open a segment of",
			    p->path);
	}
	for (uint32_t no = st->segment + 1; no < UINT32_MAX; no++) {
		int fd;

		packed_segment_name(no, name);
		fd = fault_openat(p->dirfd, name, O_RDWR | O_CREAT | O_EXCL |
		    O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd < 0 && errno == EEXIST)
			continue;
		if (fd < 0)
			return store_fail(why, "cannot make a segment of",
			    p->path);
		packed_segment_close(p);
		p->segfd = fd;
		p->segno = no;
		p->ddirty = true;
		st->segment = no;
		st->segment_tail = 0;
		return 0;
	}
	return why_set(why, "4.3.0", "%s has no segment number left", p->path);
}

/*
 * A small message is one write; of a large one the header, which makes it
 * found, comes last.
 */
int
packed_segment_write(struct packed *p, struct packed_source *src,
    struct packed_message *pm, uint64_t offset, struct line_count *lines,
    struct why *why)
{
	static const char zeros[8];
	uint8_t h[PACKED_MESSAGE_HEADER];
	uint64_t clen = src->content != NULL ? src->content->len : 0;
	uint64_t done = 0, at = offset + sizeof(h);
	struct span piece = SPAN_EMPTY, cache = src->cache;
	uint32_t crc;

	pm->len = src->head.len + clen;
	crc = crc32c(0, src->head.p, src->head.len);
	*lines = src->lines != NULL ? *src->lines :
	    (struct line_count)LINE_COUNT_INIT;
	if (src->lines == NULL)
		line_count_add(lines, src->head);
	if (clen > 0 && store_content_read(src->content, 0, &piece, why) < 0)
		return -1;
	/* From where the cache record goes, what is before it is zeros. */
	uint64_t end = offset + sizeof(h) + pm->len;
	size_t pad = (size_t)(packed_align(end) - end);
	if (piece.len == clen) {
		struct iovec iov[5] = {
			{ h, sizeof(h) },
			{ (void *)(uintptr_t)src->head.p, src->head.len },
			{ (void *)(uintptr_t)piece.p, piece.len },
			{ (void *)(uintptr_t)zeros, pad },
			{ (void *)(uintptr_t)cache.p, cache.len },
		};

		pm->crc = crc32c(crc, piece.p, piece.len);
		if (src->lines == NULL)
			line_count_add(lines, piece);
		packed_message_encode(pm, h);
		if ((pm->len < STORE_OUT_MIN ? fd_pwritev_all :
		    fd_pwritev_out)(p->segfd, iov, cache.len > 0 ? 5 : 3,
		    (off_t)offset) < 0)
			return store_fail(why, "cannot write to", p->path);
		p->sdirty = true;
		return 0;
	}
	if (fd_pwrite_all(p->segfd, src->head.p, src->head.len,
	    (off_t)at) < 0)
		return store_fail(why, "cannot write to", p->path);
	at += src->head.len;
	while (done < clen) {
		if (store_content_read(src->content, done, &piece, why) < 0)
			return -1;
		struct iovec iov = { (void *)(uintptr_t)piece.p, piece.len };

		if (fd_pwritev_out(p->segfd, &iov, 1, (off_t)at) < 0)
			return store_fail(why, "cannot write to", p->path);
		crc = crc32c(crc, piece.p, piece.len);
		if (src->lines == NULL)
			line_count_add(lines, piece);
		at += piece.len;
		done += piece.len;
	}
	pm->crc = crc;
	packed_message_encode(pm, h);
	if ((cache.len > 0 && fd_pwrite_all(p->segfd, cache.p, cache.len,
	    (off_t)packed_align(end)) < 0) ||
	    fd_pwrite_all(p->segfd, h, sizeof(h), (off_t)offset) < 0)
		return store_fail(why, "cannot write to", p->path);
	p->sdirty = true;
	return 0;
}

bool
packed_compress(struct packed_source *src, int level, struct buf *out,
    struct line_count *lines, uint64_t *len)
{
	uint64_t clen = src->content != NULL ? src->content->len : 0, at = 0;
	struct line_count n = LINE_COUNT_INIT;
	struct compressor *c;
	struct span piece;
	bool ok;

	buf_reset(out);
	c = compress_begin(level, src->head.len + clen, out);
	if (c == NULL)
		return false;
	ok = compress_piece(c, src->head);
	line_count_add(&n, src->head);
	for (; ok && at < clen; at += piece.len) {
		ok = store_content_read(src->content, at, &piece, NULL) == 0 &&
		    compress_piece(c, piece);
		if (ok)
			line_count_add(&n, piece);
	}
	ok = ok && compress_end(c);
	compress_free(&c);
	if (!ok)
		return false;
	*lines = n;
	*len = src->head.len + clen;
	src->head = buf_span(out);
	src->content = NULL;
	return true;
}

void
message_make_cache(struct span bytes, struct buf *out,
    struct line_count *lines)
{
	struct message m;

	message_parse(&m, bytes);
	message_cache_encode(&m, out);
	if (lines != NULL)
		*lines = (struct line_count){
			.bare = m.crlf_size - bytes.len,
			.last = bytes.len > 0 ? bytes.p[bytes.len - 1] : '\n',
		};
	message_fini(&m);
}

void
packed_segment_undo(struct packed *p)
{
	const struct packed_state *st = &p->head.state;

	/* Gives back space on a full disk; the bytes are nobody's anyway. */
	if (p->segfd >= 0 && p->segno == st->segment &&
	    st->segment_tail <= PACKED_SEGMENT_MAX)
		(void)fault_ftruncate(p->segfd, (off_t)st->segment_tail);
}

int
packed_check_bytes(int fd, uint64_t at, uint64_t len, uint32_t want)
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
