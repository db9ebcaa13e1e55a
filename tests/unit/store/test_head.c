/* SPDX-License-Identifier: ISC */
/*
 * head: a journal whose head is damaged keeps what its records say: messages,
 * copies of others, flags, keywords, rights; and neither UIDs nor MODSEQs that
 * somebody may have seen come again.
 */
#include "store/index.h"
#include "tests/unit/store/mailbox_test.h"

#define MESSAGES 6

static char path[128];

static const char *
file_of(uint32_t box, const char *suffix)
{
	char name[PACKED_NAME_MAX];

	if (box == 0)
		snprintf(name, sizeof(name), PACKED_ACCOUNT);
	else
		packed_name(box, suffix, name);
	snprintf(path, sizeof(path), "%s/user/%s", dir, name);
	return path;
}

/* Bytes from at to end are others. */
static void
spoil(const char *file, off_t at, off_t end)
{
	int fd = open(file, O_RDWR);
	char c;

	ck_assert_int_ge(fd, 0);
	for (; at < end; at++) {
		ck_assert_int_eq(pread(fd, &c, 1, at), 1);
		c ^= 0x55;
		ck_assert_int_eq(pwrite(fd, &c, 1, at), 1);
	}
	close(fd);
}

struct known {
	uint32_t	validity, uidnext;
	uint64_t	modseq;
	uint8_t		id[16];
};

/* Copies of INBOX's messages, the first of them seen and with a keyword. */
static uint32_t
build(struct known *k)
{
	struct account *a = open_account(STORE_PACKED);
	struct ranges r = uids(1, MESSAGES);
	struct uid_result res;
	struct mailbox *m;
	uint32_t box;

	OK(account_create(a, SPAN("copies"), 0, &box, &why));
	(void)append(a, ACCOUNT_INBOX, 1, MESSAGES, 0, NULL);
	m = open_box(a, ACCOUNT_INBOX);
	OK(mailbox_copy(m, &r, a, box, &res, &why));
	mailbox_close(&m);
	m = open_box(a, box);
	store_flags(m, 1, 1, FLAGS_ADD, STORE_SEEN, "word");
	k->validity = mailbox_uidvalidity(m);
	k->uidnext = mailbox_uidnext(m);
	k->modseq = mailbox_modseq(m);
	memcpy(k->id, m->p->head.mailboxid, 16);
	mailbox_close(&m);
	OK(account_acl_set(a, box, SPAN("bob"), 0, RIGHT_READ, &why));
	account_close(&a);
	ranges_fini(&r);
	return box;
}

static void
check(struct account *a, uint32_t box, const struct known *k, bool same)
{
	struct mailbox *m = open_box(a, box);
	struct mailbox_content c;
	uint32_t uid;

	ck_assert_uint_eq(mailbox_count(m), MESSAGES);
	ck_assert(message(m, 1).flags & STORE_SEEN);
	ck_assert_str_eq(mailbox_keyword(m, 0), "word");
	ck_assert(mailbox_kwset_has(m, message(m, 1).kwset, 0));
	for (uint32_t seq = 1; seq <= MESSAGES; seq++) {
		ck_assert_uint_eq(mailbox_uid(m, seq), seq);
		OK(mailbox_content(m, seq, &c, &why));
		mailbox_content_done(&c);
	}
	if (same) {
		ck_assert_uint_eq(mailbox_uidvalidity(m), k->validity);
		ck_assert_int_eq(memcmp(m->p->head.mailboxid, k->id, 16), 0);
	}
	mailbox_close(&m);
	uid = append(a, box, 9, 1, 0, NULL);
	ck_assert_uint_ge(uid, k->uidnext);
	m = open_box(a, box);
	ck_assert_uint_gt(message(m, MESSAGES + 1).modseq, k->modseq);
	mailbox_close(&m);
}

static const struct {
	off_t	from, to;
	bool	same;		/* UIDVALIDITY and MAILBOXID are known */
} spoilt[] = {
	{ 3, 4, true },			/* the head: its copy holds */
	{ 12, 16, true },
	{ 50, 52, true },
	{ 0, 512, true },
	{ 1536, 1600, true },		/* the copy */
	{ 512, 1536, true },		/* both states */
	{ 0, 1536, true },
	{ 512, 2048, true },
	{ 0, 2048, false },
};

START_TEST(records_outlive_their_head)
{
	struct known k;
	uint32_t box = build(&k);
	struct account *a;
	char cmd[320];

	spoil(file_of(box, "jrn"), spoilt[_i].from, spoilt[_i].to);
	(void)unlink(file_of(box, "idx"));
	a = open_account(STORE_PACKED);
	check(a, box, &k, spoilt[_i].same);
	account_close(&a);
	/* What was mended is right for good. */
	a = open_account(STORE_PACKED);
	ck_assert_uint_eq(account_rights(a, box) & RIGHT_READ, RIGHT_READ);
	account_close(&a);
	snprintf(cmd, sizeof(cmd), "cmp -s -n 60 '%s' '%s' 0 1536",
	    file_of(box, "jrn"), path);
	ck_assert_int_eq(system(cmd), 0);
}
END_TEST

static bool
count_bob(void *arg, struct span ident, unsigned rights)
{
	*(unsigned *)arg += span_is(ident, "bob") && rights == RIGHT_READ;
	return true;
}

START_TEST(the_list_outlives_its_head)
{
	struct known k;
	uint32_t box = build(&k);
	struct account *a;
	unsigned bobs = 0;

	spoil(file_of(0, NULL), spoilt[_i].from, spoilt[_i].to);
	a = open_account(STORE_PACKED);
	check(a, box, &k, true);
	account_acl_each(a, box, count_bob, &bobs);
	ck_assert_uint_eq(bobs, 1);
	account_close(&a);
}
END_TEST

/*
 * The last record cannot be read, and nothing else says that it was there: it
 * may have been one that was not finished, or one that everybody knows.
 */
START_TEST(the_last_record_is_damaged)
{
	struct account *a;
	struct mailbox *m;
	struct stat st;
	pid_t pid;
	int status;

	a = open_account(STORE_PACKED);
	account_close(&a);
	pid = fork();
	if (pid == 0) {
		/* Dies, and leaves no state. */
		a = open_account(STORE_PACKED);
		(void)append(a, ACCOUNT_INBOX, 1, 1, 0, NULL);
		(void)append(a, ACCOUNT_INBOX, 2, 1, 0, NULL);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(stat(file_of(1, "jrn"), &st), 0);
	if (_i == 0)
		spoil(path, st.st_size - 30, st.st_size - 29);
	else
		ck_assert_int_eq(truncate(path, st.st_size - 8), 0);
	for (int turn = 0; turn < 2; turn++) {
		a = open_account(STORE_PACKED);
		m = open_box(a, ACCOUNT_INBOX);
		ck_assert_uint_eq(mailbox_count(m), 1);
		mailbox_close(&m);
		account_close(&a);
	}
	a = open_account(STORE_PACKED);
	ck_assert_uint_gt(append(a, ACCOUNT_INBOX, 3, 1, 0, NULL), 2);
	m = open_box(a, ACCOUNT_INBOX);
	ck_assert_uint_eq(mailbox_count(m), 2);
	ck_assert_uint_gt(message(m, 2).modseq, message(m, 1).modseq + 1);
	mailbox_close(&m);
	account_close(&a);
}
END_TEST

/* Nothing is left but the index's head, or the states, and the segments. */
START_TEST(no_number_comes_again)
{
	struct account *a = open_account(STORE_PACKED);
	struct account_purged got;
	struct expunge_result ex;
	struct ranges r = uids(2, 3000);
	uint32_t valid, uid;
	uint64_t modseq;
	struct mailbox *m;

	(void)append(a, ACCOUNT_INBOX, 1, 3000, 0, NULL);
	m = open_box(a, ACCOUNT_INBOX);
	OK(mailbox_expunge(m, &r, true, &ex, &why));
	for (int i = 0; i < 100; i++)
		store_flags(m, 1, 1, i % 2 ? FLAGS_ADD : FLAGS_REMOVE,
		    STORE_FLAGGED, NULL);
	mailbox_close(&m);
	/* The bytes of those with high UIDs are given back. */
	a->before_us = clock_wall_us() + 1;
	ck_assert_int_eq(setenv("MANSIO_STORE_EPOCH", "two", 1), 0);
	account_close(&a);
	a = open_account(STORE_PACKED);
	a->before_us = clock_wall_us() + 1;
	(void)append(a, ACCOUNT_INBOX, 1, 1, 0, NULL);
	ranges_fini(&r);
	r = uids(3000, UINT32_MAX);
	m = open_box(a, ACCOUNT_INBOX);
	OK(mailbox_expunge(m, &r, true, &ex, &why));
	mailbox_close(&m);
	OK(account_purge(a, &got, &why));
	ck_assert_uint_eq(got.segments, 1);
	m = open_box(a, ACCOUNT_INBOX);
	valid = mailbox_uidvalidity(m);
	uid = mailbox_uidnext(m);
	modseq = mailbox_modseq(m);
	index_save(m, true);
	mailbox_close(&m);
	account_close(&a);
	if (_i == 0) {
		ck_assert_int_eq(unlink(file_of(1, "jrn")), 0);
	} else {
		(void)unlink(file_of(1, "idx"));
		ck_assert_int_eq(truncate(file_of(1, "jrn"), 2048), 0);
		spoil(path, 0, 512);
		spoil(path, 1536, 2048);
	}
	a = open_account(STORE_PACKED);
	m = open_box(a, ACCOUNT_INBOX);
	ck_assert_uint_eq(mailbox_uidvalidity(m), valid);
	ck_assert_uint_gt(mailbox_modseq(m), modseq);
	mailbox_close(&m);
	ck_assert_uint_ge(append(a, ACCOUNT_INBOX, 1, 1, 0, NULL), uid);
	account_close(&a);
	unsetenv("MANSIO_STORE_EPOCH");
	ranges_fini(&r);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("head");
	TCase *t = tcase_create("head");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, records_outlive_their_head, 0,
	    (int)(sizeof(spoilt) / sizeof(spoilt[0])));
	tcase_add_loop_test(t, the_list_outlives_its_head, 0,
	    (int)(sizeof(spoilt) / sizeof(spoilt[0])));
	tcase_add_loop_test(t, the_last_record_is_damaged, 0, 2);
	tcase_add_loop_test(t, no_number_comes_again, 0, 2);
	suite_add_tcase(s, t);
	return s;
}
