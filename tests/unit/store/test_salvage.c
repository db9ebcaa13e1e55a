/* SPDX-License-Identifier: ISC */
/*
 * salvage: a journal that is damaged in the middle is made anew with what the
 * index knows of it, or with what the damage itself still says.
 */
#include "store/index.h"
#include "tests/unit/store/mailbox_test.h"

#define MESSAGES 40

static char path[128];

static const char *
file_of(uint32_t box, const char *suffix)
{
	char name[PACKED_NAME_MAX];

	packed_name(box, suffix, name);
	snprintf(path, sizeof(path), "%s/user/%s", dir, name);
	return path;
}

struct at {
	unsigned	type;
	uint64_t	offset, end;
};

/* The last record that says such a thing. */
static bool
find(void *arg, const struct packed_record *r)
{
	struct at *at = arg;

	if (r->type == at->type) {
		at->offset = r->offset;
		at->end = r->end;
	}
	return true;
}

/* A byte in the middle of it is another one, or all of them from there on. */
static void
spoil(uint32_t box, unsigned type, bool all)
{
	int fd = open(file_of(box, "jrn"), O_RDWR);
	struct at at = { .type = type };
	struct stat st;
	char c;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_gt(packed_scan_file(fd, PACKED_START,
	    (uint64_t)st.st_size, NULL, find, &at), 0);
	ck_assert_uint_gt(at.offset, 0);
	for (uint64_t i = at.offset + (at.end - at.offset) / 2; i < at.end;
	    i++) {
		ck_assert_int_eq(pread(fd, &c, 1, (off_t)i), 1);
		c ^= 0x10;
		ck_assert_int_eq(pwrite(fd, &c, 1, (off_t)i), 1);
		if (!all)
			break;
	}
	close(fd);
}

/* Copies of messages 1 to MESSAGES, which are nowhere else. */
static struct account *
build(uint32_t *box)
{
	struct account *a = open_account(STORE_PACKED);
	struct ranges r = uids(1, MESSAGES);
	struct uid_result res;
	struct mailbox *m;

	OK(account_create(a, SPAN("copies"), 0, box, &why));
	(void)append(a, *box, 100, 1, 0, "first");
	(void)append(a, ACCOUNT_INBOX, 1, MESSAGES, STORE_ANSWERED, "word");
	m = open_box(a, ACCOUNT_INBOX);
	OK(mailbox_move(m, &r, a, *box, &res, &why));
	mailbox_close(&m);
	ranges_fini(&r);
	return a;
}

static void
with_index(struct account *a, uint32_t box, bool with)
{
	struct mailbox *m = open_box(a, box);

	if (with)
		index_save(m, true);
	mailbox_close(&m);
	if (!with)
		(void)unlink(file_of(box, "idx"));
}

/* All bytes are there, and flags and keywords that they came with. */
static void
check_message(struct mailbox *m, uint32_t seq, int number)
{
	struct mailbox_message msg = message(m, seq);

	check_content(m, msg.uid, number);
	ck_assert(msg.flags & STORE_ANSWERED);
}

static const unsigned spoilt[] = { PACKED_ARRIVAL, PACKED_KEYWORD,
    PACKED_FLAGS_SET, PACKED_EXPUNGE_SET, PACKED_EXPUNGE_SET };

START_TEST(the_index_knows_it)
{
	uint32_t box, valid;
	struct account *a = build(&box);
	struct expunge_result ex;
	struct ranges r = uids(5, 6);
	struct mailbox *m, *seen;
	struct mailbox_changes c;
	struct account_usage is;
	uint64_t modseq;

	m = open_box(a, box);
	valid = mailbox_uidvalidity(m);
	store_flags(m, 3, 4, FLAGS_ADD, STORE_FLAGGED, "later");
	OK(mailbox_expunge(m, &r, true, &ex, &why));
	mailbox_close(&m);
	with_index(a, box, true);
	/* A client that has seen all of it, and what came then. */
	seen = open_box(a, box);
	spoil(box, spoilt[_i], true);
	if (_i == 4) {
		spoil(box, PACKED_FLAGS_SET, true);
		spoil(box, PACKED_KWSET, true);
	}
	/* Who goes on by the damaged journal alone gives the same number to
	 * another word. */
	mailbox_close(&a->target);
	(void)append(a, box, 200, 1, 0, "more");
	OK(mailbox_rebuild(a, box, &why));
	ck_assert_int_ge(mailbox_refresh(seen, MAILBOX_EXPUNGES, &c, &why), 0);
	ck_assert(!c.gone);
	ck_assert_uint_eq(c.nexpunged, 0);
	m = open_box(a, box);
	ck_assert_uint_eq(mailbox_uidvalidity(m), valid);
	ck_assert_uint_eq(mailbox_count(m), MESSAGES);
	ck_assert_uint_eq(mailbox_count(seen), MESSAGES);
	for (uint32_t seq = 2; seq < MESSAGES; seq++) {
		uint32_t uid = mailbox_uid(m, seq);

		ck_assert_uint_eq(uid, seq < 5 ? seq : seq + 2);
		check_message(m, seq, (int)uid - 1);
		ck_assert_int_eq(!!(message(m, seq).flags & STORE_FLAGGED),
		    uid == 3 || uid == 4);
		ck_assert_int_eq(mailbox_kwset_has(m, message(m, seq).kwset,
		    (uint32_t)mailbox_keyword_find(m, SPAN("word"))), 1);
		ck_assert_int_eq(mailbox_kwset_has(m, message(m, seq).kwset,
		    (uint32_t)mailbox_keyword_find(m, SPAN("later"))),
		    uid == 3 || uid == 4);
	}
	modseq = mailbox_modseq(m);
	ck_assert_int_ge(mailbox_keyword_find(m, SPAN("more")), 0);
	ck_assert(!mailbox_damaged(m));
	mailbox_close(&m);
	OK(account_usage(a, &is, &why));
	ck_assert_uint_eq(is.messages, MESSAGES);
	ck_assert_uint_ge(append(a, box, 300, 1, 0, NULL), MESSAGES + 3);
	ck_assert_int_eq(mailbox_refresh(seen, MAILBOX_EXPUNGES, &c, &why), 1);
	ck_assert_uint_eq(c.arrived, 1);
	ck_assert_uint_gt(mailbox_modseq(seen), modseq);
	mailbox_close(&seen);
	account_close(&a);
	/* From the journal alone. */
	(void)unlink(file_of(box, "idx"));
	a = open_account(STORE_PACKED);
	m = open_box(a, box);
	ck_assert_uint_eq(mailbox_count(m), MESSAGES + 1);
	ck_assert_uint_eq(mailbox_first_unseen(m), 1);
	mailbox_close(&m);
	account_close(&a);
	ranges_fini(&r);
}
END_TEST

START_TEST(the_damage_still_says_it)
{
	uint32_t box, uid;
	struct account *a = build(&box);
	struct expunge_result ex;
	struct account_purged got;
	struct ranges r = uids(2, 3), none = RANGES_INIT;
	struct mailbox *m;
	unsigned found[MESSAGES + 1] = { 0 };
	uint64_t modseq;

	if (_i > 0) {
		/* What was expunged since does not come back. */
		m = open_box(a, box);
		OK(mailbox_expunge(m, &r, true, &ex, &why));
		mailbox_close(&m);
	}
	with_index(a, box, false);
	spoil(box, PACKED_ARRIVAL, _i == 2);
	account_close(&a);
	a = open_account(STORE_PACKED);
	a->before_us = clock_wall_us() + 1;
	m = open_box(a, box);
	ck_assert_uint_eq(mailbox_count(m), 1);
	modseq = mailbox_modseq(m);
	mailbox_close(&m);
	OK(account_purge(a, &got, &why));
	OK(mailbox_rebuild(a, box, &why));
	m = open_box(a, box);
	ck_assert_uint_ge(mailbox_count(m), _i == 0 ? MESSAGES : _i == 1 ?
	    MESSAGES - 2 : MESSAGES / 2 - 4);
	ck_assert_uint_le(mailbox_count(m), MESSAGES + 1);
	for (uint32_t seq = 2; seq <= mailbox_count(m); seq++) {
		struct mailbox_content c;
		int n;

		uid = mailbox_uid(m, seq);
		ck_assert_uint_gt(uid, MESSAGES + 1);
		ck_assert_uint_gt(message(m, seq).modseq, modseq);
		OK(mailbox_content(m, uid, &c, &why));
		ck_assert_int_eq(sscanf(c.bytes.p, "From: a%d@", &n), 1);
		mailbox_content_done(&c);
		ck_assert(n > 0 && n <= MESSAGES);
		ck_assert_uint_eq(found[n]++, 0);
		if (_i > 0)
			ck_assert_int_gt(n, 2);
		check_message(m, seq, n);
	}
	uid = mailbox_uidnext(m);
	OK(mailbox_vanished(m, modseq, &none, &why));
	ck_assert(ranges_has(&none, 2));
	mailbox_close(&m);
	ck_assert_uint_eq(append(a, box, 300, 1, 0, NULL), uid);
	account_close(&a);
	ranges_fini(&r);
	ranges_fini(&none);
}
END_TEST

/* As where the disk has an error: the process reads on. */
START_TEST(bytes_that_go_while_they_are_mapped)
{
	struct account *a = open_account(STORE_PACKED);
	struct mailbox_content c;
	struct mailbox *m;

	(void)append(a, ACCOUNT_INBOX, 1, 3, 0, NULL);
	m = open_box(a, ACCOUNT_INBOX);
	check_content(m, 1, 1);
	ck_assert_int_eq(truncate(file_of(1, "seg"), 0), 0);
	ck_assert_int_eq(mailbox_content(m, 2, &c, &why), -1);
	ck_assert_int_eq(account_error(a), ACCOUNT_CORRUPT);
	mailbox_content_done(&c);
	ck_assert_uint_eq(mailbox_count(m), 3);
	mailbox_close(&m);
	/* Another segment is whole. */
	ck_assert_int_eq(unlink(path), 0);
	account_close(&a);
	a = open_account(STORE_PACKED);
	ck_assert_uint_eq(append(a, ACCOUNT_INBOX, 4, 1, 0, NULL), 4);
	m = open_box(a, ACCOUNT_INBOX);
	check_content(m, 4, 4);
	mailbox_close(&m);
	account_close(&a);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("salvage");
	TCase *t = tcase_create("salvage");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, the_index_knows_it, 0, 5);
	tcase_add_loop_test(t, the_damage_still_says_it, 0, 3);
	tcase_add_test(t, bytes_that_go_while_they_are_mapped);
	suite_add_tcase(s, t);
	return s;
}
