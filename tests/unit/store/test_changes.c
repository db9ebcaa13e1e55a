/* SPDX-License-Identifier: ISC */
/*
 * changes: who comes back with a state hears of each mailbox that has changed
 * since, once, and of no other; and never too little, whatever was lost.
 */
#include "tests/unit/store/mailbox_test.h"

struct heard {
	uint32_t		 n;
	struct account_change	 v[64];
};

static void
hear(void *arg, const struct account_change *ch)
{
	struct heard *h = arg;

	ck_assert_uint_lt(h->n, 64);
	h->v[h->n++] = *ch;
}

static struct heard heard;

static int
ask(struct account *a, const struct account_state *since,
    struct account_state *now)
{
	int rc;

	heard.n = 0;
	rc = account_changes(a, since, now, hear, &heard, &why);
	ck_assert_msg(rc >= 0, "%s", why.text);
	return rc;
}

static const struct account_change *
about(uint32_t box)
{
	const struct account_change *found = NULL;

	for (uint32_t i = 0; i < heard.n; i++) {
		if (heard.v[i].box != box)
			continue;
		ck_assert_ptr_null(found);
		found = &heard.v[i];
	}
	return found;
}

START_TEST(what_has_changed)
{
	struct account *a = open_account(format_of(_i)), *b;
	struct account_state first, second, third, now;
	struct expunge_result ex;
	struct ranges r;
	struct mailbox *m;
	uint32_t box, uid;
	uint64_t from;

	OK(account_create(a, SPAN("x"), 0, &box, &why));
	(void)append(a, ACCOUNT_INBOX, 1, 3, 0, NULL);
	ck_assert_int_eq(ask(a, NULL, &first), 0);
	ck_assert_ptr_nonnull(about(ACCOUNT_INBOX));
	ck_assert_uint_eq(about(ACCOUNT_INBOX)->from, 0);
	ck_assert_ptr_nonnull(about(0));
	/* Nothing: the state stays. */
	ck_assert_int_eq(ask(a, &first, &now), 1);
	ck_assert_uint_eq(heard.n, 0);
	ck_assert_uint_eq(now.number, first.number);
	/* By another process, several times, one change. */
	b = open_account(format_of(_i));
	m = open_box(b, ACCOUNT_INBOX);
	from = mailbox_modseq(m);
	(void)store_flags(m, 1, 1, FLAGS_ADD, STORE_SEEN, NULL);
	ck_assert_int_eq(ask(a, &first, &second), 1);
	uid = append(b, ACCOUNT_INBOX, 4, 1, 0, NULL);
	r = uids(2, 2);
	OK(mailbox_expunge(m, &r, true, &ex, &why));
	ck_assert_int_eq(ask(a, &first, &third), 1);
	ck_assert_uint_gt(second.number, first.number);
	ck_assert_uint_gt(third.number, second.number);
	ck_assert_uint_eq(heard.n, 1);
	ck_assert_uint_ge(about(ACCOUNT_INBOX)->from + 1, from);
	ck_assert_uint_lt(about(ACCOUNT_INBOX)->from, message(m, 1).modseq);
	ck_assert_uint_eq(about(ACCOUNT_INBOX)->uidnext, uid);
	ck_assert_int_eq(ask(a, &second, &now), 1);
	ck_assert_uint_eq(heard.n, 1);
	ck_assert_uint_ge(about(ACCOUNT_INBOX)->from, message(m, 1).modseq);
	/* The list, and what is gone. */
	OK(account_subscribe(a, SPAN("y"), true, &why));
	OK(account_delete(a, SPAN("x"), &why));
	ck_assert_int_eq(ask(b, &third, &now), 1);
	ck_assert_uint_eq(heard.n, 2);
	ck_assert_ptr_nonnull(about(0));
	ck_assert(about(box)->gone);
	ck_assert_int_eq(ask(b, &now, &third), 1);
	ck_assert_uint_eq(heard.n, 0);
	/* A state that nobody has told. */
	third.number++;
	ck_assert_int_eq(ask(b, &third, &now), 0);
	mailbox_close(&m);
	account_close(&a);
	account_close(&b);
	ranges_fini(&r);
}
END_TEST

START_TEST(the_file_is_lost)
{
	struct account *a = open_account(format_of(_i));
	struct account_state was, now;
	char cmd[200];

	(void)append(a, ACCOUNT_INBOX, 1, 3, 0, NULL);
	(void)ask(a, NULL, &was);
	snprintf(cmd, sizeof(cmd), _i % 2 ? "rm %s/user/*changes.jrn" :
	    "truncate -s 2000 %s/user/changes.jrn", dir);
	ck_assert_int_eq(system(cmd), 0);
	ck_assert_int_eq(ask(a, &was, &now), 0);
	ck_assert_ptr_nonnull(about(ACCOUNT_INBOX));
	ck_assert_int_eq(ask(a, &now, &was), 1);
	ck_assert_uint_eq(heard.n, 0);
	account_close(&a);
}
END_TEST

/* After a power cut the numbers that may have been told are not used. */
START_TEST(another_epoch)
{
	struct account *a = open_account(format_of(_i));
	struct account_state was, now;

	(void)append(a, ACCOUNT_INBOX, 1, 1, 0, NULL);
	(void)ask(a, NULL, &was);
	account_close(&a);
	ck_assert_int_eq(setenv("MANSIO_STORE_EPOCH", "another", 1), 0);
	a = open_account(format_of(_i));
	ck_assert_int_eq(ask(a, &was, &now), 1);
	ck_assert_uint_gt(now.number, was.number);
	/* One that was told and lost lies in between. */
	was.number += 5;
	(void)append(a, ACCOUNT_INBOX, 2, 1, 0, NULL);
	ck_assert_int_eq(ask(a, &was, &now), 1);
	ck_assert_ptr_nonnull(about(ACCOUNT_INBOX));
	account_close(&a);
}
END_TEST

START_TEST(it_does_not_grow_without_end)
{
	struct account *a = open_account(STORE_PACKED);
	struct account_state first, mid, now;
	struct stat st;
	char path[200];

	(void)ask(a, NULL, &first);
	for (int i = 0; i < 5000; i++) {
		OK(account_subscribe(a, SPAN("y"), i % 2 == 0, &why));
		(void)ask(a, &first, &now);
		if (i == 4900)
			mid = now;
	}
	ck_assert_int_eq(ask(a, &first, &now), 0);
	ck_assert_ptr_nonnull(about(ACCOUNT_INBOX));
	ck_assert_int_eq(ask(a, &mid, &now), 1);
	ck_assert_uint_eq(heard.n, 1);
	snprintf(path, sizeof(path), "%s/user/changes.jrn", dir);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_lt(st.st_size, 400000);
	account_close(&a);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("changes");
	TCase *t = tcase_create("changes");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 100);
	tcase_add_loop_test(t, what_has_changed, 0, FORMATS);
	tcase_add_loop_test(t, the_file_is_lost, 0, FORMATS);
	tcase_add_loop_test(t, another_epoch, 0, FORMATS);
	tcase_add_test(t, it_does_not_grow_without_end);
	suite_add_tcase(s, t);
	return s;
}
