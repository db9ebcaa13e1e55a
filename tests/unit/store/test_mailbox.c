/* SPDX-License-Identifier: ISC */
/*
 * mailbox: what one view does is what all others see, now and after it was
 * opened again, from the index and from the journal alone.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "conf/params.h"
#include "io/fault.h"
#include "mail/message_cache.h"
#include "mail/signature.h"
#include "store/mailbox_internal.h"

static char dir[64];
static struct why why;

static void
setup(void)
{
	const char *t = getenv("TMPDIR");

	snprintf(dir, sizeof(dir), "%s/mailboxXXXXXX",
	    t != NULL && strlen(t) < 40 ? t : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	why = WHY_INIT;
}

static void
teardown(void)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
	ck_assert_int_eq(system(cmd), 0);
}

#define OK(call) ck_assert_msg((call) == 0, "%s: %s", #call, why.text)

static struct account_options
options(enum store_format f)
{
	struct account_options o = {
		.format = f, .base = dir, .path = "user",
		.owner = "user@example.test", .name_limit = 255,
		.depth_limit = 16, .count_limit = 1000,
		.quota.storage = ACCOUNT_UNLIMITED,
		.quota.messages = ACCOUNT_UNLIMITED,
		.quota.mailboxes = ACCOUNT_UNLIMITED,
		.expunge_delay_s = 86400, .special_use = "Drafts Sent",
		.auto_create = "INBOX, Drafts, Sent", .hostname = "mail",
		.auto_subscribe = "INBOX, Drafts",
	};

	return o;
}

static const enum store_format formats[] = { STORE_PACKED, STORE_MAILDIR };

static struct account *
open_account(enum store_format f)
{
	struct account_options o = options(f);
	struct account *a = account_open(&o, &why);

	ck_assert_msg(a != NULL, "%s", why.text);
	return a;
}

static struct mailbox *
open_box(struct account *a, uint32_t box)
{
	struct mailbox *m = mailbox_open(a, box, MAILBOX_RECENT, &why);

	ck_assert_msg(m != NULL, "%s", why.text);
	return m;
}

static void
text_of(int n, struct buf *out)
{
	buf_reset(out);
	buf_addf(out, "From: a%d@example.test\r\nSubject: number %d\r\n"
	    "Message-ID: <%d@example.test>\r\n\r\nBody of %d\r\n", n, n, n,
	    n);
}

/* Append messages number first to first + n - 1; returns the first UID. */
static uint32_t
append(struct account *a, uint32_t box, int first, int n, uint32_t flags,
    const char *keyword)
{
	struct buf text = BUF_INIT(BUF_UNLIMITED);
	struct append *ap = append_begin(a, box, &why);
	struct span kw = span_of(keyword);
	struct append_info info = { .flags = flags, .keywords = &kw,
	    .nkeywords = keyword != NULL, .date_us = 1000000 };
	struct uid_result r;
	uint32_t uid;

	ck_assert_msg(ap != NULL, "%s", why.text);
	for (int i = 0; i < n; i++) {
		text_of(first + i, &text);
		OK(append_next(ap, &info, &why));
		OK(append_data(ap, span_sub(buf_span(&text), 0, 10), &why));
		OK(append_data(ap, span_from(buf_span(&text), 10), &why));
	}
	OK(append_commit(ap, &r, &why));
	ck_assert_uint_eq(ranges_count(r.to), (uint64_t)n);
	ck_assert_uint_ne(r.uidvalidity, 0);
	uid = r.to->v[0].lo;
	append_free(&ap);
	OK(account_sync(a, &why));
	buf_fini(&text);
	return uid;
}

static struct mailbox_message
message(struct mailbox *m, uint32_t seq)
{
	struct mailbox_message msg;

	ck_assert(mailbox_message(m, seq, &msg));
	return msg;
}

static void
check_content(struct mailbox *m, uint32_t uid, int n)
{
	struct buf text = BUF_INIT(BUF_UNLIMITED);
	struct mailbox_content c;

	text_of(n, &text);
	OK(mailbox_content(m, uid, &c, &why));
	ck_assert(span_eq(c.bytes, buf_span(&text)));
	ck_assert_uint_eq(message(m, mailbox_seq(m, uid)).size, text.len);
	mailbox_content_done(&c);
	buf_fini(&text);
}

static struct ranges
uids(uint32_t lo, uint32_t hi)
{
	struct ranges r = RANGES_INIT;

	ranges_add(&r, lo, hi);
	return r;
}

static uint64_t
store_flags(struct mailbox *m, uint32_t lo, uint32_t hi, enum flags_op op,
    uint32_t flags, const char *keyword)
{
	struct ranges r = uids(lo, hi);
	struct span kw = span_of(keyword);
	struct flags_request rq = { .uids = &r, .op = op, .flags = flags,
	    .keywords = &kw, .nkeywords = keyword != NULL,
	    .unchanged_since = UINT64_MAX };
	struct flags_result out;

	OK(mailbox_store_flags(m, &rq, &out, &why));
	ranges_fini(&r);
	return out.modseq;
}

START_TEST(append_and_read)
{
	struct account *a = open_account(formats[_i]);
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
	struct account *a = open_account(formats[_i]);
	struct append *ap = append_begin(a, ACCOUNT_INBOX, &why);
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
	struct account *a = open_account(formats[_i]);
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
		OK(mailbox_cache(m, uid + 5, &rec, &c, &why));
		ck_assert_uint_eq(message_cache_len(rec.bytes),
		    rec.bytes.len);
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
	struct account *a = open_account(formats[_i]);
	struct account *b = open_account(formats[_i]);
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
	if (formats[_i] == STORE_PACKED)
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
	struct account *a = open_account(formats[_i]);
	struct account *b = open_account(formats[_i]);
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
	struct account *a = open_account(formats[_i]);
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
	struct account *a = open_account(formats[_i]);
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

START_TEST(list)
{
	struct account *a = open_account(formats[_i]);
	struct account *b = open_account(formats[_i]);
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
	a = open_account(formats[_i]);
	ck_assert_uint_eq(account_find(a, SPAN("z/y"))->box, box);
	account_close(&a);
}
END_TEST

START_TEST(inbox_is_renamed)
{
	struct account *a = open_account(formats[_i]);
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

START_TEST(deleted_while_open)
{
	struct account *a = open_account(formats[_i]);
	struct account *b = open_account(formats[_i]);
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
	struct account *a = open_account(formats[_i]);
	struct account *b = open_account(formats[_i]);
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
	ck_assert_ptr_null(append_begin(b, box, &why));
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
	ck_assert_ptr_null(append_begin(a, ACCOUNT_INBOX, &why));
	ck_assert_int_eq(account_error(a), ACCOUNT_OVERQUOTA);
	m = open_box(a, ACCOUNT_INBOX);
	OK(mailbox_expunge(m, NULL, false, &ex, &why));
	mailbox_close(&m);
	OK(account_usage(a, &u, &why));
	ck_assert_uint_eq(u.messages, 0);
	ck_assert_uint_eq(u.storage, 0);
	ap = append_begin(a, ACCOUNT_INBOX, &why);
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

/* --- having back, giving back ------------------------------------------------ */

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
	struct account *a = open_account(STORE_PACKED);
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
	struct account *a = open_account(STORE_PACKED);
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

/* Messages of this size fill segments soon. */
static void
append_large(struct account *a, uint32_t box, int n, size_t size)
{
	struct buf text = BUF_INIT(BUF_UNLIMITED);

	for (int i = 0; i < n; i++) {
		struct append *ap = append_begin(a, box, &why);
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
	struct account *a = open_account(_i == 0 ? STORE_PACKED :
	    STORE_MAILDIR);
	struct account_purged got;

	ck_assert(!account_purge_due(a, 0));
	/* The first interval begins when somebody asks. */
	ck_assert(!account_purge_due(a, 1));
	ck_assert(!account_purge_due(a, 3600));
	usleep(1100000);
	ck_assert(account_purge_due(a, 1));
	OK(account_purge_some(a, 4, &got, &why));
	ck_assert(!account_purge_due(a, 1));
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

Suite *
suite(void)
{
	Suite *s = suite_create("mailbox");
	TCase *t = tcase_create("mailbox");
	int n = (int)ARRAY_LEN(formats);

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, append_and_read, 0, n);
	tcase_add_loop_test(t, large_message, 0, n);
	tcase_add_loop_test(t, what_is_kept_of_a_message, 0, n);
	tcase_add_loop_test(t, two_views, 0, n);
	tcase_add_loop_test(t, stale_views_change, 0, n);
	tcase_add_loop_test(t, unchanged_since, 0, n);
	tcase_add_loop_test(t, copy_and_move, 0, n);
	tcase_add_loop_test(t, list, 0, n);
	tcase_add_loop_test(t, inbox_is_renamed, 0, n);
	tcase_add_loop_test(t, deleted_while_open, 0, n);
	tcase_add_loop_test(t, watching, 0, n);
	tcase_add_loop_test(t, names_are_checked, 0, (int)ARRAY_LEN(names));
	tcase_add_test(t, rights);
	tcase_add_loop_test(t, purge_is_due_once_in_an_interval, 0, 2);
	tcase_add_test(t, quota);
	tcase_add_test(t, metadata);
	tcase_add_test(t, undelete);
	tcase_add_test(t, undelete_mailbox);
	tcase_add_test(t, purging);
	suite_add_tcase(s, t);
	return s;
}
