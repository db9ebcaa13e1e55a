/* SPDX-License-Identifier: ISC */
/*
 * stream out: what goes out, its order and its limits, and the last words.
 */
#include <signal.h>
#include <sys/mman.h>

#include "stream_test.h"

/* --- writing -------------------------------------------------------------------- */

START_TEST(what_a_turn_writes_goes_out_at_its_end)
{
	stream_write(s, "a", 1);
	stream_printf(s, "%s-%d", "b", 3);
	stream_write(s, "", 0);
	ck_assert_uint_eq(stream_out_len(s), 4);
	ck_assert_str_eq(heard(), "");
	run_for(1);
	ck_assert_str_eq(heard(), "ab-3");
	ck_assert_int_eq(drains, 1);
	stream_write(s, "now", 3);
	stream_flush(s);
	ck_assert_str_eq(heard(), "now");
	ck_assert_int_eq(drains, 1);
	run_for(1);
	ck_assert_int_eq(drains, 2);
}
END_TEST

START_TEST(a_slow_peer_gets_all_of_it_up_to_out_max)
{
	int small = 4096;
	struct buf got = BUF_INIT(BUF_UNLIMITED);
	char block[1000];
	size_t wrong = 0;

	setsockopt(stream_fd(s), SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	for (int i = 0; i < OUT_MAX / 1000; i++) {
		memset(block, 'a' + i % 26, sizeof(block));
		stream_write(s, block, sizeof(block));
	}
	ck_assert_uint_eq(stream_out_len(s), OUT_MAX);
	run_for(2);
	ck_assert_int_eq(drains, 0);
	while (got.len < OUT_MAX) {
		size_t before = got.len;

		buf_add_str(&got, heard());
		ck_assert_uint_gt(got.len, before);
		run_for(2);
	}
	ck_assert_int_eq(drains, 1);
	for (size_t i = 0; i < got.len; i++)
		wrong += got.data[i] != 'a' + (char)(i / 1000 % 26);
	ck_assert_uint_eq(wrong, 0);
	ck_assert_int_eq(ends, 0);
	buf_fini(&got);
}
END_TEST

START_TEST(one_past_out_max_ends_the_stream)
{
	static char block[OUT_MAX + 1];

	stream_write(s, block, OUT_MAX);
	ck_assert_int_eq(ends, 0);
	stream_write(s, "x", 1);
	ck_assert_int_eq(ends, 0);	/* never from inside stream_write() */
	run_for(1);
	ck_assert_int_eq(ends, 1);
	ck_assert_int_eq(end, STREAM_OVERFLOW);
	stream_write(s, "x", 1);	/* dropped */
	run_for(1);
	ck_assert_int_eq(ends, 1);
}
END_TEST

START_TEST(room_that_was_sent_counts_no_more)
{
	int small = 4096;
	static char block[OUT_MAX];
	size_t total = OUT_MAX, got = 0;

	setsockopt(stream_fd(s), SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	stream_write(s, block, OUT_MAX);
	while (total < 3 * OUT_MAX) {
		size_t n;
		char b[3000];
		ssize_t r;

		run_for(0);
		n = OUT_MAX - stream_out_len(s);
		stream_write(s, block, n);
		total += n;
		while ((r = read(peer, b, sizeof(b))) > 0)
			got += (size_t)r;
	}
	while (got < total) {
		char b[3000];
		ssize_t r;

		run_for(0);
		while ((r = read(peer, b, sizeof(b))) > 0)
			got += (size_t)r;
	}
	ck_assert_int_eq(ends, 0);
	ck_assert_uint_eq(got, total);
}
END_TEST

static size_t endless;

static void
fill(void *arg, struct stream *st)
{
	static char block[5000];

	stream_write(st, block, sizeof(block));
	endless += sizeof(block);
}

static void
swallow(void *arg, struct stream *st)
{
	stream_consume(st, stream_input(st).len);
}

/* A producer in on_drain with a peer that keeps up must not starve others. */
START_TEST(an_endless_producer_leaves_time_for_others)
{
	static const struct stream_ops source = {
		.on_read = swallow, .on_drain = fill, .on_end = on_end
	}, sink = {
		.on_read = swallow, .on_end = on_end
	};
	int sv[2];
	struct stream *a, *b;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	a = stream_new(l, sv[0], 10, 100000, &source, NULL);
	b = stream_new(l, sv[1], 100000, 10, &sink, NULL);
	stream_write(a, "go", 2);
	run_for(30);			/* comes back */
	ck_assert_uint_gt(endless, 100000);
	stream_free(&a);
	stream_free(&b);
}
END_TEST

START_TEST(a_peer_that_is_gone_is_an_error_once)
{
	stream_pause(s);
	fd_close(&peer);
	stream_write(s, "x", 1);
	run_for(2);
	ck_assert_int_eq(ends, 1);
	ck_assert_int_eq(end, STREAM_ERROR);
	ck_assert_int_eq(stream_errno(s), EPIPE);
	stream_write(s, "y", 1);
	stream_resume(s);
	stream_kick(s);
	run_for(2);
	ck_assert_int_eq(ends, 1);
}
END_TEST

START_TEST(what_was_written_before_the_peers_end_is_sent)
{
	ck_assert_int_eq(shutdown(peer, SHUT_WR), 0);
	stream_write(s, "answer", 6);
	run_for(2);
	ck_assert_int_eq(end, STREAM_EOF);
	ck_assert_str_eq(heard(), "answer");
}
END_TEST

/* --- finishing -------------------------------------------------------------------- */

START_TEST(finish_writes_out_and_closes)
{
	static char block[OUT_MAX];
	int small = 4096;
	size_t got = 0;

	memset(block, 'z', sizeof(block));
	setsockopt(stream_fd(s), SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	stream_write(s, block, sizeof(block));
	stream_finish(&s, 1000);
	ck_assert_ptr_null(s);
	for (int i = 0; i < 1000 && got < sizeof(block); i++) {
		const char *h = heard();

		run_for(0);
		ck_assert_str_ne(h, "EOF");
		got += strlen(h);
	}
	run_for(2);
	ck_assert_str_eq(heard(), "EOF");
	ck_assert_int_eq(ends, 0);
}
END_TEST

START_TEST(finish_gives_up_after_its_grace)
{
	static char block[OUT_MAX];
	int small = 4096, fd = stream_fd(s);

	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	stream_write(s, block, sizeof(block));
	stream_finish(&s, 20);
	run_for(5);
	ck_assert_int_ge(fcntl(fd, F_GETFD), 0);
	run_for(40);
	ck_assert_int_lt(fcntl(fd, F_GETFD), 0);
}
END_TEST

static void
finish_now(void)
{
	stream_write(s, "bye", 3);
	stream_finish(&s, 1000);
}

START_TEST(on_read_may_finish_its_stream)
{
	in_read = finish_now;
	leave_last = 2;
	say("abcd");
	ck_assert_ptr_null(s);
	ck_assert_str_eq(heard(), "bye");
}
END_TEST

/* Over TCP a close with unread input resets the connection. */
START_TEST(last_words_survive_input_that_nobody_reads)
{
	struct sock_addr a;
	struct why why = WHY_INIT;
	char junk[20000] = { 0 };
	int lst, fd;

	ck_assert_int_eq(sock_addr_parse(SPAN("127.0.0.1"), 0, &a), 0);
	lst = sock_listen_inet(&a, 5, &why);
	ck_assert_msg(lst >= 0, "%s", why.text);
	ck_assert_int_eq(getsockname(lst, &a.sa, &a.len), 0);
	fd_close(&peer);
	peer = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(connect(peer, &a.sa, a.len), 0);
	ck_assert_int_eq(fd_set_nonblock(peer, true), 0);
	run_for(5);
	fd = sock_accept(lst, NULL);
	ck_assert_int_ge(fd, 0);
	stream_free(&s);
	s = stream_new(l, fd, IN_MAX, OUT_MAX, &ops, &seen);
	stream_pause(s);
	ck_assert_int_gt(write(peer, junk, sizeof(junk)), 0);
	stream_write(s, "421 no", 6);
	stream_finish(&s, 1000);
	run_for(5);
	/* More of it, after our last word. */
	ck_assert_int_gt(send(peer, junk, sizeof(junk), MSG_NOSIGNAL), 0);
	run_for(5);
	ck_assert_str_eq(heard(), "421 no");
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);	/* waits */
	fd_close(&peer);
	run_for(5);
	ck_assert_int_lt(fcntl(fd, F_GETFD), 0);
	fd_close(&lst);
}
END_TEST

/* A file goes behind what was written, as fast as the peer takes it. */
START_TEST(a_file_is_sent_from_where_it_lies)
{
	static char text[1000000];
	int fd = memfd_create("text", MFD_CLOEXEC), had = 0;
	off_t at = 5;
	struct buf got = BUF_INIT(BUF_UNLIMITED);
	bool done;

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)('a' + i % 23);
	ck_assert_int_eq(fd_write_all(fd, text, sizeof(text)), 0);
	stream_write(s, "first", 5);
	done = stream_send_file(s, fd, &at, sizeof(text));
	ck_assert(!done);
	while (!done) {
		char room[65536];
		ssize_t n;

		while ((n = read(peer, room, sizeof(room))) > 0)
			buf_add(&got, room, (size_t)n);
		had = drains;
		run_for(5);
		/* The loop tells when there is room. */
		if (drains > had)
			done = stream_send_file(s, fd, &at, sizeof(text));
	}
	ck_assert_int_eq(at, sizeof(text));
	ck_assert_uint_eq(stream_bytes_out(s), sizeof(text));
	stream_write(s, "last", 4);
	stream_flush(s);
	buf_add_str(&got, heard());
	run_for(5);
	buf_add_str(&got, heard());
	ck_assert_uint_eq(got.len, 5 + sizeof(text) - 5 + 4);
	ck_assert_mem_eq(got.data, "first", 5);
	ck_assert_mem_eq(got.data + 5, text + 5, sizeof(text) - 5);
	ck_assert_mem_eq(got.data + sizeof(text), "last", 4);
	buf_fini(&got);
	fd_close(&fd);
}
END_TEST

/* Who is done with a stream need not wait for room that nobody wants. */
START_TEST(a_file_that_is_given_up)
{
	static char text[1000000];
	int fd = memfd_create("text", MFD_CLOEXEC);
	off_t at = 0;

	ck_assert_int_eq(fd_write_all(fd, text, sizeof(text)), 0);
	ck_assert(!stream_send_file(s, fd, &at, sizeof(text)));
	ck_assert(at > 0 && at < (off_t)sizeof(text));
	stream_finish(&s, 100000);
	run_for(5);
	ck_assert_uint_eq(stream_finishing(), 0);
	/* A file that is shorter than was said, and a peer that has gone. */
	teardown();
	setup();
	at = (off_t)sizeof(text) - 10;
	ck_assert(!stream_send_file(s, fd, &at, sizeof(text) + 10));
	run_for(5);
	ck_assert_int_eq(ends, 1);
	teardown();
	setup();
	fd_close(&peer);
	at = 0;
	/* As in every daemon: sendfile(2) has no MSG_NOSIGNAL. */
	(void)signal(SIGPIPE, SIG_IGN);
	ck_assert(!stream_send_file(s, fd, &at, sizeof(text)));
	run_for(5);
	ck_assert_int_eq(ends, 2);
	fd_close(&fd);
}
END_TEST

Suite *
suite(void)
{
	Suite *su = suite_create("stream out");
	TCase *t = tcase_create("stream out");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, what_a_turn_writes_goes_out_at_its_end);
	tcase_add_test(t, a_slow_peer_gets_all_of_it_up_to_out_max);
	tcase_add_test(t, one_past_out_max_ends_the_stream);
	tcase_add_test(t, room_that_was_sent_counts_no_more);
	tcase_add_test(t, an_endless_producer_leaves_time_for_others);
	tcase_add_test(t, a_peer_that_is_gone_is_an_error_once);
	tcase_add_test(t, what_was_written_before_the_peers_end_is_sent);
	tcase_add_test(t, finish_writes_out_and_closes);
	tcase_add_test(t, finish_gives_up_after_its_grace);
	tcase_add_test(t, on_read_may_finish_its_stream);
	tcase_add_test(t, last_words_survive_input_that_nobody_reads);
	tcase_add_test(t, a_file_is_sent_from_where_it_lies);
	tcase_add_test(t, a_file_that_is_given_up);
	suite_add_tcase(su, t);
	return su;
}
