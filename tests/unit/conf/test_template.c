/* SPDX-License-Identifier: ISC */
/*
 * template: bounce(5) files, and $names in them.
 */
#include <check.h>

#include "base/mem.h"
#include "conf/template.h"

static struct templates ts;

static void
setup(void)
{
	templates_init(&ts);
}

static void
teardown(void)
{
	templates_fini(&ts);
}

START_TEST(a_template_replaces_the_built_in_one)
{
	struct why why = WHY_INIT;

	ck_assert_int_eq(templates_parse(&ts, SPAN(
	    "# a comment\n\n"
	    "failure_template = <<END\n"
	    "Charset: utf-8\n"
	    "SUBJECT:  It did not work\n"
	    "\n"
	    "  Text with $$ and \\backslash\n"
	    "\n"
	    "EOF\n"
	    "END\n"
	    "delay_template=<<  EOF\n"
	    "no headers here\n"
	    "EOF\n"), &why), 0);
	ck_assert_str_eq(ts.t[TEMPLATE_FAILURE].charset, "utf-8");
	ck_assert_str_eq(ts.t[TEMPLATE_FAILURE].subject, "It did not work");
	ck_assert_str_eq(ts.t[TEMPLATE_FAILURE].from,
	    "MAILER-DAEMON (Mail Delivery System)");
	ck_assert_str_eq(ts.t[TEMPLATE_FAILURE].text,
	    "  Text with $$ and \\backslash\n\nEOF\n");
	ck_assert_str_eq(ts.t[TEMPLATE_DELAY].text, "no headers here\n");
	ck_assert_ptr_null(ts.t[TEMPLATE_SUCCESS].postmaster_subject);
}
END_TEST

static const struct {
	const char	*text, *why;
} bad[] = {
	{ "nonsense\n", "line 1: \"name = <<EOF\" is expected" },
	{ "failure_template = EOF\n", "line 1: \"name = <<EOF\" is expected" },
	{ "failure_template = <<\n", "line 1: \"name = <<EOF\" is expected" },
	{ "x_template = <<EOF\nEOF\n", "line 1: unknown template \"x_template\"" },
	{ "failure_template = <<EOF\n\ntext\n",
	  "line 1: no \"EOF\" ends this template" },
	{ "\nfailure_template = <<EOF\nX-Evil: 1\n\ntext\nEOF\n",
	  "line 3: unknown header \"X-Evil\"" },
	{ "failure_template = <<EOF\nFrom: \xc3\xa4\n\ntext\nEOF\n",
	  "line 2: the value is empty or not ASCII" },
	{ "failure_template = <<EOF\nSubject: a\x01\n\ntext\nEOF\n",
	  "line 2: control character" },
};

START_TEST(an_error_changes_nothing)
{
	struct why why = WHY_INIT;
	char *before = mem_strdup(ts.t[TEMPLATE_FAILURE].text);

	ck_assert_int_eq(templates_parse(&ts, span_of(bad[_i].text), &why),
	    -1);
	ck_assert_str_eq(why.text, bad[_i].why);
	ck_assert_str_eq(ts.t[TEMPLATE_FAILURE].text, before);
	mem_free(before);
}
END_TEST

static const char *
value(void *arg, struct span name)
{
	return span_is(name, "myhostname") ? "mx.example.org" :
	    span_is(name, "empty") ? "" : NULL;
}

static const struct {
	const char	*text, *want;
	int		 rc;
} expand[] = {
	{ "at $myhostname.", "at mx.example.org.", 0 },
	{ "${myhostname}x $(myhostname)y", "mx.example.orgx mx.example.orgy",
	  0 },
	{ "$$5 $empty!", "$5 !", 0 },
	{ "$nobody-knows", "-knows", -1 },
	{ "$", "", -1 }, { "a$ b", "a b", -1 }, { "${myhostname", "", -1 },
	{ "", "", 0 },
};

START_TEST(names_are_replaced)
{
	struct buf out = BUF_INIT(BUF_UNLIMITED);
	struct why why = WHY_INIT;

	ck_assert_int_eq(template_expand(expand[_i].text, value, NULL, &out,
	    &why), expand[_i].rc);
	ck_assert_str_eq(out.data, expand[_i].want);
	buf_fini(&out);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("template");
	TCase *t = tcase_create("template");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_template_replaces_the_built_in_one);
	tcase_add_loop_test(t, an_error_changes_nothing, 0, ARRAY_LEN(bad));
	tcase_add_loop_test(t, names_are_replaced, 0, ARRAY_LEN(expand));
	suite_add_tcase(s, t);
	return s;
}
