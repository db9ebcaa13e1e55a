/* SPDX-License-Identifier: ISC */
/*
 * Which address is tried when, with a delivery and a session that only count.
 */
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "daemon/daemon.h"
#include "smtp/smtp.h"

/* --- what connect.c calls ------------------------------------------------ */

struct settings set = { .proto = "smtp", .connect_ms = 30000 };
static struct loop *loop;
static struct delivery del;
static struct loop_timer *end;
static size_t nexts, sessions, connected;

struct loop *
daemon_loop(void)
{
	return loop;
}

void
delivery_next(struct delivery *d)
{
	/* What delivery.c relies on: nothing is under way. */
	ck_assert(list_empty(&d->attempts));
	nexts++;
	loop_defer(loop, &d->step);
}

void
session_start(struct delivery *d, int fd, const struct peer *p, size_t index)
{
	ck_assert_mem_eq(&d->peers.v[index].addr.sa, &p->addr.sa, p->addr.len);
	close(fd);
	sessions++;
	connected = index;
	loop_stop(loop);
}

/* As delivery.c does. */
static void
step(void *arg)
{
	struct delivery *d = arg;

	if (d->next_peer < d->peers.len)
		connect_start(d);
	else
		loop_stop(loop);
}

/* --- listeners ------------------------------------------------------------ */

static struct sock_addr
address(const char *ip, unsigned port)
{
	struct sock_addr a;

	ck_assert_int_eq(sock_addr_parse(span_of(ip), (uint16_t)port, &a), 0);
	return a;
}

/* The port is chosen by the system when it is 0.  -1: no such address here. */
static int
listener(const char *ip, unsigned *port)
{
	struct sock_addr a = address(ip, *port);
	int on = 1, fd = socket(a.sa.sa_family, SOCK_STREAM, 0);

	if (fd < 0)
		return -1;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, &a.sa, a.len) < 0) {
		close(fd);
		return -1;
	}
	ck_assert_int_eq(listen(fd, 0), 0);
	ck_assert_int_eq(getsockname(fd, &a.sa, &a.len), 0);
	*port = sock_addr_port(&a);
	return fd;
}

/* Until the queue of the listener is full, and further SYNs are dropped. */
static void
fill(const char *ip, unsigned port)
{
	struct sock_addr a = address(ip, port);

	for (int i = 0; i < 3; i++) {
		int fd = socket(a.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK, 0);

		(void)connect(fd, &a.sa, a.len);
	}
}

static void
setup(void)
{
	loop = loop_new();
}

static void
teardown(void)
{
	connect_cancel(&del);
	loop_timer_free(&del.race);
	peers_fini(&del.peers);
	loop_timer_free(&end);
	loop_free(&loop);
}

static void
delivery_to(size_t n, const char *const *ips, unsigned port)
{
	del = (struct delivery){ .ntodo = 1 };
	list_init(&del.attempts);
	del.step = (struct loop_defer){ .fn = step, .arg = &del };
	for (size_t i = 0; i < n; i++) {
		struct peer *p = ARRAY_PUSH(&del.peers);

		*p = (struct peer){ .addr = address(ips[i], port),
		    .pref = 10 };
		(void)snprintf(p->host, sizeof(p->host), "mx.test");
	}
}

/* --- cases ------------------------------------------------------------------ */

static void
enough(void *arg)
{
	loop_stop(loop);
}

/*
 * When the first address has failed the delivery goes on, at the end of the
 * turn, and the race is off: were the other address tried from there in that
 * very turn, the delivery would find none left, and give up.
 */
START_TEST(no_race_after_a_failure)
{
	static const char *const ips[] = { "::1", "127.0.0.1" };
	unsigned port = 0;

	if (listener("::1", &port) < 0)
		return;		/* no IPv6 on this machine */
	ck_assert_int_ge(listener("127.0.0.1", &port), 0);
	fill("::1", port);
	delivery_to(2, ips, port);
	del.step.fn = enough;	/* whoever runs the delivery is slow */
	set.connect_ms = 500;
	connect_start(&del);
	ck_assert(!list_empty(&del.attempts));
	loop_run(loop);
	ck_assert_uint_eq(nexts, 1);
	end = loop_timer_new(loop, enough, NULL);
	loop_timer_set(end, 1500);
	loop_run(loop);
	ck_assert_uint_eq(del.next_peer, 1);
	ck_assert_uint_eq(sessions, 0);
	connect_start(&del);
	loop_run(loop);
	ck_assert_uint_eq(connected, 1);
}
END_TEST

/* The families take turns, and who refuses is followed at once. */
START_TEST(takes_turns)
{
	static const char *const ips[] = { "::1", "::1", "127.0.0.9",
	    "127.0.0.1" };
	unsigned port = 0;
	int64_t began = clock_mono_ms();

	if (listener("::1", &port) < 0)
		return;
	ck_assert_int_ge(listener("127.0.0.1", &port), 0);
	fill("::1", port);
	delivery_to(4, ips, port);
	connect_start(&del);
	loop_run(loop);
	ck_assert_uint_eq(sessions, 1);
	ck_assert_uint_eq(nexts, 0);
	ck_assert_str_eq(del.why.code, "4.4.1");	/* 127.0.0.9 */
	ck_assert_uint_eq(connected, 2);
	ck_assert_uint_eq(del.next_peer, 3);
	ck_assert_int_ge(clock_mono_ms() - began, 900);
}
END_TEST

/* A slow host is no reason to go to one of lower preference. */
START_TEST(not_with_the_backup)
{
	static const char *const ips[] = { "::1", "127.0.0.1" };
	unsigned port = 0;
	int64_t began = clock_mono_ms();

	if (listener("::1", &port) < 0)
		return;
	ck_assert_int_ge(listener("127.0.0.1", &port), 0);
	fill("::1", port);
	delivery_to(2, ips, port);
	del.peers.v[1].pref = 20;
	set.connect_ms = 2500;
	connect_start(&del);
	loop_run(loop);
	ck_assert_uint_eq(nexts, 1);
	ck_assert_uint_eq(connected, 1);
	ck_assert_int_ge(clock_mono_ms() - began, 2400);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("smtp connect");
	TCase *t = tcase_create("race");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, no_race_after_a_failure);
	tcase_add_test(t, takes_turns);
	tcase_add_test(t, not_with_the_backup);
	tcase_set_timeout(t, 30);
	suite_add_tcase(s, t);
	return s;
}
