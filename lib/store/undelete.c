/* SPDX-License-Identifier: ISC */
/*
 * undelete - having back what was expunged, and mailboxes that were deleted.
 *
 * The bytes of an expunged message stay in their segment, and its records in
 * the journal, until a compaction after store_expunge_delay.  To have it back
 * is to copy it, from a place that is not shown any more.  In a maildir its
 * file waits in mansio-expunged/, and a deleted folder in mansio-deleted/.
 */
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "store/mailbox_internal.h"

/* Whether what was expunged still can be had. */
static bool
is_there(const struct mailbox *w, const struct record *r)
{
	struct expunge_time t;

	return r->flags & MESSAGE_EXPUNGED && mailbox_expunge_time(w, r, &t) &&
	    t.moved == 0 && (w->a->format == STORE_PACKED ||
	    maildir_is_kept(w, r));
}

int
mailbox_deleted(struct account *a, uint32_t box,
    bool (*fn)(void *arg, const struct mailbox_deleted *d), void *arg,
    struct why *why)
{
	struct mailbox *w;

	a = account_at(a, &box);
	if (account_need(a, box, RIGHT_READ, why) < 0 ||
	    (w = mailbox_open_whole(a, box, why)) == NULL)
		return -1;
	for (uint32_t i = 0; i < record_count(w); i++) {
		const struct record *r = record_at(w, i);
		struct mailbox_deleted d = { .uid = r->uid,
		    .size = r->size != 0 ? r->size : r->len,
		    .date_us = r->date_us };
		struct expunge_time t;

		if (!is_there(w, r) || !mailbox_expunge_time(w, r, &t))
			continue;
		d.expunged_us = t.when_us;
		if (!fn(arg, &d))
			break;
	}
	mailbox_close(&w);
	return 0;
}

static int
put_back(struct mailbox *w, struct target *t, const struct record *r,
    uint32_t uid, struct why *why)
{
	const uint32_t *v;
	uint32_t n = mailbox_kwset(w, r->kwset, &v);
	struct span *names = mem_alloc_array(n + 1, sizeof(*names));
	struct packed_arrival a = {
		.uid = uid, .flags = r->flags & RECORD_STORED &
		    ~(uint32_t)STORE_DELETED,
		.date_us = r->date_us, .zone_min = r->zone_min,
		.save_us = clock_wall_us(), .how = PACKED_COPIED,
	};
	bool failed;

	memcpy(a.guid, r->guid, sizeof(a.guid));
	for (uint32_t i = 0; i < n; i++)
		names[i] = span_of(mailbox_keyword(w, v[i]));
	a.kwset = target_kwset(t, names, n, why, &failed);
	mem_free(names);
	if (failed)
		return -1;
	if (w->a->format == STORE_MAILDIR)
		return maildir_view_restore(t->view, w, r, &a, why);
	target_put_reference(t, r, &a);
	return 0;
}

int
mailbox_undelete(struct mailbox *m, const struct ranges *uids,
    struct uid_result *out, struct why *why)
{
	struct target t;
	struct mailbox *w;
	uint32_t uid, n = 0;
	int rc = -1;

	*out = (struct uid_result){ .from = &m->set1, .to = &m->set2 };
	ranges_reset(&m->set1);
	ranges_reset(&m->set2);
	if (account_need(m->a, m->box, RIGHT_INSERT, why) < 0)
		return -1;
	if (target_lock(&t, m->a, m->box, true, m, why) < 0)
		return -1;
	/* Under the lock no compaction can take them away. */
	w = mailbox_open_whole(m->a, m->box, why);
	if (w == NULL)
		goto out;
	for (uint32_t i = 0; i < record_count(w); i++) {
		const struct record *r = record_at(w, i);

		if (ranges_has(uids, r->uid) && (m->a->format ==
		    STORE_PACKED ? r->flags & MESSAGE_EXPUNGED :
		    is_there(w, r)))
			ranges_add(&m->set1, r->uid, r->uid);
	}
	if (packed_reserve(t.p, (uint32_t)ranges_count(&m->set1), why) < 0) {
		(void)account_io(m->a, why);
		goto out;
	}
	uid = t.p->head.state.uidnext;
	for (uint32_t i = 0; i < record_count(w); i++) {
		const struct record *r = record_at(w, i);

		if (!ranges_has(&m->set1, r->uid))
			continue;
		if (put_back(w, &t, r, uid + n, why) < 0) {
			target_undo(&t);
			goto out;
		}
		n++;
	}
	if ((rc = target_flush(&t, why)) == 0 && n > 0)
		ranges_add(&m->set2, uid, uid + n - 1);
	out->uidvalidity = t.p->head.uidvalidity;
out:
	target_unlock(&t);
	mailbox_close(&w);
	return rc;
}

/* The mailbox's own journal says that it is there. */
static int
restore(struct account *a, uint32_t box, struct why *why)
{
	struct packed *p = account_writer(a, box, why);
	int rc;

	if (p == NULL)
		return -1;
	packed_put(p, PACKED_RESTORED, span_make("\0\0\0\0\0\0\0", 8));
	rc = packed_flush(p, why) < 0 ? account_io(a, why) : 0;
	account_wrote(a, p);
	packed_unlock(p);
	return rc;
}

void
account_forget_deleted(struct account *a, int64_t before_us)
{
	uint8_t gone[16];

	if (account_lock(a, NULL) < 0)
		return;
	for (size_t i = 0; i < a->boxes.len; i++) {
		const struct acct_box *b = &a->boxes.v[i];

		if (!b->gone || b->purged || b->gone_us >= before_us)
			continue;
		num_put_le32(gone, b->box);
		num_put_le32(gone + 4, 1);
		num_put_le64(gone + 8, (uint64_t)b->gone_us);
		packed_put(a->list, PACKED_BOX_GONE, span_make(gone,
		    sizeof(gone)));
	}
	(void)account_flush(a, NULL);
	account_unlock(a);
}

int
account_undelete(struct account *a, struct span name, struct why *why)
{
	struct acct_box *found = NULL, b;
	int rc = -1;

	if (account_lock(a, why) < 0)
		return -1;
	for (size_t i = 0; i < a->boxes.len; i++) {
		struct acct_box *x = &a->boxes.v[i];

		/* Of several with this name the one that was deleted last. */
		if (x->gone && !x->purged && span_is(name, x->name) &&
		    (found == NULL || x->gone_us > found->gone_us))
			found = x;
	}
	if (found == NULL) {
		(void)account_say(a, ACCOUNT_NONEXISTENT, why, "no deleted "
		    "mailbox %.*s", SPAN_ARG(name));
		goto out;
	}
	if (account_box_by_name(a, name) != NULL) {
		(void)account_say(a, ACCOUNT_EXISTS, why, "mailbox %.*s "
		    "exists", SPAN_ARG(name));
		goto out;
	}
	b = *found;
	/* Its rights are there still; its use may be another's by now. */
	b.special = account_uses_free(a, b.special, b.box);
	rc = a->format == STORE_MAILDIR ? account_maildir_undelete(a, &b,
	    why) : restore(a, b.box, why);
	if (rc == 0) {
		account_put_box(a, &b);
		rc = account_flush(a, why);
	}
out:
	account_unlock(a);
	return rc;
}
