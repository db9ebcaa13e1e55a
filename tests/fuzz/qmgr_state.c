/* SPDX-License-Identifier: ISC */
/*
 * A record of state/, and the text of a feedback setting.
 */
#include "qmgr/retry.h"
#include "qmgr/state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct state_entries e = { .v = ARRAY_EMPTY };
	struct feedback f;

	if (state_parse(span_make(data, size), &e) == 0)
		(void)state_entries_all(&e, 1);	/* sorted or not */
	state_entries_fini(&e);
	if (feedback_parse(span_make(data, size), &f) == 0 && f.value < 0)
		__builtin_trap();
	return 0;
}
