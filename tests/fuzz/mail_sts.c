/* SPDX-License-Identifier: ISC */
/*
 * MTA-STS policies and records, TLSRPT records: the first byte chooses.
 */
#include <stdlib.h>

#include "mail/sts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
inside(struct span all, struct span part)
{
	if (part.len > 0 && (part.p < all.p ||
	    part.p + part.len > all.p + all.len))
		abort();
}

static void
policy(struct span text)
{
	struct why why = WHY_INIT;
	struct sts_policy p;

	if (sts_policy_parse(text, &p, &why) < 0) {
		if (why.text[0] == '\0')
			abort();
		return;
	}
	if (p.nmx > STS_MX_MAX || p.max_age > STS_AGE_MAX ||
	    (p.mode != STS_NONE && p.nmx == 0))
		abort();
	for (size_t i = 0; i < p.nmx; i++) {
		inside(text, p.mx[i]);
		if (!sts_pattern_valid(p.mx[i]))
			abort();
		(void)sts_pattern_matches(p.mx[i], SPAN("mx.example.org"));
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tlsrpt_record r;
	struct span text, id;

	if (size == 0)
		return 0;
	text = span_make(data + 1, size - 1);
	switch (data[0]) {
	case 'r':
		if (sts_record_parse(text, &id) == 0)
			inside(text, id);
		break;
	case 't':
		if (tlsrpt_record_parse(text, &r) == 0)
			for (size_t i = 0; i < r.nrua; i++)
				inside(text, r.rua[i]);
		break;
	default:
		policy(text);
		break;
	}
	return 0;
}
