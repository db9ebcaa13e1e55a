/* SPDX-License-Identifier: ISC */
/*
 * expand: $name and its conditional forms.  What is wanted was compared with
 * "postconf -x" of Postfix.
 */
#include "conf/expand.h"

static const char *
look_up(void *arg, struct span name, bool test)
{
	static const struct {
		const char	*name, *value;
	} values[] = {
		{ "a", "$b" }, { "b", "" }, { "one", "1" }, { "two", "2" },
		{ "loop", "$loop2" }, { "loop2", "x$loop" },
		{ "text", "some text" }, { "nest", "<$one>" },
		{ "bad", "a;b\nc" }, { "d0", "$d1$d1$d1$d1" },
		{ "d1", "$d2$d2$d2$d2" }, { "d2", "$d3$d3$d3$d3" },
		{ "d3", "$d4$d4$d4$d4" }, { "d4", "$d5$d5$d5$d5" },
		{ "d5", "$d6$d6$d6$d6" }, { "d6", "$d7$d7$d7$d7" },
		{ "d7", "$d8$d8$d8$d8" }, { "d8", "$d9$d9$d9$d9" },
		{ "d9", "$b$b$b$b" },
	};

	for (size_t i = 0; i < ARRAY_LEN(values); i++)
		if (span_is(name, values[i].name))
			return values[i].value;
	return NULL;
}

/* want NULL: refused. */
static const struct {
	const char	*in, *want;
} cases[] = {
	{ "", "" },
	{ "plain", "plain" },
	{ "$one", "1" },
	{ "x$one.$two", "x1.2" },
	{ "${one}$(two)", "12" },
	{ "$nest", "<1>" },
	{ "$undefined", "" },
	{ "[${undefined}]", "[]" },
	{ "$$one", "$one" },
	{ "$$$$", "$$" },
	/* the test looks at the value as it is written */
	{ "${a?yes}", "yes" },
	{ "${a:no}", "" },
	{ "${b?yes}", "" },
	{ "${b:no}", "no" },
	{ "${undefined?x}-${undefined:y}", "-y" },
	{ "${one?$two}", "2" },
	{ "${one?{x}:{y}}", "x" },
	{ "${b?{x}:{y}}", "y" },
	{ "${b ? {x} : {y}}", "y" },
	{ "${b?{x}}|${b:{z}}", "|z" },
	{ "${one?{$two}:{$text}}", "2" },
	{ "${one?text with ${two} in}", "text with 2 in" },
	{ "${{x} == {x} ? {yes} : {no}}", "yes" },
	{ "${{x}!={x}?{yes}:{no}}", "no" },
	{ "${{10} < {9} ? {lt} : {ge}}", "ge" },
	{ "${{a10} < {a9} ? {lt} : {ge}}", "lt" },
	{ "${{$one} <= {$two} ? {le}}", "le" },
	{ "${{2} >= {1} ? {ge}}", "ge" },
	{ "${{2} > {1} : {no}}", "" },
	{ "${{3.6} >=level {3.10} ? {yes} : {no}}", "no" },
	{ "${{3.6} <level {4} ? {yes} : {no}}", "yes" },
	{ "${{2} ==level {2.0} ? {yes} : {no}}", "yes" },
	{ "${text}", "some text" },
	{ "a}b{c", "a}b{c" },
	/* refused */
	{ "$", NULL },
	{ "a $ b", NULL },
	{ "${", NULL },
	{ "${one", NULL },
	{ "$(one", NULL },
	{ "${}", NULL },
	{ "${one!}", NULL },
	{ "${one?{x}y}", NULL },
	{ "${{x} =~ {x} ? {y}}", NULL },
	{ "${{x} == {x}}", NULL },
	{ "${{x} ? {y}}", NULL },
	{ "${{x} <level {1} ? {y}}", NULL },
	{ "$loop", NULL },
	{ "$d0", NULL },		/* 4^10 look-ups of nothing */
};

START_TEST(expand_has_the_grammar_of_postfix)
{
	struct buf b = BUF_INIT(1 << 16);
	struct why why = WHY_INIT;
	int rc = expand_text(cases[_i].in, EXPAND_RECURSE, NULL, look_up,
	    NULL, &b, &why);

	if (cases[_i].want == NULL) {
		ck_assert_msg(rc == -1, "%s was accepted: %s", cases[_i].in,
		    b.data);
		ck_assert_str_ne(why.text, "");
	} else {
		ck_assert_msg(rc == 0, "%s: %s", cases[_i].in, why.text);
		ck_assert_str_eq(b.data, cases[_i].want);
	}
	buf_fini(&b);
}
END_TEST

START_TEST(without_recursion_values_are_copied)
{
	struct buf b = BUF_INIT(100);

	ck_assert_int_eq(expand_text("$nest", 0, NULL, look_up, NULL, &b,
	    NULL), 0);
	ck_assert_str_eq(b.data, "<$one>");
	buf_fini(&b);
}
END_TEST

START_TEST(a_filter_is_for_values_only)
{
	struct buf b = BUF_INIT(100);

	ck_assert_int_eq(expand_text("x;$bad;${one?;}", 0, "abc", look_up,
	    NULL, &b, NULL), 0);
	ck_assert_str_eq(b.data, "x;a_b_c;;");
	buf_fini(&b);
}
END_TEST

START_TEST(the_result_is_bounded)
{
	struct buf b = BUF_INIT(9), c = BUF_INIT(8);
	struct why why = WHY_INIT;

	ck_assert_int_eq(expand_text("$text", 0, NULL, look_up, NULL, &b,
	    &why), 0);
	ck_assert_int_eq(expand_text("$text", 0, NULL, look_up, NULL, &c,
	    &why), -1);
	buf_fini(&b);
	buf_fini(&c);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("conf/expand");
	TCase *t = tcase_create("expand");

	tcase_add_loop_test(t, expand_has_the_grammar_of_postfix, 0,
	    ARRAY_LEN(cases));
	tcase_add_test(t, without_recursion_values_are_copied);
	tcase_add_test(t, a_filter_is_for_values_only);
	tcase_add_test(t, the_result_is_bounded);
	suite_add_tcase(s, t);
	return s;
}
