/* SPDX-License-Identifier: ISC */
/*
 * The file of bans, as a disk or an editor may have left it: what is taken is
 * written, and taken again as the same.  The table stays for the next input.
 */
#include <stdlib.h>

#include "authd/guard_priv.h"
#include "base/clock.h"
#include "conf/params.h"

int	 LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* Each has a name and ends sometime. */
static size_t
check_all(void)
{
	int64_t latest = clock_mono_ms() + 31622400LL * 1000;
	size_t n = 0;

	LIST_FOREACH(l, &guard_by_use) {
		struct guard_entry *e = LIST_ENTRY(l, struct guard_entry,
		    link);

		if ((e->key.p[0] != 'a' && e->key.p[0] != 'u') ||
		    e->key.len < 2 || e->key.len > 1 + AUTH_NAME_MAX ||
		    e->ngood > GOOD_MAX || e->ban_end_ms > latest ||
		    e->since_ms > clock_mono_ms() ||
		    (e->by_hand && e->ban_end_ms == 0))
			abort();
		n++;
	}
	return n;
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct buf one = BUF_INIT(BUF_UNLIMITED);
	size_t had;

	if (n > 65536)
		return 0;
	conf.authd_failure_ban_time = 3600;
	if (guard_file_take(span_make(p, n)) >= 0) {
		had = check_all();
		guard_file_put(&one);
		if (guard_file_take(buf_span(&one)) != 0 || check_all() != had)
			abort();
	}
	buf_fini(&one);
	return 0;
}
