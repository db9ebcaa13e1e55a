/* SPDX-License-Identifier: ISC */
/*
 * qlog: what was committed comes back, whatever happens to the rest.
 *
 * Logs lie in a scratch directory.  Images of a crash are made by changing
 * the segment file; faults by failing the nth call that changes the disk.
 */
#include <sys/stat.h>

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/array.h"
#include "base/mem.h"
#include "io/fault.h"
#include "io/fd.h"
#include "queue/qlog.h"

#define SEG	QLOG_SEGMENT_MIN

static char dir[64];

static void
setup(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(dir, sizeof(dir), "%s/qlog.XXXXXX",
	    tmp != NULL && strlen(tmp) < 40 ? tmp : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void
teardown(void)
{
	DIR *d = opendir(dir);
	struct dirent *de;

	while ((de = readdir(d)) != NULL)
		(void)unlinkat(dirfd(d), de->d_name, 0);
	closedir(d);
	rmdir(dir);
}

static struct qlog *
open_log(struct why *why)
{
	struct qlog_options opt = { .segment_size = SEG, .slots_max = 8,
	    .slots_keep = 1, .no_thread = true };

	return qlog_open(AT_FDCWD, dir, &opt, why);
}

static struct qlog *
must_open(void)
{
	struct why why = WHY_INIT;
	struct qlog *q = open_log(&why);

	ck_assert_msg(q != NULL, "%s", why.text);
	return q;
}

static int
append(struct qlog *q, const char *text, size_t fill, struct qlog_pos *pos)
{
	struct why why = WHY_INIT;
	char *pad = mem_zalloc(fill + 1);
	struct span parts[2] = { span_of(text), { pad, fill } };
	struct qlog_pos p;
	int rc;

	memset(pad, 'x', fill);
	rc = qlog_append(q, 7, parts, 2, pos != NULL ? pos : &p, &why);
	mem_free(pad);
	return rc;
}

static void
must_commit(struct qlog *q)
{
	struct why why = WHY_INIT;

	ck_assert_msg(qlog_commit(q, &why) == 0, "%s", why.text);
}

struct seen {
	ARRAY(uint64_t)	seqs;
	unsigned	damages;
};

static bool
on_record(void *arg, const struct qlog_pos *pos, uint16_t type,
    int64_t wall_us, struct span payload)
{
	struct seen *s = arg;

	ck_assert_uint_eq(type, 7);
	ck_assert_int_gt(wall_us, 0);
	ck_assert_uint_eq(pos->len, payload.len);
	*ARRAY_PUSH(&s->seqs) = pos->seq;
	return true;
}

static void
on_damage(void *arg, uint32_t slot, uint64_t offset, struct span bytes)
{
	((struct seen *)arg)->damages++;
}

static void
scan(struct seen *s, uint64_t from)
{
	struct why why = WHY_INIT;
	struct qlog_visit v = { on_record, on_damage, s };

	memset(s, 0, sizeof(*s));
	ck_assert_int_eq(qlog_scan(AT_FDCWD, dir, from, &v, &why), 0);
}

static void
expect_seqs(uint64_t from, uint64_t first, uint64_t last)
{
	struct seen s;

	scan(&s, from);
	ck_assert_uint_eq(s.damages, 0);
	ck_assert_uint_eq(s.seqs.len, last + 1 - first);
	for (size_t i = 0; i < s.seqs.len; i++)
		ck_assert_uint_eq(s.seqs.v[i], first + i);
	ARRAY_FINI(&s.seqs);
}

START_TEST(committed_records_come_back)
{
	struct qlog *q = must_open();
	struct qlog_pos pos;
	struct why why = WHY_INIT;
	struct buf out = BUF_INIT(BUF_UNLIMITED);
	int fd;

	ck_assert_uint_eq(qlog_next_seq(q), 1);
	ck_assert_int_eq(append(q, "one", 0, NULL), 0);
	ck_assert_int_eq(append(q, "two", 5000, &pos), 0);
	ck_assert_uint_eq(qlog_durable_seq(q), 0);
	must_commit(q);
	ck_assert_uint_eq(qlog_durable_seq(q), 2);
	ck_assert_int_eq(append(q, "three", 1, NULL), 0);
	must_commit(q);
	expect_seqs(0, 1, 3);
	expect_seqs(2, 2, 3);
	fd = qlog_open_slot(AT_FDCWD, dir, pos.slot, &why);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(qlog_read(fd, &pos, &out, &why), 0);
	ck_assert_uint_eq(out.len, 5003);
	ck_assert_int_eq(memcmp(out.data, "two", 3), 0);
	pos.generation++;
	ck_assert_int_eq(qlog_read(fd, &pos, &out, &why), -1);
	fd_close(&fd);
	buf_fini(&out);
	qlog_close(&q);
}
END_TEST

/* Long parts are written from where they lie, in whatever order with short
 * ones, and over the ends of slots. */
START_TEST(long_parts_are_not_copied)
{
	enum { N = 300 };
	struct qlog *q = must_open();
	struct qlog_pos pos[N];
	struct why why = WHY_INIT;
	struct buf out = BUF_INIT(BUF_UNLIMITED);
	char *bytes = mem_alloc(20000);

	for (size_t i = 0; i < 20000; i++)
		bytes[i] = (char)(i * 7 % 251);
	for (size_t i = 0; i < N; i++) {
		size_t n = i * 331 % 20000;
		struct span parts[] = { { "head", 4 }, { bytes, n },
		    { "tail", i % 5 }, { bytes + n, 20000 - n } };

		/* Fewer slots than all would need: what is there is enough. */
		ck_assert_int_eq(qlog_append_kept(q, 7, parts, 3 + i % 2,
		    &pos[i], &why), 0);
		if (i % 3 == 0 || i % 7 == 0)
			must_commit(q);
		if (i >= 8) {
			struct qlog_slot slots[8], done;

			if (qlog_slots(q, slots, 8) > 5)
				(void)qlog_release(q, slots[0].slot,
				    slots[0].generation);
			while (qlog_take_released(q, &done))
				;
		}
	}
	must_commit(q);
	for (size_t i = N - 5; i < N; i++) {
		size_t n = i * 331 % 20000;
		int fd = qlog_open_slot(AT_FDCWD, dir, pos[i].slot, &why);

		ck_assert_int_ge(fd, 0);
		buf_reset(&out);
		ck_assert_int_eq(qlog_read(fd, &pos[i], &out, &why), 0);
		ck_assert_uint_eq(out.len, 4 + n + i % 5 +
		    (i % 2 ? 20000 - n : 0));
		ck_assert_mem_eq(out.data, "head", 4);
		ck_assert_mem_eq(out.data + 4, bytes, n);
		ck_assert_mem_eq(out.data + 4 + n, "tail", i % 5);
		if (i % 2)
			ck_assert_mem_eq(out.data + 4 + n + i % 5, bytes + n,
			    20000 - n);
		fd_close(&fd);
	}
	mem_free(bytes);
	buf_fini(&out);
	qlog_close(&q);
}
END_TEST

START_TEST(a_log_goes_on_where_it_was)
{
	for (uint64_t i = 1; i <= 5; i++) {
		struct qlog *q = must_open();

		ck_assert_uint_eq(qlog_next_seq(q), i);
		ck_assert_int_eq(append(q, "x", 10, NULL), 0);
		must_commit(q);
		ck_assert_int_eq(append(q, "never", 10, NULL), 0);
		qlog_close(&q);		/* commits nothing */
		expect_seqs(0, 1, i);
	}
}
END_TEST

START_TEST(one_writer_at_a_time)
{
	struct qlog *q = must_open();
	struct why why = WHY_INIT;

	ck_assert_ptr_null(open_log(&why));
	ck_assert_ptr_nonnull(strstr(why.text, "in use"));
	qlog_close(&q);
	q = must_open();
	qlog_close(&q);
}
END_TEST

START_TEST(a_batch_can_gather_while_one_is_written)
{
	struct qlog *q = must_open();
	struct qlog_batch *b;
	struct why why = WHY_INIT;

	ck_assert_int_eq(append(q, "a", 0, NULL), 0);
	b = qlog_commit_begin(q);
	ck_assert_ptr_nonnull(b);
	ck_assert(!qlog_dirty(q));
	ck_assert_int_eq(append(q, "b", 0, NULL), 0);
	ck_assert_ptr_null(qlog_commit_begin(q));
	qlog_batch_write(b);
	ck_assert_int_eq(qlog_commit_end(q, &b, &why), 0);
	ck_assert_uint_eq(qlog_durable_seq(q), 1);
	must_commit(q);
	expect_seqs(0, 1, 2);
	qlog_close(&q);
}
END_TEST

START_TEST(full_slots_are_sealed_released_and_reused)
{
	struct qlog *q = must_open();
	struct qlog_slot slots[8], done;
	struct why why = WHY_INIT;
	uint64_t n = 0;
	size_t count;

	while (qlog_slots(q, slots, 8) < 3) {
		ck_assert_int_eq(append(q, "r", 6000, NULL), 0);
		must_commit(q);
		n++;
	}
	expect_seqs(0, 1, n);
	count = qlog_slots(q, slots, 8);
	ck_assert_uint_eq(count, 3);
	/* Not the one in use, not another generation. */
	ck_assert(!qlog_release(q, slots[2].slot, slots[2].generation));
	ck_assert(!qlog_release(q, slots[0].slot, slots[0].generation + 1));
	ck_assert(qlog_release(q, slots[0].slot, slots[0].generation));
	ck_assert(qlog_take_released(q, &done));
	ck_assert_uint_eq(done.slot, slots[0].slot);
	ck_assert(!qlog_take_released(q, &done));
	expect_seqs(0, slots[1].first_seq, n);
	/* A crash does not bring it back. */
	qlog_close(&q);
	q = must_open();
	ck_assert_uint_eq(qlog_next_seq(q), n + 1);
	expect_seqs(0, slots[1].first_seq, n);
	/* All of the eight slots, then no more; then one is free again. */
	while (append(q, "r", 6000, NULL) == 0) {
		must_commit(q);
		n++;
		ck_assert_uint_lt(n, 1000);
	}
	ck_assert_uint_eq(qlog_slots(q, slots, 8), 8);
	ck_assert_int_eq(qlog_append(q, 7, &SPAN("x"), 1,
	    &(struct qlog_pos){ 0 }, &why), -1);
	ck_assert_str_eq(why.code, "4.3.1");
	ck_assert(!qlog_broken(q));
	ck_assert(qlog_release(q, slots[0].slot, slots[0].generation));
	ck_assert_int_eq(append(q, "r", 6000, NULL), 0);
	n++;
	must_commit(q);
	expect_seqs(0, slots[1].first_seq, n);
	qlog_close(&q);
}
END_TEST

START_TEST(sequence_numbers_grow_though_all_is_released)
{
	struct qlog *q = must_open();
	struct qlog_slot slots[8];
	uint64_t next;
	size_t n;

	for (int i = 0; i < 30; i++)
		ck_assert_int_eq(append(q, "r", 6000, NULL), 0);
	must_commit(q);
	n = qlog_slots(q, slots, 8);
	for (size_t i = 0; i + 1 < n; i++)
		ck_assert(qlog_release(q, slots[i].slot,
		    slots[i].generation));
	next = qlog_next_seq(q);
	qlog_close(&q);
	/* Cut the last slot's records off: only headers can tell now. */
	{
		char path[128], zeros[QLOG_PAGE] = { 0 };
		int fd;

		snprintf(path, sizeof(path), "%s/%02u.seg", dir,
		    slots[n - 1].slot);
		fd = open(path, O_WRONLY);
		for (off_t at = QLOG_PAGE; at < (off_t)SEG; at += QLOG_PAGE)
			ck_assert_int_eq(pwrite(fd, zeros, sizeof(zeros), at),
			    sizeof(zeros));
		fd_close(&fd);
	}
	q = must_open();
	ck_assert_uint_ge(qlog_next_seq(q), next);
	qlog_set_next_seq(q, 1000000);
	ck_assert_int_eq(append(q, "x", 0, NULL), 0);
	must_commit(q);
	qlog_set_next_seq(q, 2000000);
	ck_assert_int_eq(append(q, "x", 0, NULL), 0);
	must_commit(q);
	qlog_close(&q);
	q = must_open();
	ck_assert_uint_eq(qlog_next_seq(q), 2000001);
	qlog_close(&q);
}
END_TEST

START_TEST(limits_of_a_record)
{
	struct qlog *q = must_open();
	struct why why = WHY_INIT;
	struct qlog_pos pos;
	size_t max = SEG - 2 * QLOG_PAGE - QLOG_HEADER_LEN - 8;
	char *p = mem_zalloc(max + 1);
	struct span s = { p, max };

	ck_assert_int_eq(qlog_append(q, 7, &s, 1, &pos, &why), 0);
	must_commit(q);
	s.len++;
	ck_assert_int_eq(qlog_append(q, 7, &s, 1, &pos, &why), -1);
	ck_assert_str_eq(why.code, "5.3.4");
	s.len = 0;
	ck_assert_int_eq(qlog_append(q, 7, &s, 1, &pos, &why), 0);
	must_commit(q);
	mem_free(p);
	qlog_close(&q);
	expect_seqs(0, 1, 2);
}
END_TEST

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

START_TEST(the_thread_prepares_and_releases)
{
	struct qlog_options opt = { .segment_size = SEG, .slots_keep = 2 };
	struct why why = WHY_INIT;
	struct qlog *q = qlog_open(AT_FDCWD, dir, &opt, &why);
	struct qlog_slot slots[8], done;
	size_t n;

	ck_assert_msg(q != NULL, "%s", why.text);
	for (int i = 0; i < 200; i++) {
		while (append(q, "x", 3000, NULL) < 0)
			usleep(1000);	/* no slot is ready yet */
		must_commit(q);
		n = qlog_slots(q, slots, 8);
		if (n > 2)
			ck_assert(qlog_release(q, slots[0].slot,
			    slots[0].generation));
	}
	while (qlog_releasing(q) > 0)
		if (!qlog_take_released(q, &done))
			usleep(1000);
	qlog_close(&q);
	q = must_open();
	ck_assert_uint_eq(qlog_next_seq(q), 201);
	qlog_close(&q);
}
END_TEST

/* Segment files, under their final names. */
static size_t
count_files(void)
{
	DIR *d = opendir(dir);
	struct dirent *de;
	size_t n = 0;

	while ((de = readdir(d)) != NULL)
		n += span_ends(span_of(de->d_name), SPAN(".seg")) &&
		    strncmp(de->d_name, "new.", 4) != 0;
	closedir(d);
	return n;
}

/* Fill slots until so many are in use, and release all but the last. */
static void
fill_and_release(struct qlog *q, size_t used)
{
	struct qlog_slot slots[16], done;
	size_t n;

	while ((n = qlog_slots(q, slots, 16)) < used) {
		while (append(q, "r", 6000, NULL) < 0)
			usleep(1000);	/* no slot is ready yet */
		must_commit(q);
	}
	for (size_t i = 0; i + 1 < n; i++)
		ck_assert(qlog_release(q, slots[i].slot,
		    slots[i].generation));
	while (qlog_releasing(q) > 0)
		if (!qlog_take_released(q, &done))
			usleep(1000);
}

START_TEST(slots_of_a_burst_are_kept_for_the_next)
{
	struct qlog *q = must_open();
	size_t files;

	fill_and_release(q, 8);
	files = count_files();
	ck_assert_uint_ge(files, 8);
	fill_and_release(q, 8);
	ck_assert_uint_eq(count_files(), files);
	qlog_close(&q);
}
END_TEST

START_TEST(slots_nobody_needs_go)
{
	struct qlog_options opt = { .segment_size = SEG, .slots_keep = 1,
	    .surplus_ms = 20 };
	struct why why = WHY_INIT;
	struct qlog *q = qlog_open(AT_FDCWD, dir, &opt, &why);
	uint64_t next;

	ck_assert_msg(q != NULL, "%s", why.text);
	fill_and_release(q, 10);
	/* One in use, one kept free and two more. */
	while (count_files() > 4)
		usleep(1000);
	usleep(60000);
	ck_assert_uint_eq(count_files(), 4);
	next = qlog_next_seq(q);
	qlog_close(&q);
	q = must_open();
	ck_assert_uint_eq(qlog_next_seq(q), next);
	expect_seqs(next - 1, next - 1, next - 1);
	qlog_close(&q);
}
END_TEST

/* Batches so large that new slots are not filled with zeros. */
START_TEST(large_batches)
{
	enum { LEN = 1500 << 10, SLOT = 4 << 20 };
	struct qlog_options opt = { .segment_size = SLOT, .slots_max = 8,
	    .slots_keep = 1, .no_thread = true };
	struct why why = WHY_INIT;
	struct qlog *q = qlog_open(AT_FDCWD, dir, &opt, &why);
	struct qlog_slot slots[8];
	uint64_t n = 0;

	ck_assert_msg(q != NULL, "%s", why.text);
	while (qlog_slots(q, slots, 8) < 6) {
		ck_assert_int_eq(append(q, "r", LEN, NULL), 0);
		must_commit(q);
		n++;
	}
	expect_seqs(0, 1, n);
	/* A tail in a slot that was only allocated. */
	ck_assert_int_eq(append(q, "lost", LEN, NULL), 0);
	qlog_close(&q);
	q = qlog_open(AT_FDCWD, dir, &opt, &why);
	ck_assert_msg(q != NULL, "%s", why.text);
	ck_assert_uint_eq(qlog_next_seq(q), n + 1);
	ck_assert_int_eq(append(q, "r", LEN, NULL), 0);
	must_commit(q);
	expect_seqs(0, 1, n + 1);
	for (size_t i = 0; i < 5; i++)
		ck_assert(qlog_release(q, slots[i].slot,
		    slots[i].generation));
	expect_seqs(0, slots[5].first_seq, n + 1);
	qlog_close(&q);
}
END_TEST

/* The fault comes while such a slot is made: space runs out, or worse. */
START_TEST(large_batches_with_a_fault)
{
	enum { LEN = 1500 << 10, SLOT = 4 << 20 };
	struct qlog_options opt = { .segment_size = SLOT, .slots_max = 8,
	    .slots_keep = 1, .no_thread = true };
	bool reached = true;

	for (unsigned at = 1; reached; at++) {
		struct why why = WHY_INIT;
		struct qlog *q = qlog_open(AT_FDCWD, dir, &opt, &why);
		uint64_t acked = 0;

		ck_assert_msg(q != NULL, "%s", why.text);
		fault_arm(at, _i == 0 ? EIO : ENOSPC);
		for (int i = 0; i < 5; i++) {
			if (append(q, "r", LEN, NULL) < 0 ||
			    qlog_commit(q, &why) < 0)
				break;
			acked = qlog_next_seq(q) - 1;
		}
		reached = fault_count() >= at;
		fault_arm(0, 0);
		qlog_close(&q);
		q = qlog_open(AT_FDCWD, dir, &opt, &why);
		ck_assert_msg(q != NULL, "%s", why.text);
		ck_assert_uint_ge(qlog_next_seq(q), acked + 1);
		if (acked > 0)
			expect_seqs(0, 1, qlog_next_seq(q) - 1);
		qlog_close(&q);
		ck_assert_uint_lt(at, 200);
		teardown();
		setup();
	}
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("qlog");
	TCase *t = tcase_create("qlog");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, committed_records_come_back);
	tcase_add_test(t, long_parts_are_not_copied);
	tcase_add_test(t, a_log_goes_on_where_it_was);
	tcase_add_test(t, one_writer_at_a_time);
	tcase_add_test(t, a_batch_can_gather_while_one_is_written);
	tcase_add_test(t, full_slots_are_sealed_released_and_reused);
	tcase_add_test(t, sequence_numbers_grow_though_all_is_released);
	tcase_add_test(t, limits_of_a_record);
	tcase_add_loop_test(t, a_tail_torn_at_any_byte_is_cut_off, 0, 3);
	tcase_add_test(t, later_pages_of_a_torn_batch_do_not_come_back);
	tcase_add_test(t, damage_is_told_from_a_torn_tail);
	tcase_add_test(t, a_damaged_slot_header_loses_no_record);
	tcase_add_test(t, recycled_slots_show_new_records_only);
	tcase_add_loop_test(t, the_nth_call_fails, 0, 2);
	tcase_add_test(t, the_thread_prepares_and_releases);
	tcase_add_test(t, slots_of_a_burst_are_kept_for_the_next);
	tcase_add_test(t, slots_nobody_needs_go);
	tcase_add_test(t, large_batches);
	tcase_add_loop_test(t, large_batches_with_a_fault, 0, 2);
	suite_add_tcase(s, t);
	return s;
}
