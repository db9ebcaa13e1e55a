/* SPDX-License-Identifier: ISC */
#include "smtpd/parse.h"

static const struct {		/* RFC 5321 4.1.2, 4.1.1.2 */
	const char	*in, *want;	/* NULL: refused, reply begins ... */
	const char	*reply;
	bool		 strict_too;	/* the same without PARSE_LAX */
} paths[] = {
	{ "FROM:<joe@example.org>", "joe@example.org", NULL, true },
	{ "from:<>", "", NULL, true },
	{ "FROM:<@a.example,@b.example:joe@c.example>", "joe@c.example", NULL,
	    true },
	{ "FROM:<\"a b\"@c.example>", "a b@c.example", NULL, true },
	{ "FROM:<a@[192.0.2.1]>", "a@[192.0.2.1]", NULL, true },
	{ "FROM:<joe>", "joe", NULL, false },
	{ "FROM: joe@example.org", "joe@example.org", NULL, false },
	{ "FROM:<joe@example.org", NULL, "501 5.1.7", true },
	{ "FROM:<joe@example.org>x", NULL, "501 5.1.7", true },
	{ "FROM:<a b@c.example>", NULL, "501 5.1.7", true },
	{ "FROM:<a@b c>", NULL, "501 5.1.7", true },
	{ "FROM:<a,b@c.example>", NULL, "501 5.1.7", true },
	{ "FROM:<a@b..c>", NULL, "501 5.1.7", true },
	{ "FROM:<a@[1.2.3]>", NULL, "501 5.1.7", true },
	{ "FROM:", NULL, "501 5.5.4 Syntax", true },
	{ "TO:<a@b.c>", NULL, "501 5.5.4 Syntax", true },
	{ "FROM :<a@b.c>", NULL, "501 5.5.4 Syntax", true },
	{ "FROM:<a@b.c> SIZE=5 SIZE=6", NULL, "501 5.5.4 Parameter", true },
	{ "FROM:<a@b.c> X=1", NULL, "555 5.5.4", true },
	{ "FROM:<a@b.c> SIZE=100000000000000000000", NULL,
	    "501 5.5.4 Bad m", true },
	{ "FROM:<a@b.c> SIZE=9999999999999999999x", NULL,
	    "501 5.5.4 Bad m", true },
};

static void
check_path(const char *in, unsigned flags, const char *want,
    const char *reply)
{
	struct buf addr = BUF_INIT(1024);
	struct mail_params p;
	struct parse_error err = { NULL, { NULL, 0 } };
	int rc = parse_mail(span_of(in), flags, &addr, &p, &err);

	ck_assert_msg(rc == (want != NULL ? 0 : -1), "%s: %d %s", in, rc,
	    err.reply);
	if (want != NULL)
		ck_assert_str_eq(addr.data, want);
	else
		ck_assert_msg(span_starts(span_of(err.reply),
		    span_of(reply)), "%s: %s", in, err.reply);
	buf_fini(&addr);
}

START_TEST(mail_path)
{
	check_path(paths[_i].in, PARSE_ALL, paths[_i].want, paths[_i].reply);
	if (paths[_i].strict_too)
		check_path(paths[_i].in, PARSE_ALL & ~PARSE_LAX,
		    paths[_i].want, paths[_i].reply);
	else
		check_path(paths[_i].in, PARSE_ALL & ~PARSE_LAX, NULL,
		    "501 5.1.7");
}
END_TEST

START_TEST(mail_params)
{
	struct buf addr = BUF_INIT(1024);
	struct mail_params p;
	struct parse_error err;

	ck_assert_int_eq(parse_mail(SPAN("FROM:<a@b.c> size=9 Body=BinaryMIME"
	    "  RET=hdrs envid=a+2Bb SMTPUTF8 AUTH=<>"), PARSE_ALL, &addr, &p,
	    &err), 0);
	ck_assert(p.has_size && p.size == 9);
	ck_assert_int_eq(p.body, BODY_BINARYMIME);
	ck_assert_int_eq(p.ret, DSN_RET_HDRS);
	ck_assert(span_is(p.envid, "a+2Bb") && p.smtputf8);
	/* What was not announced is not known. */
	ck_assert_int_eq(parse_mail(SPAN("FROM:<a@b.c> BODY=BINARYMIME"),
	    PARSE_ALL & ~PARSE_BINARY, &addr, &p, &err), -1);
	ck_assert_int_eq(parse_mail(SPAN("FROM:<a@b.c> RET=FULL"),
	    PARSE_ALL & ~PARSE_DSN, &addr, &p, &err), -1);
	ck_assert_uint_eq(addr.len, 0);
	buf_fini(&addr);
}
END_TEST

START_TEST(orcpt_limits)
{
	char in[600] = "rfc822;";
	struct buf out = BUF_INIT(1000);

	memset(in + 7, 'a', DSN_ORCPT_MAX - 7);
	ck_assert_int_eq(parse_orcpt(span_of(in), false, &out), 0);
	ck_assert_uint_eq(out.len, DSN_ORCPT_MAX);
	buf_reset(&out);
	in[DSN_ORCPT_MAX] = 'a';
	ck_assert_int_eq(parse_orcpt(span_of(in), false, &out), -1);
	ck_assert_int_eq(parse_orcpt(SPAN(";x"), false, &out), -1);
	ck_assert_int_eq(parse_orcpt(SPAN("a b;x"), false, &out), -1);
	ck_assert_int_eq(parse_orcpt(SPAN("x;a+00"), false, &out), -1);
	ck_assert_uint_eq(out.len, 0);
	buf_fini(&out);
}
END_TEST

START_TEST(bdat)
{
	uint64_t n;
	bool last;

	ck_assert_int_eq(parse_bdat(SPAN("86 LAST"), &n, &last), 0);
	ck_assert(n == 86 && last);
	ck_assert_int_eq(parse_bdat(SPAN("0"), &n, &last), 0);
	ck_assert(n == 0 && !last);
	ck_assert_int_eq(parse_bdat(SPAN(""), &n, &last), -1);
	ck_assert_int_eq(parse_bdat(SPAN("1 2"), &n, &last), -1);
	ck_assert_int_eq(parse_bdat(SPAN("1 LAST x"), &n, &last), -1);
	ck_assert_int_eq(parse_bdat(SPAN("+1"), &n, &last), -1);
}
END_TEST

static const struct {
	const char	*in;
	bool		 valid;
} names[] = {
	{ "a.example", true }, { "a_b.example", true }, { "a", true },
	{ "a.example.", true }, { "1.example", true }, { "1.2.3.4", false },
	{ "123", false }, { "", false }, { ".", false }, { "a..b", false },
	{ ".a", false }, { "-a.b", false }, { "a-.b", false },
	{ "a.b-", false }, { "a b", false }, { "[1.2.3.4]", false },
	{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b",
	    true },			/* 63 */
	{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b",
	    false },			/* 64 */
};

START_TEST(hostname)
{
	ck_assert_msg(parse_hostname_valid(span_of(names[_i].in)) ==
	    names[_i].valid, "%s", names[_i].in);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("smtpd/parse");
	TCase *t = tcase_create("parse");

	tcase_add_loop_test(t, mail_path, 0, ARRAY_LEN(paths));
	tcase_add_test(t, mail_params);
	tcase_add_test(t, orcpt_limits);
	tcase_add_test(t, bdat);
	tcase_add_loop_test(t, hostname, 0, ARRAY_LEN(names));
	suite_add_tcase(s, t);
	return s;
}
