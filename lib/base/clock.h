/* SPDX-License-Identifier: ISC */
/*
 * clock - what time it is.
 *
 * Deadlines and intervals use the monotonic clock: a jump of the wall clock
 * must neither time a session out nor keep it for ever.  What is stored or
 * shown to people uses the wall clock.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <time.h>

#include "base/cc.h"

int64_t	 clock_mono_ms(void);	/* since an arbitrary point */
int64_t	 clock_mono_us(void);
int64_t	 clock_wall_us(void);	/* since 1970-01-01 00:00:00 UTC */
int64_t	 clock_wall_s(void);

/* "Mon, 02 Mar 2026 14:05:09 +0100 (CET)": RFC 5322 3.3, local zone. */
#define CLOCK_RFC5322_MAX 64
void	 clock_rfc5322(int64_t wall_s, char out[CLOCK_RFC5322_MAX]);
/* "Mar  2 14:05:09": RFC 3164 4.1.2, local zone. */
#define CLOCK_SYSLOG_MAX 32
void	 clock_syslog(int64_t wall_s, char out[CLOCK_SYSLOG_MAX]);
/*
 * A delay in seconds as logs show it, rounded as Postfix does: "0.0012",
 * "0.05", "1.3", "260".  Returns out.
 */
#define CLOCK_DELAY_MAX 24
const char *clock_delay(int64_t us, char out[CLOCK_DELAY_MAX]);
/* How many digits it has after the point at most, 0 to 6 (which is so at
 * first): delay_logging_resolution_limit. */
void	 clock_delay_digits(int most);

/* The local zone at that time: minutes east of UTC. */
int	 clock_zone_min(int64_t wall_s);

#endif
