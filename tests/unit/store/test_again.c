/* SPDX-License-Identifier: ISC */
/*
 * again: a delivery that is repeated finds what the first one left, wherever
 * purges, compactions and imports have put it since.
 */
#include "io/fd.h"
#include "store/store_internal.h"
#include "tests/unit/store/mailbox_test.h"

#define BODY	50000		/* bytes: a segment that is worth a purge */
#define MESSAGES 60

static struct store_place
place(void)
{
	return (struct store_place){ .format = STORE_PACKED, .base = dir,
	    .path = "user", .flags = STORE_MAKE_BASE, .uid = geteuid(),
	    .gid = getegid() };
}

/* What store_deliver() says: 0 delivered, 1 it was there. */
static int
deliver(struct store *s, int n, bool again)
{
	struct buf text = BUF_INIT(BUF_UNLIMITED);
	struct store_place p = place();
	struct store_content c;
	char id[32];
	struct store_message m = {
		.rcpt = SPAN("u@example.test"), .content = &c,
		.sender = SPAN("s@example.org"), .again = again,
	};
	int rc;

	buf_addf(&text, "Subject: number %d\n\n", n);
	while (text.len < BODY)
		buf_addf(&text, "a line of message %d\n", n);
	snprintf(id, sizeof(id), "Q%d", n);
	m.queue_id = span_of(id);
	store_content_of(&c, buf_span(&text));
	rc = store_deliver(s, &p, &m, &why);
	ck_assert_msg(rc >= 0, "%s", why.text);
	store_content_fini(&c);
	buf_fini(&text);
	return rc;
}

static struct store *
open_store(void)
{
	struct store_options so = { .open_max = 4, .hostname = "mail" };

	return store_new(&so);
}

/* Messages 10 and 59 come again; how many of them are new is returned. */
static int
repeat(struct store *s)
{
	int n = 0;

	n += deliver(s, 9, true) == 0;
	n += deliver(s, MESSAGES, true) == 0;
	store_settle(s);
	return n;
}

static off_t
segment_size(uint32_t no)
{
	char name[PACKED_NAME_MAX], path[128];
	struct stat st;

	packed_name(no, "seg", name);
	snprintf(path, sizeof(path), "%s/user/%s", dir, name);
	ck_assert_int_eq(stat(path, &st), 0);
	return st.st_size;
}

static void
check_all(struct account *a)
{
	struct mailbox *m = open_box(a, ACCOUNT_INBOX);
	struct mailbox_content c;

	ck_assert_uint_eq(mailbox_count(m), 11);
	for (uint32_t seq = 1; seq <= 11; seq++) {
		OK(mailbox_content(m, mailbox_uid(m, seq), &c, &why));
		mailbox_content_done(&c);
	}
	mailbox_close(&m);
}

START_TEST(a_purge_has_moved_it)
{
	struct ranges r = uids(11, MESSAGES - 1);
	struct store *s, *kept;
	struct account_purged got;
	struct expunge_result ex;
	struct account *a;
	struct mailbox *m;

	ck_assert_int_eq(setenv("MANSIO_STORE_EPOCH", "one", 1), 0);
	s = open_store();
	for (int n = 1; n < MESSAGES; n++)
		ck_assert_int_eq(deliver(s, n, false), 0);
	store_free(&s);
	/* Another epoch appends to another segment. */
	ck_assert_int_eq(setenv("MANSIO_STORE_EPOCH", "two", 1), 0);
	s = open_store();
	ck_assert_int_eq(deliver(s, MESSAGES, false), 0);
	store_settle(s);
	/* Another process, which has looked already. */
	kept = open_store();
	ck_assert_int_eq(repeat(kept), 0);
	a = open_account(STORE_PACKED);
	m = open_box(a, ACCOUNT_INBOX);
	OK(mailbox_expunge(m, &r, true, &ex, &why));
	mailbox_close(&m);
	a->before_us = clock_wall_us() + 1;
	OK(account_purge(a, &got, &why));
	ck_assert_uint_eq(got.segments, 1);
	ck_assert_int_eq(segment_size(1), 0);
	/* The journal says that it has moved ... */
	ck_assert_int_eq(repeat(s), 0);
	ck_assert_int_eq(repeat(kept), 0);
	ck_assert_int_eq(segment_size(1), 0);
	check_all(a);
	/* ... and a new one says only where it is. */
	ck_assert_int_eq(mailbox_compact(a, ACCOUNT_INBOX, COMPACT_NOW, &why),
	    1);
	ck_assert_int_eq(repeat(s), 0);
	ck_assert_int_eq(repeat(kept), 0);
	check_all(a);
	account_close(&a);
	store_free(&s);
	store_free(&kept);
	unsetenv("MANSIO_STORE_EPOCH");
	ranges_fini(&r);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("again");
	TCase *t = tcase_create("again");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, a_purge_has_moved_it);
	suite_add_tcase(s, t);
	return s;
}
