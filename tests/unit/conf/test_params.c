/* SPDX-License-Identifier: ISC */
/*
 * params and main_cf: the syntax of main.cf, the checks, what is reported.
 */
#include "conf_test.h"

#include "base/mem.h"
#include "conf/params_priv.h"

static int
load(const char *main_cf)
{
	conf_write("main.cf", main_cf);
	buf_reset(&conf_problems);
	return params_load(conf_dir, NULL, 0, conf_report, NULL);
}

START_TEST(rows_are_sorted_and_have_their_paragraph)
{
	size_t n;
	const struct param_row *r = params_rows(&n);

	ck_assert_uint_gt(n, 250);
	for (size_t i = 0; i < n; i++) {
		ck_assert_msg(i == 0 || strcmp(r[i - 1].name, r[i].name) < 0,
		    "%s is out of order", r[i].name);
		ck_assert_msg(strlen(r[i].text) > 15, "%s has no paragraph",
		    r[i].name);
		ck_assert_msg(r[i].text[strlen(r[i].text) - 1] == '.' ||
		    strstr(r[i].text, "...") != NULL ||
		    r[i].text[strlen(r[i].text) - 1] == '"',
		    "%s: the paragraph has no end", r[i].name);
		ck_assert_msg(!params_is_known(r[i].name),
		    "%s is also in params_known.def", r[i].name);
		ck_assert_ptr_eq(params_row(r[i].name), &r[i]);
	}
}
END_TEST

START_TEST(defaults)
{
	ck_assert_int_eq(load(""), 0);
	ck_assert_str_eq(conf_problems.data, "");
	ck_assert_str_eq(conf.mail_owner, "mansio");
	ck_assert_str_eq(conf.syslog_name, "mansio");
	ck_assert_int_eq(conf.smtpd_timeout, 300);
	ck_assert_int_eq(conf.maximal_queue_lifetime, 5 * 86400);
	ck_assert_int_eq(conf.mailbox_size_limit, PARAM_UNLIMITED);
	ck_assert_int_eq(conf.message_size_limit, 52428800);
	ck_assert(conf.disable_vrfy_command);
	ck_assert(strchr(conf.myhostname, '.') != NULL);
	ck_assert_str_eq(conf.n2bounce_notice_recipient, "postmaster");
	ck_assert_str_eq(conf.myorigin, conf.myhostname);
	ck_assert(strstr(conf.mynetworks, "127.0.0.0/8") != NULL);
	ck_assert_str_eq(params_origin("relayhost"), "default");
	ck_assert_ptr_null(params_origin("nosuch"));
	ck_assert_ptr_null(params_raw("nosuch"));
	ck_assert_str_eq(params_config_dir(), conf_dir);
	ck_assert_str_eq(conf.config_directory, conf_dir);
}
END_TEST

/* want: the value of relayhost; problem: what must be reported, or NULL. */
static const struct {
	const char	*text, *want, *problem;
} syntax[] = {
	{ "relayhost = a", "a", NULL },
	{ "relayhost=a", "a", NULL },
	{ "relayhost =", "", NULL },
	{ "relayhost = a = b", "a = b", NULL },
	{ "relayhost = a\r\n", "a", NULL },
	{ "# comment\n\n  # another\nrelayhost = a", "a", NULL },
	{ "relayhost = a,\n  b", "a,  b", NULL },
	{ "relayhost = a,\n# in\n\n\tb\n", "a,\tb", NULL },
	{ "relayhost =\n a\n b\n", "a b", NULL },
	{ "relayhost = a # b", "a # b", NULL },
	{ "mydomain = x.test\nrelayhost = [mail.$mydomain]",
	    "[mail.x.test]", NULL },
	{ "relayhost = ${stress?{x}:{y}}", "y", NULL },
	{ "relayhost = a\nrelayhost = b", "b",
	    "main.cf:2: overriding earlier entry of line 1: relayhost=a" },
	{ "relayhost = $foo", "", "main.cf:1: undefined parameter: foo" },
	{ "foo = x\nrelayhost = $foo", "x", NULL },
	{ "relayhst = a", "", "main.cf:1: unknown parameter relayhst: did "
	    "you mean relayhost?" },
	{ "x_y_z = a", "", "unknown parameter x_y_z\n" },
	{ "smtp_tls_CAfile = /x", "", NULL },	/* Postfix's */
	{ "smtp_destination_concurrency_limit = 7", "", NULL },
	{ "slow_destination_rate_delay = 5m", "", NULL },
	{ "smtpd_restriction_classes = mine\nmine = permit", "", NULL },
	{ "virtual_alias_maps = ldap:acc\nacc_server_host = x", "", NULL },
	{ "service_name = x", "", "cannot be set in main.cf" },
	{ "message_size_limit = 0", "", "taken as unlimited" },
};

START_TEST(main_cf_syntax)
{
	ck_assert_msg(load(syntax[_i].text) == 0, "%s: %s", syntax[_i].text,
	    conf_problems.data);
	ck_assert_str_eq(conf.relayhost, syntax[_i].want);
	if (syntax[_i].problem == NULL)
		ck_assert_str_eq(conf_problems.data, "");
	else
		ck_assert_msg(conf_problem_has(syntax[_i].problem), "%s",
		    conf_problems.data);
}
END_TEST

static const struct {
	const char	*text, *problem;
} refused[] = {
	{ "noequals", "main.cf:1: missing '=' after attribute name" },
	{ "= x", "main.cf:1: missing attribute name" },
	{ "foo bar = x", "missing '=' after attribute name" },
	{ "a\001b = x", "bad parameter name" },
	{ "smtpd_timeout = 5x", "main.cf:1: bad value of smtpd_timeout: "
	    "\"5x\": expected a time such as 30s" },
	{ "smtpd_timeout = 0", "bad value" },
	{ "smtpd_timeout = -1", "bad value" },
	{ "smtpd_timeout =", "bad value" },
	{ "smtpd_timeout = 99999999999999999999", "bad value" },
	{ "hopcount_limit = many", "expected a number from 1 to 1000" },
	{ "hopcount_limit = 1001", "bad value" },
	{ "hopcount_limit = 0", "bad value" },
	{ "soft_bounce = maybe", "expected yes or no" },
	{ "soft_bounce =", "expected yes or no" },
	{ "mynetworks_style = all", "one of: host subnet class" },
	{ "message_size_limit = 1t", "bytes" },
	{ "message_size_limit = unlimitd", "or unlimited" },
	{ "hopcount_limit = unlimited", "bad value" },
	{ "relayhost = ${", "main.cf:1: relayhost: " },
	{ "relayhost = $a\na = $b\nb = $a", "is there a loop?" },
	{ "smtp_destination_concurrency_limit = x", "bad value" },
	{ "mailbox_size_limit = 1000", "mailbox_size_limit is smaller than "
	    "message_size_limit" },
	{ "myorigin = /nonexistent/mailname", "/nonexistent/mailname" },
};

START_TEST(wrong_settings_say_what_is_allowed)
{
	ck_assert_int_eq(load("relayhost = before"), 0);
	ck_assert_int_eq(load(refused[_i].text), -1);
	ck_assert_msg(conf_problem_has(refused[_i].problem) &&
	    conf_problem_has("error: "), "%s: %s", refused[_i].text,
	    conf_problems.data);
	/* what was loaded stays */
	ck_assert_str_eq(conf.relayhost, "before");
	ck_assert_str_eq(params_raw("relayhost"), "before");
}
END_TEST

static const struct {
	const char	*text;
	int64_t		 want;
} times[] = {
	{ "1", 1 }, { "30s", 30 }, { "5m", 300 }, { "2H", 7200 },
	{ "1d", 86400 }, { "86400", 86400 },
};

/* What takes its default from it is no second error, and no end of us. */
START_TEST(a_wrong_value_that_others_inherit)
{
	conf_write("main.cf", "mua_tls_security_level = dane\n"
	    "mua_tls_ask_ccert = maybe\n");
	buf_reset(&conf_problems);
	ck_assert_int_eq(params_load_flags(conf_dir, NULL, 0,
	    PARAMS_KEEP_GOING, conf_report, NULL), -1);
	ck_assert(conf_problem_has("main.cf:1: bad value of "
	    "mua_tls_security_level: \"dane\""));
	ck_assert(conf_problem_has("main.cf:2: bad value of "
	    "mua_tls_ask_ccert: \"maybe\""));
	ck_assert_ptr_null(strstr(conf_problems.data, "imapd_tls"));
	ck_assert_str_eq(conf.imapd_tls_security_level, "encrypt");
	ck_assert(!conf.pop3d_tls_ask_ccert);
}
END_TEST

START_TEST(times_have_units)
{
	char text[64];

	(void)snprintf(text, sizeof(text), "smtpd_timeout = %s",
	    times[_i].text);
	ck_assert_int_eq(load(text), 0);
	ck_assert_int_eq(conf.smtpd_timeout, times[_i].want);
}
END_TEST

START_TEST(a_number_has_the_unit_of_the_default)
{
	ck_assert_int_eq(load("maximal_queue_lifetime = 2\n"
	    "delay_warning_time = 4\nsmtpd_timeout = 7\n"), 0);
	ck_assert_int_eq(conf.maximal_queue_lifetime, 2 * 86400);
	ck_assert_int_eq(conf.delay_warning_time, 4 * 3600);
	ck_assert_int_eq(conf.smtpd_timeout, 7);
}
END_TEST

static const struct {
	const char	*text, *want;
} old_names[] = {
	{ "", "dane" },
	{ "smtp_use_tls = yes", "dane" },
	{ "smtp_use_tls = no", "none" },
	{ "smtp_enforce_tls = yes", "verify" },
	{ "smtp_enforce_tls = yes\nsmtp_use_tls = no", "verify" },
	{ "smtp_enforce_tls = yes\nsmtp_tls_enforce_peername = no",
	  "encrypt" },
	{ "smtp_enforce_tls = yes\nsmtp_tls_security_level = may", "may" },
};

START_TEST(old_names_for_tls_still_mean_it)
{
	ck_assert_int_eq(load(old_names[_i].text), 0);
	ck_assert_str_eq(conf.smtp_tls_security_level, old_names[_i].want);
}
END_TEST

START_TEST(what_would_be_missed_is_told_about)
{
	ck_assert_int_eq(load("smtp_tls_per_site = hash:/x\n"
	    "smtpd_milters = inet:localhost:1\nnon_smtpd_milters =\n"
	    "readme_directory = no\nslow_delivery_slot_cost = 3\n"), 0);
	ck_assert(conf_problem_has("main.cf:1: smtp_tls_per_site has no "
	    "effect"));
	ck_assert(conf_problem_has("main.cf:2: smtpd_milters has no effect "
	    "here: milters are not supported yet"));
	ck_assert(!conf_problem_has("main.cf:3: "));
	ck_assert(!conf_problem_has("main.cf:4: "));
	ck_assert(conf_problem_has("main.cf:5: slow_delivery_slot_cost has no "
	    "effect"));
	ck_assert_str_eq(params_name_today("smtp_use_tls"),
	    "smtp_tls_security_level");
	ck_assert_ptr_null(params_name_today("smtp_tls_CAfile"));
}
END_TEST

START_TEST(a_wrong_value_that_others_have_by_default_is_said_once)
{
	ck_assert_int_eq(load("mua_tls_loglevel = 9"), -1);
	ck_assert(conf_problem_has("main.cf:1: bad value of "
	    "mua_tls_loglevel: \"9\""));
	ck_assert(!conf_problem_has("imapd_tls_loglevel"));
	ck_assert_int_eq(load("mua_tls_loglevel = much"), -1);
	ck_assert(!conf_problem_has("pop3d_tls_loglevel"));
	ck_assert_int_eq(load("mua_tls_loglevel = 4"), 0);
	ck_assert_int_eq(conf.imapd_tls_loglevel, 4);
}
END_TEST

START_TEST(limits_at_and_one_past)
{
	ck_assert_int_eq(load("hopcount_limit = 1000"), 0);
	ck_assert_int_eq(load("hopcount_limit = 1"), 0);
	ck_assert_int_eq(load("smtpd_timeout = 86400"), 0);
	ck_assert_int_eq(load("smtpd_timeout = 86401"), -1);
	ck_assert_int_eq(load("message_size_limit = 1k"), 0);
	ck_assert_int_eq(conf.message_size_limit, 1024);
	ck_assert_int_eq(load("message_size_limit = unlimited"), 0);
	ck_assert_int_eq(conf.message_size_limit, PARAM_UNLIMITED);
}
END_TEST

START_TEST(all_problems_are_reported_at_once)
{
	ck_assert_int_eq(load("soft_bounce = x\nbroken\nhopcount_limit = y\n"
	    "relayhost = ${\n"), -1);
	ck_assert(conf_problem_has("main.cf:1: "));
	ck_assert(conf_problem_has("main.cf:2: "));
	ck_assert(conf_problem_has("main.cf:3: "));
	ck_assert(conf_problem_has("main.cf:4: "));
}
END_TEST

START_TEST(drop_ins_and_overrides_win)
{
	const char *const over[] = { "relayhost=over", "{ myorigin = x y }" };

	ck_assert_int_eq(mkdir(conf_path("main.cf.d"), 0755), 0);
	conf_write("main.cf", "relayhost = main\nmydomain = main.test\n");
	conf_write("main.cf.d/10.cf", "relayhost = ten\n");
	conf_write("main.cf.d/20.cf", "relayhost = twenty\n");
	conf_write("main.cf.d/30.txt", "relayhost = text\n");
	conf_write("main.cf.d/.40.cf", "relayhost = hidden\n");
	ck_assert_int_eq(params_load(conf_dir, NULL, 0, conf_report, NULL),
	    0);
	ck_assert_str_eq(conf.relayhost, "twenty");
	ck_assert_str_eq(conf.mydomain, "main.test");
	ck_assert_str_eq(params_origin("relayhost") + strlen(conf_dir),
	    "/main.cf.d/20.cf:1");
	ck_assert_str_eq(conf_problems.data, "");
	ck_assert_int_eq(params_load(conf_dir, over, 2, conf_report, NULL),
	    0);
	ck_assert_str_eq(conf.relayhost, "over");
	ck_assert_str_eq(conf.myorigin, "x y");
	ck_assert_str_eq(params_origin("relayhost"), "-o");
}
END_TEST

static void
look_inside(void *arg)
{
	ck_assert_str_eq(conf.relayhost, "service");
	ck_assert_str_eq(conf.myorigin, "x y");
	ck_assert_str_eq(conf.smtp_helo_name, "465.main.test");
	ck_assert_str_eq(params_origin("relayhost"), "-o");
	/* What is wrong is passed over. */
	ck_assert_int_eq(conf.smtpd_timeout, 77);
	*(int *)arg += 1;
}

START_TEST(a_service_is_looked_at_and_left_as_it_was)
{
	const char *const over[] = { "relayhost=over", "{ myorigin = x y }" };
	const char *const own[] = { "relayhost=service", "service_name=465",
		"smtp_helo_name=$service_name.$mydomain" };
	int seen = 0;

	conf_write("main.cf", "relayhost = main\nmydomain = main.test\n"
	    "smtpd_timeout = 77\nsmtp_helo_name = plain\n");
	ck_assert_int_eq(params_load(conf_dir, over, 2, conf_report, NULL),
	    0);
	conf_write("main.cf", "the file is not read again");
	params_with(own, 3, look_inside, &seen);
	ck_assert_int_eq(seen, 1);
	ck_assert_str_eq(conf.relayhost, "over");
	ck_assert_str_eq(conf.myorigin, "x y");
	ck_assert_str_eq(conf.smtp_helo_name, "plain");
	ck_assert_str_eq(params_origin("smtpd_timeout") + strlen(conf_dir),
	    "/main.cf:3");
	ck_assert_str_eq(params_config_dir(), conf_dir);
	ck_assert_str_eq(conf_problems.data, "");
}
END_TEST

START_TEST(a_missing_main_cf_is_an_error)
{
	ck_assert_int_eq(unlink(conf_path("main.cf")), 0);
	ck_assert_int_eq(params_load(conf_dir, NULL, 0, conf_report, NULL),
	    -1);
	ck_assert(conf_problem_has("main.cf: No such file"));
	conf_write_n("main.cf", "relayhost = a\0b\n", 16);
	ck_assert_int_eq(params_load(conf_dir, NULL, 0, conf_report, NULL),
	    -1);
	ck_assert(conf_problem_has("not a text file"));
}
END_TEST

START_TEST(long_lines_are_refused)
{
	size_t n = 1 << 20;
	char *text = mem_alloc(n + 32);

	/* a logical line of exactly CF_LINE_MAX bytes, and one more */
	memset(text, 'x', n + 32);
	memcpy(text, "relayhost = ", 12);
	conf_write_n("main.cf", text, n);
	ck_assert_int_eq(params_load(conf_dir, NULL, 0, conf_report, NULL),
	    0);
	conf_write_n("main.cf", text, n + 1);
	ck_assert_int_eq(params_load(conf_dir, NULL, 0, conf_report, NULL),
	    -1);
	ck_assert(conf_problem_has("line longer than"));
	mem_free(text);
}
END_TEST

START_TEST(strings_survive_a_reload)
{
	const char *old;

	ck_assert_int_eq(load("relayhost = one\nmydomain = same.test"), 0);
	old = conf.relayhost;
	ck_assert_int_eq(load("relayhost = two\nmydomain = same.test"), 0);
	ck_assert_str_eq(old, "one");
	ck_assert_str_eq(conf.relayhost, "two");
}
END_TEST

START_TEST(raw_and_expanded)
{
	char *v;

	ck_assert_int_eq(load("mydomain = x.test\nfoo = <$mydomain>\n"
	    "relayhost = $foo\nluser_relay = $user@$mydomain\n"), 0);
	ck_assert_str_eq(params_raw("foo"), "<$mydomain>");
	v = params_get("foo");
	ck_assert_str_eq(v, "<x.test>");
	mem_free(v);
	ck_assert_ptr_null(params_get("nosuch"));
	/* P_RAW is left to its reader */
	ck_assert_str_eq(conf.luser_relay, "$user@$mydomain");
}
END_TEST

START_TEST(transports_have_their_own_limits)
{
	ck_assert_int_eq(load("smtp_destination_concurrency_limit = 7\n"
	    "slow_destination_rate_delay = 5m\n"
	    "default_destination_recipient_limit = 9\n"
	    "slow_initial_destination_concurrency = 3\n"), 0);
	ck_assert_int_eq(params_transport_int("smtp",
	    "destination_concurrency_limit", 1), 7);
	ck_assert_int_eq(params_transport_int("other",
	    "destination_concurrency_limit", 1), 20);
	ck_assert_int_eq(params_transport_int("slow",
	    "destination_rate_delay", 1), 300);
	ck_assert_int_eq(params_transport_int("smtp",
	    "destination_recipient_limit", 1), 9);
	ck_assert_int_eq(params_transport_int("slow",
	    "initial_destination_concurrency", 1), 3);
	ck_assert_int_eq(params_transport_int("smtp",
	    "initial_destination_concurrency", 1), 5);
	ck_assert_int_eq(params_transport_int("smtp", "no_such_thing", 42),
	    42);
}
END_TEST

START_TEST(myorigin_can_be_in_a_file)
{
	char text[512];

	conf_write("mailname", "# comment\nmail.example.test\n");
	(void)snprintf(text, sizeof(text), "myorigin = %s",
	    conf_path("mailname"));
	ck_assert_int_eq(load(text), 0);
	ck_assert_str_eq(conf.myorigin, "mail.example.test");
}
END_TEST

START_TEST(mynetworks_style_host)
{
	ck_assert_int_eq(load("inet_interfaces = loopback-only\n"
	    "inet_protocols = ipv4"), 0);
	ck_assert_str_eq(conf.mynetworks, "127.0.0.0/8");
}
END_TEST

static const struct {
	const char	*a, *b;
	unsigned	 want;
} distances[] = {
	{ "abc", "abc", 0 }, { "abc", "abd", 1 }, { "abc", "ab", 1 },
	{ "abc", "acb", 1 }, { "abc", "xabc", 1 }, { "abc", "xyz", 3 },
	{ "abcdef", "a", 4 }, { "", "", 0 }, { "", "ab", 2 },
};

START_TEST(distance)
{
	ck_assert_uint_eq(params_distance(distances[_i].a, distances[_i].b,
	    3), distances[_i].want);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("conf/params");
	TCase *t = tcase_create("params");

	tcase_add_checked_fixture(t, conf_setup, conf_teardown);
	tcase_add_test(t, rows_are_sorted_and_have_their_paragraph);
	tcase_add_test(t, defaults);
	tcase_add_loop_test(t, main_cf_syntax, 0, ARRAY_LEN(syntax));
	tcase_add_loop_test(t, wrong_settings_say_what_is_allowed, 0,
	    ARRAY_LEN(refused));
	tcase_add_loop_test(t, times_have_units, 0, ARRAY_LEN(times));
	tcase_add_test(t, a_number_has_the_unit_of_the_default);
	tcase_add_loop_test(t, old_names_for_tls_still_mean_it, 0,
	    sizeof(old_names) / sizeof(old_names[0]));
	tcase_add_test(t, what_would_be_missed_is_told_about);
	tcase_add_test(t, a_wrong_value_that_others_have_by_default_is_said_once);
	tcase_add_test(t, limits_at_and_one_past);
	tcase_add_test(t, all_problems_are_reported_at_once);
	tcase_add_test(t, a_wrong_value_that_others_inherit);
	tcase_add_test(t, drop_ins_and_overrides_win);
	tcase_add_test(t, a_service_is_looked_at_and_left_as_it_was);
	tcase_add_test(t, a_missing_main_cf_is_an_error);
	tcase_add_test(t, long_lines_are_refused);
	tcase_add_test(t, strings_survive_a_reload);
	tcase_add_test(t, raw_and_expanded);
	tcase_add_test(t, transports_have_their_own_limits);
	tcase_add_test(t, myorigin_can_be_in_a_file);
	tcase_add_test(t, mynetworks_style_host);
	tcase_add_loop_test(t, distance, 0, ARRAY_LEN(distances));
	suite_add_tcase(s, t);
	return s;
}
