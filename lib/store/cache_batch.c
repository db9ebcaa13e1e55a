/* SPDX-License-Identifier: ISC */
/*
 * cache_batch - see cache_batch.h.
 */
#include "base/crc32c.h"
#include "base/num.h"
#include "store/cache_batch.h"
#include "store/packed_file.h"

#define BATCH_MAGIC	0x42484343u	/* "CCHB" */
#define ENTRY_MAGIC	0x45484343u	/* "CCHE" */

/* --- writing ------------------------------------------------------------------------ */

void
cache_batch_init(struct cache_batch *b)
{
	static const char head[CACHE_BATCH_HEAD];

	for (int i = 0; i < MESSAGE_CACHE_PARTS; i++)
		b->part[i] = BUF_INIT(BUF_UNLIMITED);
	buf_add(&b->part[0], head, sizeof(head));
	b->records = 0;
}

void
cache_batch_fini(struct cache_batch *b)
{
	for (int i = 0; i < MESSAGE_CACHE_PARTS; i++)
		buf_fini(&b->part[i]);
}

size_t
cache_batch_len(const struct cache_batch *b)
{
	return b->part[0].len + b->part[1].len + b->part[2].len;
}

static void
put_zeros(struct buf *b)
{
	static const char zeros[8];

	buf_add(b, zeros, (8 - b->len % 8) % 8);
}

/* Where the other parts are is counted from the start of their like for now:
 * cache_batch_end() knows where that is. */
void
cache_batch_add(struct cache_batch *b, uint32_t uid, struct span record)
{
	struct message_cache_bytes r;
	uint8_t h[CACHE_ENTRY_HEAD] = { 0 };

	if (message_cache_split(record, &r) < 0)
		return;

	num_put_le32(h, ENTRY_MAGIC);
	num_put_le32(h + 4, uid);
	for (int i = 0; i < MESSAGE_CACHE_PARTS; i++)
		num_put_le32(h + 8 + 4 * i, (uint32_t)r.part[i].len);
	num_put_le32(h + 20, (uint32_t)b->part[1].len);
	num_put_le32(h + 24, (uint32_t)b->part[2].len);
	buf_add(&b->part[0], h, sizeof(h));
	for (int i = 0; i < MESSAGE_CACHE_PARTS; i++)
		buf_add_span(&b->part[i], r.part[i]);
	put_zeros(&b->part[0]);
	b->records++;
}

struct span
cache_batch_end(struct cache_batch *b)
{
	struct buf *out = &b->part[0];
	size_t second = out->len, third = second + b->part[1].len;

	for (size_t at = CACHE_BATCH_HEAD; at < second;) {
		char *h = out->data + at;

		num_put_le32(h + 20, num_get_le32(h + 20) +
		    (uint32_t)(second - at));
		num_put_le32(h + 24, num_get_le32(h + 24) +
		    (uint32_t)(third - at));
		num_put_le32(h + 28, crc32c(0, h, 28));
		at += (size_t)packed_align(CACHE_ENTRY_HEAD + num_get_le32(h + 8));
	}
	buf_add_span(out, buf_span(&b->part[1]));
	buf_add_span(out, buf_span(&b->part[2]));
	put_zeros(out);
	num_put_le32(out->data, BATCH_MAGIC);
	num_put_le32(out->data + 4, (uint32_t)out->len);
	num_put_le32(out->data + 8, b->records);
	num_put_le32(out->data + 12, crc32c(0, out->data, 12));
	return buf_span(out);
}

/* --- reading ------------------------------------------------------------------------ */

bool
cache_batch_decode(const char *h, uint32_t *len, uint32_t *records)
{
	*len = num_get_le32(h + 4);
	*records = num_get_le32(h + 8);
	return num_get_le32(h) == BATCH_MAGIC &&
	    num_get_le32(h + 12) == crc32c(0, h, 12) &&
	    *len >= CACHE_BATCH_HEAD && *len % 8 == 0;
}

void
cache_entry_guess(const char *h, struct cache_entry *e)
{
	e->uid = num_get_le32(h + 4);
	e->bytes = 0;
	e->at[0] = CACHE_ENTRY_HEAD;
	e->at[1] = num_get_le32(h + 20);
	e->at[2] = num_get_le32(h + 24);
	for (int i = 0; i < MESSAGE_CACHE_PARTS; i++) {
		e->len[i] = num_get_le32(h + 8 + 4 * i);
		e->bytes += e->len[i];
	}
}

bool
cache_entry_decode(const char *h, struct cache_entry *e)
{
	if (num_get_le32(h) != ENTRY_MAGIC ||
	    num_get_le32(h + 28) != crc32c(0, h, 28))
		return false;
	cache_entry_guess(h, e);
	for (int i = 0; i < MESSAGE_CACHE_PARTS; i++)
		if (e->len[i] > MESSAGE_CACHE_MAX)
			return false;
	return e->bytes <= MESSAGE_CACHE_MAX;
}

uint64_t
cache_entry_step(const struct cache_entry *e)
{
	return packed_align((uint64_t)CACHE_ENTRY_HEAD + e->len[0]);
}
