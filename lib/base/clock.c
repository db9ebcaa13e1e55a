/* SPDX-License-Identifier: ISC */
/*
 * clock - see clock.h.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"

static int64_t
read_us(clockid_t id)
{
	struct timespec ts;

	if (clock_gettime(id, &ts) < 0)
		log_panic("clock_gettime(%d): %m", (int)id);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t
clock_mono_ms(void)
{
	return read_us(CLOCK_MONOTONIC) / 1000;
}

int64_t
clock_mono_us(void)
{
	return read_us(CLOCK_MONOTONIC);
}

int64_t
clock_wall_us(void)
{
	return read_us(CLOCK_REALTIME);
}

int64_t
clock_wall_s(void)
{
	return read_us(CLOCK_REALTIME) / 1000000;
}

/* strftime() would write the names in the language of the locale. */
static const char day_names[7][4] = {
	"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"
};
static const char month_names[12][4] = {
	"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct",
	"Nov", "Dec"
};

void
clock_rfc5322(int64_t wall_s, char out[CLOCK_RFC5322_MAX])
{
	time_t t = (time_t)wall_s;
	struct tm tm = { 0 };
	const char *zone;
	long off;

	if (localtime_r(&t, &tm) == NULL) {
		t = 0;
		gmtime_r(&t, &tm);
	}
	off = labs(tm.tm_gmtoff) / 60;
	zone = tm.tm_zone ? tm.tm_zone : "";
	snprintf(out, CLOCK_RFC5322_MAX,
	    "%s, %02d %s %04d %02d:%02d:%02d %c%02ld%02ld%s%.16s%s",
	    day_names[tm.tm_wday], tm.tm_mday, month_names[tm.tm_mon],
	    tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec,
	    tm.tm_gmtoff < 0 ? '-' : '+', off / 60, off % 60,
	    *zone ? " (" : "", zone, *zone ? ")" : "");
}

int
clock_zone_min(int64_t wall_s)
{
	time_t t = (time_t)wall_s;
	struct tm tm = { 0 };

	return localtime_r(&t, &tm) == NULL ? 0 : (int)(tm.tm_gmtoff / 60);
}

void
clock_syslog(int64_t wall_s, char out[CLOCK_SYSLOG_MAX])
{
	time_t t = (time_t)wall_s;
	struct tm tm = { 0 };

	if (localtime_r(&t, &tm) == NULL) {
		t = 0;
		gmtime_r(&t, &tm);
	}
	snprintf(out, CLOCK_SYSLOG_MAX, "%s %2d %02d:%02d:%02d",
	    month_names[tm.tm_mon], tm.tm_mday, tm.tm_hour, tm.tm_min,
	    tm.tm_sec);
}

static int64_t delay_unit = 1;		/* us: the last digit that is shown */
static int delay_most = 6;

void
clock_delay_digits(int most)
{
	delay_most = MAX(MIN(most, 6), 0);
	delay_unit = 1;
	for (int i = delay_most; i < 6; i++)
		delay_unit *= 10;
}

/* Without floating point, which would cost more than all the rest of a line:
 * there are four of these in the line of each delivery. */
const char *
clock_delay(int64_t us, char out[CLOCK_DELAY_MAX])
{
	int64_t unit = delay_unit;
	int digits = delay_most, n;

	if (us <= 0 || us < (unit + 1) / 2) {
		n = snprintf(out, CLOCK_DELAY_MAX, "0");
	} else if (digits > 0 && us < 995000 && us + unit / 2 < 1000000) {
		while ((us + unit / 2) / unit >= 100) {
			unit *= 10;
			digits--;
		}
		us = (us + unit / 2) / unit;
		if (us % 10 == 0) {
			us /= 10;
			digits--;
		}
		n = snprintf(out, CLOCK_DELAY_MAX, "0.%0*d", digits, (int)us);
	} else if (digits > 0 && us < 9950000) {
		us = (us + 50000) / 100000;
		n = snprintf(out, CLOCK_DELAY_MAX, "%d.%d", (int)us / 10,
		    (int)us % 10);
	} else {
		n = snprintf(out, CLOCK_DELAY_MAX, "%lld",
		    (long long)((us + 500000) / 1000000));
	}
	if (n < 0)
		log_panic("snprintf failed");
	return out;
}
