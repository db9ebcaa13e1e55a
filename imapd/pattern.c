/* SPDX-License-Identifier: ISC */
/*
 * pattern - see pattern.h.  All ways to match are followed at once: a set of
 * places in the pattern, one bit each, is carried along the name.
 */
#include "imapd/pattern.h"
#include "store/account.h"

bool
pattern_sane(struct span pattern)
{
	size_t n = 0;

	for (size_t i = 0; i < pattern.len; i++)
		n += pattern.p[i] == '*' || pattern.p[i] == '%';
	return n <= PATTERN_WILD_MAX && pattern.len <= 2 * ACCOUNT_NAME_MAX;
}

#define PLACES	(2 * ACCOUNT_NAME_MAX + 1)

struct places {
	uint8_t	 at[PLACES];		/* 1: the pattern may stand here */
};

/* A wildcard also matches nothing: what lies behind it is reached, too. */
static void
reach(struct places *p, struct span pattern, size_t i)
{
	for (;; i++) {
		if (p->at[i])
			return;
		p->at[i] = 1;
		if (i == pattern.len ||
		    (pattern.p[i] != '*' && pattern.p[i] != '%'))
			return;
	}
}

bool
pattern_match(struct span pattern, struct span name)
{
	struct places a, b, *now = &a, *next = &b, *swap;
	/* INBOX is that in any case (RFC 9051 5.1), its children as well. */
	size_t inbox = span_starts(name, SPAN("INBOX")) && (name.len == 5 ||
	    name.p[5] == '/') ? 5 : 0;

	if (pattern.len >= PLACES)
		return false;
	memset(now->at, 0, pattern.len + 1);
	reach(now, pattern, 0);
	for (size_t k = 0; k < name.len; k++) {
		bool any = false;

		memset(next->at, 0, pattern.len + 1);
		for (size_t i = 0; i < pattern.len; i++) {
			char c = pattern.p[i];
			bool same = c == name.p[k] || (k < inbox &&
			    span_caseeq(span_make(&c, 1), span_sub(name, k, 1)));

			if (!now->at[i])
				continue;
			any = true;
			if (c == '*' || (c == '%' && name.p[k] != '/'))
				reach(next, pattern, i);
			if (same)
				reach(next, pattern, i + 1);
		}
		if (!any)
			return false;
		swap = now;
		now = next;
		next = swap;
	}
	return now->at[pattern.len] != 0;
}
