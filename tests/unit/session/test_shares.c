/* SPDX-License-Identifier: ISC */
/*
 * shares: the list of who shares something with whom is there whole, with what
 * was acknowledged, whatever call fails and wherever a process dies; and the
 * next one goes on.
 */
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conf/params.h"
#include "io/fault.h"
#include "session/shares.h"

static char dir[64];

static void
setup(void)
{
	const char *t = getenv("TMPDIR");

	snprintf(dir, sizeof(dir), "%s/sharesXXXXXX",
	    t != NULL && strlen(t) < 40 ? t : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	conf.data_directory = dir;
}

static void
teardown(void)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
	ck_assert_int_eq(system(cmd), 0);
}

static int
note(const char *owner, const char *ident, bool on)
{
	struct session_user u = { .name = owner, .login = owner, .uid = 1000,
	    .gid = 1000, .format = STORE_PACKED, .base = "/var/vmail",
	    .path = "p", .is_virtual = true };
	struct why why = WHY_INIT;

	return shares_note(&u, span_of(ident), on, &why);
}

/* "owner:ident ..." */
static void
observe(struct buf *out)
{
	struct shares s = { .ino = 0 };
	struct why why = WHY_INIT;

	buf_reset(out);
	ck_assert_msg(shares_load(&s, &why) >= 0, "%s", why.text);
	for (size_t i = 0; i < s.v.len; i++)
		buf_addf(out, "%s:%s ", s.v.v[i].owner.name,
		    s.v.v[i].ident);
	shares_fini(&s);
}

static const struct {
	const char	*owner, *ident;
	bool		 on;
	const char	*after;
} steps[] = {
	{ "alice", "bob", true, "alice:bob " },
	{ "bob", "$team", true, "alice:bob bob:$team " },
	{ "alice", "anyone", true, "alice:bob bob:$team alice:anyone " },
	{ "alice", "bob", false, "bob:$team alice:anyone " },
	{ "bob", "$team", false, "alice:anyone " },
	{ "alice", "anyone", false, "" },
};

static const int errors[] = { FAULT_KILL, EIO, ENOSPC, EDQUOT };

/* 2: it is done; 1: without coming to call n; 0: it failed. */
static int
attempt(size_t step, unsigned n, int err)
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		fault_arm(n, err);
		int rc = note(steps[step].owner, steps[step].ident,
		    steps[step].on);
		_exit(rc < 0 ? 0 : fault_count() < n ? 1 : 2);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status))
		ck_assert_int_eq(WTERMSIG(status), SIGKILL);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 0;
}

/* The file is kept, or had back. */
static void
copy(const char *from, const char *to)
{
	char cmd[256];

	snprintf(cmd, sizeof(cmd), "cp -p '%s/%s' '%s/%s'", dir, from, dir,
	    to);
	ck_assert_int_eq(system(cmd), 0);
}

START_TEST(every_call_fails_once)
{
	struct buf got = BUF_INIT(BUF_UNLIMITED);
	const char *before = "";

	/* There is a file, without a line. */
	ck_assert_int_eq(note("x", "y", true), 1);
	ck_assert_int_eq(note("x", "y", false), 1);
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		int rc = 0;

		copy("shares", "before");
		for (unsigned n = 1; rc != 1; n++) {
			ck_assert_uint_lt(n, 100);
			rc = attempt(i, n, errors[_i]);
			observe(&got);
			ck_assert_msg(strcmp(got.data, steps[i].after) == 0 ||
			    (rc == 0 && strcmp(got.data, before) == 0),
			    "step %zu, call %u: %s", i, n, got.data);
			if (rc == 1)
				break;
			/* Who comes next goes on. */
			ck_assert_int_eq(note("other", "x", true), 1);
			copy("before", "shares");
		}
		before = steps[i].after;
	}
	buf_fini(&got);
}
END_TEST

START_TEST(limits)
{
	char ident[32];

	for (int i = 0; i < SHARES_OWNER_MAX; i++) {
		snprintf(ident, sizeof(ident), "u%d", i);
		ck_assert_int_eq(note("alice", ident, true), 1);
	}
	ck_assert_int_eq(note("alice", "one more", true), -1);
	ck_assert_int_eq(note("alice", "u0", true), 0);
	ck_assert_int_eq(note("alice", "u0", false), 1);
	ck_assert_int_eq(note("alice", "one more", true), 1);
	/* What would break a line is not noted. */
	ck_assert_int_eq(note("bob", "a\tb", true), 0);
	ck_assert_int_eq(note("b\nob", "a", true), 0);
	ck_assert_int_eq(note("bob", "", true), 0);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("shares");
	TCase *t = tcase_create("shares");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, every_call_fails_once, 0,
	    (int)ARRAY_LEN(errors));
	tcase_add_test(t, limits);
	suite_add_tcase(s, t);
	return s;
}
