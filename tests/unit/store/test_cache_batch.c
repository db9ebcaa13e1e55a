/* SPDX-License-Identifier: ISC */
#include <check.h>

#include "base/num.h"
#include "store/cache_batch.h"

#define RECORDS	5

/* Records of messages, one behind the other. */
static void
make_records(struct buf *out, struct span *records)
{
	size_t ends[RECORDS];

	for (int i = 0; i < RECORDS; i++) {
		struct buf mail = BUF_INIT(BUF_UNLIMITED);
		struct message m;

		buf_addf(&mail, "Subject: number %0*d\r\nFrom: a%d@x.test\r\n"
		    "\r\nbody of %d\r\n", i + 1, i, i, i);
		message_parse(&m, buf_span(&mail));
		message_cache_encode(&m, out);
		ends[i] = out->len;
		message_fini(&m);
		buf_fini(&mail);
	}
	for (int i = 0; i < RECORDS; i++) {
		size_t from = i > 0 ? ends[i - 1] : 0;

		records[i] = span_make(out->data + from, ends[i] - from);
	}
}

static struct span
make_batch(struct cache_batch *b, const struct span *records)
{
	cache_batch_init(b);
	cache_batch_add(b, 9, SPAN("no record is this"));
	for (uint32_t i = 0; i < RECORDS; i++)
		cache_batch_add(b, 100 + i, records[i]);
	return cache_batch_end(b);
}

START_TEST(records_come_out_as_they_went_in)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED), whole = b;
	struct span records[RECORDS], in, last[MESSAGE_CACHE_PARTS];
	struct cache_batch batch;
	uint32_t len, n;
	size_t at = CACHE_BATCH_HEAD;

	make_records(&b, records);
	in = make_batch(&batch, records);
	ck_assert(cache_batch_decode(in.p, &len, &n));
	ck_assert_uint_eq(len, in.len);
	ck_assert_uint_eq(n, RECORDS);
	for (uint32_t i = 0; i < RECORDS; i++) {
		struct cache_entry e;

		ck_assert(cache_entry_decode(in.p + at, &e));
		ck_assert_uint_eq(e.uid, 100 + i);
		ck_assert_uint_eq(e.bytes, records[i].len);
		buf_reset(&whole);
		for (int k = 0; k < MESSAGE_CACHE_PARTS; k++) {
			struct span part = span_sub(in, at + e.at[k],
			    e.len[k]);

			/* Like lies with like. */
			if (i > 0 && k > 0)
				ck_assert_ptr_eq(part.p, last[k].p +
				    last[k].len);
			last[k] = part;
			buf_add_span(&whole, part);
		}
		ck_assert(span_eq(buf_span(&whole), records[i]));
		at += (size_t)cache_entry_step(&e);
	}
	ck_assert(last[2].p + last[2].len <= in.p + in.len);
	cache_batch_fini(&batch);
	buf_fini(&b);
	buf_fini(&whole);
}
END_TEST

START_TEST(damaged_heads_are_none)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	struct span records[RECORDS], in;
	struct cache_batch batch;
	struct cache_entry e;
	uint32_t len, n;
	char *p;

	make_records(&b, records);
	in = make_batch(&batch, records);
	p = batch.part[0].data;
	ck_assert_ptr_eq(p, in.p);
	for (size_t i = 0; i < CACHE_BATCH_HEAD + CACHE_ENTRY_HEAD; i++) {
		p[i] ^= 4;
		ck_assert_int_eq(cache_batch_decode(p, &len, &n),
		    i >= CACHE_BATCH_HEAD);
		ck_assert_int_eq(cache_entry_decode(p + CACHE_BATCH_HEAD, &e),
		    i < CACHE_BATCH_HEAD);
		p[i] ^= 4;
	}
	cache_batch_fini(&batch);
	buf_fini(&b);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("cache_batch");
	TCase *t = tcase_create("cache_batch");

	tcase_add_test(t, records_come_out_as_they_went_in);
	tcase_add_test(t, damaged_heads_are_none);
	suite_add_tcase(s, t);
	return s;
}
