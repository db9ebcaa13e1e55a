/* SPDX-License-Identifier: ISC */
/*
 * signature - see signature.h.
 */
#include "base/num.h"
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

/*
 * A byte for each bit while text comes in, since a store that does not read
 * before it costs a third of one that does.
 */
struct adder {
	size_t		 len;	/* bytes of text so far */
	struct buf	*start;	/* or NULL */
	size_t		 start_len;
	uint8_t		 has[BITS];
};

/* No trigram spans two calls. */
static void
add_trigrams(struct adder *a, struct span text)
{
	const unsigned char *p = (const unsigned char *)text.p;
	uint32_t t;

	if (text.len < 3)
		return;
	t = (uint32_t)p[0] << 8 | (uint32_t)p[1] << 16;
	for (const unsigned char *q = p + 2; q < p + text.len; q++) {
		t = t >> 8 | (uint32_t)*q << 16;
		a->has[bit_of(t)] = 1;
	}
}

static void
gather_bits(const struct adder *a, struct signature *sig)
{
	for (size_t i = 0; i < SIGNATURE_SIZE; i++) {
		/* Byte k is 0 or 1; the product has it at bit 56 + k. */
		uint64_t eight = num_get_le64(&a->has[8 * i]);

		sig->bits[i] = (uint8_t)(eight * 0x0102040810204080u >> 56);
	}
}

static bool
add(void *arg, struct span text)
{
	struct adder *a = arg;

	a->len += text.len;
	if (a->len > SIGNATURE_TEXT_MAX)
		return false;
	add_trigrams(a, text);
	return true;
}

/* False: it is as long as it becomes. */
static bool
add_start(struct adder *a, struct span text)
{
	size_t room = SIGNATURE_START_MAX - a->start_len;

	if (a->start == NULL || room < 2)
		return false;
	text = span_sub(text, 0, room - 1);
	if (text.len > 0) {
		buf_add_span(a->start, text);
		buf_add_char(a->start, SIGNATURE_START_END);
		a->start_len += text.len + 1;
	}
	return true;
}

static bool
add_body(void *arg, struct span text)
{
	(void)add_start(arg, text);
	return add(arg, text);
}

static bool
add_start_only(void *arg, struct span text)
{
	return add_start(arg, text);
}

/* Bytes of decoded text that a part has at least, by its length as stored. */
static size_t
least_text(const struct message_part *p)
{
	switch (p->encoding) {
	case ENCODING_IDENTITY:
		/* UTF-16 that is ASCII is the charset that shrinks most. */
		return p->body.len / 4;
	default:
		return 0;	/* wholly soft line breaks, or not base64 */
	}
}

/* Decoding it only to find that out would cost as much as the delivery. */
static bool
too_much_text(const struct message *m)
{
	size_t len = 0;

	for (const struct message_part *p = m->root; p != NULL;
	    p = message_part_next(p, true))
		if (p->kind == MESSAGE_TEXT)
			len += least_text(p);
	return len > SIGNATURE_TEXT_MAX;
}

void
signature_and_start(struct signature *sig, const struct message *m,
    struct buf *start)
{
	uint64_t misses = charset_misses();
	size_t before = start != NULL ? start->len : 0;
	struct adder a;

	a.len = a.start_len = 0;
	a.start = start;
	memset(a.has, 0, sizeof(a.has));
	if (too_much_text(m)) {
		memset(sig, 0xff, sizeof(*sig));
		(void)message_text_each(m, TEXT_BODY, add_start_only, &a);
	} else if (message_text_each(m, TEXT_HEADER | TEXT_MIME, add, &a) &&
	    message_text_each(m, TEXT_BODY, add_body, &a)) {
		gather_bits(&a, sig);
	} else {
		memset(sig, 0xff, sizeof(*sig));
	}
	/* Let everything through, and say nothing, also where a charset is
	 * unknown: who searches may know it. */
	if (charset_misses() != misses) {
		memset(sig, 0xff, sizeof(*sig));
		if (start != NULL)
			buf_trunc(start, before);
	}
}

void
signature_of_message(struct signature *sig, const struct message *m)
{
	signature_and_start(sig, m, NULL);
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
