/* SPDX-License-Identifier: ISC */
/*
 * account - an account in the scratch directory whose files are the input, and
 * looking at all of it: what the targets of both formats share.  Once, by a
 * target's one file.
 */
#ifndef TESTS_FUZZ_ACCOUNT_H
#define TESTS_FUZZ_ACCOUNT_H

#include "base/num.h"
#include "mail/message_cache.h"
#include "store/mailbox_internal.h"
#include "tests/fuzz/scratch.h"

#define INPUT_MAX	65536

/* Nothing here need survive a power cut; the disk would be the slowest part. */
int
fdatasync(int fildes)
{
	return 0;
}

int
fsync(int fd)
{
	return 0;
}

/* An empty directory "user" for its files. */
static void
account_begin(void)
{
	if (scratch_start())
		(void)setenv("MANSIO_STORE_EPOCH", "fuzz", 1);
	scratch_empty();
	scratch_mkdir("user");
}

/* Records u8 type, u8 modseq, u16 length, payload, with right checksums. */
static void
journal_of(struct span in, uint32_t box, struct buf *out)
{
	struct packed_head h = {
		.uidvalidity = 7, .box = box, .generation = 9,
		.state = { .turn = 1, .uidnext = 1, .reserved = 5000,
		    .tail = PACKED_START, .modseq = 1, .totals = true },
	};
	uint8_t raw[PACKED_START];

	packed_head_encode(&h, raw);
	buf_add(out, raw, sizeof(raw));
	while (in.len >= 4) {
		const uint8_t *p = (const uint8_t *)in.p;
		size_t n = num_get_le16(p + 2);

		in = span_from(in, 4);
		packed_record_encode(out, p[0], p[1], span_sub(in, 0, n));
		in = span_from(in, n);
	}
}

static bool
count_one(void *arg, const struct mailbox_deleted *d)
{
	(*(size_t *)arg) += d->uid != 0;
	return true;
}

static void
count_change(void *arg, const struct account_change *ch)
{
	(*(size_t *)arg) += ch->box;
}

static void
look(struct account *a, uint32_t box, unsigned flags)
{
	struct mailbox *m = mailbox_open(a, box, MAILBOX_RECENT | flags, NULL);
	struct mailbox_status st;
	struct mailbox_changes c;
	struct ranges gone = RANGES_INIT;
	size_t n = 0;

	(void)!account_status(a, box, &st, NULL);
	if (m == NULL)
		return;
	(void)mailbox_first_unseen(m);
	(void)!mailbox_refresh(m, MAILBOX_EXPUNGES, &c, NULL);
	for (uint32_t seq = 1; seq <= MIN(mailbox_count(m), 50); seq++) {
		struct mailbox_message msg;
		struct mailbox_content bytes;
		struct message_cache record;
		const uint32_t *v;

		if (!mailbox_message(m, seq, &msg)) {
			/* An index that is damaged, and says what the journal
			 * does not: the view is gone. */
			if (seq <= mailbox_count(m))
				__builtin_trap();
			break;
		}
		if (seq > 1 && msg.uid <= mailbox_uid(m, seq - 1))
			__builtin_trap();
		for (uint32_t k = mailbox_kwset(m, msg.kwset, &v); k-- > 0;)
			if (mailbox_keyword(m, v[k]) == NULL)
				__builtin_trap();
		(void)!mailbox_content(m, msg.uid, &bytes, NULL);
		mailbox_content_done(&bytes);
		if (mailbox_cache(m, msg.uid, MESSAGE_CACHE_ALL, &bytes,
		    &record, NULL) == 0)
			mailbox_content_done(&bytes);
	}
	(void)!mailbox_vanished(m, 3, &gone, NULL);
	ranges_fini(&gone);
	mailbox_close(&m);
	(void)!mailbox_deleted(a, box, count_one, &n, NULL);
	(void)mailbox_compact(a, box, true, NULL);
}

static struct account_options
account_options(enum store_format format)
{
	return (struct account_options){
		.format = format, .base = scratch, .path = "user",
		.owner = "user", .name_limit = 255, .depth_limit = 16,
		.count_limit = 100, .quota.storage = ACCOUNT_UNLIMITED,
		.quota.messages = ACCOUNT_UNLIMITED,
		.quota.mailboxes = ACCOUNT_UNLIMITED, .hostname = "mail",
		.expunge_delay_s = 86400,
	};
}

/* Open it and look at all that the list shows; flags: how it is opened. */
static void
look_at_all(enum store_format format, unsigned flags)
{
	struct account_options o = account_options(format);
	struct account *a = account_open(&o, NULL);
	struct account_state now;
	struct account_usage u;
	size_t n = 0;

	if (a == NULL)
		return;
	for (size_t i = 0; i < MIN(account_count(a), 20); i++) {
		const struct account_box *b = account_box(a, i);

		if (account_find(a, span_of(b->name)) == NULL)
			__builtin_trap();
		if (b->box != 0 && b->box < 4)
			look(a, b->box, flags);
	}
	(void)!account_usage(a, &u, NULL);
	(void)!account_changes(a, NULL, &now, count_change, &n, NULL);
	now.number = 2;
	(void)!account_changes(a, &now, &now, count_change, &n, NULL);
	account_close(&a);
}

#endif
