/* SPDX-License-Identifier: ISC */
/*
 * sync - what others changed in the selected mailbox, as untagged responses
 * (RFC 9051 5.2, 7.5.1; RFC 7162; RFC 9586), see imap.h.
 */
#include "base/log.h"
#include "imapd/imap.h"

/* RFC 7162 3.2.10: VANISHED takes the place of EXPUNGE. */
static bool
says_vanished(const struct imap *im)
{
	return IMAP_HAS(im, QRESYNC) || IMAP_HAS(im, UIDONLY);
}

void
sync_expunged(struct imap *im, const struct mailbox_expunge *v, size_t n)
{
	struct ranges uids = RANGES_INIT;

	im->expunged += (uint32_t)n;
	if (n > 0) {
		context_expunged(im, v, n);
		view_changed(im);
	}
	for (size_t i = 0; i < n; i++) {
		ranges_add(&uids, v[i].uid, v[i].uid);
		if (!says_vanished(im))
			buf_addf(&im->out, "* %u EXPUNGE\r\n", v[i].seq);
		/* RFC 5182 2.1: it leaves the saved result, too. */
		if (im->saved.len > 0)
			ranges_remove(&im->saved, v[i].uid, v[i].uid);
	}
	if (n > 0 && says_vanished(im)) {
		buf_add_str(&im->out, "* VANISHED ");
		ranges_print(&uids, &im->out);
		buf_add_str(&im->out, "\r\n");
	}
	ranges_fini(&uids);
}

void
sync_put_fetch(struct imap *im, uint32_t seq, bool uid)
{
	struct mailbox_message msg;

	if (!mailbox_message(im->box, seq, &msg))
		return;
	put_fetch(im, &im->out, seq, msg.uid);
	/* RFC 7162 3.2.4, RFC 5465 5.1 */
	if (!IMAP_HAS(im, UIDONLY) && (uid || IMAP_HAS(im, CONDSTORE) ||
	    im->notify != NULL)) {
		buf_add_str(&im->out, "UID ");
		buf_add_num(&im->out, msg.uid);
		buf_add_char(&im->out, ' ');
	}
	if (IMAP_HAS(im, CONDSTORE)) {
		put_modseq(im, &im->out, msg.modseq);
		buf_add_char(&im->out, ' ');
	}
	buf_add_str(&im->out, "FLAGS ");
	put_flags(im->box, &im->out, &msg, !IMAP_HAS(im, REV2));
	buf_add_str(&im->out, ")\r\n");
}

static void
put_keywords(struct imap *im)
{
	for (uint32_t i = 0; i < mailbox_keyword_count(im->box); i++)
		buf_addf(&im->out, " %s", mailbox_keyword(im->box, i));
}

/* Which flags the rights let this session keep (RFC 4314 4). */
static void
put_permanent(struct imap *im)
{
	unsigned rights = account_rights(im->account, mailbox_box(im->box));
	const char *sep = "";

	if (im->readonly)
		rights = 0;
	buf_add_str(&im->out, "* OK [PERMANENTFLAGS (");
	if (rights & RIGHT_WRITE) {
		buf_add_str(&im->out, "\\Answered \\Flagged");
		sep = " ";
	}
	if (rights & RIGHT_DELETE) {
		buf_addf(&im->out, "%s\\Deleted", sep);
		sep = " ";
	}
	if (rights & RIGHT_SEEN) {
		buf_addf(&im->out, "%s\\Seen", sep);
		sep = " ";
	}
	if (rights & RIGHT_WRITE) {
		buf_addf(&im->out, "%s\\Draft", sep);
		put_keywords(im);
		buf_add_str(&im->out, " \\*");
	}
	buf_addf(&im->out, ")] %s\r\n",
	    rights ? "Flags permitted." : "Read-only mailbox.");
}

void
sync_flags_line(struct imap *im)
{
	buf_add_str(&im->out,
	    "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft");
	put_keywords(im);
	buf_add_str(&im->out, ")\r\n");
	put_permanent(im);
}

void
sync_condstore(struct imap *im)
{
	if (IMAP_HAS(im, CONDSTORE))
		return;
	im->enabled |= ENABLED_CONDSTORE;
	/* RFC 7162 3.1: so that the client knows where it stands. */
	if (im->box)
		buf_addf(&im->out, "* OK [HIGHESTMODSEQ %ju] Highest\r\n",
		    (uintmax_t)mailbox_modseq_told(im->box));
}

/*
 * RFC 7162 3.2: a client takes the highest MODSEQ of FETCH for what it knows
 * all of.  Where an expunge before that one still waits to be told, and the
 * connection is lost, it would never hear of it: so it is told what to believe,
 * and again when there is nothing left to wait for.
 */
void
sync_say_highest(struct imap *im)
{
	uint64_t told, said = im->modseq_said;
	bool waits;

	im->modseq_said = 0;
	if (im->box == NULL || !IMAP_HAS(im, QRESYNC))
		return;
	told = mailbox_modseq_told(im->box);
	waits = told < mailbox_modseq(im->box);
	if (said > told || (im->modseq_low && !waits))
		buf_addf(&im->out, "* OK [HIGHESTMODSEQ %ju] Highest\r\n",
		    (uintmax_t)told);
	im->modseq_low = waits && (im->modseq_low || said > told);
}

bool
sync_rights(struct imap *im)
{
	struct why why = WHY_INIT;
	unsigned before;

	if (im->box == NULL || !mailbox_is_mounted(im->box) ||
	    im->mode == MODE_END)
		return true;
	before = mailbox_rights(im->box);
	if (account_refresh(im->account, &why) < 0) {
		log_warning("imap: %s: %s", im->conn->facts.id, why.text);
	} else if (!mailbox_refresh_rights(im->box)) {
		imap_bye(im, "Mailbox not shared any more", "[NOPERM] "
		    "Selected mailbox may not be read any more.");
		return false;
	} else if (mailbox_rights(im->box) != before && !im->readonly) {
		/* RFC 4314 5.1.1 */
		sync_flags_line(im);
	}
	return true;
}

static void
report(struct imap *im, bool expunges)
{
	struct mailbox_changes c = { 0 };
	struct why why = WHY_INIT;
	uint32_t first = 0;
	int rc;

	if (im->box == NULL || im->mode == MODE_END || !sync_rights(im))
		return;
	rc = mailbox_refresh(im->box, expunges ? MAILBOX_EXPUNGES : 0, &c, &why);
	if (rc < 0) {
		imap_bye(im, "Mailbox lost", "[UNAVAILABLE] %s", why.text);
		return;
	}
	if (rc == 0)
		return;
	if (c.gone) {
		imap_bye(im, "Mailbox deleted",
		    "Selected mailbox was deleted, have to disconnect.");
		return;
	}
	sync_expunged(im, c.expunged, c.nexpunged);
	if (c.keywords)
		sync_flags_line(im);
	if (c.arrived > 0) {
		view_changed(im);
		buf_addf(&im->out, "* %u EXISTS\r\n", c.count);
		if (!IMAP_HAS(im, REV2))
			buf_addf(&im->out, "* %u RECENT\r\n",
			    mailbox_recent(im->box));
		first = c.count - c.arrived + 1;
		for (uint32_t q = first; q <= c.count && im->contexts; q++)
			context_touch(im, mailbox_uid(im->box, q));
	}
	for (size_t i = 0; i < c.nflags && im->contexts; i++)
		context_touch(im, mailbox_uid(im->box, c.flags[i]));
	context_search(im);
	if (first > 0)
		notify_fetch_new(im, first);
	for (size_t i = 0; i < c.nflags && notify_wants_flags(im); i++)
		sync_put_fetch(im, c.flags[i],
		    im->cmd != NULL && (im->cmd->flags & CMD_UID));
	context_tell(im);
	ranges_reset(&im->own);
}

void
sync_report(struct imap *im, bool expunges)
{
	report(im, expunges);
	sync_say_highest(im);
}
