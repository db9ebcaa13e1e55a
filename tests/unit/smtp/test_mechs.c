/* SPDX-License-Identifier: ISC */
/*
 * SASL mechanisms as a client, with the vectors of their RFCs.
 */
#include "smtp/mechs.h"

static struct sasl_client *
make(const char *offered, const char *filter, const char *options,
    const char *user, const char *password)
{
	struct sasl_choice c = { .offered = offered, .filter = filter,
	    .options = options };
	struct why why = WHY_INIT;

	return sasl_client_new(&c, span_of(user), span_of(password), &why);
}

START_TEST(scram_sha_256)	/* RFC 7677 3 */
{
	struct sasl_client *s = make("PLAIN SCRAM-SHA-256", "", "", "user",
	    "pencil");
	struct buf out = BUF_INIT(1000);
	struct why why = WHY_INIT;

	ck_assert_str_eq(sasl_client_name(s), "SCRAM-SHA-256");
	sasl_client_fix_nonce(s, "rOprNGfwEbeRWgbNEkqO");
	ck_assert(sasl_client_first(s, &out));
	ck_assert_str_eq(out.data, "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
	buf_reset(&out);
	ck_assert_int_eq(sasl_client_step(s, SPAN("r=rOprNGfwEbeRWgbNEkqO"
	    "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,"
	    "i=4096"), &out, &why), 0);
	ck_assert_str_eq(out.data, "c=biws,r=rOprNGfwEbeRWgbNEkqO"
	    "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
	    "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
	ck_assert(!sasl_client_done(s));
	buf_reset(&out);
	ck_assert_int_eq(sasl_client_step(s, SPAN("v=6rriTRBi23WpRR/wtup+mMhUZ"
	    "Un/dB5nLTJRsjl95G4="), &out, &why), 0);
	ck_assert(sasl_client_done(s));
	sasl_client_free(&s);
	buf_fini(&out);
}
END_TEST

START_TEST(scram_sha_1)		/* RFC 5802 5 */
{
	struct sasl_client *s = make("SCRAM-SHA-1", "", "noplaintext", "user",
	    "pencil");
	struct buf out = BUF_INIT(1000);
	struct why why = WHY_INIT;

	sasl_client_fix_nonce(s, "fyko+d2lbbFgONRv9qkxdawL");
	ck_assert(sasl_client_first(s, &out));
	buf_reset(&out);
	ck_assert_int_eq(sasl_client_step(s, SPAN("r=fyko+d2lbbFgONRv9qkxdawL"
	    "3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096"), &out, &why), 0);
	ck_assert_str_eq(out.data, "c=biws,r=fyko+d2lbbFgONRv9qkxdawL"
	    "3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=");
	/* A server that does not know the password. */
	buf_reset(&out);
	ck_assert_int_eq(sasl_client_step(s,
	    SPAN("v=AAAAAAAAAAAAAAAAAAAAAAAAAAA="), &out, &why), -1);
	ck_assert(!sasl_client_done(s));
	sasl_client_free(&s);
	buf_fini(&out);
}
END_TEST

static const char *const bad[] = {
	"", "r=other,s=QSXCR+Q6sek8bf92,i=4096",
	"r=fyko+d2lbbFgONRv9qkxdawL,s=QSXCR+Q6sek8bf92,i=4096",
	"r=fyko+d2lbbFgONRv9qkxdawLx,s=!!,i=4096",
	"r=fyko+d2lbbFgONRv9qkxdawLx,s=QSXCR+Q6sek8bf92,i=0",
	"r=fyko+d2lbbFgONRv9qkxdawLx,s=QSXCR+Q6sek8bf92,i=999999999",
	"m=x,r=fyko+d2lbbFgONRv9qkxdawLx,s=QSXCR+Q6sek8bf92,i=4096",
	"e=unknown-user",
};

START_TEST(scram_servers_that_make_no_sense)
{
	struct sasl_client *s = make("SCRAM-SHA-1", "", "", "user", "pencil");
	struct buf out = BUF_INIT(1000);
	struct why why = WHY_INIT;

	sasl_client_fix_nonce(s, "fyko+d2lbbFgONRv9qkxdawL");
	ck_assert(sasl_client_first(s, &out));
	ck_assert_int_eq(sasl_client_step(s, span_of(bad[_i]), &out, &why),
	    -1);
	sasl_client_free(&s);
	buf_fini(&out);
}
END_TEST

START_TEST(plain_and_login)
{
	struct sasl_client *s = make("LOGIN PLAIN", "", "", "tim",
	    "tanstaaftanstaaf");
	struct buf out = BUF_INIT(1000);
	struct why why = WHY_INIT;

	ck_assert(sasl_client_first(s, &out));	/* RFC 4616 4 */
	ck_assert_uint_eq(out.len, 21);
	ck_assert_int_eq(memcmp(out.data, "\0tim\0tanstaaftanstaaf", 21), 0);
	ck_assert_int_eq(sasl_client_step(s, SPAN("more"), &out, &why), -1);
	sasl_client_free(&s);
	s = make("LOGIN", "", "", "tim", "tan");
	buf_reset(&out);
	ck_assert(!sasl_client_first(s, &out));
	ck_assert_int_eq(sasl_client_step(s, SPAN("Username:"), &out, &why),
	    0);
	ck_assert_str_eq(out.data, "tim");
	buf_reset(&out);
	ck_assert_int_eq(sasl_client_step(s, SPAN("x"), &out, &why), 0);
	ck_assert_str_eq(out.data, "tan");
	ck_assert_int_eq(sasl_client_step(s, SPAN("x"), &out, &why), -1);
	sasl_client_free(&s);
	buf_fini(&out);
}
END_TEST

static const struct {
	const char	*offered, *filter, *options, *want;
} choices[] = {
	{ "PLAIN LOGIN", "", "", "PLAIN" },
	{ "plain", "", "", "PLAIN" },
	{ "PLAIN LOGIN", "", "noplaintext", NULL },
	{ "PLAIN LOGIN", "!plain, static:rest", "", "LOGIN" },
	{ "PLAIN LOGIN", "login", "", "LOGIN" },
	{ "PLAIN SCRAM-SHA-256-PLUS SCRAM-SHA-1", "", "", "SCRAM-SHA-1" },
	{ "XOAUTH2", "", "", NULL },	/* the password is no token */
	{ "XOAUTH2 PLAIN", "xoauth2", "", "XOAUTH2" },
	{ "CRAM-MD5 NTLM", "", "", NULL },
	{ "", "", "", NULL },
};

START_TEST(the_best_that_is_allowed)
{
	struct sasl_client *s = make(choices[_i].offered, choices[_i].filter,
	    choices[_i].options, "u", "p");

	if (choices[_i].want == NULL)
		ck_assert_ptr_null(s);
	else
		ck_assert_str_eq(sasl_client_name(s), choices[_i].want);
	sasl_client_free(&s);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("mechs");
	TCase *t = tcase_create("mechs");

	tcase_add_test(t, scram_sha_256);
	tcase_add_test(t, scram_sha_1);
	tcase_add_loop_test(t, scram_servers_that_make_no_sense, 0,
	    sizeof(bad) / sizeof(bad[0]));
	tcase_add_test(t, plain_and_login);
	tcase_add_loop_test(t, the_best_that_is_allowed, 0,
	    sizeof(choices) / sizeof(choices[0]));
	suite_add_tcase(s, t);
	return s;
}
