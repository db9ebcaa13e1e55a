/* SPDX-License-Identifier: ISC */
/*
 * put - the words that answers are made of (RFC 9051 9), see imap.h.
 */
#include "imapd/imap.h"
#include "mail/date.h"
#include "mail/mutf7.h"

/* A quoted string holds it: no CR, LF, NUL; 8-bit only where that is UTF-8
 * that the client has asked for, so names alone. */
static bool
quotable(struct span s, bool eight)
{
	if (s.len > 1024)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '\0' || c == '\r' || c == '\n' || (c >= 0x80 && !eight))
			return false;
	}
	return true;
}

static void
put_quoted(struct buf *b, struct span s)
{
	buf_add_char(b, '"');
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] == '"' || s.p[i] == '\\')
			buf_add_char(b, '\\');
		buf_add_char(b, s.p[i]);
	}
	buf_add_char(b, '"');
}

static void
put_literal(struct buf *b, struct span s)
{
	buf_addf(b, "{%zu}\r\n", s.len);
	buf_add_span(b, s);
}

static bool
is_atom(struct span s)
{
	if (s.len == 0 || span_caseis(s, "NIL"))
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (!scan_is_atom_char((unsigned char)s.p[i]))
			return false;
	return true;
}

void
put_string(struct buf *b, struct span s)
{
	if (quotable(s, false))
		put_quoted(b, s);
	else
		put_literal(b, s);
}

void
put_nstring(struct buf *b, struct span s)
{
	if (s.p == NULL)
		buf_add_str(b, "NIL");
	else
		put_string(b, s);
}

void
put_astring(struct buf *b, struct span s)
{
	if (is_atom(s))
		buf_add_span(b, s);
	else
		put_string(b, s);
}

static void
put_name(const struct imap *im, struct buf *b, struct span name, bool atom)
{
	struct buf coded = BUF_INIT(BUF_UNLIMITED);

	if (IMAP_HAS(im, UTF8) || IMAP_HAS(im, REV2) ||
	    mutf7_encode(name, &coded) != 0)
		buf_add_span(&coded, name);
	if (atom && is_atom(buf_span(&coded)))
		buf_add_span(b, buf_span(&coded));
	else if (quotable(buf_span(&coded), true))
		put_quoted(b, buf_span(&coded));
	else
		put_literal(b, buf_span(&coded));
	buf_fini(&coded);
}

void
put_mailbox(const struct imap *im, struct buf *b, struct span name)
{
	put_name(im, b, name, true);
}

void
put_prefix(const struct imap *im, struct buf *b, struct span name)
{
	put_name(im, b, name, false);
}

void
put_fetch(const struct imap *im, struct buf *b, uint32_t seq, uint32_t uid)
{
	bool uidonly = IMAP_HAS(im, UIDONLY);

	buf_add_str(b, "* ");
	buf_add_num(b, uidonly ? uid : seq);
	if (uidonly)
		buf_add_str(b, " UIDFETCH (");
	else
		buf_add_str(b, " FETCH (");
}

void
put_modseq(struct imap *im, struct buf *b, uint64_t modseq)
{
	im->modseq_said = MAX(im->modseq_said, modseq);
	buf_add_str(b, "MODSEQ (");
	buf_add_num(b, modseq);
	buf_add_char(b, ')');
}

static const struct { uint32_t bit; const char *name; } system_flags[] = {
	{ STORE_ANSWERED, "\\Answered" },
	{ STORE_FLAGGED, "\\Flagged" },
	{ STORE_DELETED, "\\Deleted" },
	{ STORE_SEEN, "\\Seen" },
	{ STORE_DRAFT, "\\Draft" },
	{ MESSAGE_RECENT, "\\Recent" },
};

/* "(\Seen $Forwarded)" */
void
put_flags(const struct mailbox *m, struct buf *b,
    const struct mailbox_message *msg, bool recent)
{
	const uint32_t *kw;
	const char *sep = "";
	uint32_t n;

	buf_add_char(b, '(');
	for (size_t i = 0; i < ARRAY_LEN(system_flags); i++) {
		if (!(msg->flags & system_flags[i].bit) ||
		    (system_flags[i].bit == MESSAGE_RECENT && !recent))
			continue;
		buf_add_str(b, sep);
		buf_add_str(b, system_flags[i].name);
		sep = " ";
	}
	n = msg->kwset != 0 ? mailbox_kwset(m, msg->kwset, &kw) : 0;
	for (uint32_t i = 0; i < n; i++) {
		buf_add_str(b, sep);
		buf_add_str(b, mailbox_keyword(m, kw[i]));
		sep = " ";
	}
	buf_add_char(b, ')');
}

void
put_id(struct buf *b, const uint8_t id[16], char prefix)
{
	static const char hex[] = "0123456789abcdef";
	char text[34];
	size_t n = 0;

	text[n++] = prefix;
	for (size_t i = 0; i < 16; i++) {
		text[n++] = hex[id[i] >> 4];
		text[n++] = hex[id[i] & 15];
	}
	buf_add(b, text, n);
}

void
put_date_time(struct buf *b, int64_t wall_s, int zone_min)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	int64_t local = wall_s + (int64_t)zone_min * 60;
	int64_t days = local / 86400, rest = local % 86400, year;
	int month, day, zone = abs(zone_min);

	if (rest < 0) {
		rest += 86400;
		days--;
	}
	date_civil(days, &year, &month, &day);
	buf_addf(b, "\"%02d-%.3s-%04d %02d:%02d:%02d %c%02d%02d\"",
	    day, months + 3 * (month - 1), (int)year, (int)(rest / 3600),
	    (int)(rest / 60 % 60), (int)(rest % 60), zone_min < 0 ? '-' : '+',
	    zone / 60, zone % 60);
}
