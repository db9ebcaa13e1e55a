/* SPDX-License-Identifier: ISC */
/*
 * A cache record as it might come back from a disk: decoded, it lies inside of
 * the bytes, whatever they are.  The checksum is made right, for it would
 * refuse everything.
 */
#include <stdlib.h>

#include "base/crc32c.h"
#include "base/num.h"
#include "mail/message_cache.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HEAD	120		/* bytes; then the strings */

static unsigned sum;

static void
touch(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		sum += (unsigned char)s.p[i];
}

/* Of flags to the end of the first strings. */
static void
put_crc(struct buf *b, size_t at, int strings)
{
	size_t end = HEAD;

	for (int i = 0; i < strings; i++)
		end = MIN(end + num_get_le32(b->data + 64 + 4 * i), b->len);
	num_put_le32(b->data + at, crc32c(0, b->data + 20, end - 20));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	struct message_cache_bytes parts;
	struct message_cache c;

	buf_add(&b, data, size);
	if (b.len >= HEAD) {
		num_put_le32(b.data, 0x4d433000u + MESSAGE_CACHE_VERSION);
		num_put_le32(b.data + 4, (uint32_t)b.len);
		put_crc(&b, 16, 7);
		put_crc(&b, 12, 10);
		put_crc(&b, 8, 14);
	}
	if (message_cache_split(buf_span(&b), &parts) == 0 &&
	    message_cache_decode(&parts, MESSAGE_CACHE_ALL, &c) == 0) {
		if (message_cache_decode(&parts, MESSAGE_CACHE_SEARCH,
		    &c) < 0 || message_cache_decode(&parts,
		    MESSAGE_CACHE_KEYS, &c) < 0 || message_cache_again(
		    &parts, MESSAGE_CACHE_ALL, &c) < 0)
			abort();
		touch(c.envelope);
		touch(c.structure);
		touch(c.body);
		touch(c.preview);
		touch(c.start);
		touch(c.base_subject);
		touch(c.from);
		touch(c.to);
		touch(c.cc);
		touch(c.display_from);
		touch(c.display_to);
		touch(c.signature);
		touch(c.plain);
		for (uint32_t i = 0; i < c.nrefs; i++)
			sum += (unsigned)message_cache_ref(&c, i);
	}
	buf_fini(&b);
	return 0;
}
