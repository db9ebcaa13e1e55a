/* SPDX-License-Identifier: ISC */
/*
 * asker: a question survives the service's end, but is not put to one service
 * after the other that it may have ended; taken back, it is as if never asked.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "io/fd.h"
#include "io/sock.h"
#include "ipc/asker.h"

#define ASK	1
#define ANSWER	2
#define OTHER	3

static const struct ipc_proto proto = {
	.name = "test", .version = 1, .frame_max = 1000, .out_max = 100000,
};

static struct loop *l;
static struct asker *asker;
static int lst = -1, got, asked, answered, lost;
static struct ipc_conn *server;
static struct loop_io *io;
static char dir[] = "/tmp/mansio-asker-XXXXXX", path[64];
static enum { ANSWERS, SILENT, DIES, LIES } service;
static uint16_t says;

static int
server_frame(void *arg, struct ipc_conn *c, const struct ipc_frame *f)
{
	got++;
	switch (service) {
	case ANSWERS:
		ipc_send(c, says, f->tag, f->body);
		return 0;
	case LIES:
		ipc_send(c, OTHER, f->tag, f->body);
		return 0;
	case DIES:
		return -1;
	default:
		return 0;
	}
}

static void
server_end(void *arg, struct ipc_conn *c)
{
	ipc_conn_free(&server);
}

static void
server_accept(void *arg, unsigned events)
{
	static const struct ipc_ops ops = {
		.on_frame = server_frame, .on_end = server_end
	};
	int fd = sock_accept(lst, NULL);

	if (fd >= 0)
		server = ipc_conn_new(l, fd, &proto, &ops, NULL);
}

static void
put(struct question *q, struct ipc_conn *c)
{
	asked++;
	ipc_send(c, ASK, q->tag, SPAN("?"));
}

static int
answer(struct question *q, const struct ipc_frame *f)
{
	ck_assert(span_is(f->body, "?"));
	answered++;
	asker_forget(asker, q);
	return 0;
}

static void
on_lost(struct question *q)
{
	lost++;
}

static const struct asker_ops ops = {
	.put = put, .answer = answer, .lost = on_lost, .answer_type = ANSWER,
	.wait_ms = 60000, .away_ms = 60000,
};
static const struct asker_ops impatient = {
	.put = put, .answer = answer, .lost = on_lost,
	.wait_ms = 60000, .away_ms = 1,
};

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

/* Until *n is want, for which there is time enough. */
static void
run_until(const int *n, int want)
{
	for (int i = 0; i < 4000 && *n < want; i++)
		run_for(5);
	ck_assert_int_eq(*n, want);
}

static void
listen_again(void)
{
	(void)unlink(path);
	lst = sock_listen_unix(path, 0600, 5, NULL);
	ck_assert_int_ge(lst, 0);
	io = loop_io_new(l, lst, server_accept, NULL);
	loop_io_want(io, LOOP_READ);
}

static void
setup(void)
{
	l = loop_new();
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	says = ANSWER;
	listen_again();
	asker = asker_new(l, path, &proto, &ops);
}

static void
teardown(void)
{
	asker_free(&asker);
	ipc_conn_free(&server);
	loop_io_free(&io);
	fd_close(&lst);
	loop_free(&l);
	unlink(path);
	rmdir(dir);
}

START_TEST(a_question_is_put_again_when_the_service_ends)
{
	struct question q[10] = { { .tag = 0 } };

	service = SILENT;
	for (int i = 0; i < 10; i++)
		asker_ask(asker, &q[i]);
	run_until(&got, 10);
	ipc_conn_free(&server);
	service = ANSWERS;
	run_until(&answered, 10);
	ck_assert_int_eq(asked, 20);
	ck_assert_int_eq(lost, 0);
	ck_assert_ptr_null(asker_any(asker));
}
END_TEST

/* Whoever kills three services in a row does not get a fourth, and what was
 * asked beside it goes on. */
START_TEST(a_question_that_ends_its_service_is_lost)
{
	struct question bad = { .tag = 0 }, good = { .tag = 0 };

	service = _i == 0 ? DIES : LIES;
	asker_ask(asker, &bad);
	run_until(&lost, 1);
	ck_assert_int_eq(asked, ASKER_PUTS_MAX);
	ck_assert_int_eq(answered, 0);
	service = ANSWERS;
	asker_ask(asker, &good);
	run_until(&answered, 1);
	ck_assert_int_eq(lost, 1);
}
END_TEST

START_TEST(what_is_taken_back_is_not_put_again)
{
	struct question one = { .tag = 0 }, two = { .tag = 0 };

	service = SILENT;
	asker_ask(asker, &one);
	asker_ask(asker, &two);
	run_until(&got, 2);
	ck_assert_ptr_nonnull(asker_conn(asker, &one));
	asker_forget(asker, &one);
	ipc_conn_free(&server);
	service = ANSWERS;
	run_until(&answered, 1);
	ck_assert_int_eq(asked, 3);
	ck_assert_int_eq(lost, 0);
}
END_TEST

/* Nobody is there: the time is away_ms, and less for those who come later. */
START_TEST(nobody_is_there)
{
	struct question q[3] = { { .tag = 0 } };

	loop_io_free(&io);
	fd_close(&lst);
	unlink(path);
	asker_free(&asker);
	ipc_conn_free(&server);
	asker = asker_new(l, path, &proto, &impatient);
	asker_ask(asker, &q[0]);
	run_until(&lost, 1);
	asker_ask(asker, &q[1]);
	run_until(&lost, 2);
	ck_assert_int_eq(asked, 0);
	/* It comes back; with answer_type 0 any answer may be one. */
	listen_again();
	service = ANSWERS;
	says = OTHER;
	for (int i = 0; i < 100 && answered == 0; i++) {
		asker_ask(asker, &q[2]);
		lost = 0;
		while (answered == 0 && lost == 0)
			run_for(5);
	}
	ck_assert_int_eq(answered, 1);
}
END_TEST

/* The question's own time counts before the service's. */
START_TEST(a_question_has_its_own_time)
{
	struct question q = { .wait_ms = 1 };

	service = SILENT;
	asker_ask(asker, &q);
	run_until(&lost, 1);
	ck_assert_int_eq(got, 1);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("asker");
	TCase *t = tcase_create("asker");

	tcase_set_timeout(t, 30);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_question_is_put_again_when_the_service_ends);
	tcase_add_loop_test(t, a_question_that_ends_its_service_is_lost, 0, 2);
	tcase_add_test(t, what_is_taken_back_is_not_put_again);
	tcase_add_test(t, nobody_is_there);
	tcase_add_test(t, a_question_has_its_own_time);
	suite_add_tcase(s, t);
	return s;
}
