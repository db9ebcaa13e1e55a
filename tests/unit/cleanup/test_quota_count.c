/* SPDX-License-Identifier: ISC */
/*
 * What a login has sent, over a restart; a restart is a fork.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "cleanup/quota_count.h"
#include "conf/params.h"
#include "io/fd.h"

static char dir[] = "/tmp/mansio-quota-XXXXXX";
static const struct quota_limits hour = {
	.v = { { 10, 3600 }, { 1000, 86400 } }, .n = 2
};

static void
setup(void)
{
	ck_assert_ptr_nonnull(mkdtemp(dir));
	conf.data_directory = dir;
	cl.loop = loop_new();
}

static void
teardown(void)
{
	char *cmd;

	ck_assert_int_gt(asprintf(&cmd, "rm -r %s", dir), 0);
	ck_assert_int_eq(system(cmd), 0);
	free(cmd);
}

/* In a process of its own. */
static void
apart(void (*fn)(void))
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		fn();
		quota_counters_end();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* What bob has sent; 11 for more than ten. */
static unsigned
sent(char kind, const char *name)
{
	struct counter *c = quota_counter(kind, span_of(name));
	unsigned n = 10;

	while (n > 0 && quota_counter_over(c, &hour, n) != NULL)
		n--;
	return quota_counter_over(c, &hour, 0) != NULL ? 11 : 10 - n;
}

static void
send_some(void)
{
	struct counter *c = quota_counter('l', SPAN("bob@example.org"));

	quota_counter_add(c, &hour, 3);
	quota_counter_add(quota_counter('d', SPAN("example.org")), &hour, 7);
	c = quota_counter('l', SPAN("bob@example.org"));
	quota_counter_add(c, &hour, 2);
	if (!quota_counter_tell(c) || quota_counter_tell(c))
		_exit(1);
	(void)quota_counter('l', SPAN("nobody"));
}

static void
send_one(void)
{
	quota_counter_add(quota_counter('l', SPAN("bob@example.org")), &hour,
	    1);
}

START_TEST(a_restart_forgets_nothing)
{
	apart(send_some);
	apart(send_one);
	ck_assert_uint_eq(sent('l', "bob@example.org"), 6);
	ck_assert_uint_eq(sent('d', "example.org"), 7);
	ck_assert_uint_eq(sent('d', "bob@example.org"), 0);
	ck_assert(!quota_counter_tell(quota_counter('l',
	    SPAN("bob@example.org"))));
	ck_assert(quota_counter_tell(quota_counter('d',
	    SPAN("example.org"))));
}
END_TEST

START_TEST(another_period_begins_anew)
{
	const struct quota_limits day = { .v = { { 10, 86400 } }, .n = 1 };

	apart(send_some);
	ck_assert_ptr_null(quota_counter_over(quota_counter('l',
	    SPAN("bob@example.org")), &day, 10));
}
END_TEST

static const struct {
	int		 age;		/* seconds, of the file */
	const char	*line;
	unsigned	 want;
} files[] = {
	{ 0, "l - 3600:4 bob", 4 },
	{ 0, "l 10 3600:4.0.1,86400:9 bob", 5 },
	{ 3000, "l - 3600:4 bob", 4 },
	{ 3700, "l - 3600:4 bob", 0 },
	{ 1000, "l - 3600:0.0.0.0.0.0.0.0.0.0.0.4 bob", 0 },
	{ 1000, "l - 3600:1.0.0.0.0.0.0.4 bob", 5 },
	/* The clock was set: back, and far ahead. */
	{ -100000, "l - 3600:4 bob", 4 },
	{ 2000000000, "l - 3600:4 bob", 0 },
	{ 0, "l 2147483647 3600:4 bob", 4 },
	/* Damage: such a line counts for nothing. */
	{ 0, "l - 3600:4", 0 },
	{ 0, "l - 3600:4 ", 0 },
	{ 0, "l - 3600: bob", 0 },
	{ 0, "l - 3600 bob", 0 },
	{ 0, "l - 0:4 bob", 0 },
	{ 0, "l - -1:4 bob", 0 },
	{ 0, "l - 99999999999999999999:4 bob", 0 },
	{ 0, "l - 3600:99999999999999999999 bob", 0 },
	{ 0, "l - 3600:4.x bob", 0 },
	{ 0, "l - 3600:1.1.1.1.1.1.1.1.1.1.1.1.1 bob", 0 },
	{ 0, "l - 1:1,2:1,3:1,4:1,5:1 bob", 0 },
	{ 0, "l x 3600:4 bob", 0 },
	{ 0, "l -1 3600:4 bob", 0 },
	{ 0, "x - 3600:4 bob", 0 },
	{ 0, "", 0 },
	{ 0, "\n\n\n", 0 },
};
START_TEST(files_are_believed_as_far_as_they_make_sense)
{
	char text[256], path[64];
	int n = snprintf(text, sizeof(text), "sender_quota 1 %lld\n%s\n"
	    "l - 3600:2 carol\n", (long long)(clock_wall_s() -
	    files[_i].age), files[_i].line);

	(void)snprintf(path, sizeof(path), "%s/sender_quota", dir);
	ck_assert_int_eq(fd_replace_file(AT_FDCWD, path, 0600, text,
	    (size_t)n), 0);
	ck_assert_uint_eq(sent('l', "bob"), files[_i].want);
	ck_assert_uint_eq(sent('l', "carol"), files[_i].age > 3600 ? 0 : 2);
}
END_TEST

static const char *const heads[] = {
	"", "x", "sender_quota 2 1\n", "sender_quota 1 x\nl - 3600:4 bob\n",
	"sender_quota 1 -5\nl - 3600:4 bob\n", "l - 3600:4 bob\n",
};
START_TEST(another_file_is_none)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "%s/sender_quota", dir);
	ck_assert_int_eq(fd_replace_file(AT_FDCWD, path, 0600, heads[_i],
	    strlen(heads[_i])), 0);
	ck_assert_uint_eq(sent('l', "bob"), 0);
	quota_counter_add(quota_counter('l', SPAN("bob")), &hour, 1);
	ck_assert_uint_eq(sent('l', "bob"), 1);
}
END_TEST

START_TEST(what_is_kept_is_bounded)
{
	char name[32];

	for (unsigned i = 0; i < 100200; i++) {
		(void)snprintf(name, sizeof(name), "u%u", i);
		quota_counter_add(quota_counter('l', span_of(name)), &hour,
		    1);
	}
	ck_assert_uint_eq(sent('l', "u100199"), 1);
	ck_assert_uint_eq(sent('l', "u0"), 0);	/* it had to go */
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("quota_count");
	TCase *t = tcase_create("quota_count");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_restart_forgets_nothing);
	tcase_add_test(t, another_period_begins_anew);
	tcase_add_loop_test(t, files_are_believed_as_far_as_they_make_sense,
	    0, (int)ARRAY_LEN(files));
	tcase_add_loop_test(t, another_file_is_none, 0,
	    (int)ARRAY_LEN(heads));
	tcase_add_test(t, what_is_kept_is_bounded);
	suite_add_tcase(s, t);
	return s;
}
