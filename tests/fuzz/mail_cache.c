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

#define HEAD	368		/* bytes; then the strings */

static unsigned sum;

static void
touch(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		sum += (unsigned char)s.p[i];
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	struct message_cache c;

	buf_add(&b, data, size);
	if (b.len >= HEAD) {
		/* What has a checksum of its own ends with the second string. */
		size_t end = HEAD + MIN((size_t)num_get_le32(b.data + 60) +
		    num_get_le32(b.data + 64), b.len - HEAD);
		uint32_t crc = crc32c(0, b.data + 16, end - 16);

		num_put_le32(b.data, 0x4d433000u + MESSAGE_CACHE_VERSION);
		num_put_le32(b.data + 4, (uint32_t)b.len);
		num_put_le32(b.data + 8, crc32c(crc, b.data + end,
		    b.len - end));
		num_put_le32(b.data + 12, crc);
	}
	if (message_cache_decode(buf_span(&b), &c) == 0) {
		if (message_cache_decode_search(buf_span(&b), &c) < 0)
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
