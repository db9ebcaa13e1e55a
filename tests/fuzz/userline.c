/* SPDX-License-Identifier: ISC */
/*
 * Lines of authd_password_file, and hashes in them that somebody else made.
 */
#include <stdint.h>
#include <stdlib.h>

#include "auth/sasl.h"
#include "auth/userline.h"

int	 LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span text = span_make(data, size), rest, f;
	struct buf once = BUF_INIT(BUF_UNLIMITED), twice = once;
	struct app_password app;
	struct scram_keys k;
	struct userline l;

	if (span_has_nul(text) || span_find(text, '\n') >= 0)
		return 0;
	userline_parse(&l, text);
	(void)!scram_keys_parse(&k, DIGEST_SHA256, l.scram256);
	(void)!scram_keys_parse(&k, DIGEST_SHA1, l.scram1);
	rest = l.fields;
	while (userline_field(&rest, &f))
		if (app_password_parse(f, &app))
			(void)app_password_allows(&app, SPAN("smtp"));
	/* The same change twice is the same line. */
	userline_edit(text, SPAN("k="), SPAN("k=v"), &once);
	userline_edit(buf_span(&once), SPAN("k="), SPAN("k=v"), &twice);
	if (!span_eq(buf_span(&once), buf_span(&twice)))
		abort();
	buf_fini(&once);
	buf_fini(&twice);
	return 0;
}
