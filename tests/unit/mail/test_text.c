/* SPDX-License-Identifier: ISC */
/*
 * text: encoded words, charsets, casemapping, base subjects, search and
 * signatures.
 */
#include <iconv.h>

#include <check.h>

#include "mail/casemap.h"
#include "mail/charset.h"
#include "mail/encoded.h"
#include "mail/lex.h"
#include "mail/message_cache.h"
#include "mail/message_text.h"
#include "mail/signature.h"
#include "mail/subject.h"

static struct buf out;

static void
setup(void)
{
	out = BUF_INIT(BUF_UNLIMITED);
}

static void
teardown(void)
{
	buf_fini(&out);
	charset_unload();
}

/* RFC 2047 8, and others. */
static const struct { const char *in, *want; } words[] = {
	{ "=?US-ASCII?Q?Keith_Moore?= <moore@cs.utk.edu>",
	    "Keith Moore <moore@cs.utk.edu>" },
	{ "=?ISO-8859-1?Q?Keld_J=F8rn_Simonsen?=", "Keld Jørn Simonsen" },
	{ "=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?=\n "
	    "=?ISO-8859-2?B?dSB1bmRlcnN0YW5kIHRoZSBleGFtcGxlLg==?=",
	    "If you can read this you understand the example." },
	{ "(=?ISO-8859-1?Q?a?=)", "(a)" },
	{ "(=?ISO-8859-1?Q?a?= b)", "(a b)" },
	{ "(=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=)", "(ab)" },
	{ "(=?ISO-8859-1?Q?a?=   \n  =?ISO-8859-1?Q?b?=)", "(ab)" },
	{ "(=?ISO-8859-1?Q?a_b?=)", "(a b)" },
	{ "(=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=)", "(a b)" },
	/* one character in two words */
	{ "=?utf-8?b?R3LD?= =?utf-8?b?vMOfZQ==?=", "Grüße" },
	{ "=?utf-8*de?q?=C3=BC?=", "ü" },		/* RFC 2231 5 */
	{ "=?iso-2022-jp?B?GyRCJDMkcyRLJEEkTxsoQg==?=", "こんにちは" },
	{ "=?utf-8?q?no end", "=?utf-8?q?no end" },
	{ "=?utf-8?x?abc?=", "=?utf-8?x?abc?=" },
	{ "=??q?abc?=", "=??q?abc?=" },
	{ "=?utf-8?q?a b?=", "a b" },
	{ "=?utf-8?q?a?b?=", "a?b" },
	{ "=?utf-8?q?a =?utf-8?q?b?=", "=?utf-8?q?a b" },
	{ "=?x-none?q?a=FCb?=", "a\xef\xbf\xbd" "b" },
	{ "a\n\tb", "a b" },
	{ "raw ü", "raw ü" },
	{ "raw \xfc", "raw \xef\xbf\xbd" },
	{ "=?utf-8?q?a=0Ab?=", "a b" },
};

START_TEST(encoded_words_are_decoded)
{
	encoded_decode(span_of(words[_i].in), &out);
	ck_assert_str_eq(out.data, words[_i].want);
}
END_TEST

static const struct { const char *charset, *in, *want; } texts[] = {
	{ "UTF-8", "gr\xc3\xbc\xc3\x9f", "grüß" },
	{ "utf8", "a\xff\xc3z", "a\xef\xbf\xbd\xef\xbf\xbdz" },
	{ "us-ascii", "a\xc3\xbc", "aü" },
	{ "iso-8859-1", "gr\xfc\xdf\x80", "grüß\xc2\x80" },
	{ "windows-1252", "\x80\x93\x81", "€“\xef\xbf\xbd" },
	{ "iso-8859-2", "\xbf\xf3\xb3\xe6", "żółć" },
	{ "koi8-r", "\xd6\xd5\xcb", "жук" },
	{ "windows-1251", "\xe6\xf3\xea", "жук" },
	{ "gb2312", "\xc4\xe3\xba\xc3", "你好" },
	{ "gb18030", "\xc4\xe3\x81\x30\x81\x30", "你\xc2\x80" },
	{ "Shift_JIS", "\x82\xb1\x82\xf1", "こん" },
	{ "ISO-2022-JP", "\x1b$B$3$s\x1b(B.", "こん." },
	{ "EUC-KR", "\xbe\xc8\xb3\xe7", "안녕" },
	{ "big5", "\xa7\x41\xa6\x6e", "你好" },
	{ "UTF-7", "Gr+APw-n", "Grün" },
	{ "unicode-1-1-utf-7", "+Jjo-", "☺" },
	{ "iso-2022-jp-1", "\x1b$B$3$s\x1b(B.", "こん." },
	{ "windows-949", "\xbe\xc8\xb3\xe7", "안녕" },
	{ "windows-950", "\xa7\x41\xa6\x6e", "你好" },
	{ "x-cp1251", "\xe6\xf3\xea", "жук" },
	{ "x-cp1252", "\x80", "€" }, { "utf_8", "\xc3\xbc", "ü" },
	{ "latin-1", "\xfc", "ü" }, { "dos-862", "\x80", "א" },
	{ "x-nobody", "a\xfc", "a\xef\xbf\xbd" },
	{ "utf-8//TRANSLIT", "a", "a" },
};

START_TEST(charsets_become_utf8_also_byte_by_byte)
{
	struct span in = span_of(texts[_i].in);
	struct charset c;

	charset_convert(span_of(texts[_i].charset), in, &out);
	ck_assert_str_eq(out.data, texts[_i].want);
	buf_reset(&out);
	charset_init(&c, span_of(texts[_i].charset));
	for (size_t i = 0; i < in.len; i++)
		charset_write(&c, span_sub(in, i, 1), &out);
	charset_finish(&c, &out);
	ck_assert_str_eq(out.data, texts[_i].want);
}
END_TEST

/* Tables made of single bytes say what iconv says of a text. */
START_TEST(tables_are_as_iconv)
{
	static const char *const names[] = { "ISO-8859-2", "ISO-8859-5",
	    "ISO-8859-7", "ISO-8859-8", "ISO-8859-15", "WINDOWS-1250",
	    "WINDOWS-1251", "WINDOWS-1253", "WINDOWS-1255", "WINDOWS-1256",
	    "WINDOWS-1258", "TIS-620", "IBM437", "IBM866", "MACINTOSH",
	    "KOI8-R", "KOI8-U" };
	struct charset c;
	unsigned tables = 0;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		iconv_t cd = iconv_open("UTF-8", names[i]);

		ck_assert(charset_init(&c, span_of(names[i])));
		tables += c.kind == CHARSET_TABLE;
		for (unsigned b = 0; b < 256; b++) {
			char in[2] = { (char)b, 'x' }, want[16], *p = in;
			char *o = want;
			size_t left = 2, room = sizeof(want);

			if (iconv(cd, &p, &left, &o, &room) == (size_t)-1) {
				o = stpcpy(want, "\xef\xbf\xbd");
				*o++ = 'x';
			} else {
				(void)iconv(cd, NULL, NULL, &o, &room);
			}
			(void)iconv(cd, NULL, NULL, NULL, NULL);
			charset_convert(span_of(names[i]), span_make(in, 2),
			    &out);
			ck_assert_msg(span_eq(buf_span(&out), span_make(want,
			    (size_t)(o - want))), "%s %02x", names[i], b);
			buf_reset(&out);
		}
		iconv_close(cd);
	}
	/* Two compose letters with what follows. */
	ck_assert_uint_eq(tables, ARRAY_LEN(names) - 2);
}
END_TEST

START_TEST(names_of_charsets_are_checked)
{
	ck_assert(charset_known(SPAN("KOI8-U")));
	ck_assert(charset_known(SPAN("\"utf-8\"")) == false);
	ck_assert(!charset_known(SPAN("")));
	ck_assert(!charset_known(SPAN("../../tmp/x")));
	ck_assert(!charset_known(SPAN("UTF-8//IGNORE")));
	ck_assert(!charset_known(SPAN("x-nobody")));
}
END_TEST

/* RFC 5051 */
static const struct { const char *a, *b; bool same; } pairs[] = {
	{ "abc", "ABC", true },
	{ "aBcDeFgHiJkLmNoPqRsTuVwXyZ@[`{", "ABCDEFGHIJKLMNOPQRSTUVWXYZ@[`{",
	    true },
	{ "@", "`", false }, { "[", "{", false },
	{ "Köln", "KÖLN", true },
	{ "K\xc3\xb6ln", "Ko\xcc\x88ln", true },	/* decomposed */
	{ "Köln", "Koln", false },
	{ "жук", "ЖУК", true },
	{ "ǆ", "Ǆ", true }, { "ǅ", "Ǆ", true },		/* title case */
	{ "ﬁ", "fi", false },		/* decomposes to "fi", not "FI" */
	{ "Ａ", "A", true },			/* compatibility */
	{ "ß", "SS", false },			/* RFC 5051: one to one */
	{ "\xff", "\xef\xbf\xbd", true },
};

START_TEST(casemapped_texts_compare)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);

	casemap(span_of(pairs[_i].a), &out);
	casemap(span_of(pairs[_i].b), &b);
	ck_assert_int_eq(span_eq(buf_span(&out), buf_span(&b)),
	    pairs[_i].same);
	buf_fini(&b);
}
END_TEST

/* RFC 5256 2.1 */
static const struct { const char *in, *want; bool reply; } subjects[] = {
	{ "Hello", "HELLO", false },
	{ "Re: Hello", "HELLO", true },
	{ "RE : hello", "HELLO", true },
	{ "Fwd: Re: [list] Hello (fwd) ", "HELLO", true },
	{ "[list] Hello", "HELLO", false },
	{ "[list]", "[LIST]", false },
	{ "[a] [b]", "[B]", false },
	{ "Re[2]: Hello", "HELLO", true },
	{ "Re [list]: Hello", "HELLO", true },
	{ "[list] Re: [x] Hello", "HELLO", true },
	{ "[Fwd: Hello]", "HELLO", true },
	{ "[fwd: Re: [Fwd: a (fwd)]]", "A", true },
	{ "(fwd)", "", true },
	{ "Hello (fwd) (fwd)", "HELLO", true },
	{ "Re:", "", true }, { "", "", false },
	{ "Research", "RESEARCH", false },
	{ "=?utf-8?q?Re=3A_Gr=C3=BC=C3=9Fe?=", "GRU\xcc\x88\xc3\x9f" "E",
	    true },
	{ "a \t\n\t b", "A B", false },
	{ "[unclosed hello", "[UNCLOSED HELLO", false },
	{ "[Fwd: x", "[FWD: X", false },
};

START_TEST(base_subjects_are_found)
{
	bool reply = subject_base(span_of(subjects[_i].in), &out);

	ck_assert_str_eq(out.data, subjects[_i].want);
	ck_assert_int_eq(reply, subjects[_i].reply);
}
END_TEST

START_TEST(subjects_of_brackets_take_linear_time)
{
	struct buf in = BUF_INIT(BUF_UNLIMITED);

	for (int i = 0; i < 30000; i++)
		buf_add_str(&in, "[]");
	subject_base(buf_span(&in), &out);
	ck_assert_str_eq(out.data, "[]");
	buf_fini(&in);
}
END_TEST

/* RFC 2231 3, 4, 4.1 */
static const struct { const char *params, *want; } params[] = {
	{ "; name=plain", "plain" },
	{ "; x=y; NAME=\"a \\\"b\"", "a \"b" },
	{ "; name*=us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A",
	    "This is ***fun***" },
	{ "; name*0*=us-ascii'en'This%20is%20even%20more%20; "
	    "name*1*=%2A%2A%2Afun%2A%2A%2A%20; name*2=\"isn't it!\"",
	    "This is even more ***fun*** isn't it!" },
	{ "; name*1=b; name*0=a", "ab" },
	{ "; name*1=b", "" },
	{ "; name*=iso-8859-1''%fc", "ü" },
	{ "; names=x", NULL },
};

START_TEST(parameters_are_found)
{
	bool found = lex_find_param(span_of(params[_i].params), "name", &out);

	ck_assert_int_eq(found, params[_i].want != NULL);
	if (found)
		ck_assert_str_eq(out.data, params[_i].want);
}
END_TEST

/* --- searching ---------------------------------------------------------------- */

static const char mail[] =
    "From: =?utf-8?q?J=C3=B6rg?= <j@x.test>\nCc: \"open \\\"\nSubject: =?iso-8859-1?q?Gr=FC=DFe?="
    "\n aus\tKln\nContent-Type: multipart/mixed; boundary=b\n\npreamble\n"
    "--b\nContent-Type: text/plain; charset=iso-8859-1\n"
    "Content-Transfer-Encoding: quoted-printable\n\nK=F6ln am Rh=\nein\n"
    "--b\nContent-Type: application/x; name*=utf-8''n%C3%A4me\n\nunseen\n"
    "--b\nContent-Type: message/rfc822\n\nSubject: attached\n\ninside\n--b--\n";

static const struct { char what; const char *key; bool want; } searches[] = {
	{ 'T', "jörg", true }, { 'T', "GRÜßE AUS", true },
	{ 'T', "köln am rhein", true }, { 'B', "KÖLN AM RHEIN", true },
	{ 'B', "grüße", false }, { 'T', "attached", true },
	{ 'B', "attached", false }, { 'B', "inside", true },
	{ 'T', "unseen", false }, { 'T', "näme", true },
	{ 'T', "preamble", false }, { 'T', "", true }, { 'T', "zebra", false },
	{ 'S', "grüße", true }, { 'S', "aus\tkln", true },
	{ 'S', "subject", false }, { 'S', "", true }, { 'X', "", false },
	{ 'T', "from: jörg", true }, { 'T', "n/x", true },
	/* Cc cannot be read: nothing that only ENVELOPE says. */
	{ 'T', "cc: \"open", true }, { 'T', "missing", false },
};

START_TEST(text_is_found_and_the_signature_never_denies_it)
{
	struct message m;
	struct message_key k;
	struct signature sig;
	struct signature_query q;
	bool found;

	message_parse(&m, span_of(mail));
	ck_assert_int_eq(message_key_init(&k, span_of(searches[_i].key)), 0);
	switch (searches[_i].what) {
	case 'T':
		found = message_has_text(&m, &k);
		break;
	case 'B':
		found = message_has_body(&m, &k);
		break;
	default:
		found = message_has_field(&m, searches[_i].what == 'S' ?
		    "subject" : "X-None", &k);
	}
	ck_assert_int_eq(found, searches[_i].want);
	signature_of_message(&sig, &m);
	signature_query(&q, span_make(k.bytes, k.len));
	if (found)
		ck_assert(signature_may_contain(sig.bits, &q));
	message_key_fini(&k);
	message_fini(&m);
}
END_TEST

static const struct { const char *mail, *key; bool want; } plain[] = {
	{ "A: b\n\nThe Garden\n", "garden", true },
	{ "A: garden\n\nx\n", "garden", false },
	{ "Content-Type: text/plain; charset=koi8-r\n\n\xc1 garden", "garden",
	    true },
	{ "Content-Type: text/plain; charset=none\n\ngarden", "garden", false },
	/* A byte that is none of UTF-8: nothing is said. */
	{ "A: b\n\n\xc3garden", "garden", false },
	{ "A: b\n\n\xc3garden", "arden", true },
	{ "Content-Type: text/plain; charset=iso-2022-jp\n\ngarden", "garden",
	    false },
	{ "Content-Type: text/plain; charset=utf-16\n\ngarden", "garden", false },
	{ "Content-Transfer-Encoding: quoted-printable\n\ngarden", "garden",
	    false },
	{ "Content-Type: image/gif\n\ngarden", "garden", false },
	{ "Content-Type: multipart/mixed; boundary=b\n\ngarden\n--b\n\nx\n",
	    "garden", false },
	{ "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b\n"
	    "Content-Type: message/rfc822\n\nB: c\n\nin the garden\n",
	    "the garden", true },
	{ "A: b\n\nthe\tgarden", "the\tgarden", false },
	{ "A: b\n\ngärten", "gärten", false }, { "A: b\n\nx", "", false },
};

static const struct { const char *mail, *key; bool want; } in_record[] = {
	{ "A: b\n\nThe Garden\n", "garden", true },
	{ "A: garden\n\nx\n", "garden", false },
	{ "A: b\n\nThe Garden\n", "the garden", true },
	{ "A: b\n\nThe gar\001den\n", "garden", false },
	{ "A: b\n\nThe gar\nden\n", "garden", false },
	{ "A: b\n\nThe gar\xff" "den\n", "garden", false },
	{ "A: b\n\nThe \xff" "garden\n", "garden", true },
	{ "A: b\n\nThe g\303\244rden\n", "rden", true },
	{ "A: b\n\nThe g\303\244rden\n", "g\303\244rden", true },
	/* Decoded, where all decode it alike. */
	{ "Content-Type: text/plain; charset=koi8-r\n\n\xc1 garden", "garden",
	    true },
	{ "Content-Type: text/plain; charset=none\n\ngarden", "garden", false },
	{ "Content-Type: text/plain; charset=iso-2022-jp\n\ngarden", "garden",
	    true },
	{ "Content-Transfer-Encoding: quoted-printable\n\nx=67ar=\nden",
	    "xgarden", true },
	{ "Content-Transfer-Encoding: quoted-printable\n\ngarden=", "garden=",
	    false },
	{ "Content-Transfer-Encoding: base64\n\nVGhlIGdhcmRlbg==", "garden",
	    true },
	{ "Content-Transfer-Encoding: x-none\n\ngarden", "garden", false },
	/* Without its markup it is not the text. */
	{ "Content-Type: text/html\n\n&#103;arden", "garden", false },
	{ "Content-Type: text/html\n\ngarden", "garden", true },
	/* What is one here was two parts there. */
	{ "Content-Type: multipart/mixed; boundary=b\n\n--b\n\ngar\n--b\n\n"
	    "den\n--b--\n", "garden", false },
	{ "Content-Type: multipart/mixed; boundary=b\n\n--b\n\ngar\n--b\n\n"
	    "den\n--b--\n", "den", true },
	/* "\u00aa" is casemapped to "a", which is not "A". */
	{ "A: b\n\ng\xc2\xaarden\n", "garden", false },
	{ "A: b\n\ng\xc2\xaarden\n", "g\xc2\xaarden", true },
	{ "A: b\n\ng\xc2\xaarden garden\n", "garden", true },
	{ "A: b\n\ngarden\n", "\xc2\xaa", false },
	{ "A: b\n\nx", "", false },
	{ "Content-Type: image/gif\n\ngarden", "garden", false },
	{ "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: "
	    "text/html\n\nx\n--b\n\ngarden\n--b--\n", "garden", true },
};

START_TEST(strings_are_found_in_the_record)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	struct message_cache c;
	struct message_key k;
	struct message m;
	bool found;

	message_parse(&m, span_of(in_record[_i].mail));
	message_cache_encode(&m, &b);
	ck_assert_int_eq(message_cache_whole(buf_span(&b), &c), 0);
	ck_assert_int_eq(message_key_init(&k, span_of(in_record[_i].key)),
	    0);
	found = message_cache_has(&c, &k);
	ck_assert_int_eq(found, in_record[_i].want);
	ck_assert(!found || message_has_body(&m, &k));
	message_key_fini(&k);
	message_fini(&m);
	buf_fini(&b);
}
END_TEST

/* As much as a record has of the text, and one more. */
START_TEST(a_record_has_the_start_of_the_text)
{
	for (size_t at = SIGNATURE_START_MAX - 20; at <
	    SIGNATURE_START_MAX + 20; at++) {
		struct buf in = BUF_INIT(BUF_UNLIMITED), b = in;
		struct message_cache c;
		struct message_key k;
		struct message m;

		buf_addf(&in, "A: b\nContent-Type: text/html\n\n%*sgarden "
		    "and more", (int)at, "");
		message_parse(&m, buf_span(&in));
		message_cache_encode(&m, &b);
		ck_assert_int_eq(message_cache_whole(buf_span(&b), &c), 0);
		ck_assert_uint_le(c.start.len, SIGNATURE_START_MAX);
		ck_assert_int_eq(message_key_init(&k, SPAN("garden")), 0);
		ck_assert_int_eq(message_cache_has(&c, &k), at + 6 <
		    SIGNATURE_START_MAX);
		ck_assert(message_has_body(&m, &k));
		message_key_fini(&k);
		message_fini(&m);
		buf_fini(&in);
		buf_fini(&b);
	}
}
END_TEST

/* What can be said of a word by the bytes alone: that it is not there. */
static const struct { const char *mail, *key; bool stands, lacks; } standing[] = {
	{ "A: b\n\nThe Garden\n", "garden", true, false },
	{ "A: b\n\nThe Garden\n", "gardens", true, true },
	{ "A: b\n\nThe Garden\n", "the garden", true, false },
	{ "Subject: in\r\n the\r\n\tgarden\r\n\r\nx", "garden", true, false },
	{ "Subject: gar\r\n den\r\n\r\nx", "garden", true, true },
	/* It may be there, but not as text: then one looks. */
	{ "Content-Type: image/gif\n\ngarden", "garden", true, false },
	{ "Subject:garden\n\nx", "subject:", true, false },
	{ "Subject :garden\n\nx", "subject:", false, true },
	{ "Subject: =?us-ascii?q?g=61rden?=\n\nx", "garden", false, true },
	{ "Subject: G\xc3\xa4rten\n\nx", "garten", false, true },
	{ "A: b\n\nG\xc3\xa4rten", "garten", false, true },
	{ "From: <a@\n garden.example>\n\nx", "a@garden", false, true },
	{ "Received: from a (b)\n\nx", "garden", true, true },
	{ "Content-Type: text/plain; name*=utf-8''g%61rden\n\nx", "garden",
	    false, true },
	{ "Content-Transfer-Encoding: quoted-printable\n\ng=61rden",
	    "garden", false, true },
	{ "Content-Transfer-Encoding: base64\n\nZ2FyZGVu", "garden", false,
	    true },
	{ "Content-Type: image/gif\nContent-Transfer-Encoding: base64\n\n"
	    "Z2FyZGVu", "garden", true, true },
	{ "Content-Type: text/plain; charset=utf-7\n\ng+AGE-rden", "garden",
	    false, true },
	{ "Content-Type: text/plain; charset=x-none\n\nx", "garden", false,
	    true },
	{ "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b\n"
	    "Content-Type: message/rfc822\n\nB: =?utf-8?b?Z2FyZGVu?=\n\nx\n",
	    "garden", false, true },
	{ "Content-Type: message/delivery-status\n"
	    "Content-Transfer-Encoding: base64\n\nZ2FyZGVu", "garden", false,
	    true },
};

START_TEST(words_that_stand_are_denied_by_the_bytes)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	struct span in = span_of(standing[_i].mail);
	struct message_cache c;
	struct message_key k;
	struct message m;
	bool lacks;

	message_parse(&m, in);
	message_cache_encode(&m, &b);
	ck_assert_int_eq(message_cache_whole(buf_span(&b), &c), 0);
	ck_assert_int_eq((c.flags & MESSAGE_WORDS_STAND) != 0,
	    standing[_i].stands);
	ck_assert_int_eq(message_key_init(&k, span_of(standing[_i].key)), 0);
	lacks = message_lacks_word(in, &k);
	if (k.word)
		ck_assert_int_eq(lacks, standing[_i].lacks);
	if (standing[_i].stands && lacks)
		ck_assert(!message_has_text(&m, &k));
	message_key_fini(&k);
	message_fini(&m);
	buf_fini(&b);
}
END_TEST

/* By the places that the record has. */
START_TEST(plain_text_is_told_without_the_message)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	struct span in = span_of(plain[_i].mail);
	struct message_cache c;
	struct message_key k;
	struct message m;
	uint64_t at, len;
	bool found = false;

	message_parse(&m, in);
	message_cache_encode(&m, &b);
	ck_assert_int_eq(message_cache_whole(buf_span(&b), &c), 0);
	ck_assert_int_eq(message_key_init(&k, span_of(plain[_i].key)), 0);
	for (size_t i = 0; message_cache_plain(&c, i, &at, &len); i++) {
		ck_assert_uint_le(at + len, in.len);
		found |= message_plain_has(span_sub(in, (size_t)at,
		    (size_t)len), &k);
	}
	ck_assert_int_eq(found, plain[_i].want);
	ck_assert(!found || message_has_body(&m, &k));
	message_key_fini(&k);
	message_fini(&m);
	buf_fini(&b);
}
END_TEST

START_TEST(signatures_deny_what_is_not_there)
{
	struct message m;
	struct signature sig;
	struct signature_query q;
	int passed = 0;
	char word[16];

	message_parse(&m, span_of(mail));
	signature_of_message(&sig, &m);
	for (int i = 0; i < 1000; i++) {
		snprintf(word, sizeof(word), "Q%dZX%dW", i, i * 7919);
		signature_query(&q, span_of(word));
		passed += signature_may_contain(sig.bits, &q);
	}
	ck_assert_int_lt(passed, 20);
	signature_query(&q, SPAN("zz"));
	ck_assert(signature_may_contain(sig.bits, &q));
	message_fini(&m);
}
END_TEST

START_TEST(a_signature_of_much_text_denies_nothing)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	struct message m;
	struct signature sig;
	struct signature_query q;

	buf_add_str(&b, "Subject: x\n\n");
	signature_query(&q, SPAN("NEEDLE"));
	while (b.len < SIGNATURE_TEXT_MAX / 2)
		buf_add_str(&b, "0123456789\n");
	message_parse(&m, buf_span(&b));
	signature_of_message(&sig, &m);
	ck_assert(!signature_may_contain(sig.bits, &q));
	message_fini(&m);
	while (b.len < SIGNATURE_TEXT_MAX + 100)
		buf_add_str(&b, "0123456789\n");
	message_parse(&m, buf_span(&b));
	signature_of_message(&sig, &m);
	ck_assert(signature_may_contain(sig.bits, &q));
	message_fini(&m);
	buf_fini(&b);
}
END_TEST

START_TEST(long_bodies_are_searched_across_pieces)
{
	struct buf in = BUF_INIT(BUF_UNLIMITED);
	struct message m;
	struct message_key k;

	buf_add_str(&in, "Subject: x\n\n");
	while (in.len < 100000)
		buf_add_str(&in, "0123456789");
	for (size_t at = 32760; at < 32790; at++) {
		struct buf b = BUF_INIT(BUF_UNLIMITED);

		buf_add_span(&b, buf_span(&in));
		memcpy(b.data + at, "needle", 6);
		message_parse(&m, buf_span(&b));
		ck_assert_int_eq(message_key_init(&k, SPAN("NeedlE")), 0);
		ck_assert(message_has_body(&m, &k));
		message_key_fini(&k);
		message_fini(&m);
		buf_fini(&b);
	}
	buf_fini(&in);
}
END_TEST

START_TEST(search_strings_have_a_limit)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	struct message_key k;

	while (b.len < MESSAGE_KEY_MAX)
		buf_add_char(&b, 'x');
	ck_assert_int_eq(message_key_init(&k, buf_span(&b)), 0);
	message_key_fini(&k);
	buf_add_char(&b, 'x');
	ck_assert_int_eq(message_key_init(&k, buf_span(&b)), -1);
	buf_fini(&b);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("text");
	TCase *t = tcase_create("text");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, encoded_words_are_decoded, 0,
	    ARRAY_LEN(words));
	tcase_add_loop_test(t, charsets_become_utf8_also_byte_by_byte, 0,
	    ARRAY_LEN(texts));
	tcase_add_test(t, tables_are_as_iconv);
	tcase_add_test(t, names_of_charsets_are_checked);
	tcase_add_loop_test(t, casemapped_texts_compare, 0, ARRAY_LEN(pairs));
	tcase_add_loop_test(t, base_subjects_are_found, 0,
	    ARRAY_LEN(subjects));
	tcase_add_test(t, subjects_of_brackets_take_linear_time);
	tcase_add_loop_test(t, parameters_are_found, 0, ARRAY_LEN(params));
	tcase_add_loop_test(t,
	    text_is_found_and_the_signature_never_denies_it, 0,
	    ARRAY_LEN(searches));
	tcase_add_test(t, a_record_has_the_start_of_the_text);
	tcase_add_loop_test(t, words_that_stand_are_denied_by_the_bytes, 0,
	    ARRAY_LEN(standing));
	tcase_add_loop_test(t, strings_are_found_in_the_record, 0,
	    ARRAY_LEN(in_record));
	tcase_add_loop_test(t, plain_text_is_told_without_the_message, 0,
	    ARRAY_LEN(plain));
	tcase_add_test(t, signatures_deny_what_is_not_there);
	tcase_add_test(t, a_signature_of_much_text_denies_nothing);
	tcase_add_test(t, long_bodies_are_searched_across_pieces);
	tcase_add_test(t, search_strings_have_a_limit);
	suite_add_tcase(s, t);
	return s;
}
