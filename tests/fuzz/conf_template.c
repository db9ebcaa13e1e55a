/* SPDX-License-Identifier: ISC */
/*
 * A template file of an administrator, parsed and expanded.
 */
#include "conf/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *
value(void *arg, struct span name)
{
	return name.len % 3 == 0 ? NULL : "value";
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct templates ts;
	struct why why = WHY_INIT;
	struct buf out = BUF_INIT(BUF_UNLIMITED);

	templates_init(&ts);
	if (templates_parse(&ts, span_make(data, size), &why) == 0)
		for (int k = 0; k < TEMPLATE_KINDS; k++)
			(void)template_expand(ts.t[k].text, value, NULL, &out,
			    &why);
	buf_fini(&out);
	templates_fini(&ts);
	return 0;
}
