/* SPDX-License-Identifier: ISC */
/*
 * mbox_lock: "name.lock" is one process's at a time, also when those who want
 * it find one that a dead process has left.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "store/store.h"
#include "store/store_internal.h"

#define WRITERS	4
#define ROUNDS	60

static char dir[64];
static int dirfd_;

static void
setup(void)
{
	const char *t = getenv("TMPDIR");

	snprintf(dir, sizeof(dir), "%s/lockXXXXXX",
	    t != NULL && strlen(t) < 40 ? t : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	dirfd_ = open(dir, O_RDONLY | O_DIRECTORY);
	ck_assert_int_ge(dirfd_, 0);
}

static void
teardown(void)
{
	(void)unlinkat(dirfd_, "box.lock", 0);
	(void)unlinkat(dirfd_, "inside", 0);
	close(dirfd_);
	ck_assert_int_eq(rmdir(dir), 0);
}

static struct store *
open_store(void)
{
	struct store_options o = {
		.open_max = 8, .hostname = "mail.example.test",
		.lock_attempts = 3, .lock_delay_ms = 10, .stale_lock_s = 500,
	};

	return store_new(&o);
}

/* A lock with this text, so many seconds old. */
static void
plant(const char *text, int age_s)
{
	int fd = openat(dirfd_, "box.lock", O_WRONLY | O_CREAT | O_TRUNC,
	    0644);
	struct timespec ts[2] = {
		{ .tv_sec = time(NULL) - age_s },
		{ .tv_sec = time(NULL) - age_s },
	};

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (int)strlen(text));
	ck_assert_int_eq(futimens(fd, ts), 0);
	close(fd);
}

/* The pid of a process that is no more. */
static pid_t
dead_pid(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	return pid;
}

static const struct {
	const char	*host;
	bool		 dead;
	int		 age_s;
	bool		 taken_away;
} stale_cases[] = {
	{ "mail.example.test",	false, 0,   false },	/* somebody's */
	{ "mail.example.test",	true,  0,   true },
	{ "other.example.test",	true,  0,   false },	/* pids of elsewhere */
	{ "mail.example.test",	false, 501, true },
	{ "other.example.test",	true,  499, false },
	{ "",			true,  501, true },
};

START_TEST(stale_locks_are_taken_away)
{
	struct store *s = open_store();
	char text[100];

	snprintf(text, sizeof(text), "%ld %s\n", stale_cases[_i].dead ?
	    (long)dead_pid() : (long)getppid(), stale_cases[_i].host);
	plant(text, stale_cases[_i].age_s);
	/* The one who removes it asks again like all others. */
	ck_assert_int_eq(mbox_dotlock(s, dirfd_, "box.lock"), 0);
	ck_assert_int_eq(mbox_dotlock(s, dirfd_, "box.lock"),
	    stale_cases[_i].taken_away ? 1 : 0);
	store_free(&s);
}
END_TEST

/* In the lock: nobody else is inside. */
static bool
alone_inside(void)
{
	int fd = openat(dirfd_, "inside", O_WRONLY | O_CREAT | O_EXCL, 0600);

	if (fd < 0)
		return false;
	usleep(200);
	close(fd);
	return unlinkat(dirfd_, "inside", 0) == 0;
}

static int
writer(int start)
{
	struct store *s = open_store();
	int got, rc = 0;
	char c;

	(void)!read(start, &c, 1);	/* all at once */
	while ((got = mbox_dotlock(s, dirfd_, "box.lock")) == 0)
		continue;
	if (got < 0 || !alone_inside() ||
	    unlinkat(dirfd_, "box.lock", 0) < 0)
		rc = 1;
	store_free(&s);
	return rc;
}

START_TEST(a_stale_lock_lets_in_one_only)
{
	char text[100];

	for (int round = 0; round < ROUNDS; round++) {
		int start[2], status;
		pid_t pids[WRITERS];

		snprintf(text, sizeof(text), "%ld mail.example.test\n",
		    (long)dead_pid());
		plant(text, 0);
		ck_assert_int_eq(pipe(start), 0);
		for (int i = 0; i < WRITERS; i++) {
			pids[i] = fork();
			if (pids[i] == 0) {
				close(start[1]);
				_exit(writer(start[0]));
			}
		}
		close(start[0]);
		close(start[1]);
		for (int i = 0; i < WRITERS; i++) {
			ck_assert_int_eq(waitpid(pids[i], &status, 0),
			    pids[i]);
			ck_assert_msg(status == 0, "round %d", round);
		}
	}
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("store/mbox_lock");
	TCase *t = tcase_create("dotlock");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, stale_locks_are_taken_away, 0,
	    (int)ARRAY_LEN(stale_cases));
	tcase_add_test(t, a_stale_lock_lets_in_one_only);
	suite_add_tcase(s, t);
	return s;
}
