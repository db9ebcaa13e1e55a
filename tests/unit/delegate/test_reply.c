/* SPDX-License-Identifier: ISC */
/*
 * reply: answers of policy services, and requests to them.
 */
#include <check.h>

#include "base/mem.h"
#include "delegate/delegate.h"

static const struct {
	const char	*text, *action;	/* NULL: no answer */
	size_t		 used;		/* 0: it is not whole */
} cases[] = {
	{ "action=DUNNO\n\n", "DUNNO", 14 },
	{ "action=\n\n", "", 9 },
	{ "action=a=b\n\nmore", "a=b", 12 },
	{ "a=b\naction=OK\nc=d\n\n", "OK", 19 },
	{ "action=OK\naction=REJECT\n\n", "OK", 25 },
	{ "action=OK\r\n\r\n", "OK", 13 },
	{ "actions=OK\naction=x\n\n", "x", 21 },
	{ "", NULL, 0 }, { "action=DUNNO", NULL, 0 },
	{ "action=DUNNO\n", NULL, 0 }, { "action=DUNNO\r\n", NULL, 0 },
	{ "\n", NULL, 1 }, { "\r\n", NULL, 2 }, { "a=b\n\n", NULL, 5 },
	{ "action\n", NULL, 7 }, { "=x\n", NULL, 3 },
};
START_TEST(an_answer)
{
	struct span in = span_of(cases[_i].text), action;
	const char *reason = NULL;
	size_t used = 0;
	int rc = reply_parse(in, &action, &used, &reason);

	if (cases[_i].action != NULL) {
		ck_assert_int_eq(rc, 1);
		ck_assert(span_is(action, cases[_i].action));
		ck_assert_uint_eq(used, cases[_i].used);
	} else if (cases[_i].used > 0) {
		ck_assert_int_eq(rc, -1);
		ck_assert_ptr_nonnull(reason);
	} else {
		ck_assert_int_eq(rc, 0);
	}
}
END_TEST

START_TEST(nul_and_length)
{
	struct span action;
	const char *reason;
	size_t used;
	struct buf b = BUF_INIT(BUF_UNLIMITED);

	ck_assert_int_eq(reply_parse(span_make("action=\0\n\n", 10), &action,
	    &used, &reason), -1);
	buf_add_str(&b, "action=");
	for (size_t i = 0; i < DELEGATE_ACTION_MAX; i++)
		buf_add_char(&b, 'x');
	buf_add_str(&b, "\n\n");
	ck_assert_int_eq(reply_parse(buf_span(&b), &action, &used, &reason),
	    1);
	b.data[b.len - 2] = 'x';
	buf_add_str(&b, "\n\n");
	ck_assert_int_eq(reply_parse(buf_span(&b), &action, &used, &reason),
	    -1);
	buf_fini(&b);
}
END_TEST

START_TEST(a_request_is_one)
{
	ck_assert(request_valid(SPAN("a=b\n\n")));
	ck_assert(request_valid(SPAN("a=b\nc=d\n\n")));
	ck_assert(!request_valid(SPAN("")));
	ck_assert(!request_valid(SPAN("\n\n")));
	ck_assert(!request_valid(SPAN("a=b\n")));
	ck_assert(!request_valid(SPAN("a=b\n\n\n")));
	ck_assert(!request_valid(SPAN("a=b\n\nc=d\n\n")));
	ck_assert(!request_valid(SPAN("\na=b\n\n")));
	ck_assert(!request_valid(span_make("a=\0\n\n", 5)));
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("reply");
	TCase *c = tcase_create("reply");

	tcase_add_loop_test(c, an_answer, 0, ARRAY_LEN(cases));
	tcase_add_test(c, nul_and_length);
	tcase_add_test(c, a_request_is_one);
	suite_add_tcase(s, c);
	return s;
}
