/* SPDX-License-Identifier: ISC */
/*
 * cmd_mailbox - CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE.
 */
#include "imapd/imap.h"

/* " (USE (\Drafts \Sent))" (RFC 6154 3), or nothing. */
static bool
scan_create_params(struct scan *s, unsigned *special)
{
	struct span word;
	unsigned one;
	size_t at;

	*special = 0;
	if (!scan_is(s, ' '))
		return true;
	if (!scan_sp(s) || !scan_open(s) || !scan_take_word(s, "USE") ||
	    !scan_sp(s) || !scan_open(s))
		return scan_bad(s, "Unknown CREATE parameter.");
	while (!scan_is(s, ')')) {
		at = s->at;
		if (!scan_char(s, '\\') || !scan_atom(s, &word))
			return false;
		word = span_sub(s->in, at, s->at - at);
		one = account_use_parse(word);
		/* What is a view of other mailboxes cannot be made. */
		if (one == 0 || (one & (USE_ALL | USE_FLAGGED)))
			return scan_no(s, "USEATTR",
			    "Special-use attribute is not supported");
		*special |= one;
		if (!scan_is(s, ')') && !scan_sp(s))
			return false;
	}
	if (!scan_close(s))
		return false;
	return scan_close(s);
}

/* RFC 9051 6.3.4: a trailing delimiter only declares children to come. */
static struct span
without_delimiter(struct span name)
{
	if (name.len > 1 && name.p[name.len - 1] == '/')
		name.len--;
	return name;
}

void
cmd_create(struct imap *im, struct scan *s)
{
	const struct account_box *b;
	struct buf code = BUF_INIT(100);
	struct why why = WHY_INIT;
	struct span name;
	unsigned special;
	uint32_t box;

	if (!scan_sp(s) || !scan_mailbox(s, &name) ||
	    !scan_create_params(s, &special) || !scan_end(s)) {
		imap_refuse(im, s);
		return;
	}
	if (account_create(im->account, without_delimiter(name), special, &box,
	    &why) != 0) {
		imap_fail(im, &why);
		return;
	}
	b = account_by_id(im->account, box);
	notify_own(im, b);
	if (b) {			/* RFC 8474 4.2 */
		buf_add_str(&code, "MAILBOXID (");
		put_id(&code, b->mailboxid, 'F');
		buf_add_str(&code, ")");
	}
	imap_ok(im, b ? code.data : NULL, "Create completed.");
	buf_fini(&code);
}

void
cmd_delete(struct imap *im, struct scan *s)
{
	const struct account_box *b;
	struct why why = WHY_INIT;
	struct span name;
	uint32_t box;

	if (!scan_sp(s) || !scan_mailbox(s, &name) || !scan_end(s)) {
		imap_refuse(im, s);
		return;
	}
	b = account_find(im->account, name);
	box = b ? b->box : 0;
	if (account_delete(im->account, name, &why) != 0) {
		imap_fail(im, &why);
		return;
	}
	/* Our own view must not tell us that it is gone. */
	if (im->box && box == mailbox_box(im->box))
		select_close(im, true);
	notify_own_deleted(im, box);
	imap_done(im);
}

void
cmd_rename(struct imap *im, struct scan *s)
{
	const struct account_box *b;
	struct why why = WHY_INIT;
	struct span from, to;

	if (!scan_sp(s) || !scan_mailbox(s, &from) || !scan_sp(s) ||
	    !scan_mailbox(s, &to) || !scan_end(s)) {
		imap_refuse(im, s);
		return;
	}
	to = without_delimiter(to);
	if (account_rename(im->account, from, to, &why) != 0) {
		imap_fail(im, &why);
		return;
	}
	/* RFC 9051 6.3.6: the new name with OLDNAME. */
	b = account_find(im->account, to);
	notify_own(im, b);
	if (IMAP_HAS(im, REV2) && b != NULL)
		list_one(im, b, arena_span_dup(&im->arena, from), false);
	imap_done(im);
}

static void
subscribe(struct imap *im, struct scan *s, bool on)
{
	const struct account_box *b;
	struct why why = WHY_INIT;
	struct span name;

	if (!scan_sp(s) || !scan_mailbox(s, &name) || !scan_end(s)) {
		imap_refuse(im, s);
		return;
	}
	name = without_delimiter(name);
	/* A client that subscribes to a typing error wants to know; so it needs
	 * the right to know (RFC 4314 4). */
	if (on && account_refresh(im->account, &why) >= 0) {
		b = account_find(im->account, name);
		if (b == NULL && imap_find_box(im, name, "NONEXISTENT") == NULL)
			return;
		if (b != NULL && (b->flags & BOX_HIDDEN)) {
			imap_no_box(im, name, "NONEXISTENT");
			return;
		}
	}
	if (account_subscribe(im->account, name, on, &why) != 0) {
		imap_fail(im, &why);
		return;
	}
	notify_own(im, account_find(im->account, name));
	imap_done(im);
}

void
cmd_subscribe(struct imap *im, struct scan *s)
{
	subscribe(im, s, true);
}

void
cmd_unsubscribe(struct imap *im, struct scan *s)
{
	subscribe(im, s, false);
}
