/* SPDX-License-Identifier: ISC */
/*
 * Aliases and .forward lines: every byte string ends, and what a token says
 * is never longer than the input.
 */
#include "local/token.h"
#include "mail/address.h"

int	 LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void
item(void *arg, const struct address_item *a)
{
	(void)arg;
	(void)a;
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct span rest = span_make(p, n);
	struct buf out = BUF_INIT(4096);
	enum token_kind kind;
	int rc;

	while ((rc = token_next(&rest, &kind, &out)) != 0) {
		if (out.len > n || (rc > 0 && out.len == 0))
			__builtin_trap();
		if (rc > 0 && kind == TOKEN_ADDRESS)
			(void)address_list_each(buf_span(&out), 100, item,
			    NULL);
	}
	buf_fini(&out);
	return 0;
}
