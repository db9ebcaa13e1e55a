/* SPDX-License-Identifier: ISC */
/*
 * retry - see retry.h.
 */
#include "qmgr/retry.h"

#include <stdlib.h>

#define US	INT64_C(1000000)

int64_t
retry_next_us(int64_t now_us, int64_t arrival_us, int64_t min_s,
    int64_t max_s)
{
	int64_t wait_s = now_us > arrival_us ? (now_us - arrival_us) / US : 0;

	if (wait_s > max_s)
		wait_s = max_s;
	if (wait_s < min_s)
		wait_s = min_s;
	return now_us + wait_s * US;
}

int64_t
retry_found_us(int64_t next_us, int64_t stored_us, int64_t now_us,
    int64_t max_s)
{
	if (stored_us > now_us)
		next_us -= stored_us - now_us;
	return next_us - now_us > max_s * US ? now_us + max_s * US : next_us;
}

bool
retry_expired(int64_t now_us, int64_t arrival_us, int64_t lifetime_s)
{
	return now_us - arrival_us >= 0 &&
	    (now_us - arrival_us) / US >= lifetime_s;
}

/* A plain decimal number, without sign or exponent. */
static int
decimal(struct span s, double *out)
{
	char tmp[32], *end;

	if (s.len == 0 || span_copy(s, tmp, sizeof(tmp)) < 0 ||
	    strspn(tmp, "0123456789.") != s.len)
		return -1;
	*out = strtod(tmp, &end);
	return *end == '\0' ? 0 : -1;
}

int
feedback_parse(struct span text, struct feedback *out)
{
	ptrdiff_t slash;
	double n, d;

	text = span_trim(text);
	slash = span_find(text, '/');
	if (slash < 0) {
		if (decimal(text, &n) < 0 || n > 1)
			return -1;
		*out = (struct feedback){ FEEDBACK_CONST, n };
		return 0;
	}
	if (decimal(span_trim(span_sub(text, 0, (size_t)slash)), &n) < 0)
		return -1;
	text = span_trim(span_from(text, (size_t)slash + 1));
	if (span_is(text, "concurrency")) {
		*out = (struct feedback){ FEEDBACK_1_N, n };
		return 0;
	}
	if (span_is(text, "sqrt_concurrency")) {
		*out = (struct feedback){ FEEDBACK_1_SQRT_N, n };
		return 0;
	}
	if (decimal(text, &d) < 0 || d <= 0 || n / d > 1)
		return -1;
	*out = (struct feedback){ FEEDBACK_CONST, n / d };
	return 0;
}

/* A root that is near enough, without libm. */
static double
root(double x)
{
	double r = x > 1 ? x : 1;

	for (int i = 0; i < 30; i++)
		r = (r + x / r) / 2;
	return r;
}

static double
feedback(const struct feedback *f, int64_t window)
{
	double n = window > 1 ? (double)window : 1;

	switch (f->kind) {
	case FEEDBACK_1_N:
		return f->value / n;
	case FEEDBACK_1_SQRT_N:
		return f->value / root(n);
	case FEEDBACK_CONST:
		break;
	}
	return f->value;
}

void
window_init(struct window *w, const struct window_limits *lim)
{
	*w = (struct window){
		.size = MAX(1, MIN(lim->initial, lim->limit))
	};
}

void
window_good(struct window *w, const struct window_limits *lim, int64_t busy)
{
	w->fail_cohorts = 0;
	if (w->size <= 0) {		/* it was dead and has come back */
		window_init(w, lim);
		return;
	}
	/* Not used to the full: growing would only delay negative feedback. */
	if (w->size >= busy + lim->initial)
		return;
	w->success += feedback(&lim->positive, w->size);
	while (w->success + 0.0001 >= 1 && w->size < lim->limit) {
		w->size++;
		w->success -= 1;
		w->failure = 0;
	}
	if (w->size >= lim->limit) {
		w->size = MAX(1, lim->limit);
		w->success = 0;
	}
}

bool
window_bad(struct window *w, const struct window_limits *lim)
{
	if (w->size <= 0)
		return true;
	if (lim->failed_cohorts > 0) {
		w->fail_cohorts += 1.0 / (double)w->size;
		if (w->fail_cohorts + 0.0001 >= (double)lim->failed_cohorts) {
			w->size = 0;
			return true;
		}
	}
	w->failure -= feedback(&lim->negative, w->size);
	while (w->failure < -0.0001) {
		w->size--;
		w->failure += 1;
		w->success = 0;
	}
	if (w->size < 1)
		w->size = 1;
	return false;
}
