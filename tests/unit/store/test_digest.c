/* SPDX-License-Identifier: ISC */
/*
 * digest: what deliveries leave for readers covers what is durable and no
 * more, says what the messages say, and can be lost, cut off or half done.
 */
#include "io/fault.h"
#include "io/fd.h"
#include "mail/message_cache.h"
#include "mail/message_text.h"
#include "store/compress.h"
#include "store/index.h"
#include "store/store_internal.h"
#include "tests/unit/store/mailbox_test.h"

static const char *
path_of(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/user/%s", dir, name);
	return path;
}

static off_t
size_of(const char *name)
{
	struct stat st;

	return stat(path_of(name), &st) == 0 ? st.st_size : -1;
}

static struct store *
open_store(bool parse)
{
	struct store_options so = { .open_max = 4, .hostname = "mail",
	    .parse = parse };

	return store_new(&so);
}

/* Messages number first to first + n - 1, whose numbers are their UIDs. */
static void
deliver(struct store *s, int first, int n)
{
	struct store_place p = { .format = STORE_PACKED, .base = dir,
	    .path = "user", .flags = STORE_MAKE_BASE, .uid = geteuid(),
	    .gid = getegid() };

	for (int i = first; i < first + n; i++) {
		struct buf text = BUF_INIT(BUF_UNLIMITED);
		struct store_content c;
		char id[32];
		struct store_message m = {
			.rcpt = SPAN("u@example.test"),
			.sender = SPAN("s@example.org"), .content = &c,
			.arrival_us = i,
		};

		/* Records of all lengths. */
		buf_addf(&text, "From: s@example.org\nSubject: number %d%.*s\n"
		    "Message-ID: <%d@example.org>\n\nBody of %d\n", i, i % 7,
		    "ssssssss", i, i);
		snprintf(id, sizeof(id), "Q%d", i);
		m.queue_id = span_of(id);
		store_content_of(&c, buf_span(&text));
		ck_assert_msg(store_deliver(s, &p, &m, &why) == 0, "%s",
		    why.text);
		store_content_fini(&c);
		buf_fini(&text);
	}
	store_settle(s);
}

static void
sync_store(struct store *s)
{
	struct store_sync *y = store_sync_begin(s);

	ck_assert_int_eq(store_sync_run(y, &why), 0);
	store_sync_free(&y);
	store_synced(s);
}

static struct account *
open_packed(int compression)
{
	struct account_options o = options(STORE_PACKED);
	struct account *a;

	o.compression = compression;
	a = account_open(&o, &why);
	ck_assert_msg(a != NULL, "%s", why.text);
	return a;
}

/* Without taking what is recent, which would be written. */
static struct mailbox *
open_inbox(struct account *a)
{
	struct mailbox *m = mailbox_open(a, ACCOUNT_INBOX, 0, &why);

	ck_assert_msg(m != NULL, "%s", why.text);
	return m;
}

static void
check_record(struct mailbox *m, uint32_t uid)
{
	struct mailbox_content c;
	struct message_cache rec;
	char want[64];

	ck_assert_msg(mailbox_cache(m, uid, MESSAGE_CACHE_ALL, &c, &rec,
	    &why) == 0, "%s",
	    why.text);
	snprintf(want, sizeof(want), "NUMBER %u%.*s", uid, (int)uid % 7,
	    "SSSSSSSS");
	ck_assert_msg(span_is(rec.base_subject, want), "%u: %.*s", uid,
	    SPAN_ARG(rec.base_subject));
	mailbox_content_done(&c);
}

static void
check_all(uint32_t n)
{
	struct account *a = open_packed(0);
	struct mailbox_verified v;
	struct mailbox *m;

	ck_assert_int_eq(mailbox_verify(a, ACCOUNT_INBOX, &v, &why), 0);
	ck_assert_uint_eq(v.messages, n);
	ck_assert_uint_eq(v.damaged + v.differences, 0);
	m = open_inbox(a);
	ck_assert_uint_eq(mailbox_count(m), n);
	for (uint32_t uid = 1; uid <= n; uid++)
		check_record(m, uid);
	mailbox_close(&m);
	account_close(&a);
}

/* How many messages the index has, of these in the cache file. */
static void
check_index(uint32_t want, uint32_t gathered)
{
	struct account *a = open_packed(0);
	struct mailbox *m = open_inbox(a);
	uint32_t n = 0;

	ck_assert_uint_eq(m->nbase, want);
	for (uint32_t i = 0; i < m->nbase; i++)
		n += m->base[i].cache_at != 0;
	ck_assert_uint_eq(n, gathered);
	mailbox_close(&m);
	account_close(&a);
}

START_TEST(covers_what_is_durable)
{
	struct store *s = open_store(true);

	deliver(s, 1, 100);
	ck_assert(!store_tidy(s, true));
	struct store_sync *y = store_sync_begin(s);
	deliver(s, 101, 30);
	ck_assert_int_eq(store_sync_run(y, &why), 0);
	store_sync_free(&y);
	ck_assert(!store_tidy(s, true));
	store_synced(s);
	/* Too few while there is other work. */
	ck_assert(!store_tidy(s, false));
	ck_assert(store_tidy(s, true));
	ck_assert(!store_tidy(s, true));
	check_index(100, 100);
	check_all(130);
	/* What is left counts for the next time. */
	deliver(s, 131, 40);
	sync_store(s);
	ck_assert(store_tidy(s, true));
	check_index(170, 170);
	check_all(170);
	store_free(&s);
}
END_TEST

START_TEST(few_are_not_worth_it)
{
	struct store *s = open_store(true);

	deliver(s, 1, 20);
	sync_store(s);
	ck_assert(!store_tidy(s, true));
	ck_assert_int_eq(size_of("00000001.idx"), -1);
	store_free(&s);
	check_all(20);
}
END_TEST

START_TEST(goes_on_where_a_session_was)
{
	struct store *s = open_store(true);
	struct account *a;
	struct mailbox *m;

	deliver(s, 1, 100);
	sync_store(s);
	ck_assert(store_tidy(s, true));
	a = open_packed(0);
	m = open_inbox(a);
	deliver(s, 101, 70);
	/* It is open all the time, and its index is the newer one. */
	struct mailbox_changes c;
	ck_assert_int_eq(mailbox_refresh(m, 0, &c, &why), 1);
	ck_assert_uint_eq(c.arrived, 70);
	sync_store(s);
	index_save(m, true);
	ck_assert(store_tidy(s, true));
	for (uint32_t uid = 1; uid <= 170; uid++)
		check_record(m, uid);
	mailbox_close(&m);
	account_close(&a);
	check_index(170, 170);
	check_all(170);
	store_free(&s);
}
END_TEST

START_TEST(expunged_messages_leave_the_cache)
{
	struct store *s = open_store(true);
	struct account *a;
	struct mailbox *m;
	struct expunge_result ex;
	struct ranges r = RANGES_INIT;
	off_t before;

	/* More than is always let be. */
	deliver(s, 1, 16000);
	sync_store(s);
	ck_assert(store_tidy(s, true));
	before = size_of("00000001.cch");
	ck_assert_int_gt(before, 8 << 20);
	a = open_packed(0);
	m = open_inbox(a);
	ranges_add(&r, 101, 16000);
	ck_assert_int_eq(mailbox_expunge(m, &r, true, &ex, &why), 0);
	check_record(m, 100);
	mailbox_close(&m);
	ck_assert_int_lt(size_of("00000001.cch"), before / 8);
	account_close(&a);
	check_index(100, 100);
	check_all(100);
	ranges_fini(&r);
	store_free(&s);
}
END_TEST

/* The records of messages that were stored without one lie in the cache file
 * only. */
START_TEST(places_in_another_file_mean_nothing)
{
	struct store *s = open_store(false);
	struct account *a;
	struct mailbox *m;

	deliver(s, 1, 50);
	store_free(&s);
	a = open_packed(0);
	m = open_inbox(a);
	for (uint32_t uid = 1; uid <= 50; uid++)
		check_record(m, uid);
	index_save(m, true);
	mailbox_close(&m);
	check_index(50, 50);
	ck_assert_int_eq(unlink(path_of("00000001.cch")), 0);
	/* Another one comes, with others in the places. */
	m = open_inbox(a);
	for (uint32_t uid = 50; uid > 0; uid--)
		check_record(m, uid);
	mailbox_close(&m);
	m = open_inbox(a);
	for (uint32_t uid = 1; uid <= 50; uid++)
		check_record(m, uid);
	/* And while it is open. */
	ck_assert_int_eq(unlink(path_of("00000001.cch")), 0);
	for (uint32_t uid = 50; uid > 0; uid--)
		check_record(m, uid);
	mailbox_close(&m);
	account_close(&a);
	check_all(50);
}
END_TEST

START_TEST(a_cache_file_that_was_cut)
{
	struct store *s = open_store(true);

	deliver(s, 1, 100);
	sync_store(s);
	ck_assert(store_tidy(s, true));
	for (off_t n = size_of("00000001.cch"); n > 0; n -= n / 3 + 1) {
		ck_assert_int_eq(truncate(path_of("00000001.cch"), n), 0);
		check_all(100);
		deliver(s, 101, 0);
	}
	/* It is begun anew. */
	ck_assert_int_eq(unlink(path_of("00000001.idx")), 0);
	deliver(s, 101, 100);
	sync_store(s);
	while (store_tidy(s, true))
		;
	check_index(200, 200);
	check_all(200);
	store_free(&s);
}
END_TEST

/* In all records of the file: the version before, which search and show would
 * read in other places. */
static unsigned
make_older(const char *name)
{
	static const char magic[] = { MESSAGE_CACHE_VERSION, 0x30, 0x43, 0x4d };
	size_t n = (size_t)size_of(name);
	char *bytes = mem_alloc(n);
	int fd = open(path_of(name), O_RDWR);
	unsigned found = 0;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fd_pread_all(fd, bytes, n, 0), 0);
	for (size_t i = 0; i + 4 <= n; i++) {
		if (memcmp(bytes + i, magic, 4) != 0)
			continue;
		bytes[i]--;
		found++;
	}
	ck_assert_int_eq(fd_pwrite_all(fd, bytes, n, 0), 0);
	close(fd);
	mem_free(bytes);
	return found;
}

static void
check_searched(struct mailbox *m, uint32_t uid)
{
	struct mailbox_content content;
	struct message_cache c;
	char text[32];

	for (int i = 0; i < 2; i++) {
		struct message_key k;

		snprintf(text, sizeof(text), "body of %u",
		    (unsigned)(uid + (uint32_t)i * 1000));
		ck_assert_int_eq(message_key_init(&k, span_of(text)), 0);
		ck_assert_int_eq(mailbox_cache(m, uid,
		    MESSAGE_CACHE_SEARCH, &content, &c, &why), 0);
		ck_assert_int_eq(message_cache_has(&c, &k), i == 0);
		mailbox_content_done(&content);
		message_key_fini(&k);
	}
}

START_TEST(records_of_another_version_are_made_again)
{
	struct store *s = open_store(true);
	struct account *a;
	struct mailbox *m;

	deliver(s, 1, 100);
	sync_store(s);
	ck_assert(store_tidy(s, true));
	store_free(&s);
	ck_assert_uint_eq(make_older("00000001.cch"), 100);
	a = open_packed(0);
	m = open_inbox(a);
	for (uint32_t uid = 1; uid <= 100; uid++) {
		check_searched(m, uid);
		check_record(m, uid);
	}
	mailbox_close(&m);
	account_close(&a);
	check_all(100);
	/* And stay. */
	ck_assert_uint_eq(make_older("00000001.cch"), 100);
	check_all(100);
}
END_TEST

static const size_t ends[] = { 768, 4096, 16384, 40000, 300000 };

/* A string is found in the bytes where they lie, but not in compressed ones. */
START_TEST(plain_text_is_found)
{
	struct account *a = open_packed(_i % 2 == 0 ? 0 :
	    compress_level("zstd"));
	struct append *ap = append_begin(a, ACCOUNT_INBOX, NULL, 0, &why);
	struct append_info info = { .flags = 0 };
	struct buf text = BUF_INIT(BUF_UNLIMITED);
	struct mailbox_content content;
	struct message_cache c;
	struct uid_result r;
	struct mailbox *m;
	bool small;
	/* -1 (of words that are nowhere): unless there is too much of it. */
	static const struct { const char *text; int has; } keys[] = {
		{ "the Garden", 1 }, { "subject", 0 }, { "a Garden", 0 },
		{ "yz0123", 1 }, { "9abcdefghijklmnopqrstuvwxyz0", 1 },
		{ "end", 1 }, { "xyzend", 1 }, { "zendx", -1 },
		{ "pqrst", 1 }, { "opqrstuvwxyz0123456789abcdefghijklm"
		    "nopqrstuvwxyze", 1 },
	};

	buf_add_str(&text, "Subject: x\r\n\r\n");
	/* What follows lies around the end of what is read first, of a page,
	 * of what is read at all. */
	while (text.len < 12 + ends[_i / 2] - 30)
		buf_addf(&text, "in THE garden, line %05zu\r\n", text.len);
	buf_add_str(&text, "0123456789abcdefghijklmnopqrstuvwxyz"
	    "0123456789abcdefghijklmnopqrstuvwxyzEnd\r\n");
	ck_assert_int_eq(append_next(ap, &info, &why), 0);
	ck_assert_int_eq(append_data(ap, buf_span(&text), &why), 0);
	ck_assert_int_eq(append_commit(ap, &r, &why), 0);
	append_free(&ap);
	m = open_inbox(a);
	small = m->extra.v[0].flags & RECORD_ZSTD;
	ck_assert_int_eq(small, _i % 2 == 1 && compress_level("zstd") != 0);
	ck_assert_int_eq(mailbox_cache(m, 1, MESSAGE_CACHE_ALL, &content, &c,
	    &why), 0);
	/* Often enough for it to be mapped in the end. */
	for (size_t n = 0; n < 3 * ARRAY_LEN(keys); n++) {
		size_t i = n % ARRAY_LEN(keys);
		struct message_key k;

		ck_assert_int_eq(message_key_init(&k, span_of(keys[i].text)),
		    0);
		ck_assert_int_eq(mailbox_has_plain(m, 1, &c, &k), small ||
		    (keys[i].has < 0 && text.len > 16384) ? 0 : keys[i].has);
		ck_assert_int_eq(mailbox_has_plain(m, 2, &c, &k), 0);
		message_key_fini(&k);
	}
	mailbox_content_done(&content);
	mailbox_close(&m);
	account_close(&a);
	buf_fini(&text);
}
END_TEST

static const int errors[] = { FAULT_KILL, EIO, ENOSPC };

START_TEST(any_call_may_fail)
{
	bool over = false;

	for (unsigned n = 1; !over; n++) {
		struct store *s = open_store(true);
		int first = (int)(n - 1) * 70 + 1, status;
		pid_t pid;

		deliver(s, first, 70);
		sync_store(s);
		pid = fork();
		ck_assert_int_ge(pid, 0);
		if (pid == 0) {
			fault_arm(n, errors[_i]);
			(void)store_tidy(s, true);
			_exit(fault_count() < n ? 1 : 0);
		}
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		over = WIFEXITED(status) && WEXITSTATUS(status) == 1;
		store_free(&s);
		check_all(n * 70);
		ck_assert_uint_lt(n, 40);
	}
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("digest");
	TCase *t = tcase_create("digest");

	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, covers_what_is_durable);
	tcase_add_test(t, few_are_not_worth_it);
	tcase_add_test(t, goes_on_where_a_session_was);
	tcase_add_test(t, expunged_messages_leave_the_cache);
	tcase_add_test(t, places_in_another_file_mean_nothing);
	tcase_add_test(t, a_cache_file_that_was_cut);
	tcase_add_test(t, records_of_another_version_are_made_again);
	tcase_add_loop_test(t, plain_text_is_found, 0,
	    2 * (int)ARRAY_LEN(ends));
	tcase_add_loop_test(t, any_call_may_fail, 0,
	    (int)ARRAY_LEN(errors));
	suite_add_tcase(s, t);
	return s;
}
