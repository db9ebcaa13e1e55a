/* SPDX-License-Identifier: ISC */
/*
 * sets - message sets (RFC 9051 9 sequence-set, RFC 5182 "$") and flag lists.
 */
#include "conf/params.h"
#include "imapd/imap.h"

/* UIDs lo to hi of the view as sequence numbers. */
static void
add_uids(const struct mailbox *m, uint32_t lo, uint32_t hi, struct ranges *out)
{
	uint32_t first = mailbox_seq_from(m, lo);
	uint32_t last = hi == UINT32_MAX ? mailbox_count(m) :
	    mailbox_seq_from(m, hi + 1) - 1;

	if (first <= last)
		ranges_add(out, first, last);
}

bool
imap_resolve(struct imap *im, const struct ranges *set, bool uid,
    struct ranges *seqs)
{
	/* None is open where only the syntax matters. */
	uint32_t count = im->box ? mailbox_count(im->box) : 0;

	ranges_reset(seqs);
	for (size_t i = 0; i < set->len; i++) {
		uint32_t lo = set->v[i].lo, hi = set->v[i].hi;

		if (uid && im->box != NULL) {
			add_uids(im->box, lo, hi, seqs);
			/* "900:*" has the last message, whatever its UID. */
			if (hi == SCAN_STAR && count > 0)
				ranges_add(seqs, count, count);
			continue;
		}
		if (uid)
			continue;
		/* "*" is the largest number in use; none in an empty mailbox,
		 * and then no number is right (RFC 9051 9). */
		if (lo == SCAN_STAR)
			lo = count;
		if (hi == SCAN_STAR)
			hi = count;
		if (count == 0 || lo > count || hi > count)
			return false;
		ranges_add(seqs, lo, hi);
	}
	return true;
}

bool
imap_may_number(struct imap *im, struct scan *s)
{
	if (!IMAP_HAS(im, UIDONLY))
		return true;
	s->code = "UIDREQUIRED";
	return scan_bad(s, "Message numbers are not allowed once UIDONLY is "
	    "enabled.");
}

bool
imap_scan_set(struct imap *im, struct scan *s, bool uid, struct ranges *seqs)
{
	struct ranges set = RANGES_INIT;
	bool ok;

	if (scan_take(s, '$')) {
		imap_resolve(im, &im->saved, true, seqs);
		return true;
	}
	if (!uid && !imap_may_number(im, s))
		return false;
	ok = scan_set(s, &set);
	if (ok && !imap_resolve(im, &set, uid, seqs))
		ok = scan_bad(s, "Invalid messageset");
	ranges_fini(&set);
	return ok;
}

void
imap_limit(struct imap *im, struct ranges *seqs)
{
	uint64_t limit = (uint64_t)conf.imapd_message_limit;
	uint64_t n = ranges_count(seqs);

	if (limit == 0 || n <= limit)
		return;
	for (n -= limit; n > 0;) {
		struct range *r = &seqs->v[0];
		uint64_t drop = MIN(n, (uint64_t)r->hi - r->lo + 1);

		n -= drop;
		ranges_remove(seqs, r->lo, r->lo + (uint32_t)(drop - 1));
	}
	im->limited_to = mailbox_uid(im->box, seqs->v[0].lo);
}

uint64_t
imap_save_limit(void)
{
	uint64_t limit = (uint64_t)(conf.imapd_message_limit > 0 ?
	    conf.imapd_message_limit : conf.imapd_save_limit);

	return limit > 0 ? limit : UINT64_MAX;
}

bool
imap_may_tell_uids(struct imap *im, uint32_t box)
{
	return account_rights(im->account, box) & RIGHT_READ;
}

void
imap_uids(struct imap *im, const struct ranges *seqs, struct ranges *uids)
{
	*uids = RANGES_INIT;
	for (size_t i = 0; i < seqs->len; i++) {
		uint32_t lo = seqs->v[i].lo, hi = seqs->v[i].hi;
		uint32_t first = mailbox_uid(im->box, lo);
		uint32_t last = mailbox_uid(im->box, hi);

		/* UIDs only grow: where none is missing this is all. */
		if (last - first == hi - lo) {
			ranges_add(uids, first, last);
			continue;
		}
		for (uint32_t seq = lo; seq <= hi; seq++) {
			uint32_t uid = mailbox_uid(im->box, seq);

			ranges_add(uids, uid, uid);
		}
	}
}

static const struct { const char *name; uint32_t bit; } system_flags[] = {
	{ "\\Answered", STORE_ANSWERED }, { "\\Flagged", STORE_FLAGGED },
	{ "\\Deleted", STORE_DELETED }, { "\\Seen", STORE_SEEN },
	{ "\\Draft", STORE_DRAFT },
};

static bool
system_flag(struct scan *s, struct flag_list *out)
{
	struct span word;
	size_t at = s->at++;		/* the backslash */

	if (!scan_atom(s, &word))
		return false;
	word = span_sub(s->in, at, s->at - at);
	for (size_t i = 0; i < ARRAY_LEN(system_flags); i++)
		if (span_caseis(word, system_flags[i].name)) {
			out->flags |= system_flags[i].bit;
			return true;
		}
	return scan_bad(s, "Invalid system flag.");
}

static bool
keyword(struct imap *im, struct scan *s, struct flag_list *out)
{
	struct span word;

	if (!scan_atom(s, &word))
		return false;
	if (word.len > MAILBOX_KEYWORD_MAX)
		return scan_no(s, "LIMIT", "Keyword too long");
	if (span_find(word, ']') >= 0)
		return scan_bad(s, "Invalid keyword name.");
	if (out->nkeywords == 0)
		out->keywords = arena_alloc(&im->arena,
		    MAILBOX_KEYWORDS_MAX * sizeof(struct span));
	if (out->nkeywords == MAILBOX_KEYWORDS_MAX)
		return scan_no(s, "LIMIT", "Too many keywords");
	out->keywords[out->nkeywords++] = word;
	return true;
}

bool
imap_scan_flags(struct imap *im, struct scan *s, struct flag_list *out)
{
	bool list = scan_is(s, '(');

	*out = (struct flag_list){ 0 };
	if (list && !scan_open(s))
		return false;
	if (list && scan_is(s, ')'))
		return scan_close(s);
	for (;;) {
		if (!(scan_is(s, '\\') ? system_flag(s, out) :
		    keyword(im, s, out)))
			return false;
		if (!scan_is(s, ' '))
			break;
		scan_sp(s);
	}
	return !list || scan_close(s);
}
