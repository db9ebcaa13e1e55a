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
#include "io/fd.h"
#include "store/account.h"
#include "store/store_internal.h"

#define USAGE_MS	10000	/* how old what is known of other mailboxes is */

static struct account *
open_account(int dirfd, const char *path)
{
	struct account_options o = {
		.format = STORE_PACKED, .base = path, .path = "",
		.quota.storage = ACCOUNT_UNLIMITED,
		.quota.messages = ACCOUNT_UNLIMITED,
		.quota.mailboxes = ACCOUNT_UNLIMITED,
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

/* --- quotas ---------------------------------------------------------------------- */

/* What the account takes up; a packed one without this mailbox, whose journal
 * is read anyway. */
static void
learn_usage(struct store *s, struct handle *h)
{
	bool files = h->format == STORE_MAILDIR;
	struct why why = WHY_INIT;
	struct store_quota u;
	int dir = files ? openat(h->md.cur, "..", O_RDONLY | O_DIRECTORY |
	    O_CLOEXEC) : h->pk->dirfd;

	if (usage_count(dir, h->path, h->format, &s->epoch, &u, &why) < 0)
		log_warning("%s: %s", h->path, why.text);
	h->usage_ms = clock_mono_ms();
	h->other_bytes = u.storage;
	h->other_messages = u.messages;
	if (files) {
		fd_close(&dir);
		return;
	}
	h->other_bytes -= MIN(u.storage, h->pk->head.state.bytes);
	h->other_messages -= MIN(u.messages, h->pk->head.state.messages);
}

/* The account's own limits; they are looked at as often as usage is. */
static int
learn_own(struct handle *h, struct why *why)
{
	int rc;

	store_quota_unset(&h->own);
	if (!h->own_quota)
		return 0;
	if (h->format == STORE_PACKED) {
		rc = store_quota_read(h->pk->dirfd, QUOTA_FILE, &h->own, why);
	} else {
		rc = store_quota_read(h->md.cur, "../" QUOTA_FILE_MAILDIR,
		    &h->own, why);
	}
	return MIN(rc, 0);
}

static void
usage(const struct handle *h, uint64_t *bytes, uint64_t *messages)
{
	*bytes = h->other_bytes;
	*messages = h->other_messages;
	if (h->format == STORE_PACKED) {
		*bytes += h->pk->head.state.bytes;
		*messages += h->pk->head.state.messages;
	}
}

static void
limits_of(const struct handle *h, struct store_quota *q)
{
	*q = h->own;
	store_quota_merge(q, h->limits);
}

int
deliver_quota(struct store *s, struct handle *h, uint64_t bytes,
    struct why *why)
{
	bool due = h->usage_ms == 0 ||
	    clock_mono_ms() - h->usage_ms > USAGE_MS;
	struct store_quota used = { 0 }, q;

	h->warn = 0;
	if (h->limits == NULL)
		return 0;
	if (due && learn_own(h, why) < 0)
		return -1;
	limits_of(h, &q);
	if (!store_quota_limited(&q)) {
		if (due)
			h->usage_ms = clock_mono_ms();
		return 0;
	}
	if (due)
		learn_usage(s, h);
	usage(h, &used.storage, &used.messages);
	return store_quota_fits(&used, &q, bytes, why);
}

void
deliver_counted(struct handle *h, uint64_t bytes)
{
	uint64_t used, messages;
	struct store_quota q;
	unsigned a, b;

	if (h->limits == NULL)
		return;
	limits_of(h, &q);
	if (!store_quota_limited(&q))
		return;
	if (h->format == STORE_MAILDIR) {
		h->other_bytes += bytes;
		h->other_messages++;
	}
	usage(h, &used, &messages);
	a = store_quota_passed(used - MIN(bytes, used), used, q.storage);
	b = store_quota_passed(messages - 1, messages, q.messages);
	h->warn = MAX(a, b);
}

void
deliver_warn(struct store *s, struct handle *h, const struct store_place *p,
    const struct store_message *m)
{
	struct buf text = BUF_INIT(BUF_UNLIMITED);
	struct store_content content;
	struct store_quota used = { 0 }, q;
	struct store_place to = *p;
	struct store_message warning = {
		.queue_id = m->queue_id, .rcpt = SPAN("quota"),
		.sender = SPAN(""), .arrival_us = clock_wall_us(),
		.content = &content,
	};
	struct why why = WHY_INIT;
	unsigned level = h->warn;

	h->warn = 0;
	limits_of(h, &q);
	usage(h, &used.storage, &used.messages);
	log_info("%.*s: quota: to=<%.*s>, %u%%, storage=%llu/%lld, "
	    "messages=%llu/%lld", SPAN_ARG(m->queue_id), SPAN_ARG(m->rcpt),
	    level, (unsigned long long)used.storage,
	    q.storage < QUOTA_UNSET ? (long long)q.storage : -1,
	    (unsigned long long)used.messages,
	    q.messages < QUOTA_UNSET ? (long long)q.messages : -1);
	if (!span_caseis(span_of(conf.quota_warning_recipient), "user"))
		return;
	store_quota_message(&text, m->rcpt, level, &used, &q);
	store_content_of(&content, buf_span(&text));
	buf_fini(&text);
	to.folder = NULL;
	to.quota = NULL;
	if (store_deliver(s, &to, &warning, &why) < 0)
		log_warning("%.*s: quota: cannot warn <%.*s>: %s",
		    SPAN_ARG(m->queue_id), SPAN_ARG(m->rcpt), why.text);
	store_content_fini(&content);
}
