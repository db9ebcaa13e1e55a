/* SPDX-License-Identifier: ISC */
/*
 * compress: messages that are compressed are the same messages, beside those
 * that are not: bytes, sizes, copies, after a purge, a lost journal, damage.
 */
#include <stdlib.h>
#include <string.h>

#include "mail/message_cache.h"
#include "mail/signature.h"
#include "store/compress.h"
#include "tests/unit/store/mailbox_test.h"

static struct account *
open_with(int level)
{
	struct account_options o = options(STORE_PACKED);
	struct account *a;

	o.compression = level;
	a = account_open(&o, &why);
	ck_assert_msg(a != NULL, "%s", why.text);
	return a;
}

/* Number 0 has no line end, 1 cannot be compressed, 2 is short. */
static void
body_of(int n, size_t len, struct buf *out)
{
	uint32_t x = (uint32_t)n;

	buf_reset(out);
	buf_addf(out, "Subject: number %d\nFrom: a@example.test\n\n", n);
	while (n != 2 && out->len < len) {
		if (n == 1) {
			for (int i = 0; i < 60; i++) {
				x = x * 1664525u + 1013904223u;
				buf_add_char(out, (char)(' ' + (x >> 9) %
				    224));
			}
			buf_add_char(out, '\n');
			continue;
		}
		buf_addf(out, "line %zu of message number %d\n", out->len, n);
	}
	if (n == 0)
		buf_add_str(out, "no end");
}

static uint32_t
append_body(struct account *a, int n, size_t len)
{
	struct buf text = BUF_INIT(BUF_UNLIMITED);
	struct append *ap = append_begin(a, ACCOUNT_INBOX, NULL, 0, &why);
	struct append_info info = { .date_us = 1000000 };
	struct uid_result r;
	uint32_t uid;

	body_of(n, len, &text);
	OK(append_next(ap, &info, &why));
	OK(append_data(ap, buf_span(&text), &why));
	OK(append_commit(ap, &r, &why));
	uid = r.to->v[0].lo;
	append_free(&ap);
	buf_fini(&text);
	return uid;
}

static void
check_body(struct mailbox *m, uint32_t uid, int n, size_t len)
{
	struct buf text = BUF_INIT(BUF_UNLIMITED);
	struct mailbox_content c, d;
	size_t lines = 0;

	body_of(n, len, &text);
	for (size_t i = 0; i < text.len; i++)
		lines += text.data[i] == '\n';
	OK(mailbox_content(m, uid, &c, &why));
	/* Two at a time, as a client has them that asks for parts. */
	OK(mailbox_content(m, uid, &d, &why));
	ck_assert(span_eq(c.bytes, buf_span(&text)));
	mailbox_content_done(&c);
	ck_assert(span_eq(d.bytes, buf_span(&text)));
	mailbox_content_done(&d);
	ck_assert_uint_eq(message(m, mailbox_seq(m, uid)).size,
	    text.len + lines);
	ck_assert_uint_eq(mailbox_lines_size(m, mailbox_seq(m, uid)),
	    text.len + lines + (n == 0 ? 2 : 0));
	buf_fini(&text);
}

static off_t
size_of(const char *name)
{
	char path[200];
	struct stat st;

	snprintf(path, sizeof(path), "%s/user/%s", dir, name);
	return stat(path, &st) < 0 ? -1 : st.st_size;
}

static const size_t lens[] = { 600, 4000, 100000, 3000000 };

/* Plain ones, compressed ones, in one mailbox. */
static void
fill(void)
{
	struct account *a = open_with(0);

	for (size_t i = 0; i < ARRAY_LEN(lens); i++)
		(void)append_body(a, (int)i, lens[i]);
	account_close(&a);
	a = open_with(3);
	for (size_t i = 0; i < ARRAY_LEN(lens); i++)
		(void)append_body(a, (int)i, lens[i]);
	account_close(&a);
}

static void
check_all(struct mailbox *m, uint32_t first)
{
	for (uint32_t i = 0; i < 2 * ARRAY_LEN(lens); i++)
		check_body(m, first + i, (int)(i % ARRAY_LEN(lens)),
		    lens[i % ARRAY_LEN(lens)]);
}

static bool
zstd_at(struct mailbox *m, uint32_t uid)
{
	return record_by_uid(m, uid)->flags & RECORD_ZSTD;
}

START_TEST(mixed)
{
	struct mailbox_verified v;
	struct signature_query q;
	struct ranges r = uids(1, 8);
	struct uid_result res;
	struct account *a;
	struct mailbox *m;
	uint32_t box;

	fill();
	a = open_with(_i);
	m = open_box(a, ACCOUNT_INBOX);
	ck_assert(!zstd_at(m, 1) && !zstd_at(m, 4));
	/* Neither what cannot be made smaller, nor what is small. */
	ck_assert(zstd_at(m, 5) && !zstd_at(m, 6) && !zstd_at(m, 7) &&
	    zstd_at(m, 8));
	check_all(m, 1);
	signature_query(&q, SPAN("MESSAGE NUMBER 0"));
	ck_assert(mailbox_maybe(m, 5, &q) && !mailbox_maybe(m, 7, &q));
	OK(account_create(a, SPAN("copy"), 0, &box, &why));
	OK(mailbox_copy(m, &r, a, box, &res, &why));
	mailbox_close(&m);
	index_save(m = open_box(a, box), true);
	mailbox_close(&m);
	m = open_box(a, box);
	check_all(m, 1);
	mailbox_close(&m);
	OK(mailbox_rebuild(a, ACCOUNT_INBOX, &why));
	ck_assert_int_ge(mailbox_compact(a, ACCOUNT_INBOX, true, &why), 0);
	m = open_box(a, ACCOUNT_INBOX);
	check_all(m, 1);
	mailbox_close(&m);
	OK(mailbox_verify(a, ACCOUNT_INBOX, &v, &why));
	ck_assert_uint_eq(v.damaged + v.differences, 0);
	account_close(&a);
	ranges_fini(&r);
}
END_TEST

START_TEST(journal_is_lost)
{
	struct account *a;
	struct mailbox *m;
	char cmd[200];

	fill();
	snprintf(cmd, sizeof(cmd), "cd %s/user && rm -f 00000001.jrn "
	    "00000001.idx 00000001.cch", dir);
	ck_assert_int_eq(system(cmd), 0);
	a = open_with(0);
	m = open_box(a, ACCOUNT_INBOX);
	ck_assert_uint_eq(mailbox_count(m), 8);
	check_all(m, 1);
	mailbox_close(&m);
	account_close(&a);
}
END_TEST

START_TEST(damage_is_found)
{
	struct account *a;
	struct mailbox_verified v;
	struct mailbox_content c;
	struct mailbox *m;
	char path[200];
	uint64_t at;
	int fd;

	fill();
	a = open_with(0);
	m = open_box(a, ACCOUNT_INBOX);
	at = record_by_uid(m, 8)->offset + PACKED_MESSAGE_HEADER + 100;
	mailbox_close(&m);
	account_close(&a);
	snprintf(path, sizeof(path), "%s/user/00000001.seg", dir);
	ck_assert_int_ge(fd = open(path, O_RDWR), 0);
	ck_assert_int_eq(pwrite(fd, "damage", 6, (off_t)at), 6);
	close(fd);
	a = open_with(3);
	m = open_box(a, ACCOUNT_INBOX);
	ck_assert_int_eq(mailbox_content(m, 8, &c, &why), -1);
	ck_assert_int_eq(account_error(a), ACCOUNT_CORRUPT);
	mailbox_content_done(&c);
	check_body(m, 5, 0, lens[0]);
	mailbox_close(&m);
	OK(mailbox_verify(a, ACCOUNT_INBOX, &v, &why));
	ck_assert_uint_eq(v.damaged, 1);
	ck_assert_uint_eq(v.differences, 0);
	account_close(&a);
}
END_TEST

START_TEST(space_is_saved)
{
	struct account *a = open_with(3);

	for (int i = 0; i < 10; i++)
		(void)append_body(a, 10 + i, 100000);
	ck_assert_int_lt(size_of("00000001.seg"), 500000);
	account_close(&a);
}
END_TEST

/* A delivery whose bytes were lost with the power is written once more, in
 * the same place. */
START_TEST(delivered_again)
{
	struct store_options o = { .open_max = 2, .hostname = "mail",
	    .compression = 3, .parse = true };
	struct store_place p = {
		.format = STORE_PACKED, .base = dir, .path = "user",
		.uid = geteuid(), .gid = getegid(),
	};
	struct store_content content;
	struct store_message msg = {
		.queue_id = SPAN("Q1"), .rcpt = SPAN("user@example.test"),
		.sender = SPAN("s@example.org"), .content = &content,
		.head = SPAN("Return-Path: <s@example.org>\n"),
	};
	struct buf text = BUF_INIT(BUF_UNLIMITED), got = text;
	char path[200];
	int fd;

	body_of(3, 9000, &text);
	for (int turn = 0; turn < 3; turn++) {
		struct store *s = store_new(&o);
		struct store_box *b;

		store_content_of(&content, buf_span(&text));
		ck_assert_int_eq(store_deliver(s, &p, &msg, &why),
		    turn == 0 ? 0 : 1);
		store_content_fini(&content);
		store_free(&s);
		msg.again = true;
		b = store_box_open(&p, &why);
		ck_assert_ptr_nonnull(b);
		ck_assert_uint_eq(store_box_count(b), 1);
		buf_reset(&got);
		OK(store_box_read(b, 0, &got, &why));
		ck_assert_uint_eq(got.len, msg.head.len + text.len);
		ck_assert(span_ends(buf_span(&got), buf_span(&text)));
		store_box_close(&b);
		snprintf(path, sizeof(path), "%s/user/00000001.seg", dir);
		ck_assert_int_ge(fd = open(path, O_RDWR), 0);
		ck_assert_int_lt(lseek(fd, 0, SEEK_END), 8000);
		if (turn == 0)
			ck_assert_int_eq(pwrite(fd, "lost", 4, 200), 4);
		close(fd);
	}
	buf_fini(&text);
	buf_fini(&got);
}
END_TEST

START_TEST(hostile_frames)
{
	struct buf out = BUF_INIT(BUF_UNLIMITED);
	struct compressor *c;
	char b[1000];

	memset(b, 'x', sizeof(b));
	ck_assert_int_eq((int)compress_undone_len(span_make(b, sizeof(b))),
	    -1);
	ck_assert_ptr_null(compress_begin(3, COMPRESS_MAX + 1u, &out));
	ck_assert_ptr_null(compress_begin(3, COMPRESS_MIN - 1, &out));
	ck_assert_ptr_null(compress_begin(0, 1000, &out));
	ck_assert_ptr_nonnull(c = compress_begin(3, sizeof(b), &out));
	ck_assert(compress_piece(c, span_make(b, sizeof(b))));
	ck_assert(compress_end(c));
	compress_free(&c);
	ck_assert_int_eq((int)compress_undone_len(buf_span(&out)), 1000);
	/* One byte less, or more, is damage. */
	ck_assert_int_eq(compress_undo(buf_span(&out), b, 999), -1);
	ck_assert_int_eq(compress_undo(span_sub(buf_span(&out), 0,
	    out.len - 1), b, 1000), -1);
	out.data[out.len / 2] ^= 1;
	ck_assert_int_eq(compress_undo(buf_span(&out), b, 1000), -1);
	buf_fini(&out);
	ck_assert_int_eq(compress_level("none"), 0);
	ck_assert_int_eq(compress_level("zstd"), 3);
	ck_assert_int_eq(compress_level("zstd:9"), 9);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("compress");
	TCase *t = tcase_create("compress");

	if (compress_level("zstd") == 0) {
		printf("skip: built without libzstd\n");
		exit(77);
	}
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, mixed, 0, 2);
	tcase_add_test(t, journal_is_lost);
	tcase_add_test(t, damage_is_found);
	tcase_add_test(t, space_is_saved);
	tcase_add_test(t, delivered_again);
	tcase_add_test(t, hostile_frames);
	suite_add_tcase(s, t);
	return s;
}
