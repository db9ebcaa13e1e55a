/* SPDX-License-Identifier: ISC */
/*
 * signature - see signature.h.
 */
#include "mail/charset.h"
#include "mail/message_text.h"
#include "mail/signature.h"

#define BITS	(SIGNATURE_SIZE * 8)

/* One bit of BITS for three bytes, the first in the lowest eight bits. */
static inline unsigned
bit_of(uint32_t trigram)
{
	return (trigram * 2654435761u) >> 21;
}

_Static_assert(BITS == 1 << (32 - 21), "bit_of() makes numbers below BITS");

static inline uint32_t
byte_at(struct span s, size_t i)
{
	return (uint32_t)(unsigned char)s.p[i];
}

void
signature_add(struct signature *sig, struct span text)
{
	const unsigned char *p = (const unsigned char *)text.p;
	uint32_t t;

	if (text.len < 3)
		return;
	t = (uint32_t)p[0] << 8 | (uint32_t)p[1] << 16;
	for (const unsigned char *q = p + 2; q < p + text.len; q++) {
		unsigned bit;

		t = t >> 8 | (uint32_t)*q << 16;
		bit = bit_of(t);
		sig->bits[bit >> 3] |= (uint8_t)(1u << (bit & 7));
	}
}

struct adder {
	struct signature	*sig;
	size_t			 len;	/* bytes of text so far */
};

static bool
add(void *arg, struct span text)
{
	struct adder *a = arg;

	a->len += text.len;
	if (a->len > SIGNATURE_TEXT_MAX)
		return false;
	signature_add(a->sig, text);
	return true;
}

void
signature_of_message(struct signature *sig, const struct message *m)
{
	uint64_t misses = charset_misses();
	struct adder a = { .sig = sig };
	bool whole;

	memset(sig, 0, sizeof(*sig));
	whole = message_text_each(m, TEXT_HEADER | TEXT_MIME | TEXT_BODY, add,
	    &a);
	/* Let everything through, also where a charset is unknown: who
	 * searches may know it. */
	if (!whole || charset_misses() != misses)
		memset(sig, 0xff, sizeof(*sig));
}

void
signature_query(struct signature_query *q, struct span key)
{
	q->n = 0;
	for (size_t i = 2; i < key.len && q->n < ARRAY_LEN(q->bit); i++) {
		unsigned bit = bit_of(byte_at(key, i - 2) |
		    byte_at(key, i - 1) << 8 | byte_at(key, i) << 16);
		bool there = false;

		for (size_t j = 0; j < q->n && !there; j++)
			there = q->bit[j] == bit;
		if (!there)
			q->bit[q->n++] = (uint16_t)bit;
	}
}

bool
signature_may_contain(const uint8_t *sig, const struct signature_query *q)
{
	for (size_t i = 0; i < q->n; i++)
		if (!(sig[q->bit[i] / 8] >> q->bit[i] % 8 & 1))
			return false;
	return true;
}
