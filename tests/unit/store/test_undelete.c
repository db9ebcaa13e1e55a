/* SPDX-License-Identifier: ISC */
/*
 * undelete, purge: what was expunged or deleted can be had back until its time
 * is over, and then its space is given back.
 */
#include "tests/unit/store/mailbox_test.h"

static bool
count_deleted(void *arg, const struct mailbox_deleted *d)
{
	uint32_t *n = arg;

	ck_assert_uint_gt(d->size, 0);
	ck_assert_int_gt(d->expunged_us, 0);
	(*n)++;
	return true;
}

START_TEST(undelete)
{
	struct account *a = open_account(format_of(_i));
	uint32_t uid = append(a, ACCOUNT_INBOX, 1, 5, STORE_FLAGGED, "kw"), n;
	struct mailbox *m = open_box(a, ACCOUNT_INBOX);
	struct ranges r = uids(uid + 1, uid + 3);
	struct expunge_result ex;
	struct mailbox_changes c;
	struct uid_result res;

	OK(mailbox_expunge(m, &r, true, &ex, &why));
	ck_assert_uint_eq(ex.n, 3);
	n = 0;
	OK(mailbox_deleted(a, ACCOUNT_INBOX, count_deleted, &n, &why));
	ck_assert_uint_eq(n, 3);
	ranges_remove(&r, uid + 2, uid + 2);
	OK(mailbox_undelete(m, &r, &res, &why));
	ck_assert_uint_eq(ranges_count(res.to), 2);
	ck_assert_int_eq(mailbox_refresh(m, 0, &c, &why), 1);
	ck_assert_uint_eq(c.count, 4);
	check_content(m, uid + 5, 2);
	check_content(m, uid + 6, 4);
	ck_assert_uint_eq(message(m, 4).flags & STORE_FLAGGED, STORE_FLAGGED);
	ck_assert(mailbox_kwset_has(m, message(m, 4).kwset, 0));
	ranges_fini(&r);
	mailbox_close(&m);
	account_close(&a);
}
END_TEST

START_TEST(undelete_mailbox)
{
	struct account *a = open_account(format_of(_i));
	struct mailbox *m;
	uint32_t box, uid;

	OK(account_create(a, SPAN("x"), 0, &box, &why));
	uid = append(a, box, 1, 2, 0, NULL);
	OK(account_delete(a, SPAN("x"), &why));
	ck_assert_int_eq(account_undelete(a, SPAN("y"), &why), -1);
	OK(account_undelete(a, SPAN("x"), &why));
	ck_assert_uint_eq(account_find(a, SPAN("x"))->box, box);
	m = open_box(a, box);
	check_content(m, uid + 1, 2);
	mailbox_close(&m);
	account_close(&a);
}
END_TEST

static unsigned
rights_of(struct account *a, uint32_t box, const char *user)
{
	struct account_options o = options(account_format(a));
	struct account *b;
	unsigned rights;

	o.user = user;
	b = account_open(&o, &why);
	ck_assert_msg(b != NULL, "%s", why.text);
	rights = account_rights(b, box);
	account_close(&b);
	return rights;
}

static void
note(struct account *a, uint32_t box, const char *value)
{
	OK(account_metadata_set(a, box, SPAN("/shared/comment"),
	    span_of(value), &why));
}

static bool
has_note(struct account *a, uint32_t box)
{
	struct buf text = BUF_INIT(100);
	int rc = account_metadata_get(a, box, SPAN("/shared/comment"), &text,
	    &why);

	buf_fini(&text);
	return rc == 1;
}

START_TEST(undelete_mailbox_with_what_belongs_to_it)
{
	struct account *a = open_account(format_of(_i));
	struct account_purged got;
	uint32_t box, other;

	OK(account_create(a, SPAN("x"), USE_JUNK, &box, &why));
	OK(account_acl_set(a, box, SPAN("bob"), 0, RIGHT_READ, &why));
	note(a, box, "hers");
	OK(account_delete(a, SPAN("x"), &why));
	/* Nobody reads what is deleted. */
	ck_assert_uint_eq(rights_of(a, box, "bob"), 0);
	OK(account_undelete(a, SPAN("x"), &why));
	ck_assert_uint_eq(account_find(a, SPAN("x"))->special, USE_JUNK);
	ck_assert_uint_eq(rights_of(a, box, "bob"), RIGHT_READ);
	ck_assert(has_note(a, box));
	/* Another one has the use by now. */
	OK(account_delete(a, SPAN("x"), &why));
	OK(account_create(a, SPAN("y"), USE_JUNK, &other, &why));
	OK(account_undelete(a, SPAN("x"), &why));
	ck_assert_uint_eq(account_find(a, SPAN("x"))->special, 0);
	ck_assert_uint_eq(account_find(a, SPAN("y"))->special, USE_JUNK);
	/* What cannot be had back takes no room in the list. */
	OK(account_delete(a, SPAN("x"), &why));
	a->before_us = clock_wall_us() + 1;
	OK(account_purge(a, &got, &why));
	ck_assert_uint_eq(got.mailboxes, 1);
	ck_assert_int_eq(account_undelete(a, SPAN("x"), &why), -1);
	ck_assert_int_eq(account_error(a), ACCOUNT_NONEXISTENT);
	ck_assert(!has_note(a, box));
	ck_assert_uint_eq(a->rights.len, 0);
	account_close(&a);
	a = open_account(format_of(_i));
	ck_assert(!has_note(a, box));
	ck_assert_uint_eq(a->rights.len, 0);
	/* The name is free, the number is not. */
	OK(account_create(a, SPAN("x"), 0, &other, &why));
	ck_assert_uint_gt(other, box);
	account_close(&a);
}
END_TEST

/* Messages of this size fill segments soon. */
static void
append_large(struct account *a, uint32_t box, int n, size_t size)
{
	struct buf text = BUF_INIT(BUF_UNLIMITED);

	for (int i = 0; i < n; i++) {
		struct append *ap = append_begin(a, box, NULL, 0, &why);
		struct append_info info = { .flags = 0 };
		struct uid_result r;

		buf_reset(&text);
		buf_addf(&text, "Subject: %d\n\n", i);
		while (text.len < size)
			buf_addf(&text, "%d %zu of it\n", i, text.len);
		OK(append_next(ap, &info, &why));
		OK(append_data(ap, buf_span(&text), &why));
		OK(append_commit(ap, &r, &why));
		append_free(&ap);
	}
	buf_fini(&text);
}

START_TEST(purge_is_due_once_in_an_interval)
{
	struct account *a = open_account(format_of(_i));
	struct account_purged got;
	struct timespec times[2] = { { 0, 0 } };
	char path[100];

	ck_assert(!account_purge_due(a, 0));
	/* The first interval begins when somebody asks. */
	ck_assert(!account_purge_due(a, 3600));
	ck_assert(!account_purge_due(a, 3600));
	/* As if that had been two hours ago. */
	times[0].tv_sec = times[1].tv_sec = (time_t)clock_wall_s() - 7200;
	snprintf(path, sizeof(path), "%s/user/purge.lock", dir);
	ck_assert_int_eq(utimensat(AT_FDCWD, path, times, 0), 0);
	ck_assert(account_purge_due(a, 3600));
	OK(account_purge_some(a, 4, &got, &why));
	ck_assert(!account_purge_due(a, 3600));
	account_close(&a);
}
END_TEST

START_TEST(purging)
{
	struct account *a = open_account(STORE_PACKED);
	struct account_purged got;
	struct mailbox *m, *view, *copy;
	struct expunge_result ex;
	struct mailbox_changes c;
	struct mailbox_content bytes;
	struct uid_result res;
	struct ranges r = uids(1, 40);
	uint32_t box, n;
	struct buf want = BUF_INIT(BUF_UNLIMITED);

	OK(account_create(a, SPAN("copy"), 0, &box, &why));
	append_large(a, ACCOUNT_INBOX, 100, 1000000);
	m = open_box(a, ACCOUNT_INBOX);
	view = open_box(a, ACCOUNT_INBOX);
	OK(mailbox_copy(m, &r, a, box, &res, &why));
	OK(mailbox_content(m, 7, &bytes, &why));
	buf_add_span(&want, bytes.bytes);
	mailbox_content_done(&bytes);
	/* 1 to 40 live on in the copy, 41 to 60 are gone. */
	ranges_add(&r, 41, 60);
	OK(mailbox_expunge(m, &r, true, &ex, &why));
	OK(account_purge(a, &got, &why));
	ck_assert_uint_eq(got.segments, 0);	/* not yet over */
	mailbox_close(&m);
	/* As if two weeks had passed. */
	a->before_us = clock_wall_us() + 1;
	OK(account_purge(a, &got, &why));
	ck_assert_uint_eq(got.segments, 1);
	ck_assert_uint_gt(got.bytes, 10000000);
	ck_assert_uint_eq(got.damaged, 0);
	n = 0;
	OK(mailbox_deleted(a, ACCOUNT_INBOX, count_deleted, &n, &why));
	ck_assert_uint_eq(n, 0);
	/* The view from before goes on. */
	ck_assert_int_eq(mailbox_refresh(view, MAILBOX_EXPUNGES, &c, &why),
	    1);
	copy = open_box(a, box);
	ck_assert_uint_eq(mailbox_count(copy), 40);
	OK(mailbox_content(copy, mailbox_uid(copy, 7), &bytes, &why));
	ck_assert(span_eq(bytes.bytes, buf_span(&want)));
	mailbox_content_done(&bytes);
	mailbox_close(&copy);
	mailbox_close(&view);
	account_close(&a);
	a = open_account(STORE_PACKED);
	m = open_box(a, ACCOUNT_INBOX);
	ck_assert_uint_eq(mailbox_count(m), 40);
	ck_assert_uint_eq(mailbox_uidnext(m), 101);
	for (uint32_t seq = 1; seq <= 40; seq++) {
		OK(mailbox_content(m, mailbox_uid(m, seq), &bytes, &why));
		mailbox_content_done(&bytes);
	}
	mailbox_close(&m);
	OK(account_purge(a, &got, &why));
	ck_assert_uint_eq(got.segments, 0);
	account_close(&a);
	ranges_fini(&r);
	buf_fini(&want);
}
END_TEST

/* Where the last message that came begins. */
static bool
last_arrival(void *arg, const struct packed_record *r)
{
	uint64_t *at = arg;

	if (r->type == PACKED_ARRIVAL)
		*at = r->offset;
	return true;
}

/* One bit of it is another one. */
static void
damage_last_arrival(int fd)
{
	struct stat st;
	uint64_t at = 0;
	char c;

	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_gt(packed_scan_file(fd, PACKED_START,
	    (uint64_t)st.st_size, NULL, last_arrival, &at), 0);
	ck_assert_uint_gt(at, 0);
	at += PACKED_RECORD_HEADER + 2;
	ck_assert_int_eq(pread(fd, &c, 1, (off_t)at), 1);
	c ^= 1;
	ck_assert_int_eq(pwrite(fd, &c, 1, (off_t)at), 1);
}

START_TEST(a_damaged_journal_keeps_the_segments)
{
	struct account *a = open_account(STORE_PACKED);
	struct account_purged got;
	struct mailbox *m;
	struct expunge_result ex;
	struct uid_result res;
	struct ranges r = uids(1, 40);
	uint32_t box, uid;
	struct stat st;
	char path[120], name[PACKED_NAME_MAX];
	int fd;

	OK(account_create(a, SPAN("copy"), 0, &box, &why));
	append_large(a, ACCOUNT_INBOX, 100, 1000000);
	m = open_box(a, ACCOUNT_INBOX);
	OK(mailbox_copy(m, &r, a, box, &res, &why));
	ranges_add(&r, 41, 60);
	OK(mailbox_expunge(m, &r, true, &ex, &why));
	mailbox_close(&m);
	/* Something behind it, or it would be taken for an unfinished one. */
	m = open_box(a, box);
	uid = mailbox_uid(m, 1);
	store_flags(m, uid, uid, FLAGS_ADD, STORE_SEEN, NULL);
	mailbox_close(&m);
	account_close(&a);
	packed_name(box, "jrn", name);
	snprintf(path, sizeof(path), "%s/user/%s", dir, name);
	fd = open(path, O_RDWR);
	ck_assert_int_ge(fd, 0);
	damage_last_arrival(fd);
	packed_name(box, "idx", name);
	snprintf(path, sizeof(path), "%s/user/%s", dir, name);
	(void)unlink(path);
	a = open_account(STORE_PACKED);
	a->before_us = clock_wall_us() + 1;
	OK(account_purge(a, &got, &why));
	ck_assert_uint_eq(got.segments, 0);
	/* Not by another way, either. */
	ck_assert_int_eq(mailbox_compact(a, box, COMPACT_NOW, &why), 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_uint_eq(st.st_nlink, 1);
	close(fd);
	/* Until somebody says so. */
	OK(mailbox_rebuild(a, box, &why));
	OK(account_purge(a, &got, &why));
	ck_assert_uint_eq(got.segments, 1);
	account_close(&a);
	ranges_fini(&r);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("undelete");
	TCase *t = tcase_create("undelete");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, undelete, 0, FORMATS);
	tcase_add_loop_test(t, undelete_mailbox, 0, FORMATS);
	tcase_add_loop_test(t, undelete_mailbox_with_what_belongs_to_it, 0,
	    FORMATS);
	tcase_add_loop_test(t, purge_is_due_once_in_an_interval, 0, FORMATS);
	tcase_add_test(t, purging);
	tcase_add_test(t, a_damaged_journal_keeps_the_segments);
	suite_add_tcase(s, t);
	return s;
}
