/* SPDX-License-Identifier: ISC */
/*
 * queue_id - see queue_id.h.
 *
 * Base 52 has the digits, and all letters but the vowels; base 51 is the same
 * without 'z', so that the last 'z' separates.
 */
#include "queue/queue_id.h"

#define SEC_DIGITS	6	/* good until the year 2596 */
#define USEC_DIGITS	4

static const char digits[] =
    "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz";

/* Write v in base at p, at least width digits wide; the number of digits. */
static size_t
put(char *p, uint64_t v, unsigned base, size_t width)
{
	char rev[16];
	size_t n = 0;

	do {
		rev[n++] = digits[v % base];
		v /= base;
	} while (v != 0);
	while (n < width)
		rev[n++] = '0';
	for (size_t i = 0; i < n; i++)
		p[i] = rev[n - 1 - i];
	return n;
}

static int
digit(char c)
{
	const char *p = c != '\0' ? strchr(digits, c) : NULL;

	return p != NULL ? (int)(p - digits) : -1;
}

static int
get(struct span s, unsigned base, uint64_t *out)
{
	uint64_t v = 0;

	for (size_t i = 0; i < s.len; i++) {
		int d = digit(s.p[i]);

		if (d < 0 || (unsigned)d >= base ||
		    v > (UINT64_MAX - (unsigned)d) / base)
			return -1;
		v = v * base + (unsigned)d;
	}
	*out = v;
	return 0;
}

void
queue_id_make(int64_t wall_us, uint64_t seq, char out[QUEUE_ID_MAX])
{
	uint64_t us = wall_us < 0 ? 0 : (uint64_t)wall_us;
	uint64_t sec_max = 1;
	char *p = out;

	for (int i = 0; i < SEC_DIGITS; i++)
		sec_max *= 52;
	p += put(p, us / 1000000 % sec_max, 52, SEC_DIGITS);
	p += put(p, us % 1000000, 52, USEC_DIGITS);
	*p++ = 'z';
	p += put(p, seq, 51, 1);
	*p = '\0';
}

int
queue_id_parse(struct span id, int64_t *wall_us, uint64_t *seq)
{
	uint64_t sec, usec, n;

	/* 6 + 4 + 'z' + 1 digit; 12 digits hold any u64 in base 51. */
	if (id.len < SEC_DIGITS + USEC_DIGITS + 2 || id.len >= QUEUE_ID_MAX ||
	    id.p[SEC_DIGITS + USEC_DIGITS] != 'z' ||
	    get(span_sub(id, 0, SEC_DIGITS), 52, &sec) < 0 ||
	    get(span_sub(id, SEC_DIGITS, USEC_DIGITS), 52, &usec) < 0 ||
	    get(span_from(id, SEC_DIGITS + USEC_DIGITS + 1), 51, &n) < 0 ||
	    usec >= 1000000)
		return -1;
	/* One name a number: no leading zeros. */
	if (id.len > SEC_DIGITS + USEC_DIGITS + 2 &&
	    id.p[SEC_DIGITS + USEC_DIGITS + 1] == '0')
		return -1;
	if (wall_us != NULL)
		*wall_us = (int64_t)(sec * 1000000 + usec);
	if (seq != NULL)
		*seq = n;
	return 0;
}

bool
queue_id_valid(struct span id)
{
	return queue_id_parse(id, NULL, NULL) == 0;
}

bool
queue_id_plausible(struct span id)
{
	for (size_t i = 0; i < id.len; i++)
		if (!((id.p[i] >= '0' && id.p[i] <= '9') ||
		    (id.p[i] >= 'A' && id.p[i] <= 'Z') ||
		    (id.p[i] >= 'a' && id.p[i] <= 'z')))
			return false;
	return id.len > 0 && id.len <= 255;
}
