/* SPDX-License-Identifier: ISC */
/*
 * qlog: what was committed comes back, whatever happens to the rest.
 *
 * Images of a crash are made by changing the segment file; faults by failing
 * the nth call that changes the disk.
 */
#include "tests/unit/queue/qlog_test.h"

/* --- crash images --------------------------------------------------------------- */

static int
open_segment(unsigned no)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%02u.seg", dir, no);
	fd = open(path, O_RDWR);
	ck_assert_int_ge(fd, 0);
	return fd;
}

/*
 * The last batch was torn at each of its bytes: nothing, garbage, or the
 * bytes of a recycled slot lie from there on.
 */
START_TEST(a_tail_torn_at_any_byte_is_cut_off)
{
	struct qlog *q = must_open();
	struct qlog_pos a, b;
	char *image = mem_alloc(SEG), *work = mem_alloc(SEG);
	size_t end;
	int fd;

	ck_assert_int_eq(append(q, "first", 100, NULL), 0);
	must_commit(q);
	ck_assert_int_eq(append(q, "second", 20, &a), 0);
	ck_assert_int_eq(append(q, "third", 30, &b), 0);
	must_commit(q);
	qlog_close(&q);
	fd = open_segment(a.slot);
	ck_assert_int_eq(fd_pread_all(fd, image, SEG, 0), 0);
	end = b.offset + QLOG_HEADER_LEN + b.len;
	for (size_t at = a.offset; at <= end; at++) {
		struct seen s;
		size_t want = at >= end ? 3 :
		    at >= a.offset + QLOG_HEADER_LEN + a.len ? 2 : 1;
		size_t old = 0;

		memcpy(work, image, SEG);
		memset(work + at, _i == 0 ? 0 : 0xa5, _i == 2 ? 1 : SEG - at);
		/* With a garbage tail even the padding is wrong. */
		ck_assert_int_eq(fd_pwrite_all(fd, work, SEG, 0), 0);
		scan(&s, 0);
		ck_assert_uint_eq(s.damages, 0);
		old = s.seqs.len;
		if (_i != 2)
			ck_assert_uint_eq(s.seqs.len, want);
		else
			ck_assert_uint_ge(s.seqs.len, 1);
		ARRAY_FINI(&s.seqs);
		/* The writer goes on, and nothing old comes back. */
		q = must_open();
		ck_assert_uint_eq(qlog_next_seq(q), old + 1);
		ck_assert_int_eq(append(q, "new", 0, NULL), 0);
		must_commit(q);
		ck_assert_int_eq(append(q, "newer", 0, NULL), 0);
		must_commit(q);
		qlog_close(&q);
		expect_seqs(0, 1, old + 2);
	}
	fd_close(&fd);
	mem_free(image);
	mem_free(work);
}
END_TEST

/* A batch of three whose first page never came, but the others did. */
START_TEST(later_pages_of_a_torn_batch_do_not_come_back)
{
	struct qlog *q = must_open();
	struct qlog_pos p[3];
	char zeros[QLOG_PAGE] = { 0 };
	int fd;

	ck_assert_int_eq(append(q, "first", 100, NULL), 0);
	must_commit(q);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(append(q, "torn", 4096 - 4 - 48, &p[i]), 0);
	must_commit(q);
	qlog_close(&q);
	fd = open_segment(p[0].slot);
	ck_assert_int_eq(pwrite(fd, zeros, sizeof(zeros),
	    (off_t)p[0].offset), sizeof(zeros));
	fd_close(&fd);
	expect_seqs(0, 1, 1);
	q = must_open();
	ck_assert_uint_eq(qlog_next_seq(q), 2);
	ck_assert_int_eq(append(q, "new", 4096 - 3 - 48, NULL), 0);
	must_commit(q);
	qlog_close(&q);
	expect_seqs(0, 1, 2);
}
END_TEST

/* Acknowledged records are damaged at each byte of the middle one. */
START_TEST(damage_is_told_from_a_torn_tail)
{
	struct qlog *q = must_open();
	struct qlog_pos p[4];
	int fd;

	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(append(q, "record", 60, &p[i]), 0);
		if (i != 1)		/* 2 and 3 are one batch */
			must_commit(q);
	}
	qlog_close(&q);
	fd = open_segment(p[0].slot);
	for (uint64_t at = p[1].offset;
	    at < p[1].offset + QLOG_HEADER_LEN + p[1].len; at++) {
		struct seen s;
		char was, is;

		ck_assert_int_eq(pread(fd, &was, 1, (off_t)at), 1);
		is = (char)(was ^ 0x40);
		ck_assert_int_eq(pwrite(fd, &is, 1, (off_t)at), 1);
		scan(&s, 0);
		ck_assert_uint_eq(s.damages, 1);
		ck_assert_uint_eq(s.seqs.len, 3);
		ck_assert_uint_eq(s.seqs.v[1], 3);
		ARRAY_FINI(&s.seqs);
		q = must_open();
		ck_assert_uint_eq(qlog_next_seq(q), 5);
		qlog_close(&q);
		ck_assert_int_eq(pwrite(fd, &was, 1, (off_t)at), 1);
	}
	fd_close(&fd);
	expect_seqs(0, 1, 4);
}
END_TEST

START_TEST(a_damaged_slot_header_loses_no_record)
{
	struct qlog *q = must_open();
	struct qlog_pos pos;
	struct seen s;
	int fd;

	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(append(q, "record", 60, &pos), 0);
	must_commit(q);
	qlog_close(&q);
	fd = open_segment(pos.slot);
	ck_assert_int_eq(pwrite(fd, "garbage", 7, 10), 7);
	fd_close(&fd);
	scan(&s, 0);
	ck_assert_uint_eq(s.damages, 1);
	ck_assert_uint_eq(s.seqs.len, 3);
	ARRAY_FINI(&s.seqs);
	q = must_open();
	ck_assert_uint_eq(qlog_next_seq(q), 4);
	ck_assert_int_eq(append(q, "more", 60, &pos), 0);
	must_commit(q);
	qlog_close(&q);
	scan(&s, 0);
	ck_assert_uint_eq(s.seqs.len, 4);
	ARRAY_FINI(&s.seqs);
}
END_TEST

/* What was in a slot before its reuse is behind the new records. */
START_TEST(recycled_slots_show_new_records_only)
{
	struct qlog *q = must_open();
	struct qlog_slot slots[8];
	size_t n;

	for (int round = 0; round < 5; round++) {
		uint64_t first = 0;

		for (int i = 0; i < 25; i++)
			ck_assert_int_eq(append(q, "old", 3000, NULL), 0);
		must_commit(q);
		n = qlog_slots(q, slots, 8);
		for (size_t i = 0; i + 1 < n; i++)
			ck_assert(qlog_release(q, slots[i].slot,
			    slots[i].generation));
		first = slots[n - 1].first_seq;
		expect_seqs(0, first, qlog_next_seq(q) - 1);
		qlog_close(&q);
		q = must_open();
		expect_seqs(0, first, qlog_next_seq(q) - 1);
	}
	qlog_close(&q);
}
END_TEST

/* --- faults ---------------------------------------------------------------------- */

/*
 * The same work with its nth disk call failing, n = 1, 2, 3, ...: afterwards
 * all that was acknowledged is there, in order, and nothing half.
 */
static bool
work_with_fault(unsigned n, int err)
{
	struct why why = WHY_INIT;
	uint64_t acked = 0, released = 0, next;
	struct qlog *q;
	struct qlog_slot slots[8];
	struct seen s;
	bool failed = false, full;
	size_t count;

	fault_arm(n, err);
	q = open_log(&why);
	if (q == NULL)
		failed = true;
	/* No space for the first slot: it opens, and says so. */
	full = q != NULL && qlog_full(q, &why);
	ck_assert(!full || (err == ENOSPC && strcmp(why.code, "4.3.1") == 0));
	for (int i = 0; q != NULL && i < 40 && !failed; i++) {
		struct qlog_slot done;

		if (append(q, "a", 3000, NULL) < 0 ||
		    append(q, "b", 500, NULL) < 0) {
			failed = true;
			if (qlog_commit(q, &why) == 0)
				acked = qlog_durable_seq(q);
			break;
		}
		if (qlog_commit(q, &why) < 0) {
			struct qlog_pos pos;

			failed = true;
			ck_assert(qlog_broken(q));
			/* It never goes on. */
			ck_assert_int_eq(qlog_append(q, 7, NULL, 0, &pos,
			    &why), -1);
			ck_assert_int_eq(qlog_commit(q, &why), -1);
			break;
		}
		acked = qlog_durable_seq(q);
		count = qlog_slots(q, slots, 8);
		if (count > 2) {
			ck_assert(qlog_release(q, slots[0].slot,
			    slots[0].generation));
			released = slots[1].first_seq - 1;
			if (!qlog_take_released(q, &done))
				failed = true;
		}
	}
	if (q != NULL)
		acked = MAX(acked, qlog_durable_seq(q));
	qlog_close(&q);
	fault_arm(0, 0);
	scan(&s, released + 1);
	ck_assert_uint_eq(s.damages, 0);
	ck_assert_uint_ge(s.seqs.len, acked - released);
	for (size_t i = 0; i < s.seqs.len; i++)
		ck_assert_uint_eq(s.seqs.v[i], released + 1 + i);
	ARRAY_FINI(&s.seqs);
	/* And it can go on. */
	q = must_open();
	next = qlog_next_seq(q);
	ck_assert_uint_gt(next, acked);
	ck_assert_int_eq(append(q, "x", 3000, NULL), 0);
	must_commit(q);
	qlog_close(&q);
	scan(&s, next);
	ck_assert_uint_eq(s.seqs.len, 1);
	ck_assert_uint_eq(s.seqs.v[0], next);
	ARRAY_FINI(&s.seqs);
	return failed || full;
}

START_TEST(the_nth_call_fails)
{
	unsigned n = 1, clean = 0;

	/* Three clean runs: a failure may be one nobody has to notice. */
	while (clean < 3) {
		if (work_with_fault(n++, _i == 0 ? EIO : ENOSPC))
			clean = 0;
		else
			clean++;
		ck_assert_uint_lt(n, 2000);
		teardown();
		setup();
	}
	ck_assert_uint_gt(n, 80);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("qlog_crash");
	TCase *t = tcase_create("qlog_crash");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, a_tail_torn_at_any_byte_is_cut_off, 0, 3);
	tcase_add_test(t, later_pages_of_a_torn_batch_do_not_come_back);
	tcase_add_test(t, damage_is_told_from_a_torn_tail);
	tcase_add_test(t, a_damaged_slot_header_loses_no_record);
	tcase_add_test(t, recycled_slots_show_new_records_only);
	tcase_add_loop_test(t, the_nth_call_fails, 0, 2);
	suite_add_tcase(s, t);
	return s;
}
