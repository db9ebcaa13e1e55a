/* SPDX-License-Identifier: ISC */
/*
 * cmd_select - SELECT, EXAMINE, CLOSE, UNSELECT; with CONDSTORE and QRESYNC
 * (RFC 7162).
 */
#include "base/log.h"
#include "imapd/imap.h"

#define TIDY_MS		2000	/* then the first questions are answered */

struct qresync {
	bool		 asked, condstore;
	uint32_t	 uidvalidity;
	uint64_t	 modseq;
	bool		 has_uids, has_seqs;
	struct ranges	 uids;		/* what the client knows */
	struct ranges	 seqs, sequids;	/* RFC 7162 3.2.5.2 */
};

static void
qresync_fini(struct qresync *q)
{
	ranges_fini(&q->uids);
	ranges_fini(&q->seqs);
	ranges_fini(&q->sequids);
}

/* RFC 7162 7: '"*" is not allowed'. */
static bool
scan_known(struct scan *s, struct ranges *out)
{
	if (!scan_set(s, out))
		return false;
	return out->v[out->len - 1].hi != SCAN_STAR ||
	    scan_bad(s, "Invalid QRESYNC parameters.");
}

/* "QRESYNC (uidvalidity modseq [uids] [(seqs uids)])", after the word. */
static bool
scan_qresync(struct imap *im, struct scan *s, struct qresync *q)
{
	if (!IMAP_HAS(im, QRESYNC))
		return scan_bad(s, "QRESYNC not enabled.");
	q->asked = true;
	if (!scan_sp(s) || !scan_open(s) ||
	    !scan_nz_number(s, &q->uidvalidity) || !scan_sp(s) ||
	    !scan_number64(s, &q->modseq))
		return false;
	if (q->modseq == 0)
		return scan_bad(s, "Invalid QRESYNC parameters.");
	if (scan_is(s, ' ') && s->at + 1 < s->in.len &&
	    s->in.p[s->at + 1] != '(') {
		if (!scan_sp(s) || !scan_known(s, &q->uids))
			return false;
		q->has_uids = true;
	}
	if (scan_is(s, ' ')) {
		if (!imap_may_number(im, s) || !scan_sp(s) ||
		    !scan_open(s) || !scan_known(s, &q->seqs) ||
		    !scan_sp(s) || !scan_known(s, &q->sequids) ||
		    !scan_close(s))
			return false;
		q->has_seqs = true;
		if (ranges_count(&q->seqs) != ranges_count(&q->sequids))
			return scan_bad(s, "Invalid QRESYNC parameters.");
	}
	return scan_close(s);
}

static bool
scan_params(struct imap *im, struct scan *s, struct qresync *q)
{
	if (!scan_is(s, ' '))
		return true;
	if (!scan_sp(s) || !scan_open(s))
		return false;
	for (;;) {
		if (scan_take_word(s, "CONDSTORE"))
			q->condstore = true;
		else if (!scan_take_word(s, "QRESYNC"))
			return scan_bad(s, "Unknown SELECT parameter.");
		else if (q->asked || !scan_qresync(im, s, q))
			return scan_bad(s, "Duplicate QRESYNC parameter.");
		if (!scan_is(s, ' '))
			return scan_close(s);
		scan_sp(s);
	}
}

void
select_close(struct imap *im, bool say)
{
	if (im->box == NULL)
		return;
	imap_watch_stop(im);
	loop_timer_free(&im->tidy);
	mailbox_close(&im->box);
	ranges_reset(&im->saved);
	ranges_reset(&im->own);
	im->modseq_said = 0;
	im->modseq_low = false;
	context_forget(im);		/* RFC 5267 4.3 */
	view_changed(im);
	ARRAY_FINI(&im->asleep);
	im->just_woken = false;
	im->state = STATE_AUTH;
	if (say)	/* RFC 9051 7.1, RFC 7162 3.2.11 */
		buf_add_str(&im->out,
		    "* OK [CLOSED] Previous mailbox closed.\r\n");
	notify_rewatch(im);
}

void
imap_no_box(struct imap *im, struct span name, const char *code)
{
	struct buf shown = BUF_INIT(BUF_UNLIMITED);

	put_mailbox(im, &shown, name);
	imap_no(im, code, "Mailbox doesn't exist: %s",
	    span_find(buf_span(&shown), '\n') < 0 ? shown.data : "");
	buf_fini(&shown);
}

const struct account_box *
imap_find_box(struct imap *im, struct span name, const char *code)
{
	struct why why = WHY_INIT;
	const struct account_box *b;

	if (account_refresh(im->account, &why) < 0) {
		imap_no(im, "UNAVAILABLE", "%s", why.text);
		return NULL;
	}
	if (name.len == 0) {
		imap_no(im, "CANNOT", "Invalid mailbox name: Name is empty");
		return NULL;
	}
	b = account_find(im->account, name);
	if (b && !(b->flags & (BOX_NOSELECT | BOX_NONEXISTENT)) && b->box != 0)
		return b;
	if (!b && account_check_name(im->account, name, &why) != 0) {
		imap_fail(im, &why);
		return NULL;
	}
	imap_no_box(im, name, code);
	return NULL;
}

/* The lines of RFC 9051 6.3.2, in Dovecot's order. */
static void
put_opened(struct imap *im)
{
	struct mailbox *m = im->box;
	const struct account_box *b;
	uint32_t unseen;

	sync_flags_line(im);
	buf_addf(&im->out, "* %u EXISTS\r\n", mailbox_count(m));
	if (!IMAP_HAS(im, REV2)) {
		buf_addf(&im->out, "* %u RECENT\r\n", mailbox_recent(m));
		unseen = mailbox_first_unseen(m);
		if (unseen > 0 && !IMAP_HAS(im, UIDONLY))
			buf_addf(&im->out, "* OK [UNSEEN %u] First unseen.\r\n",
			    unseen);
	}
	buf_addf(&im->out, "* OK [UIDVALIDITY %u] UIDs valid\r\n",
	    mailbox_uidvalidity(m));
	buf_addf(&im->out, "* OK [UIDNEXT %u] Predicted next UID\r\n",
	    mailbox_uidnext(m));
	buf_addf(&im->out, "* OK [HIGHESTMODSEQ %ju] Highest\r\n",
	    (uintmax_t)mailbox_modseq(m));
	buf_add_str(&im->out, "* OK [MAILBOXID (");
	put_id(&im->out, mailbox_id(m), 'F');
	buf_add_str(&im->out, ")] Ok\r\n");
	/* RFC 9051 6.3.2: LIST with the name's attributes. */
	if (IMAP_HAS(im, REV2) &&
	    (b = account_by_id(im->account, mailbox_box(m))) != NULL)
		list_one(im, b, NULL, false);
}

/*
 * RFC 7162 3.2.5.2: up to which UID the client's numbers are still right; what
 * was expunged below need not be said again.
 */
static uint32_t
known_upto(struct imap *im, const struct qresync *q)
{
	uint32_t good = 0;
	size_t si = 0, ui = 0;
	uint64_t seq, uid;

	if (!q->has_seqs || q->seqs.len == 0 || q->sequids.len == 0)
		return 0;
	seq = q->seqs.v[0].lo;
	uid = q->sequids.v[0].lo;
	for (;;) {
		if (seq > mailbox_count(im->box) ||
		    mailbox_uid(im->box, (uint32_t)seq) != uid)
			return good;
		good = (uint32_t)uid;
		if (seq++ == q->seqs.v[si].hi) {
			if (++si == q->seqs.len)
				return good;
			seq = q->seqs.v[si].lo;
		}
		if (uid++ == q->sequids.v[ui].hi) {
			if (++ui == q->sequids.len)
				return good;
			uid = q->sequids.v[ui].lo;
		}
	}
}

void
put_vanished(struct imap *im, uint64_t modseq, const struct ranges *known,
    uint32_t upto)
{
	struct ranges gone = RANGES_INIT;
	struct why why = WHY_INIT;

	if (mailbox_vanished(im->box, modseq, &gone, &why) != 0)
		log_warning("imap: %s: %s", im->conn->facts.id, why.text);
	if (known)
		ranges_intersect(&gone, known);
	if (upto > 0)
		ranges_remove(&gone, 1, upto);
	if (gone.len > 0) {
		buf_add_str(&im->out, "* VANISHED (EARLIER) ");
		ranges_print(&gone, &im->out);
		buf_add_str(&im->out, "\r\n");
	}
	ranges_fini(&gone);
}

static void
put_resync(struct imap *im, const struct qresync *q)
{
	struct mailbox_message msg;

	if (!q->asked || q->uidvalidity != mailbox_uidvalidity(im->box) ||
	    q->modseq >= mailbox_modseq(im->box))
		return;
	put_vanished(im, q->modseq, q->has_uids ? &q->uids : NULL,
	    known_upto(im, q));
	for (uint32_t seq = 1; mailbox_message(im->box, seq, &msg); seq++)
		if (msg.modseq > q->modseq &&
		    (!q->has_uids || ranges_has(&q->uids, msg.uid)))
			sync_put_fetch(im, seq, true);
}

/* What was learned of the mailbox is written down, when nobody waits. */
static void
on_tidy(void *arg)
{
	struct imap *im = arg;

	if (im->step != NULL) {
		loop_timer_set(im->tidy, TIDY_MS);
		return;
	}
	loop_timer_free(&im->tidy);
	mailbox_tidy(im->box);
}

static void
open_box(struct imap *im, struct span name, bool examine, struct qresync *q)
{
	const struct account_box *b;
	struct why why = WHY_INIT;

	/* Whatever comes of it, the old mailbox is not selected any more. */
	select_close(im, im->enabled &
	    (ENABLED_QRESYNC | ENABLED_REV2 | ENABLED_CONDSTORE) ||
	    im->box != NULL);
	b = imap_find_box(im, name, "NONEXISTENT");
	if (b == NULL)
		return;
	im->box = mailbox_open(im->account, b->box, MAILBOX_RECENT |
	    MAILBOX_LATER | (examine ? MAILBOX_READONLY : 0), &why);
	if (im->box == NULL) {
		imap_fail(im, &why);
		return;
	}
	im->tidy = loop_timer_new(im->loop, on_tidy, im);
	loop_timer_set(im->tidy, TIDY_MS);
	im->state = STATE_SELECTED;
	im->readonly = examine || mailbox_readonly(im->box);
	if (q->condstore || q->asked)
		im->enabled |= ENABLED_CONDSTORE;
	put_opened(im);
	put_resync(im, q);
	notify_rewatch(im);
	imap_ok(im, im->readonly ? "READ-ONLY" : "READ-WRITE", "%s completed.",
	    im->cmd->done);
}

static void
select_or_examine(struct imap *im, struct scan *s, bool examine)
{
	struct qresync q = { 0 };
	struct span name;

	if (!scan_sp(s) || !scan_mailbox(s, &name) ||
	    !scan_params(im, s, &q) || !scan_end(s)) {
		/* RFC 9051 6.3.2: a failed SELECT deselects; bad syntax is
		 * no SELECT. */
		if (s->no)
			select_close(im, true);
		imap_refuse(im, s);
	} else {
		open_box(im, name, examine, &q);
	}
	qresync_fini(&q);
}

void
cmd_select(struct imap *im, struct scan *s)
{
	select_or_examine(im, s, false);
}

void
cmd_examine(struct imap *im, struct scan *s)
{
	select_or_examine(im, s, true);
}

/* RFC 9051 6.4.1: expunges without saying so. */
void
cmd_close(struct imap *im, struct scan *s)
{
	struct expunge_result r;
	struct why why = WHY_INIT;
	int rc = 0;

	if (!scan_end(s)) {
		imap_refuse(im, s);
		return;
	}
	imap_tell_progress(im, true);
	if (!im->readonly)
		rc = mailbox_expunge(im->box, NULL, false, &r, &why);
	imap_tell_progress(im, false);
	if (rc != 0 && account_error(im->account) != ACCOUNT_NOPERM) {
		imap_fail(im, &why);
		return;
	}
	select_close(im, false);
	imap_done(im);
}

void
cmd_unselect(struct imap *im, struct scan *s)
{
	if (!scan_end(s)) {
		imap_refuse(im, s);
		return;
	}
	select_close(im, false);
	imap_done(im);
}
