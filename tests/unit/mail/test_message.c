/* SPDX-License-Identifier: ISC */
/*
 * message: parts, ENVELOPE, BODYSTRUCTURE, sections and BINARY.  What is wanted
 * are Dovecot's answers but where tests/compare/README says why not.
 */
#include <check.h>

#include "mail/message.h"

static struct message m;
static struct buf out;
static struct arena arena;

static void
setup(void)
{
	out = BUF_INIT(BUF_UNLIMITED);
	arena = ARENA_INIT;
}

static void
teardown(void)
{
	message_fini(&m);
	buf_fini(&out);
	arena_fini(&arena);
}

/* --- ENVELOPE --------------------------------------------------------------- */

/* The list of To. */
static const struct { const char *value, *want; } addresses[] = {
	{ "a@x.test", "((NIL NIL \"a\" \"x.test\"))" },
	{ "A <a@x>, \"B, C\" <b@x>",
	    "((\"A\" NIL \"a\" \"x\")(\"B, C\" NIL \"b\" \"x\"))" },
	{ "a@x (Joe (the) User)", "((\"Joe (the) User\" NIL \"a\" \"x\"))" },
	{ "grp: a@x, b@x;, c@x", "((NIL NIL \"grp\" NIL)(NIL NIL \"a\" \"x\")"
	    "(NIL NIL \"b\" \"x\")(NIL NIL NIL NIL)(NIL NIL \"c\" \"x\"))" },
	{ "undisclosed-recipients:;",
	    "((NIL NIL \"undisclosed-recipients\" NIL)(NIL NIL NIL NIL))" },
	{ "<@a,@b:joe@c>", "((NIL \"@a,@b\" \"joe\" \"c\"))" },
	{ "<@a joe@c>", "((NIL \"INVALID_ROUTE\" \"joe\" \"c\"))" },
	{ "joe", "((NIL NIL \"joe\" \"MISSING_DOMAIN\"))" },
	{ "@x, b@x", "((NIL NIL \"MISSING_MAILBOX\" \"x\")"
	    "(NIL NIL \"b\" \"x\"))" },
	{ "Joe User, b@x", "((\"Joe User\" NIL \"MISSING_MAILBOX\" "
	    "\"MISSING_DOMAIN\")(NIL NIL \"b\" \"x\"))" },
	{ "joe smith@x", "((\"joe smith\" NIL \"MISSING_MAILBOX\" "
	    "\"MISSING_DOMAIN\"))" },
	{ "<joe@x, b@x", "((NIL NIL \"joe\" \"SYNTAX_ERROR\")"
	    "(NIL NIL \"b\" \"x\"))" },
	{ "Joe <>", "((\"Joe\" NIL \"MISSING_MAILBOX\" "
	    "\"MISSING_DOMAIN\"))" },
	{ "joe..x.@x", "((NIL NIL \"joe..x.\" \"x\"))" },
	{ "joe@x..test, b@x", "((NIL NIL \"joe\" \"MISSING_DOMAIN\"))" },
	{ "joe@[192.0.2.1]", "((NIL NIL \"joe\" \"[192.0.2.1]\"))" },
	{ "\"a \\\"b\\\"\" <a@x>", "(({5}\r\na \"b\" NIL \"a\" \"x\"))" },
	{ "\"a\\\\b\" <a@x>", "(({3}\r\na\\b NIL \"a\" \"x\"))" },
	{ "<\"a\\\"b\"@x>", "((NIL NIL \"a\\\"b\" \"x\"))" },
	{ "J\xc3\xb6rg <j@x>", "(({5}\r\nJ\xc3\xb6rg NIL \"j\" \"x\"))" },
	{ "", "NIL" },
};

/* There are clients that end a quoted string at its first '"'. */
START_TEST(texts_for_people_with_quotes_are_literals)
{
	message_parse(&m, SPAN("Subject: a \"b\"\r\n c\r\nMessage-ID: "
	    "<\"a\"@b>\r\n\r\n"));
	message_put_envelope(m.root, &out);
	ck_assert_str_eq(out.data, "(NIL {7}\r\na \"b\" c NIL NIL NIL NIL NIL "
	    "NIL NIL \"<\\\"a\\\"@b>\")");
}
END_TEST

START_TEST(address_lists_are_shown_as_dovecot_shows_them)
{
	struct buf in = BUF_INIT(BUF_UNLIMITED);
	char want[512];

	buf_addf(&in, "To: %s\n\nb\n", addresses[_i].value);
	message_parse(&m, buf_span(&in));
	message_put_envelope(m.root, &out);
	snprintf(want, sizeof(want), "(NIL NIL NIL NIL NIL %s NIL NIL NIL NIL)",
	    addresses[_i].want);
	ck_assert_str_eq(out.data, want);
	buf_fini(&in);
}
END_TEST

START_TEST(envelope_joins_lists_and_takes_the_last_of_others)
{
	message_parse(&m, SPAN("Subject: one\nFrom: a@x\nFrom: b@x\n"
	    "Subject: two \n\t\tlines\nMessage-ID: <1@x>\n\n"));
	message_put_envelope(m.root, &out);
	ck_assert_str_eq(out.data, "(NIL \"two lines\" "
	    "((NIL NIL \"a\" \"x\")(NIL NIL \"b\" \"x\")) "
	    "((NIL NIL \"a\" \"x\")(NIL NIL \"b\" \"x\")) "
	    "((NIL NIL \"a\" \"x\")(NIL NIL \"b\" \"x\")) "
	    "NIL NIL NIL NIL \"<1@x>\")");
}
END_TEST

/* --- BODYSTRUCTURE ------------------------------------------------------------ */

#define TEXT(size, lines) "(\"text\" \"plain\" (\"charset\" \"us-ascii\") " \
	"NIL NIL \"7bit\" " size " " lines " NIL NIL NIL NIL)"

static const struct { const char *mail, *want; } structures[] = {
	{ "\nbody\n", TEXT("6", "1") },
	{ "", TEXT("0", "0") },
	{ "Content-Type: text/HTML; charset=x; a=\"b c\"\n\nx",
	    "(\"text\" \"HTML\" (\"charset\" \"x\" \"a\" \"b c\") NIL NIL "
	    "\"7bit\" 1 0 NIL NIL NIL NIL)" },
	{ "Content-Type: image/gif\nContent-Transfer-Encoding: base64\n"
	    "Content-ID: <i>\nContent-Description: d\nContent-MD5: m\n"
	    "Content-Disposition: attachment; filename=f\n"
	    "Content-Language: en, de\nContent-Location: l\n\nR0lG\n",
	    "(\"image\" \"gif\" NIL \"<i>\" \"d\" \"base64\" 6 \"m\" "
	    "(\"attachment\" (\"filename\" \"f\")) (\"en\" \"de\") \"l\")" },
	/* The name of a file is not lost. */
	{ "Content-Type: a/b\nContent-Disposition: inline;\n"
	    "Content-Disposition: attachment; filename=f\n"
	    "Content-Disposition: inline; filename=g\n\n",
	    "(\"a\" \"b\" NIL NIL NIL \"7bit\" 0 NIL "
	    "(\"attachment\" (\"filename\" \"f\")) NIL NIL)" },
	{ "Content-Type: multipart/mixed; boundary=x\n\n--x\n\none\n--x\n\n"
	    "two\n\n--x--\n", "(" TEXT("3", "0") TEXT("5", "1")
	    " \"mixed\" (\"boundary\" \"x\") NIL NIL NIL)" },
	{ "Content-Type: multipart/mixed\n\nno boundary\n", "(" TEXT("0", "0")
	    " \"mixed\" NIL NIL NIL NIL)" },
	/* RFC 2046 5.1.5 */
	{ "Content-Type: multipart/digest; boundary=x\n\n--x\n\n"
	    "Subject: s\n\nin\n--x--\n", "((\"message\" \"rfc822\" NIL NIL "
	    "NIL \"7bit\" 16 (NIL \"s\" NIL NIL NIL NIL NIL NIL NIL NIL) "
	    TEXT("2", "0") " 2 NIL NIL NIL NIL) \"digest\" "
	    "(\"boundary\" \"x\") NIL NIL NIL)" },
	/* The longest boundary that fits; one that ends with dashes. */
	{ "Content-Type: multipart/mixed; boundary=\"x--\"\n\n--x--\n\none\n"
	    "--x----\n", "(" TEXT("3", "0") " \"mixed\" (\"boundary\" \"x--\")"
	    " NIL NIL NIL)" },
	/* The inner one was never closed. */
	{ "Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: "
	    "multipart/mixed; boundary=y\n\n--y\n\none\n--x--\n",
	    "((" TEXT("3", "0") " \"mixed\" (\"boundary\" \"y\") NIL NIL NIL)"
	    " \"mixed\" (\"boundary\" \"x\") NIL NIL NIL)" },
	/* RFC 2231 6: continuations are joined. */
	{ "Content-Type: a/b; n*0=\"x y\"; n*1=z; m=1\n\n",
	    "(\"a\" \"b\" (\"m\" \"1\" \"n\" \"x yz\") NIL NIL \"7bit\" 0 NIL "
	    "NIL NIL NIL)" },
	/* RFC 2045 4: it does not say that it is MIME. */
	{ "Content-ID: <i>\nContent-Transfer-Encoding: base64\n\n",
	    TEXT("0", "0") },
	{ "Content-Type: text/plain trailing; a=b\n\nb", "(\"\" \"\" NIL NIL "
	    "NIL \"7bit\" 1 NIL NIL NIL NIL)" },
	{ "Content-Type: garbage\n\nb", "(\"garbage\" \"\" NIL NIL NIL "
	    "\"7bit\" 1 NIL NIL NIL NIL)" },
};

START_TEST(structures_are_those_of_the_message)
{
	message_parse(&m, span_of(structures[_i].mail));
	message_put_structure(m.root, true, &out);
	ck_assert_str_eq(out.data, structures[_i].want);
}
END_TEST

START_TEST(the_stored_line_end_changes_nothing)
{
	struct buf crlf = BUF_INIT(BUF_UNLIMITED), other = crlf;
	struct message n;

	message_parse(&m, span_of(structures[_i].mail));
	message_put_crlf(m.bytes, &crlf);
	ck_assert_uint_eq(crlf.len, m.crlf_size);
	message_parse(&n, buf_span(&crlf));
	ck_assert(n.is_crlf);
	message_put_structure(m.root, true, &out);
	message_put_structure(n.root, true, &other);
	ck_assert_str_eq(out.data, other.data);
	message_fini(&n);
	buf_fini(&crlf);
	buf_fini(&other);
}
END_TEST

START_TEST(nesting_ends_at_its_limit)
{
	struct buf in = BUF_INIT(BUF_UNLIMITED);
	size_t depth = 0;

	for (int i = 0; i < MESSAGE_DEPTH_MAX * 2; i++)
		buf_add_str(&in, "Content-Type: message/rfc822\n\n");
	message_parse(&m, buf_span(&in));
	for (const struct message_part *p = m.root; p != NULL; p = p->child)
		depth = p->depth;
	ck_assert_uint_eq(depth, MESSAGE_DEPTH_MAX - 1);
	ck_assert(m.cut);
	buf_fini(&in);
}
END_TEST

START_TEST(parts_end_at_their_limit)
{
	struct buf in = BUF_INIT(BUF_UNLIMITED);

	buf_add_str(&in, "Content-Type: multipart/mixed; boundary=x\n\n");
	for (int i = 0; i < MESSAGE_PARTS_MAX + 10; i++)
		buf_add_str(&in, "--x\n\n\n");
	message_parse(&m, buf_span(&in));
	ck_assert_uint_eq(m.nparts, MESSAGE_PARTS_MAX);
	ck_assert(m.cut);
	buf_fini(&in);
}
END_TEST

/* 2 bytes of a list make 31 of an answer, three times. */
START_TEST(answers_do_not_explode)
{
	struct buf in = BUF_INIT(BUF_UNLIMITED);

	buf_add_str(&in, "Content-Type: multipart/digest; boundary=x\n\n");
	for (int i = 0; i < 500; i++) {
		buf_add_str(&in, "--x\n\nFrom: ");
		for (int j = 0; j < 2000; j++)
			buf_add_str(&in, "a,");
		buf_add_str(&in, "\n\n\n");
	}
	message_parse(&m, buf_span(&in));
	message_put_structure(m.root, true, &out);
	ck_assert_uint_lt(out.len, 6u << 20);
	buf_fini(&in);
}
END_TEST

/* --- sections ------------------------------------------------------------------ */

/* RFC 9051 6.4.5.1 has a message like this one. */
static const char nested[] =
    "From: a@x\nSubject: top\nContent-Type: multipart/mixed; boundary=x\n\n"
    "pre\n--x\nContent-Type: text/plain\n\none\n"
    "--x\nContent-Type: message/rfc822\n\n"
    "Subject: inner\nTo: b@x\nContent-Type: multipart/mixed; boundary=y\n\n"
    "--y\n\ntwo.one\n--y\nContent-Type: text/html\n\ntwo.two\n--y--\n\n"
    "--x\nContent-Type: message/rfc822\n\nSubject: plain\n\nthree\n--x--\n";

static const struct { const char *name, *want; } sections[] = {
	{ "HEADER.FIELDS (Subject X)", "Subject: top\r\n\r\n" },
	{ "HEADER.FIELDS.NOT (From \"Content-Type\")",
	    "Subject: top\r\n\r\n" },
	{ "1", "one" },
	{ "1.MIME", "Content-Type: text/plain\r\n\r\n" },
	{ "1.1", NULL },
	{ "1.HEADER", NULL },
	{ "2.HEADER.FIELDS (to)", "To: b@x\r\n\r\n" },
	{ "2.1", "two.one" },
	{ "2.2.MIME", "Content-Type: text/html\r\n\r\n" },
	{ "2.2", "two.two" },
	{ "2.3", NULL },
	{ "3.HEADER", "Subject: plain\r\n\r\n" },
	{ "3.TEXT", "three" },
	{ "3.1", "three" },
	{ "3.1.MIME", "Subject: plain\r\n\r\n" },
	{ "3.2", NULL },
	{ "4", NULL },
};

START_TEST(sections_are_found)
{
	struct section s;
	struct section_text t;
	int rc;

	message_parse(&m, span_of(nested));
	ck_assert_int_eq(section_parse(span_of(sections[_i].name), &arena,
	    &s), 0);
	rc = section_find(&m, &s, &arena, &t);
	ck_assert_int_eq(rc, sections[_i].want ? 0 : -1);
	if (rc < 0)
		return;
	ck_assert_uint_eq(t.crlf_size, strlen(sections[_i].want));
	section_read(&t, SIZE_MAX, &out);
	ck_assert_str_eq(out.data, sections[_i].want);
}
END_TEST

START_TEST(a_section_reads_the_same_from_any_place)
{
	struct section s;
	struct section_text t;
	struct buf whole = BUF_INIT(BUF_UNLIMITED);

	message_parse(&m, SPAN("A: b\r\nC: d\n\nx\n\ry\r\n\nz\r"));
	ck_assert_int_eq(section_parse(SPAN(""), &arena, &s), 0);
	ck_assert_int_eq(section_find(&m, &s, &arena, &t), 0);
	section_read(&t, SIZE_MAX, &whole);
	ck_assert_str_eq(whole.data,
	    "A: b\r\nC: d\r\n\r\nx\r\n\ry\r\n\r\nz\r");
	for (size_t at = 0; at <= whole.len; at++)
		for (size_t n = 1; n < 5; n++) {
			buf_reset(&out);
			section_seek(&t, at);
			section_read(&t, n, &out);
			section_read(&t, n, &out);
			ck_assert(span_eq(buf_span(&out),
			    span_sub(buf_span(&whole), at, 2 * n)));
		}
	buf_fini(&whole);
}
END_TEST

START_TEST(nul_is_masked)
{
	struct section s;
	struct section_text t;

	message_parse(&m, SPAN("A: b\n\nx\0y\n"));
	ck_assert_int_eq(section_parse(SPAN("TEXT"), &arena, &s), 0);
	ck_assert_int_eq(section_find(&m, &s, &arena, &t), 0);
	section_read(&t, SIZE_MAX, &out);
	ck_assert_str_eq(out.data, "x\x80y\r\n");
}
END_TEST

static const char *const bad_names[] = {
	"0", "1.", "1..2", ".1", "MIME", "FOO", "1.FOO", "HEADER.FIELDS",
	"HEADER.FIELDS ()", "HEADER.FIELDS (a", "HEADER.FIELDS (a  b)",
	"HEADER.FIELDSX (a)", "99999999999", "TEXT.1", "1.HEADER.2",
};

START_TEST(what_is_no_section_is_refused)
{
	struct section s;

	message_parse(&m, SPAN(""));
	ck_assert_int_eq(section_parse(span_of(bad_names[_i]), &arena, &s),
	    -1);
}
END_TEST

/* --- BINARY ---------------------------------------------------------------------- */

static const struct { const char *encoding, *body, *want; } bodies[] = {
	{ "base64", "YWJj\nZA==\n", "abcd" },
	{ "BASE64", "YW Jj!\n\nZA", "abcd" },	/* RFC 2045 6.8 */
	{ "base64", "YQ==YQ==", "aa" },
	{ "quoted-printable", "a=3Db  \nc=\nd=zz\n", "a=b\r\ncd=zz\r\n" },
	/* RFC 2045 6.7 (3): also of the last line. */
	{ "quoted-printable", "a\nb \t ", "a\r\nb" },
	{ "8bit", "a\nb", "a\r\nb" },
	{ "x-odd", "a", NULL },
};

START_TEST(binary_undoes_the_encoding)
{
	struct buf in = BUF_INIT(BUF_UNLIMITED);
	uint32_t path[] = { 1 };
	uint64_t size = 0;

	buf_addf(&in, "Content-Transfer-Encoding: %s\n\n%s",
	    bodies[_i].encoding, bodies[_i].body);
	message_parse(&m, buf_span(&in));
	if (bodies[_i].want == NULL)
		ck_assert_int_eq(message_binary(&m, path, 1, &out),
		    BINARY_UNKNOWN_CTE);
	else {
		ck_assert_int_eq(message_binary(&m, path, 1, &out), BINARY_OK);
		ck_assert_str_eq(out.data, bodies[_i].want);
		ck_assert_int_eq(message_binary_size(&m, path, 1, &size),
		    BINARY_OK);
		ck_assert_uint_eq(size, out.len);
	}
	path[0] = 2;
	ck_assert_int_eq(message_binary(&m, path, 1, &out), BINARY_NO_PART);
	buf_fini(&in);
}
END_TEST

static int
put(void *arg, struct span s)
{
	buf_add_span(&out, s);
	return 0;
}

#define V	"MIME-Version: 1.0\r\n"
#define BIN	V "Content-Transfer-Encoding: binary\r\n"
#define B64	V "Content-Transfer-Encoding: base64\r\n"
#define OF(s)	{ s, sizeof(s) - 1 }
static const struct {		/* RFC 3516 6 */
	struct span in, want;	/* want.len 0: nothing has to be done */
} binaries[] = {
	{ OF(BIN "\r\na\0b"), OF(B64 "\r\nYQBi") },
	{ OF(BIN "\r\n\0"), OF(B64 "\r\nAA==") },
	/* Not the line end of what follows; the comment stays. */
	{ OF(V "content-transfer-encoding:\tBinary (x) \r\nX: y\r\n\r\n\r\n\0"),
	    OF(V "content-transfer-encoding:\tbase64 (x) \r\nX: y\r\n\r\n"
	    "DQoA") },
	{ OF(BIN "\r\nno nul \xff\r\n"), SPAN_EMPTY },
	{ OF(BIN "X: \0\r\n\r\nno nul\r\n"), SPAN_EMPTY },
	{ OF(V "Content-Transfer-Encoding: 8bit (binary)\r\n\r\n\0"),
	    SPAN_EMPTY },
	{ OF(V "Content-Transfer-Encoding: binaryx\r\n\r\n\0"), SPAN_EMPTY },
	{ OF("\r\n\0"), SPAN_EMPTY },
	{ OF("X: y\r\n"), SPAN_EMPTY },
	/* Multiparts and attached messages stay; their parts do not. */
	{ OF("Content-Type: multipart/x; boundary=X\r\n" BIN "\r\n\0\r\n"
	    "--X\r\n" BIN "\r\n\1\r\n--X\r\nContent-Type: message/rfc822\r\n"
	    BIN "\r\n" BIN "\r\n\0\r\n--X\r\n\r\n\0\r\n--X--\r\n"),
	    OF("Content-Type: multipart/x; boundary=X\r\n" BIN
	    "\r\n\0\r\n--X\r\n" B64 "\r\nAQ==\r\n--X\r\n"
	    "Content-Type: message/rfc822\r\n" BIN "\r\n" B64 "\r\nAA==\r\n"
	    "--X\r\n\r\n\0\r\n--X--\r\n") },
};
START_TEST(binary_parts_become_base64)
{
	message_parse(&m, binaries[_i].in);
	ck_assert_int_eq(message_is_binary(&m), binaries[_i].want.len > 0);
	if (binaries[_i].want.len == 0)
		return;
	ck_assert_int_eq(message_put_base64(&m, put, NULL), 0);
	ck_assert_uint_eq(out.len, binaries[_i].want.len);
	ck_assert_mem_eq(out.data, binaries[_i].want.p, out.len);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("message");
	TCase *t = tcase_create("message");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, address_lists_are_shown_as_dovecot_shows_them,
	    0, ARRAY_LEN(addresses));
	tcase_add_test(t, texts_for_people_with_quotes_are_literals);
	tcase_add_test(t, envelope_joins_lists_and_takes_the_last_of_others);
	tcase_add_loop_test(t, structures_are_those_of_the_message, 0,
	    ARRAY_LEN(structures));
	tcase_add_loop_test(t, the_stored_line_end_changes_nothing, 0,
	    ARRAY_LEN(structures));
	tcase_add_test(t, nesting_ends_at_its_limit);
	tcase_add_test(t, parts_end_at_their_limit);
	tcase_add_test(t, answers_do_not_explode);
	tcase_add_loop_test(t, sections_are_found, 0, ARRAY_LEN(sections));
	tcase_add_test(t, a_section_reads_the_same_from_any_place);
	tcase_add_test(t, nul_is_masked);
	tcase_add_loop_test(t, what_is_no_section_is_refused, 0,
	    ARRAY_LEN(bad_names));
	tcase_add_loop_test(t, binary_undoes_the_encoding, 0,
	    ARRAY_LEN(bodies));
	tcase_add_loop_test(t, binary_parts_become_base64, 0,
	    ARRAY_LEN(binaries));
	suite_add_tcase(s, t);
	return s;
}
