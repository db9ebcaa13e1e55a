/* SPDX-License-Identifier: ISC */
/*
 * quota: limits as text and from tables, their grace, and what deliveries do
 * about them in each format.
 */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "conf/params.h"
#include "store/account.h"
#include "store/quota.h"
#include "store/store.h"

#define K	1024ull
#define NONE	QUOTA_UNLIMITED
#define UNSET	QUOTA_UNSET

static struct why why;
static char dir[64];

static void
setup(void)
{
	const char *t = getenv("TMPDIR");

	snprintf(dir, sizeof(dir), "%s/quotaXXXXXX",
	    t != NULL && strlen(t) < 40 ? t : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	conf.quota_grace = "10%";
	conf.quota_warning_levels = "80%, 95%";
	conf.quota_warning_recipient = "user";
	conf.myhostname = "mail.example.test";
	conf.recipient_delimiter = "+";
	conf.quota_storage_limit = conf.quota_message_limit =
	    conf.quota_mailbox_limit = PARAM_UNLIMITED;
}

static void
teardown(void)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
	ck_assert_int_eq(system(cmd), 0);
}

static const struct {
	const char	*text;
	int		 rc;
	uint64_t	 storage, messages, mailboxes;
} texts[] = {
	{ "",			0, UNSET, UNSET, UNSET },
	{ "10M",		0, 10 * K * K, UNSET, UNSET },
	{ "storage=2k",		0, 2 * K, UNSET, UNSET },
	{ "storage=3TB",	0, 3 * K * K * K * K, UNSET, UNSET },
	{ "messages=10, mailboxes=3 Storage=1g", 0, K * K * K, 10, 3 },
	{ "unlimited",		0, NONE, UNSET, UNSET },
	{ "0",			0, NONE, UNSET, UNSET },
	{ "messages=unlimited",	0, UNSET, NONE, UNSET },
	{ "storage=16777215T",	0, 16777215 * K * K * K * K, UNSET, UNSET },
	{ "storage=16777216T",	-1, 0, 0, 0 },
	{ "storage=18446744073709551613", 0, UNSET - 1, UNSET, UNSET },
	{ "storage=18446744073709551614", -1, 0, 0, 0 },
	{ "storage=",		-1, 0, 0, 0 },
	{ "storage=M",		-1, 0, 0, 0 },
	{ "storage=-1",		-1, 0, 0, 0 },
	{ "messages=10M",	-1, 0, 0, 0 },
	{ "size=1",		-1, 0, 0, 0 },
};

START_TEST(limits_are_text)
{
	struct store_quota q, again;
	struct buf b = BUF_INIT(BUF_UNLIMITED);

	ck_assert_int_eq(store_quota_parse(span_of(texts[_i].text), &q, &why),
	    texts[_i].rc);
	if (texts[_i].rc < 0)
		return;
	ck_assert_uint_eq(q.storage, texts[_i].storage);
	ck_assert_uint_eq(q.messages, texts[_i].messages);
	ck_assert_uint_eq(q.mailboxes, texts[_i].mailboxes);
	store_quota_format(&q, &b);
	ck_assert_int_eq(store_quota_parse(buf_span(&b), &again, &why), 0);
	ck_assert_int_eq(memcmp(&q, &again, sizeof(q)), 0);
	buf_fini(&b);
}
END_TEST

START_TEST(users_and_domains_have_limits)
{
	struct quota_map *m;
	struct store_quota q;
	char *path = mem_printf("%s/quota", dir);
	FILE *f = fopen(path, "w");

	fputs("bob@example.test storage=5M\n@example.test messages=7\n"
	    "carol mailboxes=2\nbad@example.test storage=x\n", f);
	fclose(f);
	conf.quota_maps = mem_printf("texthash:%s", path);
	conf.quota_storage_limit = 1000;
	m = quota_map_new(&why);
	ck_assert_ptr_nonnull(m);
	ck_assert_int_eq(quota_map_find(m, SPAN("Bob+x@example.test"), &q,
	    &why), 0);
	ck_assert_uint_eq(q.storage, 5 * K * K);
	ck_assert_uint_eq(q.messages, NONE);
	ck_assert_int_eq(quota_map_find(m, SPAN("al@example.test"), &q,
	    &why), 0);
	ck_assert_uint_eq(q.storage, 1000);
	ck_assert_uint_eq(q.messages, 7);
	ck_assert_int_eq(quota_map_find(m, SPAN("carol"), &q, &why), 0);
	ck_assert_uint_eq(q.mailboxes, 2);
	ck_assert_int_eq(quota_map_find(m, SPAN("x@other.test"), &q,
	    &why), 0);
	ck_assert_uint_eq(q.storage, 1000);
	/* A wrong line is no reason to let everything in. */
	ck_assert_int_eq(quota_map_find(m, SPAN("bad@example.test"), &q,
	    &why), -1);
	ck_assert_int_eq(why.code[0], '4');
	quota_map_free(&m);
	mem_free(path);
}
END_TEST

START_TEST(grace_and_levels)
{
	ck_assert_uint_eq(store_quota_grace(1000), 1100);
	ck_assert_uint_eq(store_quota_grace(NONE), NONE);
	ck_assert_uint_eq(store_quota_grace(QUOTA_UNSET - 1), NONE);
	conf.quota_grace = "4k";
	ck_assert_uint_eq(store_quota_grace(1000), 1000 + 4 * K);
	conf.quota_grace = "";
	ck_assert_uint_eq(store_quota_grace(1000), 1000);
	ck_assert_uint_eq(store_quota_passed(799, 800, 1000), 80);
	ck_assert_uint_eq(store_quota_passed(800, 900, 1000), 0);
	ck_assert_uint_eq(store_quota_passed(100, 999, 1000), 95);
	ck_assert_uint_eq(store_quota_passed(999, 100, 1000), 0);
	ck_assert_uint_eq(store_quota_passed(1, 2, NONE), 0);
	ck_assert_int_eq(store_quota_check(&why), 0);
	conf.quota_grace = "a%";
	ck_assert_int_eq(store_quota_check(&why), -1);
	conf.quota_grace = "";
	conf.quota_warning_levels = "0%";
	ck_assert_int_eq(store_quota_check(&why), -1);
	conf.quota_warning_levels = "1 2 3 4 5 6 7 8 9";
	ck_assert_int_eq(store_quota_check(&why), -1);
}
END_TEST

static const enum store_format formats[] = { STORE_PACKED, STORE_MAILDIR };

static int
deliver(struct store *s, const struct store_place *p, const char *id,
    size_t len)
{
	struct buf text = BUF_INIT(BUF_UNLIMITED);
	struct store_content c;
	struct store_message m = {
		.queue_id = span_of(id), .rcpt = SPAN("bob@example.test"),
		.sender = SPAN("a@b"), .arrival_us = 1, .content = &c,
	};
	int rc;

	while (text.len + 1 < len)
		buf_add_char(&text, 'x');
	buf_add_char(&text, '\n');
	store_content_of(&c, buf_span(&text));
	buf_fini(&text);
	rc = store_deliver(s, p, &m, &why);
	store_content_fini(&c);
	return rc;
}

START_TEST(deliveries_stop_at_the_limit)
{
	struct store_options o = { .open_max = 8, .hostname = "h",
		/* As virtual does: the warning has no head of its own. */
		.parse = true };
	struct store_quota q = { 1000, NONE, NONE };
	struct store_place p = {
		.format = formats[_i], .base = dir, .path = "bob",
		.uid = geteuid(), .gid = getegid(), .quota = &q,
		.own_quota = true,
	};
	struct store *s = store_new(&o);
	struct store_box *b;
	struct buf text = BUF_INIT(BUF_UNLIMITED);
	char *path = mem_printf("%s/bob/%s", dir, formats[_i] == STORE_PACKED ?
	    QUOTA_FILE : QUOTA_FILE_MAILDIR);
	FILE *f;

	/* Larger than it will ever be: for good. */
	ck_assert_int_eq(deliver(s, &p, "q0", 1101), -1);
	ck_assert_str_eq(why.code, "5.2.2");
	ck_assert_int_eq(deliver(s, &p, "q1", 700), 0);
	/* Reaches 80 %: a warning follows, which is not counted against us
	 * and is larger than what is left. */
	ck_assert_int_eq(deliver(s, &p, "q2", 150), 0);
	b = store_box_open(&p, &why);
	ck_assert_uint_eq(store_box_count(b), 3);
	for (size_t i = 0; i < 3; i++)
		ck_assert_int_eq(store_box_read(b, i, &text, &why), 0);
	ck_assert_ptr_nonnull(strstr(text.data,
	    "Subject: Your mailbox is 80 % full"));
	store_box_close(&b);
	ck_assert_int_eq(deliver(s, &p, "q3", 300), -1);
	ck_assert_str_eq(why.code, "4.2.2");
	/* The account's own limit comes first: 4 messages, of which 10 % are
	 * none more. */
	f = fopen(path, "w");
	fputs("storage=10k messages=4\n", f);
	fclose(f);
	store_close_all(s);
	conf.quota_warning_levels = "";
	ck_assert_int_eq(deliver(s, &p, "q3", 300), 0);
	ck_assert_int_eq(deliver(s, &p, "q4", 30), -1);
	ck_assert_str_eq(why.code, "4.2.2");
	f = fopen(path, "w");
	fputs("storage=ten\n", f);
	fclose(f);
	store_close_all(s);
	ck_assert_int_eq(deliver(s, &p, "q7", 300), -1);
	store_free(&s);
	buf_fini(&text);
	mem_free(path);
}
END_TEST

START_TEST(the_account_keeps_its_own)
{
	struct store_quota q = { 1000, 2, 9 }, got;
	struct account_options o = {
		.format = formats[_i], .flags = STORE_MAKE_BASE, .base = dir,
		.path = "bob", .owner = "bob", .own_quota = true,
		.quota = { NONE, NONE, NONE },
		.depth_limit = 9, .count_limit = 99,
	};
	struct account *a = account_open(&o, &why);

	ck_assert_ptr_nonnull(a);
	ck_assert_int_eq(account_quota_set(a, &q, &why), 0);
	ck_assert_int_eq(account_limits(a, &got, &why), 0);
	ck_assert_int_eq(memcmp(&q, &got, sizeof(q)), 0);
	ck_assert_int_eq(account_quota_check(a, ACCOUNT_INBOX, 1000, 2, &why),
	    0);
	ck_assert_int_eq(account_quota_check(a, ACCOUNT_INBOX, 1001, 1, &why),
	    -1);
	ck_assert_int_eq(account_error(a), ACCOUNT_OVERQUOTA);
	ck_assert_int_eq(account_quota_check(a, ACCOUNT_INBOX, 1, 3, &why),
	    -1);
	store_quota_unset(&q);
	ck_assert_int_eq(account_quota_set(a, &q, &why), 0);
	ck_assert_int_eq(account_limits(a, &got, &why), 0);
	ck_assert_uint_eq(got.storage, NONE);
	account_close(&a);
	o.own_quota = false;
	a = account_open(&o, &why);
	ck_assert_int_eq(account_quota_set(a, &q, &why), -1);
	ck_assert_int_eq(account_error(a), ACCOUNT_NOPERM);
	account_close(&a);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("quota");
	TCase *t = tcase_create("quota");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, limits_are_text, 0, (int)ARRAY_LEN(texts));
	tcase_add_test(t, users_and_domains_have_limits);
	tcase_add_test(t, grace_and_levels);
	tcase_add_loop_test(t, deliveries_stop_at_the_limit, 0, 2);
	tcase_add_loop_test(t, the_account_keeps_its_own, 0, 2);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
