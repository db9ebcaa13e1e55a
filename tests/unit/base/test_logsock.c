/* SPDX-License-Identifier: ISC */
/* Lines to syslog: kept while nobody takes them, in order, and counted where
 * there is no room. */
#include <check.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/logsock.h"

static char	path[64];
static int	ours;		/* as master's: a datagram socket */

static int
listen_there(int type)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	memcpy(a.sun_path, path, sizeof(path));
	unlink(path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	if (type == SOCK_STREAM)
		ck_assert_int_eq(listen(fd, 5), 0);
	return fd;
}

static int
connect_there(int fd)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	memcpy(a.sun_path, path, sizeof(path));
	return connect(fd, (struct sockaddr *)&a, sizeof(a));
}

static void
setup(void)
{
	snprintf(path, sizeof(path), "/tmp/mansio-logsock-%d", (int)getpid());
	ours = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(ours, 0);
	log_set_tag("mansio/test");
	log_open_syslog("local3", ours);
}

static void
teardown(void)
{
	unlink(path);
}

/* What comes next, without its head; "" for nothing. */
static const char *
next(int fd)
{
	static char b[LOG_LINE_MAX + 512];
	ssize_t n = recv(fd, b, sizeof(b) - 1, 0);
	char *text;

	if (n <= 0)
		return "";
	b[n] = '\0';
	text = strstr(b, "]: ");
	return text != NULL ? text + 3 : b;
}

START_TEST(lines_wait_for_a_restart)
{
	int first = listen_there(SOCK_DGRAM), second;

	ck_assert_int_eq(connect_there(ours), 0);
	log_info("one");
	ck_assert_str_eq(next(first), "");	/* gathered, as in a file */
	log_flush();
	ck_assert_str_eq(next(first), "one");
	ck_assert_int_eq(log_retry_ms(), -1);
	close(first);
	log_info("two");
	log_warning("three");
	ck_assert_int_gt(log_retry_ms(), 0);
	second = listen_there(SOCK_DGRAM);
	log_flush();
	ck_assert_str_eq(next(second), "");
	ck_assert_int_eq(connect_there(ours), 0);	/* as master does */
	log_info("four");
	log_flush();
	ck_assert_str_eq(next(second), "two");
	ck_assert_str_eq(next(second), "warning: three");
	ck_assert_str_eq(next(second), "four");
	ck_assert_str_eq(next(second), "");
	ck_assert_int_eq(log_retry_ms(), -1);
}
END_TEST

START_TEST(facility_and_level_are_in_front)
{
	int fd = listen_there(SOCK_DGRAM);
	char b[200];
	ssize_t n;

	ck_assert_int_eq(connect_there(ours), 0);
	log_error("x");
	n = recv(fd, b, sizeof(b) - 1, 0);
	ck_assert_int_gt(n, 0);
	b[n] = '\0';
	ck_assert_int_eq(strncmp(b, "<155>", 5), 0);	/* 19 * 8 + 3 */
	log_set_facility("mail");
	log_info("x");
	log_flush();
	n = recv(fd, b, sizeof(b) - 1, 0);
	ck_assert_int_gt(n, 0);
	ck_assert_int_eq(strncmp(b, "<22>", 4), 0);
}
END_TEST

START_TEST(what_has_no_room_is_counted)
{
	int fd, lines = 0, lost = 0, want = 0;
	const char *got;
	bool more = true;

	for (int i = 0; i < 5000; i++)
		log_info("line %d of far too many for the memory", i);
	fd = listen_there(SOCK_DGRAM);
	ck_assert_int_eq(connect_there(ours), 0);
	while (more) {
		int n;

		got = next(fd);
		if (*got == '\0') {
			more = log_retry_ms() >= 0;
			log_flush();
			continue;
		}
		if (sscanf(got, "warning: %d lines were lost", &lost) == 1)
			continue;
		ck_assert_int_eq(sscanf(got, "line %d of", &n), 1);
		ck_assert_int_eq(n, want++);	/* the first ones, in order */
		lines++;
	}
	ck_assert_int_gt(lines, 500);
	ck_assert_int_eq(lines + lost, 5000);
}
END_TEST

START_TEST(a_stopped_syslogd_costs_one_short_wait)
{
	int fd = listen_there(SOCK_DGRAM), n = 0;
	int64_t begin;

	/* Its queue becomes full, then our memory half full, then full. */
	ck_assert_int_eq(connect_there(ours), 0);
	begin = clock_mono_ms();
	for (int i = 0; i < 3000; i++) {
		log_warning("line %d with some text behind it", i);
		ck_assert_int_lt(clock_mono_ms() - begin, 60000);
	}
	/* And goes on reading: nothing is out of order. */
	for (int at; sscanf(next(fd), "warning: line %d", &at) == 1; n++) {
		ck_assert_int_eq(at, n);
		if (n % 10 == 9)
			log_flush();
	}
	ck_assert_int_gt(n, 500);
}
END_TEST

START_TEST(a_stream_has_a_nul_behind_each_line)
{
	int l = listen_there(SOCK_STREAM), fd, peer;
	char b[400];
	ssize_t n;

	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	ck_assert_int_eq(connect_there(fd), 0);
	log_replace_socket("mail", fd);
	peer = accept(l, NULL, NULL);
	ck_assert_int_ge(peer, 0);
	log_info("one");
	log_info("two");
	log_flush();
	n = recv(peer, b, sizeof(b), 0);
	ck_assert_int_gt(n, 0);
	ck_assert_int_eq(b[n - 1], '\0');
	ck_assert_ptr_nonnull(strstr(b, ": one"));
	ck_assert_ptr_nonnull(strstr(b + strlen(b) + 1, ": two"));
	ck_assert_int_eq(log_keep_fd(), ours);	/* the same number as before */
}
END_TEST

START_TEST(a_child_does_not_send_what_its_parent_has)
{
	int fd, status;

	log_info("parent");
	if (fork() == 0) {
		log_info("child");
		_exit(connect_there(ours) == 0);
	}
	wait(&status);
	fd = listen_there(SOCK_DGRAM);
	if (fork() == 0) {
		if (connect_there(ours) < 0)
			_exit(1);
		log_info("child");
		exit(0);		/* which flushes */
	}
	wait(&status);
	ck_assert_int_eq(WEXITSTATUS(status), 0);
	ck_assert_str_eq(next(fd), "child");
	log_flush();			/* the socket is the same for both */
	ck_assert_str_eq(next(fd), "parent");
	ck_assert_str_eq(next(fd), "");
}
END_TEST

START_TEST(an_exit_waits_for_a_restart)
{
	int fd, status;
	pid_t pid = fork();

	if (pid == 0) {
		log_info("last words");
		exit(0);
	}
	usleep(100000);
	fd = listen_there(SOCK_DGRAM);
	ck_assert_int_eq(connect_there(ours), 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_str_eq(next(fd), "last words");
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("logsock");
	TCase *t = tcase_create("logsock");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 30);
	tcase_add_test(t, lines_wait_for_a_restart);
	tcase_add_test(t, facility_and_level_are_in_front);
	tcase_add_test(t, what_has_no_room_is_counted);
	tcase_add_test(t, a_stopped_syslogd_costs_one_short_wait);
	tcase_add_test(t, a_stream_has_a_nul_behind_each_line);
	tcase_add_test(t, a_child_does_not_send_what_its_parent_has);
	tcase_add_test(t, an_exit_waits_for_a_restart);
	suite_add_tcase(s, t);
	return s;
}
