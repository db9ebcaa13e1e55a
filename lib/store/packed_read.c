/* SPDX-License-Identifier: ISC */
/*
 * packed_read - a packed INBOX as a plain list (store_box): for tests and
 * tools that want to see what deliveries left.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "base/num.h"
#include "io/fd.h"
#include "store/compress.h"
#include "store/packed_file.h"
#include "store/store_internal.h"

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

/* Flags of, or the expunge of, all UIDs in a set. */
static void
each_uid(struct store_box *b, struct span set, uint32_t flags,
    const struct packed_record *r)
{
	for (; set.len >= 8; set = span_from(set, 8)) {
		uint32_t first = num_get_le32(set.p);
		uint32_t last = num_get_le32(set.p + 4);

		for (size_t i = 0; i < b->items.len; i++) {
			struct box_item *it = &b->items.v[i];

			if (it->item.uid < first || it->item.uid > last)
				continue;
			if (r->type == PACKED_EXPUNGE_SET)
				it->segment = 0;
			it->item.flags = flags;
			it->item.modseq = r->modseq;
		}
	}
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
			.date_us = a.date_us, .size = a.how & PACKED_ZSTD ?
			    a.size : a.len,
		};
		it->segment = a.segment;
		it->offset = a.offset;
		it->len = a.len;
		it->crc = a.crc;
		it->zstd = a.how & PACKED_ZSTD;
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
	} else if (r->type == PACKED_FLAGS_SET && r->payload.len >= 8) {
		each_uid(b, span_from(r->payload, 8), num_get_le32(p), r);
	} else if (r->type == PACKED_EXPUNGE_SET && r->payload.len >= 24) {
		each_uid(b, span_from(r->payload, 24), 0, r);
	} else if (r->type == PACKED_MOVED) {
		for (size_t i = 0; i + 16 <= r->payload.len; i += 16) {
			it = find_uid(b, num_get_le32(p + i));
			if (it != NULL && it->segment != 0) {
				it->segment = num_get_le32(p + i + 4);
				it->offset = num_get_le64(p + i + 8);
			}
		}
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

	p = packed_open(b->dirfd, b->path, PACKED_INBOX_BOX, &none, 0,
	    0, why);
	if (p == NULL)
		return -1;
	b->uidvalidity = p->head.uidvalidity;
	b->uidnext = 1;
	if (fstat(p->jfd, &st) < 0 || packed_scan_file(p->jfd, PACKED_START,
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

/* The last n bytes of out are compressed. */
static int
undo(struct buf *out, size_t n, struct why *why)
{
	size_t begin = out->len - n;
	struct buf raw = BUF_INIT(BUF_UNLIMITED);
	int64_t len = compress_undone_len(span_from(buf_span(out), begin));
	char *p = len < 0 ? NULL : buf_reserve(&raw, (size_t)len);
	int rc = -1;

	if (p == NULL || compress_undo(span_from(buf_span(out), begin), p,
	    (size_t)len) < 0) {
		(void)why_set(why, "4.3.0", "a message cannot be "
		    "decompressed");
	} else {
		buf_commit(&raw, (size_t)len);
		out->len = begin;
		rc = buf_put(out, raw.data, raw.len) < 0 ? why_set(why,
		    "5.2.3", "a message is too large") : 0;
	}
	buf_fini(&raw);
	return rc;
}

int
packed_box_read(struct store_box *b, const struct box_item *it,
    struct buf *out, struct why *why)
{
	char name[PACKED_NAME_MAX], *q;
	int fd, rc;

	packed_segment_name(it->segment, name);
	if ((fd = packed_open_checked(b->dirfd, name, O_RDONLY)) < 0)
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
		rc = it->zstd ? undo(out, (size_t)it->len, why) : 0;
	}
	close(fd);
	return rc;
}
