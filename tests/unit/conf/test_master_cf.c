/* SPDX-License-Identifier: ISC */
/*
 * master_cf: columns, options, drop-ins, and what is refused.
 */
#include "conf_test.h"

#include "conf/master_cf.h"

static struct master_cf m;

static int
load(const char *text)
{
	conf_write("master.cf", text);
	buf_reset(&conf_problems);
	ck_assert_int_eq(params_load(conf_dir, NULL, 0, conf_report, NULL),
	    0);
	return master_cf_load(conf_dir, &m, conf_report, NULL);
}

START_TEST(the_eight_columns)
{
	const struct service *s;

	ck_assert_int_eq(load(
	    "# service type private unpriv chroot wakeup maxproc command\n"
	    "smtp inet n - y - - smtpd\n"
	    "127.0.0.1:2525 inet n - n - 7 smtpd -v\n"
	    "pickup unix n - n 60 1 pickup\n"
	    "flush unix n - n 1000? 0 flush\n"
	    "local unix - n n - - local\n"
	    "postlog unix-dgram n - n - 1 postlogd\n"), 0);
	ck_assert_str_eq(conf_problems.data, "");
	ck_assert_uint_eq(m.services.len, 6);
	s = master_cf_find(&m, "smtp", SERVICE_INET);
	ck_assert_ptr_nonnull(s);
	ck_assert(!s->private && s->unpriv && s->chroot);
	ck_assert_int_eq(s->maxproc, 100);
	ck_assert_int_eq(s->wakeup, 0);
	ck_assert_str_eq(s->command, "smtpd");
	ck_assert_str_eq(s->origin + strlen(conf_dir), "/master.cf:2");
	s = master_cf_find(&m, "127.0.0.1:2525", SERVICE_INET);
	ck_assert_int_eq(s->maxproc, 7);
	ck_assert_uint_eq(s->args.len, 1);
	ck_assert_str_eq(s->args.v[0], "-v");
	s = master_cf_find(&m, "pickup", SERVICE_UNIX);
	ck_assert_int_eq(s->wakeup, 60);
	ck_assert(!s->wakeup_if_used && !s->private);
	s = master_cf_find(&m, "flush", SERVICE_UNIX);
	ck_assert_int_eq(s->wakeup, 1000);
	ck_assert_int_eq(s->maxproc, 0);
	ck_assert(s->wakeup_if_used);
	s = master_cf_find(&m, "local", SERVICE_UNIX);
	ck_assert(s->private && !s->unpriv && !s->chroot);
	ck_assert_ptr_nonnull(master_cf_find(&m, "postlog",
	    SERVICE_UNIX_DGRAM));
	ck_assert_ptr_null(master_cf_find(&m, "smtp", SERVICE_UNIX));
	master_cf_fini(&m);
}
END_TEST

START_TEST(options_and_arguments)
{
	const struct service *s;

	ck_assert_int_eq(load(
	    "submission inet n - n - - smtpd\n"
	    "  -o syslog_name=mansio/$service_name\n"
	    "  # a comment\n"
	    "  -osoft_bounce=yes\n"
	    "  -o { smtpd_banner = $myhostname  says hi }\n"
	    "  -v\n"
	    "x unix - n n - - pipe -o soft_bounce=no flags=DR user=u\n"
	    "  argv=/bin/cat -o not=ours {a b} ${recipient}\n"), 0);
	ck_assert_str_eq(conf_problems.data, "");
	s = master_cf_find(&m, "submission", SERVICE_INET);
	ck_assert_uint_eq(s->overrides.len, 3);
	ck_assert_str_eq(s->overrides.v[0], "syslog_name=mansio/$service_name");
	ck_assert_str_eq(s->overrides.v[1], "soft_bounce=yes");
	ck_assert_str_eq(s->overrides.v[2],
	    "smtpd_banner=$myhostname  says hi");
	ck_assert_uint_eq(s->args.len, 1);
	ck_assert_str_eq(s->args.v[0], "-v");
	s = master_cf_find(&m, "x", SERVICE_UNIX);
	ck_assert_uint_eq(s->overrides.len, 1);
	ck_assert_uint_eq(s->args.len, 7);
	ck_assert_str_eq(s->args.v[2], "argv=/bin/cat");
	ck_assert_str_eq(s->args.v[3], "-o");
	ck_assert_str_eq(s->args.v[4], "not=ours");
	ck_assert_str_eq(s->args.v[5], "a b");
	ck_assert_str_eq(s->args.v[6], "${recipient}");
	master_cf_fini(&m);
}
END_TEST

static const struct {
	const char	*text, *problem;
} refused[] = {
	{ "smtp inet n - n - -", "bad field count: 7" },
	{ "smtp", "bad field count: 1" },
	{ "smtp tcp n - n - - smtpd", "column type: \"tcp\": expected inet" },
	{ "smtp inet x - n - - smtpd", "column private: \"x\": expected y" },
	{ "smtp inet n x n - - smtpd", "column unprivileged" },
	{ "smtp inet n - no - - smtpd", "column chroot" },
	{ "smtp inet y - n - - smtpd", "an inet service cannot be private" },
	{ "smtp inet n - n soon - smtpd", "column wakeup: \"soon\"" },
	{ "smtp inet n - n ? - smtpd", "column wakeup" },
	{ "smtp inet n - n - lots smtpd", "column process_limit: \"lots\"" },
	{ "smtp inet n - n - -1 smtpd", "column process_limit" },
	{ "smtp inet n - n - - /bin/sh", "column command" },
	{ "smtp inet n - n - - ../smtpd", "column command" },
	{ "nosuchport inet n - n - - smtpd", "unknown port \"nosuchport\"" },
	{ "0 inet n - n - - smtpd", "port from 1 to 65535" },
	{ "65536 inet n - n - - smtpd", "port from 1 to 65535" },
	{ "[::1 inet n - n - - smtpd", "not an address" },
	{ "::1:25 inet n - n - - smtpd", "write IPv6 addresses as" },
	{ "../x unix n - n - - smtpd", "expected a file name" },
	{ "/x unix n - n - - smtpd", "expected a file name" },
	{ "a$nope unix n - n - - smtpd -o", "-o without name=value" },
	{ "smtp inet n - n - - smtpd -o foo", "missing '='" },
	{ "smtp inet n - n - - smtpd -o {a=b", "missing '}'" },
	{ "smtp inet n - n - - smtpd -o soft_bounce=x", "master.cf:1: bad "
	    "value of soft_bounce" },
	{ "smtp inet n - n - - smtpd -o hopcount_limit=1001", "bad value" },
};

START_TEST(wrong_lines_are_named)
{
	ck_assert_int_eq(load(refused[_i].text), -1);
	ck_assert_msg(conf_problem_has(refused[_i].problem) &&
	    conf_problem_has("master.cf:1: "), "%s: %s", refused[_i].text,
	    conf_problems.data);
	master_cf_fini(&m);
}
END_TEST

START_TEST(all_problems_at_once)
{
	ck_assert_int_eq(load("smtp tcp n x n - - smtpd\n\nfoo\n"
	    "a unix n - n - b smtpd\n"), -1);
	ck_assert(conf_problem_has("master.cf:1: bad value of the column "
	    "type"));
	ck_assert(conf_problem_has("master.cf:1: bad value of the column "
	    "unprivileged"));
	ck_assert(conf_problem_has("master.cf:3: bad field count"));
	ck_assert(conf_problem_has("master.cf:4: bad value of the column "
	    "process_limit"));
}
END_TEST

START_TEST(warnings_do_not_stop)
{
	ck_assert_int_eq(load("a unix - - n - 1 x\na unix - - n - 2 x\n"
	    "b unix - - n - - smtpd -o soft_bonce=yes\n"), 0);
	ck_assert(conf_problem_has("warning: "));
	ck_assert(conf_problem_has("service a/unix is here again"));
	ck_assert(conf_problem_has("did you mean soft_bounce?"));
	ck_assert_int_eq(master_cf_find(&m, "a", SERVICE_UNIX)->maxproc, 2);
	master_cf_fini(&m);
}
END_TEST

START_TEST(drop_ins_replace_services)
{
	ck_assert_int_eq(mkdir(conf_path("master.cf.d"), 0755), 0);
	conf_write("master.cf.d/1.cf", "a unix - - n - 5 x\n"
	    "c unix - - n - - x\n");
	ck_assert_int_eq(load("a unix - - n - 1 x\nb unix - - n - - x\n"), 0);
	ck_assert_str_eq(conf_problems.data, "");
	ck_assert_uint_eq(m.services.len, 3);
	ck_assert_int_eq(master_cf_find(&m, "a", SERVICE_UNIX)->maxproc, 5);
	master_cf_fini(&m);
}
END_TEST

START_TEST(services_can_be_disabled)
{
	conf_write("main.cf", "master_service_disable = a/unix inet c.unix");
	ck_assert_int_eq(load("a unix - - n - 1 x\nb unix - - n - - x\n"
	    "2525 inet n - n - - smtpd\nc unix - - n - - x\n"), 0);
	ck_assert_uint_eq(m.services.len, 1);
	ck_assert_str_eq(m.services.v[0].name, "b");
	master_cf_fini(&m);
}
END_TEST

START_TEST(names_and_numbers_can_be_settings)
{
	conf_write("main.cf", "port = 2525\nmany = 33\n");
	ck_assert_int_eq(load("127.0.0.1:$port inet n - n - $many smtpd\n"),
	    0);
	ck_assert_str_eq(conf_problems.data, "");
	ck_assert_str_eq(m.services.v[0].name, "127.0.0.1:2525");
	ck_assert_int_eq(m.services.v[0].maxproc, 33);
	master_cf_fini(&m);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("conf/master_cf");
	TCase *t = tcase_create("master_cf");

	tcase_add_checked_fixture(t, conf_setup, conf_teardown);
	tcase_add_test(t, the_eight_columns);
	tcase_add_test(t, options_and_arguments);
	tcase_add_loop_test(t, wrong_lines_are_named, 0, ARRAY_LEN(refused));
	tcase_add_test(t, all_problems_at_once);
	tcase_add_test(t, warnings_do_not_stop);
	tcase_add_test(t, drop_ins_replace_services);
	tcase_add_test(t, services_can_be_disabled);
	tcase_add_test(t, names_and_numbers_can_be_settings);
	suite_add_tcase(s, t);
	return s;
}
