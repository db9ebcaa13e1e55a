/* SPDX-License-Identifier: ISC */
/*
 * Answers of policy services: what is one stays the same with more behind it,
 * and its action is a line.
 */
#include <stdlib.h>

#include "delegate/delegate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_make(data, size), a, b;
	const char *reason = NULL;
	size_t used = 0, used2 = 0;
	int rc = reply_parse(in, &a, &used, &reason);

	if (rc < 0 && reason == NULL)
		abort();
	if (rc > 0) {
		if (used > size || span_find(a, '\n') >= 0 ||
		    span_has_nul(a) || a.len > DELEGATE_ACTION_MAX)
			abort();
		if (reply_parse(span_sub(in, 0, used), &b, &used2, &reason) !=
		    1 || used2 != used || !span_eq(a, b))
			abort();
		if (reply_parse(span_sub(in, 0, used - 1), &b, &used2,
		    &reason) != 0)
			abort();
	}
	(void)request_valid(in);
	return 0;
}
