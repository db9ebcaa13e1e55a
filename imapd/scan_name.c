/* SPDX-License-Identifier: ISC */
/*
 * scan - mailbox names and dates; see scan.h.
 */
#include "base/utf8.h"
#include "imapd/scan.h"
#include "mail/chars.h"
#include "mail/date.h"
#include "mail/mutf7.h"

#define NAME_MAX_LEN	4096	/* bytes; what the store takes is less */

/*
 * The name in raw as UTF-8.  Bytes above 127 are taken as UTF-8 in either
 * mode: clients send them, and they mean nothing in modified UTF-7.
 */
static bool
decode_name(struct scan *s, struct span raw, struct span *out)
{
	struct buf b = BUF_INIT(2 * NAME_MAX_LEN);
	bool ok;

	if (raw.len > NAME_MAX_LEN)
		return scan_no(s, "CANNOT", "Mailbox name too long");
	if (s->utf8 || !utf8_ascii(raw)) {
		if (!utf8_valid(raw))
			return scan_no(s, "CANNOT",
			    "Mailbox name is not valid UTF-8");
		*out = raw;
		return true;
	}
	if (span_find(raw, '&') < 0) {
		*out = raw;
		return true;
	}
	ok = mutf7_decode(raw, &b) == 0;
	if (ok)
		*out = span_make(arena_span_dup(s->arena, buf_span(&b)), b.len);
	buf_fini(&b);
	return ok || scan_no(s, "CANNOT", "Mailbox name is not valid mUTF-7");
}

/* INBOX is INBOX in any case, its children's names begin with it, too. */
static struct span
inbox_case(struct scan *s, struct span name)
{
	char *p;

	if (!span_casestarts(name, SPAN("INBOX")) ||
	    (name.len > 5 && name.p[5] != '/') ||
	    span_starts(name, SPAN("INBOX")))
		return name;
	p = arena_span_dup(s->arena, name);
	memcpy(p, "INBOX", 5);
	return span_make(p, name.len);
}

bool
scan_mailbox(struct scan *s, struct span *out)
{
	struct span raw;

	if (!scan_astring(s, &raw) || !decode_name(s, raw, out))
		return false;
	*out = inbox_case(s, *out);
	return true;
}

static bool
list_chars(struct scan *s, struct span *out)
{
	size_t n = 0;

	while (s->at + n < s->in.len) {
		unsigned char c = (unsigned char)s->in.p[s->at + n];

		if (!scan_is_atom_char(c) && c != '%' && c != '*' && c < 0x80)
			break;
		n++;
	}
	if (n == 0)
		return scan_bad(s, scan_peek(s) < 0 ? "Missing arguments." :
		    "Invalid mailbox pattern.");
	*out = span_sub(s->in, s->at, n);
	s->at += n;
	return true;
}

bool
scan_pattern(struct scan *s, struct span *out)
{
	struct span raw = SPAN_EMPTY;
	struct scan name;
	bool ok;

	if (scan_is(s, '"') || scan_is(s, '{'))
		ok = scan_string(s, &raw);
	else
		ok = list_chars(s, &raw);
	if (!ok)
		return false;
	name = *s;
	*out = decode_name(&name, raw, out) ? inbox_case(s, *out) :
	    SPAN_EMPTY;
	return true;
}

static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

static bool
month_of(struct span s, int *out)
{
	for (int i = 0; i < 12; i++)
		if (span_caseeq(s, span_make(months + 3 * i, 3))) {
			*out = i + 1;
			return true;
		}
	return false;
}

/* n digits exactly, from *in. */
static bool
digits(struct span *in, size_t n, int *out)
{
	int v = 0;

	if (in->len < n)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!char_is_digit(in->p[i]))
			return false;
		v = v * 10 + in->p[i] - '0';
	}
	*in = span_from(*in, n);
	*out = v;
	return true;
}

static bool
lit(struct span *in, char c)
{
	if (in->len == 0 || in->p[0] != c)
		return false;
	*in = span_from(*in, 1);
	return true;
}

/* date-day "-" date-month "-" date-year, off *in. */
static bool
day_month_year(struct span *in, int64_t *days)
{
	int64_t y2;
	int day, month, year, m2, d2;

	/* date-day-fixed may begin with a space. */
	if (in->len > 1 && in->p[0] == ' ')
		*in = span_from(*in, 1);
	if (!(in->len > 1 && char_is_digit(in->p[1]) ? digits(in, 2, &day) :
	    digits(in, 1, &day)) || !lit(in, '-') ||
	    !month_of(span_sub(*in, 0, 3), &month))
		return false;
	*in = span_from(*in, 3);
	if (!lit(in, '-') || !digits(in, 4, &year) || day == 0)
		return false;
	*days = date_days(year, month, day);
	date_civil(*days, &y2, &m2, &d2);
	return d2 == day && m2 == month;	/* no 31 April */
}

bool
scan_date(struct scan *s, int64_t *days)
{
	size_t at = s->at;
	struct span raw;

	if (scan_astring(s, &raw)) {
		if (day_month_year(&raw, days) && raw.len == 0)
			return true;
		s->at = at;
	}
	return scan_bad(s, "Invalid date.");
}

bool
scan_date_time(struct scan *s, int64_t *wall_s, int *zone_min)
{
	size_t at = s->at;
	struct span in;
	int64_t days;
	int h, m, sec, zh, zm, sign;

	if (!scan_is(s, '"') || !scan_string(s, &in))
		return scan_bad(s, "Invalid internal date.");
	if (!day_month_year(&in, &days) || !lit(&in, ' ') ||
	    !digits(&in, 2, &h) || !lit(&in, ':') || !digits(&in, 2, &m) ||
	    !lit(&in, ':') || !digits(&in, 2, &sec) || !lit(&in, ' '))
		goto bad;
	sign = lit(&in, '-') ? -1 : lit(&in, '+') ? 1 : 0;
	if (sign == 0 || !digits(&in, 2, &zh) || !digits(&in, 2, &zm) ||
	    in.len > 0 || h > 23 || m > 59 || sec > 60 || zh > 23 || zm > 59)
		goto bad;
	*zone_min = sign * (zh * 60 + zm);
	*wall_s = days * 86400 + h * 3600 + m * 60 + MIN(sec, 59) -
	    (int64_t)*zone_min * 60;
	return true;
bad:
	s->at = at;
	return scan_bad(s, "Invalid internal date.");
}
