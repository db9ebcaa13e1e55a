/* SPDX-License-Identifier: ISC */
/*
 * userfile, password: accounts survive, and nothing half is ever there.
 */
#include <check.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/password.h"
#include "auth/userfile.h"
#include "io/fault.h"
#include "io/fd.h"

static char path[64];

static void
setup(void)
{
	snprintf(path, sizeof(path), "userfile.%ld", (long)getpid());
	unlink(path);
}

static void
teardown(void)
{
	unlink(path);
}

static void
put(const char *text)
{
	ck_assert_int_eq(fd_replace_file(AT_FDCWD, path, 0600, text,
	    strlen(text)), 0);
}

static void
expect(const char *want)
{
	struct buf b = BUF_INIT(10000);

	ck_assert_int_eq(fd_read_file(AT_FDCWD, path, &b), 0);
	ck_assert_str_eq(b.data, want);
	buf_fini(&b);
}

START_TEST(lines_are_kept)
{
	struct userfile f;
	struct why why = WHY_INIT;
	struct span h;
	struct stat st;

	put("# mine\na@b:{x}1:more:fields\n\nc@d:{x}2\ne@f:{x}3:\n");
	ck_assert_int_eq(userfile_read(&f, path, &why), 0);
	ck_assert_uint_eq(f.count, 3);
	ck_assert(userfile_hash(&f, SPAN("a@b"), &h));
	ck_assert(span_is(h, "{x}1"));
	ck_assert(userfile_hash(&f, SPAN("c@d"), &h));
	ck_assert(span_is(h, "{x}2"));
	ck_assert(!userfile_set(&f, SPAN("a@b"), SPAN("{y}9")));
	ck_assert(userfile_set(&f, SPAN("n@n"), SPAN("{y}8")));
	ck_assert(userfile_delete(&f, SPAN("e@f")));
	ck_assert(!userfile_delete(&f, SPAN("e@f")));
	ck_assert_int_eq(userfile_write(&f, &why), 0);
	expect("# mine\na@b:{y}9:more:fields\n\nc@d:{x}2\nn@n:{y}8:\n");
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0640);
	userfile_fini(&f);
}
END_TEST

START_TEST(bad_files_are_refused)
{
	static const char *const bad[] = {
		"no colon\n", ":x\n", "a@b:x\na@b:y\n",
	};
	struct userfile f;
	struct why why = WHY_INIT;

	put(bad[_i]);
	ck_assert_int_eq(userfile_read(&f, path, &why), -1);
	ck_assert_ptr_nonnull(strstr(why.text, path));
}
END_TEST

START_TEST(a_failing_call_keeps_the_old_file)
{
	struct userfile f;
	struct why why = WHY_INIT;

	put("a@b:{x}1:\n");
	for (unsigned n = 1; n < 20; n++) {
		int rc;

		ck_assert_int_eq(userfile_read(&f, path, &why), 0);
		(void)userfile_set(&f, SPAN("c@d"), SPAN("{x}2"));
		fault_arm(n, ENOSPC);
		rc = userfile_write(&f, &why);
		fault_arm(0, 0);
		userfile_fini(&f);
		expect(rc == 0 ? "a@b:{x}1:\nc@d:{x}2:\n" : "a@b:{x}1:\n");
		if (rc == 0)
			return;
	}
	ck_abort_msg("no end");
}
END_TEST

START_TEST(passwords)
{
	struct buf full = BUF_INIT(500), light = BUF_INIT(500);
	struct why why = WHY_INIT;
	char big[PASSWORD_MAX + 1];

	memset(big, 'x', sizeof(big));
	ck_assert_int_eq(password_hash(SPAN("wonderland"), PASSWORD_FULL,
	    &full, &why), 0);
	ck_assert_int_eq(password_hash(SPAN("wonderland"), PASSWORD_LIGHT,
	    &light, &why), 0);
	ck_assert(span_starts(buf_span(&full), SPAN("{ARGON2ID}$argon2id$")));
	ck_assert(!span_eq(buf_span(&full), buf_span(&light)));
	ck_assert_int_eq(password_check(SPAN("wonderland"),
	    buf_span(&full)), 1);
	ck_assert_int_eq(password_check(SPAN("wonderland"),
	    buf_span(&light)), 1);
	ck_assert_int_eq(password_check(SPAN("Wonderland"),
	    buf_span(&light)), 0);
	ck_assert_int_eq(password_check(SPAN(""), buf_span(&light)), 0);
	ck_assert_int_eq(password_check(SPAN("x"), SPAN("{nosuch}x")), -1);
	ck_assert(!password_is_light(buf_span(&full)));
	ck_assert(password_is_light(buf_span(&light)));
	/* An import of 10,000 accounts must not take a minute. */
	ck_assert(span_starts(buf_span(&light), SPAN("{SCRAM-SHA-256}4096,")));
	ck_assert_int_eq(password_hash(SPAN(""), PASSWORD_LIGHT, &full,
	    &why), -1);
	ck_assert_int_eq(password_hash(SPAN("a\0b"), PASSWORD_LIGHT, &full,
	    &why), -1);
	ck_assert_int_eq(password_hash(span_make(big, PASSWORD_MAX + 1),
	    PASSWORD_LIGHT, &full, &why), -1);
	ck_assert_int_eq(password_hash(span_make(big, PASSWORD_MAX),
	    PASSWORD_LIGHT, &full, &why), 0);
	buf_wipe(&full);
	buf_wipe(&light);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("userfile");
	TCase *t = tcase_create("userfile");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, lines_are_kept);
	tcase_add_loop_test(t, bad_files_are_refused, 0, 3);
	tcase_add_test(t, a_failing_call_keeps_the_old_file);
	tcase_add_test(t, passwords);
	suite_add_tcase(s, t);
	return s;
}
