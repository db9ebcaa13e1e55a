/* SPDX-License-Identifier: ISC */
/* Lines to a file: what it does not take is counted, and no line is lengthened
 * by another. */
#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

static char	path[64];

static void
setup(void)
{
	snprintf(path, sizeof(path), "/tmp/mansio-log-%d", (int)getpid());
	log_set_tag("mansio/test");
	log_open_fd(open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND |
	    O_CLOEXEC, 0600));
	ck_assert(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
}

static void
teardown(void)
{
	unlink(path);
}

/* The file has no room for more than so many bytes. */
static void
limit(rlim_t n)
{
	struct rlimit r;

	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &r), 0);
	r.rlim_cur = n;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &r), 0);
}

static void
say(const char *text)
{
	log_info("%s", text);
	log_flush();
}

/* What a line says, behind its head. */
static const char *
text_of(char *line)
{
	char *p = strstr(line, "]: ");

	line[strcspn(line, "\n")] = '\0';
	return p != NULL ? p + 3 : line;
}

START_TEST(lines_that_are_lost_are_counted)
{
	static const char *const want[] = {
		"first", "thi",
		"warning: 4 lines were lost while the log file did not take "
		"them", "last", "and more",
	};
	struct stat st;
	char line[256];
	size_t n = 0;
	FILE *f;

	say("first");
	ck_assert_int_eq(stat(path, &st), 0);
	limit((rlim_t)(st.st_size * 2 - (off_t)strlen("st\n")));
	log_info("this one is torn");
	log_info("this one has no room");
	log_flush();
	say("nor has this one");
	say("nor this");
	limit(RLIM_INFINITY);
	say("last");
	say("and more");
	f = fopen(path, "r");
	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f) != NULL) {
		ck_assert_uint_lt(n, ARRAY_LEN(want));
		ck_assert_str_eq(text_of(line), want[n++]);
	}
	fclose(f);
	ck_assert_uint_eq(n, ARRAY_LEN(want));
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("log");
	TCase *t = tcase_create("file");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, lines_that_are_lost_are_counted);
	suite_add_tcase(s, t);
	return s;
}
