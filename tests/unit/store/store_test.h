/* SPDX-License-Identifier: ISC */
/*
 * store_test - what tests of the store share: a directory of their own, a
 * place in it for each format, messages with numbers.
 */
#ifndef TESTS_STORE_TEST_H
#define TESTS_STORE_TEST_H

#include <check.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "conf/params.h"
#include "io/fault.h"
#include "store/store.h"
#include "store/store_internal.h"

static const struct {
	enum store_format	 format;
	const char		*path;
} all[] = {
	{ STORE_MAILDIR,	"user/Maildir" },
	{ STORE_MBOX,		"user/mbox" },
	{ STORE_PACKED,		"user/packed" },
};

static char dir[64];

static inline void
setup(void)
{
	const char *t = getenv("TMPDIR");

	snprintf(dir, sizeof(dir), "%s/storeXXXXXX",
	    t != NULL && strlen(t) < 40 ? t : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(dir));
}

static inline void
teardown(void)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
	ck_assert_int_eq(system(cmd), 0);
}

static bool is_stale;

static inline bool
on_stale(void *arg)
{
	return is_stale;
}

static inline struct store *
open_store(void)
{
	struct store_options o = {
		.open_max = 8, .hostname = "mail.example.test",
		.lock_attempts = 3, .lock_delay_ms = 10, .stale_lock_s = 500,
		.stale = on_stale,
	};

	return store_new(&o);
}

static inline struct store_place
place(int i)
{
	return (struct store_place){
		.format = all[i].format, .base = dir, .path = all[i].path,
		.uid = geteuid(), .gid = getegid(), .make_uid = geteuid(),
		.make_gid = getegid(), .write_uid = geteuid(),
		.write_gid = getegid(), .size_limit = PARAM_UNLIMITED,
		.flags = STORE_LOCK_FCNTL | STORE_LOCK_DOTLOCK |
		    STORE_STRICT_OWNER,
	};
}

/* Message number n, of a size that depends on n; its text names it. */
static inline void
make_text(int n, size_t size, struct buf *out)
{
	buf_reset(out);
	buf_addf(out, "Received: by mail.example.test id Q%d; now\n"
	    "Subject: number %d\n\nFrom here on it is body\n.\n", n, n);
	while (out->len < size)
		buf_addf(out, "From line %zu of %d\n", out->len, n);
	buf_trunc(out, MAX(size, 80));
	buf_add_char(out, '\n');
}

static inline int
give(struct store *s, const struct store_place *p, int n, size_t size,
    bool again, struct why *why)
{
	struct buf text = BUF_INIT(BUF_UNLIMITED), head = BUF_INIT(1024);
	struct store_content c;
	struct store_message m;
	char id[32], file[128];
	int fd, rc;

	make_text(n, size, &text);
	snprintf(file, sizeof(file), "%s/content", dir);
	fd = open(file, O_RDWR | O_CREAT | O_TRUNC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, "junk", 4), 4);
	ck_assert_int_eq(write(fd, text.data, text.len), text.len);
	snprintf(id, sizeof(id), "Q%d", n);
	buf_addf(&head, "Return-Path: <s@example.org>\n"
	    "Delivered-To: u%d@example.test\n", n);
	store_content_init(&c, fd, 4, text.len);
	m = (struct store_message){
		.queue_id = span_of(id), .rcpt = SPAN("u@example.test"),
		.sender = SPAN("s@example.org"), .arrival_us = 1000000 + n,
		.head = buf_span(&head), .content = &c, .again = again,
	};
	rc = store_deliver(s, p, &m, why);
	store_content_fini(&c);
	close(fd);
	buf_fini(&text);
	buf_fini(&head);
	return rc;
}

/* What a reader gets for message n. */
static inline void
expected(enum store_format f, int n, size_t size, struct buf *out)
{
	struct buf text = BUF_INIT(BUF_UNLIMITED);
	struct span in, line;

	make_text(n, size, &text);
	buf_reset(out);
	buf_addf(out, "Return-Path: <s@example.org>\n"
	    "Delivered-To: u%d@example.test\n", n);
	in = buf_span(&text);
	while (span_line(&in, &line)) {
		if (f == STORE_MBOX && span_starts(line, SPAN("From ")))
			buf_add_char(out, '>');
		buf_add_span(out, line);
		buf_add_char(out, '\n');
	}
	buf_fini(&text);
}

/* How often message n (of that size) is in the mailbox, whole; every message
 * there must be a whole one of those numbered below max. */
static inline int
count(const struct store_place *p, int n, int max, size_t size)
{
	struct buf got = BUF_INIT(BUF_UNLIMITED), want = BUF_INIT(BUF_UNLIMITED);
	struct why why = WHY_INIT;
	struct store_box *b = store_box_open(p, &why);
	int found = 0;

	if (b == NULL)
		return 0;
	for (size_t i = 0; i < store_box_count(b); i++) {
		bool known = false;

		buf_reset(&got);
		ck_assert_msg(store_box_read(b, i, &got, &why) == 0, "%s",
		    why.text);
		for (int k = 0; k < max && !known; k++) {
			expected(p->format, k, size, &want);
			if (span_eq(buf_span(&got), buf_span(&want))) {
				known = true;
				found += k == n;
			}
		}
		ck_assert_msg(known, "half a message in the %s: %zu bytes: "
		    "%.200s", store_format_name(p->format), got.len, got.data);
	}
	store_box_close(&b);
	buf_fini(&got);
	buf_fini(&want);
	return found;
}

#endif
