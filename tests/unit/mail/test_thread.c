/* SPDX-License-Identifier: ISC */
/*
 * thread and message_cache: messages go through cache records into threads, as
 * THREAD does it.
 */
#include <check.h>

#include "base/mem.h"
#include "mail/message_cache.h"
#include "mail/signature.h"
#include "mail/thread.h"

#define MSGS_MAX	16

struct mail {
	const char	*id, *refs, *subject;
	int		 date;		/* seconds */
};

static const struct {
	enum thread_algorithm	alg;
	struct mail		mails[MSGS_MAX];
	const char		*want;
} cases[] = {
	/* RFC 5256 4, THREAD's examples: the shapes of answers. */
	{ THREAD_REFERENCES, { { "1", "", "A", 1 } }, "(1)" },
	{ THREAD_REFERENCES, {
	    { "1", "", "A", 1 }, { "2", "1", "Re: A", 2 },
	    { "3", "1 2", "Re: A", 3 }, { "4", "1", "Re: A", 4 },
	    { "5", "", "B", 5 } }, "(1 (2 3)(4))(5)" },
	/* a parent that is missing, with one child and with two */
	{ THREAD_REFERENCES, { { "2", "1", "A", 1 } }, "(1)" },
	{ THREAD_REFERENCES, {
	    { "2", "1", "A", 2 }, { "3", "1", "B", 1 } }, "((2)(1))" },
	/* a missing one in the middle */
	{ THREAD_REFERENCES, {
	    { "1", "", "A", 1 }, { "3", "1 2", "A", 3 },
	    { "4", "1 2", "A", 2 } }, "(1 (3)(2))" },
	/* the child came first */
	{ THREAD_REFERENCES, {
	    { "2", "1", "Re: A", 2 }, { "1", "", "A", 1 } }, "(2 1)" },
	/* a loop */
	{ THREAD_REFERENCES, {
	    { "1", "2", "A", 1 }, { "2", "1", "B", 2 } }, "(2 1)" },
	/* to itself */
	{ THREAD_REFERENCES, { { "1", "1", "A", 1 } }, "(1)" },
	/* the same id twice */
	{ THREAD_REFERENCES, {
	    { "1", "", "A", 1 }, { "1", "", "B", 2 },
	    { "2", "1", "C", 3 } }, "(1 3)(2)" },
	/* no ids at all: subjects; step 5 C, a reply joins */
	{ THREAD_REFERENCES, {
	    { NULL, "", "A", 1 }, { NULL, "", "Re: A", 2 },
	    { NULL, "", "Re: A", 3 }, { NULL, "", "B", 4 } },
	    "(1 (2)(3))(4)" },
	/* both are not replies: a dummy is made */
	{ THREAD_REFERENCES, {
	    { NULL, "", "A", 1 }, { NULL, "", "A", 2 },
	    { NULL, "", "a", 3 } }, "((1)(2)(3))" },
	/* the reply is older: it still is the child */
	{ THREAD_REFERENCES, {
	    { NULL, "", "Re: A", 1 }, { NULL, "", "A", 2 } }, "(2 1)" },
	/* empty subjects are nothing in common */
	{ THREAD_REFERENCES, {
	    { NULL, "", "", 1 }, { NULL, "", "Re:", 2 } }, "(1)(2)" },
	/* two dummies with one subject become one */
	{ THREAD_REFERENCES, {
	    { "2", "1", "A", 1 }, { "3", "1", "A", 2 },
	    { "5", "4", "A", 3 }, { "6", "4", "A", 4 } },
	    "((1)(2)(3)(4))" },
	/* a dummy of replies has its place before a message that is none */
	{ THREAD_REFERENCES, {
	    { "2", "1", "Re: A", 1 }, { "3", "1", "Re: A", 2 },
	    { "5", "", "A", 3 } }, "((1)(2)(3))" },
	/* threads by the date of their first message */
	{ THREAD_REFERENCES, {
	    { "1", "", "A", 9 }, { "2", "", "B", 3 },
	    { "3", "1", "C", 1 } }, "(2)(1 3)" },
	{ THREAD_ORDEREDSUBJECT, {
	    { "1", "", "A", 5 }, { "2", "", "B", 2 }, { "3", "", "Re: A", 3 },
	    { "4", "", "re: b", 4 }, { "5", "", "a", 6 } },
	    "(2 4)(3 (1)(5))" },
};

/* Each mail's record goes into buf; records may move, so decode at the end. */
static void
put_mail(const struct mail *mail, struct buf *records)
{
	struct buf in = BUF_INIT(BUF_UNLIMITED);
	struct span refs = span_of(mail->refs), ref;
	struct message m;

	buf_addf(&in, "Subject: %s\nDate: Mon, 1 Jan 2024 00:00:%02d +0000\n",
	    mail->subject, mail->date);
	if (mail->id != NULL)
		buf_addf(&in, "Message-ID: <%s@x>\n", mail->id);
	if (refs.len > 0)
		buf_add_str(&in, "References:");
	while (span_token(&refs, " ", &ref))
		buf_addf(&in, "\n <%.*s@x>", SPAN_ARG(ref));
	buf_add_str(&in, "\n\nbody\n");
	message_parse(&m, buf_span(&in));
	message_cache_encode(&m, records);
	message_fini(&m);
	buf_fini(&in);
}

START_TEST(threads_are_those_of_rfc_5256)
{
	struct thread_msg msgs[MSGS_MAX] = { 0 };
	uint64_t refs[MSGS_MAX][4];
	struct buf records = BUF_INIT(BUF_UNLIMITED), out = records;
	size_t n = 0;
	struct span rest;

	while (n < MSGS_MAX && cases[_i].mails[n].subject != NULL)
		put_mail(&cases[_i].mails[n++], &records);
	rest = buf_span(&records);
	for (size_t i = 0; i < n; i++) {
		struct message_cache c;

		ck_assert_int_eq(message_cache_whole(rest, &c), 0);
		rest = span_from(rest, message_cache_len(rest));
		for (uint32_t r = 0; r < c.nrefs; r++)
			refs[i][r] = message_cache_ref(&c, r);
		msgs[i] = (struct thread_msg){
			.num = (uint32_t)i + 1, .msgid = c.msgid,
			.refs = refs[i], .nrefs = c.nrefs, .sent_s = c.sent_s,
			.base_subject = c.base_subject,
			.is_reply = c.flags & MESSAGE_IS_REPLY,
		};
	}
	ck_assert_int_eq(thread_messages(cases[_i].alg, msgs, n, &out, NULL,
	    NULL), 0);
	ck_assert_str_eq(out.data, cases[_i].want);
	buf_fini(&records);
	buf_fini(&out);
}
END_TEST

static bool
never(void *arg)
{
	return false;
}

START_TEST(threading_can_be_given_up)
{
	size_t n = 200000;
	struct thread_msg *msgs = mem_zalloc_array(n, sizeof(*msgs));
	struct buf out = BUF_INIT(BUF_UNLIMITED);

	for (size_t i = 0; i < n; i++)
		msgs[i].num = (uint32_t)i + 1;
	ck_assert_int_eq(thread_messages(THREAD_REFERENCES, msgs, n, &out,
	    never, NULL), -1);
	ck_assert_uint_eq(out.len, 0);
	mem_free(msgs);
}
END_TEST

/* A chain of replies, oldest last, and all of one subject. */
START_TEST(long_chains_take_their_time_and_no_stack)
{
	size_t n = 100000;
	struct thread_msg *msgs = mem_zalloc_array(n, sizeof(*msgs));
	uint64_t *refs = mem_zalloc_array(n, sizeof(*refs));
	struct buf out = BUF_INIT(BUF_UNLIMITED);

	for (size_t i = 0; i < n; i++) {
		refs[i] = i + 2;
		msgs[i] = (struct thread_msg){ .num = (uint32_t)i + 1,
		    .msgid = i + 1, .refs = &refs[i], .nrefs = i + 1 < n };
	}
	ck_assert_int_eq(thread_messages(THREAD_REFERENCES, msgs, n, &out,
	    NULL, NULL), 0);
	ck_assert(strncmp(out.data, "(100000 99999 ", 14) == 0);
	buf_reset(&out);
	for (size_t i = 0; i < n; i++) {
		msgs[i].nrefs = 0;
		msgs[i].base_subject = SPAN("SAME");
	}
	ck_assert_int_eq(thread_messages(THREAD_REFERENCES, msgs, n, &out,
	    NULL, NULL), 0);
	ck_assert(strncmp(out.data, "((1)(2)(3)", 10) == 0);
	mem_free(msgs);
	mem_free(refs);
	buf_fini(&out);
}
END_TEST

/* --- records ------------------------------------------------------------------ */

static const char mail[] =
    "From: =?utf-8?q?J=C3=B6rg?= <Joerg@x.test>\nTo: b@y.test\n"
    "Subject: Re: [list] Hello\nDate: Tue, 2 Jan 2024 03:04:05 +0100\n"
    "Message-ID: <\"a b\"@x>\nIn-Reply-To: <q@x> (comment) <r@x>\n"
    "Content-Type: multipart/mixed; boundary=b\n\n"
    "--b\nContent-Type: text/html\n\n<style>p{}</style><p>Good &amp;<br>"
    "\n bad&#33;</p>\n--b\nContent-Type: application/pdf\n\nx\n--b--\n";

START_TEST(a_record_says_what_the_message_does)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED), env = b;
	struct message_cache c;
	struct message m;

	message_parse(&m, span_of(mail));
	message_cache_encode(&m, &b);
	ck_assert_uint_eq(message_cache_len(buf_span(&b)), b.len);
	ck_assert_int_eq(message_cache_whole(buf_span(&b), &c), 0);
	ck_assert_uint_eq(c.flags, MESSAGE_HAS_DATE | MESSAGE_HAS_ATTACHMENT |
	    MESSAGE_IS_REPLY | MESSAGE_HAS_MSGID);
	ck_assert_int_eq(c.sent_s, 1704161045);
	ck_assert_int_eq(c.zone_min, 60);
	ck_assert(span_is(c.base_subject, "HELLO"));
	ck_assert(span_is(c.from, "JOERG"));
	ck_assert(span_is(c.display_from, "JO\xcc\x88RG"));
	ck_assert(span_is(c.to, "B"));
	ck_assert(span_is(c.display_to, "B@Y.TEST"));
	ck_assert_uint_eq(c.cc.len, 0);
	ck_assert(span_is(c.preview, "Good & bad!"));
	/* quotes and space are no part of an id */
	ck_assert_uint_eq(c.msgid, message_id_hash(SPAN("ab@x")));
	ck_assert_uint_eq(c.nrefs, 1);
	ck_assert_uint_eq(message_cache_ref(&c, 0),
	    message_id_hash(SPAN("q@x")));
	ck_assert_uint_eq(c.crlf_size, m.crlf_size);
	message_put_envelope(m.root, &env);
	ck_assert(span_eq(c.envelope, buf_span(&env)));
	message_fini(&m);
	buf_fini(&b);
	buf_fini(&env);
}
END_TEST

static bool
decodes(struct span in, int part)
{
	struct message_cache_bytes parts;
	struct message_cache c;

	return message_cache_split(in, &parts) == 0 && message_cache_decode(
	    &parts, (enum message_cache_part)part, &c) == 0;
}

START_TEST(a_damaged_record_is_refused)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	size_t ends[MESSAGE_CACHE_ALL + 1];
	struct message_cache c;
	struct message m;

	message_parse(&m, span_of(mail));
	message_cache_encode(&m, &b);
	ck_assert_int_eq(message_cache_whole(buf_span(&b), &c), 0);
	ends[MESSAGE_CACHE_KEYS] = (size_t)(c.display_to.p +
	    c.display_to.len - b.data);
	ends[MESSAGE_CACHE_SEARCH] = (size_t)(c.start.p + c.start.len -
	    b.data);
	ends[MESSAGE_CACHE_ALL] = b.len;
	for (int part = 0; part <= MESSAGE_CACHE_ALL; part++)
		for (size_t i = 0; i < b.len; i++) {
			/* The checksums of all, of what is searched, of keys:
			 * each part looks at its own. */
			bool other = i / 4 >= 2 && i / 4 <= 4 && i / 4 !=
			    4 - (size_t)part;

			b.data[i] ^= 0x10;
			ck_assert_int_eq(decodes(buf_span(&b), part),
			    other || i >= ends[part]);
			b.data[i] ^= 0x10;
			ck_assert(!decodes(span_sub(buf_span(&b), 0, i),
			    part));
		}
	buf_add_str(&b, "what follows");
	for (int part = 0; part <= MESSAGE_CACHE_ALL; part++)
		ck_assert(decodes(buf_span(&b), part));
	message_fini(&m);
	buf_fini(&b);
}
END_TEST

START_TEST(a_part_has_nothing_of_those_behind_it)
{
	struct message_cache_bytes parts;
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	struct message_cache c;
	struct message m;

	message_parse(&m, span_of(mail));
	message_cache_encode(&m, &b);
	ck_assert_int_eq(message_cache_split(buf_span(&b), &parts), 0);
	/* Those that are not asked for may be anywhere. */
	parts.part[MESSAGE_CACHE_ALL] = SPAN_EMPTY;
	ck_assert_int_eq(message_cache_decode(&parts, MESSAGE_CACHE_ALL, &c),
	    -1);
	ck_assert_int_eq(message_cache_decode(&parts, MESSAGE_CACHE_SEARCH,
	    &c), 0);
	ck_assert(span_is(c.base_subject, "HELLO"));
	ck_assert_uint_eq(c.signature.len, SIGNATURE_SIZE);
	ck_assert_uint_gt(c.start.len, 0);
	ck_assert_uint_eq(c.envelope.len + c.structure.len + c.body.len +
	    c.preview.len, 0);
	parts.part[MESSAGE_CACHE_SEARCH] = SPAN_EMPTY;
	ck_assert_int_eq(message_cache_again(&parts, MESSAGE_CACHE_SEARCH,
	    &c), -1);
	ck_assert_int_eq(message_cache_again(&parts, MESSAGE_CACHE_KEYS, &c),
	    0);
	ck_assert(span_is(c.display_to, "B@Y.TEST"));
	ck_assert_uint_eq(c.signature.len + c.plain.len + c.start.len, 0);
	ck_assert_uint_eq(c.envelope.len + c.preview.len, 0);
	message_fini(&m);
	buf_fini(&b);
}
END_TEST

START_TEST(what_is_too_large_is_left_out)
{
	struct buf in = BUF_INIT(BUF_UNLIMITED), b = in;
	struct message_cache c;
	struct message m;

	buf_add_str(&in, "Content-Type: multipart/mixed; boundary=x\n\n");
	for (int i = 0; i < 9000; i++)
		buf_addf(&in, "--x\nContent-Description: %0100d\n\n", i);
	message_parse(&m, buf_span(&in));
	message_cache_encode(&m, &b);
	ck_assert_uint_le(b.len, MESSAGE_CACHE_MAX);
	ck_assert_int_eq(message_cache_whole(buf_span(&b), &c), 0);
	ck_assert(c.flags & MESSAGE_NO_STRUCTURE);
	ck_assert(!(c.flags & MESSAGE_NO_ENVELOPE));
	message_fini(&m);
	buf_fini(&in);
	buf_fini(&b);
}
END_TEST

static const struct { const char *mail, *want; } previews[] = {
	{ "\n  Hello \n\n  World\n", "Hello World" },
	{ "Subject: x\n", "" },
	{ "Content-Type: text/plain; charset=iso-8859-1\n\ngr\xfc\xdf", "grüß" },
	{ "Content-Type: image/gif\n\nGIF89a", "" },
	{ "Content-Type: multipart/alternative; boundary=x\n\n--x\n"
	    "Content-Type: text/html\n\n<b>html</b>\n--x\n\nplain\n--x--\n",
	    "plain" },
	{ "Content-Type: text/html\n\n<!-- no --><title>no</title>a<br>b"
	    "<script>x<y</script>&lt;c&gt; &unknown; &#x41;",
	    "a b <c> &unknown; A" },
};

START_TEST(previews_are_the_first_words)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	struct message m;

	message_parse(&m, span_of(previews[_i].mail));
	message_preview(&m, &b);
	ck_assert_str_eq(b.data, previews[_i].want);
	message_fini(&m);
	buf_fini(&b);
}
END_TEST

START_TEST(previews_have_200_characters)
{
	struct buf in = BUF_INIT(BUF_UNLIMITED), b = in;
	struct message m;

	buf_add_str(&in, "\n");
	for (int i = 0; i < 300; i++)
		buf_add_str(&in, "ü");
	message_parse(&m, buf_span(&in));
	message_preview(&m, &b);
	ck_assert_uint_eq(b.len, 200 * strlen("ü"));
	message_fini(&m);
	buf_fini(&in);
	buf_fini(&b);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("thread");
	TCase *t = tcase_create("thread");

	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, threads_are_those_of_rfc_5256, 0,
	    ARRAY_LEN(cases));
	tcase_add_test(t, threading_can_be_given_up);
	tcase_add_test(t, long_chains_take_their_time_and_no_stack);
	tcase_add_test(t, a_record_says_what_the_message_does);
	tcase_add_test(t, a_damaged_record_is_refused);
	tcase_add_test(t, a_part_has_nothing_of_those_behind_it);
	tcase_add_test(t, what_is_too_large_is_left_out);
	tcase_add_loop_test(t, previews_are_the_first_words, 0,
	    ARRAY_LEN(previews));
	tcase_add_test(t, previews_have_200_characters);
	suite_add_tcase(s, t);
	return s;
}
