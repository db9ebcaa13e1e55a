/* SPDX-License-Identifier: ISC */
/*
 * storeload - what the store costs by itself: deliveries, appends, opening,
 * flags, copies, expunges of one mailbox.
 *
 *	storeload [-m | -w] [-n MESSAGES] DIRECTORY
 *
 * DIRECTORY must not exist and is not removed.  -m: a maildir.  -w: what one
 * new message costs in a maildir, or what another program did.  Each line is
 * what was done, how often, and microseconds of processor time and of the
 * clock for one of them.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "conf/params.h"
#include "mail/message_cache.h"
#include "mail/signature.h"
#include "store/mailbox.h"

static int64_t cpu_at, wall_at;
static struct why why;

static int64_t
cpu_us(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (int64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 +
	    u.ru_utime.tv_usec + u.ru_stime.tv_usec;
}

static void
begin(void)
{
	cpu_at = cpu_us();
	wall_at = clock_mono_us();
}

static void
done(const char *what, uint32_t n)
{
	int64_t cpu = cpu_us() - cpu_at, wall = clock_mono_us() - wall_at;

	printf("%-34s %8u  cpu %10.2f us  wall %10.2f us\n", what, (unsigned)n,
	    (double)cpu / n, (double)wall / n);
	fflush(stdout);
}

static void
check(bool ok)
{
	if (!ok) {
		fprintf(stderr, "storeload: %s\n", why.text);
		exit(1);
	}
}

static void
make_text(struct buf *b, uint32_t n)
{
	buf_reset(b);
	buf_addf(b, "Return-Path: <s%u@example.org>\n"
	    "Received: from mx.example.org (mx.example.org [192.0.2.1])\n"
	    "\tby mail.example.test with ESMTP id Q%u; Mon, 2 Mar 2026 "
	    "14:05:09 +0000\nFrom: \"Sender %u\" <s%u@example.org>\n"
	    "To: user@example.test\nSubject: message number %u\n"
	    "Message-ID: <%u.%u@example.org>\nDate: Mon, 2 Mar 2026 14:05:09 "
	    "+0000\nMIME-Version: 1.0\nContent-Type: text/plain; "
	    "charset=utf-8\n\n", n, n, n, n, n, n, n * 7919u);
	while (b->len < 4096)
		buf_addf(b, "word%zx and other words in line %zu of it\n",
		    (b->len * 2654435761u) >> 7, b->len);
}

static void
deliver_to(const char *dir, const char *path, enum store_format format,
    uint32_t from, uint32_t n, bool parse)
{
	struct store_options o = { .open_max = 4, .hostname = "mail",
	    .parse = parse };
	struct store *s = store_new(&o);
	struct store_place p = {
		.format = format, .base = dir, .path = path, .uid = geteuid(), .gid = getegid(),
		.size_limit = PARAM_UNLIMITED, .flags = STORE_MAKE_BASE,
	};
	struct buf text = BUF_INIT(BUF_UNLIMITED);
	FILE *f = tmpfile();

	make_text(&text, 1);
	check(f != NULL && write(fileno(f), text.data, text.len) ==
	    (ssize_t)text.len);
	begin();
	for (uint32_t i = from; i < from + n; i++) {
		struct store_content c;
		char id[32];

		snprintf(id, sizeof(id), "Q%u", (unsigned)i);
		store_content_init(&c, fileno(f), 0, text.len);
		struct store_message m = {
			.queue_id = span_of(id), .rcpt = SPAN("u@example.test"),
			.sender = SPAN("s@example.org"), .content = &c,
			.arrival_us = (int64_t)i,
		};
		check(store_deliver(s, &p, &m, &why) == 0);
		store_content_fini(&c);
	}
	done(parse ? "deliver, with cache record" : "deliver", n);
	store_free(&s);
	fclose(f);
	buf_fini(&text);
}

static void
deliver(const char *dir, enum store_format format, uint32_t n, bool parse)
{
	deliver_to(dir, parse ? "parsed" : "plain", format, 0, n, parse);
}

static void
append(struct account *a, uint32_t n)
{
	struct buf text = BUF_INIT(BUF_UNLIMITED);

	begin();
	for (uint32_t i = 0; i < n; i++) {
		struct append *ap = append_begin(a, ACCOUNT_INBOX, NULL, 0, &why);
		struct append_info info = { .flags = 0 };
		struct uid_result r;

		make_text(&text, i);
		check(ap != NULL && append_next(ap, &info, &why) == 0 &&
		    append_data(ap, buf_span(&text), &why) == 0 &&
		    append_commit(ap, &r, &why) == 0);
		append_free(&ap);
		/* As many as a server answers at a time. */
		if (i % 50 == 49)
			check(account_sync(a, &why) == 0);
	}
	check(account_sync(a, &why) == 0);
	done("append, a sync for 50", n);
	buf_fini(&text);
}

static struct mailbox *
open_box(struct account *a, uint32_t box, unsigned flags, const char *what)
{
	struct mailbox *m;

	begin();
	m = mailbox_open(a, box, MAILBOX_RECENT | flags, &why);
	check(m != NULL);
	(void)mailbox_first_unseen(m);
	done(what, 1);
	return m;
}

static void
read_all(struct mailbox *m, uint32_t n)
{
	struct signature_query q;
	uint64_t sum = 0;

	begin();
	for (uint32_t seq = 1; seq <= n; seq++) {
		struct mailbox_content c;
		struct message_cache mc;

		check(mailbox_cache(m, mailbox_uid(m, seq),
		    MESSAGE_CACHE_ALL, &c, &mc, &why) == 0);
		sum += mc.envelope.len;
		mailbox_content_done(&c);
	}
	done("cache records", n);
	begin();
	signature_query(&q, SPAN("MESSAGE NUMBER 4711"));
	for (uint32_t seq = 1; seq <= n; seq++)
		sum += mailbox_maybe(m, mailbox_uid(m, seq), &q);
	done("signatures", n);
	for (int turn = 0; turn < 2; turn++) {
		begin();
		for (uint32_t seq = 1; seq <= n; seq++) {
			struct mailbox_content c;

			check(mailbox_content(m, mailbox_uid(m, seq), &c,
			    &why) == 0);
			sum += c.bytes.len;
			mailbox_content_done(&c);
		}
		done(turn == 0 ? "content, checked" : "content", n);
	}
	if (sum == 0)
		exit(1);
}

static void
change(struct account *a, struct mailbox *m, uint32_t n, uint32_t some)
{
	struct ranges all = RANGES_INIT, part = RANGES_INIT;
	struct flags_request rq = { .uids = &all, .op = FLAGS_ADD,
	    .flags = STORE_SEEN, .unchanged_since = UINT64_MAX };
	struct expunge_result ex;
	struct flags_result fr;
	struct uid_result ur;
	uint32_t box;

	ranges_add(&all, 1, UINT32_MAX);
	begin();
	check(mailbox_store_flags(m, &rq, &fr, &why) == 0 &&
	    account_sync(a, &why) == 0);
	done("flags of all, one command", n);
	begin();
	for (uint32_t i = 1; i <= some; i++) {
		ranges_reset(&part);
		ranges_add(&part, mailbox_uid(m, i), mailbox_uid(m, i));
		rq.uids = &part;
		rq.flags = STORE_FLAGGED;
		check(mailbox_store_flags(m, &rq, &fr, &why) == 0);
	}
	check(account_sync(a, &why) == 0);
	done("flags, a command each", some);
	check(account_create(a, SPAN("copy"), 0, &box, &why) == 0);
	begin();
	check(mailbox_copy(m, &all, a, box, &ur, &why) == 0 &&
	    account_sync(a, &why) == 0);
	done("copy of all", n);
	ranges_reset(&part);
	ranges_add(&part, mailbox_uid(m, 1), mailbox_uid(m, some));
	begin();
	check(mailbox_move(m, &part, a, box, &ur, &why) == 0 &&
	    account_sync(a, &why) == 0);
	done("move", some);
	begin();
	check(mailbox_expunge(m, NULL, true, &ex, &why) == 0 &&
	    account_sync(a, &why) == 0);
	done("expunge of the rest", n - some);
	ranges_fini(&all);
	ranges_fini(&part);
}

static void
refresh(struct mailbox *m, const char *what)
{
	struct mailbox_changes c;

	begin();
	check(mailbox_refresh(m, MAILBOX_EXPUNGES, &c, &why) >= 0);
	done(what, 1);
}

/* A maildir with n messages, and one more each time. */
static void
one_more(const struct account_options *o, uint32_t n)
{
	struct account *a;
	struct mailbox *m;
	struct ranges one = RANGES_INIT;
	struct flags_request rq = { .uids = &one, .op = FLAGS_ADD,
	    .flags = STORE_SEEN, .unchanged_since = UINT64_MAX };
	struct flags_result fr;

	deliver_to(o->base, o->path, STORE_MAILDIR, 0, n, false);
	for (int turn = 0; turn < 4; turn++) {
		a = account_open(o, &why);
		check(a != NULL);
		m = open_box(a, ACCOUNT_INBOX, 0, turn == 0 ? "first open" :
		    turn == 1 ? "open, nothing new" : "open, one new message");
		if (turn == 3)
			break;
		begin();
		mailbox_close(&m);
		done("close", 1);
		account_close(&a);
		if (turn > 0)
			deliver_to(o->base, o->path, STORE_MAILDIR,
			    n + (uint32_t)turn, 1, false);
	}
	deliver_to(o->base, o->path, STORE_MAILDIR, n + 9, 1, false);
	refresh(m, "refresh, one new message");
	deliver_to(o->base, o->path, STORE_MAILDIR, n + 10, 1, false);
	refresh(m, "refresh, one new message");
	ranges_add(&one, mailbox_uid(m, n), mailbox_uid(m, n));
	begin();
	check(mailbox_store_flags(m, &rq, &fr, &why) == 0);
	done("flags of one", 1);
	refresh(m, "refresh after it");
	ranges_fini(&one);
	mailbox_close(&m);
	account_close(&a);
}

int
main(int argc, char **argv)
{
	struct account_options o = {
		.format = STORE_PACKED, .path = "account",
		.owner = "user@example.test", .name_limit = 255,
		.depth_limit = 16, .count_limit = 1000,
		.quota.storage = ACCOUNT_UNLIMITED,
		.quota.messages = ACCOUNT_UNLIMITED,
		.quota.mailboxes = ACCOUNT_UNLIMITED,
		.expunge_delay_s = 86400, .flags = STORE_MAKE_BASE,
		.hostname = "mail",
	};
	struct account *a;
	struct mailbox *m;
	uint32_t n = 100000;
	uint64_t v;
	bool more = false;
	int c;

	while ((c = getopt(argc, argv, "mwn:")) != -1) {
		if (c == 'm')
			o.format = STORE_MAILDIR;
		else if (c == 'w')
			more = true;
		else if (c != 'n' || num_parse_u64(span_of(optarg), 10000000,
		    &v) < 0)
			argc = 0;
		else
			n = (uint32_t)v;
	}
	if (optind != argc - 1 || n < 10) {
		fprintf(stderr, "usage: storeload [-m | -w] [-n messages] dir\n");
		return 2;
	}
	o.base = argv[optind];
	if (more) {
		o.format = STORE_MAILDIR;
		one_more(&o, n);
		return 0;
	}
	if (o.format == STORE_PACKED) {
		deliver(o.base, o.format, n, false);
		deliver(o.base, o.format, n, true);
	} else {
		deliver(o.base, o.format, n, false);
	}
	a = account_open(&o, &why);
	check(a != NULL);
	append(a, n);
	m = open_box(a, ACCOUNT_INBOX, 0, "first open");
	mailbox_close(&m);
	account_close(&a);
	a = account_open(&o, &why);
	m = open_box(a, ACCOUNT_INBOX, MAILBOX_LATER, "open again, as SELECT");
	read_all(m, n);
	change(a, m, n, n / 10);
	mailbox_close(&m);
	m = open_box(a, ACCOUNT_INBOX, 0, "open, empty now");
	mailbox_close(&m);
	account_close(&a);
	return 0;
}
