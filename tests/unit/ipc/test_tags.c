/* SPDX-License-Identifier: ISC */
#include "ipc/tags.h"

START_TEST(a_late_answer_finds_nobody)
{
	struct tags t = TAGS_INIT;
	int a, b;
	uint32_t ta = tags_add(&t, &a), tb;

	ck_assert_uint_ne(ta, 0);
	ck_assert_ptr_eq(tags_get(&t, ta), &a);
	tags_del(&t, ta);
	ck_assert_ptr_null(tags_get(&t, ta));
	tb = tags_add(&t, &b);		/* the same place, another tag */
	ck_assert_uint_ne(ta, tb);
	ck_assert_ptr_null(tags_get(&t, ta));
	ck_assert_ptr_eq(tags_get(&t, tb), &b);
	tags_del(&t, ta);		/* twice does no harm */
	ck_assert_ptr_eq(tags_get(&t, tb), &b);
	ck_assert_uint_eq(t.used, 1);
	ck_assert_ptr_null(tags_get(&t, 0));
	ck_assert_ptr_null(tags_get(&t, UINT32_MAX));
	ARRAY_FINI(&t.slots);
}
END_TEST

START_TEST(generations_come_round)
{
	struct tags t = TAGS_INIT;
	int a;

	for (int i = 0; i < 10000; i++) {
		uint32_t tag = tags_add(&t, &a);

		ck_assert_uint_ne(tag, 0);
		ck_assert_ptr_eq(tags_get(&t, tag), &a);
		tags_del(&t, tag);
	}
	ck_assert_uint_eq(t.slots.len, 2);
	ARRAY_FINI(&t.slots);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("smtpd/tags");
	TCase *t = tcase_create("tags");

	tcase_add_test(t, a_late_answer_finds_nobody);
	tcase_add_test(t, generations_come_round);
	suite_add_tcase(s, t);
	return s;
}
