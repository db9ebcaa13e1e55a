/* SPDX-License-Identifier: ISC */
/*
 * ipc: both kinds of end against each other and against hostile bytes, and
 * the client that comes back.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/fd.h"
#include "ipc/wire.h"

#define FRAME_MAX	(8u << 20)

static const struct ipc_proto proto = {
	.name = "test", .version = 1, .frame_max = FRAME_MAX,
	.out_max = 16u << 20,
};

static struct loop *l;
static struct ipc_conn *conn;
static int peer;
static struct buf seen;
static int frames, ends, drains, readies, fds;
static size_t body_bytes;
static enum { KEEP, REFUSE, FREE, PAUSE, ECHO } mode;

static int
on_frame(void *arg, struct ipc_conn *c, const struct ipc_frame *f)
{
	int fd = f->fd;

	frames++;
	body_bytes += f->body.len;
	fds += fd >= 0;
	fd_close(&fd);
	if (f->body.len < 1000)
		buf_addf(&seen, "[%u.%u:%.*s]", f->type, f->tag,
		    SPAN_ARG(f->body));
	switch (mode) {
	case REFUSE:
		return -1;
	case FREE:
		ipc_conn_free(&conn);
		return 0;
	case PAUSE:
		ipc_pause(c);
		return 0;
	case ECHO:
		buf_add_span(ipc_begin(c, f->type, f->tag), f->body);
		ipc_end(c);
		return 0;
	default:
		return 0;
	}
}

static void
on_drain(void *arg, struct ipc_conn *c)
{
	drains++;
}

static void
on_ready(void *arg, struct ipc_conn *c)
{
	ck_assert(ipc_conn_ready(c));
	readies++;
}

static void
on_end(void *arg, struct ipc_conn *c)
{
	ends++;
	if (arg != NULL)		/* "free at once" */
		ipc_conn_free(&conn);
}

static const struct ipc_ops ops = {
	.on_frame = on_frame, .on_drain = on_drain, .on_ready = on_ready,
	.on_end = on_end,
};

static void
setup(void)
{
	int sv[2];

	l = loop_new();
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	peer = sv[1];
	ck_assert_int_eq(fd_set_nonblock(peer, true), 0);
	seen = BUF_INIT(BUF_UNLIMITED);
	conn = ipc_conn_new(l, sv[0], &proto, &ops, NULL);
}

static void
teardown(void)
{
	ipc_conn_free(&conn);
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
raw(const void *p, size_t n)
{
	ck_assert_int_eq(fd_write_all(peer, p, n), 0);
}

static void
raw_frame(uint32_t len, uint16_t type, uint16_t nfds, uint32_t tag,
    const char *body)
{
	struct ipc_header h = { len, type, nfds, tag };
	char header[IPC_HEADER_LEN];

	ipc_header_put(header, &h);
	raw(header, sizeof(header));
	raw(body, strlen(body));
}

static void
raw_hello(void)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);

	ipc_hello_put(&b, &proto);
	raw(b.data, b.len);
	buf_fini(&b);
}

START_TEST(hello_goes_out_first_and_is_needed_first)
{
	char got[100];

	ck_assert(!ipc_conn_ready(conn));
	ipc_send(conn, 3, 4, SPAN("x"));
	run_for(2);
	ck_assert_int_eq(read(peer, got, sizeof(got)), 12 + 12 + 13);
	ck_assert_mem_eq(got + 12, "\4\0\0\0test\1\0\0\0" "\1\0\0\0\3\0\0\0"
	    "\4\0\0\0x", 25);
	raw_hello();
	run_for(2);
	ck_assert(ipc_conn_ready(conn));
	ck_assert_int_eq(readies, 1);
	ck_assert_int_eq(ipc_conn_peer(conn)->pid, getpid());
	ck_assert_int_eq(ends, 0);
}
END_TEST

START_TEST(frames_arrive_however_they_are_cut)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	static const char bytes[] = "\3\0\0\0\5\0\0\0\7\0\0\0abc"
	    "\0\0\0\0\6\0\0\0\xff\xff\xff\xff" "\1\0\0\0\7\0\0\0\0\0\0\0z";

	ipc_hello_put(&b, &proto);
	buf_add(&b, bytes, sizeof(bytes) - 1);
	for (size_t i = 0; i < b.len; i++) {
		raw(b.data + i, 1);
		run_for(0);
	}
	run_for(2);
	ck_assert_str_eq(seen.data, "[5.7:abc][6.4294967295:][7.0:z]");
	buf_reset(&seen);
	raw(bytes, sizeof(bytes) - 1);
	run_for(2);
	ck_assert_str_eq(seen.data, "[5.7:abc][6.4294967295:][7.0:z]");
	buf_fini(&b);
}
END_TEST

/* Each is sent after a good HELLO unless it says otherwise. */
static const struct {
	const char	*what;
	bool		 hello;
	uint32_t	 len;
	uint16_t	 type, nfds;
} hostile[] = {
	{ "a frame before HELLO",	false, 0, 1, 0 },
	{ "a huge HELLO",		false, UINT32_MAX, 0, 0 },
	{ "an empty HELLO",		false, 0, 0, 0 },
	{ "a second HELLO",		true, 0, 0, 0 },
	{ "one byte over the limit",	true, FRAME_MAX + 1, 1, 0 },
	{ "a huge frame",		true, UINT32_MAX, 1, 0 },
	{ "two descriptors",		true, 0, 1, 2 },
	{ "a descriptor that is missing", true, 0, 1, 1 },
};

START_TEST(hostile_frames_end_the_connection)
{
	if (hostile[_i].hello)
		raw_hello();
	raw_frame(hostile[_i].len, hostile[_i].type, hostile[_i].nfds, 1, "");
	raw_frame(0, 1, 0, 2, "");	/* a good one behind it is not seen */
	run_for(2);
	ck_assert_msg(ends == 1, "%s", hostile[_i].what);
	ck_assert_int_eq(frames, 0);
	raw_frame(0, 1, 0, 3, "");
	run_for(2);
	ck_assert_int_eq(ends, 1);
	ck_assert_int_eq(frames, 0);
	ipc_send(conn, 1, 1, SPAN("dropped"));
	ipc_resume(conn);
	run_for(2);
	ck_assert_int_eq(frames, 0);
}
END_TEST

START_TEST(a_frame_that_is_announced_takes_no_memory_before_it_comes)
{
	raw_hello();
	raw_frame(FRAME_MAX, 1, 0, 1, "abc");
	run_for(2);
	ck_assert_int_eq(ends, 0);
	fd_close(&peer);
	run_for(2);
	ck_assert_int_eq(frames, 0);
	ck_assert_int_eq(ends, 1);
}
END_TEST

START_TEST(what_the_handler_refuses_ends_the_connection)
{
	raw_hello();
	mode = REFUSE;
	raw_frame(1, 1, 0, 1, "a");
	raw_frame(1, 1, 0, 2, "b");
	run_for(2);
	ck_assert_int_eq(frames, 1);
	ck_assert_int_eq(ends, 1);
}
END_TEST

START_TEST(a_handler_may_free_the_connection)
{
	raw_hello();
	mode = FREE;
	raw_frame(1, 1, 0, 1, "a");
	raw_frame(1, 1, 0, 2, "b");
	run_for(2);
	ck_assert_int_eq(frames, 1);
	ck_assert_int_eq(ends, 0);
}
END_TEST

START_TEST(on_end_may_free_the_connection)
{
	int sv[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	ipc_conn_free(&conn);
	fd_close(&peer);
	peer = sv[1];
	conn = ipc_conn_new(l, sv[0], &proto, &ops, &ends);
	if (_i == 0)
		raw_frame(0, 1, 0, 1, "");
	else
		fd_close(&peer);
	run_for(2);
	ck_assert_int_eq(ends, 1);
	ck_assert_ptr_null(conn);
}
END_TEST

START_TEST(a_paused_connection_hands_out_no_more)
{
	raw_hello();
	mode = PAUSE;
	for (uint32_t i = 0; i < 4; i++)
		raw_frame(1, 1, 0, i, "a");
	run_for(2);
	ck_assert_int_eq(frames, 1);
	ipc_resume(conn);
	run_for(2);
	ck_assert_int_eq(frames, 2);
	mode = KEEP;
	ipc_resume(conn);
	run_for(2);
	ck_assert_int_eq(frames, 4);
	ck_assert_str_eq(seen.data, "[1.0:a][1.1:a][1.2:a][1.3:a]");
}
END_TEST

START_TEST(a_peer_that_takes_nothing_is_let_go)
{
	static char body[1 << 20];

	raw_hello();
	for (int i = 0; i < 40; i++)
		ipc_send(conn, 1, 1, span_make(body, sizeof(body)));
	run_for(2);
	ck_assert_int_eq(ends, 1);
}
END_TEST

START_TEST(our_own_frame_over_the_limit_panics)
{
	char *p = mem_zalloc(FRAME_MAX + 1);

	ipc_send(conn, 1, 1, span_make(p, FRAME_MAX));
	ipc_send(conn, 1, 1, span_make(p, FRAME_MAX + 1));
}
END_TEST

/* --- the blocking end, in a thread ------------------------------------------------- */

static struct ipc_sync *
sync_end(void)
{
	struct why why = WHY_INIT;
	struct ipc_sync *s = ipc_sync_accept(peer, &proto, 5000, &why);

	ck_assert_msg(s != NULL, "%s", why.text);
	peer = -1;
	return s;
}

static void *
sync_talk(void *arg)
{
	struct ipc_sync *s = sync_end();
	struct why why = WHY_INIT;
	struct ipc_frame f;
	char *big = mem_zalloc(FRAME_MAX);
	int null = open("/dev/null", O_RDONLY);
	uint32_t n = 0;

	for (uint32_t i = 0; i < 1000; i++) {
		ck_assert_int_eq(ipc_sync_send(s, 2, i, SPAN("hello"), &why),
		    0);
		if (i % 100 == 50)
			ck_assert_int_eq(ipc_sync_send_fd(s, 3, i,
			    SPAN("fd"), null, &why), 0);
	}
	while (n < 1010) {
		ck_assert_int_eq(ipc_sync_recv(s, &f, -1, &why), 1);
		ck_assert(span_is(f.body, f.type == 2 ? "hello" : "fd"));
		n++;
	}
	/* The largest, both ways. */
	ck_assert_int_eq(ipc_sync_send_fd(s, 4, 7, span_make(big, FRAME_MAX),
	    null, &why), 0);
	ck_assert_int_eq(ipc_sync_recv(s, &f, -1, &why), 1);
	ck_assert_uint_eq(f.body.len, FRAME_MAX);
	/* Nothing more. */
	ck_assert_int_eq(ipc_sync_recv(s, &f, 0, &why), 0);
	ck_assert_int_eq(ipc_sync_recv(s, &f, 20, &why), 0);
	ck_assert_str_eq(why.text, "");
	close(null);
	mem_free(big);
	ipc_sync_free(&s);
	return NULL;
}

START_TEST(both_kinds_of_end_understand_each_other)
{
	pthread_t t;

	mode = ECHO;
	ck_assert_int_eq(pthread_create(&t, NULL, sync_talk, NULL), 0);
	while (ends == 0)
		run_for(5);
	pthread_join(t, NULL);
	ck_assert_int_eq(frames, 1011);
	ck_assert_int_eq(fds, 11);
	ck_assert_uint_eq(body_bytes, 5000 + 20 + FRAME_MAX);
}
END_TEST

static struct ipc_sync *a, *b;

static void *
accept_other(void *arg)
{
	struct why why = WHY_INIT;

	b = ipc_sync_accept(*(int *)arg, &proto, 1000, &why);
	return NULL;
}

static void
sync_pair(void)
{
	int sv[2];
	pthread_t t;
	struct why why = WHY_INIT;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	ck_assert_int_eq(pthread_create(&t, NULL, accept_other, &sv[1]), 0);
	a = ipc_sync_accept(sv[0], &proto, 1000, &why);
	pthread_join(t, NULL);
	ck_assert_ptr_nonnull(a);
	ck_assert_ptr_nonnull(b);
}

START_TEST(blocking_ends_tell_a_close_from_a_break)
{
	struct why why = WHY_INIT;
	struct ipc_frame f;

	sync_pair();
	ck_assert_int_eq(ipc_sync_peer(a)->pid, getpid());
	ck_assert_int_eq(ipc_sync_send(a, 1, 2, SPAN("last"), &why), 0);
	ck_assert_int_eq(ipc_sync_flush(a, &why), 0);
	ipc_sync_free(&a);
	ck_assert_int_eq(ipc_sync_recv(b, &f, -1, &why), 1);
	ck_assert(span_is(f.body, "last"));
	why_set(&why, "4.0.0", "old");
	ck_assert_int_eq(ipc_sync_recv(b, &f, -1, &why), -1);
	ck_assert_str_eq(why.text, "");
	ck_assert_str_eq(why.code, "");
	ck_assert_int_eq(ipc_sync_recv(b, &f, -1, &why), -1);
	ipc_sync_free(&b);

	sync_pair();			/* half a frame, then the end */
	ck_assert_int_eq(write(ipc_sync_fd(a), "\5\0\0\0\1\0\0\0xxxxab", 14),
	    14);
	ipc_sync_free(&a);
	ck_assert_int_eq(ipc_sync_recv(b, &f, -1, &why), -1);
	ck_assert_ptr_nonnull(strstr(why.text, "half a frame"));
	ipc_sync_free(&b);

	sync_pair();			/* over the limit */
	ck_assert_int_eq(write(ipc_sync_fd(a), "\xff\xff\xff\xff\1\0\0\0xxxx",
	    12), 12);
	ck_assert_int_eq(ipc_sync_recv(b, &f, -1, &why), -1);
	ck_assert_ptr_nonnull(strstr(why.text, "over the limit"));
	ipc_sync_free(&a);
	/* Writing to one who is gone is an error, not a signal. */
	ck_assert_int_eq(ipc_sync_send(b, 1, 1, SPAN("x"), &why), 0);
	ck_assert_int_eq(ipc_sync_flush(b, &why), -1);
	ipc_sync_free(&b);
}
END_TEST

START_TEST(a_blocking_end_gives_up_in_time)
{
	struct why why = WHY_INIT;
	int64_t t0 = clock_mono_ms();
	static char block[1 << 20];
	int sv[2], rc = 0;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	a = ipc_sync_accept(sv[0], &proto, 50, &why);	/* no HELLO comes */
	ck_assert_ptr_null(a);
	ck_assert_ptr_nonnull(strstr(why.text, "HELLO"));
	ck_assert_int_ge(clock_mono_ms() - t0, 49);
	close(sv[1]);

	sync_pair();			/* nobody takes what we write */
	t0 = clock_mono_ms();
	for (int i = 0; i < 100 && rc == 0; i++)
		rc = ipc_sync_send(a, 1, 1, span_make(block, sizeof(block)),
		    &why);
	ck_assert_int_eq(rc, -1);
	ck_assert_ptr_nonnull(strstr(why.text, "timed out"));
	ck_assert_int_ge(clock_mono_ms() - t0, 990);
	ipc_sync_free(&a);
	ipc_sync_free(&b);
}
END_TEST

START_TEST(connecting_to_nobody_says_so)
{
	struct why why = WHY_INIT;

	ck_assert_ptr_null(ipc_sync_connect("/nonexistent/socket", &proto,
	    1000, &why));
	ck_assert_str_eq(why.text,
	    "connect to /nonexistent/socket: No such file or directory");
}
END_TEST

/* --- the client that comes back ------------------------------------------------------ */

static struct ipc_client *client;
static int ups, downs, answers, lst = -1;
static struct ipc_conn *server;
static char dir[] = "/tmp/mansio-ipc-XXXXXX", path[64];

static int
server_frame(void *arg, struct ipc_conn *c, const struct ipc_frame *f)
{
	ipc_send(c, f->type, f->tag, f->body);
	return 0;
}

static void
server_end(void *arg, struct ipc_conn *c)
{
	ipc_conn_free(&server);
}

static void
server_accept(void *arg, unsigned events)
{
	static const struct ipc_ops server_ops = {
		.on_frame = server_frame, .on_end = server_end
	};
	int fd = sock_accept(lst, NULL);

	if (fd >= 0)
		server = ipc_conn_new(l, fd, &proto, &server_ops, NULL);
}

static int
client_frame(void *arg, struct ipc_conn *c, const struct ipc_frame *f)
{
	answers++;
	return 0;
}

static void
client_up(void *arg, struct ipc_conn *c)
{
	ups++;
}

static bool free_when_down;

static void
client_down(void *arg)
{
	downs++;
	ck_assert_ptr_null(ipc_client_conn(client));
	if (free_when_down)
		ipc_client_free(&client);
}

START_TEST(a_client_connects_again_when_its_service_is_back)
{
	static const struct ipc_client_ops client_ops = {
		.on_frame = client_frame, .on_up = client_up,
		.on_down = client_down,
	};
	struct loop_io *io;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	client = ipc_client_new(l, path, &proto, &client_ops, NULL);
	ck_assert_ptr_null(ipc_client_conn(client));	/* not there yet */
	lst = sock_listen_unix(path, 0600, 5, NULL);
	io = loop_io_new(l, lst, server_accept, NULL);
	loop_io_want(io, LOOP_READ);
	run_for(120);
	ck_assert_int_eq(ups, 1);
	ck_assert_int_eq(downs, 0);
	for (int i = 0; i < 10; i++)
		ipc_send(ipc_client_conn(client), 1, 1, SPAN("x"));
	run_for(5);
	ck_assert_int_eq(answers, 10);
	/* The service dies, and comes back. */
	ipc_conn_free(&server);
	run_for(5);
	ck_assert_int_eq(downs, 1);
	run_for(150);
	ck_assert_int_eq(ups, 2);
	ipc_send(ipc_client_conn(client), 1, 1, SPAN("x"));
	run_for(5);
	ck_assert_int_eq(answers, 11);
	free_when_down = true;
	ipc_conn_free(&server);
	run_for(5);
	ck_assert_ptr_null(client);
	loop_io_free(&io);
	fd_close(&lst);
	unlink(path);
	rmdir(dir);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("ipc");
	TCase *t = tcase_create("ipc");

	tcase_set_timeout(t, 20);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, hello_goes_out_first_and_is_needed_first);
	tcase_add_test(t, frames_arrive_however_they_are_cut);
	tcase_add_loop_test(t, hostile_frames_end_the_connection, 0,
	    ARRAY_LEN(hostile));
	tcase_add_test(t,
	    a_frame_that_is_announced_takes_no_memory_before_it_comes);
	tcase_add_test(t, what_the_handler_refuses_ends_the_connection);
	tcase_add_test(t, a_handler_may_free_the_connection);
	tcase_add_loop_test(t, on_end_may_free_the_connection, 0, 2);
	tcase_add_test(t, a_paused_connection_hands_out_no_more);
	tcase_add_test(t, a_peer_that_takes_nothing_is_let_go);
	tcase_add_test_raise_signal(t, our_own_frame_over_the_limit_panics,
	    SIGABRT);
	tcase_add_test(t, both_kinds_of_end_understand_each_other);
	tcase_add_test(t, blocking_ends_tell_a_close_from_a_break);
	tcase_add_test(t, a_blocking_end_gives_up_in_time);
	tcase_add_test(t, connecting_to_nobody_says_so);
	tcase_add_test(t, a_client_connects_again_when_its_service_is_back);
	suite_add_tcase(s, t);
	return s;
}
