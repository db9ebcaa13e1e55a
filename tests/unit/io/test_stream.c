/* SPDX-License-Identifier: ISC */
/*
 * stream: input in pieces, limits, output and its order, descriptors,
 * deadlines, and every way to end.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "io/fd.h"
#include "io/sock.h"
#include "io/stream.h"

#define IN_MAX	100
#define OUT_MAX	100000

static struct loop *l;
static struct stream *s;
static int peer;		/* the other end, non-blocking */
static struct buf seen;		/* what on_read consumed */
static int reads, drains, ends;
static enum stream_end end;
static size_t leave_last;	/* bytes that on_read does not consume */
static size_t want;		/* on_read asks for this */
static void (*in_read)(void);

static void
on_read(void *arg, struct stream *st)
{
	struct span in = stream_input(st);

	ck_assert_ptr_eq(arg, &seen);
	reads++;
	if (want)
		stream_want(st, want);
	if (in.len > leave_last) {
		buf_add(&seen, in.p, in.len - leave_last);
		stream_consume(st, in.len - leave_last);
	}
	if (in_read != NULL)
		in_read();
}

static void
on_drain(void *arg, struct stream *st)
{
	drains++;
}

static void
on_end(void *arg, struct stream *st, enum stream_end why)
{
	ends++;
	end = why;
}

static const struct stream_ops ops = {
	.on_read = on_read, .on_drain = on_drain, .on_end = on_end
};

static void
setup(void)
{
	int sv[2];

	l = loop_new();
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	peer = sv[1];
	ck_assert_int_eq(fd_set_nonblock(peer, true), 0);
	s = stream_new(l, sv[0], IN_MAX, OUT_MAX, &ops, &seen);
	seen = BUF_INIT(BUF_UNLIMITED);
}

static void
teardown(void)
{
	stream_free(&s);
	loop_free(&l);
	fd_close(&peer);
	buf_fini(&seen);
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

static void
say(const char *text)
{
	ck_assert_int_eq(fd_write_all(peer, text, strlen(text)), 0);
	run_for(2);
}

/* What the peer has received, or "EOF". */
static const char *
heard(void)
{
	static char b[512 * 1024];
	size_t n = 0;
	ssize_t got;

	while ((got = recv(peer, b + n, sizeof(b) - 1 - n, 0)) > 0)
		n += (size_t)got;
	b[n] = '\0';
	if (n == 0 && got == 0)
		return "EOF";
	return b;
}

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

Suite *
suite(void)
{
	Suite *su = suite_create("stream");
	TCase *t = tcase_create("stream");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, all_is_shown_before_the_end_when_it_pauses);
	tcase_add_test(t, all_is_shown_before_the_end_when_it_takes_turns);
	tcase_add_test(t, input_that_is_left_is_shown_again_with_what_comes);
	tcase_add_test(t, every_split_of_the_input_gives_the_same);
	tcase_add_test(t, on_read_waits_for_what_it_wants);
	tcase_add_test(t, in_max_bytes_are_taken_and_then_it_overflows);
	tcase_add_test(t, a_wish_beyond_in_max_is_an_overflow_at_in_max);
	tcase_add_test(t, in_max_consumed_as_it_comes_is_no_overflow);
	tcase_add_test(t, a_paused_stream_reads_nothing_and_goes_on);
	tcase_add_test(t, on_read_may_free_its_stream);
	tcase_add_test(t, a_large_message_arrives_in_one_span);
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
