/* SPDX-License-Identifier: ISC */
/*
 * stream: descriptors on their way, deadlines, and what else a stream is.
 */
#include "stream_test.h"

/* --- descriptors -------------------------------------------------------------------- */

static int
open_null(void)
{
	int fd = open("/dev/null", O_RDONLY);

	ck_assert_int_ge(fd, 0);
	return fd;
}

static int taken[64], ntaken;

static void
on_fds(void *arg, struct stream *st)
{
	struct span in = stream_input(st);
	int fd;

	while ((fd = stream_take_fd(st)) >= 0) {
		ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
		taken[ntaken++] = fd;
	}
	/* They may come earlier, with bytes before theirs, but never later. */
	if (span_search(in, SPAN("two")) >= 0)
		ck_assert_int_ge(ntaken, 1);
	if (span_search(in, SPAN("three")) >= 0)
		ck_assert_int_ge(ntaken, 3);
	if (span_search(in, SPAN("four")) >= 0)
		ck_assert_int_eq(ntaken, 4);
	buf_add_span(&seen, in);
	stream_consume(st, in.len);
}

START_TEST(descriptors_come_before_the_bytes_that_follow_them)
{
	static const struct stream_ops fd_ops = {
		.on_read = on_fds, .on_end = on_end
	};
	int fd = open_null(), sv[2];
	struct stream *b;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	stream_free(&s);
	s = stream_new(l, sv[0], IN_MAX, OUT_MAX, &ops, &seen);
	b = stream_new(l, sv[1], IN_MAX, OUT_MAX, &fd_ops, NULL);
	stream_write(s, "one", 3);
	stream_write_fd(s, fd);
	stream_write(s, "two", 3);
	stream_write_fd(s, fd);
	stream_write_fd(s, fd);
	stream_write(s, "three", 5);
	stream_write_fd(s, fd);
	close(fd);			/* it has its own */
	run_for(5);
	ck_assert_str_eq(seen.data, "onetwothree");
	ck_assert_int_eq(ntaken, 3);
	stream_write(s, "four", 4);
	run_for(5);
	ck_assert_str_eq(seen.data, "onetwothreefour");
	ck_assert_int_eq(ntaken, 4);
	for (int i = 0; i < ntaken; i++)
		close(taken[i]);
	stream_write_fd(s, peer);	/* freed before it travels */
	stream_free(&b);
}
END_TEST

static int
count_fds(void)
{
	int n = 0;

	for (int i = 0; i < 1024; i++)
		n += fcntl(i, F_GETFD) >= 0;
	return n;
}

START_TEST(a_flood_of_descriptors_is_closed)
{
	union {
		struct cmsghdr	align;
		char		bytes[CMSG_SPACE(10 * sizeof(int))];
	} control;
	int before = count_fds(), fds[10], fd = open_null();
	struct iovec iov = { (char[]){ "x" }, 1 };

	for (int i = 0; i < 10; i++)
		fds[i] = fd;
	for (int i = 0; i < 10; i++) {
		struct msghdr m = {
			.msg_iov = &iov, .msg_iovlen = 1,
			.msg_control = control.bytes,
			.msg_controllen = sizeof(control.bytes),
		};
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);

		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(fds));
		memcpy(CMSG_DATA(c), fds, sizeof(fds));
		ck_assert_int_eq(sendmsg(peer, &m, 0), 1);
		run_for(1);
	}
	close(fd);
	ck_assert_int_eq(count_fds(), before + 16);
	for (int i = 0; i < 5; i++) {
		fd = stream_take_fd(s);
		ck_assert_int_ge(fd, 0);
		close(fd);
	}
	stream_free(&s);
	ck_assert_int_eq(count_fds(), before - 1);
}
END_TEST

/* --- deadlines ------------------------------------------------------------------------ */

START_TEST(a_deadline_ends_a_silent_stream_and_moves)
{
	int64_t t0 = clock_mono_ms();

	stream_set_deadline(s, 30);
	run_for(20);
	stream_set_deadline(s, 60);
	run_for(30);
	ck_assert_int_eq(ends, 0);
	stream_set_deadline(s, 10);	/* sooner than it was */
	run_for(30);
	ck_assert_int_eq(ends, 1);
	ck_assert_int_eq(end, STREAM_TIMEOUT);
	ck_assert_int_ge(clock_mono_ms() - t0, 55);
	stream_write(s, "late", 4);
	stream_finish(&s, 100);
	run_for(2);
	ck_assert_str_eq(heard(), "late");
}
END_TEST

START_TEST(a_deadline_can_be_taken_back)
{
	stream_set_deadline(s, 10);
	stream_set_deadline(s, 0);
	run_for(30);
	ck_assert_int_eq(ends, 0);
	stream_set_deadline(s, 10);
	stream_pause(s);		/* goes on counting */
	run_for(30);
	ck_assert_int_eq(end, STREAM_TIMEOUT);
	ck_assert_int_eq(ends, 1);
}
END_TEST

START_TEST(what_another_has_read_comes_first)
{
	stream_put_back(s, SPAN("one "));
	say("two");
	ck_assert_str_eq(seen.data, "one two");
	ck_assert_uint_eq(stream_bytes_in(s), 7);
	/* Also without anything new, and with a rest that lies there. */
	leave_last = 2;
	say("abcd");
	ck_assert_uint_eq(stream_in_len(s), 2);
	leave_last = 0;
	stream_put_back(s, SPAN("<"));
	run_for(2);
	ck_assert_str_eq(seen.data, "one twoab<cd");
	ck_assert_uint_eq(stream_in_len(s), 0);
	stream_write(s, "xyz", 3);
	ck_assert_uint_eq(stream_bytes_out(s), 3);
}
END_TEST

/* A peer that has said all listens on: much more than its socket holds. */
START_TEST(output_goes_on_after_the_peers_end)
{
	char buf[4096];
	size_t got = 0;
	ssize_t n;

	ck_assert_int_eq(shutdown(peer, SHUT_WR), 0);
	run_for(2);
	ck_assert_int_eq(ends, 1);
	for (int i = 0; i < 20; i++) {
		char *all = mem_zalloc(OUT_MAX);

		stream_write(s, all, OUT_MAX);
		mem_free(all);
		while (stream_out_len(s) > 0) {
			run_for(1);
			while ((n = read(peer, buf, sizeof(buf))) > 0)
				got += (size_t)n;
		}
		run_for(1);
		ck_assert_int_eq(drains, i + 1);
	}
	while ((n = read(peer, buf, sizeof(buf))) > 0)
		got += (size_t)n;
	ck_assert_uint_eq(got, 20 * OUT_MAX);
	ck_assert_int_eq(ends, 1);
}
END_TEST

START_TEST(our_side_can_end_first)
{
	char buf[8];

	stream_write(s, "last", 4);
	stream_end_output(s);
	run_for(2);
	ck_assert_int_eq(read(peer, buf, sizeof(buf)), 4);
	ck_assert_int_eq(read(peer, buf, sizeof(buf)), 0);
	say("and yet");
	ck_assert_str_eq(seen.data, "and yet");
	ck_assert_int_eq(ends, 0);
}
END_TEST

START_TEST(a_pipe_can_be_a_stream)
{
	int p[2];

	ck_assert_int_eq(pipe(p), 0);
	stream_free(&s);
	s = stream_new(l, p[0], IN_MAX, OUT_MAX, &ops, &seen);
	ck_assert_int_eq(write(p[1], "through", 7), 7);
	run_for(2);
	ck_assert_str_eq(seen.data, "through");
	close(p[1]);
	run_for(2);
	ck_assert_int_eq(end, STREAM_EOF);
	ck_assert_int_eq(ends, 1);
}
END_TEST

/* A byte a call, as a handler does that has to wait for an answer. */

Suite *
suite(void)
{
	Suite *su = suite_create("stream");
	TCase *t = tcase_create("stream");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, descriptors_come_before_the_bytes_that_follow_them);
	tcase_add_test(t, a_flood_of_descriptors_is_closed);
	tcase_add_test(t, a_deadline_ends_a_silent_stream_and_moves);
	tcase_add_test(t, a_deadline_can_be_taken_back);
	tcase_add_test(t, what_another_has_read_comes_first);
	tcase_add_test(t, output_goes_on_after_the_peers_end);
	tcase_add_test(t, our_side_can_end_first);
	tcase_add_test(t, a_pipe_can_be_a_stream);
	suite_add_tcase(su, t);
	return su;
}
