/* SPDX-License-Identifier: ISC */
/*
 * utf8, why, clock and log: text that people and programs read.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/span.h"
#include "base/utf8.h"
#include "base/why.h"

static const struct {
	const char	*in;
	size_t		 n;		/* 0: not valid */
	uint32_t	 cp;
} sequences[] = {
	{ "a",			1, 'a' },
	{ "\x7f",		1, 0x7f },
	{ "\x80",		0, 0 },
	{ "\xc0\x80",		0, 0 },		/* overlong */
	{ "\xc1\xbf",		0, 0 },
	{ "\xc2\x80",		2, 0x80 },
	{ "\xdf\xbf",		2, 0x7ff },
	{ "\xe0\x9f\xbf",	0, 0 },
	{ "\xe0\xa0\x80",	3, 0x800 },
	{ "\xed\x9f\xbf",	3, 0xd7ff },
	{ "\xed\xa0\x80",	0, 0 },		/* a surrogate */
	{ "\xee\x80\x80",	3, 0xe000 },
	{ "\xef\xbf\xbf",	3, 0xffff },
	{ "\xf0\x8f\xbf\xbf",	0, 0 },
	{ "\xf0\x90\x80\x80",	4, 0x10000 },
	{ "\xf4\x8f\xbf\xbf",	4, 0x10ffff },
	{ "\xf4\x90\x80\x80",	0, 0 },
	{ "\xf5\x80\x80\x80",	0, 0 },
	{ "\xff",		0, 0 },
	{ "\xc3",		0, 0 },		/* cut off */
	{ "\xe2\x82",		0, 0 },
	{ "\xf0\x90\x80",	0, 0 },
	{ "\xc3(",		0, 0 },
};

START_TEST(utf8_sequences)
{
	struct span s = span_of(sequences[_i].in);
	uint32_t cp = 0;

	ck_assert_uint_eq(utf8_next(s, &cp), sequences[_i].n);
	ck_assert_uint_eq(cp, sequences[_i].cp);
	ck_assert_int_eq(utf8_valid(s), sequences[_i].n > 0);
	ck_assert_int_eq(utf8_ascii(s), sequences[_i].n == 1);
}
END_TEST

START_TEST(utf8_texts)
{
	ck_assert(utf8_valid(SPAN_EMPTY));
	ck_assert(utf8_ascii(SPAN_EMPTY));
	ck_assert(utf8_valid(SPAN("gr\xc3\xbc\xc3\x9f dich, welt")));
	ck_assert(!utf8_ascii(SPAN("0123456789abcde\xc3\xbc")));
	ck_assert(!utf8_ascii(SPAN("0123456\xff" "89abcdef")));
	ck_assert(utf8_ascii(SPAN("0123456789abcdef\0x")));
	ck_assert(!utf8_valid(SPAN("0123456789abcdef\xff")));
}
END_TEST

START_TEST(a_reason_is_one_line_and_its_end_is_cut)
{
	struct why w = WHY_INIT;
	char text[WHY_TEXT_MAX + 1];

	ck_assert_int_eq(why_set(&w, "5.7.1", "a\r\nb\x1b[31m %d\n", 3), -1);
	ck_assert_str_eq(w.text, "a  b [31m 3");
	ck_assert_str_eq(w.code, "5.7.1");
	ck_assert(!why_temporary(&w));
	memset(text, 'x', sizeof(text));
	text[WHY_TEXT_MAX] = '\0';
	why_set(&w, "4.3.0", "%s", text);
	ck_assert_uint_eq(strlen(w.text), WHY_TEXT_MAX - 1);
	ck_assert(why_temporary(&w));
	why_prefix(&w, "%s", "p");
	ck_assert_uint_eq(strlen(w.text), WHY_TEXT_MAX - 1);
	ck_assert_mem_eq(w.text, "p: xxx", 6);
	ck_assert_int_eq(why_set(NULL, "5.0.0", "nobody asks"), -1);
}
END_TEST

START_TEST(a_reason_keeps_errno_and_its_words)
{
	struct why w = WHY_INIT;
	char text[WHY_TEXT_MAX];

	errno = ENOSPC;
	why_errno(&w, "4.3.1", "write %s", "x");
	ck_assert_int_eq(errno, ENOSPC);
	ck_assert_str_eq(w.text, "write x: No space left on device");
	/* The reason survives though the text is too long. */
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	why_errno(&w, "4.3.1", "%s", text);
	ck_assert(span_ends(span_of(w.text), SPAN(": No space left on device")));
	/* Its own text may be an argument. */
	why_set(&w, NULL, "<%.3s>", w.text);
	ck_assert_str_eq(w.text, "<xxx>");
	ck_assert_str_eq(w.code, "");
	ck_assert(why_temporary(&w));
}
END_TEST

static const struct {
	const char	*tz;
	int64_t		 t;
	const char	*want, *want_syslog;
} dates[] = {
	{ "UTC0", 0, "Thu, 01 Jan 1970 00:00:00 +0000 (UTC)",
	    "Jan  1 00:00:00" },
	{ "CET-1CEST,M3.5.0,M10.5.0/3", 1772456709,
	    "Mon, 02 Mar 2026 14:05:09 +0100 (CET)", "Mar  2 14:05:09" },
	{ "CET-1CEST,M3.5.0,M10.5.0/3", 1785000000,
	    "Sat, 25 Jul 2026 19:20:00 +0200 (CEST)", "Jul 25 19:20:00" },
	{ "NST3:30", 0, "Wed, 31 Dec 1969 20:30:00 -0330 (NST)",
	    "Dec 31 20:30:00" },
	{ "<-03>3", 4102444800, "Thu, 31 Dec 2099 21:00:00 -0300 (-03)",
	    "Dec 31 21:00:00" },
};

START_TEST(dates_have_zone_and_english_names)
{
	char out[CLOCK_RFC5322_MAX], stamp[CLOCK_SYSLOG_MAX];

	setenv("TZ", dates[_i].tz, 1);
	tzset();
	clock_rfc5322(dates[_i].t, out);
	ck_assert_str_eq(out, dates[_i].want);
	clock_syslog(dates[_i].t, stamp);
	ck_assert_str_eq(stamp, dates[_i].want_syslog);
}
END_TEST

START_TEST(impossible_dates_are_no_crash)
{
	char out[CLOCK_RFC5322_MAX];

	clock_rfc5322(INT64_MAX, out);
	clock_rfc5322(INT64_MIN, out);
	ck_assert_int_gt(clock_wall_s(), 1700000000);
	ck_assert_int_ge(clock_mono_us() / 1000, clock_mono_ms() - 1000);
}
END_TEST

/* --- log -------------------------------------------------------------------- */

static char hooked[LOG_LINE_MAX + 100];

static void
hook(enum log_level level, const char *line)
{
	snprintf(hooked, sizeof(hooked), "%d %s", (int)level, line);
}

static const struct {
	int64_t		 us;
	const char	*want;
} delays[] = {
	{ -5, "0" }, { 0, "0" }, { 3, "0.000003" }, { 10, "0.00001" },
	{ 99, "0.000099" }, { 100, "0.0001" }, { 994, "0.00099" },
	{ 996, "0.001" }, { 12345, "0.012" }, { 50000, "0.05" },
	{ 123456, "0.12" }, { 994999, "0.99" }, { 995000, "1.0" },
	{ 1340000, "1.3" }, { 9949999, "9.9" }, { 9950000, "10" },
	{ 260400000, "260" },
};

START_TEST(delays_have_two_digits_that_count)
{
	char out[CLOCK_DELAY_MAX];

	ck_assert_str_eq(clock_delay(delays[_i].us, out), delays[_i].want);
	ck_assert_uint_gt(strlen(clock_delay(INT64_MAX - 500000, out)), 10);
}
END_TEST

static const struct {
	int		 most;
	int64_t		 us;
	const char	*want;
} limited[] = {
	{ 2, 3, "0" }, { 2, 4999, "0" }, { 2, 5000, "0.01" },
	{ 2, 12345, "0.01" }, { 2, 99999, "0.1" }, { 2, 123456, "0.12" },
	{ 2, 994999, "0.99" }, { 2, 995000, "1.0" }, { 2, 1340000, "1.3" },
	{ 1, 49999, "0" }, { 1, 50000, "0.1" }, { 1, 949999, "0.9" },
	{ 1, 950000, "1.0" }, { 1, 9949999, "9.9" }, { 1, 9950000, "10" },
	{ 0, 499999, "0" }, { 0, 500000, "1" }, { 0, 1499999, "1" },
	{ 0, 9400000, "9" }, { 4, 12, "0" }, { 4, 51, "0.0001" },
	{ 4, 1234, "0.0012" }, { 6, 3, "0.000003" }, { 9, 3, "0.000003" },
	{ -1, 700000, "1" },
};

START_TEST(delays_have_no_more_digits_than_are_asked_for)
{
	char out[CLOCK_DELAY_MAX];

	clock_delay_digits(limited[_i].most);
	ck_assert_str_eq(clock_delay(limited[_i].us, out), limited[_i].want);
}
END_TEST

START_TEST(log_makes_text_from_outside_safe)
{
	log_set_hook(hook);
	log_info("a\r\nb\x1b[2J\x7f \xc3\xbc \xc2\x9b \xff\xfe %s", "\xe2\x82");
	ck_assert_str_eq(hooked, "1 a??b?[2J? \xc3\xbc ?? ?? ??");
	log_warning("w");
	ck_assert_str_eq(hooked, "2 warning: w");
	log_error("e");
	ck_assert_str_eq(hooked, "3 error: e");
	hooked[0] = '\0';
	log_debug("d");
	ck_assert_str_eq(hooked, "");
	log_set_debug(true);
	log_debug("d");
	ck_assert_str_eq(hooked, "0 d");
	errno = ENOENT;
	log_info("%m");
	ck_assert_str_eq(hooked, "1 No such file or directory");
	ck_assert_int_eq(errno, ENOENT);
}
END_TEST

START_TEST(log_cuts_a_line_at_its_limit)
{
	char text[2 * LOG_LINE_MAX];

	memset(text, 'x', sizeof(text));
	text[LOG_LINE_MAX] = '\0';
	log_set_hook(hook);
	log_info("%s", text);
	ck_assert_uint_eq(strlen(hooked), LOG_LINE_MAX + 2);
	text[LOG_LINE_MAX] = 'y';
	text[LOG_LINE_MAX + 1] = '\0';
	log_info("%s", text);
	ck_assert_uint_eq(strlen(hooked), LOG_LINE_MAX + 2);
	/* A cut in the middle of a character leaves no half of it. */
	text[LOG_LINE_MAX - 1] = '\xc3';
	text[LOG_LINE_MAX] = '\xbc';
	log_info("%s", text);
	ck_assert_int_eq(hooked[LOG_LINE_MAX + 1], '?');
}
END_TEST

static size_t
slurp(int fd, char *b, size_t size)
{
	ssize_t n = pread(fd, b, size - 1, 0);

	ck_assert_int_ge(n, 0);
	b[n] = '\0';
	return (size_t)n;
}

static int
scratch(void)
{
	char name[] = "/tmp/mansio-log-XXXXXX";
	int fd = mkostemp(name, O_APPEND);

	ck_assert_int_ge(fd, 0);
	unlink(name);
	return fd;
}

START_TEST(log_to_a_file_gathers_until_it_is_flushed)
{
	int fd = scratch(), next = scratch(), status;
	char b[4096], want[64];

	log_set_tag("mansio/test");
	log_open_fd(dup(fd));
	log_info("one");
	ck_assert_uint_eq(slurp(fd, b, sizeof(b)), 0);
	log_flush();
	snprintf(want, sizeof(want), " mansio/test[%d]: one\n", (int)getpid());
	slurp(fd, b, sizeof(b));
	ck_assert(span_ends(span_of(b), span_of(want)));
	log_info("two");
	log_warning("three");		/* written at once, in order */
	slurp(fd, b, sizeof(b));
	ck_assert_ptr_nonnull(strstr(b, ": two\n"));
	ck_assert_ptr_nonnull(strstr(strstr(b, ": two\n"),
	    ": warning: three\n"));
	/* A child does not write its parent's lines once more. */
	log_info("four");
	if (fork() == 0) {
		log_info("child");
		log_fatal("end of the child");
	}
	wait(&status);
	ck_assert_int_eq(WEXITSTATUS(status), 1);
	log_info("five");
	log_replace_fd(dup(next));
	log_info("six");
	log_flush();
	slurp(fd, b, sizeof(b));
	ck_assert_ptr_nonnull(strstr(b, ": five\n"));
	ck_assert_ptr_null(strstr(b, ": six\n"));
	ck_assert_ptr_null(strstr(strstr(b, ": four\n") + 1, ": four\n"));
	ck_assert_ptr_nonnull(strstr(b, ": child\n"));
	slurp(next, b, sizeof(b));
	ck_assert_ptr_nonnull(strstr(b, ": six\n"));
}
END_TEST

START_TEST(log_loses_no_line_when_much_is_gathered)
{
	int fd = scratch();
	static char b[1 << 20];
	char *at = b;

	log_open_fd(dup(fd));
	for (int i = 0; i < 3000; i++)
		log_info("line %d of many, with some text to fill it up", i);
	log_flush();
	slurp(fd, b, sizeof(b));
	for (int i = 0; i < 3000; i++) {
		char want[32];

		snprintf(want, sizeof(want), ": line %d of", i);
		at = strstr(at, want);
		ck_assert_msg(at != NULL, "line %d", i);
	}
}
END_TEST

START_TEST(fatal_has_the_status_that_was_set)
{
	log_set_fatal_status(75);
	log_fatal("no more");
}
END_TEST

START_TEST(panic_aborts)
{
	log_panic("never");
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("text");
	TCase *t = tcase_create("text");

	tcase_add_loop_test(t, utf8_sequences, 0, ARRAY_LEN(sequences));
	tcase_add_test(t, utf8_texts);
	tcase_add_test(t, a_reason_is_one_line_and_its_end_is_cut);
	tcase_add_test(t, a_reason_keeps_errno_and_its_words);
	tcase_add_loop_test(t, dates_have_zone_and_english_names, 0,
	    ARRAY_LEN(dates));
	tcase_add_test(t, impossible_dates_are_no_crash);
	tcase_add_loop_test(t, delays_have_no_more_digits_than_are_asked_for,
	    0, ARRAY_LEN(limited));
	tcase_add_loop_test(t, delays_have_two_digits_that_count, 0,
	    ARRAY_LEN(delays));
	tcase_add_test(t, log_makes_text_from_outside_safe);
	tcase_add_test(t, log_cuts_a_line_at_its_limit);
	tcase_add_test(t, log_to_a_file_gathers_until_it_is_flushed);
	tcase_add_test(t, log_loses_no_line_when_much_is_gathered);
	tcase_add_exit_test(t, fatal_has_the_status_that_was_set, 75);
	tcase_add_test_raise_signal(t, panic_aborts, SIGABRT);
	suite_add_tcase(s, t);
	return s;
}
