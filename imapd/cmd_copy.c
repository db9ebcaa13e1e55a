/* SPDX-License-Identifier: ISC */
/*
 * cmd_copy - COPY (RFC 9051 6.4.7) and MOVE (6.4.8).
 */
#include "imapd/imap.h"

static void
put_copyuid(struct buf *b, const struct uid_result *r)
{
	buf_addf(b, "COPYUID %u ", r->uidvalidity);
	ranges_print(r->from, b);
	buf_add_char(b, ' ');
	ranges_print(r->to, b);
}

static void
copied(struct imap *im, const struct uid_result *r, bool move, uint32_t to)
{
	struct buf code = BUF_INIT(BUF_UNLIMITED);
	bool any = r->to != NULL && r->to->len > 0;
	bool tell = any && imap_may_tell_uids(im, to);

	if (tell)
		put_copyuid(&code, r);
	if (move) {
		/* RFC 6851 4.3: before the messages leave. */
		if (tell)
			buf_addf(&im->out, "* OK [%s] Moved UIDs.\r\n",
			    code.data);
		sync_expunged(im, r->expunged.v, r->expunged.n);
		if (any && IMAP_HAS(im, CONDSTORE)) {
			char modseq[64];

			snprintf(modseq, sizeof(modseq), "HIGHESTMODSEQ %ju",
			    (uintmax_t)mailbox_modseq_told(im->box));
			imap_ok(im, modseq, "Move completed.");
		} else {
			imap_ok(im, NULL, any ? "Move completed." :
			    "No messages moved.");
		}
	} else {
		imap_ok(im, tell ? code.data : NULL, any ? "Copy completed." :
		    "No messages copied.");
	}
	buf_fini(&code);
}

/*
 * RFC 2180 4.4: messages that others have expunged cannot be copied.  UIDs that
 * are not there any more are nothing to talk about (RFC 9051 6.4.9), but a
 * client that says numbers means messages that it sees, and believes an OK.
 */
static bool
some_gone(struct imap *im, const struct ranges *uids)
{
	if (im->cmd->flags & CMD_UID)
		return false;
	sync_report(im, false);
	return im->mode != MODE_END && mailbox_gone(im->box, uids);
}

/* RFC 9738 3.1: COPY is atomic, so it is refused.  True: answered. */
static bool
too_many(struct imap *im, const struct ranges *seqs)
{
	uint64_t n = ranges_count(seqs), limit = imap_save_limit();
	char code[64];
	uint32_t seq = 0;

	if (n <= limit)
		return false;
	n -= limit;			/* below the first that could be done */
	for (size_t i = 0; seq == 0; i++) {
		uint64_t here = (uint64_t)seqs->v[i].hi - seqs->v[i].lo + 1;

		if (n < here)
			seq = seqs->v[i].lo + (uint32_t)n;
		n -= MIN(n, here);
	}
	snprintf(code, sizeof(code), "MESSAGELIMIT %ju %u", (uintmax_t)limit,
	    mailbox_uid(im->box, seq));
	imap_no(im, code, "Too many messages to copy.");
	return true;
}

static void
copy_or_move(struct imap *im, struct scan *s, bool move)
{
	struct ranges seqs = RANGES_INIT, uids = RANGES_INIT;
	const struct account_box *b;
	struct uid_result r = { 0 };
	struct why why = WHY_INIT;
	struct span name;
	uint32_t to;
	int rc;

	if (!scan_sp(s) || !imap_scan_set(im, s,
	    (im->cmd->flags & CMD_UID) != 0, &seqs) || !scan_sp(s) ||
	    !scan_mailbox(s, &name) || !scan_end(s)) {
		imap_refuse(im, s);
	} else if (move && im->readonly) {
		imap_no(im, "READ-ONLY", "Mailbox is read-only.");
	} else if ((b = imap_find_box(im, name, "TRYCREATE")) != NULL) {
		if (move)
			imap_limit(im, &seqs);
		else if (too_many(im, &seqs))
			goto out;
		imap_uids(im, &seqs, &uids);
		if (some_gone(im, &uids)) {
			imap_no(im, "EXPUNGEISSUED", "Some of the messages "
			    "were expunged meanwhile.");
			goto out;
		}
		to = b->box;
		imap_tell_progress(im, true);
		rc = move ? mailbox_move(im->box, &uids, im->account, to, &r,
		    &why) : mailbox_copy(im->box, &uids, im->account, to, &r,
		    &why);
		imap_tell_progress(im, false);
		if (rc != 0) {
			imap_fail(im, &why);
			goto out;
		}
		if (r.to != NULL)
			notify_own_messages(im, to, r.to);
		copied(im, &r, move, to);
	}
out:
	ranges_fini(&seqs);
	ranges_fini(&uids);
}

void
cmd_copy(struct imap *im, struct scan *s)
{
	copy_or_move(im, s, false);
}

void
cmd_move(struct imap *im, struct scan *s)
{
	copy_or_move(im, s, true);
}
