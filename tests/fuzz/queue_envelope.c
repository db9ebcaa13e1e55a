/* SPDX-License-Identifier: ISC */
/*
 * The envelope decoder: what it takes, it gives again.
 */
#include <stdlib.h>

#include "queue/envelope.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct envelope e, again;
	struct buf a = BUF_INIT(BUF_UNLIMITED), b = BUF_INIT(BUF_UNLIMITED);
	struct why why = WHY_INIT;

	if (envelope_decode(&e, span_make(data, size), &why) < 0) {
		if (why.text[0] == '\0' || e.rcpts.len != 0)
			abort();
		return 0;
	}
	envelope_encode(&a, &e);
	if (envelope_decode(&again, buf_span(&a), &why) < 0)
		abort();
	envelope_encode(&b, &again);
	if (!span_eq(buf_span(&a), buf_span(&b)))
		abort();
	envelope_fini(&e);
	envelope_fini(&again);
	buf_fini(&a);
	buf_fini(&b);
	return 0;
}
