/* SPDX-License-Identifier: ISC */
/*
 * match_list: domains, networks, names, files, tables, negation.
 */
#include "conf_test.h"

#include "base/mem.h"
#include "conf/table.h"
#include "io/sock.h"

static const struct {
	const char	*list;
	int		 flags;
	const char	*s;
	int		 want;
} strings[] = {
	{ "", 0, "a", 0 },
	{ "a.test", 0, "a.test", 1 },
	{ "a.test", 0, "A.Test", 1 },
	{ "A.TEST", 0, "a.test", 1 },
	{ "a.test", 0, "x.a.test", 0 },
	{ "a.test", MATCH_PARENT, "x.a.test", 1 },
	{ "a.test", MATCH_PARENT, "xa.test", 0 },
	{ "a.test", MATCH_PARENT, "y.x.a.test", 1 },
	{ ".a.test", 0, "x.a.test", 1 },
	{ ".a.test", 0, "y.x.a.test", 1 },
	{ ".a.test", 0, "a.test", 0 },
	{ ".a.test", MATCH_EXACT, "x.a.test", 0 },
	{ "b.test, a.test", 0, "a.test", 1 },
	{ "b.test\n\ta.test", 0, "a.test", 1 },
	{ "!a.test, a.test", 0, "a.test", 0 },
	{ "!x.a.test .a.test", 0, "x.a.test", 0 },
	{ "!x.a.test .a.test", 0, "y.a.test", 1 },
	{ "!!a.test", 0, "a.test", 1 },
	{ "! a.test", 0, "a.test", -2 },
	{ "static:all", 0, "a", 1 },
	{ "!static:all", 0, "a", 0 },
	{ "inline:{a.test=x}", 0, "a.test", 1 },
	{ "inline:{a.test=x}", 0, "A.test", 1 },
	{ "inline:{a.test=x}", 0, "x.a.test", 0 },
	{ "inline:{a.test=x}", MATCH_PARENT, "x.a.test", 1 },
	{ "inline:{.a.test=x}", 0, "x.a.test", 1 },
	{ "inline:{.a.test=x}", 0, "y.x.a.test", 1 },
	{ "inline:{.a.test=x}", MATCH_EXACT, "x.a.test", 0 },
	{ "inline:{joe=x}", MATCH_EXACT, "joe", 1 },
	{ "regexp:{{/^a/ x}}", MATCH_PARENT, "x.a.test", 0 },
	{ "regexp:{{/^a/ x}}", 0, "a.test", 1 },
	{ "fail:x", 0, "a", -1 },
	{ "a fail:x", 0, "a", 1 },
	{ "b fail:x", 0, "a", -1 },
	{ "192.0.2.1", 0, "192.0.2.1", 1 },
	{ "192.0.2.1/24", 0, "a", -2 },
	{ "192.0.2.0/33", 0, "a", -2 },
	{ "[::1", 0, "a", -2 },
	{ "nosuch:x", 0, "a", -2 },
	{ "/nonexistent/file", 0, "a", -2 },
	{ "static:{x", 0, "a", -2 },
	/* names, not networks */
	{ "1.2.3/4 x", MATCH_EXACT, "x", 1 },
};

START_TEST(names)
{
	struct why why = WHY_INIT;
	struct match_list *m = match_list_new("title", strings[_i].list,
	    strings[_i].flags, &why);

	if (strings[_i].want == -2) {
		ck_assert_ptr_null(m);
		ck_assert_msg(strstr(why.text, "title") != NULL, "%s",
		    why.text);
		return;
	}
	ck_assert_msg(m != NULL, "%s", why.text);
	ck_assert_int_eq(match_list_string(m, span_of(strings[_i].s), &why),
	    strings[_i].want);
	match_list_free(&m);
	ck_assert_ptr_null(m);
}
END_TEST

static const struct {
	const char	*list, *name, *addr;
	int		 want;
} clients[] = {
	{ "192.0.2.0/24", NULL, "192.0.2.9", 1 },
	{ "192.0.2.0/24", NULL, "192.0.3.9", 0 },
	{ "192.0.2.9", NULL, "192.0.2.9", 1 },
	{ "[2001:db8::]/32", NULL, "2001:db8:5::1", 1 },
	{ "[2001:db8::]/32", NULL, "2001:db9:5::1", 0 },
	{ "[::1]", NULL, "::1", 1 },
	{ "[::1]/128", NULL, "::1", 1 },
	{ "!192.0.2.9 192.0.2.0/24", NULL, "192.0.2.9", 0 },
	{ "!192.0.2.9 192.0.2.0/24", NULL, "192.0.2.8", 1 },
	{ "127.0.0.0/8 [::1]/128", NULL, "::ffff:127.0.0.1", 1 },
	{ "cidr:{{192.0.2.0/24 x}}", NULL, "192.0.2.9", 1 },
	{ "inline:{192.0.2.9=x}", NULL, "192.0.2.9", 1 },
	{ "a.test", "a.test", "192.0.2.9", 1 },
	{ ".a.test", "x.a.test", "192.0.2.9", 1 },
	{ "!a.test 192.0.2.0/24", "a.test", "192.0.2.9", 0 },
	{ "192.0.2.0/24", "a.test", "192.0.2.9", 1 },
	{ "inline:{a.test=x}", "a.test", "192.0.2.9", 1 },
	{ "inline:{.a.test=x}", "y.a.test", "192.0.2.9", 1 },
	{ "192.0.2.0/24", "a.test", "198.51.100.1", 0 },
};

START_TEST(addresses)
{
	struct why why = WHY_INIT;
	struct match_list *m = match_list_new("title", clients[_i].list, 0,
	    &why);
	struct sock_addr a;
	int rc;

	ck_assert_msg(m != NULL, "%s", why.text);
	ck_assert_int_eq(sock_addr_parse(span_of(clients[_i].addr), 0, &a),
	    0);
	rc = clients[_i].name != NULL ? match_list_client(m,
	    span_of(clients[_i].name), &a, &why)
	    : match_list_addr(m, &a, &why);
	ck_assert_int_eq(rc, clients[_i].want);
	match_list_free(&m);
}
END_TEST

START_TEST(files_of_patterns)
{
	struct why why = WHY_INIT;
	struct match_list *m;
	char list[600];

	conf_write("inner", "c.test\n");
	(void)snprintf(list, sizeof(list), "# comment\na.test b.test\n"
	    "!x.a.test\n%s\n", conf_path("inner"));
	conf_write("outer", list);
	m = match_list_new("t", conf_path("outer"), 0, &why);
	ck_assert_msg(m != NULL, "%s", why.text);
	ck_assert_int_eq(match_list_string(m, SPAN("a.test"), &why), 1);
	ck_assert_int_eq(match_list_string(m, SPAN("b.test"), &why), 1);
	ck_assert_int_eq(match_list_string(m, SPAN("c.test"), &why), 1);
	ck_assert_int_eq(match_list_string(m, SPAN("d.test"), &why), 0);
	match_list_free(&m);
	(void)snprintf(list, sizeof(list), "!%s static:all",
	    conf_path("outer"));
	m = match_list_new("t", list, 0, &why);
	ck_assert_int_eq(match_list_string(m, SPAN("a.test"), &why), 0);
	ck_assert_int_eq(match_list_string(m, SPAN("x.a.test"), &why), 1);
	ck_assert_int_eq(match_list_string(m, SPAN("z.test"), &why), 1);
	match_list_free(&m);
	/* a file that names itself */
	conf_write("loop", conf_path("loop"));
	ck_assert_ptr_null(match_list_new("t", conf_path("loop"), 0, &why));
	ck_assert(strstr(why.text, "nested too deep") != NULL);
}
END_TEST

START_TEST(which_lists_match_subdomains)
{
	conf_write("main.cf", "parent_domain_matches_subdomains = "
	    "mynetworks, foo");
	ck_assert_int_eq(params_load(conf_dir, NULL, 0, conf_report, NULL),
	    0);
	ck_assert_int_eq(match_parent_flag("foo"), MATCH_PARENT);
	ck_assert_int_eq(match_parent_flag("mynetworks"), MATCH_PARENT);
	ck_assert_int_eq(match_parent_flag("relay_domains"), 0);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("conf/match_list");
	TCase *t = tcase_create("match_list");

	tcase_add_checked_fixture(t, conf_setup, conf_teardown);
	tcase_add_loop_test(t, names, 0, ARRAY_LEN(strings));
	tcase_add_loop_test(t, addresses, 0, ARRAY_LEN(clients));
	tcase_add_test(t, files_of_patterns);
	tcase_add_test(t, which_lists_match_subdomains);
	suite_add_tcase(s, t);
	return s;
}
