/* SPDX-License-Identifier: ISC */
/*
 * A disk that is full to the last byte: what there is can be read, each change
 * happens or fails with a clear word and leaves all as it was, and works
 * again when there is room.
 */
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "tests/unit/store/mailbox_test.h"

#define DISK	"size=8m,mode=700"

static bool mounted;

/* A small disk in place of dir, for this process only. */
static void
small_disk(void)
{
	setup();
	mounted = unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL,
	    MS_REC | MS_PRIVATE, NULL) == 0 && mount("none", dir, "tmpfs",
	    MS_NOSUID | MS_NODEV, DISK) == 0;
	if (!mounted)
		printf("skip: a tmpfs cannot be mounted\n");
}

static void
no_disk(void)
{
	if (mounted)
		(void)umount2(dir, MNT_DETACH);
	teardown();
}

static void
fill(void)
{
	char path[100], block[4096];
	int fd;

	memset(block, 'x', sizeof(block));
	snprintf(path, sizeof(path), "%s/fill", dir);
	ck_assert_int_ge(fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600),
	    0);
	while (write(fd, block, sizeof(block)) > 0)
		;
	ck_assert_int_eq(errno, ENOSPC);
	close(fd);
}

static void
make_room(void)
{
	char path[100];

	snprintf(path, sizeof(path), "%s/fill", dir);
	(void)unlink(path);
}

/* All that a new process finds. */
static void
observe(enum store_format f, struct buf *out)
{
	struct account *a = open_account(f);

	buf_reset(out);
	for (size_t i = 0; i < account_count(a); i++) {
		const struct account_box *b = account_box(a, i);
		uint32_t box = b->box;
		struct mailbox_message msg;
		struct mailbox *m;

		buf_addf(out, "%s %x:", b->name, b->flags);
		if (box == 0)
			continue;
		m = open_box(a, box);
		for (uint32_t n = 1; mailbox_message(m, n, &msg); n++) {
			struct mailbox_content c;

			OK(mailbox_content(m, msg.uid, &c, &why));
			buf_addf(out, " %u/%x/%u/%zu", msg.uid, msg.flags &
			    RECORD_STORED, msg.kwset, c.bytes.len);
			mailbox_content_done(&c);
		}
		mailbox_close(&m);
	}
	ck_assert_int_ge(account_metadata_get(a, ACCOUNT_INBOX,
	    SPAN("/private/comment"), out, &why), 0);
	buf_addf(out, " rights %x", account_rights(a, ACCOUNT_INBOX));
	account_close(&a);
}

static uint32_t
box_of(struct account *a, const char *name)
{
	const struct account_box *b = account_find(a, span_of(name));

	return b != NULL ? b->box : 0;
}

static int
do_append(struct account *a, size_t len)
{
	struct append *ap = append_begin(a, ACCOUNT_INBOX, NULL, 0, &why);
	struct append_info info = { .date_us = 1000000 };
	char block[4096];
	struct uid_result r;
	int rc = ap == NULL ? -1 : append_next(ap, &info, &why);

	memset(block, 'b', sizeof(block));
	for (size_t n = 0; rc == 0 && n < len; n += sizeof(block))
		rc = append_data(ap, span_make(block, MIN(len - n,
		    sizeof(block))), &why);
	if (rc == 0)
		rc = append_commit(ap, &r, &why);
	append_free(&ap);
	return rc;
}

static int
with_mailbox(struct account *a, char op)
{
	struct mailbox *m = mailbox_open(a, ACCOUNT_INBOX, 0, &why);
	struct ranges r = uids(mailbox_uid(m, 1), mailbox_uid(m, 2));
	struct span kw = SPAN("word");
	struct flags_request rq = { .uids = &r, .op = FLAGS_ADD,
	    .flags = STORE_ANSWERED, .keywords = &kw, .nkeywords = op == 'k',
	    .unchanged_since = UINT64_MAX };
	struct expunge_result ex;
	struct flags_result fr;
	struct uid_result ur;
	int rc = -1;

	if (op == 'f' || op == 'k')
		rc = mailbox_store_flags(m, &rq, &fr, &why);
	else if (op == 'c')
		rc = mailbox_copy(m, &r, a, box_of(a, "x"), &ur, &why);
	else if (op == 'm')
		rc = mailbox_move(m, &r, a, box_of(a, "x"), &ur, &why);
	else if (op == 'e')
		rc = mailbox_expunge(m, &r, true, &ex, &why);
	ranges_fini(&r);
	mailbox_close(&m);
	return rc;
}

static int
do_op(struct account *a, char op)
{
	struct account_state state;
	struct account_usage u;
	struct account_purged got;
	uint32_t box;

	switch (op) {
	case 'a':
		return do_append(a, 9000);
	case 'A':
		return do_append(a, 3000000);
	case 'C':
		return account_create(a, SPAN("new"), 0, &box, &why);
	case 'R':
		return account_rename(a, SPAN("x"), SPAN("renamed"), &why);
	case 'D':
		return account_delete(a, SPAN("z"), &why);
	case 's':
		return account_subscribe(a, SPAN("y"), true, &why);
	case 'd':
		return account_metadata_set(a, ACCOUNT_INBOX,
		    SPAN("/private/comment"), SPAN("about it"), &why);
	case 'l':
		return account_acl_set(a, ACCOUNT_INBOX, SPAN("bob"), 0,
		    RIGHT_LOOKUP, &why);
	case 'i':
		return mailbox_rebuild(a, ACCOUNT_INBOX, &why);
	case 'q':
		return account_usage(a, &u, &why);
	case 'j':
		return account_changes(a, NULL, &state, NULL, NULL, &why) < 0 ?
		    -1 : 0;
	case 'p':
		return account_purge(a, &got, &why);
	default:
		return with_mailbox(a, op);
	}
}

START_TEST(full_to_the_last_byte)
{
	static const char ops[] = "aAfkcmsdlCRDijqpe";
	enum store_format f = format_of(_i);
	struct buf before = BUF_INIT(BUF_UNLIMITED), after = before;
	struct account *a;
	uint32_t box;

	if (!mounted)
		return;
	a = open_account(f);
	OK(account_create(a, SPAN("x"), 0, &box, &why));
	OK(account_create(a, SPAN("z"), 0, &box, &why));
	(void)append(a, ACCOUNT_INBOX, 1, 6, 0, NULL);
	account_close(&a);
	for (const char *op = ops; *op != '\0'; op++) {
		int rc;

		fill();
		observe(f, &before);
		a = open_account(f);
		rc = do_op(a, *op);
		if (rc == 0)
			rc = account_sync(a, &why);
		ck_assert_msg(rc == 0 || account_error(a) ==
		    ACCOUNT_UNAVAILABLE || account_error(a) ==
		    ACCOUNT_OVERQUOTA, "%c: error %d: %s", *op,
		    account_error(a), why.text);
		ck_assert_msg(rc == 0 || strstr(why.text, "No space left") !=
		    NULL, "%c: %s", *op, why.text);
		account_close(&a);
		observe(f, &after);
		if (rc != 0)
			ck_assert_msg(strcmp(before.data, after.data) == 0,
			    "%c failed, but changed\n%s\nto\n%s", *op,
			    before.data, after.data);
		make_room();
		if (rc != 0) {
			a = open_account(f);
			rc = do_op(a, *op);
			ck_assert_msg(rc == 0, "%c, with room: %s", *op,
			    why.text);
			OK(account_sync(a, &why));
			account_close(&a);
		}
	}
	observe(f, &after);
	ck_assert_ptr_nonnull(strstr(after.data, "about it"));
	ck_assert_ptr_nonnull(strstr(after.data, "renamed"));
	ck_assert_ptr_nonnull(strstr(after.data, "new "));
	buf_fini(&before);
	buf_fini(&after);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("full");
	TCase *t = tcase_create("full");

	tcase_add_checked_fixture(t, small_disk, no_disk);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, full_to_the_last_byte, 0, FORMATS);
	suite_add_tcase(s, t);
	return s;
}
