/* SPDX-License-Identifier: ISC */
/*
 * saver: a file that is replaced as a whole, also where the disk or the
 * process fails.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/fault.h"
#include "io/fd.h"
#include "io/saver.h"

static struct loop *l;
static struct saver *s;
static char dir[] = "/tmp/mansio-saver-XXXXXX";
static char path[64];
static const char *content;
static unsigned made;

static void
make(void *arg, struct buf *out)
{
	made++;
	buf_add_str(out, content);
}

static void
setup(void)
{
	ck_assert_ptr_nonnull(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/state", dir);
	l = loop_new();
	s = saver_new(l, path, 0600, 50, make, NULL);
	made = 0;
}

static void
teardown(void)
{
	char *cmd;

	saver_free(&s);
	loop_free(&l);
	ck_assert_int_gt(asprintf(&cmd, "rm -r %s", dir), 0);
	ck_assert_int_eq(system(cmd), 0);
	free(cmd);
}

static void
stop(void *arg)
{
	loop_stop(l);
}

static void
run_for(int64_t ms)
{
	struct loop_timer *t = loop_timer_new(l, stop, NULL);

	loop_timer_set(t, ms);
	loop_run(l);
	loop_timer_free(&t);
}

static bool
file_is(const char *want)
{
	struct buf b = BUF_INIT(1 << 20);
	bool same = fd_read_file(AT_FDCWD, path, &b) == 0 &&
	    strcmp(b.data, want) == 0;

	buf_fini(&b);
	return same;
}

START_TEST(changes_are_gathered)
{
	struct stat st;

	content = "one\n";
	for (int i = 0; i < 100; i++)
		saver_changed(s);
	ck_assert_uint_eq(made, 0);
	while (!file_is("one\n"))
		run_for(10);
	ck_assert_uint_eq(made, 1);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	run_for(120);
	ck_assert_uint_eq(made, 1);	/* nothing has changed */
	content = "two\n";
	saver_changed(s);
	while (!file_is("two\n"))
		run_for(10);
}
END_TEST

START_TEST(the_end_waits_for_nothing)
{
	content = "last\n";
	saver_flush(s);
	ck_assert_uint_eq(made, 0);	/* nothing has changed */
	saver_changed(s);
	saver_flush(s);
	ck_assert(file_is("last\n"));
	content = "later\n";
	saver_changed(s);
	saver_free(&s);
	ck_assert(file_is("later\n"));
}
END_TEST

START_TEST(a_full_disk_leaves_the_old_file)
{
	content = "old\n";
	saver_changed(s);
	saver_flush(s);
	content = "new\n";
	for (unsigned n = 1; ; n++) {
		saver_changed(s);
		fault_arm(n, ENOSPC);
		saver_flush(s);
		if (fault_count() < n)
			break;
		fault_arm(0, 0);
		/* Its own sync, or the directory's, may come too late. */
		ck_assert(file_is("old\n") || file_is("new\n"));
		ck_assert_uint_lt(n, 20);
	}
	fault_arm(0, 0);
	ck_assert(file_is("new\n"));
}
END_TEST

START_TEST(a_crash_leaves_the_old_file_or_the_new)
{
	bool died = true;

	content = "old\n";
	saver_changed(s);
	saver_flush(s);
	for (unsigned n = 1; died; n++) {
		int status;
		pid_t pid = fork();

		ck_assert_int_ge(pid, 0);
		if (pid == 0) {
			content = "new\n";
			saver_changed(s);
			fault_arm(n, FAULT_KILL);
			saver_flush(s);
			_exit(0);
		}
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		died = !WIFEXITED(status) || WEXITSTATUS(status) != 0;
		ck_assert(file_is("old\n") || file_is("new\n"));
		ck_assert_uint_lt(n, 20);
	}
	ck_assert(file_is("new\n"));
}
END_TEST

Suite *
suite(void)
{
	Suite *su = suite_create("saver");
	TCase *t = tcase_create("saver");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, changes_are_gathered);
	tcase_add_test(t, the_end_waits_for_nothing);
	tcase_add_test(t, a_full_disk_leaves_the_old_file);
	tcase_add_test(t, a_crash_leaves_the_old_file_or_the_new);
	suite_add_tcase(su, t);
	return su;
}
