/* SPDX-License-Identifier: ISC */
/*
 * loop: descriptors, timers, signals, deferred calls and workers.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "io/loop.h"

static struct loop *l;
static int sv[2];

static void
setup(void)
{
	l = loop_new();
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
	    sv), 0);
}

static void
teardown(void)
{
	loop_free(&l);
	close(sv[0]);
	close(sv[1]);
}

static void
stop(void *arg)
{
	loop_stop(l);
}

/* Turn the loop for a while. */
static void
run_for(int64_t ms)
{
	struct loop_timer *t = loop_timer_new(l, stop, NULL);

	loop_timer_set(t, ms);
	loop_run(l);
	loop_timer_free(&t);
}

static char trace[256];

static void
note(const char *s)
{
	size_t n = strlen(trace);

	ck_assert_uint_lt(n + strlen(s), sizeof(trace));
	memcpy(trace + n, s, strlen(s) + 1);
}

static void
note_arg(void *arg)
{
	note(arg);
}

/* --- descriptors ----------------------------------------------------------- */

static struct loop_io *io_a, *io_b;

static void
on_io(void *arg, unsigned events)
{
	note(events == LOOP_READ ? "r" : events == LOOP_WRITE ? "w" : "?");
	loop_io_want(io_a, 0);
}

START_TEST(only_what_is_wanted_is_told)
{
	io_a = loop_io_new(l, sv[0], on_io, NULL);
	ck_assert_int_eq(write(sv[1], "x", 1), 1);
	run_for(5);
	ck_assert_str_eq(trace, "");
	loop_io_want(io_a, LOOP_READ);
	run_for(5);
	ck_assert_str_eq(trace, "r");
	/* Level-triggered: the byte still lies there. */
	loop_io_want(io_a, LOOP_READ);
	run_for(5);
	ck_assert_str_eq(trace, "rr");
	loop_io_want(io_a, LOOP_WRITE);
	run_for(5);
	ck_assert_str_eq(trace, "rrw");
	loop_io_want(io_a, LOOP_READ);
	loop_io_want(io_a, 0);
	run_for(5);
	ck_assert_str_eq(trace, "rrw");
	loop_io_free(&io_a);
	ck_assert_ptr_null(io_a);
	loop_io_free(&io_a);
}
END_TEST

static void
free_both(void *arg, unsigned events)
{
	note("f");
	loop_io_free(&io_a);
	loop_io_free(&io_b);
}

START_TEST(a_freed_object_is_not_called_in_the_same_turn)
{
	io_a = loop_io_new(l, sv[0], free_both, NULL);
	io_b = loop_io_new(l, sv[1], free_both, NULL);
	ck_assert_int_eq(write(sv[0], "x", 1), 1);
	ck_assert_int_eq(write(sv[1], "x", 1), 1);
	loop_io_want(io_a, LOOP_READ | LOOP_WRITE);
	loop_io_want(io_b, LOOP_READ | LOOP_WRITE);
	run_for(5);
	ck_assert_str_eq(trace, "f");
}
END_TEST

static void
unwant_both(void *arg, unsigned events)
{
	note("u");
	loop_io_want(io_a, 0);
	loop_io_want(io_b, 0);
}

START_TEST(what_is_not_wanted_any_more_is_not_told_in_the_same_turn)
{
	io_a = loop_io_new(l, sv[0], unwant_both, NULL);
	io_b = loop_io_new(l, sv[1], unwant_both, NULL);
	loop_io_want(io_a, LOOP_WRITE);
	loop_io_want(io_b, LOOP_WRITE);
	run_for(5);
	ck_assert_str_eq(trace, "u");
	loop_io_free(&io_a);
	loop_io_free(&io_b);
}
END_TEST

/* A descriptor that another process shares must not wake us once it is freed
 * and closed here: the interest has to be gone before the close. */
START_TEST(a_shared_file_closed_here_does_not_wake_us)
{
	int shared = dup(sv[0]);
	uint64_t before;

	io_a = loop_io_new(l, sv[0], on_io, NULL);
	loop_io_want(io_a, LOOP_READ);
	run_for(2);
	loop_io_free(&io_a);
	close(sv[0]);
	ck_assert_int_eq(write(sv[1], "x", 1), 1);
	before = loop_turn(l);
	run_for(20);
	ck_assert_uint_lt(loop_turn(l) - before, 10);
	ck_assert_str_eq(trace, "");
	sv[0] = shared;
}
END_TEST

/* --- timers and signals ----------------------------------------------------- */

START_TEST(timers_fire_once_in_order_and_not_early)
{
	struct loop_timer *a = loop_timer_new(l, note_arg, (char[]){ "a" });
	struct loop_timer *b = loop_timer_new(l, note_arg, (char[]){ "b" });
	struct loop_timer *c = loop_timer_new(l, note_arg, (char[]){ "c" });
	int64_t t0 = clock_mono_ms();

	loop_timer_set(a, 30);
	loop_timer_set(b, 10);
	loop_timer_set(c, 5);
	loop_timer_cancel(c);
	loop_timer_set(a, 20);
	run_for(60);
	ck_assert_str_eq(trace, "ba");
	ck_assert_int_ge(clock_mono_ms() - t0, 50);
	loop_timer_free(&a);
	loop_timer_free(&b);
	loop_timer_free(&c);
}
END_TEST

#define MANY	200
static struct loop_timer *many[MANY];
static int64_t due_ms[MANY], last_due, fired;

static void
note_due(void *arg)
{
	struct loop_timer **at = arg;
	int64_t due = due_ms[at - many];

	ck_assert_int_ge(due, last_due);
	last_due = due;
	fired++;
	if (fired % 5 == 0)	/* a timer may set itself, and free others */
		loop_timer_set(*at, 1000);
	for (size_t i = 0; fired % 7 == 0 && i < MANY; i += 50)
		loop_timer_free(&many[i]);
}

START_TEST(many_timers_keep_their_order_whatever_moves)
{
	unsigned seed = 1;
	int64_t want = 0;

	for (size_t i = 0; i < MANY; i++)
		many[i] = loop_timer_new(l, note_due, &many[i]);
	for (size_t i = 0; i < 4 * MANY; i++) {
		size_t k = (seed = seed * 1103515245 + 12345) / 7 % MANY;

		due_ms[k] = 1 + seed / 65536 % 40;
		if (seed / 256 % 5 == 0) {
			due_ms[k] = 0;
			loop_timer_cancel(many[k]);
		} else {
			loop_timer_set(many[k], due_ms[k]);
		}
	}
	for (size_t i = 0; i < MANY; i++)
		want += i % 50 != 0 && due_ms[i] != 0;
	last_due = fired = 0;
	run_for(80);
	ck_assert_int_ge(fired, want);
	ck_assert_int_le(fired, want + MANY / 50);
	for (size_t i = 0; i < MANY; i++)
		loop_timer_free(&many[i]);
}
END_TEST

START_TEST(signals_come_on_the_loop)
{
	struct loop_signal *s = loop_signal_new(l, SIGUSR1, note_arg, (char[]){ "s" });

	raise(SIGUSR1);
	ck_assert_str_eq(trace, "");
	run_for(5);
	ck_assert_str_eq(trace, "s");
	loop_signal_free(&s);
}
END_TEST

static void
take_byte(void *arg, unsigned events)
{
	char c;

	ck_assert_int_eq(read(sv[0], &c, 1), 1);
	note("i");
}

/* Who connects after a SIGHUP was sent may be ready before it is. */
START_TEST(signals_come_before_what_else_is_ready)
{
	struct loop_io *io = loop_io_new(l, sv[0], take_byte, NULL);
	struct loop_signal *s = loop_signal_new(l, SIGHUP, note_arg,
	    (char[]){ "s" });

	loop_io_want(io, LOOP_READ);
	run_for(1);
	ck_assert_int_eq(write(sv[1], "x", 1), 1);
	raise(SIGHUP);
	run_for(5);
	ck_assert_str_eq(trace, "si");
	loop_signal_free(&s);
	loop_io_free(&io);
}
END_TEST

/* --- deferred calls ---------------------------------------------------------- */

static struct loop_defer first, second, third;

static void
defer_more(void *arg)
{
	note(arg);
	loop_defer(l, &third);
	loop_defer_cancel(&second);
}

START_TEST(deferred_calls_run_once_at_the_end_of_the_turn)
{
	first = (struct loop_defer){ .fn = defer_more, .arg = (char[]){ "1" } };
	second = (struct loop_defer){ .fn = note_arg, .arg = (char[]){ "2" } };
	third = (struct loop_defer){ .fn = note_arg, .arg = (char[]){ "3" } };
	loop_defer(l, &first);
	loop_defer(l, &first);
	loop_defer(l, &second);
	ck_assert_str_eq(trace, "");
	run_for(1);
	ck_assert_str_eq(trace, "13");
	loop_defer(l, &second);
	loop_defer_cancel(&second);
	loop_defer_cancel(&second);
	loop_defer(l, &first);
	run_for(1);
	ck_assert_str_eq(trace, "1313");
}
END_TEST

START_TEST(time_stands_still_in_a_turn_and_moves_between)
{
	int64_t t = loop_now_ms(l);

	usleep(5000);
	ck_assert_int_eq(loop_now_ms(l), t);
	run_for(1);
	ck_assert_int_gt(loop_now_ms(l), t);
}
END_TEST

/* --- workers ------------------------------------------------------------------ */

static struct loop_worker *worker;
static pthread_t main_thread;

static void
job(void *arg)
{
	ck_assert(!pthread_equal(pthread_self(), main_thread));
	usleep(2000);
	++*(int *)arg;
}

static void
job_done(void *arg)
{
	ck_assert(pthread_equal(pthread_self(), main_thread));
	ck_assert(!loop_worker_busy(worker));
	if (*(int *)arg == 3)
		loop_worker_free(&worker);	/* from its own handler */
	else
		ck_assert_int_eq(loop_worker_start(worker, job, job_done,
		    arg), 0);
}

START_TEST(a_worker_does_one_job_after_the_other)
{
	int count = 0;

	main_thread = pthread_self();
	worker = loop_worker_new(l);
	ck_assert_int_eq(loop_worker_start(worker, job, job_done, &count), 0);
	ck_assert_int_eq(loop_worker_start(worker, job, job_done, &count), -1);
	ck_assert(loop_worker_busy(worker));
	run_for(100);
	ck_assert_int_eq(count, 3);
	ck_assert_ptr_null(worker);
}
END_TEST

START_TEST(freeing_a_worker_waits_for_its_job)
{
	int count = 0;

	main_thread = pthread_self();
	worker = loop_worker_new(l);
	ck_assert_int_eq(loop_worker_start(worker, job, job_done, &count), 0);
	loop_worker_free(&worker);
	ck_assert_int_eq(count, 1);
	worker = loop_worker_new(l);
	loop_worker_free(&worker);	/* never had one */
}
END_TEST

/* --- loop_set_eager() -------------------------------------------------------- */

static void
setup_eager(void)
{
	setup();
	loop_set_eager(l, 200);
}

/* A peer that answers each byte at once. */
static void *
echo(void *arg)
{
	char c;

	while (recv(sv[1], &c, 1, 0) == 1 && c != '.')
		ck_assert_int_eq(send(sv[1], &c, 1, 0), 1);
	return NULL;
}

static int rounds, raise_at;

static void
on_echo(void *arg, unsigned events)
{
	char c;

	ck_assert_int_eq(read(sv[0], &c, 1), 1);
	rounds++;
	ck_assert_int_eq(write(sv[0], rounds < 1000 ? "x" : ".", 1), 1);
	if (rounds == 1000)
		loop_stop(l);
	if (rounds == raise_at)
		raise(SIGUSR1);
}

START_TEST(a_quick_dialogue_keeps_neither_timers_nor_signals_waiting)
{
	struct loop_io *io = loop_io_new(l, sv[0], on_echo, NULL);
	struct loop_timer *t = loop_timer_new(l, note_arg, (char []){"t"});
	struct loop_signal *s = loop_signal_new(l, SIGUSR1, note_arg,
	    (char []){"s"});
	pthread_t peer;

	loop_io_want(io, LOOP_READ);
	loop_timer_set(t, 0);
	raise_at = 500;
	ck_assert_int_eq(fcntl(sv[1], F_SETFL, 0), 0);
	ck_assert_int_eq(pthread_create(&peer, NULL, echo, NULL), 0);
	ck_assert_int_eq(write(sv[0], "x", 1), 1);
	loop_run(l);
	pthread_join(peer, NULL);
	ck_assert_int_eq(rounds, 1000);
	ck_assert_str_eq(trace, "ts");
	loop_signal_free(&s);
	loop_timer_free(&t);
	loop_io_free(&io);
}
END_TEST

static int64_t
cpu_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

START_TEST(when_the_peer_is_silent_the_loop_sleeps)
{
	struct loop_io *io = loop_io_new(l, sv[0], on_echo, NULL);
	pthread_t peer;
	int64_t before;

	loop_io_want(io, LOOP_READ);
	ck_assert_int_eq(fcntl(sv[1], F_SETFL, 0), 0);
	ck_assert_int_eq(pthread_create(&peer, NULL, echo, NULL), 0);
	ck_assert_int_eq(write(sv[0], "x", 1), 1);
	loop_run(l);
	pthread_join(peer, NULL);
	before = cpu_ms();
	run_for(400);
	ck_assert_int_lt(cpu_ms() - before, 100);
	loop_io_free(&io);
}
END_TEST

static void
add_tests(TCase *t)
{
	tcase_add_test(t, only_what_is_wanted_is_told);
	tcase_add_test(t, a_freed_object_is_not_called_in_the_same_turn);
	tcase_add_test(t,
	    what_is_not_wanted_any_more_is_not_told_in_the_same_turn);
	tcase_add_test(t, a_shared_file_closed_here_does_not_wake_us);
	tcase_add_test(t, timers_fire_once_in_order_and_not_early);
	tcase_add_test(t, many_timers_keep_their_order_whatever_moves);
	tcase_add_test(t, signals_come_on_the_loop);
	tcase_add_test(t, signals_come_before_what_else_is_ready);
	tcase_add_test(t, deferred_calls_run_once_at_the_end_of_the_turn);
	tcase_add_test(t, time_stands_still_in_a_turn_and_moves_between);
	tcase_add_test(t, a_worker_does_one_job_after_the_other);
	tcase_add_test(t, freeing_a_worker_waits_for_its_job);
}

Suite *
suite(void)
{
	Suite *s = suite_create("loop");
	TCase *t = tcase_create("loop"), *eager = tcase_create("eager");

	tcase_add_checked_fixture(t, setup, teardown);
	add_tests(t);
	suite_add_tcase(s, t);
	tcase_add_checked_fixture(eager, setup_eager, teardown);
	add_tests(eager);
	tcase_add_test(eager,
	    a_quick_dialogue_keeps_neither_timers_nor_signals_waiting);
	tcase_add_test(eager, when_the_peer_is_silent_the_loop_sleeps);
	suite_add_tcase(s, eager);
	return s;
}
