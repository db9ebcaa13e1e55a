/* SPDX-License-Identifier: ISC */
/*
 * cmd_fetch - FETCH (RFC 9051 6.4.5): the loop over the messages; fetch.h.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "conf/params.h"
#include "imapd/fetch.h"

#define COPIED_MAX	(64u << 10)	/* bytes: larger data goes in pieces */
#define STEP_US		20000		/* then others are served */

/* --- what the index knows ------------------------------------------------------------- */

static int
put_threadid(struct fetch_msg *m, struct why *why)
{
	uint8_t id[16];
	int rc = mailbox_threadid(m->box, m->m.uid, id, why);

	if (rc < 0)
		return -1;
	buf_add_str(&m->text, "THREADID ");
	if (rc == 0) {
		buf_add_str(&m->text, "NIL");
		return 0;
	}
	buf_add_char(&m->text, '(');
	put_id(&m->text, id, 'T');
	buf_add_char(&m->text, ')');
	return 0;
}

static int
put_item(struct fetch_msg *m, const struct fetch_item *it, struct why *why)
{
	struct buf *b = &m->text;

	switch (it->kind) {
	case FETCH_UID:
		buf_add_str(b, "UID ");
		buf_add_num(b, m->m.uid);
		return 0;
	case FETCH_FLAGS:
		buf_add_str(b, "FLAGS ");
		put_flags(m->box, b, &m->m, !IMAP_HAS(m->im, REV2));
		return 0;
	case FETCH_MODSEQ:
		put_modseq(m->im, b, m->m.modseq);
		return 0;
	case FETCH_INTERNALDATE:
		buf_add_str(b, "INTERNALDATE ");
		put_date_time(b, m->m.date_us / 1000000, m->m.zone_min);
		return 0;
	case FETCH_SIZE:
		buf_add_str(b, "RFC822.SIZE ");
		buf_add_num(b, m->m.size);
		return 0;
	case FETCH_EMAILID:
		buf_add_str(b, "EMAILID (");
		put_id(b, m->m.emailid, 'M');
		buf_add_char(b, ')');
		return 0;
	case FETCH_THREADID:
		return put_threadid(m, why);
	case FETCH_SAVEDATE:
		buf_add_str(b, "SAVEDATE ");
		if (m->m.save_s > 0)
			put_date_time(b, m->m.save_s,
			    clock_zone_min(m->m.save_s));
		else
			buf_add_str(b, "NIL");
		return 0;
	default:
		return fetch_write(m, it, why);
	}
}

void
fetch_put_data(struct fetch_msg *m, const struct section_text *t, uint64_t n)
{
	struct section_text text = *t;

	if (n <= COPIED_MAX) {
		if (section_read(&text, (size_t)n, &m->text) != n)
			m->im->broken = true;	/* a literal promised more */
		return;
	}
	*ARRAY_PUSH(&m->pieces) = (struct fetch_piece){
		.at = m->text.len, .text = text, .left = n
	};
}

/* --- one message ------------------------------------------------------------------------- */

/* Note the first problem; the rest of the messages is fetched all the same. */
static void
failed(struct imap *im, struct fetch *f, const struct why *why)
{
	if (f->failed)
		return;
	f->failed_code = imap_error_code(account_error(im->account));
	f->failed = arena_strdup(&im->arena, why->text[0] ? why->text :
	    "Some messages could not be fetched.");
}

static void
answer_message(struct imap *im, struct fetch *f, struct fetch_msg *m)
{
	struct buf *b = &m->text;
	size_t start, first;

	/* It is written behind what waits in out already, not copied there. */
	buf_fini(&m->text);
	m->text = im->out;
	im->out = BUF_INIT(BUF_UNLIMITED);
	start = b->len;
	put_fetch(im, b, m->seq, m->m.uid);
	first = b->len;
	for (size_t i = 0; i < f->nitems; i++) {
		struct why why = WHY_INIT;
		size_t before = b->len;

		if (b->len > first)
			buf_add_char(b, ' ');
		switch (put_item(m, &f->items[i], &why)) {
		case 0:
			break;
		case 1:
			buf_trunc(b, before);
			if (!f->failed) {
				f->failed_code = "UNKNOWN-CTE";
				f->failed = "Content-Transfer-Encoding is not "
				    "known.";
			}
			break;
		default:
			buf_trunc(b, before);
			failed(im, f, &why);
		}
	}
	if (b->len == first)
		buf_trunc(b, start);
	else
		buf_add_str(b, ")\r\n");
	if (m->pieces.len == 0) {
		im->out = m->text;
		m->text = BUF_INIT(BUF_UNLIMITED);
	}
}

/* Hand over the answer as far as the client takes it.  False: not all yet. */
static bool
send_message(struct imap *im, struct fetch_msg *m, bool all)
{
	while (m->piece < m->pieces.len) {
		struct fetch_piece *p = &m->pieces.v[m->piece];

		buf_add(&im->out, m->text.data + m->sent, p->at - m->sent);
		m->sent = p->at;
		while (p->left > 0) {
			size_t n = (size_t)MIN(p->left, COPIED_MAX);

			if (!all && imap_out_full(im))
				return false;
			if (section_read(&p->text, n, &im->out) != n) {
				/* The bytes changed under us: a literal that
				 * is too short cannot be mended. */
				im->broken = true;
				imap_bye(im, "Message changed",
				    "Message changed while it was read.");
				return true;
			}
			p->left -= n;
		}
		m->piece++;
	}
	buf_add(&im->out, m->text.data + m->sent, m->text.len - m->sent);
	return true;
}

static void
free_message(struct fetch *f)
{
	if (f->msg == NULL)
		return;
	fetch_msg_fini(f->msg);
	ARRAY_FINI(&f->msg->pieces);
	buf_reset(&f->msg->text);
	arena_reset(f->msg->arena);
	f->msg->seq = 0;
}

/* --- the loop ------------------------------------------------------------------------------ */

/* The next sequence number that is asked for, or 0. */
static uint32_t
next_seq(struct fetch *f)
{
	uint32_t seq;
	struct range *r;

	if (!f->down)
		return ranges_next(&f->seqs, &f->at, &seq) ? seq : 0;
	if (f->seqs.len == 0)
		return 0;
	/* One taken off at a time. */
	r = &f->seqs.v[f->seqs.len - 1];
	seq = r->hi;
	if (r->lo == r->hi)
		f->seqs.len--;
	else
		r->hi--;
	return seq;
}

static void
fetch_abort(struct imap *im)
{
	struct fetch *f = im->step_data;

	if (f->msg) {
		free_message(f);
		buf_fini(&f->msg->text);
		arena_fini(f->msg->arena);
	}
	ranges_fini(&f->seqs);
	ranges_fini(&f->uids);
}

static enum step_result
finish(struct imap *im, struct fetch *f)
{
	const char *code = f->failed_code, *text = f->failed;

	im->fetched += f->nmessages;
	fetch_abort(im);
	im->step_abort = NULL;
	if (text)
		imap_no(im, code, "%s", text);
	else
		imap_done(im);
	return STEP_DONE;
}

static enum step_result
fetch_step(struct imap *im)
{
	struct fetch *f = im->step_data;
	struct fetch_msg *m = f->msg;
	int64_t until = clock_mono_us() + STEP_US;

	for (;;) {
		uint32_t seq;

		if (m->seq == 0) {
			seq = next_seq(f);
			if (seq == 0)
				return finish(im, f);
			im->done++;
			fetch_msg_init(m, im, seq, m->arena);
			if (m->m.uid == 0 || m->m.modseq <= f->changed_since) {
				free_message(f);
				continue;
			}
			answer_message(im, f, m);
			f->nmessages++;
		}
		if (!send_message(im, m, false))
			return STEP_FULL;
		fetch_msg_tell(m);
		free_message(f);
		if (im->mode == MODE_END)
			return STEP_DONE;
		if (imap_out_full(im))
			return STEP_FULL;
		if ((f->nmessages & 15) == 0 && clock_mono_us() > until)
			return STEP_MORE;
	}
}

void
fetch_one(struct imap *im, struct fetch *f, uint32_t seq)
{
	struct arena arena = ARENA_INIT;
	struct fetch_msg m = { .text = BUF_INIT(BUF_UNLIMITED) };

	fetch_msg_init(&m, im, seq, &arena);
	if (m.m.uid != 0) {
		answer_message(im, f, &m);
		(void)send_message(im, &m, true);
		fetch_msg_tell(&m);
	}
	/* There is no command that could fail. */
	f->failed = f->failed_code = NULL;
	fetch_msg_fini(&m);
	ARRAY_FINI(&m.pieces);
	buf_fini(&m.text);
	arena_fini(&arena);
}

/* --- before the first message --------------------------------------------------------------- */

static int64_t
window_width(const struct fetch *f)
{
	return llabs(llabs(f->partial_to) - llabs(f->partial_from)) + 1;
}

/* RFC 9394: a window into the messages that would be answered. */
static void
apply_window(struct fetch *f)
{
	struct ranges out = RANGES_INIT;
	uint64_t n = ranges_count(&f->seqs), from, to, at = 1;

	if (f->partial_from > 0) {
		from = (uint64_t)f->partial_from;
		to = (uint64_t)f->partial_to;
	} else {
		uint64_t a = (uint64_t)-f->partial_to;
		uint64_t b = (uint64_t)-f->partial_from;

		from = a >= n ? 1 : n - a + 1;
		to = b > n ? 0 : n - b + 1;
	}
	for (size_t i = 0; i < f->seqs.len; i++) {
		uint32_t lo = f->seqs.v[i].lo, hi = f->seqs.v[i].hi;
		uint64_t end = at + (hi - lo);

		if (end >= from && at <= to)
			ranges_add(&out, at >= from ? lo :
			    lo + (uint32_t)(from - at), end <= to ? hi :
			    hi - (uint32_t)(end - to));
		at = end + 1;
	}
	ranges_fini(&f->seqs);
	f->seqs = out;
}

/* RFC 3501 6.4.5: BODY[] and its kin set \Seen, which is then said, too. */
static void
set_seen(struct imap *im, struct fetch *f)
{
	struct ranges uids = RANGES_INIT;
	struct flags_request q = {
		.uids = &uids, .op = FLAGS_ADD, .flags = STORE_SEEN,
		.unchanged_since = UINT64_MAX,
	};
	struct flags_result r = { 0 };
	struct why why = WHY_INIT;
	struct mailbox_message msg;

	/* All of them: what this view knows of \Seen may be old. */
	for (size_t i = 0; i < f->seqs.len; i++)
		for (uint32_t n = f->seqs.v[i].lo; n <= f->seqs.v[i].hi; n++)
			if (mailbox_message(im->box, n, &msg) &&
			    msg.modseq > f->changed_since)
				ranges_add(&uids, msg.uid, msg.uid);
	/* Where it may not be set, reading is still allowed. */
	if (uids.len > 0 &&
	    mailbox_store_flags(im->box, &q, &r, &why) == 0 &&
	    r.changed->len > 0) {
		fetch_add_flags(im, f);
		context_touch_all(im, r.changed);
	}
	ranges_fini(&uids);
}

void
cmd_fetch(struct imap *im, struct scan *s)
{
	struct fetch *f = arena_zalloc(&im->arena, sizeof(*f));
	bool uid = (im->cmd->flags & CMD_UID) != 0;
	char code[48];

	if (!fetch_scan(im, s, f)) {
		ranges_fini(&f->seqs);
		ranges_fini(&f->uids);
		imap_refuse(im, s);
		return;
	}
	if (f->has_partial && conf.imapd_message_limit > 0 &&
	    window_width(f) > conf.imapd_message_limit) {
		ranges_fini(&f->seqs);
		ranges_fini(&f->uids);
		snprintf(code, sizeof(code), "MESSAGELIMIT %ju",
		    (uintmax_t)conf.imapd_message_limit);
		imap_no(im, code, "The window is too wide.");
		return;
	}
	if (f->vanished)
		put_vanished(im, f->changed_since, &f->uids, 0);
	if (f->has_partial)
		apply_window(f);
	/* RFC 9738 3.1: from the highest to the lowest, then. */
	imap_limit(im, &f->seqs);
	f->down = im->limited_to != 0;
	if (f->sets_seen && !im->readonly)
		set_seen(im, f);
	/* UIDFETCH has it in front; also where it is asked for (RFC 9586 3.3). */
	if (uid && !IMAP_HAS(im, UIDONLY))
		fetch_add_first(im, f, FETCH_UID);
	f->msg = arena_zalloc(&im->arena, sizeof(*f->msg));
	f->msg->arena = arena_zalloc(&im->arena, sizeof(*f->msg->arena));
	f->msg->text = BUF_INIT(BUF_UNLIMITED);
	im->step_data = f;
	im->step_abort = fetch_abort;
	imap_continue(im, fetch_step);
	im->goal = ranges_count(&f->seqs);
}
