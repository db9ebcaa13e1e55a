/* SPDX-License-Identifier: ISC */
/*
 * state: what is finished, written and read back.
 */
#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/num.h"
#include "qmgr/state.h"

static char dir[64];
static int dirfd;
static struct loop *loop;
static unsigned n_done;
static uint64_t last_done;

static void
setup(void)
{
	(void)snprintf(dir, sizeof(dir), "%s/state.XXXXXX",
	    getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	dirfd = open(dir, O_RDONLY | O_DIRECTORY);
	ck_assert_int_ge(dirfd, 0);
	ck_assert_int_eq(mkdirat(dirfd, "state", 0700), 0);
	loop = loop_new();
	n_done = 0;
}

static void
teardown(void)
{
	char cmd[128];

	loop_free(&loop);
	close(dirfd);
	(void)snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
	ck_assert_int_eq(system(cmd), 0);
}

static void
on_done(void *arg, const struct finished *f)
{
	n_done++;
	last_done = f->seq;
	if (n_done == *(unsigned *)arg)
		loop_stop(loop);
}

static struct state *
open_state(unsigned *want)
{
	struct why why = WHY_INIT;
	struct state *s = state_open(loop, dirfd, on_done, want, &why);

	ck_assert_msg(s != NULL, "%s", why.text);
	return s;
}

START_TEST(what_is_committed_is_found_again)
{
	unsigned want = 1003;
	struct state *s = open_state(&want);
	struct state_entries e;
	const struct state_entry *first;
	struct why why = WHY_INIT;

	for (uint64_t i = 1; i <= 1000; i++)
		state_note(s, &(struct finished){ .seq = i * 2,
		    .rcpt = QREC_ALL }, false);
	state_note(s, &(struct finished){ .seq = 7, .rcpt = 3 }, false);
	state_note(s, &(struct finished){ .seq = 7, .rcpt = 1 }, true);
	state_note(s, &(struct finished){ .seq = 9, .rcpt = 0 }, true);
	ck_assert_uint_eq(state_pending(s), 1003);
	loop_run(loop);
	ck_assert_uint_eq(n_done, 1003);
	ck_assert_uint_eq(state_pending(s), 0);
	state_close(&s);

	ck_assert_int_eq(state_read(dirfd, &e, &why), 0);
	ck_assert(state_entries_all(&e, 2));
	ck_assert(state_entries_all(&e, 2000));
	ck_assert(!state_entries_all(&e, 7));
	ck_assert(!state_entries_all(&e, 3));
	ck_assert_uint_eq(state_entries_find(&e, 7, &first), 2);
	ck_assert_uint_eq(first[0].rcpt, 1);
	ck_assert_uint_eq(first[1].rcpt, 3);
	ck_assert_uint_eq(state_entries_find(&e, 2001, &first), 0);
	state_entries_fini(&e);

	s = open_state(&want);
	e = state_take_entries(s);
	ck_assert_uint_eq(e.v.len, 1003);
	state_entries_fini(&e);
	state_close(&s);
}
END_TEST

START_TEST(there_is_one_writer)
{
	unsigned want = 0;
	struct state *s = open_state(&want);
	struct why why = WHY_INIT;

	ck_assert_ptr_null(state_open(loop, dirfd, on_done, &want, &why));
	ck_assert_ptr_nonnull(strstr(why.text, "in use"));
	state_close(&s);
}
END_TEST

START_TEST(records_that_make_no_sense_are_refused)
{
	struct state_entries e = { .v = ARRAY_EMPTY };
	char bytes[25];

	memset(bytes, 0, sizeof(bytes));
	num_put_le64(bytes, 77);
	num_put_le32(bytes + 8, QREC_ALL);
	ck_assert_int_eq(state_parse(span_make(bytes, 25), &e), -1);
	ck_assert_int_eq(state_parse(span_make(bytes, 11), &e), -1);
	ck_assert_uint_eq(e.v.len, 0);
	ck_assert_int_eq(state_parse(span_make(bytes, 12), &e), 0);
	ck_assert(state_entries_all(&e, 77));
	ck_assert_int_eq(state_parse(span_make(bytes, 0), &e), 0);
	state_entries_fini(&e);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("state");
	TCase *t = tcase_create("state");

	tcase_set_timeout(t, 30);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, what_is_committed_is_found_again);
	tcase_add_test(t, there_is_one_writer);
	tcase_add_test(t, records_that_make_no_sense_are_refused);
	suite_add_tcase(s, t);
	return s;
}
