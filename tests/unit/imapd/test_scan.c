/* SPDX-License-Identifier: ISC */
/*
 * scan: each token at its limits, and one past them.
 */
#include <check.h>

#include "imapd/scan.h"

static struct arena arena;

static struct scan
over(const char *text)
{
	struct scan s;

	scan_init(&s, span_of(text), &arena);
	return s;
}

/* NULL: refused. */
static const struct { const char *in, *want; size_t rest; } astrings[] = {
	{ "abc def", "abc", 4 },
	{ "\"a b\" c", "a b", 2 },
	{ "\"a\\\"b\\\\c\"", "a\"b\\c", 0 },
	{ "{3}\r\na\rb)", "a\rb", 1 },
	{ "{3+}\r\nabc", "abc", 0 },
	{ "{0}\r\n", "", 0 },
	{ "{2}\nab", "ab", 0 },
	{ "a]b", "a]b", 0 },
	{ "\"\"", "", 0 },
	{ "\"a", NULL, 0 }, { "\"a\\x\"", NULL, 0 }, { "\"a\\", NULL, 0 },
	{ "\"a\rb\"", NULL, 0 },
	{ "{4}\r\nabc", NULL, 0 }, { "{x}\r\nabc", NULL, 0 },
	{ "{}\r\n", NULL, 0 }, { "{3", NULL, 0 }, { "{3}abc", NULL, 0 },
	{ "{99999999999999999999}\r\nabc", NULL, 0 },
	{ "~{1}\r\na", "~", 6 },
	{ "", NULL, 0 }, { " a", NULL, 0 }, { "(a", NULL, 0 },
	{ "%", NULL, 0 }, { "\x80", NULL, 0 }, { "\x7f", NULL, 0 },
};

START_TEST(astring)
{
	struct scan s = over(astrings[_i].in);
	struct span got;
	bool ok = scan_astring(&s, &got);

	ck_assert_int_eq(ok, astrings[_i].want != NULL);
	if (ok) {
		ck_assert(span_is(got, astrings[_i].want));
		ck_assert_uint_eq(s.in.len - s.at, astrings[_i].rest);
	} else {
		ck_assert_uint_eq(s.at, 0);
		ck_assert_ptr_nonnull(s.err);
	}
}
END_TEST

START_TEST(literal8_only_where_it_is_allowed)
{
	struct scan s = over("~{3}\r\nabc");
	struct span got;
	bool binary;

	ck_assert(!scan_string(&s, &got));
	s = over("~{3}\r\nabc");
	ck_assert(scan_literal(&s, &got, &binary) && binary);
	scan_init(&s, span_make("{3}\r\na\0c", 8), &arena);
	ck_assert(!scan_literal(&s, &got, &binary));
	scan_init(&s, span_make("~{3}\r\na\0c", 9), &arena);
	ck_assert(scan_literal(&s, &got, &binary));
	ck_assert_uint_eq(got.len, 3);
}
END_TEST

static const struct { const char *in, *want; } sets[] = {
	{ "1", "1" }, { "1,2,3", "1:3" }, { "5:3,1", "1,3:5" },
	{ "2:4,3:9", "2:9" }, { "*", "4294967295" }, { "*:4", "4:4294967295" },
	{ "4294967295", "4294967294" },
	{ "0", NULL }, { "1:0", NULL }, { "", NULL }, { "1,", NULL },
	{ "1:", NULL }, { ":1", NULL }, { "4294967296", NULL }, { "a", NULL },
};

START_TEST(set)
{
	struct scan s = over(sets[_i].in);
	struct ranges r = RANGES_INIT;
	struct buf b = BUF_INIT(100);

	ck_assert_int_eq(scan_set(&s, &r), sets[_i].want != NULL);
	if (sets[_i].want) {
		ranges_print(&r, &b);
		ck_assert_str_eq(b.data, sets[_i].want);
		ck_assert(scan_end(&s));
	} else {
		ck_assert_uint_eq(s.at, 0);
	}
	buf_fini(&b);
	ranges_fini(&r);
}
END_TEST

static const struct { const char *in, *want; bool utf8; } names[] = {
	{ "iNbOx", "INBOX", false }, { "inbox/a", "INBOX/a", false },
	{ "inboxes", "inboxes", false },
	{ "Entw&APw-rfe", "Entwürfe", false },
	{ "Entw&APw-rfe", "Entw&APw-rfe", true },
	{ "\"Entwürfe\"", "Entwürfe", true },
	{ "\"Entwürfe\"", "Entwürfe", false },	/* clients do that */
	{ "\"a&b\"", NULL, false }, { "\"a&b\"", "a&b", true },
	{ "\"\xff\"", NULL, true }, { "\"\xff\"", NULL, false },
	{ "&AGE-", NULL, false },
};

START_TEST(mailbox)
{
	struct scan s = over(names[_i].in);
	struct span got;

	s.utf8 = names[_i].utf8;
	ck_assert_int_eq(scan_mailbox(&s, &got), names[_i].want != NULL);
	if (names[_i].want)
		ck_assert(span_is(got, names[_i].want));
	else
		/* RFC 9755 3: a quoted string that is no UTF-8 is BAD. */
		ck_assert_int_eq(s.no && s.code, !names[_i].utf8);
}
END_TEST

static const struct { const char *in; int64_t want; } dates[] = {
	{ "1-Jan-1970", 0 }, { "\"02-mar-2026\"", 20514 },
	{ "29-Feb-2024", 19782 }, { "31-Dec-1969", -1 },
	{ "29-Feb-2023", INT64_MIN }, { "0-Jan-2000", INT64_MIN },
	{ "1-Foo-2000", INT64_MIN }, { "1-Jan-00", INT64_MIN },
	{ "32-Jan-2000", INT64_MIN }, { "1-Jan-20000", INT64_MIN },
};

START_TEST(date)
{
	struct scan s = over(dates[_i].in);
	int64_t days = INT64_MIN;
	bool ok = scan_date(&s, &days);

	ck_assert_int_eq(ok, dates[_i].want != INT64_MIN);
	if (ok)
		ck_assert_int_eq(days, dates[_i].want);
}
END_TEST

static const struct { const char *in; int64_t want; } times[] = {
	{ "\" 1-Jan-1970 00:00:00 +0000\"", 0 },
	{ "\"02-Mar-2026 14:05:09 +0100\"", 1772456709 },
	{ "\"02-Mar-2026 07:35:09 -0530\"", 1772456709 },
	{ "\"02-Mar-2026 24:00:00 +0000\"", INT64_MIN },
	{ "\"02-Mar-2026 14:05:09\"", INT64_MIN },
	{ "\"02-Mar-2026 14:05:09 +0160\"", INT64_MIN },
	{ "\"02-Mar-2026 14:05:09 +0100 \"", INT64_MIN },
	{ "02-Mar-2026", INT64_MIN },
};

START_TEST(date_time)
{
	struct scan s = over(times[_i].in);
	int64_t at = INT64_MIN;
	int zone;
	bool ok = scan_date_time(&s, &at, &zone);

	ck_assert_int_eq(ok, times[_i].want != INT64_MIN);
	if (ok)
		ck_assert_int_eq(at, times[_i].want);
}
END_TEST

START_TEST(depth_is_bounded)
{
	char text[SCAN_DEPTH_MAX + 3] = "";
	struct scan s;

	memset(text, '(', SCAN_DEPTH_MAX + 1);
	s = over(text);
	for (int i = 0; i < SCAN_DEPTH_MAX; i++)
		ck_assert(scan_open(&s));
	ck_assert(!scan_open(&s));
}
END_TEST

START_TEST(numbers)
{
	struct scan s = over("4294967295 4294967296");
	uint32_t n;
	uint64_t big;

	ck_assert(scan_number(&s, &n) && n == UINT32_MAX && scan_sp(&s));
	ck_assert(!scan_number(&s, &n));
	ck_assert(scan_number64(&s, &big) && big == 4294967296u);
	s = over("9223372036854775808");
	ck_assert(!scan_number64(&s, &big));
	s = over("0");
	ck_assert(!scan_nz_number(&s, &n) && scan_number(&s, &n) && n == 0);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("scan");
	TCase *t = tcase_create("scan");

	tcase_add_loop_test(t, astring, 0, ARRAY_LEN(astrings));
	tcase_add_test(t, literal8_only_where_it_is_allowed);
	tcase_add_loop_test(t, set, 0, ARRAY_LEN(sets));
	tcase_add_loop_test(t, mailbox, 0, ARRAY_LEN(names));
	tcase_add_loop_test(t, date, 0, ARRAY_LEN(dates));
	tcase_add_loop_test(t, date_time, 0, ARRAY_LEN(times));
	tcase_add_test(t, depth_is_bounded);
	tcase_add_test(t, numbers);
	suite_add_tcase(s, t);
	return s;
}
