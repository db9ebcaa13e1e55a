/* SPDX-License-Identifier: ISC */
/*
 * The sandbox table keeps its own rules.
 */
#include "daemon/sandbox.h"

START_TEST(rows_are_consistent)
{
	for (const struct jail *j = sandbox_table; j->name != NULL; j++) {
		ck_assert_ptr_eq(sandbox_find(j->name), j);
		ck_assert_ptr_nonnull(j->sockets);
		ck_assert_ptr_nonnull(j->says);
		/* Who is jailed opens no file, starts nothing and is never
		 * root. */
		if (j->chroot) {
			ck_assert_int_eq(j->user, JAIL_MAIL_OWNER);
			ck_assert_str_eq(j->paths, "");
			ck_assert_uint_eq(j->may & (JAIL_FILES | JAIL_WRITE |
			    JAIL_IDS | JAIL_ANYTHING), 0);
		}
		if (j->new_privs || (j->may & (JAIL_IDS | JAIL_ANYTHING)))
			ck_assert_int_eq(j->user, JAIL_ROOT);
		if (j->may & JAIL_WRITE)
			ck_assert_uint_ne(j->may & JAIL_FILES, 0);
	}
	ck_assert_ptr_null(sandbox_find("nosuch"));
}
END_TEST

START_TEST(those_who_meet_strangers_are_jailed)
{
	ck_assert(sandbox_find("smtpd")->chroot);
	ck_assert(sandbox_find("lmtpd")->chroot);
	ck_assert(sandbox_find("smtp")->chroot);
}
END_TEST

START_TEST(a_row_can_be_read)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);

	sandbox_describe(sandbox_find("smtpd"), &b);
	ck_assert_ptr_nonnull(strstr(b.data, "private/cleanup"));
	ck_assert_ptr_nonnull(strstr(b.data, "jail/smtpd"));
	ck_assert_ptr_nonnull(strstr(b.data, "none"));
	buf_fini(&b);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("sandbox");
	TCase *t = tcase_create("table");

	tcase_add_test(t, rows_are_consistent);
	tcase_add_test(t, those_who_meet_strangers_are_jailed);
	tcase_add_test(t, a_row_can_be_read);
	suite_add_tcase(s, t);
	return s;
}
