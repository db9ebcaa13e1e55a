/* SPDX-License-Identifier: ISC */
/*
 * freeze - an idle connection as a few bytes, and back (session/engine.h).
 *
 * What the client knows of its mailbox is its count, UIDNEXT and modseq; what
 * changed meanwhile follows from the journal when it wakes up.  To a client in
 * IDLE that is said at once.  Another one may have sent a command already,
 * with the sequence numbers that it knows: then expunges wait for a command
 * that they may precede, and until then commands with sequence numbers are
 * answered NO [EXPUNGEISSUED] (RFC 2180 4.1.2), never with wrong messages.
 */
#include <unistd.h>

#include "base/log.h"
#include "base/num.h"
#include "conf/params.h"
#include "imapd/compress.h"
#include "imapd/imap.h"

#define STATE_VERSION	1
#define STATE_FIXED	40		/* bytes before the tag */

/* --- going to sleep ----------------------------------------------------------------- */

static int
watch_box(struct imap *im)
{
	int fds[STORE_WATCH_FDS], n, rc = 0;
	struct why why = WHY_INIT;

	/* Its number depends on what else is shared when it is thawed. */
	if (mailbox_is_mounted(im->box))
		return -1;

	n = store_watch_fds(im->account, mailbox_box(im->box), fds,
	    STORE_WATCH_FDS, &why);
	if (n < 0)
		return -1;
	for (int i = 0; i < n; i++) {
		if (session_watch(im->conn, fds[i]) != 0)
			rc = -1;
		close(fds[i]);
	}
	return rc;
}

/* Nothing has changed that the client was not told. */
static bool
up_to_date(struct imap *im)
{
	struct mailbox_changes c = { 0 };
	struct why why = WHY_INIT;

	/* A refresh takes what it reports away from us, so report it. */
	sync_report(im, im->mode == MODE_IDLE);
	if (im->out.len > 0 || im->mode == MODE_END)
		return false;
	return mailbox_refresh(im->box, 0, &c, &why) == 0 && !c.pending;
}

static void
encode(const struct imap *im, struct buf *out)
{
	uint8_t b[STATE_FIXED] = { STATE_VERSION };

	b[1] = im->mode == MODE_IDLE;
	b[2] = im->readonly;
	b[3] = (uint8_t)strlen(im->tag);
	num_put_le32(b + 4, im->enabled);
	num_put_le32(b + 28, im->fetched);
	num_put_le32(b + 32, im->appended);
	num_put_le32(b + 36, im->expunged);
	if (im->box) {
		num_put_le32(b + 8, mailbox_box(im->box));
		num_put_le32(b + 12, mailbox_uidvalidity(im->box));
		num_put_le32(b + 16, mailbox_uidnext(im->box));
		num_put_le64(b + 20, mailbox_modseq(im->box));
	}
	buf_add(out, b, sizeof(b));
	buf_add(out, im->tag, b[3]);
	if (im->box) {
		num_put_le32(b, mailbox_count(im->box));
		buf_add(out, b, 4);
	}
}

int
freeze_connection(struct imap *im, struct buf *state)
{
	if ((im->mode != MODE_COMMAND && im->mode != MODE_IDLE) ||
	    im->step != NULL || im->out.len > 0 || im->saved.len > 0 ||
	    im->contexts != NULL || im->notify != NULL || im->notify_none || im->asleep.len > 0 ||
	    compress_active(im->conn->stream))
		return -1;
	if (im->box) {
		if (im->mode == MODE_IDLE && watch_box(im) != 0)
			return -1;
		if (!up_to_date(im)) {
			/* Not from here: it may end the connection. */
			loop_timer_set(im->again, 0);
			return -1;
		}
	}
	encode(im, state);
	if (im->mode == MODE_IDLE)
		session_while_frozen(im->conn, SPAN("* OK Still here\r\n"),
		    (uint32_t)conf.imapd_idle_notify_interval, 0);
	else
		session_while_frozen(im->conn, SPAN_EMPTY, 0,
		    (uint32_t)conf.imapd_timeout);
	return 0;
}

/* --- waking up ---------------------------------------------------------------------- */

struct frozen {
	bool		 idle, readonly;
	uint32_t	 box, uidvalidity, uidnext, count;
	uint64_t	 modseq;
};

/* Made by us, but it went through the hands of another process. */
static int
decode(struct imap *im, struct span in, struct frozen *f)
{
	const uint8_t *b = (const uint8_t *)in.p;

	if (in.len < STATE_FIXED || b[0] != STATE_VERSION ||
	    in.len < STATE_FIXED + (size_t)b[3])
		return -1;
	f->idle = b[1];
	f->readonly = b[2];
	im->enabled = num_get_le32(b + 4);
	f->box = num_get_le32(b + 8);
	f->uidvalidity = num_get_le32(b + 12);
	f->uidnext = num_get_le32(b + 16);
	f->modseq = num_get_le64(b + 20);
	im->fetched = num_get_le32(b + 28);
	im->appended = num_get_le32(b + 32);
	im->expunged = num_get_le32(b + 36);
	memcpy(im->tag, b + STATE_FIXED, b[3]);
	im->tag[b[3]] = '\0';
	in = span_from(in, STATE_FIXED + (size_t)b[3]);
	if (f->box != 0) {
		if (in.len < 4)
			return -1;
		f->count = num_get_le32(in.p);
	}
	return 0;
}

/*
 * Which of the client's messages are gone, as it numbers them.  -1: the
 * history does not say so exactly.
 */
static int
find_expunged(struct imap *im, const struct frozen *f)
{
	struct ranges gone = RANGES_INIT, before = RANGES_INIT;
	struct why why = WHY_INIT;
	uint32_t there = mailbox_seq_from(im->box, f->uidnext) - 1;
	int rc = -1;

	if (mailbox_vanished(im->box, f->modseq, &gone, &why) != 0)
		goto out;
	ranges_remove(&gone, f->uidnext, UINT32_MAX);
	mailbox_vanished_before(im->box, f->modseq, &before);
	for (size_t i = 0; i < before.len && gone.len > 0; i++)
		ranges_remove(&gone, before.v[i].lo, before.v[i].hi);
	if (there + ranges_count(&gone) != f->count) {
		log_warning("imap: %s: %u messages below UID %u and %ju "
		    "expunged since %ju are not %u", im->conn->facts.id, there,
		    f->uidnext, (uintmax_t)ranges_count(&gone),
		    (uintmax_t)f->modseq, f->count);
		goto out;
	}
	for (size_t i = 0; i < gone.len; i++)
		for (uint32_t uid = gone.v[i].lo; uid <= gone.v[i].hi; uid++) {
			/* Behind those that stay, the ones before it having
			 * been said already. */
			*ARRAY_PUSH(&im->asleep) = (struct mailbox_expunge){
				.seq = mailbox_seq_from(im->box, uid),
				.uid = uid,
			};
		}
	rc = 0;
out:
	ranges_fini(&gone);
	ranges_fini(&before);
	return rc;
}

static int
open_again(struct imap *im, const struct frozen *f)
{
	struct why why = WHY_INIT;

	im->account = session_account(im->conn, &why);
	if (im->account == NULL)
		return -1;
	if (f->box == 0)
		return 0;
	im->box = mailbox_open(im->account, f->box, MAILBOX_LATER |
	    (f->readonly ? MAILBOX_READONLY : MAILBOX_RECENT), &why);
	if (im->box == NULL ||
	    mailbox_uidvalidity(im->box) != f->uidvalidity)
		return -1;
	im->state = STATE_SELECTED;
	im->readonly = f->readonly;
	im->asleep_count = f->count;
	im->asleep_uidnext = f->uidnext;
	im->asleep_modseq = f->modseq;
	im->just_woken = true;
	return find_expunged(im, f);
}

void
freeze_say_changes(struct imap *im)
{
	struct mailbox_message m;
	uint32_t count;

	if (!im->just_woken)
		return;
	im->just_woken = false;
	sync_expunged(im, im->asleep.v, im->asleep.len);
	ARRAY_FINI(&im->asleep);
	count = mailbox_count(im->box);
	if (mailbox_uidnext(im->box) != im->asleep_uidnext &&
	    mailbox_seq_from(im->box, im->asleep_uidnext) <= count) {
		buf_addf(&im->out, "* %u EXISTS\r\n", count);
		if (!IMAP_HAS(im, REV2))
			buf_addf(&im->out, "* %u RECENT\r\n",
			    mailbox_recent(im->box));
	}
	if (mailbox_modseq(im->box) == im->asleep_modseq)
		return;
	for (uint32_t seq = 1; mailbox_message(im->box, seq, &m) &&
	    m.uid < im->asleep_uidnext; seq++)
		if (m.modseq > im->asleep_modseq)
			sync_put_fetch(im, seq, false);
}

void
thaw_connection(struct imap *im, struct span state)
{
	struct frozen f = { 0 };

	if (decode(im, state, &f) != 0 || open_again(im, &f) != 0) {
		imap_bye(im, "Cannot go on", "[UNAVAILABLE] The mailbox has "
		    "changed too much, connect again.");
		return;
	}
	if (!f.idle)
		return;
	im->cmd = command_find(SPAN("IDLE"));
	im->mode = MODE_IDLE;
	imap_watch_start(im);
	freeze_say_changes(im);
	sync_report(im, true);
}
