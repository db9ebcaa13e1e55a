/* SPDX-License-Identifier: ISC */
/*
 * cmd_status - STATUS (RFC 9051 6.3.11), and its line in LIST's answers.
 */
#include "imapd/imap.h"

enum {
	ITEM_MESSAGES = 1 << 0, ITEM_RECENT = 1 << 1, ITEM_UIDNEXT = 1 << 2,
	ITEM_UIDVALIDITY = 1 << 3, ITEM_UNSEEN = 1 << 4,
	ITEM_DELETED = 1 << 5, ITEM_SIZE = 1 << 6, ITEM_MODSEQ = 1 << 7,
	ITEM_MAILBOXID = 1 << 8, ITEM_APPENDLIMIT = 1 << 9,
	ITEM_DELETED_STORAGE = 1 << 10,
};

static const struct { const char *name; unsigned bit; } items_known[] = {
	{ "MESSAGES", ITEM_MESSAGES }, { "RECENT", ITEM_RECENT },
	{ "UIDNEXT", ITEM_UIDNEXT }, { "UIDVALIDITY", ITEM_UIDVALIDITY },
	{ "UNSEEN", ITEM_UNSEEN },
	{ "DELETED", ITEM_DELETED },			/* RFC 9051 */
	{ "SIZE", ITEM_SIZE },				/* RFC 8438 */
	{ "HIGHESTMODSEQ", ITEM_MODSEQ },		/* RFC 7162 */
	{ "MAILBOXID", ITEM_MAILBOXID },		/* RFC 8474 */
	{ "APPENDLIMIT", ITEM_APPENDLIMIT },		/* RFC 7889 */
	{ "DELETED-STORAGE", ITEM_DELETED_STORAGE },	/* RFC 9208 */
};

bool
status_scan(struct imap *im, struct scan *s, unsigned *items)
{
	struct span word;

	*items = 0;
	if (!scan_open(s))
		return false;
	if (scan_is(s, ')'))
		return scan_bad(s, "Empty status list.");
	while (!scan_is(s, ')')) {
		size_t i = 0;

		if (!scan_atom(s, &word))
			return false;
		while (i < ARRAY_LEN(items_known) &&
		    !span_caseis(word, items_known[i].name))
			i++;
		if (i == ARRAY_LEN(items_known))
			return scan_bad(s, "Invalid status item.");
		*items |= items_known[i].bit;
		if (!scan_is(s, ')') && !scan_sp(s))
			return false;
	}
	/* RFC 7162 3.1: from now on the client hears of MODSEQ. */
	if (*items & ITEM_MODSEQ)
		sync_condstore(im);
	return scan_close(s);
}

static void
put_number(struct buf *b, unsigned items, unsigned bit, uint64_t v)
{
	for (size_t i = 0; i < ARRAY_LEN(items_known); i++)
		if (items_known[i].bit == bit && (items & bit))
			buf_addf(b, "%s%s %ju",
			    b->data[b->len - 1] == '(' ? "" : " ",
			    items_known[i].name, (uintmax_t)v);
}

static void
put_items(struct buf *b, const struct mailbox_status *st, unsigned items)
{
	put_number(b, items, ITEM_MESSAGES, st->messages);
	put_number(b, items, ITEM_RECENT, st->recent);
	put_number(b, items, ITEM_UIDNEXT, st->uidnext);
	put_number(b, items, ITEM_UIDVALIDITY, st->uidvalidity);
	put_number(b, items, ITEM_UNSEEN, st->unseen);
	put_number(b, items, ITEM_DELETED, st->deleted);
	put_number(b, items, ITEM_SIZE, st->size);
	put_number(b, items, ITEM_MODSEQ, st->modseq);
	put_number(b, items, ITEM_DELETED_STORAGE, st->deleted_size);
	if (append_limit() <= UINT32_MAX)
		put_number(b, items, ITEM_APPENDLIMIT, append_limit());
	else if (items & ITEM_APPENDLIMIT)
		buf_addf(b, "%sAPPENDLIMIT NIL",
		    b->data[b->len - 1] == '(' ? "" : " ");
	if (items & ITEM_MAILBOXID) {
		buf_add_str(b, b->data[b->len - 1] == '(' ? "" : " ");
		buf_add_str(b, "MAILBOXID (");
		put_id(b, st->mailboxid, 'F');
		buf_add_char(b, ')');
	}
}

int
status_put(struct imap *im, const struct account_box *b, unsigned items,
    struct why *why)
{
	struct mailbox_status st;

	if (account_status(im->account, b->box, &st, why) != 0)
		return -1;
	/* Here it is known which messages are recent to this client. */
	if (im->box && mailbox_box(im->box) == b->box)
		st.recent = mailbox_recent(im->box);
	buf_add_str(&im->out, "* STATUS ");
	put_mailbox(im, &im->out, span_of(b->name));
	buf_add_str(&im->out, " (");
	put_items(&im->out, &st, items);
	buf_add_str(&im->out, ")\r\n");
	return 0;
}

void
cmd_status(struct imap *im, struct scan *s)
{
	const struct account_box *b;
	struct why why = WHY_INIT;
	struct span name;
	unsigned items;

	if (!scan_sp(s) || !scan_mailbox(s, &name) || !scan_sp(s) ||
	    !status_scan(im, s, &items) || !scan_end(s)) {
		imap_refuse(im, s);
		return;
	}
	b = imap_find_box(im, name, "NONEXISTENT");
	if (b == NULL)
		return;
	if (status_put(im, b, items, &why) != 0)
		imap_fail(im, &why);
	else
		imap_done(im);
}
