/* SPDX-License-Identifier: ISC */
/*
 * date: reading what is written, and writing.  The seconds were made with
 * date(1).
 */
#include <check.h>

#include "mail/date.h"

static const struct { const char *in; int64_t want; int zone; } cases[] = {
	{ "Mon, 02 Mar 2026 14:05:09 +0100", 1772456709, 60 },
	{ "2 Mar 2026 14:05 +0100", 1772456700, 60 },
	{ " Mon,2 Mar 2026\n 14:05:09 -0530 (IST)", 1772480109, -330 },
	{ "Mon, 02 Mar 26 13:05:09 GMT", 1772456709, 0 },
	{ "Mon, 02 Mar 126 13:05:09 UT", 1772456709, 0 },
	{ "Mon, 02 Mar 2026 08:05:09 EST", 1772456709, -300 },
	{ "Mon, 02-Mar-2026 13:05:09 GMT", 1772456709, 0 },
	{ "Mon Mar  2 13:05:09 2026", 1772456709, 0 },
	{ "(x) Mon (y), 02 March 2026 13:05:09", 1772456709, 0 },
	{ "Mon, 02 Mar 2026 13:05:09.123 +0000", 1772456709, 0 },
	{ "Thu, 01 Jan 1970 00:00:00 +0000", 0, 0 },
	{ "31 Dec 1969 23:59:59 +0000", -1, 0 },
	{ "29 Feb 2024 00:00:00 +0000", 1709164800, 0 },
	{ "29 Feb 2023 00:00:00 +0000", INT64_MIN, 0 },
	{ "31 Apr 2024 00:00:00 +0000", INT64_MIN, 0 },
	/* RFC 5256 2.2 */
	{ "1 Jan 2024 24:00:00 +0000", 1704067200, 0 },
	{ "1 Jan 2024 23:60:00 +0100", 1704063600, 60 },
	{ "1 Jan 2024 noon", 1704067200, 0 }, { "1 Jan 2024", 1704067200, 0 },
	{ "1 Jan 2024 10:00 +0099", 1704103200, 0 },
	{ "1 Jan 2024 10:00 XYZ", 1704103200, 0 },
	{ "1 Jan 2024 +0100", 1704063600, 60 },
	{ "31 Dec 2016 23:59:60 +0000", 1483228799, 0 },
	{ "1 Jan 1899 00:00:00 +0000", INT64_MIN, 0 },
	{ "", INT64_MIN, 0 },
	{ "yesterday", INT64_MIN, 0 }, { "1 Jan", INT64_MIN, 0 },
	{ "1 Jan 2024 10:00 +0000 x y z", INT64_MIN, 0 },
};

START_TEST(date_is_read)
{
	int64_t got = INT64_MIN;
	int zone = 0;
	int rc = date_parse(span_of(cases[_i].in), &got, &zone);

	ck_assert_int_eq(rc, cases[_i].want == INT64_MIN ? -1 : 0);
	ck_assert_int_eq(got, cases[_i].want);
	ck_assert_int_eq(zone, cases[_i].zone);
}
END_TEST

START_TEST(date_is_written)
{
	char out[DATE_MAX];

	date_format(1772456709, 60, out);
	ck_assert_str_eq(out, "Mon, 02 Mar 2026 14:05:09 +0100");
	date_format(1772456709, -330, out);
	ck_assert_str_eq(out, "Mon, 02 Mar 2026 07:35:09 -0530");
	date_format(-1, 0, out);
	ck_assert_str_eq(out, "Wed, 31 Dec 1969 23:59:59 +0000");
	date_format(0, 100000, out);
	ck_assert_str_eq(out, "Thu, 01 Jan 1970 00:00:00 +0000");
}
END_TEST

START_TEST(date_goes_round)
{
	for (int64_t t = -2208800000; t < 253402200000; t += 86400LL * 97 + 7) {
		char out[DATE_MAX];
		int64_t back;
		int zone;

		date_format(t, (int)(t % 700), out);
		ck_assert_int_eq(date_parse(span_of(out), &back, &zone), 0);
		ck_assert_int_eq(back, t);
	}
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("date");
	TCase *t = tcase_create("date");

	tcase_add_loop_test(t, date_is_read, 0, ARRAY_LEN(cases));
	tcase_add_test(t, date_is_written);
	tcase_add_test(t, date_goes_round);
	suite_add_tcase(s, t);
	return s;
}
