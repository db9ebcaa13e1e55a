/* SPDX-License-Identifier: ISC */
/*
 * A Maildir as its hostile owner, other programs, or a disk may have left it:
 * names of files and folders, journals, the index and the cache beside them.
 * Whatever they say, it is opened, read and changed, and what was put into it
 * is there afterwards, once.
 *
 * The first byte says what the rest is: 0 the mailbox's journal, 1 that of the
 * account, 2 the change journal, 3 the index, 4 the cache, all as they are; 5
 * and 6 records for the first two, with right checksums; else lines, each a
 * file "n..." in new/, "c..." in cur/, "e..." among what was expunged, or a
 * folder "f...".
 */
#include "base/mem.h"
#include "tests/fuzz/account.h"

int	 LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

#define NAMES_MAX	40		/* of an input; more finds no more */

static void
put_message(const char *name)
{
	scratch_put(name, SPAN("Subject: one\n\ntext\n"));
}

/* Whether it can be a part of a path. */
static bool
is_name(struct span s)
{
	return s.len > 0 && s.len < 200 && !span_is(s, ".") &&
	    !span_is(s, "..") && span_find(s, '/') < 0 && !span_has_nul(s);
}

static void
put_line(struct span line)
{
	static const char *const dirs[] = { "new", "cur", "mansio-expunged" };
	static const char letters[] = "nce";
	struct span name = span_from(line, 1);
	const char *at;
	char path[300];

	if (line.len < 2 || !is_name(name))
		return;
	at = memchr(letters, line.p[0], sizeof(letters) - 1);
	if (at != NULL) {
		snprintf(path, sizeof(path), "user/%s/%.*s",
		    dirs[at - letters], SPAN_ARG(name));
		put_message(path);
	} else if (line.p[0] == 'f') {
		snprintf(path, sizeof(path), "%s/user/.%.*s", scratch,
		    SPAN_ARG(name));
		if (!is_name(span_from(span_of(path), strlen(scratch) + 6)) ||
		    mkdir(path, 0700) < 0)
			return;
		snprintf(path, sizeof(path), "user/.%.*s/cur",
		    SPAN_ARG(name));
		scratch_mkdir(path);
		snprintf(path, sizeof(path), "user/.%.*s/cur/1.f:2,S",
		    SPAN_ARG(name));
		put_message(path);
	}
}

static void
put_input(uint8_t kind, struct span in)
{
	static const char *const files[] = { "user/mansio.jrn",
	    "user/mansio-account.jrn", "user/mansio-changes.jrn",
	    "user/mansio.idx", "user/mansio.cch" };
	struct buf journal = BUF_INIT(BUF_UNLIMITED);
	struct span line;

	if (kind < 5) {
		scratch_put(files[kind], in);
	} else if (kind < 7) {
		journal_of(in, kind == 5 ? ACCOUNT_INBOX : 0, &journal);
		scratch_put(files[kind - 5], buf_span(&journal));
	} else {
		for (int i = 0; i < NAMES_MAX && span_line(&in, &line); i++)
			put_line(line);
	}
	buf_fini(&journal);
}

static int
append_one(struct account *a)
{
	struct append *ap = append_begin(a, ACCOUNT_INBOX, NULL, 0, NULL);
	struct append_info info = { .flags = STORE_SEEN };
	struct uid_result r;
	int rc = -1;

	if (ap != NULL && append_next(ap, &info, NULL) == 0 &&
	    append_data(ap, SPAN("Subject: appended\n\n"), NULL) == 0)
		rc = append_commit(ap, &r, NULL);
	append_free(&ap);
	return rc;
}

/* All.  Of files with one name but for the flags each shows when the one before
 * has gone. */
static void
expunge(struct mailbox *m, const struct ranges *all)
{
	struct expunge_result ex;
	struct mailbox_changes c;

	for (int i = 0; i < NAMES_MAX + 4; i++) {
		if (mailbox_expunge(m, all, true, &ex, NULL) < 0)
			return;
		if (mailbox_refresh(m, MAILBOX_EXPUNGES, &c, NULL) < 0)
			__builtin_trap();
		if (mailbox_count(m) == 0)
			return;
	}
	__builtin_trap();
}

/* Flags, expunge and undelete of all; a message more is one message more. */
static void
change(void)
{
	struct account_options o = account_options(STORE_MAILDIR);
	struct account *a = account_open(&o, NULL);
	struct ranges all = RANGES_INIT;
	struct flags_request rq = { .uids = &all, .op = FLAGS_ADD,
	    .flags = STORE_FLAGGED, .unchanged_since = UINT64_MAX };
	struct mailbox_changes c;
	struct flags_result fr;
	struct uid_result ur;
	struct mailbox *m;
	uint32_t before;

	if (a == NULL)
		return;
	ranges_add(&all, 1, UINT32_MAX);
	m = mailbox_open(a, ACCOUNT_INBOX, MAILBOX_RECENT, NULL);
	if (m != NULL) {
		before = mailbox_count(m);
		if (append_one(a) == 0 && (mailbox_refresh(m,
		    MAILBOX_EXPUNGES, &c, NULL) < 0 || c.gone ||
		    mailbox_count(m) != before + 1))
			__builtin_trap();
		(void)!mailbox_store_flags(m, &rq, &fr, NULL);
		expunge(m, &all);
		(void)!mailbox_undelete(m, &all, &ur, NULL);
		mailbox_close(&m);
	}
	ranges_fini(&all);
	account_close(&a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	if (n < 1 || n > INPUT_MAX)
		return 0;
	account_begin();
	scratch_mkdir("user/cur");
	scratch_mkdir("user/new");
	scratch_mkdir("user/tmp");
	scratch_mkdir("user/mansio-expunged");
	put_message("user/cur/1.a:2,S");
	put_message("user/new/2.b");
	put_input(p[0], span_from(span_make(p, n), 1));
	look_at_all(STORE_MAILDIR, 0);
	change();
	look_at_all(STORE_MAILDIR, 0);
	return 0;
}
