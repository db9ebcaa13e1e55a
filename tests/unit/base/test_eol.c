/* SPDX-License-Identifier: ISC */
/*
 * eol: counts are those of a loop over bytes, wherever the bytes lie.
 */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "base/eol.h"
#include "base/mem.h"

static const struct {
	const char	*text;
	int		 stop;
	unsigned	 lines, bare, at;
} cases[] = {
	{ "", EOL_NO_STOP, 0, 0, 0 },
	{ "\n", EOL_NO_STOP, 1, 1, 1 },
	{ "\r\n", EOL_NO_STOP, 1, 0, 2 },
	{ "a\r\nb\nc", EOL_NO_STOP, 2, 1, 6 },
	{ "a\r\n-b\n", '-', 1, 0, 3 },
	{ "-a\n-b\n", '-', 1, 1, 3 },		/* not the first byte */
	{ "a-\n\n\n-", '-', 3, 3, 5 },
	{ "0123456789abcdef\n-x\n", '-', 1, 1, 17 },
	{ "0123456789abcde\n-0123456789abcdef\n", '-', 1, 1, 16 },
	{ "0123456789abcd\r\n--b\r\n", '-', 1, 0, 16 },
};

START_TEST(lines_are_counted)
{
	struct eol c = { 0, 0 };
	size_t n = strlen(cases[_i].text);
	char *p = mem_alloc(n + 1);	/* reading beyond it is seen */
	const char *end;

	memcpy(p, cases[_i].text, n);
	end = eol_pass(p, p + n, '\n', cases[_i].stop, &c);
	ck_assert_uint_eq(c.lines, cases[_i].lines);
	ck_assert_uint_eq(c.bare, cases[_i].bare);
	ck_assert_uint_eq((size_t)(end - p), cases[_i].at);
	mem_free(p);
}
END_TEST

/* The plain way. */
static size_t
plain(const char *p, size_t n, char before, int stop, struct eol *c)
{
	for (size_t i = 0; i < n; i++) {
		char b = i == 0 ? before : p[i - 1];

		if (i > 0 && b == '\n' && (unsigned char)p[i] == stop)
			return i;
		if (p[i] == '\n') {
			c->lines++;
			c->bare += b != '\r';
		}
	}
	return n;
}

START_TEST(any_bytes_at_any_place)
{
	/* \xff is no "no stop". */
	static const char letters[] = "\n\r-ab\n\r\n-\xff";
	unsigned seed = 1;
	char buf[9000];

	for (int round = 0; round < 2000; round++) {
		size_t from, n;
		struct eol a = { 0, 0 }, b = { 0, 0 };
		int stop = round % 3 == 0 ? EOL_NO_STOP : '-';
		char before = round % 2 == 0 ? '\r' : '\n';
		/* Long stretches without a stop, too. */
		size_t most = round % 5 == 0 ? sizeof(buf) : 100;

		for (size_t i = 0; i < sizeof(buf); i++) {
			seed = seed * 1103515245 + 12345;
			buf[i] = letters[(seed >> 16) %
			    (sizeof(letters) - 1)];
			if (round % 5 == 0 && buf[i] == '-')
				buf[i] = 'y';
		}
		from = (seed >> 8) % 40;
		n = (seed >> 4) % (most - from);
		ck_assert_uint_eq((size_t)(eol_pass(buf + from, buf + from + n,
		    before, stop, &a) - buf - from),
		    plain(buf + from, n, before, stop, &b));
		ck_assert_uint_eq(a.lines, b.lines);
		ck_assert_uint_eq(a.bare, b.bare);
	}
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("eol");
	TCase *t = tcase_create("eol");

	tcase_add_loop_test(t, lines_are_counted, 0,
	    sizeof(cases) / sizeof(cases[0]));
	tcase_add_test(t, any_bytes_at_any_place);
	suite_add_tcase(s, t);
	return s;
}
