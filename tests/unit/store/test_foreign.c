/* SPDX-License-Identifier: ISC */
/*
 * foreign: what Dovecot, Courier and mboxes say of messages, well formed and
 * not; uidls and uidl_format.
 */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "store/foreign_mbox.h"
#include "store/store.h"
#include "store/uidl_format.h"
#include "store/uidls.h"

static struct foreign f;
static struct why why;
static char said[4096];		/* "line: what" of each complaint */

static void
complain(void *arg, const char *file, size_t line, const char *what)
{
	size_t n = strlen(said);

	(void)arg;
	(void)file;
	snprintf(said + n, sizeof(said) - n, "%zu: %s\n", line, what);
}

static void
setup(void)
{
	foreign_init(&f);
	f.complain = complain;
	why = WHY_INIT;
	said[0] = '\0';
}

static void
teardown(void)
{
	foreign_fini(&f);
}

static void
check_uid(const char *name, uint32_t uid, const char *uidl, const char *guid)
{
	const struct foreign_message *m = foreign_find(&f, span_of(name));

	ck_assert_msg(m != NULL, "%s", name);
	ck_assert_uint_eq(m->uid, uid);
	ck_assert_pstr_eq(m->uidl, uidl);
	ck_assert_pstr_eq(m->guid, guid);
}

START_TEST(dovecots_uidlist)
{
	ck_assert_int_eq(foreign_uidlist(&f, SPAN(
	    "3 V1275660208 N25022 G3085f01b7f11094c501100008c4a11c1\n"
	    "25006 W2481 :1276528487.M364837P9451.kurkku,S=2355:2,S\n"
	    "25017 P00000001 Gabc W1 :1276533073.M242911P3632.kurkku\n"
	    "25017 :another\n"
	    "25018 :1276533073.M242911P3632.kurkku:2,RS\n"
	    "25019 no name\n"
	    "0 :zero\n"
	    "4294967296 :large\n"
	    "25030 :last\n"), &why), 0);
	ck_assert_uint_eq(f.uidvalidity, 1275660208);
	ck_assert_uint_eq(f.uidnext, 25031);	/* not what the head says */
	check_uid("1276528487.M364837P9451.kurkku,S=2355:2,", 25006, NULL,
	    NULL);
	check_uid("1276533073.M242911P3632.kurkku:2,a", 25017, "00000001",
	    "abc");
	ck_assert_ptr_null(foreign_find(&f, SPAN("another")));
	ck_assert_str_eq(said, "4: another message has this UID\n"
	    "5: this message has another UID already\n"
	    "6: no name of a file\n"
	    "7: no UID at the begin of the line\n"
	    "8: no UID at the begin of the line\n");
}
END_TEST

static const char *const no_lists[] = {
	"", "\n", "2 V1 N2\n", "3 V1\n", "3 Vx N2\n", "3 V0 N2\n", "1 1\n",
	"1 0 2\n", "1 1 4294967296\n", "1 1 2 3\n", "3\n", "\001\n",
};

START_TEST(no_uidlist)
{
	ck_assert_int_eq(foreign_uidlist(&f, span_of(no_lists[_i]), &why), -1);
	ck_assert_ptr_nonnull(strstr(why.text, "dovecot-uidlist:1: "));
}
END_TEST

START_TEST(keywords_and_their_letters)
{
	foreign_keywords(&f, SPAN("0 $Forwarded\n1 Work\n25 last\n26 none\n"
	    "3 (bad)\nx y\n2 work\n"));
	ck_assert_str_eq(f.words.v[f.letters[0]], "$Forwarded");
	ck_assert_int_eq(f.letters[1], f.letters[2]);	/* without case */
	ck_assert_str_eq(f.words.v[f.letters[25]], "last");
	ck_assert_int_eq(f.letters[3], -1);
	ck_assert_uint_eq(f.words.len, 3);
	ck_assert_str_eq(said, "5: this is no keyword\n"
	    "6: no number at the begin of the line\n");
}
END_TEST

START_TEST(couriers_files)
{
	const struct foreign_message *m;

	ck_assert_int_eq(foreign_courier_uids(&f, SPAN("1 1400000000 12\n"
	    "1 1000.a\n11 1000.b\n"), &why), 0);
	ck_assert_int_eq(foreign_courier_pop3(&f, SPAN("/3 9 1300000000\n"
	    "1000.a:2,S 120 7:1300000000:0\n1000.b 33 8:0\n"
	    "1000.c+\"x:2, 1 0:0:1\nbroken\n"), &why), 0);
	foreign_courier_list(&f, SPAN("Work\n$Junk\n\n1000.a:0 1\n1000.b:1 9\n"
	    "nothing\n"));
	foreign_courier_words(&f, SPAN("1000.b"), SPAN("Zebra\nWork\n"));
	check_uid("1000.a:2,S", 1, "UID7-1300000000", NULL);
	check_uid("1000.b", 11, "UID8", NULL);
	check_uid("1000.c+\"x", 0, "1000.c+2B+22x", NULL);
	m = foreign_find(&f, SPAN("1000.a"));
	ck_assert_uint_eq(m->words.len, 2);
	m = foreign_find(&f, SPAN("1000.b"));
	ck_assert_uint_eq(m->words.len, 2);
	ck_assert_str_eq(f.words.v[m->words.v[0]], "Zebra");
	ck_assert_str_eq(said, "5: no \"file size number:uidvalidity\"\n"
	    "5: no number of a keyword\n6: no \"file:numbers\"\n");
	ck_assert_int_eq(foreign_courier_pop3(&f, SPAN("/1 9 1\n"), &why), -1);
	ck_assert_int_eq(foreign_courier_uids(&f, SPAN("2 9 1\n"), &why), -1);
}
END_TEST

START_TEST(lines_that_are_too_long)
{
	static char text[3 * FOREIGN_LINE_MAX];

	snprintf(text, sizeof(text), "3 V1 N2\n7 :%0*d\n8 :b\n",
	    FOREIGN_LINE_MAX - 3, 1);
	ck_assert_int_eq(foreign_uidlist(&f, span_of(text), &why), 0);
	ck_assert_uint_eq(f.messages.count, 2);		/* at the limit */
	foreign_fini(&f);
	setup();
	snprintf(text, sizeof(text), "3 V1 N2\n7 :%0*d\n8 :b\n",
	    FOREIGN_LINE_MAX - 2, 1);
	ck_assert_int_eq(foreign_uidlist(&f, span_of(text), &why), 0);
	ck_assert_uint_eq(f.messages.count, 1);
	ck_assert_str_eq(said, "2: the line is too long\n");
}
END_TEST

static const struct {
	const char	*in;
	uint32_t	 uid, flags;
	const char	*uidl, *text;
} mails[] = {
	{ "X-UID: 3\nStatus: RO\nX-Status: AFTD\nSubject: a\n\nbody\n", 3,
	    STORE_SEEN | STORE_ANSWERED | STORE_FLAGGED | STORE_DRAFT |
	    STORE_DELETED, "", "Subject: a\n\nbody\n" },
	{ "X-UID: 9\nX-UIDL: abc \nX-Keywords: Work\n\tmore\nA: b\n\n", 9, 0,
	    "abc", "X-UIDL: abc \nA: b\n\n" },
	{ "X-UID: 8\nA: b\n\nx\n>From y\n\n\n", 0, 0, "",
	    "A: b\n\nx\nFrom y\n\n" },
	{ "Content-Length: 11\nA: b\n\nx\n\nFrom yz\n\n", 0, 0, "",
	    "A: b\n\nx\n\nFrom yz\n" },
	{ "X-UID: 99999999999\nA: b\n\nx\n\n", 0, 0, "", "A: b\n\nx\n" },
	/* Its length is wrong: the line "From " ends it. */
	{ "Content-Length: 2\nA: b\n\nxyz\n\n", 0, 0, "", "A: b\n\nxyz\n" },
	{ "A: b\n\n.", 0, 0, "", "A: b\n\n.\n" },
};

START_TEST(an_mbox)
{
	struct foreign_mail m = { .text = BUF_INIT(BUF_UNLIMITED) };
	struct buf all = BUF_INIT(BUF_UNLIMITED);
	struct foreign_mbox b;

	buf_add_str(&all, "From MAILER-DAEMON Mon Mar  2 14:05:09 2026\n"
	    "X-IMAP: 1400000000 0000000012 Work\nSubject: internal\n\nx\n\n");
	for (size_t i = 0; i < ARRAY_LEN(mails); i++) {
		buf_addf(&all, "From a b  Mon Mar  2 14:05:%02zu 2026\n%s", i,
		    mails[i].in);
		if (i == 0)
			buf_add_char(&all, '\n');
	}
	ck_assert_int_eq(foreign_mbox_init(&b, &f, buf_span(&all)), 0);
	for (size_t i = 0; i < ARRAY_LEN(mails); i++) {
		ck_assert(foreign_mbox_next(&b, &m));
		ck_assert_uint_eq(m.uid, mails[i].uid);
		ck_assert_uint_eq(m.flags, mails[i].flags);
		ck_assert_str_eq(m.text.data, mails[i].text);
		ck_assert(span_is(m.uidl, mails[i].uidl));
		ck_assert_int_eq(m.date_us, (1772460309 - 9 + (int64_t)i) *
		    1000000);
		ck_assert_uint_eq(m.words.len, i == 1);
	}
	ck_assert(!foreign_mbox_next(&b, &m));
	ck_assert_uint_eq(f.uidvalidity, 1400000000);
	ck_assert_uint_eq(f.uidnext, 13);
	ck_assert_str_eq(said, "23: the UID is not above that of the message "
	    "before\n39: this is no UID\n");
	foreign_mail_fini(&m);
	buf_fini(&all);
	ck_assert_int_eq(foreign_mbox_init(&b, &f, SPAN("Subject: x\n")), -1);
}
END_TEST

static const struct {
	const char	*format, *want;		/* NULL: refused */
} formats[] = {
	{ "%08Xu%08Xv", "0000001900001000" },
	{ "%v.%u", "4096.25" },
	{ "UID%u-%v", "UID25-4096" },
	{ "%f", "1000.a" },
	{ "x%%%g", "x%guid" },
	{ "%x", NULL }, { "%", NULL }, { "a b", NULL }, { "%i", NULL },
};

START_TEST(unique_ids_by_a_format)
{
	const struct uidl_values v = { .uid = 25, .uidvalidity = 4096,
	    .file = SPAN("1000.a"), .guid = SPAN("guid") };
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	int rc = uidl_format(formats[_i].format, &v, &b);

	ck_assert_int_eq(rc, formats[_i].want != NULL ? 0 : -1);
	if (rc == 0)
		ck_assert_str_eq(b.data, formats[_i].want);
	buf_fini(&b);
}
END_TEST

START_TEST(the_file_of_unique_ids)
{
	struct buf text = BUF_INIT(BUF_UNLIMITED);
	struct uidls u;

	buf_add_str(&text, "mansio-uidl 1 1400000000\n5 abc\n3 def\n5 ghi\n"
	    "7\n8 a b\n0 zero\n9 torn");
	ck_assert_int_eq(uidls_parse(&u, &text), 0);
	ck_assert_uint_eq(u.uidvalidity, 1400000000);
	ck_assert(span_is(uidls_find(&u, 3), "def"));
	ck_assert(span_is(uidls_find(&u, 5), "ghi"));	/* the later one */
	for (uint32_t uid = 6; uid < 12; uid++)
		ck_assert_uint_eq(uidls_find(&u, uid).len, 0);
	ck_assert_uint_eq(uidls_find(&u, 1).len, 0);
	uidls_fini(&u);
	buf_fini(&text);
	buf_add_str(&text, "mansio-uidl 2 14\n5 abc\n");
	ck_assert_int_eq(uidls_parse(&u, &text), -1);
	uidls_fini(&u);
	buf_fini(&text);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("foreign");
	TCase *t = tcase_create("foreign");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, dovecots_uidlist);
	tcase_add_loop_test(t, no_uidlist, 0, ARRAY_LEN(no_lists));
	tcase_add_test(t, keywords_and_their_letters);
	tcase_add_test(t, couriers_files);
	tcase_add_test(t, lines_that_are_too_long);
	tcase_add_test(t, an_mbox);
	tcase_add_loop_test(t, unique_ids_by_a_format, 0, ARRAY_LEN(formats));
	tcase_add_test(t, the_file_of_unique_ids);
	suite_add_tcase(s, t);
	return s;
}
