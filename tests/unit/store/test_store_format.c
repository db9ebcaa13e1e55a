/* SPDX-License-Identifier: ISC */
/*
 * store: what only one format has: mbox's locks and quoted lines, the packed
 * format's journal, what a power cut leaves of either.
 */
#include "io/fd.h"
#include "tests/unit/store/store_test.h"

START_TEST(mbox_takes_the_locks)
{
	struct store_place p = place(1);
	struct store *s = open_store();
	struct why why = WHY_INIT;
	char lock[160];
	struct stat st;

	ck_assert_int_eq(give(s, &p, 0, 100, false, &why), 0);
	snprintf(lock, sizeof(lock), "%s/user/mbox.lock", dir);
	ck_assert_int_lt(stat(lock, &st), 0);
	close(open(lock, O_CREAT | O_WRONLY, 0600));
	ck_assert_int_eq(give(s, &p, 1, 100, false, &why), -1);
	ck_assert_str_eq(why.code, "4.2.0");
	/* One that is older than stale_lock_time is nobody's. */
	struct timespec old[2] = { { 1, 0 }, { 1, 0 } };
	ck_assert_int_eq(utimensat(AT_FDCWD, lock, old, 0), 0);
	ck_assert_int_eq(give(s, &p, 1, 100, false, &why), 0);
	ck_assert_int_lt(stat(lock, &st), 0);
	store_free(&s);
}
END_TEST

/* Killed at any call of making the lock: what is left blocks nobody. */
START_TEST(mbox_lock_of_a_killed_writer_is_nobodys)
{
	struct store_place p = place(1);
	struct store *s;
	struct why why = WHY_INIT;
	char lock[160];
	struct stat st;
	unsigned left = 0;

	snprintf(lock, sizeof(lock), "%s/user/mbox.lock", dir);
	for (unsigned n = 1; n < 12; n++) {
		pid_t pid = fork();
		int status;

		if (pid == 0) {
			s = open_store();
			fault_arm(n, FAULT_KILL);
			(void)give(s, &p, (int)n, 100, false, &why);
			_exit(0);
		}
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		if (stat(lock, &st) == 0) {
			left++;
			ck_assert_int_gt(st.st_size, 0);
		}
		s = open_store();
		ck_assert_msg(give(s, &p, 100 + (int)n, 100, false, &why) == 0,
		    "%u: %s", n, why.text);
		ck_assert_int_lt(stat(lock, &st), 0);
		store_free(&s);
		if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
			break;
	}
	ck_assert_uint_gt(left, 0);
}
END_TEST

static const struct {
	const char	*in, *want;
} quotes[] = {
	{ "From x\n",		">From x\n\n" },
	{ "From",		"From\n\n" },
	{ "From \n",		">From \n\n" },
	{ " From x\n",		" From x\n\n" },
	{ "a\nFrom b\nFro\n",	"a\n>From b\nFro\n\n" },
	{ ">From x\n",		">From x\n\n" },
	{ "Fr\nFrom\n\nFrom z",	"Fr\nFrom\n\n>From z\n\n" },
	{ "",			"\n" },
	{ "F",			"F\n\n" },
	{ "FFrom x\n",		"FFrom x\n\n" },
	{ "FrFrom x\n",		"FrFrom x\n\n" },
	{ "a",			"a\n\n" },
};

START_TEST(from_is_quoted_in_pieces_of_any_size)
{
	struct buf out = BUF_INIT(BUF_UNLIMITED);
	struct span in = span_of(quotes[_i].in);

	for (size_t step = 1; step <= in.len + 1; step++) {
		struct mbox_quoter q = { 0 };

		buf_reset(&out);
		for (size_t i = 0; i < in.len; i += step)
			mbox_quote(&q, span_sub(in, i, step), &out);
		mbox_quote_end(&q, &out);
		ck_assert_str_eq(out.data, quotes[_i].want);
	}
	buf_fini(&out);
}
END_TEST

START_TEST(a_nul_cannot_feign_a_half)
{
	struct buf out = BUF_INIT(BUF_UNLIMITED);
	struct mbox_quoter q = { 0 };

	mbox_quote(&q, SPAN("x\n\0rom y\n"), &out);
	mbox_quote_end(&q, &out);
	ck_assert(span_eq(buf_span(&out), SPAN("x\n>\0rom y\n\n")));
	ck_assert_int_eq(mbox_find_half(buf_span(&out), 0), -1);
	ck_assert_int_eq(mbox_find_half(SPAN("From a\nb\n\n\0rom z\nx"), 0),
	    10);
	ck_assert_int_eq(mbox_find_half(SPAN("From a\nb\n\n\0"), 0), 10);
	ck_assert_int_eq(mbox_find_half(SPAN("\0rom z\nFrom a\n"), 0), -1);
	ck_assert_int_eq(mbox_find_half(SPAN("\0rom z\nrom a\n"), 0), 0);
	ck_assert_int_eq(mbox_find_half(SPAN("\0rom z\nrom a\n"), 5), -1);
	buf_fini(&out);
}
END_TEST

START_TEST(the_half_is_found_far_from_the_end)
{
	struct store_place p = place(1);
	struct store *s = open_store();
	struct why why = WHY_INIT;
	char path[160];
	struct stat before, after;

	ck_assert_int_eq(give(s, &p, 0, 1000, false, &why), 0);
	snprintf(path, sizeof(path), "%s/user/mbox", dir);
	ck_assert_int_eq(stat(path, &before), 0);
	int fd = open(path, O_WRONLY | O_APPEND);
	ck_assert_int_eq(write(fd, "\0rom x\n", 7), 7);
	for (int i = 0; i < 40000; i++)
		ck_assert_int_eq(write(fd, "some line or other\n", 19), 19);
	close(fd);
	ck_assert_int_eq(give(s, &p, 1, 1000, false, &why), 0);
	ck_assert_int_eq(stat(path, &after), 0);
	ck_assert_int_lt(after.st_size, before.st_size + 1500);
	ck_assert_int_eq(count(&p, 0, 2, 1000), 1);
	ck_assert_int_eq(count(&p, 1, 2, 1000), 1);
	store_free(&s);
}
END_TEST

START_TEST(maildir_replaces_what_the_power_cut_damaged)
{
	struct store_place p = place(0);
	struct store *s = open_store();
	struct why why = WHY_INIT;
	char cmd[300];

	ck_assert_int_eq(give(s, &p, 0, 5000, false, &why), 0);
	snprintf(cmd, sizeof(cmd), "truncate -s 100 '%s'/user/Maildir/new/*",
	    dir);
	ck_assert_int_eq(system(cmd), 0);
	ck_assert_int_eq(give(s, &p, 0, 5000, true, &why), 0);
	ck_assert_int_eq(count(&p, 0, 1, 5000), 1);
	/* Read meanwhile: it lies in cur, with flags. */
	snprintf(cmd, sizeof(cmd), "cd '%s/user/Maildir/new' && for f in *; "
	    "do mv \"$f\" \"../cur/$f:2,S\"; done", dir);
	ck_assert_int_eq(system(cmd), 0);
	ck_assert_int_eq(give(s, &p, 0, 5000, true, &why), 1);
	ck_assert_int_eq(count(&p, 0, 1, 5000), 1);
	store_free(&s);
}
END_TEST

static void
epoch(const char *e)
{
	ck_assert_int_eq(setenv("MANSIO_STORE_EPOCH", e, 1), 0);
}

START_TEST(packed_power_cut)
{
	struct store_place p = place(2);
	struct why why = WHY_INIT;
	struct store_box *b;
	struct store *s;
	char cmd[300];
	struct stat st;

	epoch("one");
	s = open_store();
	for (int n = 0; n < 4; n++)
		ck_assert_int_eq(give(s, &p, n, 2000, false, &why), 0);
	store_free(&s);
	/*
	 * The journal is there; of the message bytes 2 and 3 are lost, and
	 * the file is too short.
	 */
	snprintf(cmd, sizeof(cmd), "truncate -s 4500 "
	    "'%s/user/packed/00000001.seg'", dir);
	ck_assert_int_eq(system(cmd), 0);
	epoch("two");
	s = open_store();
	/* A new message first: it must not lie where the lost ones go. */
	ck_assert_int_eq(give(s, &p, 4, 2000, false, &why), 0);
	for (int n = 0; n < 4; n++)
		ck_assert_int_eq(give(s, &p, n, 2000, true, &why), 1);
	store_settle(s);
	for (int n = 0; n < 5; n++)
		ck_assert_int_eq(count(&p, n, 5, 2000), 1);
	b = store_box_open(&p, &why);
	ck_assert_int_eq(store_box_item(b, 3)->uid, 4);
	ck_assert_int_ge(store_box_item(b, 4)->uid, PACKED_UID_STEP);
	store_box_close(&b);
	store_free(&s);

	/* Now the journal lost its last records, which readers had seen. */
	snprintf(cmd, sizeof(cmd), "%s/user/packed/00000001.jrn", dir);
	ck_assert_int_eq(stat(cmd, &st), 0);
	ck_assert_int_eq(truncate(cmd, st.st_size - 20), 0);
	epoch("three");
	s = open_store();
	ck_assert_int_eq(give(s, &p, 5, 2000, false, &why), 0);
	ck_assert_int_eq(give(s, &p, 4, 2000, true, &why), 0);
	store_settle(s);
	b = store_box_open(&p, &why);
	ck_assert_uint_eq(store_box_count(b), 6);
	ck_assert_int_ge(store_box_item(b, 4)->uid, 2 * PACKED_UID_STEP);
	store_box_close(&b);
	for (int n = 0; n < 6; n++)
		ck_assert_int_eq(count(&p, n, 6, 2000), 1);
	store_free(&s);
	unsetenv("MANSIO_STORE_EPOCH");
}
END_TEST

START_TEST(packed_journal_is_rebuilt)
{
	struct store_place p = place(2);
	struct why why = WHY_INIT;
	struct store *s = open_store();
	struct store_box *b;
	uint32_t valid;
	char path[200];
	int fd;

	for (int n = 0; n < 4; n++)
		ck_assert_int_eq(give(s, &p, n, 700, false, &why), 0);
	store_free(&s);
	b = store_box_open(&p, &why);
	valid = store_box_uidvalidity(b);
	store_box_close(&b);
	snprintf(path, sizeof(path), "%s/user/packed/00000001.jrn", dir);
	for (int turn = 0; turn < 2; turn++) {
		if (turn == 0) {
			ck_assert_int_eq(unlink(path), 0);
		} else {
			fd = open(path, O_WRONLY);
			ck_assert_int_eq(write(fd, "garbage!", 8), 8);
			close(fd);
		}
		s = open_store();
		ck_assert_msg(give(s, &p, 4 + turn, 700, false, &why) == 0,
		    "%s", why.text);
		store_free(&s);
		for (int n = 0; n < 5 + turn; n++)
			ck_assert_int_eq(count(&p, n, 6, 700), 1);
		b = store_box_open(&p, &why);
		ck_assert_int_eq(store_box_uidvalidity(b), valid);
		for (size_t i = 0; i < 4; i++)
			ck_assert_int_eq(store_box_item(b, i)->uid, i + 1);
		ck_assert_int_gt(store_box_item(b, 4)->uid, PACKED_UID_STEP);
		store_box_close(&b);
	}
}
END_TEST

START_TEST(packed_goes_on_behind_damage)
{
	struct store_place p = place(2);
	struct why why = WHY_INIT;
	struct store *s = open_store();
	struct store_box *b;
	char path[200];
	int fd;

	for (int n = 0; n < 4; n++)
		ck_assert_int_eq(give(s, &p, n, 700, false, &why), 0);
	store_free(&s);
	snprintf(path, sizeof(path), "%s/user/packed/00000001.jrn", dir);
	fd = open(path, O_WRONLY);
	ck_assert_int_eq(pwrite(fd, "\0\0\0\0\0\0\0\0\0", 9,
	    PACKED_START + 130), 9);
	close(fd);
	s = open_store();
	ck_assert_int_eq(give(s, &p, 4, 700, false, &why), 0);
	/* The one whose record is gone comes again, under a new UID. */
	ck_assert_int_eq(give(s, &p, 1, 700, true, &why), 0);
	ck_assert_int_eq(give(s, &p, 2, 700, true, &why), 1);
	store_settle(s);
	for (int n = 0; n < 5; n++)
		ck_assert_int_eq(count(&p, n, 5, 700), 1);
	b = store_box_open(&p, &why);
	ck_assert_uint_eq(store_box_count(b), 5);
	store_box_close(&b);
	store_free(&s);
}
END_TEST

START_TEST(uids_are_reserved_before_they_are_used)
{
	struct store_place p = place(2);
	struct why why = WHY_INIT;
	struct packed_head h;
	struct store *s = open_store();
	uint8_t raw[PACKED_START];
	char path[200];
	int fd;

	for (int n = 0; n < PACKED_UID_STEP + 10; n++)
		ck_assert_int_eq(give(s, &p, n, 10, false, &why), 0);
	store_settle(s);
	snprintf(path, sizeof(path), "%s/user/packed/00000001.jrn", dir);
	fd = open(path, O_RDONLY);
	ck_assert_int_eq(read(fd, raw, sizeof(raw)), sizeof(raw));
	close(fd);
	ck_assert_int_eq(packed_head_decode(&h, span_make(raw, sizeof(raw))),
	    0);
	ck_assert_int_gt(h.state.reserved, PACKED_UID_STEP + 10);
	store_free(&s);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("store_format");
	TCase *t = tcase_create("one format");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, mbox_takes_the_locks);
	tcase_add_test(t, mbox_lock_of_a_killed_writer_is_nobodys);
	tcase_add_loop_test(t, from_is_quoted_in_pieces_of_any_size, 0,
	    (int)ARRAY_LEN(quotes));
	tcase_add_test(t, a_nul_cannot_feign_a_half);
	tcase_add_test(t, the_half_is_found_far_from_the_end);
	tcase_add_test(t, maildir_replaces_what_the_power_cut_damaged);
	tcase_add_test(t, packed_power_cut);
	tcase_add_test(t, packed_journal_is_rebuilt);
	tcase_add_test(t, packed_goes_on_behind_damage);
	tcase_add_test(t, uids_are_reserved_before_they_are_used);
	suite_add_tcase(s, t);
	return s;
}
