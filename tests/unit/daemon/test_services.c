/* SPDX-License-Identifier: ISC */
/*
 * What master.cf becomes: programs, sockets, traits, and all that is wrong.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/mem.h"
#include "daemon/services.h"

static char *dir;
static ARRAY(char *) said;

static void
report(void *arg, enum log_level level, const char *line)
{
	*ARRAY_PUSH(&said) = mem_printf("%d %s", (int)level, line);
}

static bool
was_said(const char *part)
{
	for (size_t i = 0; i < said.len; i++)
		if (strstr(said.v[i], part) != NULL)
			return true;
	return false;
}

static void
put(const char *name, const char *text, mode_t mode)
{
	char *path = mem_printf("%s/%s", dir, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	mem_free(path);
}

static int
load(const char *settings, const char *entries, struct services *out)
{
	static const char *const programs[] = {
		"smtpd", "cleanup", "qmgr", "rewrite", "pickup", "bounce",
		"smtp", "resolver", "mtasts", "pipe", "verify", "delegate",
	};
	char template[] = "/tmp/mansio-unit-XXXXXX", *main_cf;

	dir = mem_strdup(mkdtemp(template));
	for (size_t i = 0; i < ARRAY_LEN(programs); i++)
		put(programs[i], "", 0755);
	main_cf = mem_printf("daemon_directory = %s\n"
	    "myhostname = mail.example.test\n%s", dir, settings);
	put("main.cf", main_cf, 0644);
	put("master.cf", entries, 0644);
	mem_free(main_cf);
	return services_load(dir, NULL, 0, out, report, NULL);
}

static void
clean_up(void)
{
	static const char *const names[] = {
		"smtpd", "cleanup", "qmgr", "rewrite", "pickup", "bounce",
		"smtp", "resolver", "mtasts", "pipe", "verify", "delegate",
		"main.cf", "master.cf",
	};

	if (dir == NULL)
		return;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		char *path = mem_printf("%s/%s", dir, names[i]);

		unlink(path);
		mem_free(path);
	}
	rmdir(dir);
	mem_free(dir);
	dir = NULL;
}

/* The entries of a master.cf as Postfix ships it. */
static const char stock[] =
    "smtp      inet  n  -  y  -     -    smtpd\n"
    "#smtp     inet  n  -  y  -     1    postscreen\n"
    "pickup    unix  n  -  y  60    1    pickup\n"
    "cleanup   unix  n  -  y  -     0    cleanup\n"
    "qmgr      unix  n  -  n  300   1    qmgr\n"
    "tlsmgr    unix  -  -  y  1000? 1    tlsmgr\n"
    "rewrite   unix  -  -  y  -     -    trivial-rewrite\n"
    "bounce    unix  -  -  y  -     0    bounce\n"
    "defer     unix  -  -  y  -     0    bounce\n"
    "trace     unix  -  -  y  -     0    bounce\n"
    "verify    unix  -  -  y  -     1    verify\n"
    "flush     unix  n  -  y  1000? 0    flush\n"
    "proxymap  unix  -  -  n  -     -    proxymap\n"
    "proxywrite unix -  -  n  -     1    proxymap\n"
    "smtp      unix  -  -  y  -     -    smtp\n"
    "relay     unix  -  -  y  -     -    smtp\n"
    "        -o syslog_name=postfix/$service_name\n"
    "anvil     unix  -  -  y  -     1    anvil\n"
    "scache    unix  -  -  y  -     1    scache\n"
    "postlog   unix-dgram n - n -   1    postlogd\n"
    "maildrop  unix  -  n  n  -     -    pipe flags=DRXhu user=vmail "
    "argv=/usr/bin/maildrop -d ${recipient}\n";

START_TEST(a_stock_master_cf_works)
{
	struct services s;
	const struct plan *cleanup = NULL, *qmgr = NULL, *rewrite = NULL;

	ck_assert_int_eq(load("inet_interfaces = 127.0.0.1\n", stock, &s), 0);
	/* These are there though a stock file does not know them. */
	ck_assert_uint_eq(s.v.len, 13);
	ck_assert_str_eq(s.v.v[10]->command, "resolver");
	ck_assert_str_eq(s.v.v[11]->command, "delegate");
	ck_assert_str_eq(s.v.v[12]->command, "mtasts");
	for (size_t i = 0; i < s.v.len; i++) {
		if (strcmp(s.v.v[i]->name, "cleanup") == 0)
			cleanup = s.v.v[i];
		if (strcmp(s.v.v[i]->name, "qmgr") == 0)
			qmgr = s.v.v[i];
		if (strcmp(s.v.v[i]->name, "rewrite") == 0)
			rewrite = s.v.v[i];
	}
	ck_assert_ptr_nonnull(cleanup);
	ck_assert_ptr_nonnull(qmgr);
	ck_assert_ptr_nonnull(rewrite);
	/* One process whatever the column says; its sockets are fixed. */
	ck_assert_int_eq(cleanup->maxproc, 1);
	ck_assert_uint_eq(cleanup->sockets.len, 2);
	ck_assert_str_eq(cleanup->sockets.v[0].text, "private/cleanup");
	ck_assert_str_eq(cleanup->sockets.v[1].text, "private/feed");
	ck_assert_int_eq(cleanup->flags, PLAN_SINGLE | PLAN_PRESTART |
	    PLAN_JUDGES | PLAN_UNPRIV);
	ck_assert_int_gt(cleanup->stage, qmgr->stage);
	ck_assert_str_eq(qmgr->sockets.v[0].text, "public/qmgr");
	ck_assert_int_eq(qmgr->wakeup, 0);
	ck_assert_str_eq(rewrite->command, "rewrite");
	ck_assert(was_said("\"tlsmgr\" (tlsmgr) is passed over"));
	ck_assert(was_said("\"defer\" (bounce) is passed over"));
	services_fini(&s);
	ck_assert_ptr_null(s.v.v);
}
END_TEST

static const struct {
	const char	*settings, *name;
	const char	*want[4];	/* sockets, in order */
} inet[] = {
	{ "inet_interfaces = 127.0.0.1\n", "2525", { "127.0.0.1:2525" } },
	{ "inet_interfaces = 127.0.0.1\n", "smtp", { "127.0.0.1:25" } },
	{ "inet_interfaces = 127.0.0.1\n", "submissions",
	    { "127.0.0.1:465" } },
	{ "inet_interfaces = 127.0.0.1, 127.0.0.2 127.0.0.1\n", "2525",
	    { "127.0.0.1:2525", "127.0.0.2:2525" } },
	{ "inet_interfaces = all\ninet_protocols = ipv4\n", "2525",
	    { "0.0.0.0:2525" } },
	/* A host in the entry wins over inet_interfaces. */
	{ "inet_interfaces = all\n", "127.0.0.1:2525",
	    { "127.0.0.1:2525" } },
	{ "inet_interfaces = all\n", "[127.0.0.1]:lmtp",
	    { "127.0.0.1:24" } },
	{ "inet_interfaces = 127.0.0.1\n", "[::1]:2525", { "[::1]:2525" } },
	{ "inet_interfaces = loopback-only\ninet_protocols = ipv4\n", "25",
	    { "127.0.0.1:25" } },
};

START_TEST(inet_names_become_addresses)
{
	char *entry = mem_printf("%s inet n - - - - smtpd\n", inet[_i].name);
	struct services s;
	size_t n = 0;

	ck_assert_int_eq(load(inet[_i].settings, entry, &s), 0);
	/* It brings delegate with it. */
	ck_assert_uint_eq(s.v.len, 2);
	for (; inet[_i].want[n] != NULL; n++) {
		ck_assert_uint_gt(s.v.v[0]->sockets.len, n);
		ck_assert_str_eq(s.v.v[0]->sockets.v[n].text,
		    inet[_i].want[n]);
		ck_assert_uint_ne(s.v.v[0]->sockets.v[n].addr.len, 0);
	}
	ck_assert_uint_eq(s.v.v[0]->sockets.len, n);
	services_fini(&s);
	mem_free(entry);
}
END_TEST

static const struct {
	const char	*settings, *entries, *says;
} wrong[] = {
	{ "", "25 inet n - - - - nosuch\n", "master.cf:1: service \"25\": "
	    "cannot execute" },
	{ "", "cleanup unix n - - - 0 cleanup\n"
	    "two unix n - - - 0 cleanup\n",
	    "master.cf:2: there can be only one cleanup" },
	{ "", "127.0.0.1:25 inet n - - - - smtpd\n"
	    "0.0.0.0:25 inet n - - - - smtpd\n",
	    "master.cf:2: service \"0.0.0.0:25\" wants 0.0.0.0:25" },
	{ "", "25 inet n - - - - cleanup\n",
	    "cleanup serves a UNIX socket, not inet" },
	{ "", "x fifo n - - - - smtpd\n", "smtpd does not read a fifo" },
	{ "", "x unix-dgram n - - - - smtpd\n",
	    "smtpd does not read datagrams" },
	{ "inet_protocols = ipv5\n", "25 inet n - - - - smtpd\n",
	    "\"ipv5\" is none of" },
	{ "inet_interfaces = host.invalid\n", "25 inet n - - - - smtpd\n",
	    "main.cf:3: host \"host.invalid\"" },
	{ "", "# nothing\n", "no service" },
	/* All problems, those of main.cf too. */
	{ "max_idle = soon\n", "25 inet n - - - - nosuch\n",
	    "cannot execute" },
	{ "max_idle = soon\n", "25 inet n - - - - nosuch\n", "max_idle" },
	{ "", "bad line\nx fifo n - - - - smtpd\n", "master.cf:1:" },
	{ "", "bad line\nx fifo n - - - - smtpd\n", "master.cf:2:" },
};

START_TEST(what_is_wrong_is_said)
{
	struct services s;

	ck_assert_int_eq(load(wrong[_i].settings, wrong[_i].entries, &s), -1);
	ck_assert_uint_eq(s.v.len, 0);
	ck_assert_msg(was_said(wrong[_i].says), "not said: %s",
	    wrong[_i].says);
}
END_TEST

START_TEST(plans_are_compared)
{
	struct services s;

	ck_assert_int_eq(load("inet_interfaces = 127.0.0.1\n",
	    "2525 inet n - - - - smtpd\n"
	    "127.0.0.1:2526 inet n - - - - smtpd\n"
	    "2527 inet n - - - - smtpd\n  -o max_idle=5s\n", &s), 0);
	ck_assert(plan_same(s.v.v[0], s.v.v[0]));
	ck_assert(!plan_same(s.v.v[0], s.v.v[1]));
	ck_assert(!plan_same(s.v.v[0], s.v.v[2]));
	ck_assert_uint_eq(s.v.v[2]->options.len, 2);
	ck_assert_str_eq(s.v.v[2]->options.v[1], "max_idle=5s");
	services_fini(&s);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("services");
	TCase *t = tcase_create("services");

	tcase_add_checked_fixture(t, NULL, clean_up);
	tcase_add_test(t, a_stock_master_cf_works);
	tcase_add_loop_test(t, inet_names_become_addresses, 0,
	    ARRAY_LEN(inet));
	tcase_add_loop_test(t, what_is_wrong_is_said, 0, ARRAY_LEN(wrong));
	tcase_add_test(t, plans_are_compared);
	suite_add_tcase(s, t);
	return s;
}
