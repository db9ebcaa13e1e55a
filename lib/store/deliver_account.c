/* SPDX-License-Identifier: ISC */
/*
 * deliver_account - what a delivery asks the account: how full it is, and
 * where a folder is.
 *
 * Nothing is asked, and nothing made, while nobody has opened the account yet:
 * then there is INBOX only.
 */
#include <fcntl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "conf/params.h"
#include "store/account.h"
#include "store/store_internal.h"

#define USAGE_MS	10000	/* how old what is known of other mailboxes is */

static struct account *
open_account(int dirfd, const char *path)
{
	struct account_options o = {
		.format = STORE_PACKED, .base = path, .path = "",
		.quota_storage = ACCOUNT_UNLIMITED,
		.quota_messages = ACCOUNT_UNLIMITED,
		.quota_mailboxes = ACCOUNT_UNLIMITED,
	};
	struct why why = WHY_INIT;
	struct account *a;

	if (faccessat(dirfd, PACKED_ACCOUNT, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return NULL;
	a = account_open(&o, &why);
	if (a == NULL)
		log_warning("%s: %s", path, why.text);
	return a;
}

uint32_t
deliver_folder(int dirfd, const char *path, const char *folder)
{
	struct account *a = open_account(dirfd, path);
	struct span want = span_of(folder);
	uint32_t box = PACKED_INBOX_BOX;
	bool exact = false;

	if (a == NULL)
		return box;
	for (size_t i = 0; i < account_count(a) && !exact; i++) {
		const struct account_box *b = account_box(a, i);

		/* Addresses have lost their case on the way. */
		if (b->box == 0 || b->flags & BOX_NOSELECT ||
		    !span_caseis(want, b->name))
			continue;
		exact = span_is(want, b->name);
		if (exact || box == PACKED_INBOX_BOX)
			box = b->box;
	}
	account_close(&a);
	return box;
}

static bool
limited(int64_t limit)
{
	return limit > 0 && limit != PARAM_UNLIMITED;
}

/* What the other mailboxes take up; this one's journal is read anyway. */
static void
learn_usage(struct handle *h)
{
	const struct packed_state *st = &h->pk->head.state;
	struct account_usage u = { 0 };
	struct account *a;

	h->usage_ms = clock_mono_ms();
	h->other_bytes = h->other_messages = 0;
	if ((a = open_account(h->pk->dirfd, h->path)) == NULL)
		return;
	if (account_usage(a, &u, NULL) == 0) {
		h->other_bytes = u.storage - MIN(u.storage, st->bytes);
		h->other_messages = u.messages - MIN(u.messages, st->messages);
	}
	account_close(&a);
}

int
deliver_quota(struct store *s, struct handle *h, uint64_t bytes,
    struct why *why)
{
	const struct packed_state *st = &h->pk->head.state;

	if (!limited(s->opt.quota_storage) && !limited(s->opt.quota_messages))
		return 0;
	if (h->usage_ms == 0 || clock_mono_ms() - h->usage_ms > USAGE_MS)
		learn_usage(h);
	if (limited(s->opt.quota_storage) && num_add_sat(h->other_bytes +
	    st->bytes, bytes) > (uint64_t)s->opt.quota_storage)
		return why_set(why, "4.2.2", "the mailbox is full");
	if (limited(s->opt.quota_messages) && h->other_messages +
	    st->messages + 1 > (uint64_t)s->opt.quota_messages)
		return why_set(why, "4.2.2", "the mailbox has too many "
		    "messages");
	return 0;
}
