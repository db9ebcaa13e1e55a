/* SPDX-License-Identifier: ISC */
/*
 * address: paths, splitting, quoting, domains, and header address lists.
 */
#include <check.h>

#include "mail/address.h"

#define STRICT	1
#define LAX	2
#define BOTH	3

/* want NULL: refused.  rest: what must follow the path. */
static const struct {
	const char	*in;
	int		 mode;
	const char	*want, *rest;
} paths[] = {
	{ "<joe@example.org>",		BOTH,	"joe@example.org", "" },
	{ "<>",				BOTH,	"", "" },
	{ "<> SIZE=3",			BOTH,	"", " SIZE=3" },
	{ "<joe@example.org> SIZE=1",	BOTH,	"joe@example.org", " SIZE=1" },
	{ "<@a.test,@b.test:joe@c.test>", BOTH,	"joe@c.test", "" },
	{ "<\"joe blow\"@a.test>",	BOTH,	"joe blow@a.test", "" },
	{ "<\"a\\\"b\\\\\"@a.test>",	BOTH,	"a\"b\\@a.test", "" },
	{ "<\"a>b\"@a.test>",		BOTH,	"a>b@a.test", "" },
	{ "<\"a@b\"@a.test>",		BOTH,	"a@b@a.test", "" },
	{ "<joe@[192.0.2.1]>",		BOTH,	"joe@[192.0.2.1]", "" },
	{ "<joe@[IPv6:2001:db8::1]>",	BOTH,	"joe@[IPv6:2001:db8::1]", "" },
	{ "<postmaster>",		BOTH,	"postmaster", "" },
	{ "<PostMaster>",		BOTH,	"PostMaster", "" },
	{ "<a.b.c+d=e%f!g@x-y.test>",	BOTH,	"a.b.c+d=e%f!g@x-y.test", "" },
	/* what only the lax grammar takes */
	{ "joe@example.org",		STRICT,	NULL, NULL },
	{ "joe@example.org SIZE=1",	LAX,	"joe@example.org", " SIZE=1" },
	{ " <joe@example.org>",		STRICT,	NULL, NULL },
	{ " <joe@example.org>",		LAX,	"joe@example.org", "" },
	{ "< joe @ example.org >",	STRICT,	NULL, NULL },
	{ "< joe @ example.org > X",	LAX,	"joe@example.org", " X" },
	{ "<joe>",			STRICT,	NULL, NULL },
	{ "<joe>",			LAX,	"joe", "" },
	{ "joe",			LAX,	"joe", "" },
	{ "<joe blow@a.test>",		STRICT,	NULL, NULL },
	{ "<joe blow@a.test>",		LAX,	"joe blow@a.test", "" },
	{ "<a..b@a.test>",		STRICT,	NULL, NULL },
	{ "<a..b@a.test>",		LAX,	"a..b@a.test", "" },
	{ "<.a@a.test>",		STRICT,	NULL, NULL },
	{ "<.a.@a.test>",		LAX,	".a.@a.test", "" },
	{ "<joe@a.test.>",		STRICT,	NULL, NULL },
	{ "<joe@a.test.>",		LAX,	"joe@a.test", "" },
	{ "<joe@a_b.test>",		BOTH,	"joe@a_b.test", "" },
	{ "<joe(c)@(d)a.test>",		LAX,	"joe@a.test", "" },
	{ "<joe(c)@a.test>",		STRICT,	NULL, NULL },
	{ "<a@b@c.test>",		STRICT,	NULL, NULL },
	{ "<a@b@c.test>",		LAX,	"a@b@c.test", "" },
	{ "<\"\"@a.test>",		LAX,	"@a.test", "" },
	{ "<joe@127.0.0.1>",		STRICT,	NULL, NULL },
	{ "<joe@[[a@b]>",		BOTH,	NULL, NULL },
	{ "<joe@a.test..>",		BOTH,	NULL, NULL },
	/* what nobody takes */
	{ "",				BOTH,	NULL, NULL },
	{ " ",				BOTH,	NULL, NULL },
	{ "<",				BOTH,	NULL, NULL },
	{ "<joe@example.org",		BOTH,	NULL, NULL },
	{ "<@>",			BOTH,	NULL, NULL },
	{ "<joe@>",			BOTH,	NULL, NULL },
	{ "<@a.test>",			BOTH,	NULL, NULL },
	{ "<\"\">",			BOTH,	NULL, NULL },
	{ "<\"a@b\">",			BOTH,	NULL, NULL },
	{ "<joe@a.test>SIZE=1",		BOTH,	NULL, NULL },
	{ "<joe@a.test>>",		BOTH,	NULL, NULL },
	{ "<\"joe@a.test>",		BOTH,	NULL, NULL },
	{ "<joe\001@a.test>",		BOTH,	NULL, NULL },
	{ "<\"joe\n\"@a.test>",		BOTH,	NULL, NULL },
	{ "<joe@a.test\r\nRCPT>",	BOTH,	NULL, NULL },
	{ "<joe@[192.0.2.1>",		BOTH,	NULL, NULL },
	{ "<j\303\266e@a.test>",	BOTH,	NULL, NULL },	/* no UTF8 */
};

START_TEST(path_is_taken_as_far_as_its_mode_allows)
{
	for (int mode = STRICT; mode <= LAX; mode++) {
		struct buf out = BUF_INIT(ADDRESS_MAX);
		struct span rest = SPAN_EMPTY;
		int rc;

		if (!(paths[_i].mode & mode))
			continue;
		rc = address_parse_path(span_of(paths[_i].in),
		    mode == LAX ? ADDRESS_LAX : 0, &out, &rest);
		ck_assert_int_eq(rc, paths[_i].want != NULL ? 0 : -1);
		if (rc == 0) {
			ck_assert_str_eq(out.data, paths[_i].want);
			ck_assert(span_is(rest, paths[_i].rest));
		} else
			ck_assert_uint_eq(out.len, 0);
		buf_fini(&out);
	}
}
END_TEST

START_TEST(path_utf8_needs_its_flag_and_valid_bytes)
{
	struct buf out = BUF_INIT(ADDRESS_MAX);
	struct span rest;

	for (int lax = 0; lax <= ADDRESS_LAX; lax++) {
		buf_reset(&out);
		ck_assert_int_eq(address_parse_path(
		    SPAN("<j\303\266e@b\303\274cher.test>"),
		    ADDRESS_UTF8 | lax, &out, &rest), 0);
		ck_assert_str_eq(out.data, "j\303\266e@b\303\274cher.test");
		buf_reset(&out);
		ck_assert_int_eq(address_parse_path(SPAN("<j\303e@a.test>"),
		    ADDRESS_UTF8 | lax, &out, &rest), -1);
		ck_assert_int_eq(address_parse_path(
		    SPAN("<joe@\377a.test>"), ADDRESS_UTF8 | lax, &out,
		    &rest), -1);
	}
	buf_fini(&out);
}
END_TEST

START_TEST(path_limits_hold_at_the_limit_and_one_past_it)
{
	for (int extra = 0; extra <= 1; extra++) {
		struct buf in = BUF_INIT(BUF_UNLIMITED);
		struct buf out = BUF_INIT(BUF_UNLIMITED);
		struct span rest;

		buf_add_char(&in, '<');
		for (int i = 0; i < ADDRESS_LOCAL_MAX + extra; i++)
			buf_add_char(&in, 'x');
		buf_add_str(&in, "@a.test>");
		ck_assert_int_eq(address_parse_path(buf_span(&in), 0, &out,
		    &rest), extra ? -1 : 0);
		ck_assert_int_eq(address_parse_path(buf_span(&in),
		    ADDRESS_LAX, &out, &rest), extra ? -1 : 0);
		buf_reset(&in);
		buf_add_str(&in, "<a@x");
		/* 127 labels of one letter: 1 + 2 * 127 = 255 bytes */
		for (int i = 0; i < 127; i++)
			buf_add_str(&in, ".x");
		if (extra)
			buf_add_char(&in, 'x');
		buf_add_char(&in, '>');
		ck_assert_int_eq(address_parse_path(buf_span(&in), 0, &out,
		    &rest), extra ? -1 : 0);
		ck_assert_int_eq(address_parse_path(buf_span(&in),
		    ADDRESS_LAX, &out, &rest), extra ? -1 : 0);
		buf_fini(&in);
		buf_fini(&out);
	}
}
END_TEST

static const struct {
	const char	*local, *delims, *user, *ext;
} exts[] = {
	{ "joe+x",		"+",	"joe",	"x" },
	{ "joe+x+y",		"+",	"joe",	"x+y" },
	{ "joe+",		"+",	"joe",	"" },
	{ "joe-x+y",		"+-",	"joe",	"x+y" },
	{ "joe",		"+",	NULL,	NULL },
	{ "joe+x",		"",	NULL,	NULL },
	{ "+joe",		"+",	NULL,	NULL },
	{ "owner-list",		"-",	NULL,	NULL },
	{ "Owner-list",		"-",	NULL,	NULL },
	{ "list-request",	"-",	NULL,	NULL },
	{ "owner-list+x",	"+",	"owner-list", "x" },
	{ "MAILER-DAEMON",	"-",	NULL,	NULL },
	{ "double-bounce",	"-",	NULL,	NULL },
	{ "",			"+",	NULL,	NULL },
};

START_TEST(extension_begins_at_the_first_delimiter)
{
	struct span user, ext;
	bool got = address_split_ext(span_of(exts[_i].local),
	    exts[_i].delims, &user, &ext);

	ck_assert_int_eq(got, exts[_i].user != NULL);
	if (got) {
		ck_assert(span_is(user, exts[_i].user));
		ck_assert(span_is(ext, exts[_i].ext));
	}
}
END_TEST

static const struct { const char *addr, *want; } quotes[] = {
	{ "",			"" },
	{ "joe@a.test",		"joe@a.test" },
	{ "joe blow@a.test",	"\"joe blow\"@a.test" },
	{ "a\"b\\@a.test",	"\"a\\\"b\\\\\"@a.test" },
	{ "a..b@a.test",	"\"a..b\"@a.test" },
	{ ".a@a.test",		"\".a\"@a.test" },
	{ "a.@a.test",		"\"a.\"@a.test" },
	{ "a@b@c.test",		"\"a@b\"@c.test" },
	{ "@a.test",		"\"\"@a.test" },
	{ "joe",		"joe" },
	{ "a\r\nb@a\n.test",	"\"a??b\"@a?.test" },
	{ "j\303\266e@a.test",	"j\303\266e@a.test" },
};

START_TEST(quoting_adds_what_is_needed_and_stops_controls)
{
	struct buf out = BUF_INIT(BUF_UNLIMITED);

	address_quote_821(span_of(quotes[_i].addr), &out);
	ck_assert_str_eq(out.data, quotes[_i].want);
	buf_reset(&out);
	address_quote_822(span_of(quotes[_i].addr), &out);
	ck_assert_str_eq(out.data, quotes[_i].want);
	ck_assert_str_eq(address_show(span_of(quotes[_i].addr), &out),
	    quotes[_i].want);
	buf_fini(&out);
}
END_TEST

START_TEST(fold_lowers_the_domain_or_both)
{
	struct buf out = BUF_INIT(BUF_UNLIMITED);

	address_fold(SPAN("Joe@EXAMPLE.Org"), false, &out);
	ck_assert_str_eq(out.data, "Joe@example.org");
	buf_reset(&out);
	address_fold(SPAN("Joe@EXAMPLE.Org"), true, &out);
	ck_assert_str_eq(out.data, "joe@example.org");
	buf_reset(&out);
	address_fold(SPAN("JOE"), false, &out);
	ck_assert_str_eq(out.data, "JOE");
	buf_fini(&out);
}
END_TEST

static const struct { const char *domain; bool ascii, utf8; } domains[] = {
	{ "example.org",	true, true },
	{ "localhost",		true, true },
	{ "a-b.c_d.test",	true, true },
	{ "3com.test",		true, true },
	{ "b\303\274cher.test",	false, true },
	{ "b\303.test",		false, false },
	{ "",			false, false },
	{ ".a",			false, false },
	{ "a.",			false, false },
	{ "a..b",		false, false },
	{ "-a.b",		false, false },
	{ "a-.b",		false, false },
	{ "a.b-",		false, false },
	{ "a b",		false, false },
	{ "1.2.3.4",		false, false },
	{ "x234567890123456789012345678901234567890123456789012345678901234",
	    false, false },
	{ "x23456789012345678901234567890123456789012345678901234567890123",
	    true, true },
};

START_TEST(domain_is_letters_digits_hyphens)
{
	struct span d = span_of(domains[_i].domain);

	ck_assert_int_eq(address_domain_valid(d, 0), domains[_i].ascii);
	ck_assert_int_eq(address_domain_valid(d, ADDRESS_UTF8),
	    domains[_i].utf8);
}
END_TEST

static const struct { const char *in; bool want; } literals[] = {
	{ "[192.0.2.1]", true },
	{ "[IPv6:2001:db8::1]", true },
	{ "[ipv6:::1]", true },
	{ "[2001:db8::1]", false },
	{ "[192.0.2]", false },
	{ "[192.0.2.256]", false },
	{ "[]", false }, { "[", false }, { "192.0.2.1", false },
	{ "[IPv6:]", false }, { "[x:y]", false },
};

START_TEST(literal_is_an_address_in_brackets)
{
	ck_assert_int_eq(address_literal_valid(span_of(literals[_i].in)),
	    literals[_i].want);
}
END_TEST

/* --- header lists ----------------------------------------------------------- */

/* want: "addr|name|raw" of each, joined by '\n'. */
static const struct { const char *in, *want; } lists[] = {
	{ "joe@a.test", "joe@a.test||joe@a.test" },
	{ "joe@a.test, sue@b.test",
	    "joe@a.test||joe@a.test\nsue@b.test||sue@b.test" },
	{ "Joe Q. Blow <joe@a.test>", "joe@a.test|Joe Q. Blow|joe@a.test" },
	{ "\"Blow, Joe\" <joe@a.test>", "joe@a.test|Blow, Joe|joe@a.test" },
	{ "joe@a.test (Joe (the) Blow)",
	    "joe@a.test|Joe (the) Blow|joe@a.test" },
	{ "<joe@a.test>", "joe@a.test||joe@a.test" },
	{ "friends: joe@a.test, Sue <sue@b.test>; x@y",
	    "joe@a.test||joe@a.test\nsue@b.test|Sue|sue@b.test\nx@y||x@y" },
	{ "undisclosed-recipients:;", "" },
	{ "", "" }, { " , ,, ", "" }, { "<>", "" }, { "Joe <>", "" },
	{ "joe", "joe||joe" },
	{ "<@r1,@r2:joe@a.test>", "joe@a.test||@r1,@r2:joe@a.test" },
	{ "\"joe blow\"@a.test", "joe blow@a.test||\"joe blow\"@a.test" },
	{ "joe @ a . test", "joe@a.test||joe @ a . test" },
	{ "joe\n @a.test", "joe@a.test||joe\n @a.test" },
	{ "joe@[192.0.2.1]", "joe@[192.0.2.1]||joe@[192.0.2.1]" },
	{ "joe@a.test.", "joe@a.test||joe@a.test." },
	/* missing commas, and names that look like addresses */
	{ "joe@a.test sue@b.test",
	    "joe@a.test||joe@a.test\nsue@b.test||sue@b.test" },
	{ "joe@a.test <joe@a.test>", "joe@a.test|joe@a.test|joe@a.test" },
	{ "joe@x via List <list@a.test>",
	    "list@a.test|joe@x via List|list@a.test" },
	{ "<a@b> <c@d>", "a@b||a@b\nc@d||c@d" },
	{ "A <a@b> C <c@d>", "a@b|A|a@b\nc@d|C|c@d" },
	{ "<a@b> c@d", "a@b||a@b\nc@d||c@d" },
	{ "<a@b> noise", "a@b||a@b" },
	/* damage */
	{ "<<joe@a.test>>", "joe@a.test||joe@a.test" },
	{ "<joe@a.test, sue@b.test",
	    "joe@a.test||joe@a.test\nsue@b.test||sue@b.test" },
	{ "joe@a.test (never closed, x@y", "joe@a.test|never closed, x@y|"
	    "joe@a.test" },
	{ "\"never closed, x@y", "never closed, x@y||\"never closed, x@y" },
	{ "joe@", "" }, { "@", "" }, { ")", "" }, { "]]", "" },
	{ "a\\,b@c", "a,b@c||a\\,b@c" },
	{ "J\303\266 <j\303\266@a.test>",
	    "j\303\266@a.test|J\303\266|j\303\266@a.test" },
};

static void
note(void *arg, const struct address_item *a)
{
	struct buf *b = arg;

	if (b->len > 0)
		buf_add_char(b, '\n');
	buf_add_span(b, a->addr);
	buf_add_char(b, '|');
	buf_add_span(b, a->name);
	buf_add_char(b, '|');
	buf_add_span(b, a->raw);
}

START_TEST(list_names_every_mailbox)
{
	struct buf got = BUF_INIT(BUF_UNLIMITED);

	ck_assert_int_eq(address_list_each(span_of(lists[_i].in), 1000, note,
	    &got), 0);
	ck_assert_str_eq(got.data, lists[_i].want);
	buf_fini(&got);
}
END_TEST

START_TEST(list_stops_at_its_bound)
{
	struct buf got = BUF_INIT(BUF_UNLIMITED);

	/* a @ b , c @ d are 7 tokens */
	ck_assert_int_eq(address_list_each(SPAN("a@b,c@d"), 7, note, &got), 0);
	ck_assert_str_eq(got.data, "a@b||a@b\nc@d||c@d");
	buf_reset(&got);
	ck_assert_int_eq(address_list_each(SPAN("a@b,c@d"), 6, note, &got),
	    -1);
	ck_assert_str_eq(got.data, "a@b||a@b");
	buf_fini(&got);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("address");
	TCase *t = tcase_create("address");

#define LOOP(fn, cases)	tcase_add_loop_test(t, fn, 0, ARRAY_LEN(cases))
	LOOP(path_is_taken_as_far_as_its_mode_allows, paths);
	tcase_add_test(t, path_utf8_needs_its_flag_and_valid_bytes);
	tcase_add_test(t, path_limits_hold_at_the_limit_and_one_past_it);
	LOOP(extension_begins_at_the_first_delimiter, exts);
	LOOP(quoting_adds_what_is_needed_and_stops_controls, quotes);
	tcase_add_test(t, fold_lowers_the_domain_or_both);
	LOOP(domain_is_letters_digits_hyphens, domains);
	LOOP(literal_is_an_address_in_brackets, literals);
	LOOP(list_names_every_mailbox, lists);
	tcase_add_test(t, list_stops_at_its_bound);
	suite_add_tcase(s, t);
	return s;
}
