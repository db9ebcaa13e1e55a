/* SPDX-License-Identifier: ISC */
/*
 * book: when a slot of the log may be reused.
 */
#include <check.h>

#include "qmgr/book.h"

static uint32_t released[16];
static unsigned n_released;

static void
on_release(void *arg, uint32_t slot, uint32_t generation)
{
	ck_assert_uint_lt(n_released, 16);
	released[n_released++] = slot * 1000 + generation;
}

static struct book
book(void)
{
	struct book b = BOOK_INIT;

	b.release = on_release;
	n_released = 0;
	return b;
}

static bool
count(struct book *b, uint32_t slot, uint32_t gen, uint64_t seq,
    bool unfinished)
{
	struct qlog_pos pos = {
		.slot = slot, .generation = gen, .seq = seq, .offset = 4096
	};

	return book_count(b, &pos, unfinished, 0);
}

START_TEST(a_slot_is_free_when_it_is_closed_and_all_is_finished)
{
	struct book b = book();

	ck_assert(count(&b, 0, 1, 1, true));
	ck_assert(count(&b, 0, 1, 2, true));
	book_finish(&b, 0, 1);
	book_finish(&b, 0, 1);
	ck_assert_uint_eq(n_released, 0);	/* more may come */
	ck_assert(count(&b, 1, 1, 3, true));
	ck_assert_uint_eq(n_released, 1);
	ck_assert_uint_eq(released[0], 1);
	book_fini(&b);
}
END_TEST

START_TEST(an_agent_that_reads_keeps_it)
{
	struct book b = book();

	ck_assert(count(&b, 0, 1, 1, true));
	book_lend(&b, 0, 1);
	ck_assert(count(&b, 1, 1, 2, true));
	book_finish(&b, 0, 1);
	ck_assert_uint_eq(n_released, 0);
	book_return(&b, 0, 1);
	ck_assert_uint_eq(n_released, 1);
	book_fini(&b);
}
END_TEST

START_TEST(a_message_is_counted_once)
{
	struct book b = book();

	ck_assert(count(&b, 0, 1, 5, true));
	ck_assert(!count(&b, 0, 1, 5, true));
	ck_assert(!count(&b, 0, 1, 4, true));
	ck_assert_uint_eq(b.unfinished, 1);
	book_fini(&b);
}
END_TEST

START_TEST(a_slot_of_finished_messages_is_free_at_once)
{
	struct book b = book();

	ck_assert(count(&b, 3, 9, 1, false));
	ck_assert(count(&b, 4, 2, 2, false));
	ck_assert_uint_eq(n_released, 1);
	ck_assert_uint_eq(released[0], 3009);
	book_fini(&b);
}
END_TEST

START_TEST(a_release_is_said_again_until_it_is_durable)
{
	struct book b = book();

	ck_assert(count(&b, 0, 1, 1, false));
	ck_assert(count(&b, 1, 1, 2, true));
	ck_assert_uint_eq(n_released, 1);
	book_release_again(&b);
	ck_assert_uint_eq(n_released, 2);
	ck_assert_uint_eq(book_min_seq(&b), 1);	/* may come back */
	book_forget(&b, 0);
	book_release_again(&b);
	ck_assert_uint_eq(n_released, 2);
	ck_assert_uint_eq(book_min_seq(&b), 2);
	book_fini(&b);
}
END_TEST

START_TEST(what_is_not_released_is_not_forgotten)
{
	struct book b = book();

	ck_assert(count(&b, 0, 1, 1, true));
	book_forget(&b, 0);
	ck_assert_ptr_nonnull(book_slot(&b, 0, 1));
	book_fini(&b);
}
END_TEST

START_TEST(a_reused_slot_is_another_one)
{
	struct book b = book();

	ck_assert(count(&b, 0, 1, 1, false));
	ck_assert(count(&b, 1, 1, 2, true));
	ck_assert(count(&b, 0, 2, 3, true));
	ck_assert_ptr_null(book_slot(&b, 0, 1));
	ck_assert_ptr_nonnull(book_slot(&b, 0, 2));
	ck_assert_uint_eq(book_min_seq(&b), 2);
	book_fini(&b);
}
END_TEST

START_TEST(nonsense_positions_are_refused)
{
	struct book b = book();

	ck_assert(!count(&b, BOOK_SLOT_MAX, 1, 1, true));
	ck_assert_ptr_null(book_slot(&b, 77, 1));
	book_fini(&b);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("book");
	TCase *t = tcase_create("book");

	tcase_add_test(t,
	    a_slot_is_free_when_it_is_closed_and_all_is_finished);
	tcase_add_test(t, an_agent_that_reads_keeps_it);
	tcase_add_test(t, a_message_is_counted_once);
	tcase_add_test(t, a_slot_of_finished_messages_is_free_at_once);
	tcase_add_test(t, a_release_is_said_again_until_it_is_durable);
	tcase_add_test(t, what_is_not_released_is_not_forgotten);
	tcase_add_test(t, a_reused_slot_is_another_one);
	tcase_add_test(t, nonsense_positions_are_refused);
	suite_add_tcase(s, t);
	return s;
}
