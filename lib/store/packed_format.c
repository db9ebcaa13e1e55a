/* SPDX-License-Identifier: ISC */
/*
 * packed_format - the bytes of journals and segments, and nothing else.
 *
 * What is read here may have been damaged by a disk or written by a hostile
 * owner of the mailbox: every length is checked before it is used.
 */
#include <string.h>

#include "base/crc32c.h"
#include "base/num.h"
#include "store/packed.h"

#define HEAD_MAGIC	"MNSOJRN1"
#define RECORD_MAGIC	0x4345524au	/* "JREC" */
#define MESSAGE_MAGIC	0x47534d4eu	/* "NMSG" */
#define SLOT_MAGIC	0x544f4c53u	/* "SLOT" */
#define SLOT_AT(n)	(512u + 512u * (n))	/* a disk sector each */
#define HEAD_LEN	48
#define ARRIVAL_FIXED	60
#define ARRIVAL_MORE	32	/* behind queue id and recipient */
#define DAY_MIN		(24 * 60)
#define GENERATION_AT	48

void
packed_head_encode(const struct packed_head *h, uint8_t out[PACKED_START])
{
	uint8_t slot[PACKED_SLOT_LEN];

	memset(out, 0, PACKED_START);
	memcpy(out, HEAD_MAGIC, 8);
	num_put_le32(out + 8, 1);		/* version */
	num_put_le32(out + 12, h->uidvalidity);
	num_put_le64(out + 16, (uint64_t)h->created_us);
	memcpy(out + 24, h->mailboxid, 16);
	num_put_le32(out + 40, h->box);
	num_put_le32(out + 44, crc32c(0, out, 44));
	num_put_le64(out + GENERATION_AT, h->generation);
	num_put_le32(out + GENERATION_AT + 8,
	    crc32c(0, out + GENERATION_AT, 8));
	for (unsigned i = 0; i < 2; i++) {
		size_t at = packed_slot_encode(&h->state, i, slot);

		memcpy(out + at, slot, sizeof(slot));
	}
	memcpy(out + PACKED_HEAD_COPY, out, PACKED_HEAD_WHOLE);
}

size_t
packed_slot_encode(const struct packed_state *st, unsigned slot,
    uint8_t out[PACKED_SLOT_LEN])
{
	memset(out, 0, PACKED_SLOT_LEN);
	num_put_le32(out, SLOT_MAGIC);
	num_put_le64(out + 8, st->turn);
	memcpy(out + 16, st->epoch.b, 16);
	num_put_le32(out + 32, st->reserved);
	num_put_le32(out + 36, st->uidnext);
	num_put_le64(out + 40, st->modseq);
	num_put_le64(out + 48, st->tail);
	num_put_le64(out + 56, st->segment_tail);
	num_put_le32(out + 64, st->segment);
	num_put_le32(out + 68, st->messages);
	num_put_le64(out + 72, st->bytes);
	num_put_le32(out + 80, st->totals | st->deleted << 1);
	num_put_le32(out + 4, crc32c(0, out + 8, PACKED_SLOT_LEN - 8));
	return SLOT_AT(slot);
}

static int
slot_decode(struct packed_state *st, const uint8_t *p)
{
	if (num_get_le32(p) != SLOT_MAGIC ||
	    num_get_le32(p + 4) != crc32c(0, p + 8, PACKED_SLOT_LEN - 8))
		return -1;
	st->turn = num_get_le64(p + 8);
	memcpy(st->epoch.b, p + 16, 16);
	st->reserved = num_get_le32(p + 32);
	st->uidnext = num_get_le32(p + 36);
	st->modseq = num_get_le64(p + 40);
	st->tail = num_get_le64(p + 48);
	st->segment_tail = num_get_le64(p + 56);
	st->segment = num_get_le32(p + 64);
	st->messages = num_get_le32(p + 68);
	st->bytes = num_get_le64(p + 72);
	st->totals = num_get_le32(p + 80) & 1;
	st->deleted = num_get_le32(p + 80) & 2;
	if (st->uidnext == 0 || st->tail < PACKED_START || st->tail % 8 != 0 ||
	    st->tail > INT64_MAX || st->segment_tail > INT64_MAX)
		return -1;
	return 0;
}

/* What does not change: of the copy that is right. */
static bool
fixed_decode(struct packed_head *h, const uint8_t *p)
{
	const uint8_t *g = p + GENERATION_AT;

	if (memcmp(p, HEAD_MAGIC, 8) != 0 || num_get_le32(p + 8) != 1 ||
	    num_get_le32(p + 44) != crc32c(0, p, 44) ||
	    num_get_le32(p + 12) == 0)
		return false;
	h->uidvalidity = num_get_le32(p + 12);
	h->created_us = (int64_t)num_get_le64(p + 16);
	memcpy(h->mailboxid, p + 24, 16);
	h->box = num_get_le32(p + 40);
	h->generation = num_get_le32(g + 8) == crc32c(0, g, 8) ?
	    num_get_le64(g) : 0;
	return true;
}

unsigned
packed_head_parts(struct packed_head *h, struct span in)
{
	const uint8_t *p = (const uint8_t *)in.p;
	struct packed_state st;
	unsigned parts = 0;

	if (in.len < PACKED_START)
		return 0;
	if (fixed_decode(h, p))
		parts = PACKED_HEAD_FIXED;
	/* A generation that is wrong costs an index. */
	if ((parts == 0 || h->generation == 0) &&
	    fixed_decode(h, p + PACKED_HEAD_COPY))
		parts = PACKED_HEAD_FIXED;
	h->differ = memcmp(p, p + PACKED_HEAD_COPY, PACKED_HEAD_WHOLE) != 0;
	h->single = p[PACKED_HEAD_COPY] == 0;
	for (unsigned i = 0; i < 2; i++) {
		if (slot_decode(&st, p + SLOT_AT(i)) < 0)
			continue;
		if (!(parts & PACKED_HEAD_STATE) || st.turn > h->state.turn) {
			h->state = st;
			h->slot = i;
			parts |= PACKED_HEAD_STATE;
		}
	}
	return parts;
}

int
packed_head_decode(struct packed_head *h, struct span in)
{
	return packed_head_parts(h, in) == (PACKED_HEAD_FIXED |
	    PACKED_HEAD_STATE) ? 0 : -1;
}

void
packed_record_encode(struct buf *b, unsigned type, uint64_t modseq,
    struct span payload)
{
	static const char zeros[8];
	uint8_t h[PACKED_RECORD_HEADER];
	size_t pad = (8 - payload.len % 8) % 8;
	uint32_t crc;

	num_put_le32(h, RECORD_MAGIC);
	num_put_le16(h + 8, (uint16_t)type);
	num_put_le16(h + 10, 0);
	num_put_le32(h + 12, (uint32_t)payload.len);
	num_put_le64(h + 16, modseq);
	crc = crc32c(0, h + 8, sizeof(h) - 8);
	crc = crc32c(crc, payload.p, payload.len);
	num_put_le32(h + 4, crc);
	/* payload may lie in b, which growing would move. */
	size_t in = b->len > 0 && payload.p >= b->data &&
	    payload.p < b->data + b->len ? (size_t)(payload.p - b->data) :
	    SIZE_MAX;
	buf_add(b, h, sizeof(h));
	if (in != SIZE_MAX)
		payload.p = b->data + in;
	buf_add_span(b, payload);
	buf_add(b, zeros, pad);
}

uint64_t
packed_record_len(struct span in)
{
	const uint8_t *p = (const uint8_t *)in.p;
	uint32_t len;

	if (in.len < PACKED_RECORD_HEADER || num_get_le32(p) != RECORD_MAGIC)
		return 0;
	len = num_get_le32(p + 12);
	return len > PACKED_RECORD_MAX ? 0 : PACKED_RECORD_HEADER +
	    ((uint64_t)len + 7) / 8 * 8;
}

int
packed_record_decode(struct span in, uint64_t at, struct packed_record *r)
{
	const uint8_t *p = (const uint8_t *)in.p;
	uint64_t whole = packed_record_len(in);
	uint32_t len;

	if (whole == 0 || whole > in.len)
		return 0;
	len = num_get_le32(p + 12);
	if (num_get_le32(p + 4) != crc32c(0, p + 8, PACKED_RECORD_HEADER - 8 +
	    len))
		return 0;
	r->type = num_get_le16(p + 8);
	r->modseq = num_get_le64(p + 16);
	r->payload = span_make(p + PACKED_RECORD_HEADER, len);
	r->offset = at;
	r->end = at + whole;
	return 1;
}

void
packed_arrival_encode(struct buf *b, const struct packed_arrival *a)
{
	uint8_t h[ARRIVAL_FIXED], more[ARRIVAL_MORE];

	num_put_le32(h, a->uid);
	num_put_le32(h + 4, a->flags);
	num_put_le32(h + 8, a->segment);
	num_put_le32(h + 12, a->crc);
	num_put_le64(h + 16, a->offset);
	num_put_le64(h + 24, a->len);
	num_put_le64(h + 32, (uint64_t)a->date_us);
	memcpy(h + 40, a->guid, 16);
	num_put_le16(h + 56, (uint16_t)a->queue_id.len);
	num_put_le16(h + 58, (uint16_t)a->rcpt.len);
	buf_add(b, h, sizeof(h));
	buf_add_span(b, a->queue_id);
	buf_add_span(b, a->rcpt);
	num_put_le32(more, a->how);
	num_put_le32(more + 4, a->kwset);
	num_put_le64(more + 8, (uint64_t)a->save_us);
	num_put_le64(more + 16, a->size);
	num_put_le32(more + 24, a->cache_len);
	num_put_le32(more + 28, (uint32_t)a->zone_min);
	buf_add(b, more, sizeof(more));
}

int
packed_arrival_decode(struct packed_arrival *a, struct span in)
{
	const uint8_t *p = (const uint8_t *)in.p;
	size_t nq, nr;

	if (in.len < ARRIVAL_FIXED)
		return -1;
	nq = num_get_le16(p + 56);
	nr = num_get_le16(p + 58);
	if (nq > PACKED_ID_MAX || nr > PACKED_ID_MAX ||
	    in.len < ARRIVAL_FIXED + nq + nr)
		return -1;
	a->uid = num_get_le32(p);
	a->flags = num_get_le32(p + 4);
	a->segment = num_get_le32(p + 8);
	a->crc = num_get_le32(p + 12);
	a->offset = num_get_le64(p + 16);
	a->len = num_get_le64(p + 24);
	a->date_us = (int64_t)num_get_le64(p + 32);
	memcpy(a->guid, p + 40, 16);
	a->queue_id = span_make(p + ARRIVAL_FIXED, nq);
	a->rcpt = span_make(p + ARRIVAL_FIXED + nq, nr);
	a->how = a->kwset = a->cache_len = 0;
	a->save_us = 0;
	a->size = 0;
	a->zone_min = 0;
	if (in.len >= ARRIVAL_FIXED + nq + nr + ARRIVAL_MORE) {
		p += ARRIVAL_FIXED + nq + nr;
		a->how = num_get_le32(p);
		a->kwset = num_get_le32(p + 4);
		a->save_us = (int64_t)num_get_le64(p + 8);
		a->size = num_get_le64(p + 16);
		a->cache_len = num_get_le32(p + 24);
		a->zone_min = (int32_t)num_get_le32(p + 28);
		if (a->zone_min <= -DAY_MIN || a->zone_min >= DAY_MIN)
			a->zone_min = 0;
	}
	/* So that sums of the two cannot overflow. */
	if (a->size > INT64_MAX / 4 || a->uid == 0 || a->segment == 0 || a->offset > INT64_MAX / 4 ||
	    a->len > INT64_MAX / 4)
		return -1;
	return 0;
}

void
packed_message_encode(const struct packed_message *m,
    uint8_t out[PACKED_MESSAGE_HEADER])
{
	memset(out, 0, PACKED_MESSAGE_HEADER);
	num_put_le32(out, MESSAGE_MAGIC);
	num_put_le32(out + 8, m->box);
	num_put_le32(out + 12, m->uidvalidity);
	num_put_le32(out + 16, m->uid);
	num_put_le32(out + 20, m->crc);
	num_put_le64(out + 24, m->len);
	num_put_le64(out + 32, (uint64_t)m->date_us);
	memcpy(out + 40, m->guid, 16);
	num_put_le32(out + 56, m->zstd);
	num_put_le32(out + 4, crc32c(0, out + 8, PACKED_MESSAGE_HEADER - 8));
}

int
packed_message_decode(struct packed_message *m, struct span in)
{
	const uint8_t *p = (const uint8_t *)in.p;

	if (in.len < PACKED_MESSAGE_HEADER ||
	    num_get_le32(p) != MESSAGE_MAGIC || num_get_le32(p + 4) !=
	    crc32c(0, p + 8, PACKED_MESSAGE_HEADER - 8))
		return -1;
	m->box = num_get_le32(p + 8);
	m->uidvalidity = num_get_le32(p + 12);
	m->uid = num_get_le32(p + 16);
	m->crc = num_get_le32(p + 20);
	m->len = num_get_le64(p + 24);
	m->date_us = (int64_t)num_get_le64(p + 32);
	memcpy(m->guid, p + 40, 16);
	m->zstd = num_get_le32(p + 56) & 1;
	return m->uid != 0 && m->len <= INT64_MAX / 4 ? 0 : -1;
}

void
packed_sub_encode(struct buf *b, unsigned type, struct span payload)
{
	static const char zeros[8];
	uint8_t h[PACKED_SUB_HEADER];

	num_put_le16(h, (uint16_t)type);
	num_put_le16(h + 2, 0);
	num_put_le32(h + 4, (uint32_t)payload.len);
	buf_add(b, h, sizeof(h));
	buf_add_span(b, payload);
	buf_add(b, zeros, (8 - payload.len % 8) % 8);
}

/* The members of a group; false when fn ended it. */
static bool
scan_group(const struct packed_record *g,
    bool (*fn)(void *arg, const struct packed_record *r), void *arg)
{
	struct span in = g->payload;

	while (in.len >= PACKED_SUB_HEADER) {
		const uint8_t *p = (const uint8_t *)in.p;
		size_t len = num_get_le32(p + 4);
		struct packed_record r = *g;

		in = span_from(in, PACKED_SUB_HEADER);
		if (len > in.len)
			break;
		r.type = num_get_le16(p);
		r.payload = span_sub(in, 0, len);
		if (r.type != PACKED_GROUP && !fn(arg, &r))
			return false;
		in = span_from(in, (len + 7) / 8 * 8);
	}
	return true;
}

uint64_t
packed_scan(struct span in, uint64_t at, size_t *damaged,
    bool (*fn)(void *arg, const struct packed_record *r), void *arg)
{
	uint64_t end = at, pos = at;
	struct packed_record r;
	bool gap = false;

	while (pos - at < in.len) {
		size_t i = (size_t)(pos - at);

		if (packed_record_decode(span_from(in, i), pos, &r) == 0) {
			/* Records begin at multiples of 8. */
			gap = true;
			pos += 8;
			continue;
		}
		if (gap && damaged != NULL)
			(*damaged)++;
		gap = false;
		pos = end = r.end;
		if (r.type == PACKED_GROUP ? !scan_group(&r, fn, arg) :
		    !fn(arg, &r))
			break;
	}
	return end;
}
