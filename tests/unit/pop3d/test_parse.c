/* SPDX-License-Identifier: ISC */
/*
 * Lines of POP3 clients: verbs, arguments, limits.
 */
#include "pop3d/parse.h"

static const struct {
	const char	*in;
	enum pop3_verb	 verb;
	const char	*word, *rest;		/* NULL: no space */
} cases[] = {
	{ "NOOP\r\n",		POP3_NOOP, "NOOP", NULL },
	{ "noop\n",		POP3_NOOP, "noop", NULL },
	{ "RETR 1\r\n",		POP3_RETR, "RETR", "1" },
	{ "RETR  1 \r\n",	POP3_RETR, "RETR", " 1 " },
	{ "PASS  a b \r\n",	POP3_PASS, "PASS", " a b " },
	{ "PASS \r\n",		POP3_PASS, "PASS", "" },
	{ "PASS\r\n",		POP3_PASS, "PASS", NULL },
	{ "RETR\t1\r\n",	POP3_UNKNOWN, "RETR\t1", NULL },
	{ " RETR 1\r\n",	POP3_UNKNOWN, "", "RETR 1" },
	{ "\r\n",		POP3_UNKNOWN, "", NULL },
	{ "RETRX 1\r\n",	POP3_UNKNOWN, "RETRX", "1" },
	{ "NOOP\r\r\n",		POP3_UNKNOWN, "NOOP\r", NULL },
};

START_TEST(verbs_and_arguments)	/* a loop test */
{
	struct span in = span_of(cases[_i].in);
	struct pop3_line l;
	size_t used;
	bool whole;

	ck_assert_int_eq(pop3_parse_line(in, &l, &used, &whole), POP3_LINE);
	ck_assert_uint_eq(used, in.len);
	ck_assert(whole);
	ck_assert_int_eq(l.verb, cases[_i].verb);
	ck_assert(span_is(l.word, cases[_i].word));
	ck_assert_int_eq(l.rest.p == NULL, cases[_i].rest == NULL);
	if (cases[_i].rest != NULL)
		ck_assert(span_is(l.rest, cases[_i].rest));
	/* Not before its end has come. */
	for (size_t n = 0; n < in.len; n++)
		ck_assert_int_eq(pop3_parse_line(span_sub(in, 0, n), &l,
		    &used, &whole), POP3_MORE);
}
END_TEST

static enum pop3_parsed
of_length(const char *begin, size_t len, bool ends)
{
	static char text[POP3_AUTH_MAX + 16];
	struct pop3_line l;
	size_t used;
	bool whole;

	memset(text, 'x', sizeof(text));
	memcpy(text, begin, strlen(begin));
	if (ends)
		text[len - 1] = '\n';
	return pop3_parse_line(span_make(text, len), &l, &used, &whole);
}

START_TEST(limits_at_and_one_past)
{
	ck_assert_int_eq(of_length("NOOP ", POP3_LINE_MAX, true), POP3_LINE);
	ck_assert_int_eq(of_length("NOOP ", POP3_LINE_MAX + 1, true),
	    POP3_TOO_LONG);
	ck_assert_int_eq(of_length("NOOP ", POP3_LINE_MAX, false), POP3_MORE);
	ck_assert_int_eq(of_length("NOOP ", POP3_LINE_MAX + 1, false),
	    POP3_TOO_LONG);
	ck_assert_int_eq(of_length("AUTH PLAIN ", POP3_AUTH_MAX, true),
	    POP3_LINE);
	ck_assert_int_eq(of_length("AUTH PLAIN ", POP3_AUTH_MAX + 1, true),
	    POP3_TOO_LONG);
}
END_TEST

START_TEST(numbers)
{
	struct span s = SPAN("1  4294967295 x 4294967296");
	uint32_t n;

	ck_assert_int_eq(pop3_parse_number(&s, &n), 1);
	ck_assert_uint_eq(n, 1);
	ck_assert_int_eq(pop3_parse_number(&s, &n), 1);
	ck_assert_uint_eq(n, UINT32_MAX);
	ck_assert_int_eq(pop3_parse_number(&s, &n), -1);
	ck_assert_int_eq(pop3_parse_number(&s, &n), -1);
	ck_assert_int_eq(pop3_parse_number(&s, &n), 0);
	s = SPAN("-1");
	ck_assert_int_eq(pop3_parse_number(&s, &n), -1);
	s = SPAN("+1");
	ck_assert_int_eq(pop3_parse_number(&s, &n), -1);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("pop3d/parse");
	TCase *t = tcase_create("parse");

	tcase_add_loop_test(t, verbs_and_arguments, 0, ARRAY_LEN(cases));
	tcase_add_test(t, limits_at_and_one_past);
	tcase_add_test(t, numbers);
	suite_add_tcase(s, t);
	return s;
}
