/* SPDX-License-Identifier: ISC */
/*
 * stream in: what comes in: in pieces, up to the limits, paused, to the end.
 */
#include "stream_test.h"

/* --- reading ------------------------------------------------------------------ */

START_TEST(input_that_is_left_is_shown_again_with_what_comes)
{
	leave_last = 3;
	say("abcdef");
	ck_assert_str_eq(seen.data, "abc");
	say("gh");
	ck_assert_str_eq(seen.data, "abcde");
	ck_assert_int_eq(reads, 2);
	run_for(5);
	ck_assert_int_eq(reads, 2);	/* not before something comes */
	stream_kick(s);
	stream_kick(s);
	run_for(2);
	ck_assert_int_eq(reads, 3);
	leave_last = 0;
	stream_kick(s);
	run_for(2);
	ck_assert_str_eq(seen.data, "abcdefgh");
	stream_kick(s);			/* nothing lies there */
	run_for(2);
	ck_assert_int_eq(reads, 4);
	ck_assert_int_eq(ends, 0);
}
END_TEST

START_TEST(every_split_of_the_input_gives_the_same)
{
	static const char text[] = "the quick brown fox jumps";

	for (size_t cut = 1; cut < sizeof(text) - 1; cut++) {
		leave_last = cut % 4;
		buf_reset(&seen);
		ck_assert_int_eq(fd_write_all(peer, text, cut), 0);
		run_for(1);
		ck_assert_int_eq(fd_write_all(peer, text + cut,
		    sizeof(text) - 1 - cut), 0);
		run_for(1);
		leave_last = 0;
		stream_kick(s);
		run_for(1);
		ck_assert_str_eq(seen.data, text);
	}
}
END_TEST

START_TEST(on_read_waits_for_what_it_wants)
{
	want = 10;
	say("1234");
	ck_assert_int_eq(reads, 1);
	say("5678");
	say("9");
	ck_assert_int_eq(reads, 1);
	leave_last = 100;
	say("abcde");			/* 5 + 5 bytes */
	ck_assert_int_eq(reads, 2);
	ck_assert_str_eq(seen.data, "1234");
	/* The end shows what there is though it is less. */
	say("fg");
	ck_assert_int_eq(reads, 3);	/* 12 lay there */
	leave_last = 0;
	want = 50;
	say("h");
	say("ij");
	ck_assert_int_eq(reads, 4);
	fd_close(&peer);
	run_for(2);
	ck_assert_int_eq(reads, 5);
	ck_assert_str_eq(seen.data, "123456789abcdefghij");
	ck_assert_int_eq(ends, 1);
	ck_assert_int_eq(end, STREAM_EOF);
}
END_TEST

static char big[IN_MAX + 2];

START_TEST(in_max_bytes_are_taken_and_then_it_overflows)
{
	memset(big, 'x', sizeof(big));
	leave_last = 1000;
	big[IN_MAX - 1] = '\0';
	say(big);
	ck_assert_int_eq(ends, 0);
	say("y");
	ck_assert_int_eq(ends, 1);
	ck_assert_int_eq(end, STREAM_OVERFLOW);
	ck_assert_int_eq(reads, 2);
	/* A last word is still possible. */
	stream_write(s, "too long", 8);
	stream_finish(&s, 1000);
	run_for(5);
	ck_assert_str_eq(heard(), "too long");
}
END_TEST

START_TEST(a_wish_beyond_in_max_is_an_overflow_at_in_max)
{
	leave_last = 1000;
	want = IN_MAX + 1;
	memset(big, 'x', sizeof(big));
	big[IN_MAX] = '\0';
	say(big);
	ck_assert_int_eq(end, STREAM_OVERFLOW);
	ck_assert_int_eq(ends, 1);
}
END_TEST

START_TEST(in_max_consumed_as_it_comes_is_no_overflow)
{
	for (int i = 0; i < 20; i++) {
		memset(big, 'x', sizeof(big));
		big[IN_MAX] = '\0';
		say(big);
	}
	ck_assert_uint_eq(seen.len, 20 * IN_MAX);
	ck_assert_int_eq(ends, 0);
}
END_TEST

static void
pause_now(void)
{
	stream_pause(s);
}

START_TEST(a_paused_stream_reads_nothing_and_goes_on)
{
	in_read = pause_now;
	leave_last = 2;
	say("abcd");
	ck_assert(stream_paused(s));
	in_read = NULL;
	say("efgh");
	ck_assert_str_eq(seen.data, "ab");
	ck_assert_int_eq(reads, 1);
	leave_last = 0;
	stream_resume(s);
	run_for(2);
	ck_assert_str_eq(seen.data, "abcdefgh");
	/* The end comes after what was sent before it. */
	stream_pause(s);
	ck_assert_int_eq(write(peer, "ij", 2), 2);
	fd_close(&peer);
	run_for(2);
	ck_assert_int_eq(ends, 0);
	stream_resume(s);
	run_for(2);
	ck_assert_str_eq(seen.data, "abcdefghij");
	ck_assert_int_eq(end, STREAM_EOF);
	ck_assert_int_eq(ends, 1);
}
END_TEST

static void
free_now(void)
{
	stream_free(&s);
}

START_TEST(on_read_may_free_its_stream)
{
	in_read = free_now;
	leave_last = 2;
	say("abcd");
	ck_assert_ptr_null(s);
	ck_assert_str_eq(heard(), "EOF");
	ck_assert_int_eq(ends, 0);
}
END_TEST

static size_t big_total;

static void
on_big(void *arg, struct stream *st)
{
	struct span in = stream_input(st);
	size_t wrong = 0;	/* ck_assert for every byte would take long */

	if (in.len < big_total) {
		stream_want(st, big_total);
		return;
	}
	for (size_t i = 0; i < big_total; i++)
		wrong += (unsigned char)in.p[i] != i % 251;
	ck_assert_uint_eq(wrong, 0);
	stream_consume(st, big_total);
	reads++;
}

START_TEST(a_large_message_arrives_in_one_span)
{
	static const struct stream_ops big_ops = {
		.on_read = on_big, .on_end = on_end
	};
	static const size_t sizes[] = {
		1, 65535, 65536, 65537, 131072, 200000, 3000000
	};
	int sv[2];
	char *p;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	stream_free(&s);
	s = stream_new(l, sv[0], sizes[ARRAY_LEN(sizes) - 1], 10, &big_ops,
	    NULL);
	p = mem_alloc(sizes[ARRAY_LEN(sizes) - 1]);
	for (size_t i = 0; i < sizes[ARRAY_LEN(sizes) - 1]; i++)
		p[i] = (char)(i % 251);
	ck_assert_int_eq(fd_set_nonblock(sv[1], true), 0);
	for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
		size_t sent = 0;

		big_total = sizes[k];
		stream_want(s, big_total);
		reads = 0;
		while (sent < big_total) {
			ssize_t n = write(sv[1], p + sent, MIN(40001,
			    big_total - sent));

			if (n > 0)
				sent += (size_t)n;
			run_for(0);
		}
		run_for(2);
		ck_assert_int_eq(reads, 1);
		ck_assert_int_eq(ends, 0);
	}
	mem_free(p);
	close(sv[1]);
}
END_TEST

static void
one_and_pause(void)
{
	leave_last--;
	stream_pause(s);
}

static void
one_and_again(void)
{
	if (leave_last-- > 0)
		stream_kick(s);
}

static void
resume_now(void *arg, unsigned events)
{
	char c;

	ck_assert_int_eq(read(*(int *)arg, &c, 1), 1);
	stream_resume(s);
}

/* What it waits for comes in the same turn as the end. */
START_TEST(all_is_shown_before_the_end_when_it_pauses)
{
	struct loop_io *io;
	int answer[2];

	ck_assert_int_eq(pipe(answer), 0);
	io = loop_io_new(l, answer[0], resume_now, &answer[0]);
	loop_io_want(io, LOOP_READ);
	leave_last = 3;
	in_read = one_and_pause;
	say("abcd");
	ck_assert_uint_eq(seen.len, 1);
	ck_assert_int_eq(fd_write_all(answer[1], "x", 1), 0);
	shutdown(peer, SHUT_WR);
	run_for(2);
	for (size_t n = 2; n < 4; n++) {
		ck_assert_uint_eq(seen.len, n);
		ck_assert_int_eq(ends, 0);
		stream_resume(s);
		run_for(2);
	}
	ck_assert(span_is(buf_span(&seen), "abcd"));
	stream_resume(s);
	run_for(2);
	ck_assert_int_eq(ends, 1);
	ck_assert_int_eq(end, STREAM_EOF);
	loop_io_free(&io);
	fd_close(&answer[0]);
	fd_close(&answer[1]);
}
END_TEST

START_TEST(all_is_shown_before_the_end_when_it_takes_turns)
{
	leave_last = 3;
	in_read = one_and_again;
	ck_assert_int_eq(fd_write_all(peer, "abcd", 4), 0);
	shutdown(peer, SHUT_WR);
	run_for(5);
	ck_assert(span_is(buf_span(&seen), "abcd"));
	ck_assert_int_eq(ends, 1);
	ck_assert_int_eq(end, STREAM_EOF);
}
END_TEST

/* The kernel waits for words of ours to go with its acknowledgements. */
static void
be_slow(void)
{
	int off = 0;

	ck_assert_int_eq(setsockopt(stream_fd(s), IPPROTO_TCP, TCP_QUICKACK,
	    &off, sizeof(off)), 0);
}

static bool
is_quick(void)
{
	int on = -1;
	socklen_t len = sizeof(on);

	ck_assert_int_eq(getsockopt(stream_fd(s), IPPROTO_TCP, TCP_QUICKACK,
	    &on, &len), 0);
	return on != 0;
}

static void
say_and_wait(const char *text)
{
	uint64_t before = stream_bytes_in(s);

	be_slow();
	say(text);
	while (stream_bytes_in(s) < before + strlen(text))
		run_for(2);
}

START_TEST(half_a_line_is_acknowledged_at_once)
{
	struct sock_addr a;
	struct why why = WHY_INIT;
	int listener, fd, on = 1;

	ck_assert_int_eq(sock_addr_parse(SPAN("127.0.0.1"), 0, &a), 0);
	listener = sock_listen_inet(&a, 1, &why);
	ck_assert_int_ge(listener, 0);
	a.len = sizeof(a.ss);
	ck_assert_int_eq(getsockname(listener, &a.sa, &a.len), 0);
	stream_free(&s);
	fd_close(&peer);
	peer = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(connect(peer, &a.sa, a.len), 0);
	ck_assert_int_eq(setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &on,
	    sizeof(on)), 0);
	fd = accept(listener, NULL, NULL);
	ck_assert_int_ge(fd, 0);
	s = stream_new(l, fd, IN_MAX, OUT_MAX, &ops, &seen);
	leave_last = 4;
	say_and_wait("half");
	ck_assert(is_quick());
	want = 100;
	say_and_wait("1");
	say_and_wait("2");
	ck_assert(is_quick());
	be_slow();
	stream_ack(s);
	ck_assert(is_quick());
	fd_close(&listener);
}
END_TEST

Suite *
suite(void)
{
	Suite *su = suite_create("stream in");
	TCase *t = tcase_create("stream in");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, input_that_is_left_is_shown_again_with_what_comes);
	tcase_add_test(t, every_split_of_the_input_gives_the_same);
	tcase_add_test(t, on_read_waits_for_what_it_wants);
	tcase_add_test(t, in_max_bytes_are_taken_and_then_it_overflows);
	tcase_add_test(t, a_wish_beyond_in_max_is_an_overflow_at_in_max);
	tcase_add_test(t, in_max_consumed_as_it_comes_is_no_overflow);
	tcase_add_test(t, a_paused_stream_reads_nothing_and_goes_on);
	tcase_add_test(t, on_read_may_free_its_stream);
	tcase_add_test(t, a_large_message_arrives_in_one_span);
	tcase_add_test(t, all_is_shown_before_the_end_when_it_pauses);
	tcase_add_test(t, all_is_shown_before_the_end_when_it_takes_turns);
	tcase_add_test(t, half_a_line_is_acknowledged_at_once);
	suite_add_tcase(su, t);
	return su;
}
