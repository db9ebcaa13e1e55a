/* SPDX-License-Identifier: ISC */
/*
 * Base64: RFC 4648 10, and what is refused.
 */
#include "base/base64.h"

static const struct {
	const char	*plain, *text;		/* plain NULL: refused */
} cases[] = {
	{ "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" },
	{ "foob", "Zm9vYg==" }, { "fooba", "Zm9vYmE=" },
	{ "foobar", "Zm9vYmFy" }, { "\xff\xfe\xfd", "//79" },
	{ NULL, "Z" }, { NULL, "Zg" }, { NULL, "Zg=" }, { NULL, "=" },
	{ NULL, "====" }, { NULL, "Zg==Zg==" }, { NULL, "Z===" },
	{ NULL, "Zh==" }, { NULL, "Zm9=" }, { NULL, "Zm 9" },
	{ NULL, "Zm9v\n" }, { NULL, "_-79" }, { NULL, "Zm9\x80" },
};
START_TEST(as_in_the_rfc)
{
	struct buf b = BUF_INIT(64);
	int rc = base64_decode(span_of(cases[_i].text), &b);

	ck_assert_int_eq(rc, cases[_i].plain == NULL ? -1 : 0);
	ck_assert(span_eq(buf_span(&b), span_of(cases[_i].plain == NULL ? "" :
	    cases[_i].plain)));
	if (rc == 0) {
		buf_reset(&b);
		base64_encode(span_of(cases[_i].plain), &b);
		ck_assert_str_eq(b.data, cases[_i].text);
	}
	buf_fini(&b);
}
END_TEST

START_TEST(limits_and_url)
{
	struct buf b = BUF_INIT(3);

	ck_assert_int_eq(base64_decode(SPAN("Zm9v"), &b), 0);
	ck_assert_int_eq(base64_decode(SPAN("Zg=="), &b), -1);
	ck_assert_str_eq(b.data, "foo");
	buf_reset(&b);
	ck_assert_int_eq(base64url_decode(SPAN("_-79"), &b), 0);
	ck_assert(span_eq(buf_span(&b), SPAN("\xff\xee\xfd")));
	buf_reset(&b);
	ck_assert_int_eq(base64url_decode(SPAN("Zg"), &b), 0);
	ck_assert_str_eq(b.data, "f");
	ck_assert_int_eq(base64url_decode(SPAN("Zg=="), &b), -1);
	ck_assert_int_eq(base64url_decode(SPAN("//79"), &b), -1);
	buf_fini(&b);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("base64");
	TCase *t = tcase_create("base64");

	tcase_add_loop_test(t, as_in_the_rfc, 0, (int)ARRAY_LEN(cases));
	tcase_add_test(t, limits_and_url);
	suite_add_tcase(s, t);
	return s;
}
