/* SPDX-License-Identifier: ISC */
/*
 * Lines of authd_password_file.
 */
#include "auth/userline.h"

static const struct {
	const char	*text, *prefix, *field, *want;
} edits[] = {
	{ "{x}1:", "", "{y}2", "{y}2:" },
	{ "{x}1", "", "{y}2", "{y}2:" },
	{ "", "", "{y}2", "{y}2:" },
	{ "{x}1:a=b:c", "", "{y}2", "{y}2:a=b:c" },
	{ "{x}1:a=b::c:", "", "{y}2", "{y}2:a=b:c" },
	{ "{x}1:", "disabled", "disabled", "{x}1:disabled" },
	{ "{x}1:disabled", "disabled", "disabled", "{x}1:disabled" },
	{ "{x}1:disabled", "disabled", "", "{x}1:" },
	{ "{x}1:k=1:disabled:z", "disabled", "", "{x}1:k=1:z" },
	{ "{x}1:k=1", "k=", "k=2", "{x}1:k=2" },
	{ "{x}1:k=1:k=3", "k=", "k=2", "{x}1:k=2" },
	{ "{x}1:l=1", "k=", "k=2", "{x}1:l=1:k=2" },
	{ "{x}1:app=a,s,1,0,0,h:app=b,s,1,0,0,h", "app=a,", "",
	  "{x}1:app=b,s,1,0,0,h" },
};
START_TEST(fields_are_changed_and_kept)
{
	struct buf out = BUF_INIT(BUF_UNLIMITED);

	userline_edit(span_of(edits[_i].text), span_of(edits[_i].prefix),
	    span_of(edits[_i].field), &out);
	ck_assert_str_eq(out.data, edits[_i].want);
	buf_fini(&out);
}
END_TEST

START_TEST(a_line_is_read)
{
	struct userline l;

	userline_parse(&l, SPAN("{x}1:scram1=a:scram256=b:app=x:disabled:"));
	ck_assert(span_is(l.secret, "{x}1"));
	ck_assert(span_is(l.scram1, "a"));
	ck_assert(span_is(l.scram256, "b"));
	ck_assert(l.disabled);
	userline_parse(&l, SPAN(""));
	ck_assert_uint_eq(l.secret.len, 0);
	ck_assert(!l.disabled);
}
END_TEST

static const struct {
	const char	*field;
	bool		 ok;
} apps[] = {
	{ "app=phone,smtp+imap,1,2,3,{SSHA256}x", true },
	{ "app=phone,,1,2,3,h", true },
	{ "app=phone,smtp,1,2,3,", false },
	{ "app=,smtp,1,2,3,h", false },
	{ "app=phone,smtp,1,2,h", false },
	{ "app=phone,smtp,x,2,3,h", false },
	{ "app=phone,smtp,-1,2,3,h", false },
	{ "app=phone,smtp,99999999999999999999,2,3,h", false },
	{ "other=phone,smtp,1,2,3,h", false },
};
START_TEST(app_passwords)
{
	struct buf out = BUF_INIT(BUF_UNLIMITED);
	struct app_password a;

	ck_assert_int_eq(app_password_parse(span_of(apps[_i].field), &a),
	    apps[_i].ok);
	if (apps[_i].ok) {
		app_password_text(&a, &out);
		ck_assert_str_eq(out.data, apps[_i].field);
	}
	if (_i == 0) {
		ck_assert(app_password_allows(&a, SPAN("smtp")));
		ck_assert(app_password_allows(&a, SPAN("imap")));
		ck_assert(!app_password_allows(&a, SPAN("ima")));
		ck_assert(!app_password_allows(&a, SPAN("pop3")));
		ck_assert(!app_password_allows(&a, SPAN("")));
	}
	buf_fini(&out);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("userline");
	TCase *t = tcase_create("userline");

	tcase_add_loop_test(t, fields_are_changed_and_kept, 0,
	    (int)ARRAY_LEN(edits));
	tcase_add_test(t, a_line_is_read);
	tcase_add_loop_test(t, app_passwords, 0, (int)ARRAY_LEN(apps));
	suite_add_tcase(s, t);
	return s;
}
