/* SPDX-License-Identifier: ISC */
/*
 * SRS: what is made of any sender leads back to it while it lasts, and to
 * nobody when a byte is changed.
 */
#include <stdlib.h>
#include <unistd.h>

#include "auth/srs.h"
#include "mail/address.h"

#define NOW	1800000000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct srs *
open_one(void)
{
	char path[] = "/tmp/mansio-fuzz-XXXXXX";
	struct why why = WHY_INIT;
	struct srs *s;
	int fd = mkstemp(path);

	if (fd < 0 || write(fd, "key\nold\n", 8) != 8)
		abort();
	close(fd);
	s = srs_open(path, "fwd.test", 21 * 86400, getuid(), getgid(), &why);
	unlink(path);
	if (s == NULL)
		abort();
	return s;
}

static void
round_trip(const struct srs *s, struct span in)
{
	struct buf there = BUF_INIT(BUF_UNLIMITED),
	    back = BUF_INIT(BUF_UNLIMITED);
	struct span local, domain;
	struct why why = WHY_INIT;

	if (srs_forward(s, in, NOW, &there) < 0)
		goto out;
	address_split(in, &local, &domain);
	if (!srs_is(s, buf_span(&there)))
		abort();
	/* A domain with '=' is none; its parts are taken for others. */
	if (span_find(domain, '=') >= 0)
		goto out;
	if (srs_reverse(s, buf_span(&there), NOW + 86400, &back, &why) < 0)
		goto out;
	if (there.data[3] == '0' && !span_eq(buf_span(&back), in))
		abort();
	buf_reset(&back);
	if (there.data[3] == '0' && srs_reverse(s, buf_span(&there), NOW +
	    30 * 86400, &back, &why) == 0)
		abort();
	there.data[5] = there.data[5] == 'a' ? 'b' : 'a';
	if (srs_reverse(s, buf_span(&there), NOW, &back, &why) == 0)
		abort();
out:
	buf_fini(&there);
	buf_fini(&back);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct srs *s;
	struct span in = span_make(data, size);
	struct buf out = BUF_INIT(BUF_UNLIMITED);
	struct why why = WHY_INIT;

	if (s == NULL)
		s = open_one();
	if (span_has_nul(in) || size > 1024)
		return 0;
	if (srs_is(s, in) && srs_reverse(s, in, NOW, &out, &why) == 0 &&
	    out.len == 0)
		abort();
	round_trip(s, in);
	buf_fini(&out);
	return 0;
}
