/* SPDX-License-Identifier: ISC */
/*
 * What the session monitor decodes, from fronts and from session processes:
 * a body is refused, or made again it is the same bytes.
 */
#include <stdlib.h>

#include "base/buf.h"
#include "session/control.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(type) do {						\
	struct type m;							\
									\
	if (type##_decode(&m, in) == 0) {				\
		type##_encode(&b, &m);					\
		if (!span_eq(buf_span(&b), in))				\
			abort();					\
		buf_reset(&b);						\
	}								\
} while (0)

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	struct span in;

	if (size == 0)
		return 0;
	in = span_make(data + 1, size - 1);
	switch (data[0] % 12) {
	case 0: CHECK(session_start); break;
	case 1: CHECK(session_refused); break;
	case 2: CHECK(session_whom); break;
	case 3: CHECK(session_row); break;
	case 4: CHECK(session_end); break;
	case 5: CHECK(control_facts); break;
	case 6: CHECK(control_conn); break;
	case 7: CHECK(control_drain); break;
	case 8: CHECK(control_done); break;
	case 9: CHECK(control_watch); break;
	case 10: CHECK(control_frozen); break;
	default: CHECK(control_idle); break;
	}
	buf_fini(&b);
	return 0;
}
