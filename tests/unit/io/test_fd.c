/* SPDX-License-Identifier: ISC */
/*
 * fd and fault: whole writes, small files replaced, opening what an enemy has
 * prepared, and the nth call failing.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/fault.h"
#include "io/fd.h"

static char *dir;

static void
setup(void)
{
	dir = mem_strdup("/tmp/mansio-fd-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(chdir(dir), 0);
}

static void
teardown(void)
{
	DIR *d = opendir(".");
	struct dirent *e;

	fault_arm(0, 0);
	while ((e = readdir(d)) != NULL)
		(void)!unlinkat(AT_FDCWD, e->d_name, 0);
	closedir(d);
	(void)!rmdir("a/b/c");
	(void)!rmdir("a/b");
	(void)!rmdir("a");
	(void)!chdir("/");
	rmdir(dir);
	mem_free(dir);
}

/* The content of a file, to mem_free(); NULL when there is none. */
static char *
content(const char *path)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);

	if (fd_read_file(AT_FDCWD, path, &b) < 0)
		return NULL;
	return buf_take(&b);
}

static void
check_content(const char *path, const char *want)
{
	char *got = content(path);

	ck_assert_pstr_eq(got, want);
	mem_free(got);
}

static void
put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	ck_assert_int_eq(fd_write_all(fd, text, strlen(text)), 0);
	close(fd);
}

START_TEST(a_file_is_read_up_to_the_limit)
{
	struct buf b = BUF_INIT(10);

	put("x", "0123456789");
	ck_assert_int_eq(fd_read_file(AT_FDCWD, "x", &b), 0);
	ck_assert_str_eq(b.data, "0123456789");
	buf_reset(&b);
	put("x", "0123456789a");
	ck_assert_int_eq(fd_read_file(AT_FDCWD, "x", &b), -1);
	ck_assert_int_eq(errno, EFBIG);
	ck_assert_uint_eq(b.len, 0);
	put("x", "");
	ck_assert_int_eq(fd_read_file(AT_FDCWD, "x", &b), 0);
	ck_assert_int_eq(fd_read_file(AT_FDCWD, "y", &b), -1);
	ck_assert_int_eq(errno, ENOENT);
	buf_fini(&b);
	b = BUF_INIT(BUF_UNLIMITED);
	/* A size that is not known before. */
	ck_assert_int_eq(fd_read_file(AT_FDCWD, "/proc/self/status", &b), 0);
	ck_assert_uint_gt(b.len, 100);
	buf_fini(&b);
}
END_TEST

START_TEST(reading_past_the_end_is_an_error)
{
	char b[8];
	int fd;

	put("x", "0123");
	fd = open("x", O_RDONLY);
	ck_assert_int_eq(fd_pread_all(fd, b, 4, 0), 0);
	ck_assert_int_eq(fd_pread_all(fd, b, 4, 1), -1);
	ck_assert_int_eq(errno, EPIPE);
	ck_assert_int_eq(fd_read_all(fd, b, 5), -1);
	ck_assert_int_eq(errno, EPIPE);
	fd_close(&fd);
	ck_assert_int_eq(fd, -1);
	fd_close(&fd);
}
END_TEST

START_TEST(vectors_are_written_whole)
{
	struct iovec iov[5] = {
		{ (char[]){ "ab" }, 2 }, { NULL, 0 }, { (char[]){ "c" }, 1 },
		{ (char[]){ "def" }, 3 }, { NULL, 0 },
	};
	int fd = open("x", O_RDWR | O_CREAT, 0600);

	ck_assert_int_eq(fd_pwritev_all(fd, iov, 5, 1), 0);
	ck_assert_int_eq(fd_pwrite_all(fd, "_", 1, 0), 0);
	close(fd);
	check_content("x", "_abcdef");
}
END_TEST

/*
 * Around pages that lie in memory as in the file, or not (_i % 2), at places
 * in a page: what comes out is the same.
 */
START_TEST(what_is_written_out_is_whole)
{
	enum { LEN = 300000, ROOM = (LEN / FD_PAGE + 4) * FD_PAGE };
	static const size_t places[] = { 0, 1, 17, 2048, 4095, 4096, 9000 };
	size_t at = places[_i / 2], len = at + 3 + LEN + 5;
	char *mem = aligned_alloc(FD_PAGE, ROOM), *got = mem_alloc(len + 1);
	char *body = mem + (at + 3 + (size_t)_i % 2) % FD_PAGE;
	struct iovec iov[] = { { (char[]){ "abc" }, 3 }, { NULL, 0 },
	    { body, LEN }, { (char[]){ "xyz" }, 3 }, { (char[]){ "uv" }, 2 } };
	int fd = open("x", O_RDWR | O_CREAT, 0600), flags;

	for (size_t i = 0; i < LEN; i++)
		body[i] = (char)(i * 31 + i / 251);
	memset(got, '.', at + 1);
	ck_assert_int_eq(fd_pwrite_all(fd, got, at, 0), 0);
	flags = fcntl(fd, F_GETFL);
	ck_assert_int_eq(fd_pwritev_out(fd, iov, 5, (off_t)at), 0);
	ck_assert_int_eq(fcntl(fd, F_GETFL), flags);
	ck_assert_int_eq(lseek(fd, 0, SEEK_END), (off_t)len);
	ck_assert_int_eq(fd_pread_all(fd, got, len, 0), 0);
	for (size_t i = 0; i < at; i++)
		ck_assert_int_eq(got[i], '.');
	ck_assert_mem_eq(got + at, "abc", 3);
	ck_assert(memcmp(got + at + 3, body, LEN) == 0);
	ck_assert_mem_eq(got + at + 3 + LEN, "xyzuv", 5);
	close(fd);
	free(mem);
	mem_free(got);
}
END_TEST

START_TEST(flags_are_set_and_cleared)
{
	int fd = open("/dev/null", O_RDONLY);

	ck_assert_int_eq(fd_set_nonblock(fd, true), 0);
	ck_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
	ck_assert_int_eq(fd_set_nonblock(fd, false), 0);
	ck_assert(!(fcntl(fd, F_GETFL) & O_NONBLOCK));
	ck_assert_int_eq(fd_set_cloexec(fd, true), 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(fd_set_cloexec(-1, true), -1);
	close(fd);
}
END_TEST

START_TEST(directories_are_made_with_their_parents)
{
	ck_assert_int_eq(fd_mkdir_p("a/b/c", 0755), 0);
	ck_assert_int_eq(fd_mkdir_p("a/b/c", 0755), 0);
	ck_assert_int_eq(fd_mkdir_p(dir, 0755), 0);
	put("file", "x");
	ck_assert_int_eq(fd_mkdir_p("file", 0755), -1);
	ck_assert_int_eq(errno, ENOTDIR);
	ck_assert_int_eq(fd_mkdir_p("file/x", 0755), -1);
}
END_TEST

/* At every call that fails the old or the new content is there, whole. */
START_TEST(a_replaced_file_is_old_or_new_whatever_fails)
{
	struct stat st;
	int rc = -1;

	put("x", "old");
	for (unsigned n = 1; rc < 0; n++) {
		char *got;

		ck_assert_uint_lt(n, 20);
		fault_arm(n, n % 2 ? ENOSPC : EIO);
		rc = fd_replace_file(AT_FDCWD, "x", 0640, "new!", 4);
		if (rc < 0)
			ck_assert_int_eq(errno, n % 2 ? ENOSPC : EIO);
		got = content("x");
		if (rc == 0)
			ck_assert_str_eq(got, "new!");
		else
			ck_assert(strcmp(got, "old") == 0 ||
			    strcmp(got, "new!") == 0);
		mem_free(got);
	}
	ck_assert_int_eq(stat("x", &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0640);
}
END_TEST

START_TEST(a_replacement_needs_nothing_to_replace_and_works_below)
{
	ck_assert_int_eq(fd_mkdir_p("a", 0755), 0);
	ck_assert_int_eq(fd_replace_file(AT_FDCWD, "a/x", 0600, "1", 1), 0);
	check_content("a/x", "1");
	ck_assert_int_eq(unlink("a/x"), 0);
	ck_assert_int_eq(fd_replace_file(AT_FDCWD, "none/x", 0600, "1", 1), -1);
}
END_TEST

/* --- fd_safe_open --------------------------------------------------------------- */

START_TEST(safe_open_takes_a_plain_file_only)
{
	struct why why = WHY_INIT;
	struct stat st;
	int fd;

	put("plain", "text");
	fd = fd_safe_open(AT_FDCWD, "plain", O_RDWR, 0, &st, &why);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(st.st_size, 4);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	ck_assert(!(fcntl(fd, F_GETFL) & O_NONBLOCK));
	close(fd);
	ck_assert_str_eq(why.text, "");

	ck_assert_int_eq(symlink("plain", "sym"), 0);
	ck_assert_int_lt(fd_safe_open(AT_FDCWD, "sym", O_RDWR, 0, NULL, &why),
	    0);
	ck_assert_str_eq(why.text, "sym: is a symbolic link");
	ck_assert_int_lt(fd_safe_open(AT_FDCWD, "sym", O_RDWR | O_CREAT, 0600,
	    NULL, &why), 0);

	ck_assert_int_eq(mkfifo("fifo", 0600), 0);	/* must not block */
	ck_assert_int_lt(fd_safe_open(AT_FDCWD, "fifo", O_RDONLY, 0, NULL,
	    &why), 0);
	ck_assert_str_eq(why.text, "fifo: is not a regular file");
	ck_assert_int_lt(fd_safe_open(AT_FDCWD, ".", O_RDONLY, 0, NULL, &why),
	    0);
	ck_assert_int_lt(fd_safe_open(AT_FDCWD, "/dev/null", O_RDWR, 0, NULL,
	    &why), 0);

	ck_assert_int_eq(link("plain", "other"), 0);
	ck_assert_int_lt(fd_safe_open(AT_FDCWD, "plain", O_RDWR | O_TRUNC, 0,
	    NULL, &why), 0);
	ck_assert_str_eq(why.text, "plain: has 2 hard links instead of one");
	check_content("plain", "text");		/* not truncated */

	ck_assert_int_lt(fd_safe_open(AT_FDCWD, "none", O_RDWR, 0, NULL,
	    &why), 0);
	ck_assert_int_eq(errno, ENOENT);
}
END_TEST

START_TEST(safe_open_makes_a_file_alone)
{
	struct stat st;
	int fd = fd_safe_open(AT_FDCWD, "new", O_RDWR | O_CREAT, 0600, &st,
	    NULL);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fd_write_all(fd, "abc", 3), 0);
	close(fd);
	fd = fd_safe_open(AT_FDCWD, "new", O_RDWR | O_CREAT, 0600, &st, NULL);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(st.st_size, 3);
	close(fd);
	ck_assert_int_lt(fd_safe_open(AT_FDCWD, "new",
	    O_RDWR | O_CREAT | O_EXCL, 0600, NULL, NULL), 0);
	ck_assert_int_eq(errno, EEXIST);
	fd = fd_safe_open(AT_FDCWD, "new", O_RDWR | O_TRUNC, 0, &st, NULL);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(st.st_size, 0);
	close(fd);
	/* A link to nowhere must not make a file somewhere else. */
	ck_assert_int_eq(symlink("elsewhere", "dangling"), 0);
	ck_assert_int_lt(fd_safe_open(AT_FDCWD, "dangling", O_RDWR | O_CREAT,
	    0600, NULL, NULL), 0);
	ck_assert_int_eq(access("elsewhere", F_OK), -1);
}
END_TEST

/* --- fault ------------------------------------------------------------------------ */

START_TEST(the_nth_call_fails_and_a_write_half_way)
{
	struct iovec iov[2] = {
		{ (char[]){ "ab" }, 2 }, { (char[]){ "cd" }, 2 }
	};
	int fd = open("x", O_RDWR | O_CREAT, 0600);

	fault_arm(2, ENOSPC);
	ck_assert_int_eq(fault_write(fd, "1234", 4), 4);
	ck_assert_int_eq(fault_write(fd, "5678", 4), -1);
	ck_assert_int_eq(errno, ENOSPC);
	ck_assert_int_eq(fault_write(fd, "9", 1), 1);
	ck_assert_uint_eq(fault_count(), 3);
	check_content("x", "1234569");
	fault_arm(1, EIO);
	ck_assert_int_eq(fault_pwritev(fd, iov, 2, 0, 0), -1);
	check_content("x", "ab34569");
	fault_arm(1, EIO);
	ck_assert_int_eq(fault_pwritev(fd, iov + 1, 1, 2, 0), -1);
	check_content("x", "abc4569");
	fault_arm(1, EIO);
	ck_assert_int_eq(fault_pwrite(fd, "zz", 2, 3), -1);
	check_content("x", "abcz569");
	fault_arm(1, EIO);
	ck_assert_int_eq(fault_fsync(fd), -1);
	ck_assert_int_eq(fault_fsync(fd), 0);
	fault_arm(1, EIO);
	ck_assert_int_eq(fault_renameat(AT_FDCWD, "x", AT_FDCWD, "y"), -1);
	ck_assert_int_eq(access("x", F_OK), 0);
	fault_arm(1, EIO);
	ck_assert_int_eq(fault_unlinkat(AT_FDCWD, "x", 0), -1);
	ck_assert_int_eq(access("x", F_OK), 0);
	fault_arm(0, 0);
	ck_assert_int_eq(fault_linkat(AT_FDCWD, "x", AT_FDCWD, "y"), 0);
	ck_assert_int_eq(fault_ftruncate(fd, 0), 0);
	ck_assert_int_eq(fault_fdatasync(fd), 0);
	close(fd);
}
END_TEST

START_TEST(a_crash_comes_half_way_through_a_write)
{
	int fd = open("x", O_RDWR | O_CREAT, 0600), status;

	if (fork() == 0) {
		fault_arm(2, FAULT_KILL);
		(void)!fault_write(fd, "1234", 4);
		(void)!fault_write(fd, "5678", 4);
		_exit(0);
	}
	wait(&status);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	check_content("x", "123456");
	close(fd);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("fd");
	TCase *t = tcase_create("fd");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_file_is_read_up_to_the_limit);
	tcase_add_test(t, reading_past_the_end_is_an_error);
	tcase_add_test(t, vectors_are_written_whole);
	tcase_add_loop_test(t, what_is_written_out_is_whole, 0, 14);
	tcase_add_test(t, flags_are_set_and_cleared);
	tcase_add_test(t, directories_are_made_with_their_parents);
	tcase_add_test(t, a_replaced_file_is_old_or_new_whatever_fails);
	tcase_add_test(t, a_replacement_needs_nothing_to_replace_and_works_below);
	tcase_add_test(t, safe_open_takes_a_plain_file_only);
	tcase_add_test(t, safe_open_makes_a_file_alone);
	tcase_add_test(t, the_nth_call_fails_and_a_write_half_way);
	tcase_add_test(t, a_crash_comes_half_way_through_a_write);
	suite_add_tcase(s, t);
	return s;
}
