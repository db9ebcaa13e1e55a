/* SPDX-License-Identifier: ISC */
/*
 * store: every format keeps the promises of store.h, also when any call
 * fails, when the process dies at any call, and when the power went.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sys/mount.h>

#include "io/fd.h"
#include "tests/unit/store/store_test.h"

START_TEST(what_goes_in_comes_out)
{
	struct store_place p = place(_i);
	struct store *s = open_store();
	struct why why = WHY_INIT;

	for (int n = 0; n < 5; n++)
		ck_assert_msg(give(s, &p, n, 4000, false, &why) == 0, "%s",
		    why.text);
	ck_assert(store_dirty(s));
	store_settle(s);
	for (int n = 0; n < 5; n++)
		ck_assert_int_eq(count(&p, n, 5, 4000), 1);
	struct store_sync *y = store_sync_begin(s);
	ck_assert_int_eq(store_sync_run(y, &why), 0);
	store_sync_free(&y);
	ck_assert(!store_dirty(s));
	store_free(&s);
}
END_TEST

START_TEST(large_messages)
{
	struct store_place p = place(_i);
	struct store *s = open_store();
	struct why why = WHY_INIT;

	for (int n = 0; n < 2; n++)
		ck_assert_int_eq(give(s, &p, n, 3500000, false, &why), 0);
	ck_assert_int_eq(give(s, &p, 1, 3500000, true, &why), 1);
	store_settle(s);
	ck_assert_int_eq(count(&p, 0, 2, 3500000), 1);
	ck_assert_int_eq(count(&p, 1, 2, 3500000), 1);
	store_free(&s);
}
END_TEST

/* Small ones between them: what is written past the cache meets pages that
 * are in it. */
START_TEST(large_and_small_messages)
{
	static const size_t sizes[] = { 500, 130000, 1, 131072, 400, 5000,
	    700001, 900000, 300, 1 << 20, (1 << 20) - 4000, 3500000, 17,
	    2500000, 140000, 140001 };
	struct buf got = BUF_INIT(BUF_UNLIMITED), want = BUF_INIT(BUF_UNLIMITED);
	int n = (int)(sizeof(sizes) / sizeof(sizes[0]));
	struct store_place p = place(_i);
	struct store *s = open_store();
	struct why why = WHY_INIT;
	struct store_box *b;

	for (int i = 0; i < n; i++)
		ck_assert_int_eq(give(s, &p, i, sizes[i], false, &why), 0);
	for (int i = 0; i < n; i++)
		ck_assert_int_eq(give(s, &p, i, sizes[i], true, &why), 1);
	store_settle(s);
	b = store_box_open(&p, &why);
	ck_assert_uint_eq(store_box_count(b), (size_t)n);
	for (int i = 0; i < n; i++) {
		bool found = false;

		expected(p.format, i, sizes[i], &want);
		for (size_t k = 0; k < (size_t)n && !found; k++) {
			buf_reset(&got);
			ck_assert_int_eq(store_box_read(b, k, &got, &why), 0);
			found = span_eq(buf_span(&got), buf_span(&want));
		}
		ck_assert_msg(found, "message %d of %zu bytes", i, sizes[i]);
	}
	store_box_close(&b);
	buf_fini(&got);
	buf_fini(&want);
	store_free(&s);
}
END_TEST

START_TEST(again_stores_once)
{
	struct store_place p = place(_i);
	struct store *s = open_store();
	struct why why = WHY_INIT;

	for (int n = 0; n < 3; n++)
		ck_assert_int_eq(give(s, &p, n, 500, false, &why), 0);
	ck_assert_int_eq(give(s, &p, 1, 500, true, &why), 1);
	/* Also for another process. */
	store_free(&s);
	s = open_store();
	ck_assert_int_eq(give(s, &p, 2, 500, true, &why), 1);
	ck_assert_int_eq(give(s, &p, 3, 500, true, &why), 0);
	ck_assert_int_eq(give(s, &p, 3, 500, true, &why), 1);
	store_settle(s);
	for (int n = 0; n < 4; n++)
		ck_assert_int_eq(count(&p, n, 4, 500), 1);
	store_free(&s);
}
END_TEST

/* Two processes have the same: the one that was asked by a qmgr that is dead
 * goes on with its batch when the other one is done. */
START_TEST(who_is_late_finds_what_is_there)
{
	struct store_place p = place(_i);
	struct store *first = open_store(), *second = open_store();
	struct why why = WHY_INIT;

	is_stale = false;
	ck_assert_int_eq(give(first, &p, 0, 500, false, &why), 0);
	store_settle(first);
	/* qmgr dies, and the next one gives all of it to second. */
	is_stale = true;
	ck_assert_int_eq(give(second, &p, 0, 500, true, &why), 1);
	ck_assert_int_eq(give(second, &p, 1, 500, true, &why), 0);
	store_settle(second);
	for (int n = 1; n < 3; n++)
		ck_assert_int_eq(give(first, &p, n, 500, false, &why), n == 1);
	store_settle(first);
	for (int n = 0; n < 3; n++)
		ck_assert_int_eq(count(&p, n, 3, 500), 1);
	is_stale = false;
	store_free(&first);
	store_free(&second);
}
END_TEST

START_TEST(a_failing_call_leaves_nothing)
{
	struct store_place p = place(_i);
	struct why why = WHY_INIT;
	int errs[] = { ENOSPC, EIO };

	for (int e = 0; e < 2; e++) {
		for (unsigned n = 1; n < 40; n++) {
			struct store *s = open_store();
			int rc, one = 10 + e * 40 + (int)n;

			/* The first one makes the mailbox. */
			if (n % 2)
				ck_assert_int_ge(give(s, &p, 0, 9000, true,
				    &why), 0);
			fault_arm(n, errs[e]);
			rc = give(s, &p, one, 9000, false, &why);
			bool reached = fault_count() >= n;
			fault_arm(0, 0);
			store_settle(s);
			ck_assert_int_eq(count(&p, one, 100, 9000), rc == 0);
			if (rc < 0)
				ck_assert_int_eq(why.code[0], '4');
			/* The next writer finds a good mailbox. */
			ck_assert_msg(give(s, &p, 2, 9000, true, &why) >= 0,
			    "%s", why.text);
			store_settle(s);
			ck_assert_int_eq(count(&p, 2, 100, 9000), 1);
			store_free(&s);
			if (!reached)
				break;
		}
	}
}
END_TEST

START_TEST(a_killed_writer_is_repaired)
{
	struct store_place p = place(_i);
	struct why why = WHY_INIT;

	for (unsigned n = 1; n < 40; n++) {
		struct store *s;
		int status, rc;
		pid_t pid = fork();

		if (pid == 0) {
			s = open_store();
			(void)give(s, &p, 0, 9000, true, &why);
			fault_arm(n, FAULT_KILL);
			rc = give(s, &p, (int)n, 9000, false, &why);
			_exit(rc == 0 ? 0 : 1);
		}
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		/* A lock that had not got its writer's name yet lasts for
		 * stale_lock_time. */
		char cmd[200];
		snprintf(cmd, sizeof(cmd), "cd '%s/user' && test -f mbox.lock "
		    "&& ! grep -q test mbox.lock && rm -f mbox.lock; true",
		    dir);
		ck_assert_int_eq(system(cmd), 0);
		/* First somebody else's mail, then the repetition. */
		s = open_store();
		ck_assert_msg(give(s, &p, 100 + (int)n, 9000, false,
		    &why) == 0, "%s", why.text);
		rc = give(s, &p, (int)n, 9000, true, &why);
		ck_assert_msg(rc >= 0, "%s", why.text);
		store_settle(s);
		ck_assert_int_eq(count(&p, (int)n, 140, 9000), 1);
		ck_assert_int_eq(count(&p, 100 + (int)n, 140, 9000), 1);
		ck_assert_int_eq(count(&p, 0, 140, 9000), 1);
		store_free(&s);
		if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
			return;
	}
	ck_abort_msg("no end");
}
END_TEST

START_TEST(writers_at_the_same_time)
{
	struct store_place p = place(_i);
	struct why why = WHY_INIT;
	int status;

	for (int w = 0; w < 4; w++) {
		if (fork() == 0) {
			struct store_options o = {
				.open_max = 2, .hostname = "h",
				.lock_attempts = 1000, .lock_delay_ms = 2,
				.stale_lock_s = 500,
			};
			struct store *s = store_new(&o);

			/* A content file of its own. */
			char sub[80];
			snprintf(sub, sizeof(sub), "%s/w%d", dir, w);
			mkdir(sub, 0700);
			p.base = mem_strdup(dir);
			memcpy(dir, sub, sizeof(dir) - 1);
			for (int n = 0; n < 25; n++) {
				if (give(s, &p, w * 25 + n, 300, false,
				    &why) != 0)
					_exit(1);
				store_settle(s);
			}
			_exit(0);
		}
	}
	for (int w = 0; w < 4; w++) {
		ck_assert_int_gt(wait(&status), 0);
		ck_assert_int_eq(status, 0);
	}
	for (int n = 0; n < 100; n++)
		ck_assert_int_eq(count(&p, n, 100, 300), 1);
	if (p.format == STORE_PACKED) {
		struct store_box *b = store_box_open(&p, &why);

		for (size_t i = 0; i < 100; i++)
			ck_assert_int_eq(store_box_item(b, i)->uid, i + 1);
		store_box_close(&b);
	}
}
END_TEST

START_TEST(links_are_not_followed_out)
{
	struct store_place p = place(_i);
	struct store *s = open_store();
	struct why why = WHY_INIT;
	char path[160], out[160];
	struct stat st;

	/* user -> another directory, outside of base */
	snprintf(path, sizeof(path), "%s/home", dir);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	p.base = path;
	snprintf(out, sizeof(out), "%s/outside", dir);
	ck_assert_int_eq(mkdir(out, 0700), 0);
	char lnk[200];
	snprintf(lnk, sizeof(lnk), "%s/user", path);
	ck_assert_int_eq(symlink(out, lnk), 0);
	ck_assert_int_eq(give(s, &p, 0, 100, false, &why), -1);
	ck_assert_str_eq(why.code, "4.2.0");
	/* ... also with a relative one */
	ck_assert_int_eq(unlink(lnk), 0);
	ck_assert_int_eq(symlink("../outside", lnk), 0);
	ck_assert_int_eq(give(s, &p, 0, 100, false, &why), -1);
	snprintf(lnk, sizeof(lnk), "%s/outside/%s", dir,
	    strchr(all[_i].path, '/') + 1);
	ck_assert_int_lt(lstat(lnk, &st), 0);
	store_free(&s);
}
END_TEST

START_TEST(the_file_is_no_link)
{
	struct store_place p = place(1);
	struct store *s = open_store();
	struct why why = WHY_INIT;
	char path[160], other[160];

	snprintf(path, sizeof(path), "%s/user", dir);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/user/mbox", dir);
	snprintf(other, sizeof(other), "%s/victim", dir);
	close(open(other, O_CREAT | O_WRONLY, 0600));
	ck_assert_int_eq(symlink("../victim", path), 0);
	ck_assert_int_eq(give(s, &p, 0, 100, false, &why), -1);
	unlink(path);
	ck_assert_int_eq(link(other, path), 0);
	ck_assert_int_eq(give(s, &p, 0, 100, false, &why), -1);
	ck_assert_ptr_nonnull(strstr(why.text, "more than one link"));
	unlink(path);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(give(s, &p, 0, 100, false, &why), -1);
	store_free(&s);
}
END_TEST

START_TEST(a_full_mbox_says_so)
{
	struct store_place p = place(1);
	struct store *s = open_store();
	struct why why = WHY_INIT;

	p.size_limit = 10000;
	ck_assert_int_eq(give(s, &p, 0, 6000, false, &why), 0);
	ck_assert_int_eq(give(s, &p, 1, 6000, false, &why), -1);
	ck_assert_str_eq(why.code, "4.2.2");
	ck_assert_int_eq(give(s, &p, 1, 60000, false, &why), -1);
	ck_assert_str_eq(why.code, "5.2.2");
	ck_assert_int_eq(count(&p, 0, 1, 6000), 1);
	store_free(&s);
}
END_TEST

START_TEST(a_full_disk_defers)
{
	struct store_place p = place(_i);
	struct store *s;
	struct why why = WHY_INIT;
	char mnt[100];
	int n, rc = 0;

	snprintf(mnt, sizeof(mnt), "%s/full", dir);
	ck_assert_int_eq(mkdir(mnt, 0700), 0);
	if (mount("none", mnt, "tmpfs", 0, "size=256k") < 0) {
		fprintf(stderr, "skip: a full disk: cannot mount a tmpfs\n");
		return;
	}
	s = open_store();
	p.base = mnt;
	for (n = 0; n < 100 && rc == 0; n++)
		rc = give(s, &p, n, 20000, false, &why);
	store_settle(s);
	ck_assert_int_lt(n, 100);
	ck_assert_str_eq(why.code, "4.3.1");
	for (int k = 0; k < n; k++)
		ck_assert_int_eq(count(&p, k, n, 20000), k < n - 1);
	store_free(&s);
	ck_assert_int_eq(umount2(mnt, MNT_DETACH), 0);
}
END_TEST

START_TEST(a_mailbox_that_was_removed_is_made_again)
{
	struct store_place p = place(_i);
	struct store *s = open_store();
	struct why why = WHY_INIT;
	char cmd[160];

	ck_assert_int_eq(give(s, &p, 0, 100, false, &why), 0);
	store_settle(s);
	snprintf(cmd, sizeof(cmd), "rm -rf '%s/user'", dir);
	ck_assert_int_eq(system(cmd), 0);
	ck_assert_msg(give(s, &p, 1, 100, false, &why) == 0, "%s", why.text);
	store_settle(s);
	ck_assert_int_eq(count(&p, 0, 2, 100), 0);
	ck_assert_int_eq(count(&p, 1, 2, 100), 1);
	store_free(&s);
}
END_TEST

START_TEST(a_mailbox_that_was_moved_away_gets_no_more)
{
	struct store_place p = place(_i);
	struct store *s = open_store();
	struct why why = WHY_INIT;
	char cmd[200];

	ck_assert_int_eq(give(s, &p, 0, 100, false, &why), 0);
	store_settle(s);
	snprintf(cmd, sizeof(cmd), "cp -a '%s/user' '%s/backup'", dir, dir);
	ck_assert_int_eq(system(cmd), 0);
	ck_assert_int_eq(give(s, &p, 1, 100, false, &why), 0);
	store_settle(s);
	snprintf(cmd, sizeof(cmd), "cd '%s' && mv user old && mv backup user",
	    dir);
	ck_assert_int_eq(system(cmd), 0);
	/* At once: no time that a look at the path may be left out for. */
	ck_assert_msg(give(s, &p, 2, 100, false, &why) == 0, "%s", why.text);
	store_settle(s);
	for (int n = 0; n < 3; n++)
		ck_assert_int_eq(count(&p, n, 3, 100), n != 1);
	store_free(&s);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("store");
	TCase *t = tcase_create("formats");
	size_t n = ARRAY_LEN(all);

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, what_goes_in_comes_out, 0, (int)n);
	tcase_add_loop_test(t, large_messages, 0, (int)n);
	tcase_add_loop_test(t, large_and_small_messages, 0, (int)n);
	tcase_add_loop_test(t, again_stores_once, 0, (int)n);
	tcase_add_loop_test(t, who_is_late_finds_what_is_there, 0, (int)n);
	tcase_add_loop_test(t, a_failing_call_leaves_nothing, 0, (int)n);
	tcase_add_loop_test(t, a_killed_writer_is_repaired, 0, (int)n);
	tcase_add_loop_test(t, writers_at_the_same_time, 0, (int)n);
	tcase_add_loop_test(t, links_are_not_followed_out, 0, (int)n);
	tcase_add_loop_test(t, a_full_disk_defers, 0, (int)n);
	tcase_add_loop_test(t, a_mailbox_that_was_removed_is_made_again, 0,
	    (int)n);
	tcase_add_loop_test(t, a_mailbox_that_was_moved_away_gets_no_more, 0,
	    (int)n);
	tcase_add_test(t, the_file_is_no_link);
	tcase_add_test(t, a_full_mbox_says_so);
	suite_add_tcase(s, t);
	return s;
}
