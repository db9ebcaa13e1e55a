/* SPDX-License-Identifier: ISC */
/*
 * mailbox_test - what tests of accounts and mailboxes share: a directory of
 * their own, an account in it, messages with numbers.
 */
#ifndef TESTS_MAILBOX_TEST_H
#define TESTS_MAILBOX_TEST_H

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
#include "store/mailbox_internal.h"

static char dir[64];
static struct why why;

static inline void
setup(void)
{
	const char *t = getenv("TMPDIR");

	snprintf(dir, sizeof(dir), "%s/mailboxXXXXXX",
	    t != NULL && strlen(t) < 40 ? t : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	why = WHY_INIT;
}

static inline void
teardown(void)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
	ck_assert_int_eq(system(cmd), 0);
}

#define OK(call) ck_assert_msg((call) == 0, "%s: %s", #call, why.text)

static inline struct account_options
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

#define FORMATS 2
static inline enum store_format
format_of(int i)
{
	return i == 0 ? STORE_PACKED : STORE_MAILDIR;
}

static inline struct account *
open_account(enum store_format f)
{
	struct account_options o = options(f);
	struct account *a = account_open(&o, &why);

	ck_assert_msg(a != NULL, "%s", why.text);
	return a;
}

static inline struct mailbox *
open_box(struct account *a, uint32_t box)
{
	struct mailbox *m = mailbox_open(a, box, MAILBOX_RECENT, &why);

	ck_assert_msg(m != NULL, "%s", why.text);
	return m;
}

static inline void
text_of(int n, struct buf *out)
{
	buf_reset(out);
	buf_addf(out, "From: a%d@example.test\r\nSubject: number %d\r\n"
	    "Message-ID: <%d@example.test>\r\n\r\nBody of %d\r\n", n, n, n,
	    n);
}

/* Append messages number first to first + n - 1; returns the first UID. */
static inline uint32_t
append(struct account *a, uint32_t box, int first, int n, uint32_t flags,
    const char *keyword)
{
	struct buf text = BUF_INIT(BUF_UNLIMITED);
	struct append *ap = append_begin(a, box, NULL, 0, &why);
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

static inline struct mailbox_message
message(struct mailbox *m, uint32_t seq)
{
	struct mailbox_message msg;

	ck_assert(mailbox_message(m, seq, &msg));
	return msg;
}

static inline void
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

static inline struct ranges
uids(uint32_t lo, uint32_t hi)
{
	struct ranges r = RANGES_INIT;

	ranges_add(&r, lo, hi);
	return r;
}

static inline uint64_t
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

#endif
