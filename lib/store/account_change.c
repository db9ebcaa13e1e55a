/* SPDX-License-Identifier: ISC */
/*
 * account_change - creating, deleting and renaming mailboxes.
 *
 * All of it happens under the lock of the list.  A mailbox's journal is made
 * before the list names it, and is marked as deleted after the list has
 * forgotten it: a crash in between leaves a file that nobody sees, never a
 * name without a mailbox.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/rnd.h"
#include "io/fault.h"
#include "io/fd.h"
#include "store/account_internal.h"
#include "store/mailbox.h"

unsigned
account_uses_free(const struct account *a, unsigned uses, uint32_t but)
{
	for (size_t i = 0; i < a->boxes.len; i++) {
		const struct acct_box *b = &a->boxes.v[i];

		if (!b->gone && b->box != but)
			uses &= ~b->special;
	}
	return uses;
}

/* The word of store_special_use that says what a new mailbox is for. */
static unsigned
special_by_name(struct account *a, struct span name)
{
	struct span rest = span_of(a->opt.special_use), word;
	struct buf flag = BUF_INIT(256);
	unsigned use = 0;

	while (use == 0 && span_token(&rest, ", \t\r\n", &word)) {
		if (!span_caseeq(word, name) || word.len > 64)
			continue;
		buf_reset(&flag);
		buf_add_char(&flag, '\\');
		buf_add_span(&flag, word);
		use = account_use_parse(buf_span(&flag));
	}
	buf_fini(&flag);
	return account_uses_free(a, use, 0);
}

static size_t
count_boxes(const struct account *a)
{
	size_t n = 0;

	for (size_t i = 0; i < a->boxes.len; i++)
		n += !a->boxes.v[i].gone;
	return n;
}

/* The nearest parent that is a mailbox, or NULL. */
static const struct acct_box *
parent_of(struct account *a, struct span name)
{
	const struct acct_box *up = NULL;
	ptrdiff_t at;

	while (up == NULL && (at = span_rfind(name, '/')) > 0) {
		name = span_sub(name, 0, (size_t)at);
		up = account_box_by_name(a, name);
	}
	return up;
}

/* What that one, when there is one, says about making it. */
static int
may_create(struct account *a, struct span name, struct why *why)
{
	const struct acct_box *up = parent_of(a, name);

	if (up != NULL)
		return account_need(a, up->box, RIGHT_CREATE, why);
	if (!account_is_owner(a))
		return account_say(a, ACCOUNT_NOPERM, why, "permission "
		    "denied");
	return 0;
}

void
account_take_special(struct account *a, unsigned special, uint32_t but)
{
	for (size_t i = 0; i < a->boxes.len; i++) {
		struct acct_box b = a->boxes.v[i];

		if (b.gone || b.box == but || !(b.special & special))
			continue;
		b.special &= ~special;
		account_put_box(a, &b);
	}
}

void
account_note_name(struct account *a, uint32_t box, struct span name)
{
	struct packed *p = account_writer(a, box, NULL);

	if (p == NULL)
		return;
	packed_put(p, PACKED_NAME, name);
	if (packed_flush(p, NULL) == 0)
		account_wrote(a, p);
	packed_unlock(p);
}

/* A number that no mailbox has had. */
static int
make_box(struct account *a, struct acct_box *b, struct why *why)
{
	uint32_t least = 0;
	struct packed *p;

	b->box = ACCOUNT_INBOX + 1;
	for (size_t i = 0; i < a->boxes.len; i++) {
		b->box = MAX(b->box, a->boxes.v[i].box + 1);
		/* Greater than of any mailbox before, also of this name. */
		least = MAX(least, a->boxes.v[i].uidvalidity + 1);
	}
	if (a->format == STORE_MAILDIR)
		return account_maildir_make(a, b, least, why);
	for (;; b->box++) {
		char name[PACKED_NAME_MAX];

		if (b->box >> MOUNT_SHIFT != 0)
			return account_say(a, ACCOUNT_LIMIT, why, "no number "
			    "for a mailbox is left");
		packed_name(b->box, "jrn", name);
		if (faccessat(a->dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			continue;
		p = packed_open(a->dirfd, a->path, b->box, &a->epoch,
		    PACKED_WRITE | PACKED_CREATE | PACKED_FRESH, least, why);
		if (p == NULL)
			return account_io(a, why);
		b->uidvalidity = p->head.uidvalidity;
		memcpy(b->mailboxid, p->head.mailboxid, 16);
		p->keep = true;
		p->jdirty = p->ddirty = true;
		packed_put(p, PACKED_NAME, span_of(b->name));
		if (packed_lock(p, why) < 0 || packed_flush(p, why) < 0) {
			packed_close(&p);
			return account_io(a, why);
		}
		account_wrote(a, p);
		packed_close(&p);
		return 0;
	}
}

static int
create(struct account *a, struct span name, unsigned special, uint32_t *box,
    struct why *why)
{
	const struct acct_box *up = parent_of(a, name);
	uint32_t parent = up != NULL ? up->box : 0;	/* up may move */
	struct acct_box b = { 0 };
	struct store_quota q;
	int rc = -1;

	/* First of all, or it would tell of what may not be seen. */
	if (may_create(a, name, why) < 0)
		return -1;
	if (account_box_by_name(a, name) != NULL)
		return account_say(a, ACCOUNT_EXISTS, why, "mailbox %.*s "
		    "exists already", SPAN_ARG(name));
	if (count_boxes(a) >= a->opt.count_limit)
		return account_say(a, ACCOUNT_LIMIT, why, "there are %u "
		    "mailboxes already", (unsigned)a->opt.count_limit);
	if (account_limits(a, &q, why) < 0)
		return -1;
	if (count_boxes(a) >= q.mailboxes)
		return account_say(a, ACCOUNT_OVERQUOTA, why, "the quota "
		    "allows %llu mailboxes",
		    (unsigned long long)q.mailboxes);
	b.name = span_dup(name);
	if (make_box(a, &b, why) == 0) {
		b.special = special != 0 ? special : special_by_name(a, name);
		account_take_special(a, b.special, b.box);
		account_put_box(a, &b);
		/* RFC 4314 4: so whom the parent is shared with can use it. */
		if (parent != 0)
			account_inherit_rights(a, parent, b.box);
		rc = account_flush(a, why);
		/* Else the next look takes the folder for somebody's. */
		if (rc < 0 && a->format == STORE_MAILDIR)
			account_maildir_unmake(a, &b);
		*box = b.box;
	}
	mem_free(b.name);
	return rc;
}

int
account_create(struct account *a, struct span name, unsigned special,
    uint32_t *box, struct why *why)
{
	struct account *at;
	int rc;

	name = account_canon(name);
	at = account_named(a, &name);
	if (account_check_name(at, name, why) < 0 ||
	    account_not_reserved(at, name, why) < 0 ||
	    account_lock(at, why) < 0)
		return -1;
	rc = create(at, name, special, box, why);
	account_unlock(at);
	if (rc == 0)
		*box |= at->base;
	return rc;
}

/* Tell those who have it open, and undelete, that it is gone. */
static void
mark_deleted(struct account *a, uint32_t box)
{
	struct packed *p = account_writer(a, box, NULL);
	uint8_t now[8];

	if (p == NULL)
		return;
	num_put_le64(now, (uint64_t)clock_wall_us());
	packed_put(p, PACKED_DELETED, span_make(now, sizeof(now)));
	if (packed_flush(p, NULL) == 0)
		account_wrote(a, p);
	account_drop_writer(a, p);
}

int
account_delete(struct account *a, struct span name, struct why *why)
{
	uint8_t gone[16] = { 0 };
	struct acct_box *b;
	uint32_t box;
	int rc = -1;

	name = account_canon(name);
	a = account_named(a, &name);
	if (account_lock(a, why) < 0)
		return -1;
	if (span_is(name, "INBOX")) {
		(void)account_say(a, ACCOUNT_CANNOT, why, "INBOX cannot be "
		    "deleted");
		goto out;
	}
	b = account_box_by_name(a, name);
	if (b == NULL || !account_is_known(a, b->box)) {
		const struct account_box *s = account_is_owner(a) ?
		    account_find(a, name) : NULL;

		if (s != NULL && s->flags & BOX_CHILDREN)
			(void)account_say(a, ACCOUNT_HASCHILDREN, why,
			    "%.*s is no mailbox, but has children",
			    SPAN_ARG(name));
		else
			(void)account_say(a, ACCOUNT_NONEXISTENT, why,
			    "no mailbox %.*s", SPAN_ARG(name));
		goto out;
	}
	box = b->box;
	if (account_need(a, box, RIGHT_DELETE_BOX, why) < 0)
		goto out;
	if (a->format == STORE_MAILDIR &&
	    account_maildir_delete(a, b, why) < 0)
		goto out;
	num_put_le32(gone, box);
	num_put_le64(gone + 8, (uint64_t)clock_wall_us());
	packed_put(a->list, PACKED_BOX_GONE, span_make(gone, sizeof(gone)));
	rc = account_flush(a, why);
	if (rc == 0 && a->format == STORE_PACKED)
		mark_deleted(a, box);
	else if (rc < 0 && a->format == STORE_MAILDIR)
		(void)account_maildir_undelete(a, b, NULL);
out:
	account_unlock(a);
	return rc;
}

/* Is there anything with this name, or below it? */
static bool
is_below(struct span name, struct span top)
{
	return span_starts(name, top) && (name.len == top.len ||
	    name.p[top.len] == '/');
}

/*
 * RFC 9051 6.3.6: INBOX's messages go into a new mailbox, and INBOX stays.
 * The list's lock is not held: moving takes its own ones.
 */
static int
rename_inbox(struct account *a, struct span to, struct why *why)
{
	struct ranges all = RANGES_INIT;
	struct uid_result moved;
	struct mailbox *m;
	uint32_t box = 0;
	int rc;

	if (account_create(a, to, 0, &box, why) < 0)
		return -1;
	/* RFC 5464 4.1: INBOX keeps its annotations. */
	if (account_metadata_copy(a, ACCOUNT_INBOX, box, why) < 0 ||
	    (m = mailbox_open(a, ACCOUNT_INBOX, 0, why)) == NULL)
		return -1;
	ranges_add(&all, 1, UINT32_MAX);
	rc = mailbox_move(m, &all, a, box, &moved, why);
	ranges_fini(&all);
	mailbox_close(&m);
	return rc;
}

static int
rename_tree(struct account *a, struct span from, struct span to,
    struct why *why)
{
	ARRAY(uint32_t) moved = ARRAY_EMPTY;
	struct buf name = BUF_INIT(BUF_UNLIMITED);
	size_t n = a->boxes.len;
	int rc = -1;

	for (size_t i = 0; i < n; i++) {
		struct acct_box b = a->boxes.v[i];
		struct span old = span_of(b.name);

		if (b.gone || !is_below(old, from))
			continue;
		if (old.len == from.len && !account_is_known(a, b.box))
			break;
		if (account_need(a, b.box, RIGHT_DELETE_BOX, why) < 0)
			goto out;
		buf_reset(&name);
		buf_add_span(&name, to);
		buf_add_span(&name, span_from(old, from.len));
		if (account_check_name(a, buf_span(&name), why) < 0)
			goto out;
		if (account_box_by_name(a, buf_span(&name)) != NULL) {
			(void)account_say(a, ACCOUNT_EXISTS, why, "mailbox %s "
			    "exists already", name.data);
			goto out;
		}
		b.name = name.data;
		account_put_box(a, &b);
		*ARRAY_PUSH(&moved) = b.box;
	}
	if (moved.len == 0) {
		(void)account_say(a, ACCOUNT_NONEXISTENT, why,
		    "no mailbox %.*s", SPAN_ARG(from));
		goto out;
	}
	if (a->format == STORE_MAILDIR &&
	    account_maildir_rename(a, from, to, why) < 0)
		goto out;
	if ((rc = account_flush(a, why)) < 0) {
		if (a->format == STORE_MAILDIR)
			account_maildir_unrename(a, from, to);
		goto out;
	}
	for (size_t i = 0; i < moved.len && a->format == STORE_PACKED; i++)
		account_note_name(a, moved.v[i],
		    span_of(account_box_by_id(a, moved.v[i])->name));
out:
	ARRAY_FINI(&moved);
	buf_fini(&name);
	return rc;
}

int
account_rename(struct account *a, struct span from, struct span to,
    struct why *why)
{
	struct account *at;
	int rc = -1;

	from = account_canon(from);
	to = account_canon(to);
	at = account_named(a, &from);
	if (account_named(a, &to) != at)
		return account_say(a, ACCOUNT_CANNOT, why, "a mailbox cannot "
		    "be renamed into another account");
	a = at;
	if (account_check_name(a, to, why) < 0 ||
	    account_not_reserved(a, to, why) < 0)
		return -1;
	if (span_is(from, "INBOX"))
		return rename_inbox(a, to, why);
	if (is_below(to, from) && to.len > from.len)
		return account_say(a, ACCOUNT_CANNOT, why, "a mailbox cannot "
		    "be moved below itself");
	if (account_lock(a, why) < 0)
		return -1;
	if (may_create(a, to, why) == 0) {
		if (span_eq(from, to) || account_box_by_name(a, to) != NULL)
			(void)account_say(a, ACCOUNT_EXISTS, why, "mailbox "
			    "%.*s exists already", SPAN_ARG(to));
		else
			rc = rename_tree(a, from, to, why);
	}
	account_unlock(a);
	return rc;
}

int
account_subscribe(struct account *a, struct span name, bool on,
    struct why *why)
{
	struct buf v = BUF_INIT(BUF_UNLIMITED);
	uint8_t n[4];
	int rc = 0;

	name = account_canon(name);
	if (on && account_check_name(a, name, why) < 0)
		return -1;
	if (account_lock(a, why) < 0)
		return -1;
	if ((hash_find(&a->subscribed, name) != NULL) != on) {
		if (on && a->subscribed.count >= a->opt.count_limit) {
			rc = account_say(a, ACCOUNT_LIMIT, why, "there are %u "
			    "subscriptions already",
			    (unsigned)a->opt.count_limit);
		} else {
			num_put_le32(n, on);
			buf_add(&v, n, sizeof(n));
			buf_add_span(&v, name);
			packed_put(a->list, PACKED_SUBSCRIBED, buf_span(&v));
			rc = account_flush(a, why);
		}
	}
	account_unlock(a);
	buf_fini(&v);
	return rc;
}

int
account_set_special(struct account *a, uint32_t box, unsigned special,
    struct why *why)
{
	struct acct_box *b;
	int rc = -1;

	a = account_at(a, &box);
	if (account_lock(a, why) < 0)
		return -1;
	if ((b = account_box_by_id(a, box)) == NULL || b->gone) {
		(void)account_say(a, ACCOUNT_NONEXISTENT, why,
		    "no such mailbox");
	} else if (account_need(a, box, RIGHT_ADMIN, why) == 0) {
		struct acct_box now = *b;

		account_take_special(a, special, box);
		now.special = special;
		account_put_box(a, &now);
		rc = account_flush(a, why);
	}
	account_unlock(a);
	return rc;
}

int
account_special(struct account *a, unsigned one, uint32_t *box,
    struct why *why)
{
	struct acct_box *b;
	struct span name;
	int rc;

	if (account_lock(a, why) < 0)
		return -1;
	for (size_t i = 0; i < a->boxes.len; i++) {
		if (!a->boxes.v[i].gone && a->boxes.v[i].special & one) {
			*box = a->boxes.v[i].box;
			account_unlock(a);
			return 0;
		}
	}
	/* By its usual name: "\Junk" is "Junk". */
	name = span_from(span_of(account_use_name(one)), 1);
	if (name.len == 0) {
		rc = account_say(a, ACCOUNT_CANNOT, why, "no such use");
	} else if ((b = account_box_by_name(a, name)) != NULL) {
		struct acct_box now = *b;

		now.special |= one;
		account_put_box(a, &now);
		*box = now.box;
		rc = account_flush(a, why);
	} else {
		rc = create(a, name, one, box, why);
	}
	account_unlock(a);
	return rc;
}
