/* SPDX-License-Identifier: ISC */
/*
 * A packed mailbox's journal as a disk, or its hostile owner, may have left
 * it: the head, the records, their recovery, and the rebuilt state.
 */
#include "base/num.h"
#include "store/packed.h"

int	 LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

struct seen {
	uint64_t	last;
	size_t		records;
};

static bool
record(void *arg, const struct packed_record *r)
{
	struct seen *s = arg;
	struct packed_arrival a;

	if (r->offset < s->last || r->end <= r->offset)
		__builtin_trap();
	s->last = r->end;
	s->records++;
	if (r->type == PACKED_ARRIVAL &&
	    packed_arrival_decode(&a, r->payload) == 0) {
		struct buf b = BUF_INIT(BUF_UNLIMITED);
		struct packed_arrival again;

		packed_arrival_encode(&b, &a);
		if (packed_arrival_decode(&again, buf_span(&b)) < 0 ||
		    again.uid != a.uid || again.offset != a.offset ||
		    !span_eq(again.rcpt, a.rcpt))
			__builtin_trap();
		buf_fini(&b);
	}
	return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct span in = span_make(p, n);
	struct packed_message m;
	struct packed_head h = { 0 };
	struct seen s = { 0, 0 };
	size_t damaged = 0;
	uint64_t end;

	if (packed_head_decode(&h, in) == 0 && h.state.uidnext == 0)
		__builtin_trap();
	if (packed_message_decode(&m, in) == 0 && m.uid == 0)
		__builtin_trap();
	end = packed_scan(span_from(in, PACKED_START), PACKED_START, &damaged,
	    record, &s);
	if (end > PACKED_START + n || (s.records > 0 && end != s.last))
		__builtin_trap();
	/* Also from the start, where nothing is aligned as it should be. */
	s = (struct seen){ 0, 0 };
	(void)packed_scan(in, 0, &damaged, record, &s);
	return 0;
}
