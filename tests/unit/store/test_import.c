/* SPDX-License-Identifier: ISC */
/*
 * import: messages keep their numbers, whatever the mailbox was before; and
 * whatever call fails, and wherever the process dies, doing it again leaves
 * each message there once, under its UID.
 */
#include "mailbox_test.h"

#include "base/log.h"
#include "io/fault.h"
#include "store/import.h"

#define VALIDITY 1234567
#define NEXT	30

static const struct {
	int		 n;
	uint32_t	 uid, flags;
	const char	*keyword, *uidl, *name;
} mails[] = {
	{ 1, 3, STORE_SEEN, NULL, "old-3", "1000.a" },
	{ 2, 7, STORE_FLAGGED | STORE_DRAFT, "Work", "old-7", "1000.b" },
	{ 3, 8, 0, NULL, "", "1000.c" },
	{ 3, 20, STORE_DELETED, "Zebra", "old-20", "1000.d" },	/* the same */
	{ 4, 0, STORE_ANSWERED, NULL, "", "1000.e" },		/* no UID */
};

static int
add(struct import *im, size_t i)
{
	struct buf text = BUF_INIT(BUF_UNLIMITED);
	struct span word = span_of(mails[i].keyword);
	struct import_message m = {
		.uid = mails[i].uid, .flags = mails[i].flags,
		.keywords = &word, .nkeywords = mails[i].keyword != NULL,
		.date_us = 1000000 * (int64_t)(i + 1),
		.uidl = span_of(mails[i].uidl), .name = span_of(mails[i].name),
	};
	int rc;

	text_of(mails[i].n, &text);
	m.bytes = buf_span(&text);
	rc = import_add(im, &m, &why);
	buf_fini(&text);
	return rc;
}

static int
run(struct account *a, uint32_t validity, struct import_result *out)
{
	struct import *im = import_begin(a, ACCOUNT_INBOX, validity,
	    validity != 0 ? NEXT : 0, &why);
	int rc = im == NULL ? -1 : 0;

	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(mails); i++)
		rc = add(im, i);
	if (rc == 0)
		rc = import_commit(im, &why);
	if (rc == 0 && out != NULL)
		*out = *import_result(im);
	import_free(&im);
	return rc;
}

/* All of it is in INBOX; with the UIDs they had. */
static void
check_all(struct account *a)
{
	struct mailbox *m = open_box(a, ACCOUNT_INBOX);

	ck_assert_uint_eq(mailbox_uidvalidity(m), VALIDITY);
	ck_assert_uint_eq(mailbox_uidnext(m), NEXT + 1);
	ck_assert_uint_eq(mailbox_count(m), ARRAY_LEN(mails));
	for (uint32_t i = 0; i < ARRAY_LEN(mails); i++) {
		struct mailbox_message msg = message(m, i + 1);
		uint32_t uid = mails[i].uid != 0 ? mails[i].uid : NEXT;
		int64_t k = mails[i].keyword == NULL ? -1 :
		    mailbox_keyword_find(m, span_of(mails[i].keyword));

		ck_assert_uint_eq(msg.uid, uid);
		ck_assert_uint_eq(msg.flags & RECORD_STORED, mails[i].flags);
		ck_assert_int_eq(msg.date_us, 1000000 * ((int64_t)i + 1));
		ck_assert(mails[i].keyword == NULL ? msg.kwset == 0 :
		    mailbox_kwset_has(m, msg.kwset, (uint32_t)k));
		ck_assert(span_is(mailbox_uidl(m, i + 1), mails[i].uidl));
		check_content(m, uid, mails[i].n);
	}
	mailbox_close(&m);
}

START_TEST(an_empty_mailbox_becomes_the_sources)
{
	struct account *a = open_account(format_of(_i));
	struct import_result r;
	struct mailbox *m, *old = open_box(a, ACCOUNT_INBOX);
	struct mailbox_changes c;
	struct mailbox_status st;

	OK(run(a, VALIDITY, &r));
	ck_assert_uint_eq(r.stored, ARRAY_LEN(mails));
	ck_assert_uint_eq(r.uidls, 3);
	m = open_box(a, ACCOUNT_INBOX);
	ck_assert_uint_eq(mailbox_recent(m), 0);
	mailbox_close(&m);
	check_all(a);
	/* Who had it open is told that it is another one. */
	ck_assert_int_eq(mailbox_refresh(old, 0, &c, &why), 1);
	ck_assert(c.gone);
	mailbox_close(&old);
	/* Again, here and by a new process: nothing. */
	OK(run(a, VALIDITY, &r));
	ck_assert_uint_eq(r.stored, 0);
	ck_assert_uint_eq(r.were, ARRAY_LEN(mails));
	account_close(&a);
	a = open_account(format_of(_i));
	OK(run(a, VALIDITY, &r));
	ck_assert_uint_eq(r.were, ARRAY_LEN(mails));
	check_all(a);
	/* What is expunged does not come back, and no UID comes again. */
	m = open_box(a, ACCOUNT_INBOX);
	store_flags(m, 20, 20, FLAGS_ADD, STORE_DELETED, NULL);
	struct expunge_result gone;
	OK(mailbox_expunge(m, NULL, false, &gone, &why));
	mailbox_close(&m);
	OK(run(a, VALIDITY, &r));
	ck_assert_uint_eq(r.gone, 1);
	ck_assert_uint_eq(append(a, ACCOUNT_INBOX, 9, 1, 0, NULL), NEXT + 1);
	OK(account_status(a, ACCOUNT_INBOX, &st, &why));
	ck_assert_uint_eq(st.uidvalidity, VALIDITY);
	ck_assert_uint_eq(st.messages, ARRAY_LEN(mails));
	account_close(&a);
}
END_TEST

START_TEST(what_came_since_is_added)
{
	struct account *a = open_account(format_of(_i));
	struct import *im = import_begin(a, ACCOUNT_INBOX, VALIDITY, 9, &why);
	struct import_result r;

	ck_assert_ptr_nonnull(im);
	for (size_t i = 0; i < 3; i++)
		OK(add(im, i));
	OK(import_commit(im, &why));
	import_free(&im);
	OK(run(a, VALIDITY, &r));
	ck_assert_uint_eq(r.stored, 2);
	ck_assert_uint_eq(r.were, 3);
	check_all(a);
	account_close(&a);
}
END_TEST

START_TEST(another_mailbox_is_refused)
{
	struct account *a = open_account(format_of(_i));
	struct import_result r;
	struct mailbox *m;
	uint32_t was;

	append(a, ACCOUNT_INBOX, 9, 1, 0, NULL);
	m = open_box(a, ACCOUNT_INBOX);
	was = mailbox_uidvalidity(m);
	mailbox_close(&m);
	ck_assert_int_eq(run(a, VALIDITY, NULL), -1);
	ck_assert_int_eq((int)account_error(a), ACCOUNT_EXISTS);
	/* New UIDs: all come in, once. */
	OK(run(a, 0, &r));
	ck_assert_uint_eq(r.stored, ARRAY_LEN(mails));
	ck_assert_uint_eq(r.uidls, 3);
	OK(run(a, 0, &r));
	ck_assert_uint_eq(r.were, ARRAY_LEN(mails));
	m = open_box(a, ACCOUNT_INBOX);
	ck_assert_uint_eq(mailbox_uidvalidity(m), was);
	ck_assert_uint_eq(mailbox_count(m), 1 + ARRAY_LEN(mails));
	ck_assert(span_is(mailbox_uidl(m, 2), "old-3"));
	ck_assert(span_is(mailbox_uidl(m, 1), ""));
	mailbox_close(&m);
	account_close(&a);
}
END_TEST

START_TEST(a_uid_of_another_message_ends_it)
{
	struct account *a = open_account(format_of(_i));
	struct import *im = import_begin(a, ACCOUNT_INBOX, VALIDITY, 4, &why);

	OK(add(im, 0));
	OK(import_commit(im, &why));
	import_free(&im);
	append(a, ACCOUNT_INBOX, 5, 4, 0, NULL);	/* UIDs 4 to 7 */
	ck_assert_int_eq(run(a, VALIDITY, NULL), -1);
	ck_assert_int_eq((int)account_error(a), ACCOUNT_EXISTS);
	ck_assert_ptr_nonnull(strstr(why.text, "UID 7"));
	account_close(&a);
}
END_TEST

START_TEST(a_maildir_can_be_its_own_source)
{
	struct account *a = open_account(STORE_MAILDIR);
	struct buf text = BUF_INIT(BUF_UNLIMITED);
	struct mailbox *m = open_box(a, ACCOUNT_INBOX);
	struct import_result r;
	char path[160];

	mailbox_close(&m);
	for (size_t i = 0; i < ARRAY_LEN(mails); i++) {
		int fd;

		text_of(mails[i].n, &text);
		snprintf(path, sizeof(path), "%s/user/cur/%s:2,", dir,
		    mails[i].name);
		fd = open(path, O_WRONLY | O_CREAT, 0600);
		ck_assert_int_ge(fd, 0);
		ck_assert_int_eq(write(fd, text.data, text.len),
		    (ssize_t)text.len);
		close(fd);
	}
	OK(run(a, VALIDITY, &r));
	ck_assert_uint_eq(r.stored, ARRAY_LEN(mails));
	m = open_box(a, ACCOUNT_INBOX);
	ck_assert_uint_eq(mailbox_count(m), ARRAY_LEN(mails));
	ck_assert_uint_eq(mailbox_uidvalidity(m), VALIDITY);
	ck_assert_uint_eq(mailbox_uid(m, 4), 20);
	mailbox_close(&m);
	OK(run(a, VALIDITY, &r));
	ck_assert_uint_eq(r.were, ARRAY_LEN(mails));
	account_close(&a);
	buf_fini(&text);
}
END_TEST

START_TEST(a_lost_journal_keeps_uids_and_ids)
{
	struct account *a = open_account(STORE_PACKED);
	char path[160];
	struct mailbox *m;

	/* Of a time before the import: nothing of it comes back. */
	append(a, ACCOUNT_INBOX, 9, 2, 0, NULL);
	m = open_box(a, ACCOUNT_INBOX);
	struct expunge_result gone;
	OK(mailbox_expunge(m, NULL, true, &gone, &why));
	mailbox_close(&m);
	OK(run(a, VALIDITY, NULL));
	account_close(&a);
	snprintf(path, sizeof(path), "%s/user/00000001.jrn", dir);
	ck_assert_int_eq(unlink(path), 0);
	a = open_account(STORE_PACKED);
	m = open_box(a, ACCOUNT_INBOX);
	ck_assert_uint_eq(mailbox_uidvalidity(m), VALIDITY);
	ck_assert_uint_eq(mailbox_count(m), ARRAY_LEN(mails));
	for (uint32_t i = 0; i < ARRAY_LEN(mails); i++)
		ck_assert(span_is(mailbox_uidl(m, i + 1), mails[i].uidl));
	ck_assert_uint_eq(mailbox_uid(m, 4), 20);
	mailbox_close(&m);
	account_close(&a);
}
END_TEST

static const int errors[] = { EIO, FAULT_KILL };

/* Each call fails in turn, in a process of its own; then it is done again. */
START_TEST(doing_it_again_after_a_failure_is_enough)
{
	enum store_format f = format_of(_i % FORMATS);
	int err = errors[_i / FORMATS];

	for (unsigned n = 1;; n++) {
		struct account *a = open_account(f);
		struct mailbox *m;
		int status;
		pid_t pid;

		account_close(&a);
		if ((pid = fork()) == 0) {
			a = open_account(f);
			fault_arm(n, err);
			int rc = run(a, VALIDITY, NULL);
			_exit(fault_count() < n ? 7 : rc == 0 ? 6 : 0);
		}
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		a = open_account(f);
		m = open_box(a, ACCOUNT_INBOX);
		/* Never a part of it, under these numbers. */
		if (mailbox_uidvalidity(m) == VALIDITY)
			ck_assert_uint_eq(mailbox_count(m), ARRAY_LEN(mails));
		else if (f == STORE_PACKED)
			ck_assert_uint_eq(mailbox_count(m), 0);
		mailbox_close(&m);
		ck_assert_msg(run(a, VALIDITY, NULL) == 0, "call %u: %s", n,
		    why.text);
		check_all(a);
		account_close(&a);
		teardown();
		ck_assert_int_eq(mkdir(dir, 0700), 0);
		if (WIFEXITED(status) && WEXITSTATUS(status) == 7)
			break;
		ck_assert_uint_lt(n, 1000);
	}
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("import");
	TCase *t = tcase_create("import");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, an_empty_mailbox_becomes_the_sources, 0,
	    FORMATS);
	tcase_add_loop_test(t, what_came_since_is_added, 0, FORMATS);
	tcase_add_loop_test(t, another_mailbox_is_refused, 0, FORMATS);
	tcase_add_loop_test(t, a_uid_of_another_message_ends_it, 0, FORMATS);
	tcase_add_test(t, a_maildir_can_be_its_own_source);
	tcase_add_test(t, a_lost_journal_keeps_uids_and_ids);
	tcase_add_loop_test(t, doing_it_again_after_a_failure_is_enough, 0,
	    FORMATS * ARRAY_LEN(errors));
	suite_add_tcase(s, t);
	return s;
}
