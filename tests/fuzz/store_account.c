/* SPDX-License-Identifier: ISC */
/*
 * The files of an account as its hostile owner may write them, checksums and
 * all: journals made of any records, an index, a cache file.  Whatever they
 * say, opening, reading and compacting them touches only what is there.
 *
 * The first byte says which file the rest is; 255: the change journal.
 */
#include "base/crc32c.h"
#include "base/mem.h"
#include "base/num.h"
#include "mail/message_cache.h"
#include "store/index.h"
#include "tests/fuzz/account.h"

int	 LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* A journal with a few messages. */
static void
journal_of_messages(struct buf *out)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);

	journal_of(SPAN(""), 1, out);
	for (uint32_t uid = 1; uid <= 4; uid++) {
		struct packed_arrival a = { .uid = uid, .segment = 1,
		    .offset = 64 * uid, .len = 16, .cache_len = 400 * (uid % 2) };

		buf_reset(&b);
		packed_arrival_encode(&b, &a);
		packed_record_encode(out, PACKED_ARRIVAL, uid, buf_span(&b));
	}
	buf_fini(&b);
}

/*
 * A cache file: batches of one record each, from u8 UID, u8 what is wrong with
 * it, u16 length, record.
 */
static void
cache_of(struct span in, struct buf *out)
{
	char head[32] = "MNSOCCH3";
	uint8_t h[48];

	num_put_le64(head + 8, 9);
	num_put_le64(head + 16, 1);
	buf_add(out, head, sizeof(head));
	while (in.len >= 4) {
		const uint8_t *p = (const uint8_t *)in.p;
		size_t n = MIN((size_t)num_get_le16(p + 2), in.len - 4);
		uint32_t len[3] = { (uint32_t)n, 0, 0 };
		struct message_cache_bytes parts;

		if (message_cache_split(span_sub(in, 4, n), &parts) == 0)
			for (int i = 0; i < 3; i++)
				len[i] = (uint32_t)parts.part[i].len;
		num_put_le32(h, 0x42484343);
		num_put_le32(h + 4, (uint32_t)((sizeof(h) + n + 7) & ~7ull));
		num_put_le32(h + 8, 1 + (p[1] & 1));
		num_put_le32(h + 12, crc32c(0, h, 12) ^ (p[1] == 255));
		num_put_le32(h + 16, 0x45484343);
		num_put_le32(h + 20, p[0]);
		for (int i = 0; i < 3; i++)
			num_put_le32(h + 24 + 4 * i, len[i] + (p[1] & 2) *
			    UINT32_C(0x7ffffff0));
		/* As they follow, or anywhere. */
		num_put_le32(h + 36, 32 + len[0] + (p[1] & 4) *
		    UINT32_C(0x3fffffff));
		num_put_le32(h + 40, 32 + len[0] + len[1] + (p[1] & 8) * 100);
		num_put_le32(h + 44, crc32c(0, h + 16, 28) ^ (p[1] == 254));
		buf_add(out, h, sizeof(h));
		buf_add_span(out, span_sub(in, 4, n));
		while (out->len % 8 != 0)
			buf_add_char(out, '\0');
		in = span_from(in, 4 + n);
	}
}

/*
 * An index that says what the input says, with right checksums; those of blocks
 * of records may be wrong, which is found when they are looked at.
 */
static void
index_of(struct span in, struct buf *out)
{
	struct index_head h = { .nrecords = 0 };
	char head[INDEX_HEAD] = { 0 };
	struct record *r;
	struct index_block *b;
	uint32_t n;
	char *body;

	memcpy(&h, in.p, MIN(in.len, sizeof(h)));
	in = span_from(in, sizeof(h));
	memcpy(h.magic, INDEX_MAGIC, sizeof(h.magic));
	h.order = INDEX_ORDER;
	h.record_size = sizeof(struct record);
	h.generation = 9;
	h.uidvalidity = 7;
	memset(h.mailboxid, 0, sizeof(h.mailboxid));
	h.tail = PACKED_START;
	h.len = in.len;
	body = mem_alloc(in.len + 8);
	memcpy(body, in.p, in.len);
	n = (uint32_t)(in.len / (sizeof(*r) + sizeof(*b)));
	h.nrecords = h.messages = MIN(h.nrecords, n);
	h.first_unseen = MIN(h.first_unseen, h.nrecords);
	h.recent_at = MIN(h.recent_at, h.nrecords);
	r = (void *)body;
	b = (void *)(r + h.nrecords);
	for (uint32_t i = 0; i < h.nrecords; i += RECORD_BLOCK, b++) {
		n = MIN(h.nrecords - i, RECORD_BLOCK);
		if (b->first == 0)
			b->crc = crc32c(0, &r[i], n * sizeof(*r));
		b->first = r[i].uid;
		b->last = r[i + n - 1].uid;
	}
	h.rest_crc = crc32c(0, r + h.nrecords, in.len - h.nrecords *
	    sizeof(*r));
	h.crc = crc32c(0, &h, offsetof(struct index_head, crc));
	memcpy(head, &h, sizeof(h));
	buf_add(out, head, sizeof(head));
	buf_add(out, body, in.len);
	mem_free(body);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct buf file = BUF_INIT(BUF_UNLIMITED);
	struct span in = span_from(span_make(p, n), 1);

	if (n < 1 || n > INPUT_MAX)
		return 0;
	account_begin();
	scratch_put("user/00000001.seg", span_make(p, n));
	journal_of(p[0] % 4 == 0 ? in : SPAN(""), 1, &file);
	scratch_put("user/00000001.jrn", buf_span(&file));
	buf_reset(&file);
	if (p[0] % 4 == 1) {
		journal_of(in, 0, &file);
		scratch_put("user/account.jrn", buf_span(&file));
	} else if (p[0] % 4 == 2) {
		index_of(in, &file);
		scratch_put("user/00000001.idx", buf_span(&file));
	} else if (p[0] == UINT8_MAX) {
		journal_of(in, 0, &file);
		scratch_put("user/changes.jrn", buf_span(&file));
	} else if (p[0] % 4 == 3) {
		journal_of_messages(&file);
		scratch_put("user/00000001.jrn", buf_span(&file));
		buf_reset(&file);
		cache_of(in, &file);
		scratch_put("user/00000001.cch", buf_span(&file));
	}
	look_at_all(STORE_PACKED, p[0] & 16 ? 0 : MAILBOX_LATER);
	buf_fini(&file);
	return 0;
}
