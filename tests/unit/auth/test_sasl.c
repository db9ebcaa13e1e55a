/* SPDX-License-Identifier: ISC */
/*
 * Mechanisms, with the examples of their RFCs.
 */
#include "auth/sasl.h"

static struct sasl_channel none;

static enum sasl_need
step(struct sasl *s, const char *text)
{
	struct span in = span_of(text);

	return sasl_step(s, &in);
}

/* RFC 5802 5, RFC 7677 3 */
static const struct {
	enum sasl_mech	 mech;
	enum digest	 digest;
	const char	*user, *password, *salt, *client_nonce, *server_nonce;
	const char	*first, *final, *verifier;
} scram[] = {
	{ SASL_SCRAM_SHA1, DIGEST_SHA1, "user", "pencil",
	  "\x41\x25\xc2\x47\xe4\x3a\xb1\xe9\x3c\x6d\xff\x76",
	  "fyko+d2lbbFgONRv9qkxdawL", "3rfcNHYJY1ZVvWVs7j",
	  "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,"
	  "s=QSXCR+Q6sek8bf92,i=4096",
	  "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,"
	  "p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
	  "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=" },
	{ SASL_SCRAM_SHA256, DIGEST_SHA256, "user", "pencil",
	  "\x5b\x6d\x99\x68\x9d\x12\x35\x8e\xec\xa0\x4b\x14\x12\x36\xfa\x81",
	  "rOprNGfwEbeRWgbNEkqO",
	  "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
	  "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
	  "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
	  "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
	  "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
	  "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=" },
};

static struct sasl *
scram_begin(int i, bool known)
{
	struct sasl *s = sasl_new(scram[i].mech, &none);
	struct scram_keys k;
	char first[256];

	sasl_fix_nonce(s, span_of(scram[i].server_nonce));
	(void)snprintf(first, sizeof(first), "n,,n=%s,r=%s", scram[i].user,
	    scram[i].client_nonce);
	ck_assert_int_eq(step(s, first), SASL_NEED_KEYS);
	ck_assert(span_is(sasl_authcid(s), scram[i].user));
	scram_keys_make(&k, scram[i].digest, span_of(scram[i].password),
	    span_of(scram[i].salt), 4096);
	ck_assert_int_eq(sasl_keys(s, &k, known), SASL_NEED_RESPONSE);
	ck_assert(span_is(sasl_out(s), scram[i].first));
	return s;
}

START_TEST(scram_is_as_in_the_rfc)
{
	struct sasl *s = scram_begin(_i, true);

	ck_assert_int_eq(step(s, scram[_i].final), SASL_NEED_RESPONSE);
	ck_assert(span_is(sasl_out(s), scram[_i].verifier));
	ck_assert_int_eq(step(s, ""), SASL_PROVEN);
	ck_assert_int_eq(step(s, ""), SASL_BROKEN);
	sasl_free(&s);
	/* The right proof of keys that nobody has. */
	s = scram_begin(_i, false);
	ck_assert_int_eq(step(s, scram[_i].final), SASL_WRONG);
	sasl_free(&s);
}
END_TEST

START_TEST(scram_proofs_are_checked_to_the_last_bit)
{
	size_t n = strlen(scram[1].final);
	char final[512];

	/* Each character of the final message, changed. */
	for (size_t i = 0; i < n; i++) {
		struct sasl *s = scram_begin(1, true);
		enum sasl_need need;

		memcpy(final, scram[1].final, n + 1);
		final[i] = final[i] == 'A' ? 'B' : 'A';
		need = step(s, final);
		ck_assert_msg(need == SASL_WRONG || need == SASL_BROKEN,
		    "%zu: %s", i, final);
		sasl_free(&s);
	}
}
END_TEST

START_TEST(scram_keys_as_text)
{
	struct scram_keys k, got;
	struct buf text = BUF_INIT(BUF_UNLIMITED);
	static const char *const bad[] = {
		"", "4096", "0,QSXCR+Q6sek8bf92,x,y", "x,QSXCR+Q6sek8bf92,,",
		"4096,QSXC,YQ==,YQ==", "99999999999,QSXCR+Q6,YQ==,YQ==",
	};

	scram_keys_make(&k, DIGEST_SHA256, SPAN("pencil"), SPAN("saltsalt"),
	    4096);
	scram_keys_text(&k, DIGEST_SHA256, &text);
	ck_assert_int_eq(scram_keys_parse(&got, DIGEST_SHA256,
	    buf_span(&text)), 0);
	ck_assert_mem_eq(got.stored, k.stored, 32);
	ck_assert_mem_eq(got.server, k.server, 32);
	ck_assert(scram_keys_match(&got, DIGEST_SHA256, SPAN("pencil")));
	ck_assert(!scram_keys_match(&got, DIGEST_SHA256, SPAN("Pencil")));
	ck_assert_int_eq(scram_keys_parse(&got, DIGEST_SHA1,
	    buf_span(&text)), -1);
	buf_add_char(&text, ',');
	ck_assert_int_eq(scram_keys_parse(&got, DIGEST_SHA256,
	    buf_span(&text)), -1);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_int_eq(scram_keys_parse(&got, DIGEST_SHA256,
		    span_of(bad[i])), -1);
	buf_fini(&text);
}
END_TEST

static const struct {			/* RFC 4616 2 */
	const char	*in;
	size_t		 len;
	const char	*authzid, *authcid, *password;	/* NULL: refused */
} plain[] = {
	{ "\0tim\0tanstaaftanstaaf", 21, "", "tim", "tanstaaftanstaaf" },
	{ "Ursel\0Kurt\0xipj3plmq", 20, "Ursel", "Kurt", "xipj3plmq" },
	{ "\0a\0 b ", 6, "", "a", " b " },
	{ "", 0, NULL, NULL, NULL },
	{ "tim", 3, NULL, NULL, NULL },
	{ "\0tim", 4, NULL, NULL, NULL },
	{ "\0tim\0", 5, NULL, NULL, NULL },
	{ "\0\0x", 3, NULL, NULL, NULL },
	{ "\0tim\0a\0b", 8, NULL, NULL, NULL },
	{ "\0t\nm\0x", 6, NULL, NULL, NULL },
	{ "\0t\x80\0x", 5, NULL, NULL, NULL },
	{ "\x80\0tim\0x", 7, NULL, NULL, NULL },
};
START_TEST(plain_takes_only_its_grammar)
{
	struct sasl *s = sasl_new(SASL_PLAIN, &none);
	struct span in = span_make(plain[_i].in, plain[_i].len);
	enum sasl_need need = sasl_step(s, &in);

	if (plain[_i].authcid == NULL) {
		ck_assert_int_eq(need, SASL_BROKEN);
		ck_assert_str_ne(sasl_why(s), "");
	} else {
		ck_assert_int_eq(need, SASL_NEED_PASSWORD);
		ck_assert(span_is(sasl_authzid(s), plain[_i].authzid));
		ck_assert(span_is(sasl_authcid(s), plain[_i].authcid));
		ck_assert(span_is(sasl_password(s), plain[_i].password));
		ck_assert_int_eq(sasl_judge(s, _i == 0),
		    _i == 0 ? SASL_PROVEN : SASL_WRONG);
		ck_assert_int_eq(sasl_judge(s, true), SASL_BROKEN);
	}
	sasl_free(&s);
}
END_TEST

static const struct {			/* RFC 7628 3.1, 4 */
	enum sasl_mech	 mech;
	const char	*in;
	const char	*authzid, *token;	/* NULL: refused */
} bearer[] = {
	{ SASL_OAUTHBEARER, "n,a=user@example.com,\001host=server.example.com"
	  "\001port=143\001auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tC"
	  "g==\001\001", "user@example.com",
	  "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==" },
	{ SASL_OAUTHBEARER, "n,,\001auth=bearer t\001\001", "", "t" },
	{ SASL_OAUTHBEARER, "y,,\001auth=Bearer t\001\001", "", "t" },
	{ SASL_OAUTHBEARER, "n,,\001\001", "", "" },
	{ SASL_OAUTHBEARER, "n,,\001auth=Basic t\001\001", "", "" },
	{ SASL_OAUTHBEARER, "", NULL, NULL },
	{ SASL_OAUTHBEARER, "\001", NULL, NULL },
	{ SASL_OAUTHBEARER, "n,,", NULL, NULL },
	{ SASL_OAUTHBEARER, "p=tls-exporter,,\001auth=Bearer t\001\001",
	  NULL, NULL },
	{ SASL_OAUTHBEARER, "n,,\001auth=Bearer t\001", NULL, NULL },
	{ SASL_OAUTHBEARER, "n,,\001auth=Bearer t\001\001x", NULL, NULL },
	{ SASL_OAUTHBEARER, "n,,\001auth=Bearer t\001auth=Bearer u\001\001",
	  NULL, NULL },
	{ SASL_OAUTHBEARER, "n,,\001auth=Bearer t u\001\001", NULL, NULL },
	{ SASL_OAUTHBEARER, "n,x=y,\001auth=Bearer t\001\001", NULL, NULL },
	{ SASL_XOAUTH2, "user=someuser@example.com\001auth=Bearer ya29.vF9df"
	  "\001\001", "someuser@example.com", "ya29.vF9df" },
	{ SASL_XOAUTH2, "user=a\001auth=Bearer t\001", NULL, NULL },
	{ SASL_XOAUTH2, "user=a", NULL, NULL },
};
START_TEST(bearer_tokens)
{
	struct sasl *s = sasl_new(bearer[_i].mech, &none);
	enum sasl_need need = step(s, bearer[_i].in);

	if (bearer[_i].token == NULL) {
		ck_assert_int_eq(need, SASL_BROKEN);
	} else {
		ck_assert_int_eq(need, SASL_NEED_TOKEN);
		ck_assert(span_is(sasl_authzid(s), bearer[_i].authzid));
		ck_assert(span_is(sasl_token(s), bearer[_i].token));
		/* The error goes to the client, who answers, and then it is
		 * over. */
		ck_assert_int_eq(sasl_judge(s, false), SASL_NEED_RESPONSE);
		ck_assert(span_starts(sasl_out(s), SPAN("{\"status\":")));
		ck_assert_int_eq(step(s, "\001"), SASL_WRONG);
	}
	sasl_free(&s);
}
END_TEST

START_TEST(external_is_the_certificates_name)
{
	struct sasl_channel ch = { .cert_name = SPAN("joe@example.org") };
	struct sasl *s = sasl_new(SASL_EXTERNAL, &ch);

	ck_assert_int_eq(sasl_step(s, NULL), SASL_NEED_RESPONSE);
	ck_assert_int_eq(step(s, "other"), SASL_PROVEN);
	ck_assert(span_is(sasl_authcid(s), "joe@example.org"));
	ck_assert(span_is(sasl_authzid(s), "other"));
	sasl_free(&s);
	s = sasl_new(SASL_EXTERNAL, &none);
	ck_assert_int_eq(step(s, ""), SASL_WRONG);
	sasl_free(&s);
}
END_TEST

START_TEST(bindings_are_the_connections)
{
	struct sasl_channel ch = {
		.tls_exporter = SPAN("01234567890123456789012345678901"),
		.plus_offered = true,
	};
	struct sasl *s = sasl_new(SASL_SCRAM_SHA256_PLUS, &ch);

	ck_assert_int_eq(step(s, "n,,n=a,r=x"), SASL_BROKEN);
	sasl_free(&s);
	s = sasl_new(SASL_SCRAM_SHA256_PLUS, &ch);
	ck_assert_int_eq(step(s, "p=tls-server-end-point,,n=a,r=x"),
	    SASL_BROKEN);
	sasl_free(&s);
	s = sasl_new(SASL_SCRAM_SHA256, &ch);
	ck_assert_int_eq(step(s, "p=tls-exporter,,n=a,r=x"), SASL_BROKEN);
	sasl_free(&s);
	/* RFC 5802 6: he could, and thinks that we cannot. */
	s = sasl_new(SASL_SCRAM_SHA256, &ch);
	ck_assert_int_eq(step(s, "y,,n=a,r=x"), SASL_WRONG);
	sasl_free(&s);
	s = sasl_new(SASL_SCRAM_SHA256, &none);
	ck_assert_int_eq(step(s, "y,,n=a,r=x"), SASL_NEED_KEYS);
	sasl_free(&s);
}
END_TEST

START_TEST(login_asks_twice)
{
	struct sasl *s = sasl_new(SASL_LOGIN, &none);

	ck_assert_int_eq(sasl_step(s, NULL), SASL_NEED_RESPONSE);
	ck_assert(span_is(sasl_out(s), "Username:"));
	ck_assert_int_eq(step(s, "joe"), SASL_NEED_RESPONSE);
	ck_assert(span_is(sasl_out(s), "Password:"));
	ck_assert_int_eq(step(s, "secret"), SASL_NEED_PASSWORD);
	ck_assert(span_is(sasl_password(s), "secret"));
	/* Nobody may go on before it is judged. */
	ck_assert_int_eq(step(s, "more"), SASL_BROKEN);
	sasl_free(&s);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("sasl");
	TCase *t = tcase_create("sasl");

	tcase_add_loop_test(t, scram_is_as_in_the_rfc, 0,
	    (int)ARRAY_LEN(scram));
	tcase_add_test(t, scram_proofs_are_checked_to_the_last_bit);
	tcase_add_test(t, scram_keys_as_text);
	tcase_add_loop_test(t, plain_takes_only_its_grammar, 0,
	    (int)ARRAY_LEN(plain));
	tcase_add_loop_test(t, bearer_tokens, 0, (int)ARRAY_LEN(bearer));
	tcase_add_test(t, external_is_the_certificates_name);
	tcase_add_test(t, bindings_are_the_connections);
	tcase_add_test(t, login_asks_twice);
	suite_add_tcase(s, t);
	return s;
}
