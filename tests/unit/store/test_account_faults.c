/* SPDX-License-Identifier: ISC */
/*
 * account faults: whatever call fails, and wherever the process dies, while the
 * list of mailboxes, a subscription, an annotation, a right, a special use or a
 * quota is changed, a new process finds that change done or not done, and all
 * that was acknowledged; and it can go on.
 */
#include <signal.h>

#include "io/fault.h"
#include "tests/unit/store/mailbox_test.h"

static struct account *
try_open(enum store_format f)
{
	struct account_options o = options(f);

	o.own_quota = true;
	o.special_use = "Drafts Sent Junk";
	o.auto_create = "INBOX, Sent";
	o.auto_subscribe = "INBOX";
	return account_open(&o, &why);
}

/* The account as it was before the step that is tried. */
static void
copy(const char *from, const char *to)
{
	char cmd[256];

	snprintf(cmd, sizeof(cmd), "rm -rf '%s/%s' && cp -a '%s/%s' '%s/%s'",
	    dir, to, dir, from, dir, to);
	ck_assert_int_eq(system(cmd), 0);
}

/* --- what is done ------------------------------------------------------------------ */

static uint32_t
box_of(struct account *a, const char *name)
{
	const struct account_box *b;

	if (account_refresh(a, &why) < 0)
		return 0;
	b = account_find(a, span_of(name));
	return b != NULL ? b->box : 0;
}

static int
set_acl(struct account *a, const char *name, const char *ident, char mod,
    unsigned rights)
{
	return account_acl_set(a, box_of(a, name), span_of(ident), mod, rights,
	    &why);
}

static int
set_metadata(struct account *a, const char *name, const char *entry,
    const char *value)
{
	return account_metadata_set(a, name == NULL ? 0 : box_of(a, name),
	    span_of(entry), value == NULL ? (struct span){ NULL, 0 } :
	    span_of(value), &why);
}

static int
set_quota(struct account *a, uint64_t storage, uint64_t messages)
{
	struct store_quota q = { storage, messages, QUOTA_UNSET };

	return account_quota_set(a, &q, &why);
}

static int
do_step(struct account *a, size_t step)
{
	struct account_purged got;
	uint32_t box;

	switch (step) {
	case 0:
		return account_create(a, SPAN("d"), USE_DRAFTS, &box, &why);
	case 1:
		return account_special(a, USE_JUNK, &box, &why);
	case 2:				/* Sent loses it */
		return account_set_special(a, box_of(a, "d"),
		    USE_DRAFTS | USE_SENT, &why);
	case 3:				/* and d */
		return account_create(a, SPAN("e"), USE_SENT, &box, &why);
	case 4:
		return account_subscribe(a, SPAN("d"), true, &why);
	case 5:
		return account_subscribe(a, SPAN("no/such"), true, &why);
	case 6:
		return account_subscribe(a, SPAN("d"), false, &why);
	case 7:
		return set_metadata(a, NULL, "/shared/comment", "all");
	case 8:
		return set_metadata(a, "d", "/private/comment", "its");
	case 9:
		return set_metadata(a, "d", "/private/comment", "its own");
	case 10:
		return set_metadata(a, NULL, "/shared/comment", NULL);
	case 11:
		return set_acl(a, "d", "bob", 0, RIGHT_LOOKUP | RIGHT_READ);
	case 12:
		return set_acl(a, "d", "$team", 0, RIGHT_LOOKUP);
	case 13:
		return set_acl(a, "d", "bob", '+', RIGHT_SEEN);
	case 14:
		return set_acl(a, "d", "-bob", 0, RIGHT_WRITE);
	case 15:
		return set_acl(a, "d", "$team", 0, 0);
	case 16:
		return account_create(a, SPAN("d/c"), 0, &box, &why);
	case 17:
		return set_quota(a, 5000, QUOTA_UNSET);
	case 18:
		return set_quota(a, 6000, 70);
	case 19:
		return account_rename(a, SPAN("d"), SPAN("f"), &why);
	case 20:
		return set_quota(a, QUOTA_UNSET, QUOTA_UNSET);
	case 21:
		return account_delete(a, SPAN("f"), &why);
	case 22:
		return account_undelete(a, SPAN("f"), &why);
	case 23:
		return account_delete(a, SPAN("f"), &why);
	case 24:				/* its use is another's */
		return account_set_special(a, box_of(a, "e"),
		    USE_DRAFTS | USE_SENT, &why);
	case 25:
		return account_undelete(a, SPAN("f"), &why);
	case 26:
		return account_delete(a, SPAN("f"), &why);
	case 27:
		a->before_us = INT64_MAX;
		return account_purge(a, &got, &why);
	default:
		return -1;
	}
}

/* --- what a new process finds ------------------------------------------------------- */

static bool
put_right(void *arg, struct span ident, unsigned rights)
{
	char text[ACCOUNT_RIGHTS_MAX];

	account_rights_format(rights, text);
	if (!span_is(ident, "user@example.test"))
		buf_addf(arg, " %.*s=%s", SPAN_ARG(ident), text);
	return true;
}

static bool
put_metadata(void *arg, struct span entry, struct span value)
{
	/* It is the use that was shown already. */
	if (!span_is(entry, "/private/specialuse"))
		buf_addf(arg, " %.*s=\"%.*s\"", SPAN_ARG(entry),
		    SPAN_ARG(value));
	return true;
}

static void
observe(enum store_format f, struct buf *out)
{
	struct account *a = try_open(f);
	struct store_quota q;

	ck_assert_msg(a != NULL, "%s", why.text);
	buf_reset(out);
	for (size_t i = 0; i < account_count(a); i++) {
		struct account_box b = *account_box(a, i);

		if (strcmp(b.name, "INBOX") == 0 || strcmp(b.name, "no") == 0)
			continue;
		buf_addf(out, "%s", b.name);
		if (b.special != 0)
			buf_addf(out, " use=%u", b.special);
		if (b.flags & BOX_SUBSCRIBED)
			buf_add_str(out, " sub");
		if (b.box != 0) {
			account_acl_each(a, b.box, put_right, out);
			account_metadata_each(a, b.box, put_metadata, out);
			struct mailbox *m = mailbox_open(a, b.box, 0, &why);
			ck_assert_msg(m != NULL, "%s: %s", b.name, why.text);
			mailbox_close(&m);
		}
		buf_add_char(out, ';');
	}
	account_metadata_each(a, 0, put_metadata, out);
	ck_assert_msg(account_limits(a, &q, &why) == 0, "%s", why.text);
	if (q.storage != QUOTA_UNLIMITED || q.messages != QUOTA_UNLIMITED) {
		buf_add_str(out, " quota");
		store_quota_format(&q, out);
	}
	account_close(&a);
}

#define STEPS	28

/* What there is before some of the steps. */
static const struct { size_t at; const char *want; } known[] = {
	{ 0, "Sent use=32;" },
	{ 2, "Junk use=16;Sent use=32;d use=4;" },
	{ 3, "Junk use=16;Sent;d use=36;" },
	{ 4, "Junk use=16;Sent;d use=4;e use=32;" },
	{ 5, "Junk use=16;Sent;d use=4 sub;e use=32;" },
	{ 17, "Junk use=16;Sent;d use=4 bob=lrs -bob=w "
	    "/private/comment=\"its own\";d/c bob=lrs -bob=w;e use=32;"
	    "no/such sub;" },
	{ 19, "Junk use=16;Sent;d use=4 bob=lrs -bob=w "
	    "/private/comment=\"its own\";d/c bob=lrs -bob=w;e use=32;"
	    "no/such sub; quota storage=6000 messages=70 mailboxes=unlimited" },
	{ 22, "Junk use=16;Sent;e use=32;f;f/c bob=lrs -bob=w;no/such sub;" },
	{ 23, "Junk use=16;Sent;e use=32;f use=4 bob=lrs -bob=w "
	    "/private/comment=\"its own\";f/c bob=lrs -bob=w;"
	    "no/such sub;" },
	{ 26, "Junk use=16;Sent;e use=36;f bob=lrs -bob=w "
	    "/private/comment=\"its own\";f/c bob=lrs -bob=w;"
	    "no/such sub;" },
	{ 27, "Junk use=16;Sent;e use=36;f;f/c bob=lrs -bob=w;no/such sub;" },
};

/* A process that dies in the middle of making a mailbox may leave it behind
 * without its use and its parent's rights: a Maildir's folder is there when its directory is, and a
 * list whose end is torn takes a mailbox back that has a journal.  In a Maildir
 * some folders of a tree may have been renamed. */
static const struct { size_t step; const char *found; } cut_off[] = {
	{ 0, "Sent use=32;d;" },
	{ 1, "Junk;Sent use=32;d use=4;" },
	{ 3, "Junk use=16;Sent;d use=36;e;" },
	{ 16, "Junk use=16;Sent;d use=4 bob=lrs -bob=w "
	    "/private/comment=\"its own\";d/c;e use=32;no/such sub;" },
	{ 19, "Junk use=16;Sent;d;d/c bob=lrs -bob=w;e use=32;f use=4 "
	    "bob=lrs -bob=w /private/comment=\"its own\";no/such sub; quota "
	    "storage=6000 messages=70 mailboxes=unlimited" },
};

static bool
is_cut_off(size_t step, const char *got)
{
	for (size_t i = 0; i < ARRAY_LEN(cut_off); i++)
		if (cut_off[i].step == step)
			return strcmp(got, cut_off[i].found) == 0;
	return false;
}

static const struct {
	enum store_format	format;
	int			err;
} faults[] = {
	{ STORE_PACKED, FAULT_KILL }, { STORE_PACKED, ENOSPC },
	{ STORE_PACKED, EDQUOT }, { STORE_MAILDIR, FAULT_KILL },
	{ STORE_MAILDIR, ENOSPC }, { STORE_MAILDIR, EDQUOT },
};

/* The step is made to fail at call n in a process of its own.  2: it is done; 1:
 * it was done without coming to call n; 0: it failed. */
static int
attempt(enum store_format f, size_t step, unsigned n, int err)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct account *a = try_open(f);
		int rc = -1;

		if (a != NULL) {
			fault_arm(n, err);
			if (do_step(a, step) == 0)
				rc = account_sync(a, &why);
		}
		_exit(rc < 0 ? 0 : fault_count() < n ? 1 : 2);
	}
	ck_assert_int_gt(pid, 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status))
		ck_assert_int_eq(WTERMSIG(status), SIGKILL);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 0;
}

static void
goes_on(enum store_format f)
{
	struct account *a = try_open(f);
	struct buf got = BUF_INIT(BUF_UNLIMITED);

	ck_assert_msg(a != NULL, "%s", why.text);
	OK(account_subscribe(a, SPAN("later"), true, &why));
	account_close(&a);
	observe(f, &got);
	ck_assert_ptr_nonnull(strstr(got.data, "later sub;"));
	buf_fini(&got);
}

START_TEST(every_call_fails_once)
{
	enum store_format f = faults[_i].format;
	struct buf before = BUF_INIT(BUF_UNLIMITED);
	struct buf after = BUF_INIT(BUF_UNLIMITED);
	struct buf got = BUF_INIT(BUF_UNLIMITED);
	struct account *a = try_open(f);

	ck_assert_msg(a != NULL, "%s", why.text);
	account_close(&a);
	for (size_t step = 0; step < STEPS; step++) {
		int rc = 0;

		copy("user", "before");
		observe(f, &before);
		for (size_t i = 0; i < ARRAY_LEN(known); i++)
			if (known[i].at == step)
				ck_assert_str_eq(before.data, known[i].want);
		ck_assert_msg(attempt(f, step, 1000, EIO) == 1, "step %zu",
		    step);
		observe(f, &after);
		copy("user", "after");
		for (unsigned n = 1; rc != 1; n++) {
			ck_assert_uint_lt(n, 1000);
			copy("before", "user");
			rc = attempt(f, step, n, faults[_i].err);
			observe(f, &got);
			ck_assert_msg(strcmp(got.data, after.data) == 0 ||
			    (rc == 0 && strcmp(got.data, before.data) == 0) ||
			    (faults[_i].err == FAULT_KILL &&
			    is_cut_off(step, got.data)),
			    "step %zu, call %u:\n%s, not\n%s or\n%s", step, n,
			    got.data, before.data, after.data);
			goes_on(f);
		}
		copy("after", "user");
	}
	buf_fini(&before);
	buf_fini(&after);
	buf_fini(&got);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("account faults");
	TCase *t = tcase_create("faults");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, every_call_fails_once, 0,
	    (int)ARRAY_LEN(faults));
	suite_add_tcase(s, t);
	return s;
}
