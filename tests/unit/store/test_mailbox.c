/* SPDX-License-Identifier: ISC */
/*
 * mailbox: what one view does is what all others see, now and after it was
 * opened again, from the index and from the journal alone.
 */
#include "mail/message_cache.h"
#include "mail/signature.h"
#include <sys/inotify.h>
#include <sys/syscall.h>

#include "tests/unit/store/mailbox_test.h"

START_TEST(append_and_read)
{
	struct account *a = open_account(format_of(_i));
	struct mailbox *m;
	uint32_t uid;

	uid = append(a, ACCOUNT_INBOX, 1, 3, STORE_SEEN, "$Work");
	m = open_box(a, ACCOUNT_INBOX);
	ck_assert_uint_eq(mailbox_count(m), 3);
	ck_assert_uint_eq(mailbox_recent(m), 3);
	ck_assert_uint_eq(mailbox_uidnext(m), uid + 3);
	for (uint32_t i = 0; i < 3; i++) {
		struct mailbox_message msg = message(m, i + 1);

		ck_assert_uint_eq(msg.uid, uid + i);
		ck_assert_uint_eq(msg.flags, STORE_SEEN | MESSAGE_RECENT);
		ck_assert_int_eq(msg.date_us, 1000000);
		ck_assert(mailbox_kwset_has(m, msg.kwset, 0));
		ck_assert_str_eq(mailbox_keyword(m, 0), "$Work");
		check_content(m, uid + i, (int)i + 1);
	}
	mailbox_close(&m);
	/* Once more: nobody is recent now. */
	m = open_box(a, ACCOUNT_INBOX);
	ck_assert_uint_eq(mailbox_recent(m), 0);
	mailbox_close(&m);
	account_close(&a);
}
END_TEST

START_TEST(large_message)
{
	struct account *a = open_account(format_of(_i));
	struct append *ap = append_begin(a, ACCOUNT_INBOX, NULL, 0, &why);
	struct append_info info = { .flags = 0 };
	struct buf text = BUF_INIT(BUF_UNLIMITED);
	struct mailbox_content c;
	struct uid_result r;
	struct mailbox *m;

	buf_add_str(&text, "Subject: large\n\n");
	while (text.len < 3000000)
		buf_addf(&text, "line %zu\n", text.len);
	OK(append_next(ap, &info, &why));
	for (size_t at = 0; at < text.len; at += 65536)
		OK(append_data(ap, span_sub(buf_span(&text), at, 65536),
		    &why));
	OK(append_commit(ap, &r, &why));
	append_free(&ap);
	m = open_box(a, ACCOUNT_INBOX);
	OK(mailbox_content(m, mailbox_uid(m, 1), &c, &why));
	ck_assert(span_eq(c.bytes, buf_span(&text)));
	mailbox_content_done(&c);
	/* CRLF form: one byte more a line. */
	ck_assert_uint_gt(message(m, 1).size, text.len);
	mailbox_close(&m);
	account_close(&a);
	buf_fini(&text);
}
END_TEST

START_TEST(what_is_kept_of_a_message)
{
	struct account *a = open_account(format_of(_i));
	uint32_t uid = append(a, ACCOUNT_INBOX, 1, 300, 0, NULL);
	uint8_t id[16], other[16];
	struct signature_query q;
	struct mailbox_content rec;
	struct message_cache c;
	struct mailbox *m;

	signature_query(&q, SPAN("NUMBER 77"));
	for (int turn = 0; turn < 3; turn++) {
		uint32_t found = 0;

		m = open_box(a, ACCOUNT_INBOX);
		OK(mailbox_cache(m, uid + 5, MESSAGE_CACHE_ALL, &rec, &c,
		    &why));
		ck_assert_uint_eq(c.crlf_size, message(m, 6).size);
		mailbox_content_done(&rec);
		ck_assert_int_eq(mailbox_threadid(m, uid + 6, id, &why), 1);
		ck_assert_int_eq(mailbox_threadid(m, uid + 7, other, &why),
		    1);
		ck_assert_mem_ne(id, other, 16);
		for (uint32_t i = 0; i < 300; i++)
			found += mailbox_maybe(m, uid + i, &q);
		ck_assert(mailbox_maybe(m, uid + 76, &q));
		ck_assert_uint_lt(found, 100);
		mailbox_close(&m);
	}
	account_close(&a);
}
END_TEST

START_TEST(two_views)
{
	struct account *a = open_account(format_of(_i));
	struct account *b = open_account(format_of(_i));
	struct mailbox *m, *n;
	struct mailbox_changes c;
	struct expunge_result ex;
	struct ranges r;
	uint32_t uid;
	uint64_t modseq;

	uid = append(a, ACCOUNT_INBOX, 1, 10, 0, NULL);
	m = open_box(a, ACCOUNT_INBOX);
	n = open_box(b, ACCOUNT_INBOX);
	ck_assert_int_eq(mailbox_refresh(n, MAILBOX_EXPUNGES, &c, &why), 0);
	modseq = store_flags(m, uid + 2, uid + 4, FLAGS_ADD, STORE_FLAGGED,
	    "kw");
	ck_assert_uint_gt(modseq, 0);
	ck_assert_int_eq(mailbox_refresh(m, 0, &c, &why), 0);
	ck_assert_int_eq(mailbox_refresh(n, 0, &c, &why), 1);
	ck_assert_uint_eq(c.nflags, 3);
	ck_assert_uint_eq(c.flags[0], 3);
	ck_assert(c.keywords);
	ck_assert_uint_eq(message(n, 3).flags & STORE_FLAGGED, STORE_FLAGGED);
	ck_assert_uint_eq(message(n, 3).modseq, modseq);
	ck_assert_uint_eq(mailbox_modseq(n), modseq);
	ck_assert(mailbox_kwset_has(n, message(n, 4).kwset, 0));
	/* Expunges wait until they are allowed. */
	store_flags(m, uid + 1, uid + 2, FLAGS_ADD, STORE_DELETED, NULL);
	store_flags(m, uid + 9, uid + 9, FLAGS_REPLACE, STORE_DELETED, NULL);
	OK(mailbox_expunge(m, NULL, false, &ex, &why));
	ck_assert_uint_eq(ex.n, 3);
	ck_assert_uint_eq(ex.v[0].seq, 2);
	ck_assert_uint_eq(ex.v[1].seq, 2);
	ck_assert_uint_eq(ex.v[2].seq, 8);
	ck_assert_uint_eq(mailbox_count(m), 7);
	ck_assert_uint_eq(mailbox_seq(m, uid + 3), 2);
	ck_assert_uint_eq(mailbox_seq(m, uid + 1), 0);
	(void)append(a, ACCOUNT_INBOX, 11, 1, 0, NULL);
	ck_assert_int_eq(mailbox_refresh(n, 0, &c, &why), 1);
	ck_assert_uint_eq(c.nexpunged, 0);
	ck_assert(c.pending);
	ck_assert_uint_eq(c.arrived, 1);
	ck_assert_uint_eq(c.count, 11);
	if (format_of(_i) == STORE_PACKED)
		check_content(n, uid + 1, 2);
	ck_assert(message(n, 2).flags & MESSAGE_EXPUNGED);
	ck_assert_int_eq(mailbox_refresh(n, MAILBOX_EXPUNGES, &c, &why), 1);
	ck_assert_uint_eq(c.nexpunged, 3);
	ck_assert_uint_eq(c.expunged[1].seq, 2);
	ck_assert_uint_eq(c.expunged[1].uid, uid + 2);
	ck_assert_uint_eq(c.count, 8);
	for (uint32_t seq = 1; seq <= 8; seq++)
		ck_assert_uint_eq(mailbox_seq(n, mailbox_uid(n, seq)), seq);
	check_content(n, uid + 10, 11);
	r = RANGES_INIT;
	OK(mailbox_vanished(n, modseq, &r, &why));
	ck_assert_uint_eq(ranges_count(&r), 3);
	ck_assert(ranges_has(&r, uid + 9));
	ranges_fini(&r);
	mailbox_close(&m);
	mailbox_close(&n);
	account_close(&a);
	account_close(&b);
}
END_TEST

/* What others did counts, also before it was told. */
START_TEST(stale_views_change)
{
	struct account *a = open_account(format_of(_i));
	struct account *b = open_account(format_of(_i));
	uint32_t uid = append(a, ACCOUNT_INBOX, 1, 4, 0, NULL);
	struct mailbox *m = open_box(a, ACCOUNT_INBOX);
	struct mailbox *n = open_box(b, ACCOUNT_INBOX);
	struct mailbox_changes c;
	struct expunge_result ex;

	store_flags(m, uid, uid, FLAGS_ADD, STORE_FLAGGED, NULL);
	store_flags(n, uid, uid, FLAGS_ADD, STORE_SEEN, NULL);
	ck_assert_int_eq(mailbox_refresh(m, 0, &c, &why), 1);
	ck_assert_uint_eq(message(m, 1).flags & 31,
	    STORE_SEEN | STORE_FLAGGED);
	store_flags(m, uid + 1, uid + 1, FLAGS_ADD, STORE_DELETED, NULL);
	OK(mailbox_expunge(n, NULL, false, &ex, &why));
	ck_assert_uint_eq(ex.n, 1);
	store_flags(n, uid + 2, uid + 2, FLAGS_ADD, STORE_SEEN, NULL);
	struct ranges r = uids(uid + 2, uid + 2);
	OK(mailbox_expunge(m, &r, true, &ex, &why));
	ck_assert_uint_eq(ex.n, 2);
	ranges_fini(&r);
	mailbox_close(&m);
	mailbox_close(&n);
	m = open_box(a, ACCOUNT_INBOX);
	ck_assert_uint_eq(mailbox_count(m), 2);
	ck_assert_uint_eq(message(m, 1).flags & 31,
	    STORE_SEEN | STORE_FLAGGED);
	ck_assert_uint_eq(mailbox_uidnext(m), uid + 4);
	mailbox_close(&m);
	account_close(&a);
	account_close(&b);
}
END_TEST

START_TEST(unchanged_since)
{
	struct account *a = open_account(format_of(_i));
	uint32_t uid = append(a, ACCOUNT_INBOX, 1, 4, 0, NULL);
	struct mailbox *m = open_box(a, ACCOUNT_INBOX);
	uint64_t was = mailbox_modseq(m);
	struct ranges r = uids(uid, uid + 3);
	struct flags_request rq = { .uids = &r, .op = FLAGS_ADD,
	    .flags = STORE_SEEN, .unchanged_since = was };
	struct flags_result out;

	store_flags(m, uid + 1, uid + 1, FLAGS_ADD, STORE_FLAGGED, NULL);
	OK(mailbox_store_flags(m, &rq, &out, &why));
	ck_assert_uint_eq(ranges_count(out.changed), 3);
	ck_assert_uint_eq(ranges_count(out.modified), 1);
	ck_assert(ranges_has(out.modified, uid + 1));
	rq.unchanged_since = 0;
	OK(mailbox_store_flags(m, &rq, &out, &why));
	ck_assert_uint_eq(ranges_count(out.modified), 4);
	ck_assert_uint_eq(out.modseq, 0);
	ranges_fini(&r);
	mailbox_close(&m);
	account_close(&a);
}
END_TEST

START_TEST(copy_and_move)
{
	struct account *a = open_account(format_of(_i));
	uint32_t uid = append(a, ACCOUNT_INBOX, 1, 5, STORE_SEEN, "x"), box;
	struct mailbox *m, *n;
	struct uid_result res;
	struct ranges r;

	(void)append(a, ACCOUNT_INBOX, 6, 1, 0, "y");
	OK(account_create(a, SPAN("Archive/2026"), 0, &box, &why));
	m = open_box(a, ACCOUNT_INBOX);
	r = uids(uid + 1, uid + 2);
	OK(mailbox_copy(m, &r, a, box, &res, &why));
	ck_assert_uint_eq(ranges_count(res.from), 2);
	ck_assert_uint_eq(ranges_count(res.to), 2);
	ranges_fini(&r);
	r = uids(uid + 4, uid + 5);
	OK(mailbox_move(m, &r, a, box, &res, &why));
	ck_assert_uint_eq(res.expunged.n, 2);
	ck_assert_uint_eq(mailbox_count(m), 4);
	ranges_fini(&r);
	OK(account_sync(a, &why));
	n = open_box(a, box);
	ck_assert_uint_eq(mailbox_count(n), 4);
	check_content(n, mailbox_uid(n, 1), 2);
	check_content(n, mailbox_uid(n, 3), 5);
	check_content(n, mailbox_uid(n, 4), 6);
	ck_assert_uint_eq(message(n, 1).flags & STORE_SEEN, STORE_SEEN);
	ck_assert(mailbox_kwset_has(n, message(n, 3).kwset,
	    (uint32_t)mailbox_keyword_find(n, SPAN("x"))));
	ck_assert(mailbox_kwset_has(n, message(n, 4).kwset,
	    (uint32_t)mailbox_keyword_find(n, SPAN("Y"))));
	/* The same message has the same EMAILID. */
	ck_assert_mem_eq(message(m, 2).emailid, message(n, 1).emailid, 16);
	/* A delivery to the new mailbox's own segment, then one more copy. */
	(void)append(a, box, 7, 1, 0, NULL);
	r = uids(uid, uid);
	OK(mailbox_copy(m, &r, a, box, &res, &why));
	OK(mailbox_copy(m, &r, a, ACCOUNT_INBOX, &res, &why));
	ranges_fini(&r);
	mailbox_close(&n);
	n = open_box(a, box);
	check_content(n, mailbox_uid(n, 5), 7);
	check_content(n, mailbox_uid(n, 6), 1);
	mailbox_close(&n);
	mailbox_close(&m);
	account_close(&a);
}
END_TEST

START_TEST(deleted_while_open)
{
	struct account *a = open_account(format_of(_i));
	struct account *b = open_account(format_of(_i));
	struct mailbox_changes c;
	struct mailbox *m;
	uint32_t box;

	OK(account_create(a, SPAN("x"), 0, &box, &why));
	(void)append(a, box, 1, 2, 0, NULL);
	m = open_box(a, box);
	OK(account_delete(b, SPAN("x"), &why));
	ck_assert_int_eq(mailbox_refresh(m, 0, &c, &why), 1);
	ck_assert(c.gone);
	mailbox_close(&m);
	account_close(&b);
	account_close(&a);
}
END_TEST

static void
told(void *arg, struct account *a, uint32_t box)
{
	uint32_t *got = arg;

	(void)a;
	*got = box + 1;
}

START_TEST(watching)
{
	struct account *a = open_account(format_of(_i));
	struct account *b = open_account(format_of(_i));
	struct store_watch *w = store_watch_new();
	struct pollfd p = { .fd = store_watch_fd(w), .events = POLLIN };
	uint32_t got = 0, box;

	OK(store_watch_add(w, a, ACCOUNT_INBOX, &why));
	OK(store_watch_add(w, a, 0, &why));
	ck_assert_int_eq(poll(&p, 1, 0), 0);
	(void)append(b, ACCOUNT_INBOX, 1, 1, 0, NULL);
	ck_assert_int_eq(poll(&p, 1, 1000), 1);
	store_watch_read(w, told, &got);
	ck_assert_uint_eq(got, ACCOUNT_INBOX + 1);
	ck_assert_int_eq(poll(&p, 1, 0), 0);
	OK(account_create(b, SPAN("new"), 0, &box, &why));
	ck_assert_int_eq(poll(&p, 1, 1000), 1);
	store_watch_read(w, told, &got);
	ck_assert_uint_eq(got, 1);
	store_watch_free(&w);
	account_close(&a);
	account_close(&b);
}
END_TEST

/* Instead of libc's: what happens between opening a file and watching it. */
static void (*before_watch)(void);

int
inotify_add_watch(int fd, const char *name, uint32_t mask)
{
	void (*fn)(void) = before_watch;

	before_watch = NULL;
	if (fn != NULL)
		fn();
	return (int)syscall(SYS_inotify_add_watch, fd, name, mask);
}

static void
replace_inbox(void)
{
	struct account *b = open_account(STORE_PACKED);

	ck_assert_int_eq(mailbox_compact(b, ACCOUNT_INBOX, COMPACT_NOW, &why),
	    1);
	account_close(&b);
}

START_TEST(watching_what_is_replaced_meanwhile)
{
	struct account *a = open_account(STORE_PACKED);
	struct account *b = open_account(STORE_PACKED);
	struct store_watch *w = store_watch_new();
	struct pollfd p = { .fd = store_watch_fd(w), .events = POLLIN };
	uint32_t got = 0;

	(void)append(b, ACCOUNT_INBOX, 1, 1, 0, NULL);
	before_watch = replace_inbox;
	OK(store_watch_add(w, a, ACCOUNT_INBOX, &why));
	ck_assert(before_watch == NULL);
	/* What the replacing itself said is over. */
	store_watch_read(w, told, &got);
	got = 0;
	(void)append(b, ACCOUNT_INBOX, 2, 1, 0, NULL);
	ck_assert_int_eq(poll(&p, 1, 10000), 1);
	store_watch_read(w, told, &got);
	ck_assert_uint_eq(got, ACCOUNT_INBOX + 1);
	/* And again, when it has to be looked up once more. */
	before_watch = replace_inbox;
	replace_inbox();
	ck_assert_int_eq(poll(&p, 1, 10000), 1);
	store_watch_read(w, told, &got);
	ck_assert(before_watch == NULL);
	store_watch_read(w, told, &got);
	got = 0;
	(void)append(b, ACCOUNT_INBOX, 3, 1, 0, NULL);
	ck_assert_int_eq(poll(&p, 1, 10000), 1);
	store_watch_read(w, told, &got);
	ck_assert_uint_eq(got, ACCOUNT_INBOX + 1);
	store_watch_free(&w);
	account_close(&a);
	account_close(&b);
}
END_TEST

/* Whether a view that rests is still what it was after what fn() does. */
static bool
holds_after(struct account *a, void (*fn)(struct account *b))
{
	struct mailbox *m = mailbox_open(a, ACCOUNT_INBOX, 0, &why);
	struct account *b = open_account(STORE_PACKED);
	bool holds;

	ck_assert_ptr_nonnull(m);
	ck_assert(mailbox_rest(m));
	ck_assert(mailbox_wake(m));
	fn(b);
	OK(account_refresh(a, &why) < 0);
	holds = mailbox_wake(m);
	mailbox_close(&m);
	account_close(&b);
	return holds;
}

static void
nothing(struct account *b)
{
	struct mailbox *m = mailbox_open(b, ACCOUNT_INBOX, 0, &why);

	ck_assert_ptr_nonnull(m);
	mailbox_close(&m);
}

static void
one_arrives(struct account *b)
{
	(void)append(b, ACCOUNT_INBOX, 9, 1, 0, NULL);
}

static void
flags_change(struct account *b)
{
	struct mailbox *m = open_box(b, ACCOUNT_INBOX);
	struct ranges uids = RANGES_INIT;
	struct flags_request r = { .uids = &uids, .op = FLAGS_ADD,
	    .flags = STORE_FLAGGED, .unchanged_since = UINT64_MAX };
	struct flags_result out;

	ranges_add(&uids, 1, 1);
	OK(mailbox_store_flags(m, &r, &out, &why));
	ranges_fini(&uids);
	mailbox_close(&m);
}

static void
one_goes(struct account *b)
{
	struct mailbox *m = open_box(b, ACCOUNT_INBOX);
	struct ranges uids = RANGES_INIT;
	struct expunge_result out;

	ranges_add(&uids, 1, 1);
	OK(mailbox_expunge(m, &uids, true, &out, &why));
	ranges_fini(&uids);
	mailbox_close(&m);
}

/* The same bytes, put back by a hand. */
static void
the_file_is_replaced(struct account *b)
{
	char cmd[256];

	snprintf(cmd, sizeof(cmd), "cd '%s/user' && cp -p 00000001.jrn x && "
	    "mv x 00000001.jrn", dir);
	ck_assert_int_eq(system(cmd), 0);
}

static void
ids_come(struct account *b)
{
	char cmd[256];

	snprintf(cmd, sizeof(cmd), "echo x > '%s/user/00000001.uidl'", dir);
	ck_assert_int_eq(system(cmd), 0);
}

START_TEST(resting)
{
	struct account *a = open_account(STORE_PACKED);
	struct mailbox *m, *n;

	(void)append(a, ACCOUNT_INBOX, 1, 3, 0, NULL);
	ck_assert(holds_after(a, nothing));
	ck_assert(!holds_after(a, one_arrives));
	ck_assert(!holds_after(a, flags_change));
	ck_assert(!holds_after(a, one_goes));
	ck_assert(!holds_after(a, the_file_is_replaced));
	/* Ids that nobody has asked for do not matter, others do. */
	ck_assert(holds_after(a, ids_come));
	m = mailbox_open(a, ACCOUNT_INBOX, 0, &why);
	ck_assert_uint_eq(mailbox_uidl(m, 1).len, 0);
	ck_assert(mailbox_rest(m) && mailbox_wake(m));
	ids_come(a);
	ck_assert(!mailbox_wake(m));
	/* One that has not seen what has happened is not laid aside. */
	n = mailbox_open(a, ACCOUNT_INBOX, 0, &why);
	one_arrives(a);
	ck_assert(!mailbox_rest(n));
	mailbox_close(&n);
	mailbox_close(&m);
	account_close(&a);
}
END_TEST

START_TEST(a_maildir_does_not_rest)
{
	struct account *a = open_account(STORE_MAILDIR);
	struct mailbox *m = open_box(a, ACCOUNT_INBOX);

	ck_assert(!mailbox_rest(m));
	mailbox_close(&m);
	account_close(&a);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("mailbox");
	TCase *t = tcase_create("mailbox");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, append_and_read, 0, FORMATS);
	tcase_add_loop_test(t, large_message, 0, FORMATS);
	tcase_add_loop_test(t, what_is_kept_of_a_message, 0, FORMATS);
	tcase_add_loop_test(t, two_views, 0, FORMATS);
	tcase_add_loop_test(t, stale_views_change, 0, FORMATS);
	tcase_add_loop_test(t, unchanged_since, 0, FORMATS);
	tcase_add_loop_test(t, copy_and_move, 0, FORMATS);
	tcase_add_loop_test(t, deleted_while_open, 0, FORMATS);
	tcase_add_loop_test(t, watching, 0, FORMATS);
	tcase_add_test(t, watching_what_is_replaced_meanwhile);
	tcase_add_test(t, resting);
	tcase_add_test(t, a_maildir_does_not_rest);
	suite_add_tcase(s, t);
	return s;
}
