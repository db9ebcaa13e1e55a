/* SPDX-License-Identifier: ISC */
/*
 * buf: growing, limits, and writing from itself.
 */
#include <signal.h>

#include "base/buf.h"
#include "base/mem.h"

START_TEST(an_unused_buf_is_an_empty_string)
{
	struct buf b = BUF_INIT(10);

	ck_assert_str_eq(b.data, "");
	buf_reset(&b);
	buf_consume(&b, 0);
	buf_trunc(&b, 0);
	ck_assert_int_eq(buf_put(&b, NULL, 0), 0);
	buf_fini(&b);
	ck_assert_str_eq(b.data, "");
}
END_TEST

START_TEST(a_buf_takes_its_limit_and_not_one_more)
{
	for (size_t max = 0; max < 300; max += 13) {
		struct buf b = BUF_INIT(max);

		for (size_t i = 0; i < max; i++)
			ck_assert_int_eq(buf_put_char(&b, 'x'), 0);
		ck_assert_uint_eq(b.len, max);
		ck_assert_int_eq(buf_put_char(&b, 'y'), -1);
		ck_assert_int_eq(buf_put_str(&b, "y"), -1);
		ck_assert_int_eq(buf_put_str(&b, ""), 0);
		ck_assert_int_eq(buf_printf(&b, "%c", 'y'), -1);
		ck_assert_ptr_null(buf_reserve(&b, 1));
		ck_assert_uint_eq(b.len, max);
		ck_assert_uint_eq(strlen(b.data), max);
		buf_fini(&b);
	}
}
END_TEST

START_TEST(printf_takes_the_limit_and_leaves_a_full_buf_alone)
{
	struct buf b = BUF_INIT(100);

	ck_assert_int_eq(buf_printf(&b, "%0100d", 1), 0);
	ck_assert_uint_eq(b.len, 100);
	buf_trunc(&b, 5);
	ck_assert_int_eq(buf_printf(&b, "%096d", 1), -1);
	ck_assert_str_eq(b.data, "00000");
	ck_assert_int_eq(buf_printf(&b, "%095d", 1), 0);
	buf_fini(&b);
}
END_TEST

START_TEST(a_reservation_larger_than_any_memory_is_refused)
{
	struct buf b = BUF_INIT(1000);

	ck_assert_ptr_null(buf_reserve(&b, SIZE_MAX));
	ck_assert_int_eq(buf_put(&b, "x", 1), 0);
	ck_assert_ptr_null(buf_reserve(&b, SIZE_MAX));
	ck_assert_ptr_null(buf_reserve(&b, SIZE_MAX - 1));
	ck_assert_ptr_nonnull(buf_reserve(&b, 999));
	buf_fini(&b);
}
END_TEST

START_TEST(a_buf_can_be_appended_to_itself)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);

	buf_add_str(&b, "0123456789");
	for (int i = 0; i < 10; i++)
		buf_add(&b, b.data, b.len);
	ck_assert_uint_eq(b.len, 10 << 10);
	for (size_t i = 0; i < b.len; i++)
		ck_assert_int_eq(b.data[i], '0' + (int)(i % 10));
	buf_fini(&b);
}
END_TEST

START_TEST(bytes_may_be_nul)
{
	struct buf b = BUF_INIT(10);

	ck_assert_int_eq(buf_put(&b, "a\0b", 3), 0);
	ck_assert(span_eq(buf_span(&b), SPAN("a\0b")));
	buf_consume(&b, 2);
	ck_assert_str_eq(b.data, "b");
	buf_fini(&b);
}
END_TEST

START_TEST(reserved_room_becomes_content_when_committed)
{
	struct buf b = BUF_INIT(10);
	char *p = buf_reserve(&b, 10);

	memcpy(p, "0123", 4);
	buf_commit(&b, 4);
	ck_assert_str_eq(b.data, "0123");
	p = buf_reserve(&b, 6);
	memcpy(p, "456789", 6);
	buf_commit(&b, 6);
	ck_assert_str_eq(b.data, "0123456789");
	buf_fini(&b);
}
END_TEST

START_TEST(taken_bytes_belong_to_the_caller)
{
	struct buf b = BUF_INIT(10);
	char *p;

	buf_add_str(&b, "mine");
	p = buf_take(&b);
	ck_assert_str_eq(p, "mine");
	ck_assert_uint_eq(b.len, 0);
	buf_add_str(&b, "next");
	ck_assert_str_eq(p, "mine");
	mem_free(p);
	buf_wipe(&b);
	p = buf_take(&b);
	ck_assert_str_eq(p, "");
	mem_free(p);
}
END_TEST

/* Our own bugs abort. */
START_TEST(over_the_limit_panics)
{
	struct buf b = BUF_INIT(3);

	buf_add_str(&b, "four");
}
END_TEST

START_TEST(committing_more_than_reserved_panics)
{
	struct buf b = BUF_INIT(1000);

	(void)!buf_reserve(&b, 100);
	buf_commit(&b, 1000);
}
END_TEST

START_TEST(consuming_more_than_there_is_panics)
{
	struct buf b = BUF_INIT(3);

	buf_add_str(&b, "abc");
	buf_consume(&b, 4);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("buf");
	TCase *t = tcase_create("buf");

	tcase_add_test(t, an_unused_buf_is_an_empty_string);
	tcase_add_test(t, a_buf_takes_its_limit_and_not_one_more);
	tcase_add_test(t, printf_takes_the_limit_and_leaves_a_full_buf_alone);
	tcase_add_test(t, a_reservation_larger_than_any_memory_is_refused);
	tcase_add_test(t, a_buf_can_be_appended_to_itself);
	tcase_add_test(t, bytes_may_be_nul);
	tcase_add_test(t, reserved_room_becomes_content_when_committed);
	tcase_add_test(t, taken_bytes_belong_to_the_caller);
	tcase_add_test_raise_signal(t, over_the_limit_panics, SIGABRT);
	tcase_add_test_raise_signal(t, committing_more_than_reserved_panics,
	    SIGABRT);
	tcase_add_test_raise_signal(t, consuming_more_than_there_is_panics,
	    SIGABRT);
	suite_add_tcase(s, t);
	return s;
}
