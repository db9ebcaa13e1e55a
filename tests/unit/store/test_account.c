/* SPDX-License-Identifier: ISC */
/*
 * account: the list of mailboxes, their names, rights, quotas and annotations.
 */
#include "tests/unit/store/mailbox_test.h"

START_TEST(list)
{
	struct account *a = open_account(format_of(_i));
	struct account *b = open_account(format_of(_i));
	const struct account_box *x;
	struct mailbox_status st;
	uint32_t box, other;

	ck_assert_uint_eq(account_count(a), 3);
	ck_assert_str_eq(account_box(a, 0)->name, "INBOX");
	x = account_find(a, SPAN("Sent"));
	ck_assert_ptr_nonnull(x);
	ck_assert_uint_eq(x->special, USE_SENT);
	ck_assert_uint_eq(x->flags, 0);
	ck_assert_uint_eq(account_find(a, SPAN("inbox"))->box, ACCOUNT_INBOX);
	ck_assert(account_find(a, SPAN("Drafts"))->flags & BOX_SUBSCRIBED);
	OK(account_create(a, SPAN("a/b/c"), 0, &box, &why));
	ck_assert_int_eq(account_create(a, SPAN("a/b/c"), 0, &other, &why),
	    -1);
	ck_assert_int_eq(account_error(a), ACCOUNT_EXISTS);
	ck_assert_int_eq(account_refresh(b, &why), 1);
	ck_assert_int_eq(account_refresh(b, &why), 0);
	x = account_find(b, SPAN("a/b"));
	ck_assert_ptr_nonnull(x);
	ck_assert_uint_eq(x->flags, BOX_NONEXISTENT | BOX_CHILDREN);
	ck_assert_ptr_nonnull(account_find(b, SPAN("a")));
	OK(account_create(b, SPAN("a"), 0, &other, &why));
	ck_assert_uint_ne(other, box);
	(void)append(b, other, 1, 2, 0, NULL);
	OK(account_rename(b, SPAN("a"), SPAN("z/y"), &why));
	ck_assert_int_eq(account_refresh(a, &why), 1);
	ck_assert_ptr_null(account_find(a, SPAN("a")));
	ck_assert_uint_eq(account_find(a, SPAN("z/y/b/c"))->box, box);
	ck_assert_uint_eq(account_find(a, SPAN("z/y"))->box, other);
	OK(account_status(a, other, &st, &why));
	ck_assert_uint_eq(st.messages, 2);
	ck_assert_uint_eq(st.unseen, 2);
	ck_assert_uint_eq(st.recent, 2);
	OK(account_delete(a, SPAN("z/y"), &why));
	ck_assert_int_eq(account_delete(a, SPAN("z/y"), &why), -1);
	ck_assert_int_eq(account_error(a), ACCOUNT_HASCHILDREN);
	ck_assert_int_eq(account_delete(a, SPAN("INBOX"), &why), -1);
	OK(account_subscribe(a, SPAN("gone/away"), true, &why));
	x = account_find(a, SPAN("gone"));
	ck_assert_uint_eq(x->flags, BOX_NONEXISTENT | BOX_SUBSCRIBED_CHILD);
	OK(account_subscribe(a, SPAN("gone/away"), false, &why));
	ck_assert_ptr_null(account_find(a, SPAN("gone")));
	/* Made again, it is another mailbox. */
	OK(account_create(a, SPAN("z/y"), USE_DRAFTS, &box, &why));
	ck_assert_uint_ne(box, other);
	ck_assert_uint_eq(account_find(a, SPAN("Drafts"))->special, 0);
	ck_assert_uint_eq(account_find(a, SPAN("z/y"))->special, USE_DRAFTS);
	account_close(&b);
	account_close(&a);
	a = open_account(format_of(_i));
	ck_assert_uint_eq(account_find(a, SPAN("z/y"))->box, box);
	account_close(&a);
}
END_TEST

START_TEST(inbox_is_renamed)
{
	struct account *a = open_account(format_of(_i));
	struct mailbox_status st;

	(void)append(a, ACCOUNT_INBOX, 1, 3, 0, NULL);
	OK(account_rename(a, SPAN("InBox"), SPAN("old"), &why));
	OK(account_status(a, ACCOUNT_INBOX, &st, &why));
	ck_assert_uint_eq(st.messages, 0);
	OK(account_status(a, account_find(a, SPAN("old"))->box, &st, &why));
	ck_assert_uint_eq(st.messages, 3);
	account_close(&a);
}
END_TEST

static const struct {
	const char		*name;
	enum account_error	 want;
} names[] = {
	{ "Entwürfe/été", ACCOUNT_OK }, { "", ACCOUNT_CANNOT },
	{ "/a", ACCOUNT_CANNOT }, { "a/", ACCOUNT_CANNOT },
	{ "a//b", ACCOUNT_CANNOT }, { "a/../b", ACCOUNT_CANNOT },
	{ ".", ACCOUNT_CANNOT }, { "a\nb", ACCOUNT_CANNOT },
	{ "\xff", ACCOUNT_CANNOT }, { "a\xc2\x85", ACCOUNT_CANNOT },
	{ "1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16", ACCOUNT_OK },
	{ "1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17", ACCOUNT_LIMIT },
};

START_TEST(names_are_checked)
{
	struct account *a = open_account(STORE_PACKED);
	int rc = account_check_name(a, span_of(names[_i].name), &why);

	ck_assert_int_eq(rc, names[_i].want == ACCOUNT_OK ? 0 : -1);
	if (rc < 0)
		ck_assert_int_eq(account_error(a), names[_i].want);
	account_close(&a);
}
END_TEST

START_TEST(rights)
{
	struct account_options o = options(STORE_PACKED);
	const char *groups[] = { "staff" };
	struct account *a = open_account(STORE_PACKED), *b;
	struct mailbox *m;
	uint32_t box;
	unsigned r;
	char text[ACCOUNT_RIGHTS_MAX];

	OK(account_create(a, SPAN("shared"), 0, &box, &why));
	(void)append(a, box, 1, 1, 0, NULL);
	OK(account_rights_parse(SPAN("lrsi"), &r));
	OK(account_acl_set(a, box, SPAN("$staff"), 0, r, &why));
	OK(account_acl_set(a, box, SPAN("-bob"), 0, RIGHT_INSERT, &why));
	o.user = "bob";
	o.groups = groups;
	o.ngroups = 1;
	b = account_open(&o, &why);
	ck_assert_uint_eq(account_rights(b, ACCOUNT_INBOX), 0);
	ck_assert_ptr_null(mailbox_open(b, ACCOUNT_INBOX, 0, &why));
	ck_assert_int_eq(account_error(b), ACCOUNT_NOPERM);
	account_rights_format(account_rights(b, box), text);
	ck_assert_str_eq(text, "lrs");
	m = open_box(b, box);
	ck_assert_uint_eq(mailbox_count(m), 1);
	/* s allows \Seen and nothing else. */
	struct ranges all = uids(1, UINT32_MAX);
	struct flags_request rq = { .uids = &all, .op = FLAGS_ADD,
	    .flags = STORE_SEEN | STORE_FLAGGED,
	    .unchanged_since = UINT64_MAX };
	struct flags_result out;
	OK(mailbox_store_flags(m, &rq, &out, &why));
	ck_assert_uint_eq(message(m, 1).flags & (STORE_SEEN | STORE_FLAGGED),
	    STORE_SEEN);
	rq.flags = STORE_FLAGGED;
	ck_assert_int_eq(mailbox_store_flags(m, &rq, &out, &why), -1);
	ck_assert_int_eq(account_error(b), ACCOUNT_NOPERM);
	ck_assert_ptr_null(append_begin(b, box, NULL, 0, &why));
	ck_assert_int_eq(account_delete(b, SPAN("shared"), &why), -1);
	ck_assert_int_eq(account_create(b, SPAN("shared/x"), 0, &box, &why),
	    -1);
	mailbox_close(&m);
	ranges_fini(&all);
	account_close(&b);
	account_close(&a);
}
END_TEST

START_TEST(quota)
{
	struct account_options o = options(STORE_PACKED);
	struct account_usage u;
	struct account *a;
	struct expunge_result ex;
	struct mailbox *m;
	struct append *ap;
	struct append_info info = { .size = 100000 };

	o.quota.messages = 3;
	o.quota.storage = 99999;
	a = account_open(&o, &why);
	(void)append(a, ACCOUNT_INBOX, 1, 3, STORE_DELETED, NULL);
	OK(account_usage(a, &u, &why));
	ck_assert_uint_eq(u.messages, 3);
	ck_assert_uint_gt(u.storage, 100);
	ck_assert_uint_eq(u.mailboxes, 3);
	ck_assert_ptr_null(append_begin(a, ACCOUNT_INBOX, NULL, 0, &why));
	ck_assert_int_eq(account_error(a), ACCOUNT_OVERQUOTA);
	m = open_box(a, ACCOUNT_INBOX);
	OK(mailbox_expunge(m, NULL, false, &ex, &why));
	mailbox_close(&m);
	OK(account_usage(a, &u, &why));
	ck_assert_uint_eq(u.messages, 0);
	ck_assert_uint_eq(u.storage, 0);
	ap = append_begin(a, ACCOUNT_INBOX, NULL, 0, &why);
	ck_assert_int_eq(append_next(ap, &info, &why), -1);
	append_free(&ap);
	account_close(&a);
}
END_TEST

START_TEST(metadata)
{
	struct account *a = open_account(STORE_PACKED);
	struct buf v = BUF_INIT(BUF_UNLIMITED);

	OK(account_metadata_set(a, ACCOUNT_INBOX, SPAN("/private/Comment"),
	    SPAN("hello\0there"), &why));
	account_close(&a);
	a = open_account(STORE_PACKED);
	ck_assert_int_eq(account_metadata_get(a, ACCOUNT_INBOX,
	    SPAN("/PRIVATE/comment"), &v, &why), 1);
	ck_assert(span_eq(buf_span(&v), SPAN("hello\0there")));
	ck_assert_int_eq(account_metadata_get(a, 0, SPAN("/private/comment"),
	    &v, &why), 0);
	OK(account_metadata_set(a, ACCOUNT_INBOX, SPAN("/private/comment"),
	    SPAN_EMPTY, &why));
	ck_assert_int_eq(account_metadata_get(a, ACCOUNT_INBOX,
	    SPAN("/private/comment"), &v, &why), 0);
	buf_fini(&v);
	account_close(&a);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("account");
	TCase *t = tcase_create("account");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, list, 0, FORMATS);
	tcase_add_loop_test(t, inbox_is_renamed, 0, FORMATS);
	tcase_add_loop_test(t, names_are_checked, 0, (int)ARRAY_LEN(names));
	tcase_add_test(t, rights);
	tcase_add_test(t, quota);
	tcase_add_test(t, metadata);
	suite_add_tcase(s, t);
	return s;
}
