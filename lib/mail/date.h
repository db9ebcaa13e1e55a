/* SPDX-License-Identifier: ISC */
/*
 * date - the date-time of header fields (RFC 5322 3.3), read as it is really
 * written and written as it should be.
 */
#ifndef MAIL_DATE_H
#define MAIL_DATE_H

#include "base/cc.h"
#include "base/span.h"

/*
 * Seconds since 1970-01-01 00:00:00 UTC and the zone in minutes east of it
 * (may be NULL).  Taken besides the grammar: no or a wrong day of the week,
 * no seconds, two- and three-digit years (4.3), zone names, no zone (UTC),
 * comments, dashes between day, month and year, and the order of asctime(3).
 * RFC 5256 2.2: a wrong zone is UTC, no time of day, or a wrong one, midnight.
 * -1: no date, or one before 1900 or after 9999.
 */
MUST_CHECK int date_parse(struct span s, int64_t *wall_s, int *zone_min);

#define DATE_MAX	40		/* bytes, with the final '\0' */
/* "Mon, 02 Mar 2026 14:05:09 +0100"; the zone is kept within a day. */
void	 date_format(int64_t wall_s, int zone_min, char out[DATE_MAX]);

/* Days since 1970-01-01 of a date in the Gregorian calendar, and back. */
int64_t	 date_days(int64_t year, int month, int day);
void	 date_civil(int64_t days, int64_t *year, int *month, int *day);

#endif
