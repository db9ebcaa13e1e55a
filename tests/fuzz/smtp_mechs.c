/* SPDX-License-Identifier: ISC */
/*
 * What servers send to a SASL client: no challenge makes SCRAM believe a
 * server that does not know the password.
 */
#include <stdlib.h>

#include "smtp/mechs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sasl_choice c = { .offered = "SCRAM-SHA-256", .filter = "",
	    .options = "" };
	struct span rest = span_make(data, size), line;
	struct buf out = BUF_INIT(BUF_UNLIMITED);
	struct why why = WHY_INIT;
	struct sasl_client *s = sasl_client_new(&c, SPAN("u"), SPAN("p"),
	    &why);

	if (s == NULL)
		abort();
	sasl_client_fix_nonce(s, "abcdef");
	(void)sasl_client_first(s, &out);
	while (span_line(&rest, &line)) {
		ptrdiff_t i = span_search(line, SPAN("i="));

		/* Work that was asked for is none of the parser's. */
		if (i >= 0 && line.len - (size_t)i > 6)
			break;
		buf_reset(&out);
		if (sasl_client_step(s, line, &out, &why) < 0)
			break;
	}
	if (sasl_client_done(s))
		abort();
	sasl_client_free(&s);
	buf_fini(&out);
	return 0;
}
