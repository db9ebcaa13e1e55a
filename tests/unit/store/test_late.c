/* SPDX-License-Identifier: ISC */
/*
 * late: an index whose records are looked at late (MAILBOX_LATER) says the same
 * as one that was read at once, also where a block of it is damaged, whatever
 * others do before that is found; sums are those of the messages.
 */
#include <sys/mman.h>

#include "base/log.h"
#include "store/index.h"
#include "tests/unit/store/mailbox_test.h"

#define MESSAGES	1300		/* three blocks */
#define SEEDS		24
#define STEPS		40

static uint32_t state;
static unsigned said;

static uint32_t
any(uint32_t n)
{
	state = state * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)(state >> 4) * n >> 28);
}

static void
count_warnings(enum log_level level, const char *line)
{
	(void)level;
	said += strstr(line, "reading the journal instead") != NULL;
}

/* Change a byte of the index's records, in a file of its own: who has mapped
 * the old one keeps it. */
static void
harm_records(uint32_t block)
{
	char path[128], tmp[136], *p;
	size_t at = INDEX_HEAD + (size_t)block * RECORD_BLOCK *
	    sizeof(struct record);
	struct stat st;
	int from, to;

	snprintf(path, sizeof(path), "%s/user/00000001.idx", dir);
	snprintf(tmp, sizeof(tmp), "%s.new", path);
	ck_assert_int_ge(from = open(path, O_RDONLY), 0);
	ck_assert_int_eq(fstat(from, &st), 0);
	p = mem_alloc((size_t)st.st_size);
	ck_assert_int_eq(read(from, p, (size_t)st.st_size), st.st_size);
	ck_assert_uint_lt(at + RECORD_BLOCK / 2 * sizeof(struct record),
	    (uint64_t)st.st_size);
	p[at + any(100 * sizeof(struct record))] ^= (char)(1 << any(8));
	ck_assert_int_ge(to = open(tmp, O_RDWR | O_CREAT | O_EXCL, 0600), 0);
	ck_assert_int_eq(write(to, p, (size_t)st.st_size), st.st_size);
	ck_assert_int_eq(rename(tmp, path), 0);
	mem_free(p);
	close(from);
	close(to);
}

static void
harm_journal(void)
{
	char path[128], byte;
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "%s/user/00000001.jrn", dir);
	ck_assert_int_ge(fd = open(path, O_RDWR), 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(pread(fd, &byte, 1, st.st_size / 2), 1);
	byte ^= 16;
	ck_assert_int_eq(pwrite(fd, &byte, 1, st.st_size / 2), 1);
	close(fd);
}

static struct mailbox *
open_flags(struct account *a, unsigned flags)
{
	struct mailbox *m = mailbox_open(a, ACCOUNT_INBOX, flags, &why);

	ck_assert_msg(m != NULL, "%s", why.text);
	return m;
}

/* Messages, some of them gone and seen, and an index; then more of it. */
static void
build(struct account *a)
{
	struct expunge_result ex;
	struct mailbox *m;
	struct ranges r = uids(100, 140);

	append(a, ACCOUNT_INBOX, 1, MESSAGES, 0, NULL);
	m = open_flags(a, 0);
	(void)store_flags(m, 1, 90, FLAGS_ADD, STORE_SEEN, NULL);
	(void)store_flags(m, 700, 720, FLAGS_ADD, STORE_DELETED, "word");
	OK(mailbox_expunge(m, &r, true, &ex, &why));
	ranges_fini(&r);
	index_save(m, true);
	mailbox_close(&m);
}

static void
same_message(const struct mailbox *a, const struct mailbox *b, uint32_t seq)
{
	struct mailbox_message x, y;
	bool there = mailbox_message(a, seq, &x);

	ck_assert_int_eq(mailbox_message(b, seq, &y), there);
	if (!there)
		return;
	ck_assert_uint_eq(x.uid, y.uid);
	ck_assert_uint_eq(x.flags, y.flags);
	ck_assert_uint_eq(x.modseq, y.modseq);
	ck_assert_uint_eq(x.kwset, y.kwset);
	ck_assert_uint_eq(x.size, y.size);
	ck_assert_uint_eq(mailbox_seq(b, x.uid), seq);
}

static void
same_view(struct mailbox *a, struct mailbox *b)
{
	ck_assert_uint_eq(mailbox_count(a), mailbox_count(b));
	ck_assert_uint_eq(mailbox_uidnext(a), mailbox_uidnext(b));
	ck_assert_uint_eq(mailbox_modseq(a), mailbox_modseq(b));
}

/* Of two views that look at the same moments. */
static void
refresh_both(struct mailbox *a, struct mailbox *b, unsigned flags)
{
	struct mailbox_changes x, y;

	ck_assert_int_ge(mailbox_refresh(a, flags, &x, &why), 0);
	ck_assert_int_ge(mailbox_refresh(b, flags, &y, &why), 0);
	ck_assert(!y.gone);
	ck_assert_uint_eq(x.count, y.count);
	ck_assert_uint_eq(x.arrived, y.arrived);
	ck_assert_int_eq(x.pending, y.pending);
	ck_assert_uint_eq(x.nexpunged, y.nexpunged);
	for (size_t i = 0; i < x.nexpunged; i++) {
		ck_assert_uint_eq(x.expunged[i].seq, y.expunged[i].seq);
		ck_assert_uint_eq(x.expunged[i].uid, y.expunged[i].uid);
	}
	/* One that was mended may say more than has changed. */
	for (size_t i = 0, k = 0; i < x.nflags; i++) {
		while (k < y.nflags && y.flags[k] < x.flags[i])
			k++;
		ck_assert(k < y.nflags && y.flags[k] == x.flags[i]);
	}
}

/* What STATUS says is what is there. */
static void
check_sums(struct account *a)
{
	struct mailbox *m = open_flags(a, 0);
	struct mailbox_status st;
	struct mailbox_message msg;
	uint32_t unseen = 0, deleted = 0, n = mailbox_count(m), first = 0;
	uint64_t bytes = 0, gone = 0;

	for (uint32_t seq = 1; mailbox_message(m, seq, &msg); seq++) {
		bytes += msg.size;
		unseen += !(msg.flags & STORE_SEEN);
		if (first == 0 && !(msg.flags & STORE_SEEN))
			first = seq;
		if (msg.flags & STORE_DELETED) {
			deleted++;
			gone += msg.size;
		}
	}
	ck_assert_uint_eq(mailbox_first_unseen(m), first);
	mailbox_close(&m);
	m = open_flags(a, MAILBOX_LATER);
	ck_assert_uint_eq(mailbox_first_unseen(m), first);
	mailbox_close(&m);
	OK(account_status(a, ACCOUNT_INBOX, &st, &why));
	ck_assert_uint_eq(st.messages, n);
	ck_assert_uint_eq(st.unseen, unseen);
	ck_assert_uint_eq(st.deleted, deleted);
	ck_assert_uint_eq(st.size, bytes);
	ck_assert_uint_eq(st.deleted_size, gone);
}

/* What somebody else does. */
static void
change(struct account *a, struct mailbox *w)
{
	struct mailbox_changes c;
	struct expunge_result ex;
	uint32_t at = 1 + any(mailbox_uidnext(w) - 1);
	struct ranges r = uids(at, at + any(30));

	ck_assert_int_ge(mailbox_refresh(w, MAILBOX_EXPUNGES, &c, &why), 0);
	switch (any(4)) {
	case 0:
		append(a, ACCOUNT_INBOX, 5000, 1 + (int)any(5), any(2) == 0 ?
		    STORE_SEEN : 0, any(3) == 0 ? "other" : NULL);
		break;
	case 1:
		OK(mailbox_expunge(w, &r, true, &ex, &why));
		break;
	default:
		(void)store_flags(w, at, at + any(30), any(3) == 0 ?
		    FLAGS_REMOVE : FLAGS_ADD, any(2) == 0 ? STORE_SEEN :
		    STORE_DELETED, any(3) == 0 ? "more" : NULL);
		break;
	}
	ranges_fini(&r);
}

START_TEST(damage_that_is_found_late_changes_nothing)
{
	struct account *a = open_account(STORE_PACKED);
	struct account *other = open_account(STORE_PACKED);
	struct mailbox *ref, *m, *w;

	state = (uint32_t)_i * 2654435761u + 7;
	build(a);
	w = open_flags(other, 0);
	/* Some of it before they are opened. */
	for (uint32_t i = any(4); i > 0; i--)
		change(other, w);
	ref = open_flags(a, 0);
	if (_i % 6 != 0)
		harm_records((uint32_t)_i % 2);
	said = 0;
	log_set_hook(count_warnings);
	m = open_flags(a, MAILBOX_LATER);
	same_view(ref, m);
	for (int i = 0; i < STEPS; i++) {
		uint32_t n = mailbox_count(ref);

		switch (any(_i % 3 == 0 ? 5 : 4)) {
		case 0:
			refresh_both(ref, m, any(2) ? MAILBOX_EXPUNGES : 0);
			break;
		case 4:
			same_message(ref, m, 1 + any(n));
			break;
		default:
			change(other, w);
			break;
		}
		same_view(ref, m);
	}
	for (uint32_t seq = 1; seq <= mailbox_count(ref); seq++)
		same_message(ref, m, seq);
	refresh_both(ref, m, MAILBOX_EXPUNGES);
	refresh_both(ref, m, MAILBOX_EXPUNGES);
	for (uint32_t seq = 1; seq <= mailbox_count(ref); seq++)
		same_message(ref, m, seq);
	log_set_hook(NULL);
	/* Who appends with keywords has opened it, too. */
	ck_assert_int_eq(said > 0, _i % 6 != 0);
	mailbox_close(&ref);
	mailbox_close(&m);
	mailbox_close(&w);
	check_sums(a);
	account_close(&a);
	account_close(&other);
}
END_TEST

/* Then nobody knows what the numbers mean. */
START_TEST(index_and_journal_are_damaged)
{
	struct account *a = open_account(STORE_PACKED);
	struct mailbox *m;
	struct mailbox_changes c;
	struct mailbox_message msg;

	state = 1;
	build(a);
	harm_records(1);
	harm_journal();
	log_set_hook(count_warnings);
	m = open_flags(a, MAILBOX_LATER);
	ck_assert_uint_eq(mailbox_count(m), MESSAGES - 41);
	ck_assert(mailbox_message(m, 1, &msg));
	ck_assert(!mailbox_message(m, 600, &msg));
	ck_assert_int_eq(mailbox_refresh(m, 0, &c, &why), 1);
	ck_assert(c.gone);
	mailbox_close(&m);
	m = open_flags(a, MAILBOX_LATER);
	ck_assert_uint_gt(mailbox_count(m), 0);
	ck_assert(mailbox_message(m, 1, &msg));
	mailbox_close(&m);
	log_set_hook(NULL);
	account_close(&a);
}
END_TEST

/* The journal goes in that moment: the view ends, the mail does not. */
START_TEST(nothing_to_mend_it_from)
{
	struct account *a = open_account(STORE_PACKED);
	struct mailbox *m;
	struct mailbox_changes c;
	struct mailbox_message msg;
	char path[128];

	state = 2;
	build(a);
	harm_records(0);
	log_set_hook(count_warnings);
	m = open_flags(a, MAILBOX_LATER);
	snprintf(path, sizeof(path), "%s/user/00000001.jrn", dir);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_uint_eq(mailbox_count(m), MESSAGES - 41);
	ck_assert(!mailbox_message(m, 1, &msg));
	ck_assert(!mailbox_message(m, 1, &msg));
	ck_assert_uint_eq(mailbox_seq(m, 5), 0);
	ck_assert_uint_eq(mailbox_count(m), 0);
	ck_assert_int_eq(mailbox_refresh(m, 0, &c, &why), 1);
	ck_assert(c.gone);
	mailbox_close(&m);
	account_close(&a);
	a = open_account(STORE_PACKED);
	append(a, ACCOUNT_INBOX, 5000, 1, 0, NULL);
	m = open_flags(a, MAILBOX_LATER);
	ck_assert_uint_ge(mailbox_count(m), MESSAGES + 1);
	mailbox_close(&m);
	log_set_hook(NULL);
	account_close(&a);
}
END_TEST

/* Nothing of a damaged block gets into another index, or is acted upon. */
START_TEST(a_change_finds_it)
{
	struct account *a = open_account(STORE_PACKED);
	struct mailbox_verified v;
	struct mailbox *m;

	state = (uint32_t)_i;
	build(a);
	harm_records(1);
	said = 0;
	log_set_hook(count_warnings);
	m = open_flags(a, MAILBOX_LATER | MAILBOX_RECENT);
	ck_assert_uint_eq(mailbox_recent(m), MESSAGES - 41);
	ck_assert_uint_eq(said, 0);
	if (_i == 0)
		(void)store_flags(m, 1, 3, FLAGS_ADD, STORE_FLAGGED, NULL);
	else
		index_save(m, true);
	ck_assert_uint_eq(said, 1);
	ck_assert_uint_eq(mailbox_count(m), MESSAGES - 41);
	index_save(m, true);
	mailbox_close(&m);
	log_set_hook(NULL);
	OK(mailbox_verify(a, ACCOUNT_INBOX, &v, &why));
	ck_assert_uint_eq(v.messages, MESSAGES - 41);
	ck_assert_uint_eq(v.differences + v.damaged, 0);
	check_sums(a);
	account_close(&a);
}
END_TEST

/* Opening and STATUS touch no record. */
START_TEST(what_is_not_asked_for_is_not_read)
{
	struct account *a = open_account(STORE_PACKED);
	struct mailbox_status st;
	struct mailbox *m;

	state = 3;
	build(a);
	/* Another file: this process does not know that it is right. */
	harm_records(1);
	append(a, ACCOUNT_INBOX, 5000, 3, 0, "word");
	said = 0;
	log_set_hook(count_warnings);
	OK(account_status(a, ACCOUNT_INBOX, &st, &why));
	ck_assert_uint_eq(st.messages, MESSAGES - 41 + 3);
	ck_assert_uint_eq(st.recent, MESSAGES - 41 + 3);
	ck_assert_uint_eq(st.unseen, MESSAGES - 41 + 3 - 90);
	m = open_flags(a, MAILBOX_LATER | MAILBOX_RECENT);
	ck_assert_uint_eq(m->nunready, 3);
	ck_assert_uint_eq(mailbox_recent(m), MESSAGES - 41 + 3);
	ck_assert_uint_eq(m->nunready, 3);
	ck_assert_uint_eq(mailbox_first_unseen(m), 91);
	ck_assert_uint_eq(m->nunready, 2);
	ck_assert_uint_eq(said, 0);
	mailbox_close(&m);
	OK(account_status(a, ACCOUNT_INBOX, &st, &why));
	ck_assert_uint_eq(st.recent, 0);
	ck_assert_uint_eq(said, 0);
	log_set_hook(NULL);
	account_close(&a);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("late");
	TCase *t = tcase_create("late");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, damage_that_is_found_late_changes_nothing, 0,
	    SEEDS);
	tcase_add_test(t, index_and_journal_are_damaged);
	tcase_add_test(t, nothing_to_mend_it_from);
	tcase_add_loop_test(t, a_change_finds_it, 0, 2);
	tcase_add_test(t, what_is_not_asked_for_is_not_read);
	tcase_set_timeout(t, 600);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
