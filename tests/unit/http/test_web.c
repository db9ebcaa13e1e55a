/* SPDX-License-Identifier: ISC */
/*
 * URLs of web servers.
 */
#include "http/web.h"

static const struct {
	const char	*url, *host;	/* NULL: refused */
	unsigned	 port;
	bool		 literal;
} cases[] = {
	{ "https://id.example.org/introspect", "id.example.org", 443, false },
	{ "HTTPS://id.example.org", "id.example.org", 443, false },
	{ "https://id.example.org:8443/a?b#c", "id.example.org", 8443, false },
	{ "https://localhost:1?x", "localhost", 1, false },
	{ "https://127.0.0.1/", "127.0.0.1", 443, true },
	{ "https://[::1]/", "::1", 443, true },
	{ "https://[2001:db8::1]:8443/x", "2001:db8::1", 8443, true },
	{ "http://id.example.org/", NULL, 0, false },
	{ "https:", NULL, 0, false },
	{ "https://", NULL, 0, false },
	{ "https:///x", NULL, 0, false },
	{ "https://a b/", NULL, 0, false },
	{ "https://a/\n", NULL, 0, false },
	{ "https://a\x7f/", NULL, 0, false },
	{ "https://user@host/", NULL, 0, false },
	{ "https://user:pw@host/", NULL, 0, false },
	{ "https://host:/", NULL, 0, false },
	{ "https://host:0/", NULL, 0, false },
	{ "https://host:65536/", NULL, 0, false },
	{ "https://host:44x/", NULL, 0, false },
	{ "https://::1/", NULL, 0, false },
	{ "https://[127.0.0.1]/", NULL, 0, false },
	{ "https://[::1/", NULL, 0, false },
	{ "https://[::1]x/", NULL, 0, false },
};
START_TEST(urls)
{
	struct web_url u;
	int rc = web_url_parse(span_of(cases[_i].url), &u);

	ck_assert_int_eq(rc, cases[_i].host == NULL ? -1 : 0);
	if (rc < 0)
		return;
	ck_assert_str_eq(u.host, cases[_i].host);
	ck_assert_uint_eq(u.port, cases[_i].port);
	ck_assert(u.literal == cases[_i].literal);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("web");
	TCase *t = tcase_create("web");

	tcase_add_loop_test(t, urls, 0, (int)ARRAY_LEN(cases));
	suite_add_tcase(s, t);
	return s;
}
