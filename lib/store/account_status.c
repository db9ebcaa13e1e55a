/* SPDX-License-Identifier: ISC */
/*
 * account_status - counting without opening: STATUS and quotas.
 *
 * The state in a journal's head counts messages and bytes, the index's head
 * what is unseen and deleted, too; what was appended behind them is read on.  No
 * message is looked at.
 */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "store/mailbox_internal.h"

#define USED_MS	1000	/* how long a count is good enough */

static void
count_view(const struct mailbox *m, struct mailbox_status *out)
{
	/* First: a damaged index, found now, makes other records, and sums. */
	uint32_t i = mailbox_first_recent(m, m->recent_from);

	out->recent = 0;
	for (; i < record_count(m); i++)
		out->recent += !record_marked(m, i, MESSAGE_EXPUNGED);
	out->messages = m->sum.messages;
	out->unseen = m->sum.unseen;
	out->deleted = m->sum.deleted;
	out->size = m->sum.bytes;
	out->deleted_size = m->sum.deleted_bytes;
}

/* Open and count; where its index is damaged and the journal does not say the
 * same, by the journal. */
static struct mailbox *
open_counted(struct account *a, uint32_t box, struct mailbox_status *out,
    struct why *why)
{
	struct mailbox *m = mailbox_open_inside(a, box, MAILBOX_LATER, why);

	if (m == NULL)
		return NULL;
	count_view(m, out);
	if (m->gone) {
		mailbox_close(&m);
		if ((m = mailbox_open_inside(a, box, 0, why)) != NULL)
			count_view(m, out);
	}
	return m;
}

int
account_status(struct account *a, uint32_t box, struct mailbox_status *out,
    struct why *why)
{
	const struct acct_box *b;
	struct mailbox *m;

	a = account_at(a, &box);
	b = account_box_by_id(a, box);
	*out = (struct mailbox_status){ .modseq = 1 };
	if (b == NULL || b->gone || b->flags & BOX_NOSELECT)
		return account_say(a, ACCOUNT_NONEXISTENT, why,
		    "no such mailbox");
	if (account_need(a, box, RIGHT_READ, why) < 0)
		return -1;
	out->special = b->special;
	if ((m = open_counted(a, box, out, why)) == NULL)
		return -1;
	out->uidnext = MAX(m->p->head.state.uidnext, 1);
	out->uidvalidity = m->p->head.uidvalidity;
	out->modseq = mailbox_modseq(m);
	memcpy(out->mailboxid, m->p->head.mailboxid, 16);
	mailbox_close(&m);
	return 0;
}

/* Messages and bytes of one mailbox. */
static int
count_box(struct account *a, uint32_t box, struct account_usage *u,
    struct why *why)
{
	struct mailbox_status st = { 0 };
	struct packed *p;
	struct mailbox *m;

	p = account_journal(a, box, 0, why);
	if (p == NULL) {
		/* Nothing was delivered yet, or it was deleted just now. */
		return a->error == ACCOUNT_NONEXISTENT ? 0 : -1;
	}
	if (p->head.state.totals && packed_catch_up(p, why) >= 0 &&
	    p->head.state.totals) {
		u->messages += p->head.state.messages;
		u->storage += p->head.state.bytes;
		packed_close(&p);
		return 0;
	}
	packed_close(&p);
	if ((m = open_counted(a, box, &st, why)) == NULL)
		return -1;
	u->messages += st.messages;
	u->storage += st.size;
	mailbox_close(&m);
	return 0;
}

static const char *
own_quota_file(const struct account *a)
{
	return a->format == STORE_MAILDIR ? QUOTA_FILE_MAILDIR : QUOTA_FILE;
}

int
account_limits(struct account *a, struct store_quota *out, struct why *why)
{
	int64_t now = clock_mono_ms();

	/* Many APPENDs in one breath read them once. */
	if (now != a->limits_ms) {
		a->limits_ms = 0;
		store_quota_unset(&a->limits);
		if (a->opt.own_quota && store_quota_read(a->dirfd,
		    own_quota_file(a), &a->limits, why) < 0)
			return account_fail(a, ACCOUNT_UNAVAILABLE);
		store_quota_merge(&a->limits, &a->opt.quota);
		a->limits_ms = now;
	}
	*out = a->limits;
	return 0;
}

int
account_quota_set(struct account *a, const struct store_quota *q,
    struct why *why)
{
	if (!a->opt.own_quota)
		return account_say(a, ACCOUNT_NOPERM, why, "this account's "
		    "limits are in quota_maps only");
	a->limits_ms = 0;
	if (store_quota_write(a->dirfd, own_quota_file(a), q, why) < 0)
		return account_io(a, why);
	return 0;
}

int
account_usage(struct account *a, struct account_usage *out, struct why *why)
{
	struct store_quota q;

	*out = (struct account_usage){ 0 };
	if (account_limits(a, &q, why) < 0)
		return -1;
	out->storage_limit = q.storage;
	out->messages_limit = q.messages;
	out->mailboxes_limit = q.mailboxes;
	for (size_t i = 0; i < a->boxes.len; i++) {
		if (a->boxes.v[i].gone)
			continue;
		out->mailboxes++;
		if (count_box(a, a->boxes.v[i].box, out, why) < 0)
			return -1;
	}
	return 0;
}

int
account_quota_check(struct account *a, uint32_t box, uint64_t bytes,
    uint64_t messages, struct why *why)
{
	const struct acct_box *b = account_box_by_id(a, box);
	bool trash = b != NULL && b->special & USE_TRASH;
	int64_t now = clock_mono_ms();
	struct account_usage u;
	struct store_quota q;

	if (account_limits(a, &q, why) < 0)
		return -1;
	if (!store_quota_limited(&q))
		return 0;
	/*
	 * What was counted just now, and all that was let through since, is
	 * good enough to say yes; a no comes from counting again.
	 */
	a->used_bytes = num_add_sat(a->used_bytes, bytes);
	a->used_messages = num_add_sat(a->used_messages, messages);
	if (a->used_ms != 0 && now - a->used_ms < USED_MS &&
	    a->used_bytes <= q.storage && a->used_messages <= q.messages)
		return 0;
	if (account_usage(a, &u, why) < 0)
		return -1;
	a->used_ms = MAX(now, 1);
	a->used_bytes = num_add_sat(u.storage, bytes);
	a->used_messages = num_add_sat(u.messages, messages);
	if (trash)
		u.storage_limit = num_add_sat(u.storage_limit,
		    a->opt.trash_extra);
	if (num_add_sat(u.storage, bytes) > u.storage_limit)
		return account_say(a, ACCOUNT_OVERQUOTA, why, "the mailbox is "
		    "full: %llu of %llu bytes are used",
		    (unsigned long long)u.storage,
		    (unsigned long long)u.storage_limit);
	/* A move out of INBOX must not fail for want of one message more. */
	if (!trash && num_add_sat(u.messages, messages) > u.messages_limit)
		return account_say(a, ACCOUNT_OVERQUOTA, why, "the mailbox is "
		    "full: %llu of %llu messages",
		    (unsigned long long)u.messages,
		    (unsigned long long)u.messages_limit);
	return 0;
}
