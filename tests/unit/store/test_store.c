/* SPDX-License-Identifier: ISC */
/*
 * store: every format keeps the promises of store.h, also when any call
 * fails, when the process dies at any call, and when the power went.
 */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "conf/params.h"
#include "io/fault.h"
#include "io/fd.h"
#include "store/store.h"
#include "store/store_internal.h"

static const struct {
	enum store_format	 format;
	const char		*path;
} all[] = {
	{ STORE_MAILDIR,	"user/Maildir" },
	{ STORE_MBOX,		"user/mbox" },
	{ STORE_PACKED,		"user/packed" },
};

static char dir[64];

static void
setup(void)
{
	const char *t = getenv("TMPDIR");

	snprintf(dir, sizeof(dir), "%s/storeXXXXXX",
	    t != NULL && strlen(t) < 40 ? t : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void
teardown(void)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
	ck_assert_int_eq(system(cmd), 0);
}

static bool is_stale;

static bool
on_stale(void *arg)
{
	return is_stale;
}

static struct store *
open_store(void)
{
	struct store_options o = {
		.open_max = 8, .hostname = "mail.example.test",
		.lock_attempts = 3, .lock_delay_ms = 10, .stale_lock_s = 500,
		.stale = on_stale,
	};

	return store_new(&o);
}

static struct store_place
place(int i)
{
	return (struct store_place){
		.format = all[i].format, .base = dir, .path = all[i].path,
		.uid = geteuid(), .gid = getegid(), .make_uid = geteuid(),
		.make_gid = getegid(), .write_uid = geteuid(),
		.write_gid = getegid(), .size_limit = PARAM_UNLIMITED,
		.flags = STORE_LOCK_FCNTL | STORE_LOCK_DOTLOCK |
		    STORE_STRICT_OWNER,
	};
}

/* Message number n, of a size that depends on n; its text names it. */
static void
make_text(int n, size_t size, struct buf *out)
{
	buf_reset(out);
	buf_addf(out, "Received: by mail.example.test id Q%d; now\n"
	    "Subject: number %d\n\nFrom here on it is body\n.\n", n, n);
	while (out->len < size)
		buf_addf(out, "From line %zu of %d\n", out->len, n);
	buf_trunc(out, MAX(size, 80));
	buf_add_char(out, '\n');
}

static int
give(struct store *s, const struct store_place *p, int n, size_t size,
    bool again, struct why *why)
{
	struct buf text = BUF_INIT(BUF_UNLIMITED), head = BUF_INIT(1024);
	struct store_content c;
	struct store_message m;
	char id[32], file[128];
	int fd, rc;

	make_text(n, size, &text);
	snprintf(file, sizeof(file), "%s/content", dir);
	fd = open(file, O_RDWR | O_CREAT | O_TRUNC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, "junk", 4), 4);
	ck_assert_int_eq(write(fd, text.data, text.len), text.len);
	snprintf(id, sizeof(id), "Q%d", n);
	buf_addf(&head, "Return-Path: <s@example.org>\n"
	    "Delivered-To: u%d@example.test\n", n);
	store_content_init(&c, fd, 4, text.len);
	m = (struct store_message){
		.queue_id = span_of(id), .rcpt = SPAN("u@example.test"),
		.sender = SPAN("s@example.org"), .arrival_us = 1000000 + n,
		.head = buf_span(&head), .content = &c, .again = again,
	};
	rc = store_deliver(s, p, &m, why);
	store_content_fini(&c);
	close(fd);
	buf_fini(&text);
	buf_fini(&head);
	return rc;
}

/* What a reader gets for message n. */
static void
expected(enum store_format f, int n, size_t size, struct buf *out)
{
	struct buf text = BUF_INIT(BUF_UNLIMITED);
	struct span in, line;

	make_text(n, size, &text);
	buf_reset(out);
	buf_addf(out, "Return-Path: <s@example.org>\n"
	    "Delivered-To: u%d@example.test\n", n);
	in = buf_span(&text);
	while (span_line(&in, &line)) {
		if (f == STORE_MBOX && span_starts(line, SPAN("From ")))
			buf_add_char(out, '>');
		buf_add_span(out, line);
		buf_add_char(out, '\n');
	}
	buf_fini(&text);
}

/* How often message n (of that size) is in the mailbox, whole; every message
 * there must be a whole one of those numbered below max. */
static int
count(const struct store_place *p, int n, int max, size_t size)
{
	struct buf got = BUF_INIT(BUF_UNLIMITED), want = BUF_INIT(BUF_UNLIMITED);
	struct why why = WHY_INIT;
	struct store_box *b = store_box_open(p, &why);
	int found = 0;

	if (b == NULL)
		return 0;
	for (size_t i = 0; i < store_box_count(b); i++) {
		bool known = false;

		buf_reset(&got);
		ck_assert_msg(store_box_read(b, i, &got, &why) == 0, "%s",
		    why.text);
		for (int k = 0; k < max && !known; k++) {
			expected(p->format, k, size, &want);
			if (span_eq(buf_span(&got), buf_span(&want))) {
				known = true;
				found += k == n;
			}
		}
		ck_assert_msg(known, "half a message in the %s: %zu bytes: "
		    "%.200s", store_format_name(p->format), got.len, got.data);
	}
	store_box_close(&b);
	buf_fini(&got);
	buf_fini(&want);
	return found;
}

START_TEST(what_goes_in_comes_out)
{
	struct store_place p = place(_i);
	struct store *s = open_store();
	struct why why = WHY_INIT;

	for (int n = 0; n < 5; n++)
		ck_assert_msg(give(s, &p, n, 4000, false, &why) == 0, "%s",
		    why.text);
	ck_assert(store_dirty(s));
	store_settle(s);
	for (int n = 0; n < 5; n++)
		ck_assert_int_eq(count(&p, n, 5, 4000), 1);
	struct store_sync *y = store_sync_begin(s);
	ck_assert_int_eq(store_sync_run(y, &why), 0);
	store_sync_free(&y);
	ck_assert(!store_dirty(s));
	store_free(&s);
}
END_TEST

START_TEST(large_messages)
{
	struct store_place p = place(_i);
	struct store *s = open_store();
	struct why why = WHY_INIT;

	for (int n = 0; n < 2; n++)
		ck_assert_int_eq(give(s, &p, n, 3500000, false, &why), 0);
	ck_assert_int_eq(give(s, &p, 1, 3500000, true, &why), 1);
	store_settle(s);
	ck_assert_int_eq(count(&p, 0, 2, 3500000), 1);
	ck_assert_int_eq(count(&p, 1, 2, 3500000), 1);
	store_free(&s);
}
END_TEST

/* Small ones between them: what is written past the cache meets pages that
 * are in it. */
START_TEST(large_and_small_messages)
{
	static const size_t sizes[] = { 500, 130000, 1, 131072, 400, 5000,
	    700001, 900000, 300, 1 << 20, (1 << 20) - 4000, 3500000, 17,
	    2500000, 140000, 140001 };
	struct buf got = BUF_INIT(BUF_UNLIMITED), want = BUF_INIT(BUF_UNLIMITED);
	int n = (int)(sizeof(sizes) / sizeof(sizes[0]));
	struct store_place p = place(_i);
	struct store *s = open_store();
	struct why why = WHY_INIT;
	struct store_box *b;

	for (int i = 0; i < n; i++)
		ck_assert_int_eq(give(s, &p, i, sizes[i], false, &why), 0);
	for (int i = 0; i < n; i++)
		ck_assert_int_eq(give(s, &p, i, sizes[i], true, &why), 1);
	store_settle(s);
	b = store_box_open(&p, &why);
	ck_assert_uint_eq(store_box_count(b), (size_t)n);
	for (int i = 0; i < n; i++) {
		bool found = false;

		expected(p.format, i, sizes[i], &want);
		for (size_t k = 0; k < (size_t)n && !found; k++) {
			buf_reset(&got);
			ck_assert_int_eq(store_box_read(b, k, &got, &why), 0);
			found = span_eq(buf_span(&got), buf_span(&want));
		}
		ck_assert_msg(found, "message %d of %zu bytes", i, sizes[i]);
	}
	store_box_close(&b);
	buf_fini(&got);
	buf_fini(&want);
	store_free(&s);
}
END_TEST

START_TEST(again_stores_once)
{
	struct store_place p = place(_i);
	struct store *s = open_store();
	struct why why = WHY_INIT;

	for (int n = 0; n < 3; n++)
		ck_assert_int_eq(give(s, &p, n, 500, false, &why), 0);
	ck_assert_int_eq(give(s, &p, 1, 500, true, &why), 1);
	/* Also for another process. */
	store_free(&s);
	s = open_store();
	ck_assert_int_eq(give(s, &p, 2, 500, true, &why), 1);
	ck_assert_int_eq(give(s, &p, 3, 500, true, &why), 0);
	ck_assert_int_eq(give(s, &p, 3, 500, true, &why), 1);
	store_settle(s);
	for (int n = 0; n < 4; n++)
		ck_assert_int_eq(count(&p, n, 4, 500), 1);
	store_free(&s);
}
END_TEST

/* Two processes have the same: the one that was asked by a qmgr that is dead
 * goes on with its batch when the other one is done. */
START_TEST(who_is_late_finds_what_is_there)
{
	struct store_place p = place(_i);
	struct store *first = open_store(), *second = open_store();
	struct why why = WHY_INIT;

	is_stale = false;
	ck_assert_int_eq(give(first, &p, 0, 500, false, &why), 0);
	store_settle(first);
	/* qmgr dies, and the next one gives all of it to second. */
	is_stale = true;
	ck_assert_int_eq(give(second, &p, 0, 500, true, &why), 1);
	ck_assert_int_eq(give(second, &p, 1, 500, true, &why), 0);
	store_settle(second);
	for (int n = 1; n < 3; n++)
		ck_assert_int_eq(give(first, &p, n, 500, false, &why), n == 1);
	store_settle(first);
	for (int n = 0; n < 3; n++)
		ck_assert_int_eq(count(&p, n, 3, 500), 1);
	is_stale = false;
	store_free(&first);
	store_free(&second);
}
END_TEST

START_TEST(a_failing_call_leaves_nothing)
{
	struct store_place p = place(_i);
	struct why why = WHY_INIT;
	int errs[] = { ENOSPC, EIO };

	for (int e = 0; e < 2; e++) {
		for (unsigned n = 1; n < 40; n++) {
			struct store *s = open_store();
			int rc, one = 10 + e * 40 + (int)n;

			/* The first one makes the mailbox. */
			if (n % 2)
				ck_assert_int_ge(give(s, &p, 0, 9000, true,
				    &why), 0);
			fault_arm(n, errs[e]);
			rc = give(s, &p, one, 9000, false, &why);
			bool reached = fault_count() >= n;
			fault_arm(0, 0);
			store_settle(s);
			ck_assert_int_eq(count(&p, one, 100, 9000), rc == 0);
			if (rc < 0)
				ck_assert_int_eq(why.code[0], '4');
			/* The next writer finds a good mailbox. */
			ck_assert_msg(give(s, &p, 2, 9000, true, &why) >= 0,
			    "%s", why.text);
			store_settle(s);
			ck_assert_int_eq(count(&p, 2, 100, 9000), 1);
			store_free(&s);
			if (!reached)
				break;
		}
	}
}
END_TEST

START_TEST(a_killed_writer_is_repaired)
{
	struct store_place p = place(_i);
	struct why why = WHY_INIT;

	for (unsigned n = 1; n < 40; n++) {
		struct store *s;
		int status, rc;
		pid_t pid = fork();

		if (pid == 0) {
			s = open_store();
			(void)give(s, &p, 0, 9000, true, &why);
			fault_arm(n, FAULT_KILL);
			rc = give(s, &p, (int)n, 9000, false, &why);
			_exit(rc == 0 ? 0 : 1);
		}
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		/* A lock that had not got its writer's name yet lasts for
		 * stale_lock_time. */
		char cmd[200];
		snprintf(cmd, sizeof(cmd), "cd '%s/user' && test -f mbox.lock "
		    "&& ! grep -q test mbox.lock && rm -f mbox.lock; true",
		    dir);
		ck_assert_int_eq(system(cmd), 0);
		/* First somebody else's mail, then the repetition. */
		s = open_store();
		ck_assert_msg(give(s, &p, 100 + (int)n, 9000, false,
		    &why) == 0, "%s", why.text);
		rc = give(s, &p, (int)n, 9000, true, &why);
		ck_assert_msg(rc >= 0, "%s", why.text);
		store_settle(s);
		ck_assert_int_eq(count(&p, (int)n, 140, 9000), 1);
		ck_assert_int_eq(count(&p, 100 + (int)n, 140, 9000), 1);
		ck_assert_int_eq(count(&p, 0, 140, 9000), 1);
		store_free(&s);
		if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
			return;
	}
	ck_abort_msg("no end");
}
END_TEST

START_TEST(writers_at_the_same_time)
{
	struct store_place p = place(_i);
	struct why why = WHY_INIT;
	int status;

	for (int w = 0; w < 4; w++) {
		if (fork() == 0) {
			struct store_options o = {
				.open_max = 2, .hostname = "h",
				.lock_attempts = 1000, .lock_delay_ms = 2,
				.stale_lock_s = 500,
			};
			struct store *s = store_new(&o);

			/* A content file of its own. */
			char sub[80];
			snprintf(sub, sizeof(sub), "%s/w%d", dir, w);
			mkdir(sub, 0700);
			p.base = mem_strdup(dir);
			memcpy(dir, sub, sizeof(dir) - 1);
			for (int n = 0; n < 25; n++) {
				if (give(s, &p, w * 25 + n, 300, false,
				    &why) != 0)
					_exit(1);
				store_settle(s);
			}
			_exit(0);
		}
	}
	for (int w = 0; w < 4; w++) {
		ck_assert_int_gt(wait(&status), 0);
		ck_assert_int_eq(status, 0);
	}
	for (int n = 0; n < 100; n++)
		ck_assert_int_eq(count(&p, n, 100, 300), 1);
	if (p.format == STORE_PACKED) {
		struct store_box *b = store_box_open(&p, &why);

		for (size_t i = 0; i < 100; i++)
			ck_assert_int_eq(store_box_item(b, i)->uid, i + 1);
		store_box_close(&b);
	}
}
END_TEST

START_TEST(links_are_not_followed_out)
{
	struct store_place p = place(_i);
	struct store *s = open_store();
	struct why why = WHY_INIT;
	char path[160], out[160];
	struct stat st;

	/* user -> another directory, outside of base */
	snprintf(path, sizeof(path), "%s/home", dir);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	p.base = path;
	snprintf(out, sizeof(out), "%s/outside", dir);
	ck_assert_int_eq(mkdir(out, 0700), 0);
	char lnk[200];
	snprintf(lnk, sizeof(lnk), "%s/user", path);
	ck_assert_int_eq(symlink(out, lnk), 0);
	ck_assert_int_eq(give(s, &p, 0, 100, false, &why), -1);
	ck_assert_str_eq(why.code, "4.2.0");
	/* ... also with a relative one */
	ck_assert_int_eq(unlink(lnk), 0);
	ck_assert_int_eq(symlink("../outside", lnk), 0);
	ck_assert_int_eq(give(s, &p, 0, 100, false, &why), -1);
	snprintf(lnk, sizeof(lnk), "%s/outside/%s", dir,
	    strchr(all[_i].path, '/') + 1);
	ck_assert_int_lt(lstat(lnk, &st), 0);
	store_free(&s);
}
END_TEST

START_TEST(the_file_is_no_link)
{
	struct store_place p = place(1);
	struct store *s = open_store();
	struct why why = WHY_INIT;
	char path[160], other[160];

	snprintf(path, sizeof(path), "%s/user", dir);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/user/mbox", dir);
	snprintf(other, sizeof(other), "%s/victim", dir);
	close(open(other, O_CREAT | O_WRONLY, 0600));
	ck_assert_int_eq(symlink("../victim", path), 0);
	ck_assert_int_eq(give(s, &p, 0, 100, false, &why), -1);
	unlink(path);
	ck_assert_int_eq(link(other, path), 0);
	ck_assert_int_eq(give(s, &p, 0, 100, false, &why), -1);
	ck_assert_ptr_nonnull(strstr(why.text, "more than one link"));
	unlink(path);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(give(s, &p, 0, 100, false, &why), -1);
	store_free(&s);
}
END_TEST

START_TEST(a_full_mbox_says_so)
{
	struct store_place p = place(1);
	struct store *s = open_store();
	struct why why = WHY_INIT;

	p.size_limit = 10000;
	ck_assert_int_eq(give(s, &p, 0, 6000, false, &why), 0);
	ck_assert_int_eq(give(s, &p, 1, 6000, false, &why), -1);
	ck_assert_str_eq(why.code, "4.2.2");
	ck_assert_int_eq(give(s, &p, 1, 60000, false, &why), -1);
	ck_assert_str_eq(why.code, "5.2.2");
	ck_assert_int_eq(count(&p, 0, 1, 6000), 1);
	store_free(&s);
}
END_TEST

START_TEST(a_full_disk_defers)
{
	struct store_place p = place(_i);
	struct store *s;
	struct why why = WHY_INIT;
	char mnt[100];
	int n, rc = 0;

	snprintf(mnt, sizeof(mnt), "%s/full", dir);
	ck_assert_int_eq(mkdir(mnt, 0700), 0);
	if (mount("none", mnt, "tmpfs", 0, "size=256k") < 0) {
		fprintf(stderr, "skip: a full disk: cannot mount a tmpfs\n");
		return;
	}
	s = open_store();
	p.base = mnt;
	for (n = 0; n < 100 && rc == 0; n++)
		rc = give(s, &p, n, 20000, false, &why);
	store_settle(s);
	ck_assert_int_lt(n, 100);
	ck_assert_str_eq(why.code, "4.3.1");
	for (int k = 0; k < n; k++)
		ck_assert_int_eq(count(&p, k, n, 20000), k < n - 1);
	store_free(&s);
	ck_assert_int_eq(umount2(mnt, MNT_DETACH), 0);
}
END_TEST

START_TEST(a_mailbox_that_was_removed_is_made_again)
{
	struct store_place p = place(_i);
	struct store *s = open_store();
	struct why why = WHY_INIT;
	char cmd[160];

	ck_assert_int_eq(give(s, &p, 0, 100, false, &why), 0);
	store_settle(s);
	snprintf(cmd, sizeof(cmd), "rm -rf '%s/user'", dir);
	ck_assert_int_eq(system(cmd), 0);
	ck_assert_msg(give(s, &p, 1, 100, false, &why) == 0, "%s", why.text);
	store_settle(s);
	ck_assert_int_eq(count(&p, 0, 2, 100), 0);
	ck_assert_int_eq(count(&p, 1, 2, 100), 1);
	store_free(&s);
}
END_TEST

START_TEST(a_mailbox_that_was_moved_away_gets_no_more)
{
	struct store_place p = place(_i);
	struct store *s = open_store();
	struct why why = WHY_INIT;
	char cmd[200];

	ck_assert_int_eq(give(s, &p, 0, 100, false, &why), 0);
	store_settle(s);
	snprintf(cmd, sizeof(cmd), "cp -a '%s/user' '%s/backup'", dir, dir);
	ck_assert_int_eq(system(cmd), 0);
	ck_assert_int_eq(give(s, &p, 1, 100, false, &why), 0);
	store_settle(s);
	snprintf(cmd, sizeof(cmd), "cd '%s' && mv user old && mv backup user",
	    dir);
	ck_assert_int_eq(system(cmd), 0);
	/* At once: no time that a look at the path may be left out for. */
	ck_assert_msg(give(s, &p, 2, 100, false, &why) == 0, "%s", why.text);
	store_settle(s);
	for (int n = 0; n < 3; n++)
		ck_assert_int_eq(count(&p, n, 3, 100), n != 1);
	store_free(&s);
}
END_TEST

/* --- what only one format has ------------------------------------------------ */

START_TEST(mbox_takes_the_locks)
{
	struct store_place p = place(1);
	struct store *s = open_store();
	struct why why = WHY_INIT;
	char lock[160];
	struct stat st;

	ck_assert_int_eq(give(s, &p, 0, 100, false, &why), 0);
	snprintf(lock, sizeof(lock), "%s/user/mbox.lock", dir);
	ck_assert_int_lt(stat(lock, &st), 0);
	close(open(lock, O_CREAT | O_WRONLY, 0600));
	ck_assert_int_eq(give(s, &p, 1, 100, false, &why), -1);
	ck_assert_str_eq(why.code, "4.2.0");
	/* One that is older than stale_lock_time is nobody's. */
	struct timespec old[2] = { { 1, 0 }, { 1, 0 } };
	ck_assert_int_eq(utimensat(AT_FDCWD, lock, old, 0), 0);
	ck_assert_int_eq(give(s, &p, 1, 100, false, &why), 0);
	ck_assert_int_lt(stat(lock, &st), 0);
	store_free(&s);
}
END_TEST

/* Killed at any call of making the lock: what is left blocks nobody. */
START_TEST(mbox_lock_of_a_killed_writer_is_nobodys)
{
	struct store_place p = place(1);
	struct store *s;
	struct why why = WHY_INIT;
	char lock[160];
	struct stat st;
	unsigned left = 0;

	snprintf(lock, sizeof(lock), "%s/user/mbox.lock", dir);
	for (unsigned n = 1; n < 12; n++) {
		pid_t pid = fork();
		int status;

		if (pid == 0) {
			s = open_store();
			fault_arm(n, FAULT_KILL);
			(void)give(s, &p, (int)n, 100, false, &why);
			_exit(0);
		}
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		if (stat(lock, &st) == 0) {
			left++;
			ck_assert_int_gt(st.st_size, 0);
		}
		s = open_store();
		ck_assert_msg(give(s, &p, 100 + (int)n, 100, false, &why) == 0,
		    "%u: %s", n, why.text);
		ck_assert_int_lt(stat(lock, &st), 0);
		store_free(&s);
		if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
			break;
	}
	ck_assert_uint_gt(left, 0);
}
END_TEST

static const struct {
	const char	*in, *want;
} quotes[] = {
	{ "From x\n",		">From x\n\n" },
	{ "From",		"From\n\n" },
	{ "From \n",		">From \n\n" },
	{ " From x\n",		" From x\n\n" },
	{ "a\nFrom b\nFro\n",	"a\n>From b\nFro\n\n" },
	{ ">From x\n",		">From x\n\n" },
	{ "Fr\nFrom\n\nFrom z",	"Fr\nFrom\n\n>From z\n\n" },
	{ "",			"\n" },
	{ "F",			"F\n\n" },
	{ "FFrom x\n",		"FFrom x\n\n" },
	{ "FrFrom x\n",		"FrFrom x\n\n" },
	{ "a",			"a\n\n" },
};

START_TEST(from_is_quoted_in_pieces_of_any_size)
{
	struct buf out = BUF_INIT(BUF_UNLIMITED);
	struct span in = span_of(quotes[_i].in);

	for (size_t step = 1; step <= in.len + 1; step++) {
		struct mbox_quoter q = { 0 };

		buf_reset(&out);
		for (size_t i = 0; i < in.len; i += step)
			mbox_quote(&q, span_sub(in, i, step), &out);
		mbox_quote_end(&q, &out);
		ck_assert_str_eq(out.data, quotes[_i].want);
	}
	buf_fini(&out);
}
END_TEST

START_TEST(a_nul_cannot_feign_a_half)
{
	struct buf out = BUF_INIT(BUF_UNLIMITED);
	struct mbox_quoter q = { 0 };

	mbox_quote(&q, SPAN("x\n\0rom y\n"), &out);
	mbox_quote_end(&q, &out);
	ck_assert(span_eq(buf_span(&out), SPAN("x\n>\0rom y\n\n")));
	ck_assert_int_eq(mbox_find_half(buf_span(&out), 0), -1);
	ck_assert_int_eq(mbox_find_half(SPAN("From a\nb\n\n\0rom z\nx"), 0),
	    10);
	ck_assert_int_eq(mbox_find_half(SPAN("From a\nb\n\n\0"), 0), 10);
	ck_assert_int_eq(mbox_find_half(SPAN("\0rom z\nFrom a\n"), 0), -1);
	ck_assert_int_eq(mbox_find_half(SPAN("\0rom z\nrom a\n"), 0), 0);
	ck_assert_int_eq(mbox_find_half(SPAN("\0rom z\nrom a\n"), 5), -1);
	buf_fini(&out);
}
END_TEST

START_TEST(the_half_is_found_far_from_the_end)
{
	struct store_place p = place(1);
	struct store *s = open_store();
	struct why why = WHY_INIT;
	char path[160];
	struct stat before, after;

	ck_assert_int_eq(give(s, &p, 0, 1000, false, &why), 0);
	snprintf(path, sizeof(path), "%s/user/mbox", dir);
	ck_assert_int_eq(stat(path, &before), 0);
	int fd = open(path, O_WRONLY | O_APPEND);
	ck_assert_int_eq(write(fd, "\0rom x\n", 7), 7);
	for (int i = 0; i < 40000; i++)
		ck_assert_int_eq(write(fd, "some line or other\n", 19), 19);
	close(fd);
	ck_assert_int_eq(give(s, &p, 1, 1000, false, &why), 0);
	ck_assert_int_eq(stat(path, &after), 0);
	ck_assert_int_lt(after.st_size, before.st_size + 1500);
	ck_assert_int_eq(count(&p, 0, 2, 1000), 1);
	ck_assert_int_eq(count(&p, 1, 2, 1000), 1);
	store_free(&s);
}
END_TEST

START_TEST(maildir_replaces_what_the_power_cut_damaged)
{
	struct store_place p = place(0);
	struct store *s = open_store();
	struct why why = WHY_INIT;
	char cmd[300];

	ck_assert_int_eq(give(s, &p, 0, 5000, false, &why), 0);
	snprintf(cmd, sizeof(cmd), "truncate -s 100 '%s'/user/Maildir/new/*",
	    dir);
	ck_assert_int_eq(system(cmd), 0);
	ck_assert_int_eq(give(s, &p, 0, 5000, true, &why), 0);
	ck_assert_int_eq(count(&p, 0, 1, 5000), 1);
	/* Read meanwhile: it lies in cur, with flags. */
	snprintf(cmd, sizeof(cmd), "cd '%s/user/Maildir/new' && for f in *; "
	    "do mv \"$f\" \"../cur/$f:2,S\"; done", dir);
	ck_assert_int_eq(system(cmd), 0);
	ck_assert_int_eq(give(s, &p, 0, 5000, true, &why), 1);
	ck_assert_int_eq(count(&p, 0, 1, 5000), 1);
	store_free(&s);
}
END_TEST

static void
epoch(const char *e)
{
	ck_assert_int_eq(setenv("MANSIO_STORE_EPOCH", e, 1), 0);
}

START_TEST(packed_power_cut)
{
	struct store_place p = place(2);
	struct why why = WHY_INIT;
	struct store_box *b;
	struct store *s;
	char cmd[300];
	struct stat st;

	epoch("one");
	s = open_store();
	for (int n = 0; n < 4; n++)
		ck_assert_int_eq(give(s, &p, n, 2000, false, &why), 0);
	store_free(&s);
	/*
	 * The journal is there; of the message bytes 2 and 3 are lost, and
	 * the file is too short.
	 */
	snprintf(cmd, sizeof(cmd), "truncate -s 4500 "
	    "'%s/user/packed/00000001.seg'", dir);
	ck_assert_int_eq(system(cmd), 0);
	epoch("two");
	s = open_store();
	/* A new message first: it must not lie where the lost ones go. */
	ck_assert_int_eq(give(s, &p, 4, 2000, false, &why), 0);
	for (int n = 0; n < 4; n++)
		ck_assert_int_eq(give(s, &p, n, 2000, true, &why), 1);
	store_settle(s);
	for (int n = 0; n < 5; n++)
		ck_assert_int_eq(count(&p, n, 5, 2000), 1);
	b = store_box_open(&p, &why);
	ck_assert_int_eq(store_box_item(b, 3)->uid, 4);
	ck_assert_int_ge(store_box_item(b, 4)->uid, PACKED_UID_STEP);
	store_box_close(&b);
	store_free(&s);

	/* Now the journal lost its last records, which readers had seen. */
	snprintf(cmd, sizeof(cmd), "%s/user/packed/00000001.jrn", dir);
	ck_assert_int_eq(stat(cmd, &st), 0);
	ck_assert_int_eq(truncate(cmd, st.st_size - 20), 0);
	epoch("three");
	s = open_store();
	ck_assert_int_eq(give(s, &p, 5, 2000, false, &why), 0);
	ck_assert_int_eq(give(s, &p, 4, 2000, true, &why), 0);
	store_settle(s);
	b = store_box_open(&p, &why);
	ck_assert_uint_eq(store_box_count(b), 6);
	ck_assert_int_ge(store_box_item(b, 4)->uid, 2 * PACKED_UID_STEP);
	store_box_close(&b);
	for (int n = 0; n < 6; n++)
		ck_assert_int_eq(count(&p, n, 6, 2000), 1);
	store_free(&s);
	unsetenv("MANSIO_STORE_EPOCH");
}
END_TEST

START_TEST(packed_journal_is_rebuilt)
{
	struct store_place p = place(2);
	struct why why = WHY_INIT;
	struct store *s = open_store();
	struct store_box *b;
	uint32_t valid;
	char path[200];
	int fd;

	for (int n = 0; n < 4; n++)
		ck_assert_int_eq(give(s, &p, n, 700, false, &why), 0);
	store_free(&s);
	b = store_box_open(&p, &why);
	valid = store_box_uidvalidity(b);
	store_box_close(&b);
	snprintf(path, sizeof(path), "%s/user/packed/00000001.jrn", dir);
	for (int turn = 0; turn < 2; turn++) {
		if (turn == 0) {
			ck_assert_int_eq(unlink(path), 0);
		} else {
			fd = open(path, O_WRONLY);
			ck_assert_int_eq(write(fd, "garbage!", 8), 8);
			close(fd);
		}
		s = open_store();
		ck_assert_msg(give(s, &p, 4 + turn, 700, false, &why) == 0,
		    "%s", why.text);
		store_free(&s);
		for (int n = 0; n < 5 + turn; n++)
			ck_assert_int_eq(count(&p, n, 6, 700), 1);
		b = store_box_open(&p, &why);
		ck_assert_int_eq(store_box_uidvalidity(b), valid);
		for (size_t i = 0; i < 4; i++)
			ck_assert_int_eq(store_box_item(b, i)->uid, i + 1);
		ck_assert_int_gt(store_box_item(b, 4)->uid, PACKED_UID_STEP);
		store_box_close(&b);
	}
}
END_TEST

START_TEST(packed_goes_on_behind_damage)
{
	struct store_place p = place(2);
	struct why why = WHY_INIT;
	struct store *s = open_store();
	struct store_box *b;
	char path[200];
	int fd;

	for (int n = 0; n < 4; n++)
		ck_assert_int_eq(give(s, &p, n, 700, false, &why), 0);
	store_free(&s);
	snprintf(path, sizeof(path), "%s/user/packed/00000001.jrn", dir);
	fd = open(path, O_WRONLY);
	ck_assert_int_eq(pwrite(fd, "\0\0\0\0\0\0\0\0\0", 9,
	    PACKED_START + 130), 9);
	close(fd);
	s = open_store();
	ck_assert_int_eq(give(s, &p, 4, 700, false, &why), 0);
	/* The one whose record is gone comes again, under a new UID. */
	ck_assert_int_eq(give(s, &p, 1, 700, true, &why), 0);
	ck_assert_int_eq(give(s, &p, 2, 700, true, &why), 1);
	store_settle(s);
	for (int n = 0; n < 5; n++)
		ck_assert_int_eq(count(&p, n, 5, 700), 1);
	b = store_box_open(&p, &why);
	ck_assert_uint_eq(store_box_count(b), 5);
	store_box_close(&b);
	store_free(&s);
}
END_TEST

START_TEST(uids_are_reserved_before_they_are_used)
{
	struct store_place p = place(2);
	struct why why = WHY_INIT;
	struct packed_head h;
	struct store *s = open_store();
	uint8_t raw[PACKED_START];
	char path[200];
	int fd;

	for (int n = 0; n < PACKED_UID_STEP + 10; n++)
		ck_assert_int_eq(give(s, &p, n, 10, false, &why), 0);
	store_settle(s);
	snprintf(path, sizeof(path), "%s/user/packed/00000001.jrn", dir);
	fd = open(path, O_RDONLY);
	ck_assert_int_eq(read(fd, raw, sizeof(raw)), sizeof(raw));
	close(fd);
	ck_assert_int_eq(packed_head_decode(&h, span_make(raw, sizeof(raw))),
	    0);
	ck_assert_int_gt(h.state.reserved, PACKED_UID_STEP + 10);
	store_free(&s);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("store");
	TCase *t = tcase_create("formats");
	size_t n = ARRAY_LEN(all);

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, what_goes_in_comes_out, 0, (int)n);
	tcase_add_loop_test(t, large_messages, 0, (int)n);
	tcase_add_loop_test(t, large_and_small_messages, 0, (int)n);
	tcase_add_loop_test(t, again_stores_once, 0, (int)n);
	tcase_add_loop_test(t, who_is_late_finds_what_is_there, 0, (int)n);
	tcase_add_loop_test(t, a_failing_call_leaves_nothing, 0, (int)n);
	tcase_add_loop_test(t, a_killed_writer_is_repaired, 0, (int)n);
	tcase_add_loop_test(t, writers_at_the_same_time, 0, (int)n);
	tcase_add_loop_test(t, links_are_not_followed_out, 0, (int)n);
	tcase_add_loop_test(t, a_full_disk_defers, 0, (int)n);
	tcase_add_loop_test(t, a_mailbox_that_was_removed_is_made_again, 0,
	    (int)n);
	tcase_add_loop_test(t, a_mailbox_that_was_moved_away_gets_no_more, 0,
	    (int)n);
	tcase_add_test(t, the_file_is_no_link);
	tcase_add_test(t, a_full_mbox_says_so);
	tcase_add_test(t, mbox_takes_the_locks);
	tcase_add_test(t, mbox_lock_of_a_killed_writer_is_nobodys);
	tcase_add_loop_test(t, from_is_quoted_in_pieces_of_any_size, 0,
	    (int)ARRAY_LEN(quotes));
	tcase_add_test(t, a_nul_cannot_feign_a_half);
	tcase_add_test(t, the_half_is_found_far_from_the_end);
	tcase_add_test(t, maildir_replaces_what_the_power_cut_damaged);
	tcase_add_test(t, packed_power_cut);
	tcase_add_test(t, packed_journal_is_rebuilt);
	tcase_add_test(t, packed_goes_on_behind_damage);
	tcase_add_test(t, uids_are_reserved_before_they_are_used);
	suite_add_tcase(s, t);
	return s;
}
