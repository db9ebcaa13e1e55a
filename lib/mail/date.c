/* SPDX-License-Identifier: ISC */
/*
 * date - see date.h.  The calendar is computed here: the C library's
 * functions depend on the locale and the process's time zone.
 */
#include "base/num.h"
#include "mail/chars.h"
#include "mail/date.h"

static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
static const char weekdays[] = "SunMonTueWedThuFriSat";

/* Years begin in March, so that the leap day is the last; eras of 400. */
int64_t
date_days(int64_t year, int month, int day)
{
	int64_t era, yoe, doy;

	if (month <= 2)
		year--;
	era = (year >= 0 ? year : year - 399) / 400;
	yoe = year - era * 400;
	doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

void
date_civil(int64_t days, int64_t *year, int *month, int *day)
{
	int64_t era, doe, yoe, doy, mp;

	days += 719468;
	era = (days >= 0 ? days : days - 146096) / 146097;
	doe = days - era * 146097;
	yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	mp = (5 * doy + 2) / 153;
	*day = (int)(doy - (153 * mp + 2) / 5 + 1);
	*month = (int)(mp < 10 ? mp + 3 : mp - 9);
	*year = yoe + era * 400 + (*month <= 2);
}

/* Which of the three-letter words in table s begins with, or -1. */
static int
word3(struct span s, const char *table, int n)
{
	for (int i = 0; i < n; i++)
		if (span_casestarts(s, span_make(table + 3 * i, 3)))
			return i;
	return -1;
}

static const struct { const char *name; int hours; } zones[] = {
	{ "UT", 0 }, { "UTC", 0 }, { "GMT", 0 }, { "Z", 0 },
	{ "EST", -5 }, { "EDT", -4 }, { "CST", -6 }, { "CDT", -5 },
	{ "MST", -7 }, { "MDT", -6 }, { "PST", -8 }, { "PDT", -7 },
	{ "CET", 1 }, { "CEST", 2 }, { "BST", 1 }, { "JST", 9 },
};

/* The next word: up to a space, comma or comment; dashes split digits. */
static bool
next_word(struct span *s, struct span *w)
{
	size_t depth = 0, i = 0, n;

	for (; i < s->len; i++) {
		char c = s->p[i];

		if (depth > 0 && c == '\\')
			i++;
		else if (c == '(')
			depth++;
		else if (depth > 0 && c == ')')
			depth--;
		else if (depth == 0 && !char_is_space(c) && c != ',')
			break;
	}
	*s = span_from(*s, i);
	for (n = 0; n < s->len && !char_is_space(s->p[n]) &&
	    s->p[n] != ',' && s->p[n] != '('; n++)
		/* "02-Mar-2026": the dash goes with no word */
		if (n > 0 && s->p[n] == '-')
			break;
	*w = span_sub(*s, 0, n);
	*s = span_from(*s, n);
	if (n > 0 && s->len > 1 && s->p[0] == '-' &&
	    char_is_alnum((unsigned char)s->p[1]))
		*s = span_from(*s, 1);
	return n > 0;
}

/* "14:05:09", "14:05"; -1 for what is no time of day. */
static int
time_of_day(struct span w, int64_t *secs)
{
	uint64_t part[3] = { 0, 0, 0 };
	static const uint64_t max[3] = { 23, 59, 60 };
	size_t n = 0;
	struct span t;

	while (span_token(&w, ":", &t)) {
		ptrdiff_t dot = span_find(t, '.');

		if (n == 2 && dot > 0)
			t = span_sub(t, 0, (size_t)dot);
		if (n == 3 || t.len > 2 ||
		    num_parse_u64(t, max[n], &part[n]) < 0)
			return -1;
		n++;
	}
	if (n < 2)
		return -1;
	*secs = (int64_t)(part[0] * 3600 + part[1] * 60 + MIN(part[2], 59));
	return 0;
}

/* Minutes east of UTC. */
static int
zone(struct span w)
{
	uint64_t v;

	if (w.len == 5 && (w.p[0] == '+' || w.p[0] == '-') &&
	    num_parse_u64(span_from(w, 1), 9999, &v) == 0 && v % 100 < 60) {
		int minutes = (int)(v / 100 * 60 + v % 100);

		return w.p[0] == '-' ? -minutes : minutes;
	}
	for (size_t i = 0; i < ARRAY_LEN(zones); i++)
		if (span_caseis(w, zones[i].name))
			return zones[i].hours * 60;
	/* RFC 5322 4.3: other names mean nothing reliable: -0000; RFC 5256
	 * 2.2 has so what is no zone at all. */
	return 0;
}

static int
full_year(struct span w, int64_t *year)
{
	uint64_t v;

	if (w.len < 2 || w.len > 4 || num_parse_u64(w, 9999, &v) < 0)
		return -1;
	if (w.len == 2)				/* RFC 5322 4.3 */
		v += v < 50 ? 2000 : 1900;
	else if (w.len == 3)
		v += 1900;
	if (v < 1900)
		return -1;
	*year = (int64_t)v;
	return 0;
}

static int
month_days(int64_t year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31,
	    30, 31 };

	if (month == 2 && year % 4 == 0 &&
	    (year % 100 != 0 || year % 400 == 0))
		return 29;
	return days[month - 1];
}

int
date_parse(struct span s, int64_t *wall_s, int *zone_min)
{
	struct span w;
	uint64_t day = 0;
	int month = -1, zmin = 0;
	int64_t year = -1, secs = -1;
	bool have_zone = false;

	for (int words = 0; words < 12 && next_word(&s, &w); words++) {
		if (month < 0 && w.len >= 3 &&
		    (month = word3(w, months, 12)) >= 0)
			continue;
		if (month < 0 && day == 0 && word3(w, weekdays, 7) >= 0)
			continue;
		if (day == 0 && w.len <= 2 && num_parse_u64(w, 31, &day) == 0)
			continue;
		if (secs < 0 && span_find(w, ':') > 0) {
			if (time_of_day(w, &secs) < 0)
				secs = 0;
			continue;
		}
		if (year < 0 && day > 0 && month >= 0 &&
		    full_year(w, &year) == 0)
			continue;
		if (have_zone || (secs < 0 && year < 0))
			return -1;
		zmin = zone(w);
		have_zone = true;
	}
	if (day == 0 || month < 0 || year < 0 ||
	    (int)day > month_days(year, month + 1))
		return -1;
	secs = MAX(secs, 0);
	*wall_s = date_days(year, month + 1, (int)day) * 86400 + secs -
	    (int64_t)zmin * 60;
	if (zone_min != NULL)
		*zone_min = zmin;
	return 0;
}

void
date_format(int64_t wall_s, int zone_min, char out[DATE_MAX])
{
	int64_t local, days, secs, year;
	int month, day, off;

	if (zone_min <= -24 * 60 || zone_min >= 24 * 60)
		zone_min = 0;
	local = wall_s + (int64_t)zone_min * 60;
	days = local >= 0 ? local / 86400 : (local - 86399) / 86400;
	secs = local - days * 86400;
	date_civil(days, &year, &month, &day);
	off = zone_min < 0 ? -zone_min : zone_min;
	/* The remainders only tell the compiler how long the text can be. */
	snprintf(out, DATE_MAX, "%.3s, %02d %.3s %04d %02d:%02d:%02d "
	    "%c%02d%02d", weekdays + 3 * (((days % 7) + 11) % 7), day % 100,
	    months + 3 * (month - 1), (int)(year % 100000), (int)(secs / 3600 % 24),
	    (int)(secs / 60 % 60), (int)(secs % 60),
	    zone_min < 0 ? '-' : '+', off / 60 % 100, off % 60);
}
