/* SPDX-License-Identifier: ISC */
/*
 * mailbox faults: whatever call fails, and wherever the process dies, what
 * was acknowledged is there, what was not is there whole or not at all, and
 * the next process goes on.  And several processes that do everything at
 * once leave a mailbox in which index, journal and messages agree.
 */
#include <signal.h>
#include <sys/mman.h>

#include "base/log.h"
#include "base/num.h"
#include "io/fault.h"
#include "tests/unit/store/mailbox_test.h"

static void
clean(void)
{
	char cmd[160];

	snprintf(cmd, sizeof(cmd), "rm -rf '%s/user'", dir);
	ck_assert_int_eq(system(cmd), 0);
}

/* With INBOX and nothing else; NULL where a fault is in the way. */
static struct account *
try_open(enum store_format f)
{
	struct account_options o = options(f);

	o.special_use = o.auto_create = o.auto_subscribe = NULL;
	return account_open(&o, &why);
}

/* --- the script ------------------------------------------------------------------ */

static int
op_append(struct account *a, int first, int n)
{
	struct buf text = BUF_INIT(BUF_UNLIMITED);
	struct append *ap = append_begin(a, ACCOUNT_INBOX, NULL, 0, &why);
	struct append_info info = { .date_us = 1000000 };
	struct uid_result r;
	int rc = ap == NULL ? -1 : 0;

	for (int i = 0; rc == 0 && i < n; i++) {
		text_of(first + i, &text);
		if (append_next(ap, &info, &why) < 0 ||
		    append_data(ap, buf_span(&text), &why) < 0)
			rc = -1;
	}
	if (rc == 0)
		rc = append_commit(ap, &r, &why);
	append_free(&ap);
	buf_fini(&text);
	return rc;
}

static int
box_of(struct account *a, const char *name, uint32_t *box)
{
	const struct account_box *b;

	if (account_refresh(a, &why) < 0)
		return -1;
	b = account_find(a, span_of(name));
	if (b == NULL || b->box == 0)
		return -1;
	*box = b->box;
	return 0;
}

/* With the mailbox open and all its UIDs. */
static int
with_inbox(struct account *a, int what)
{
	struct ranges all = RANGES_INIT;
	struct span kw = SPAN("kw");
	struct flags_request rq = { .uids = &all, .op = FLAGS_ADD,
	    .flags = STORE_SEEN, .keywords = &kw,
	    .nkeywords = a->format == STORE_PACKED,
	    .unchanged_since = UINT64_MAX };
	struct flags_result fr;
	struct expunge_result ex;
	struct uid_result ur;
	struct mailbox *m = mailbox_open(a, ACCOUNT_INBOX, MAILBOX_RECENT,
	    &why);
	uint32_t box = 0, first;
	int rc = -1;

	if (m == NULL)
		return -1;
	first = mailbox_uid(m, 1);
	ranges_add(&all, first != 0 ? first : 1, first != 0 ? first : 1);
	switch (what) {
	case 'f':
		rc = mailbox_store_flags(m, &rq, &fr, &why);
		break;
	case 'c':
		if (box_of(a, "x", &box) == 0)
			rc = mailbox_copy(m, &all, a, box, &ur, &why);
		break;
	case 'm':
		ranges_reset(&all);
		ranges_add(&all, mailbox_uid(m, 2), mailbox_uid(m, 2));
		if (box_of(a, "x", &box) == 0)
			rc = mailbox_move(m, &all, a, box, &ur, &why);
		break;
	case 'e':
		rc = mailbox_expunge(m, &all, true, &ex, &why);
		break;
	case 'u':
		ranges_add(&all, 1, 1000);
		/* What was moved is not to be had back here. */
		ranges_remove(&all, 2, 1000);
		rc = mailbox_undelete(m, &all, &ur, &why);
		break;
	case 'i':
		index_save(m, true);
		rc = 0;
		break;
	}
	mailbox_close(&m);
	ranges_fini(&all);
	return rc;
}

static const struct {
	char		 op;
	/* What there is after it: packed, maildir; NULL: as before. */
	const char	*packed, *maildir;
} script[] = {
	{ 'a', "INBOX: 1/0 2/0;", "INBOX: 1/0;" },
	{ 'b', NULL, "INBOX: 1/0 2/0;" },
	{ 'i', NULL, NULL },
	{ 'f', "INBOX: 1/1k 2/0;", "INBOX: 1/1 2/0;" },
	{ 'C', "INBOX: 1/1k 2/0;x:;", "INBOX: 1/1 2/0;x:;" },
	{ 'c', "INBOX: 1/1k 2/0;x: 1/1k;", "INBOX: 1/1 2/0;x: 1/1;" },
	{ 'm', "INBOX: 1/1k;x: 1/1k 2/0;", "INBOX: 1/1;x: 1/1 2/0;" },
	{ 'e', "INBOX:;x: 1/1k 2/0;", "INBOX:;x: 1/1 2/0;" },
	{ 'i', NULL, NULL },
	{ 'u', "INBOX: 1/1k;x: 1/1k 2/0;", "INBOX: 1/1;x: 1/1 2/0;" },
	{ 'J', NULL, NULL },
	{ 'K', NULL, NULL },
	{ 'R', "INBOX: 1/1k;y: 1/1k 2/0;", "INBOX: 1/1;y: 1/1 2/0;" },
	{ 'P', NULL, NULL },
	{ 'D', "INBOX: 1/1k;", "INBOX: 1/1;" },
	{ 'J', NULL, NULL },
};

static int
do_op(struct account *a, char op)
{
	bool packed = a->format == STORE_PACKED;
	struct account_purged got;
	struct account_state st;
	uint32_t box;

	switch (op) {
	case 'a':
		return op_append(a, 1, packed ? 2 : 1);
	case 'b':
		return packed ? 0 : op_append(a, 2, 1);
	case 'C':
		return account_create(a, SPAN("x"), 0, &box, &why);
	case 'J':
		return account_changes(a, NULL, &st, NULL, NULL, &why) < 0 ?
		    -1 : 0;
	case 'K':
		return mailbox_compact(a, ACCOUNT_INBOX, true, &why) < 0 ?
		    -1 : 0;
	case 'R':
		return account_rename(a, SPAN("x"), SPAN("y"), &why);
	case 'P':
		return account_purge(a, &got, &why);
	case 'D':
		return account_delete(a, SPAN("y"), &why);
	default:
		return with_inbox(a, op);
	}
}

/* What a new process finds. */
static void
observe(enum store_format f, struct buf *out)
{
	struct account *a = try_open(f);
	struct buf want = BUF_INIT(BUF_UNLIMITED);
	struct account_state st;
	struct account_usage used;
	uint64_t bytes = 0, messages = 0;

	ck_assert_msg(a != NULL, "%s", why.text);
	ck_assert_msg(account_changes(a, NULL, &st, NULL, NULL, &why) >= 0,
	    "%s", why.text);
	buf_reset(out);
	for (size_t i = 0; i < account_count(a); i++) {
		uint32_t box = account_box(a, i)->box;
		struct mailbox_verified v;
		struct mailbox *m;

		buf_addf(out, "%s:", account_box(a, i)->name);
		ck_assert_msg(mailbox_verify(a, box, &v, &why) == 0, "%s",
		    why.text);
		ck_assert_uint_eq(v.damaged, 0);
		ck_assert_uint_eq(v.differences, 0);
		m = mailbox_open_inside(a, box, 0, &why);
		ck_assert_msg(m != NULL, "%s", why.text);
		for (uint32_t seq = 1; seq <= mailbox_count(m); seq++) {
			struct mailbox_content c;
			struct mailbox_message msg;
			int n = 0;

			ck_assert(mailbox_message(m, seq, &msg));
			ck_assert_int_eq(mailbox_content(m, msg.uid, &c,
			    &why), 0);
			for (n = 1; n < 10; n++) {
				text_of(n, &want);
				if (span_eq(c.bytes, buf_span(&want)))
					break;
			}
			ck_assert_int_lt(n, 10);
			bytes += msg.size;
			messages++;
			buf_addf(out, " %d/%u%s", n, (unsigned)msg.flags &
			    RECORD_STORED, msg.kwset != 0 ? "k" : "");
			mailbox_content_done(&c);
		}
		buf_add_char(out, ';');
		mailbox_close(&m);
	}
	/* What quotas count is what is there. */
	ck_assert_msg(account_usage(a, &used, &why) == 0, "%s", why.text);
	ck_assert_uint_eq(used.messages, messages);
	ck_assert_uint_eq(used.storage, bytes);
	account_close(&a);
	buf_fini(&want);
}

static const char *
expected(enum store_format f, size_t done)
{
	const char *s = "INBOX:;";

	for (size_t i = 0; i < done; i++) {
		const char *t = f == STORE_PACKED ? script[i].packed :
		    script[i].maildir;

		if (t != NULL)
			s = t;
	}
	return s;
}

/*
 * Stops at the first failure, and behind the operation in which call n failed:
 * one that was acknowledged all the same must have done what it says.  *done
 * counts operations that were synced.
 */
static void
run_script(enum store_format f, unsigned n, volatile size_t *done)
{
	struct account *a = try_open(f);

	while (a != NULL && *done < ARRAY_LEN(script) && fault_count() < n &&
	    do_op(a, script[*done].op) == 0 && account_sync(a, &why) == 0)
		(*done)++;
	account_close(&a);
}

static void
check_state(enum store_format f, size_t done, unsigned n, bool killed)
{
	struct buf got = BUF_INIT(BUF_UNLIMITED);
	const char *before = expected(f, done);
	const char *after = expected(f, MIN(done + 1, ARRAY_LEN(script)));
	bool ok;

	observe(f, &got);
	ok = strcmp(got.data, before) == 0 || strcmp(got.data, after) == 0;
	/* A move that was cut off may leave the message in both. */
	if (!ok && done < ARRAY_LEN(script) && script[done].op == 'm')
		ok = strcmp(got.data, f == STORE_PACKED ?
		    "INBOX: 1/1k 2/0;x: 1/1k 2/0;" :
		    "INBOX: 1/1 2/0;x: 1/1 2/0;") == 0;
	/* In a maildir some of a folder's files may be gone already. */
	if (!ok && f == STORE_MAILDIR && done < ARRAY_LEN(script) &&
	    script[done].op == 'D')
		ok = strstr(got.data, "y: 2/0;") != NULL ||
		    strstr(got.data, "y: 1/1;") != NULL ||
		    strstr(got.data, "y:;") != NULL;
	ck_assert_msg(ok, "%s call %u, after %zu operations (%c): %s", killed ?
	    "killed at" : "failed", n, done, done < ARRAY_LEN(script) ?
	    script[done].op : '-', got.data);
	buf_fini(&got);
}

static const struct {
	enum store_format	format;
	int			err;
} faults[] = {
	{ STORE_PACKED, FAULT_KILL }, { STORE_PACKED, EIO },
	{ STORE_PACKED, ENOSPC },
	{ STORE_MAILDIR, FAULT_KILL }, { STORE_MAILDIR, ENOSPC },
};

START_TEST(every_call_fails_once)
{
	enum store_format f = faults[_i].format;
	volatile size_t *done = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;

	ck_assert_ptr_ne((void *)(uintptr_t)done, MAP_FAILED);
	for (unsigned n = 1;; n++) {
		pid_t pid;

		clean();
		*done = 0;
		if ((pid = fork()) == 0) {
			struct account *a = try_open(f);

			/* The first opening is not what is tested. */
			account_close(&a);
			fault_arm(n, faults[_i].err);
			run_script(f, n, done);
			_exit(fault_count() < n ? 7 : 0);
		}
		ck_assert_int_gt(pid, 0);
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		if (WIFSIGNALED(status))
			ck_assert_int_eq(WTERMSIG(status), SIGKILL);
		check_state(f, *done, n, faults[_i].err == FAULT_KILL);
		if (WIFEXITED(status) && WEXITSTATUS(status) == 7)
			break;
		ck_assert_uint_lt(n, 2000);
		/* The next process goes on with what it finds. */
		struct account *a = try_open(f);
		ck_assert_ptr_nonnull(a);
		ck_assert_msg(op_append(a, 5, 1) == 0, "%s", why.text);
		account_close(&a);
		struct buf got = BUF_INIT(BUF_UNLIMITED);
		observe(f, &got);
		ck_assert_ptr_nonnull(strstr(got.data, "5/0"));
		buf_fini(&got);
	}
	ck_assert_uint_eq(*done, ARRAY_LEN(script));
	munmap((void *)(uintptr_t)done, 4096);
}
END_TEST

/* --- all at once ----------------------------------------------------------------- */

#define PROCESSES	4
#define TURNS		250

static uint32_t state;

static uint32_t
any(uint32_t below)
{
	state = state * 1664525u + 1013904223u;
	return (state >> 8) % below;
}

/* Every message is one of ours, whole; MODSEQ never goes back. */
static void
look(struct mailbox *m, uint64_t *modseq)
{
	uint32_t count = mailbox_count(m), last = 0;

	ck_assert_uint_ge(mailbox_modseq(m), *modseq);
	*modseq = mailbox_modseq(m);
	for (uint32_t seq = 1; seq <= count; seq++) {
		struct mailbox_message msg;

		ck_assert(mailbox_message(m, seq, &msg));
		ck_assert_uint_gt(msg.uid, last);
		ck_assert_uint_le(msg.modseq, *modseq);
		ck_assert_uint_eq(mailbox_seq(m, msg.uid), seq);
		last = msg.uid;
	}
	if (count > 0) {
		struct mailbox_content c;
		uint32_t uid = mailbox_uid(m, 1 + any(count));
		int rc = mailbox_content(m, uid, &c, &why);

		/* In a maildir it may have gone. */
		ck_assert_msg(rc == 0 || m->a->error == ACCOUNT_EXPUNGED,
		    "%s", why.text);
		if (rc == 0)
			ck_assert(span_starts(c.bytes, SPAN("From: a"))
			    && span_ends(c.bytes, SPAN("\r\n")));
		mailbox_content_done(&c);
	}
}

static void
turn(struct account *a, struct mailbox *m, uint32_t other)
{
	struct ranges some = RANGES_INIT;
	struct span kw = SPAN("$Label1");
	struct flags_request rq = { .uids = &some, .op = (enum flags_op)any(3),
	    .flags = any(32), .keywords = &kw, .nkeywords = any(2),
	    .unchanged_since = any(4) == 0 ? mailbox_modseq(m) :
	    UINT64_MAX };
	struct mailbox_changes c;
	struct flags_result fr;
	struct expunge_result ex;
	struct uid_result ur;
	uint32_t count = mailbox_count(m), lo = 1 + any(count + 1), what;
	int rc = 0;

	ranges_add(&some, mailbox_uid(m, lo), mailbox_uid(m, lo) + any(4));
	what = any(count > 60 ? 12 : 9);
	switch (what) {
	case 0:
	case 1:
	case 2:
		rc = op_append(a, (int)any(1000), 1 + (int)any(3));
		break;
	case 3:
	case 4:
		rc = mailbox_store_flags(m, &rq, &fr, &why);
		break;
	case 5:
		rc = mailbox_copy(m, &some, a, any(3) ? other : m->box, &ur,
		    &why);
		break;
	case 6:
		rc = mailbox_move(m, &some, a, any(3) ? other : m->box, &ur,
		    &why);
		break;
	case 7:
		if (any(10) == 0)
			rc = mailbox_compact(a, any(2) ? other : m->box, true,
			    &why) < 0 ? -1 : 0;
		break;
	case 8:
		if (any(4) == 0)
			rc = mailbox_undelete(m, &some, &ur, &why);
		if (a->format == STORE_MAILDIR)
			rc = 0;
		break;
	default:
		rc = mailbox_expunge(m, &some, any(2), &ex, &why);
		break;
	}
	ck_assert_msg(rc == 0 || a->error == ACCOUNT_EXPUNGED,
	    "operation %u: %s", (unsigned)what, why.text);
	if (any(3) == 0)
		ck_assert_msg(mailbox_refresh(m, any(2), &c, &why) >= 0, "%s",
		    why.text);
	ck_assert(!m->gone);
	ranges_fini(&some);
}

static void
worker(enum store_format f, int number)
{
	struct account *a = try_open(f);
	uint64_t seen[2] = { 0, 0 };
	struct mailbox *m[2];
	uint32_t box[2] = { ACCOUNT_INBOX, 0 };
	int turns = f == STORE_MAILDIR ? TURNS / 4 : TURNS;

	state = (uint32_t)number * 7919 + 1;
	ck_assert_int_eq(box_of(a, "x", &box[1]), 0);
	for (int i = 0; i < 2; i++)
		ck_assert_msg((m[i] = mailbox_open(a, box[i],
		    MAILBOX_RECENT, &why)) != NULL, "%s", why.text);
	for (int n = 0; n < turns; n++) {
		int i = (int)any(2);

		turn(a, m[i], box[1 - i]);
		look(m[i], &seen[i]);
		if (any(40) == 0) {
			mailbox_close(&m[i]);
			ck_assert_ptr_nonnull(m[i] = mailbox_open(a, box[i],
			    MAILBOX_RECENT, &why));
		}
	}
	for (int i = 0; i < 2; i++)
		mailbox_close(&m[i]);
	ck_assert_int_eq(account_sync(a, &why), 0);
	account_close(&a);
}

static const enum store_format formats[] = { STORE_PACKED, STORE_MAILDIR };

START_TEST(processes_at_the_same_time)
{
	enum store_format f = formats[_i];
	struct account *a = try_open(f);
	pid_t pids[PROCESSES];
	uint32_t box;
	int status;

	ck_assert_int_eq(account_create(a, SPAN("x"), 0, &box, &why), 0);
	account_close(&a);
	for (int i = 0; i < PROCESSES; i++) {
		if ((pids[i] = fork()) == 0) {
			worker(f, i);
			_exit(0);
		}
	}
	for (int i = 0; i < PROCESSES; i++) {
		ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
		ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0,
		    "process %d: status %x", i, (unsigned)status);
	}
	a = try_open(f);
	for (size_t i = 0; i < account_count(a); i++) {
		struct mailbox_verified v;

		ck_assert_int_eq(mailbox_verify(a, account_box(a, i)->box, &v,
		    &why), 0);
		ck_assert_uint_eq(v.damaged, 0);
		ck_assert_uint_eq(v.differences, 0);
	}
	account_close(&a);
}
END_TEST

/* A delivery made the directory only: all of them find parts missing. */
START_TEST(first_opens_at_the_same_time)
{
	int go[2], status;
	char c;

	for (int round = 0; round < 20; round++) {
		pid_t pids[PROCESSES];
		char path[80];

		clean();
		snprintf(path, sizeof(path), "%s/user", dir);
		ck_assert_int_eq(mkdir(path, 0700), 0);
		ck_assert_int_eq(pipe(go), 0);
		for (int i = 0; i < PROCESSES; i++) {
			struct account *a;
			struct mailbox *m;

			if ((pids[i] = fork()) != 0)
				continue;
			close(go[1]);
			(void)!read(go[0], &c, 1);
			a = try_open(STORE_MAILDIR);
			ck_assert_msg(a != NULL, "%s", why.text);
			m = mailbox_open(a, ACCOUNT_INBOX, MAILBOX_RECENT,
			    &why);
			ck_assert_msg(m != NULL, "%s", why.text);
			mailbox_close(&m);
			account_close(&a);
			_exit(0);
		}
		/* The end of the pipe lets all of them go. */
		close(go[0]);
		close(go[1]);
		for (int i = 0; i < PROCESSES; i++) {
			ck_assert_int_eq(waitpid(pids[i], &status, 0),
			    pids[i]);
			ck_assert_int_eq(status, 0);
		}
	}
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("mailbox faults");
	TCase *t = tcase_create("faults");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, every_call_fails_once, 0,
	    (int)ARRAY_LEN(faults));
	tcase_add_loop_test(t, processes_at_the_same_time, 0,
	    (int)ARRAY_LEN(formats));
	tcase_add_test(t, first_opens_at_the_same_time);
	suite_add_tcase(s, t);
	return s;
}
