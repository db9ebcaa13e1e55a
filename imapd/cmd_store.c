/* SPDX-License-Identifier: ISC */
/*
 * cmd_store - STORE (RFC 9051 6.4.6, RFC 7162 3.1.3) and EXPUNGE (6.4.3, UID
 * EXPUNGE of RFC 4315).
 */
#include "conf/params.h"
#include "imapd/imap.h"

struct store_args {
	struct ranges	 seqs;
	uint64_t	 unchanged_since;
	enum flags_op	 op;
	bool		 silent;
	struct flag_list flags;
};

static bool
scan_modifiers(struct imap *im, struct scan *s, struct store_args *a)
{
	if (!scan_is(s, '('))
		return true;
	if (!scan_open(s) || !scan_take_word(s, "UNCHANGEDSINCE") ||
	    !scan_sp(s) || !scan_number64(s, &a->unchanged_since) ||
	    !scan_close(s) || !scan_sp(s))
		return scan_bad(s, "Unknown STORE modifier.");
	sync_condstore(im);
	return true;
}

static bool
scan_operation(struct scan *s, struct store_args *a)
{
	struct span word;

	a->op = FLAGS_REPLACE;
	if (scan_take(s, '+'))
		a->op = FLAGS_ADD;
	else if (scan_take(s, '-'))
		a->op = FLAGS_REMOVE;
	if (!scan_atom(s, &word))
		return false;
	a->silent = span_caseis(word, "FLAGS.SILENT");
	return a->silent || span_caseis(word, "FLAGS") ||
	    scan_bad(s, "Invalid STORE item.");
}

static bool
scan_store(struct imap *im, struct scan *s, struct store_args *a)
{
	a->unchanged_since = UINT64_MAX;
	return scan_sp(s) && imap_scan_set(im, s,
	    (im->cmd->flags & CMD_UID) != 0, &a->seqs) && scan_sp(s) &&
	    scan_modifiers(im, s, a) && scan_operation(s, a) && scan_sp(s) &&
	    imap_scan_flags(im, s, &a->flags) && scan_end(s);
}

/* What is still to be told of a STORE that is done. */
struct told {
	struct ranges	 seqs;		/* of what was asked for */
	struct ranges	 changed, modified;	/* UIDs, as in flags_result */
	uint64_t	 before;	/* HIGHESTMODSEQ when it came */
	bool		 conditional;
	struct ranges_walk at;
	bool		 silent;
};

static void
told_abort(struct imap *im)
{
	struct told *t = im->step_data;

	ranges_fini(&t->seqs);
	ranges_fini(&t->changed);
	ranges_fini(&t->modified);
}

/* SILENT tells of MODSEQ only; with UNCHANGEDSINCE of all messages, changed or
 * not (RFC 7162 3.1.3). */
static void
put_silent(struct imap *im, uint32_t seq)
{
	struct mailbox_message msg;

	if (!mailbox_message(im->box, seq, &msg) ||
	    msg.flags & MESSAGE_EXPUNGED)
		return;
	put_fetch(im, &im->out, seq, msg.uid);
	if (!IMAP_HAS(im, UIDONLY)) {
		buf_add_str(&im->out, "UID ");
		buf_add_num(&im->out, msg.uid);
		buf_add_char(&im->out, ' ');
	}
	put_modseq(im, &im->out, msg.modseq);
	buf_add_str(&im->out, ")\r\n");
}

/*
 * One that was left alone, so that the client need not ask (RFC 7162 3.1.3: "is
 * RECOMMENDED").  What others did just now is told anyway.
 */
static void
put_left_alone(struct imap *im, const struct told *t, uint32_t seq)
{
	struct mailbox_message msg;

	if (mailbox_message(im->box, seq, &msg) && msg.modseq <= t->before)
		sync_put_fetch(im, seq, true);
}

/* "MODIFIED 7,9": numbers of the kind that the command had. */
static void
put_modified(struct imap *im, const struct told *t, struct buf *code)
{
	struct ranges seqs = RANGES_INIT;

	buf_add_str(code, "MODIFIED ");
	if (im->cmd->flags & CMD_UID) {
		ranges_print(&t->modified, code);
	} else {
		imap_resolve(im, &t->modified, true, &seqs);
		ranges_print(&seqs, code);
	}
	ranges_fini(&seqs);
}

static enum step_result
told_finish(struct imap *im, struct told *t)
{
	struct buf code = BUF_INIT(BUF_UNLIMITED);
	bool all = t->modified.len == 0;

	if (!all)
		put_modified(im, t, &code);
	told_abort(im);
	im->step_abort = NULL;
	if (all)
		imap_done(im);
	else
		imap_ok(im, code.data, "Conditional store failed.");
	buf_fini(&code);
	return STEP_DONE;
}

/* The client reads what there is while we go on. */
static enum step_result
told_step(struct imap *im)
{
	struct told *t = im->step_data;
	bool uid = (im->cmd->flags & CMD_UID) != 0;
	uint32_t seq;

	while (ranges_next(&t->seqs, &t->at, &seq)) {
		uint32_t n = mailbox_uid(im->box, seq);

		if (ranges_has(&t->modified, n))
			put_left_alone(im, t, seq);
		else if (!t->silent)
			sync_put_fetch(im, seq, uid);
		else if (t->conditional || ranges_has(&t->changed, n))
			put_silent(im, seq);
		if (imap_out_full(im))
			return STEP_FULL;
	}
	return told_finish(im, t);
}

static void
tell(struct imap *im, struct store_args *a, const struct flags_result *r,
    uint64_t before)
{
	struct told *t = arena_zalloc(&im->arena, sizeof(*t));

	t->before = before;
	t->conditional = a->unchanged_since != UINT64_MAX;
	t->silent = a->silent;
	ranges_copy(&t->changed, r->changed);
	ranges_copy(&t->modified, r->modified);
	if (!a->silent || IMAP_HAS(im, CONDSTORE)) {
		t->seqs = a->seqs;
		a->seqs = RANGES_INIT;
	}
	im->step_data = t;
	im->step_abort = told_abort;
	imap_continue(im, told_step);
}

static void
store(struct imap *im, struct store_args *a)
{
	struct ranges uids;
	struct flags_request q = {
		.uids = &uids, .op = a->op, .flags = a->flags.flags,
		.keywords = a->flags.keywords,
		.nkeywords = a->flags.nkeywords,
		.unchanged_since = a->unchanged_since,
	};
	struct flags_result r = { 0 };
	uint64_t before = mailbox_modseq(im->box);
	struct why why = WHY_INIT;
	int rc;

	imap_uids(im, &a->seqs, &uids);
	imap_tell_progress(im, true);
	rc = mailbox_store_flags(im->box, &q, &r, &why);
	imap_tell_progress(im, false);
	if (rc != 0) {
		imap_fail(im, &why);
	} else {
		if (r.keywords)
			sync_flags_line(im);
		context_touch_all(im, r.changed);
		tell(im, a, &r, before);
	}
	ranges_fini(&uids);
}

void
cmd_store(struct imap *im, struct scan *s)
{
	struct store_args a = { 0 };

	if (!scan_store(im, s, &a))
		imap_refuse(im, s);
	else if (im->readonly)
		imap_no(im, "READ-ONLY", "Mailbox is read-only.");
	else {
		imap_limit(im, &a.seqs);
		store(im, &a);
	}
	ranges_fini(&a.seqs);
}

static void
expunge(struct imap *im, const struct ranges *uids)
{
	struct expunge_result r = { 0 };
	struct why why = WHY_INIT;
	char code[64];
	int rc;

	imap_tell_progress(im, true);
	rc = mailbox_expunge(im->box, uids, false, &r, &why);
	imap_tell_progress(im, false);
	if (rc != 0) {
		imap_fail(im, &why);
		return;
	}
	sync_expunged(im, r.v, r.n);
	snprintf(code, sizeof(code), "HIGHESTMODSEQ %ju",
	    (uintmax_t)mailbox_modseq_told(im->box));
	/* RFC 7162 3.2.7 */
	imap_ok(im, r.n > 0 && IMAP_HAS(im, CONDSTORE) ? code : NULL,
	    "Expunge completed.");
}

/*
 * RFC 9738 3.1: of UID EXPUNGE those with \\Deleted count.  EXPUNGE itself is
 * never limited.
 */
static void
limit_deleted(struct imap *im, struct ranges *seqs)
{
	uint64_t left = (uint64_t)conf.imapd_message_limit;
	struct mailbox_message m;

	if (left == 0 || ranges_count(seqs) <= left)
		return;
	for (size_t i = seqs->len; i-- > 0;)
		for (uint32_t q = seqs->v[i].hi; q >= seqs->v[i].lo; q--) {
			if (!mailbox_message(im->box, q, &m) ||
			    !(m.flags & STORE_DELETED))
				continue;
			if (left == 0) {
				ranges_remove(seqs, 1, q);
				im->limited_to = mailbox_uid(im->box,
				    seqs->v[0].lo);
				return;
			}
			left--;
		}
}

void
cmd_expunge(struct imap *im, struct scan *s)
{
	bool uid = (im->cmd->flags & CMD_UID) != 0;
	struct ranges seqs = RANGES_INIT, uids = RANGES_INIT;

	if ((uid && (!scan_sp(s) || !imap_scan_set(im, s, true, &seqs))) ||
	    !scan_end(s)) {
		imap_refuse(im, s);
	} else if (im->readonly) {
		imap_no(im, "READ-ONLY", "Mailbox is read-only.");
	} else {
		limit_deleted(im, &seqs);
		imap_uids(im, &seqs, &uids);
		expunge(im, uid ? &uids : NULL);
	}
	ranges_fini(&seqs);
	ranges_fini(&uids);
}
