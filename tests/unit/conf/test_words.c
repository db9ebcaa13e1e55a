/* SPDX-License-Identifier: ISC */
/*
 * words and endpoints in settings.
 */
#include <check.h>

#include "conf/endpoint.h"
#include "conf/words.h"

static const struct {
	const char	*text;
	const char	*words[5];
	bool		 open;		/* a brace is not closed */
} lists[] = {
	{ "", { NULL }, false },
	{ " , ,\t\n", { NULL }, false },
	{ "a", { "a" }, false },
	{ "a, b\tc,d", { "a", "b", "c", "d" }, false },
	{ "a {b, c} d", { "a", "{b, c}", "d" }, false },
	{ "inline:{x=y, z = w}, q", { "inline:{x=y, z = w}", "q" }, false },
	{ "{a {b c}} d", { "{a {b c}}", "d" }, false },
	{ "a } b", { "a", "}", "b" }, false },
	{ "a {b c", { "a", "{b c" }, true },
};
START_TEST(words_are_separated_outside_of_braces)
{
	struct span rest = span_of(lists[_i].text), word;
	int rc, last = 1;
	size_t n = 0;

	for (; (rc = words_next(&rest, &word)) != 0; n++) {
		last = rc;
		ck_assert_ptr_nonnull(lists[_i].words[n]);
		ck_assert(span_is(word, lists[_i].words[n]));
	}
	ck_assert_ptr_null(lists[_i].words[n]);
	ck_assert_int_eq(last, lists[_i].open ? -1 : 1);
}
END_TEST

START_TEST(braces_are_taken_off)
{
	struct span in;

	ck_assert(words_unbrace(SPAN("{ a, b }"), &in));
	ck_assert(span_is(in, "a, b"));
	ck_assert(words_unbrace(SPAN("{}"), &in));
	ck_assert_uint_eq(in.len, 0);
	ck_assert(!words_unbrace(SPAN("{"), &in));
	ck_assert(!words_unbrace(SPAN("a}"), &in));
	ck_assert(!words_unbrace(SPAN("x{a}"), &in));
}
END_TEST

static const struct {
	const char	*text, *path, *host;	/* both NULL: refused */
	unsigned	 port;
} endpoints[] = {
	{ "inet:127.0.0.1:9998", NULL, "127.0.0.1", 9998 },
	{ "inet:[127.0.0.1]:1", NULL, "127.0.0.1", 1 },
	{ "inet:[2001:db8::1]:65535", NULL, "2001:db8::1", 65535 },
	{ "inet:host.example:25", NULL, "host.example", 25 },
	{ "inet:host.example:smtp", NULL, "host.example", 25 },
	{ "inet::25", NULL, "localhost", 25 },
	{ "inet:25", NULL, "localhost", 25 },
	{ "unix:/some/where", "/some/where", NULL, 0 },
	{ "local:private/policy", "private/policy", NULL, 0 },
	{ "unix:a:b", "a:b", NULL, 0 },
	{ "", NULL, NULL, 0 }, { ":", NULL, NULL, 0 },
	{ "inet:", NULL, NULL, 0 }, { "unix:", NULL, NULL, 0 },
	{ "host:25", NULL, NULL, 0 }, { "tcp:host:25", NULL, NULL, 0 },
	{ "inet:host:0", NULL, NULL, 0 }, { "inet:host:65536", NULL, NULL, 0 },
	{ "inet:host:", NULL, NULL, 0 }, { "inet:host:-1", NULL, NULL, 0 },
	{ "inet:[::1]", NULL, NULL, 0 }, { "inet:[::1:25", NULL, NULL, 0 },
	{ "inet:[::1]25", NULL, NULL, 0 },
	{ "inet:host:no-such-service", NULL, NULL, 0 },
};
START_TEST(endpoints_are_parsed)
{
	struct why why = WHY_INIT;
	struct endpoint e;
	bool ok = endpoints[_i].path != NULL || endpoints[_i].host != NULL;

	ck_assert_int_eq(endpoint_parse(span_of(endpoints[_i].text), &e, &why),
	    ok ? 0 : -1);
	if (!ok)
		return;
	ck_assert_int_eq(e.local, endpoints[_i].path != NULL);
	ck_assert_str_eq(e.path, e.local ? endpoints[_i].path : "");
	ck_assert_str_eq(e.host, e.local ? "" : endpoints[_i].host);
	ck_assert_uint_eq(e.port, endpoints[_i].port);
}
END_TEST

START_TEST(endpoints_have_limits)
{
	char text[400] = "unix:";
	struct why why = WHY_INIT;
	struct endpoint e;

	memset(text + 5, 'x', ENDPOINT_PATH_MAX);
	ck_assert_int_eq(endpoint_parse(span_of(text), &e, &why), 0);
	text[5 + ENDPOINT_PATH_MAX] = 'x';
	ck_assert_int_eq(endpoint_parse(span_of(text), &e, &why), -1);
	memset(text, 'x', sizeof(text));
	memcpy(text, "inet:", 5);
	memcpy(text + 5 + ENDPOINT_HOST_MAX, ":25", 4);
	ck_assert_int_eq(endpoint_parse(span_of(text), &e, &why), 0);
	text[5 + ENDPOINT_HOST_MAX] = 'x';
	memcpy(text + 6 + ENDPOINT_HOST_MAX, ":25", 4);
	ck_assert_int_eq(endpoint_parse(span_of(text), &e, &why), -1);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("words");
	TCase *c = tcase_create("words");

	tcase_add_loop_test(c, words_are_separated_outside_of_braces, 0,
	    ARRAY_LEN(lists));
	tcase_add_test(c, braces_are_taken_off);
	tcase_add_loop_test(c, endpoints_are_parsed, 0, ARRAY_LEN(endpoints));
	tcase_add_test(c, endpoints_have_limits);
	suite_add_tcase(s, c);
	return s;
}
