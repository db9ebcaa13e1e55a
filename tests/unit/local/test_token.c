/* SPDX-License-Identifier: ISC */
/*
 * token: destinations of aliases and .forward files; and what exit statuses
 * and mailbox values mean.
 */
#include <check.h>

#include "local/local.h"
#include "local/command.h"
#include "local/token.h"
#include "store/virtual_map.h"

static const char kinds[] = "a\\|/i";

/* Each token as its kind's letter and its text, '!' for what is bad. */
static const struct {
	const char	*in, *want[5];
} cases[] = {
	{ "", { NULL } },
	{ " ,, \t", { NULL } },
	{ "joe", { "ajoe" } },
	{ "joe, ann@example.org", { "ajoe", "aann@example.org" } },
	{ "Joe Blow <joe@a>, ann", { "aJoe Blow <joe@a>", "aann" } },
	{ "\"Blow, Joe\" <joe@a>,x", { "a\"Blow, Joe\" <joe@a>", "ax" } },
	{ "joe (a, b) , x", { "ajoe (a, b)", "ax" } },
	{ "<@a,@b:joe@c>, x", { "a<@a,@b:joe@c>", "ax" } },
	{ "\"joe blow\"@a", { "a\"joe blow\"@a" } },
	{ "\\joe, x", { "\\joe", "ax" } },
	{ "\\joe x", { "\\joe", "ax" } },
	{ "|cmd", { "|cmd" } },
	{ "|cmd a b, x", { "|cmd a b", "ax" } },
	{ "\"|cmd a, b\", x", { "|cmd a, b", "ax" } },
	{ "|\"cmd a, b\", x", { "|cmd a, b", "ax" } },
	{ "\"| cmd \\\"a\\\" \\\\\"", { "|cmd \"a\" \\" } },
	{ "/file, x", { "//file", "ax" } },
	{ "/file x", { "//file", "ax" } },
	{ "\"/file x\"", { "//file x" } },
	{ ":include:/f", { "i/f" } },
	{ ":INCLUDE: /f", { "!", "//f" } },
	{ "\":include:/f x\", y", { "i/f x", "ay" } },
	{ ":include:\"/f x\" y", { "i/f x", "ay" } },
	{ "|", { "a|" } },
	{ "\"|\"", { "a\"|\"" } },
	{ "\\", { "a\\" } },
	{ "\"no end", { "a\"no end" } },
	{ "|\"no end, x", { "|\"no end", "ax" } },
	{ "joe@a ann@b", { "ajoe@a ann@b" } },
	{ "\"|cmd\"x", { "a\"|cmd\"x" } },
};

START_TEST(tokens)
{
	struct span rest = span_of(cases[_i].in);
	struct buf out = BUF_INIT(1024);
	enum token_kind kind;
	size_t n = 0;
	int rc;

	while ((rc = token_next(&rest, &kind, &out)) != 0) {
		char got[256];

		ck_assert_msg(n < 5 && cases[_i].want[n] != NULL,
		    "one too many: %s", out.data);
		if (rc < 0)
			snprintf(got, sizeof(got), "!");
		else
			snprintf(got, sizeof(got), "%c%s", kinds[kind],
			    out.data);
		ck_assert_str_eq(got, cases[_i].want[n]);
		n++;
	}
	ck_assert(n == 5 || cases[_i].want[n] == NULL);
	buf_fini(&out);
}
END_TEST

START_TEST(limits_and_nul)
{
	struct buf out = BUF_INIT(4);
	struct span rest = SPAN("|12345, joe");
	enum token_kind kind;

	ck_assert_int_eq(token_next(&rest, &kind, &out), -1);
	ck_assert_int_eq(token_next(&rest, &kind, &out), 1);
	ck_assert_str_eq(out.data, "joe");
	rest = SPAN("jo\0,x");
	ck_assert_int_eq(token_next(&rest, &kind, &out), -1);
	ck_assert_int_eq(token_next(&rest, &kind, &out), 1);
	ck_assert_int_eq(token_next(&rest, &kind, &out), 0);
	ck_assert(token_line_empty(SPAN("  # joe")));
	ck_assert(token_line_empty(SPAN(" \t")));
	ck_assert(!token_line_empty(SPAN("joe # x")));
	buf_fini(&out);
}
END_TEST

static const struct {
	int		 status;
	const char	*code, *text;
} exits[] = {
	{ 75, "4.3.0", "temporary failure" },
	{ 67, "5.1.1", "user unknown" },
	{ 77, "5.7.0", "permission denied" },
	{ 71, "4.3.0", "system resource problem" },
	{ 1, "5.3.0", NULL },
	{ 127, "5.3.0", NULL },
};

START_TEST(exit_statuses)
{
	char code[WHY_CODE_MAX];
	const char *text;

	command_status(exits[_i].status, code, &text);
	ck_assert_str_eq(code, exits[_i].code);
	ck_assert_pstr_eq(text, exits[_i].text);
}
END_TEST

static const struct {
	const char		*in;
	int			 rc;
	enum store_format	 format;
	bool			 detect;
	const char		*path;
} values[] = {
	{ "a/b/", 0, STORE_PACKED, true, "a/b" },
	{ "a/b", 0, STORE_MBOX, false, "a/b" },
	{ "/a//b/", 0, STORE_PACKED, true, "a/b" },
	{ "./a/./b/", 0, STORE_PACKED, true, "a/b" },
	{ "maildir:a/b", 0, STORE_MAILDIR, false, "a/b" },
	{ "packed:a/b/", 0, STORE_PACKED, false, "a/b" },
	{ "mbox:a", 0, STORE_MBOX, false, "a" },
	{ "mbox:a/", -1, 0, false, NULL },
	{ "a/../b/", -1, 0, false, NULL },
	{ "..", -1, 0, false, NULL },
	{ "/", -1, 0, false, NULL },
	{ "", -1, 0, false, NULL },
	{ "a:b/", 0, STORE_PACKED, true, "a:b" },
	{ "..a/b", 0, STORE_MBOX, false, "..a/b" },
};

START_TEST(mailbox_values)
{
	struct buf out = BUF_INIT(1024);
	struct why why = WHY_INIT;
	enum store_format f = 0;
	bool detect = false;

	ck_assert_int_eq(virtual_parse_mailbox(span_of(values[_i].in),
	    STORE_PACKED, &f, &detect, &out, &why), values[_i].rc);
	if (values[_i].rc == 0) {
		ck_assert_int_eq(f, values[_i].format);
		ck_assert_int_eq(detect, values[_i].detect);
		ck_assert_str_eq(out.data, values[_i].path);
	}
	buf_fini(&out);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("token");
	TCase *t = tcase_create("token");

	tcase_add_loop_test(t, tokens, 0, (int)ARRAY_LEN(cases));
	tcase_add_test(t, limits_and_nul);
	tcase_add_loop_test(t, exit_statuses, 0, (int)ARRAY_LEN(exits));
	tcase_add_loop_test(t, mailbox_values, 0, (int)ARRAY_LEN(values));
	suite_add_tcase(s, t);
	return s;
}
