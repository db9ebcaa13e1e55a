/* SPDX-License-Identifier: ISC */
/*
 * qlog: what was committed comes back, in order, and slots are used again.
 * What a crash or a fault leaves is in test_qlog_crash.c.
 */
#include "tests/unit/queue/qlog_test.h"

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
	tcase_add_test(t, the_thread_prepares_and_releases);
	tcase_add_test(t, slots_of_a_burst_are_kept_for_the_next);
	tcase_add_test(t, slots_nobody_needs_go);
	tcase_add_test(t, large_batches);
	tcase_add_loop_test(t, large_batches_with_a_fault, 0, 2);
	suite_add_tcase(s, t);
	return s;
}
