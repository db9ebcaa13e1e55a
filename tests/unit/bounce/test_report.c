/* SPDX-License-Identifier: ISC */
/*
 * report: the text of notices, RFC 3464 and RFC 6533.
 */
#include <check.h>

#include "bounce/report.h"
#include "conf/params.h"

static struct templates ts;
static struct rcpt rcpts[2];
static struct envelope env;
static struct buf out;

static void
setup(void)
{
	conf.myhostname = "mx.example.org";
	conf.myorigin = "example.org";
	conf.header_from_format = "standard";
	conf.enable_threaded_bounces = false;
	templates_init(&ts);
	out = BUF_INIT(BUF_UNLIMITED);
	rcpts[0] = (struct rcpt){
		.addr = SPAN("joe@example.net"), .dsn = SPAN("5.1.1"),
		.text = SPAN("host mx.example.net[192.0.2.1] said: 550 5.1.1 "
		    "no such user (in reply to RCPT TO command)"),
		.relay = SPAN("mx.example.net[192.0.2.1]:25"),
		.orig = SPAN("list@example.org"),
		.dsn_orcpt = SPAN("rfc822;list@example.org"),
	};
	env = (struct envelope){
		.queue_id = SPAN("4jXC7L5X6vz1"),
		.sender = SPAN("alice@example.org"), .arrival_us = 1000000,
		.dsn_envid = SPAN("env-1"),
	};
	env.rcpts.v = rcpts;
	env.rcpts.len = 1;
}

static void
teardown(void)
{
	templates_fini(&ts);
	buf_fini(&out);
}

static struct report
report(enum bounce_kind kind)
{
	return (struct report){
		.kind = kind, .t = &ts.t[TEMPLATE_FAILURE], .e = &env,
		.to = env.sender, .full = true, .now_s = 10,
		.give_up_s = 432001, .message_id = "id@mx", .boundary = "BB",
		.text = "Text.\n",
	};
}

static bool
has(const char *what)
{
	return strstr(out.data, what) != NULL;
}

START_TEST(a_failure_names_recipient_reason_and_host)
{
	struct report r = report(BOUNCE_FAILURE);

	report_head(&r, &out);
	ck_assert(has("From: Mail Delivery System <MAILER-DAEMON@example.org>"
	    "\n"));
	ck_assert(has("\nTo: alice@example.org\n"));
	ck_assert(has("\nAuto-Submitted: auto-replied\n"));
	ck_assert(has("\nReporting-MTA: dns; mx.example.org\n"
	    "Original-Envelope-Id: env-1\n"
	    "X-Mansio-Queue-ID: 4jXC7L5X6vz1\n"
	    "X-Mansio-Sender: rfc822; alice@example.org\n"));
	ck_assert(has("\n\nFinal-Recipient: rfc822; joe@example.net\n"
	    "Original-Recipient: rfc822;list@example.org\n"
	    "Action: failed\nStatus: 5.1.1\n"
	    "Remote-MTA: dns; mx.example.net\n"
	    "Diagnostic-Code: smtp; 550 5.1.1 no such user"));
	ck_assert(has("<joe@example.net> (expanded from <list@example.org>):"));
	ck_assert(has("\nContent-Type: message/rfc822\n\n"
	    "Return-Path: <alice@example.org>\n"));
	ck_assert(!has("8bit"));
	buf_reset(&out);
	report_tail(&r, &out);
	ck_assert_str_eq(out.data, "\n--BB--\n");
}
END_TEST

START_TEST(a_local_reason_is_no_smtp_reply)
{
	struct report r = report(BOUNCE_FAILURE);

	rcpts[0].text = SPAN("unknown user: \"joe\"");
	rcpts[0].relay = SPAN("local");
	report_head(&r, &out);
	ck_assert(has("\nDiagnostic-Code: X-Mansio; unknown user: \"joe\"\n"));
	ck_assert(!has("Remote-MTA"));
}
END_TEST

START_TEST(a_delay_says_until_when)
{
	struct report r = report(BOUNCE_DELAY);

	r.full = false;
	rcpts[0].dsn = SPAN_EMPTY;
	report_head(&r, &out);
	ck_assert(has("\nAction: delayed\nStatus: 4.0.0\n"));
	ck_assert(has("\nWill-Retry-Until: Tue,  6 Jan 1970 ") ||
	    has("\nWill-Retry-Until: Tue, 06 Jan 1970 ") ||
	    has("\nWill-Retry-Until: Tue, 6 Jan 1970 "));
	ck_assert(has("\nContent-Type: text/rfc822-headers\n"));
}
END_TEST

static const struct {
	enum bounce_kind kind;
	const char	*action;
} actions[] = {
	{ BOUNCE_SUCCESS, "\nAction: delivered\n" },
	{ BOUNCE_RELAYED, "\nAction: relayed\n" },
	{ BOUNCE_EXPANDED, "\nAction: expanded\n" },
	{ BOUNCE_DOUBLE, "\nAction: failed\n" },
};

START_TEST(each_kind_has_its_action)
{
	struct report r = report(actions[_i].kind);

	report_head(&r, &out);
	ck_assert(has(actions[_i].action));
}
END_TEST

START_TEST(utf8_mail_gets_utf8_types)
{
	struct report r = report(BOUNCE_FAILURE);

	env.flags = ENV_SMTPUTF8;
	rcpts[0].addr = SPAN("j\xc3\xb6@example.net");
	report_head(&r, &out);
	ck_assert(has("\nContent-Type: message/global-delivery-status\n"));
	ck_assert(has("\nFinal-Recipient: utf-8; j\xc3\xb6@example.net\n"));
	ck_assert(has("\nContent-Type: message/global\n"));
	buf_reset(&out);
	r.full = false;
	report_head(&r, &out);
	ck_assert(has("\nContent-Type: message/global-headers\n"));
}
END_TEST

START_TEST(no_line_can_be_smuggled_in)
{
	struct report r = report(BOUNCE_FAILURE);

	rcpts[0].text = SPAN("a\nX-Evil: 1\n\n--BB--\r\nb");
	rcpts[0].addr = SPAN("x\nX-Evil: 2@example.net");
	rcpts[0].dsn_orcpt = SPAN("rfc822;a\nX-Evil: 3");
	env.dsn_envid = SPAN("e\nX-Evil: 4");
	report_head(&r, &out);
	ck_assert(!has("\nX-Evil"));
	ck_assert(!has("\n--BB--"));
}
END_TEST

START_TEST(the_postmaster_gets_no_small_talk)
{
	struct report r = report(BOUNCE_FAILURE);

	r.postmaster = true;
	report_head(&r, &out);
	ck_assert(has("\nSubject: Postmaster Copy: Undelivered Mail\n"));
	ck_assert(!has("Text."));
}
END_TEST

START_TEST(threads_are_kept_on_request)
{
	struct report r = report(BOUNCE_FAILURE);

	r.header = SPAN("Message-ID: <m@x>\nReferences: <a@x>\n <b@x>\n");
	report_head(&r, &out);
	ck_assert(!has("In-Reply-To"));
	buf_reset(&out);
	conf.enable_threaded_bounces = true;
	report_head(&r, &out);
	ck_assert(has("\nIn-Reply-To: <m@x>\n"
	    "References: <a@x>\n <b@x>\n <m@x>\n"));
}
END_TEST

START_TEST(from_is_completed)
{
	report_from("MAILER-DAEMON (Mail Delivery System)", &out);
	ck_assert_str_eq(out.data,
	    "Mail Delivery System <MAILER-DAEMON@example.org>");
	buf_reset(&out);
	report_from("bounces@example.com", &out);
	ck_assert_str_eq(out.data, "bounces@example.com");
	buf_reset(&out);
	report_from("Us <us@example.com>", &out);
	ck_assert_str_eq(out.data, "Us <us@example.com>");
	buf_reset(&out);
	conf.header_from_format = "obsolete";
	report_from("MAILER-DAEMON (System)", &out);
	ck_assert_str_eq(out.data, "MAILER-DAEMON@example.org (System)");
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("report");
	TCase *t = tcase_create("report");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_failure_names_recipient_reason_and_host);
	tcase_add_test(t, a_local_reason_is_no_smtp_reply);
	tcase_add_test(t, a_delay_says_until_when);
	tcase_add_loop_test(t, each_kind_has_its_action, 0,
	    ARRAY_LEN(actions));
	tcase_add_test(t, utf8_mail_gets_utf8_types);
	tcase_add_test(t, no_line_can_be_smuggled_in);
	tcase_add_test(t, the_postmaster_gets_no_small_talk);
	tcase_add_test(t, threads_are_kept_on_request);
	tcase_add_test(t, from_is_completed);
	suite_add_tcase(s, t);
	return s;
}
