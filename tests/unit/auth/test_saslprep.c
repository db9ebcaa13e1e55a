/* SPDX-License-Identifier: ISC */
/*
 * Names and passwords prepared, with the examples of RFC 4013 3; passwords
 * that are typed in two ways are one.
 */
#include "auth/password.h"
#include "auth/sasl.h"
#include "auth/saslprep.h"

static const struct {
	const char	*in, *want;		/* NULL: refused */
} cases[] = {
	{ "I\u00adX", "IX" }, { "user", "user" }, { "USER", "USER" },
	{ "\u00aa", "a" }, { "\u2168", "IX" }, { "\x07", NULL },
	{ "\u0627\x31", NULL },
	{ "", "" }, { "a b", "a b" }, { "a\x7f", NULL },
	{ "a\u00a0b", "a b" }, { "a\u3000b", "a b" }, { "a\u200bb", "a b" },
	{ "\ufeffx", "x" },
	{ "e\u0301", "\u00e9" }, { "\u00e9", "\u00e9" },
	{ "\u1e9b\u0323", "\u1e69" },		/* NFKC composes */
	{ "\ufb01n", "fin" }, { "\uff21", "A" },
	{ "\U0001f511", "\U0001f511" },		/* after Unicode 3.2 */
	{ "\ue000", NULL }, { "\U000f0000", NULL }, { "\ufffd", NULL },
	{ "\ufdd0", NULL }, { "\U0001fffe", NULL }, { "\u2ff0", NULL },
	{ "\u200e", NULL }, { "\u202a", NULL }, { "\U000e0041", NULL },
	{ "\xc2\x85", NULL }, { "\u2028", NULL },
	/* D.1 and D.2: right-to-left throughout, and at both ends. */
	{ "\u0627\u0628", "\u0627\u0628" },
	{ "\u0627\x31\u0628", "\u0627\x31\u0628" },
	{ "\u0627x\u0628", NULL }, { "1\u0627", NULL },
	{ "\xff", NULL }, { "a\xc3", NULL }, { "\xed\xa0\x80", NULL },
};

START_TEST(text_is_prepared)
{
	struct buf b = BUF_INIT(1000);
	int rc = saslprep(span_of(cases[_i].in), &b);

	ck_assert_int_eq(rc, cases[_i].want != NULL ? 0 : -1);
	ck_assert_str_eq(b.data, rc == 0 ? cases[_i].want : "");
	buf_fini(&b);
}
END_TEST

START_TEST(what_does_not_fit_is_refused)
{
	struct buf b = BUF_INIT(3);

	ck_assert_int_eq(saslprep(SPAN("abc"), &b), 0);
	buf_reset(&b);
	ck_assert_int_eq(saslprep(SPAN("abcd"), &b), -1);
	ck_assert_int_eq(saslprep(SPAN("\u00e9\u00e9"), &b), -1);
	buf_fini(&b);
}
END_TEST

/* "{PLAIN}" is compared with what was prepared and with what was typed. */
START_TEST(a_password_has_several_spellings)
{
	static const char *const typed[] = { "pass\u00e9", "passe\u0301",
	    "pass\u00ad\u00e9", "\uff50ass\u00e9" };
	struct scram_keys k;
	struct buf hash = BUF_INIT(BUF_UNLIMITED);

	ck_assert_int_eq(password_hash(span_of(typed[_i]), PASSWORD_LIGHT,
	    &hash, NULL), 0);
	scram_keys_make(&k, DIGEST_SHA256, span_of(typed[_i]),
	    SPAN("saltsalt"), 4096);
	for (size_t i = 0; i < ARRAY_LEN(typed); i++) {
		ck_assert_int_eq(password_check(span_of(typed[i]),
		    buf_span(&hash)), 1);
		ck_assert(scram_keys_match(&k, DIGEST_SHA256,
		    span_of(typed[i])));
	}
	ck_assert_int_eq(password_check(SPAN("passe"), buf_span(&hash)), 0);
	ck_assert_int_eq(password_check(SPAN("passe\u0301"),
	    SPAN("{PLAIN}pass\u00e9")), 1);
	/* Made by others, of the bytes. */
	ck_assert_int_eq(password_check(SPAN("passe\u0301"),
	    SPAN("{PLAIN}passe\u0301")), 1);
	ck_assert_int_eq(password_check(SPAN("tab\there"),
	    SPAN("{PLAIN}tab\there")), 1);
	buf_fini(&hash);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("saslprep");
	TCase *t = tcase_create("saslprep");

	tcase_add_loop_test(t, text_is_prepared, 0, ARRAY_LEN(cases));
	tcase_add_test(t, what_does_not_fit_is_refused);
	tcase_add_loop_test(t, a_password_has_several_spellings, 0, 4);
	suite_add_tcase(s, t);
	return s;
}
