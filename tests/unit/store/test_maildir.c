/* SPDX-License-Identifier: ISC */
/*
 * maildir: what other programs do to the files is seen, and what is not read
 * again was not changed: a large folder, a program that renames, adds and
 * removes files at any moment, and a view that must say what the files say.
 */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/hash.h"
#include "base/num.h"
#include "io/fault.h"
#include "store/maildir_view.h"
#include "tests/unit/store/mailbox_test.h"

#define MANY	1100		/* so many are followed */

static uint32_t state;

static uint32_t
any(uint32_t below)
{
	state = state * 1664525u + 1013904223u;
	return (state >> 8) % below;
}

static const char *
path_of(const char *part, const char *name)
{
	static char path[1024];

	snprintf(path, sizeof(path), "%s/user/%s/%s", dir, part, name);
	return path;
}

/* As another program delivers, or leaves, a message. */
static void
put_file(const char *part, unsigned number, const char *flags)
{
	char name[100];
	FILE *f;

	snprintf(name, sizeof(name), "%u.foreign.host%s", 1000000 + number,
	    flags);
	ck_assert_ptr_nonnull(f = fopen(path_of(part, name), "w"));
	fprintf(f, "Subject: %u\n\nBody %u\n", number, number);
	fclose(f);
}

static void
make_many(void)
{
	static const char *const parts[] = { "", "cur", "new", "tmp" };

	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		ck_assert_int_eq(mkdir(path_of(parts[i], ""), 0700), 0);
	for (unsigned i = 0; i < MANY; i++)
		put_file("cur", i, i % 2 ? ":2,S" : ":2,");
}

/* What the files say: base -> flags + 1. */
static void
read_files(struct hash *h)
{
	static const char *const parts[] = { "cur", "new" };
	struct dirent *e;

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		DIR *d = opendir(path_of(parts[i], ""));

		ck_assert_ptr_nonnull(d);
		while ((e = readdir(d)) != NULL) {
			if (e->d_name[0] != '.')
				(void)hash_put(h, maildir_base(e->d_name),
				    (void *)(uintptr_t)(maildir_flags(
				    e->d_name) + 1));
		}
		closedir(d);
	}
}

static void
check_view(struct mailbox *m)
{
	struct hash h = HASH_INIT;

	read_files(&h);
	ck_assert_uint_eq(mailbox_count(m), h.count);
	for (uint32_t seq = 1; seq <= mailbox_count(m); seq++) {
		uintptr_t f = (uintptr_t)hash_get(&h, mailbox_file(m, seq));

		ck_assert_uint_eq(message(m, seq).flags & RECORD_STORED,
		    f - 1);
	}
	hash_fini(&h, NULL);
}

static void
refresh(struct mailbox *m)
{
	struct mailbox_changes c;

	ck_assert_msg(mailbox_refresh(m, MAILBOX_EXPUNGES, &c, &why) >= 0,
	    "%s", why.text);
	check_view(m);
}

/* So that times tell. */
static void
tick(void)
{
	usleep(25000);
}

START_TEST(only_new_is_read)
{
	struct account *a;
	struct mailbox *m;

	make_many();
	tick();
	a = open_account(STORE_MAILDIR);
	m = open_box(a, ACCOUNT_INBOX);
	ck_assert(m->md->scanned);
	check_view(m);
	mailbox_close(&m);
	/* Nothing has happened: nothing is read. */
	m = open_box(a, ACCOUNT_INBOX);
	ck_assert(!m->md->scanned);
	check_view(m);
	mailbox_close(&m);
	/* By another process, and after the index was written. */
	account_close(&a);
	a = open_account(STORE_MAILDIR);
	put_file("new", MANY, "");
	m = open_box(a, ACCOUNT_INBOX);
	ck_assert(!m->md->scanned);
	ck_assert_uint_eq(mailbox_count(m), MANY + 1);
	check_view(m);
	/* It was taken into cur/; its bytes are found there. */
	ck_assert_int_eq(access(path_of("cur", "1001100.foreign.host:2,"),
	    F_OK), 0);
	struct mailbox_content c;
	OK(mailbox_content(m, mailbox_uid(m, MANY + 1), &c, &why));
	ck_assert(span_starts(c.bytes, SPAN("Subject: 1100\n")));
	mailbox_content_done(&c);
	tick();
	mailbox_close(&m);
	m = open_box(a, ACCOUNT_INBOX);
	ck_assert(!m->md->scanned);
	mailbox_close(&m);
	/* A change in cur/ is seen. */
	ck_assert_int_eq(unlink(path_of("cur", "1000007.foreign.host:2,S")),
	    0);
	m = open_box(a, ACCOUNT_INBOX);
	check_view(m);
	ck_assert_uint_eq(mailbox_count(m), MANY);
	mailbox_close(&m);
	account_close(&a);
}
END_TEST

/* Status looks, too, but leaves new/ as it is; what leaves it is missed. */
START_TEST(new_is_left_alone)
{
	struct account *a;
	struct mailbox_status st;
	struct mailbox *m;

	make_many();
	put_file("new", MANY, "");
	put_file("new", MANY + 1, "");
	tick();
	a = open_account(STORE_MAILDIR);
	OK(account_status(a, ACCOUNT_INBOX, &st, &why));
	ck_assert_uint_eq(st.messages, MANY + 2);
	put_file("new", MANY + 2, "");
	OK(account_status(a, ACCOUNT_INBOX, &st, &why));
	ck_assert_uint_eq(st.messages, MANY + 3);
	ck_assert_int_eq(unlink(path_of("new", "1001100.foreign.host")), 0);
	put_file("new", MANY + 3, "");
	OK(account_status(a, ACCOUNT_INBOX, &st, &why));
	ck_assert_uint_eq(st.messages, MANY + 3);
	m = mailbox_open(a, ACCOUNT_INBOX, MAILBOX_READONLY, &why);
	ck_assert_ptr_nonnull(m);
	check_view(m);
	mailbox_close(&m);
	account_close(&a);
}
END_TEST

/* A name that is not what the flags make of it: found by reading all. */
START_TEST(names_of_others)
{
	struct account *a;
	struct mailbox_content c;
	struct mailbox *m;

	make_many();
	put_file("cur", MANY, ":2,Sab");
	tick();
	a = open_account(STORE_MAILDIR);
	m = open_box(a, ACCOUNT_INBOX);
	mailbox_close(&m);
	m = open_box(a, ACCOUNT_INBOX);
	ck_assert(!m->md->scanned);
	OK(mailbox_content(m, mailbox_uid(m, MANY + 1), &c, &why));
	ck_assert(span_starts(c.bytes, SPAN("Subject: 1100\n")));
	mailbox_content_done(&c);
	mailbox_close(&m);
	m = open_box(a, ACCOUNT_INBOX);
	ck_assert(!m->md->scanned);
	(void)store_flags(m, mailbox_uid(m, MANY + 1), mailbox_uid(m,
	    MANY + 1), FLAGS_ADD, STORE_FLAGGED, NULL);
	/* Their letters stay. */
	ck_assert_int_eq(access(path_of("cur", "1001100.foreign.host:2,FSab"),
	    F_OK), 0);
	check_view(m);
	mailbox_close(&m);
	account_close(&a);
}
END_TEST

/* Something that another program does. */
static void
foreign(unsigned *number)
{
	struct hash h = HASH_INIT;
	static char old[1024], to[300];
	struct dirent *e;
	uint32_t skip = any(MANY);
	DIR *d = opendir(path_of("cur", ""));
	bool found = false;

	ck_assert_ptr_nonnull(d);
	while (!found && (e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.' || skip-- > 0)
			continue;
		snprintf(old, sizeof(old), "%s", path_of("cur", e->d_name));
		snprintf(to, sizeof(to), "%.*s:2,%s",
		    SPAN_ARG(maildir_base(e->d_name)), any(2) ? "FS" :
		    any(2) ? "T" : "");
		found = true;
	}
	closedir(d);
	switch (any(5)) {
	case 0:
		put_file("new", (*number)++, "");
		break;
	case 1:
		put_file("cur", (*number)++, ":2,R");
		break;
	case 2:
		if (found && any(3) == 0)
			(void)unlink(old);
		break;
	default:
		if (found)
			(void)rename(old, path_of("cur", to));
		break;
	}
	hash_fini(&h, NULL);
}

START_TEST(others_do_what_they_like)
{
	struct account *a = NULL;
	struct mailbox *m = NULL;
	struct mailbox_verified v;
	struct expunge_result ex;
	struct ranges r;
	unsigned number = MANY;
	uint32_t lo;

	state = (uint32_t)_i * 7919 + 1;
	make_many();
	for (int turn = 0; turn < 40; turn++) {
		if (m == NULL) {
			a = open_account(STORE_MAILDIR);
			m = open_box(a, ACCOUNT_INBOX);
			check_view(m);
		}
		for (uint32_t n = any(4); n > 0; n--)
			foreign(&number);
		if (any(8) == 0)
			tick();
		switch (any(8)) {
		case 0:
			lo = mailbox_uid(m, 1 + any(mailbox_count(m)));
			r = uids(lo, lo);
			OK(mailbox_expunge(m, &r, true, &ex, &why));
			ranges_fini(&r);
			break;
		case 1:
			(void)append(a, ACCOUNT_INBOX, 1, 1, 0, "kw");
			break;
		case 2:
		case 3:
			(void)store_flags(m, 1, mailbox_uid(m, 1 + any(5)),
			    (enum flags_op)any(3), any(32), NULL);
			break;
		}
		refresh(m);
		if (any(12) == 0) {
			mailbox_close(&m);
			account_close(&a);
		}
	}
	if (m != NULL) {
		/* As if nothing had ever been looked at. */
		maildir_view_force(m);
		refresh(m);
		mailbox_close(&m);
	} else {
		a = open_account(STORE_MAILDIR);
	}
	OK(mailbox_verify(a, ACCOUNT_INBOX, &v, &why));
	ck_assert_uint_eq(v.damaged, 0);
	ck_assert_uint_eq(v.differences, 0);
	account_close(&a);
}
END_TEST

/* Another program renames a message, in no time, while it is moved: that is
 * found when its file is read, and the move keeps its lock over it. */
START_TEST(renamed_while_moved)
{
	struct account *a = open_account(STORE_MAILDIR);
	uint32_t uid = append(a, ACCOUNT_INBOX, 1, 5, 0, NULL), box;
	struct mailbox *m;
	struct mailbox_verified v;
	struct timespec times[2] = { { 0, UTIME_OMIT }, { 0, 0 } };
	struct uid_result res;
	struct ranges r = uids(uid, uid + 2);
	char old[300], to[300];
	struct stat st;

	OK(account_create(a, SPAN("x"), 0, &box, &why));
	tick();
	m = open_box(a, ACCOUNT_INBOX);
	snprintf(old, sizeof(old), "%.*s:2,", SPAN_ARG(mailbox_file(m, 2)));
	snprintf(to, sizeof(to), "%.*s:2,S", SPAN_ARG(mailbox_file(m, 2)));
	OK(fstat(m->md->cur, &st));
	OK(renameat(m->md->cur, old, m->md->cur, to));
	times[1] = st.st_mtim;
	OK(futimens(m->md->cur, times));
	OK(mailbox_move(m, &r, a, box, &res, &why));
	ck_assert_uint_eq(ranges_count(res.to), 3);
	check_view(m);
	mailbox_close(&m);
	for (size_t i = 0; i < account_count(a); i++) {
		if (account_box(a, i)->box == 0)
			continue;
		OK(mailbox_verify(a, account_box(a, i)->box, &v, &why));
		ck_assert_uint_eq(v.damaged + v.differences, 0);
	}
	ranges_fini(&r);
	account_close(&a);
}
END_TEST

/* More files than a process may have open wait for the sync of one COPY. */
START_TEST(copied_without_end)
{
	struct rlimit lim = { 400, 400 };
	struct account *a;
	struct uid_result res;
	struct mailbox *m;
	struct ranges r;
	uint32_t box;

	make_many();
	a = open_account(STORE_MAILDIR);
	m = open_box(a, ACCOUNT_INBOX);
	OK(account_create(a, SPAN("x"), 0, &box, &why));
	OK(setrlimit(RLIMIT_NOFILE, &lim));
	r = uids(1, mailbox_uid(m, MANY));
	OK(mailbox_copy(m, &r, a, box, &res, &why));
	ck_assert_uint_eq(ranges_count(res.to), MANY);
	ck_assert(account_dirty(a));
	OK(account_sync(a, &why));
	ck_assert(!account_dirty(a));
	mailbox_close(&m);
	m = open_box(a, box);
	ck_assert_uint_eq(mailbox_count(m), MANY);
	mailbox_close(&m);
	ranges_fini(&r);
	account_close(&a);
}
END_TEST

/* Where some of that cannot be synced, nothing is promised any more. */
START_TEST(synced_too_late)
{
	struct account *a = open_account(STORE_MAILDIR);
	int i = 0;

	fault_arm(1, EIO);
	for (; fault_count() == 0; i++) {
		ck_assert_int_lt(i, 10000);
		account_note_dirty(a, a->dirfd);
	}
	ck_assert_int_gt(i, 100);
	fault_arm(0, 0);
	for (i = 0; i < 2; i++) {
		ck_assert(account_dirty(a));
		ck_assert_int_eq(account_sync(a, &why), -1);
	}
	account_close(&a);
}
END_TEST

START_TEST(expunged_files_wait)
{
	struct account *a = open_account(STORE_MAILDIR);
	uint32_t uid = append(a, ACCOUNT_INBOX, 1, 3, 0, NULL), box, n = 0;
	struct mailbox *m = open_box(a, ACCOUNT_INBOX);
	struct ranges r = uids(uid, uid), second = uids(uid + 1, uid + 1);
	struct account_purged got;
	struct expunge_result ex;
	struct uid_result res;
	struct dirent *e;
	DIR *d;

	OK(account_create(a, SPAN("x"), 0, &box, &why));
	OK(mailbox_expunge(m, &r, true, &ex, &why));
	/* What was moved is there, and nowhere else. */
	OK(mailbox_move(m, &second, a, box, &res, &why));
	ck_assert_ptr_nonnull(d = opendir(path_of(MAILDIR_EXPUNGED, "")));
	while ((e = readdir(d)) != NULL)
		n += e->d_name[0] != '.';
	ck_assert_uint_eq(n, 1);
	OK(account_delete(a, SPAN("x"), &why));
	mailbox_close(&m);
	OK(account_purge(a, &got, &why));
	ck_assert_uint_eq(got.mailboxes, 0);
	a->before_us = clock_wall_us() + 1000000;
	OK(account_purge(a, &got, &why));
	ck_assert_uint_eq(got.mailboxes, 1);
	ck_assert_uint_gt(got.bytes, 0);
	rewinddir(d);
	for (n = 0; (e = readdir(d)) != NULL;)
		n += e->d_name[0] != '.';
	ck_assert_uint_eq(n, 0);
	closedir(d);
	m = open_box(a, ACCOUNT_INBOX);
	OK(mailbox_undelete(m, &r, &res, &why));
	ck_assert_uint_eq(ranges_count(res.to), 0);
	ck_assert_int_eq(account_undelete(a, SPAN("x"), &why), -1);
	mailbox_close(&m);
	ranges_fini(&r);
	ranges_fini(&second);
	account_close(&a);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("maildir");
	TCase *t = tcase_create("maildir");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, only_new_is_read);
	tcase_add_test(t, new_is_left_alone);
	tcase_add_test(t, names_of_others);
	tcase_add_loop_test(t, others_do_what_they_like, 0, 4);
	tcase_add_test(t, renamed_while_moved);
	tcase_add_test(t, copied_without_end);
	tcase_add_test(t, synced_too_late);
	tcase_add_test(t, expunged_files_wait);
	suite_add_tcase(s, t);
	return s;
}
