/* SPDX-License-Identifier: ISC */
/*
 * The path of MAIL and RCPT.  The first byte is the flags.
 *
 * What is taken fits its limits, has no control character, and is taken again
 * in its quoted form, strictly too where it was taken strictly.
 */
#include <stdlib.h>

#include "mail/address.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_again(struct span addr, int flags)
{
	struct buf path = BUF_INIT(BUF_UNLIMITED);
	struct buf again = BUF_INIT(BUF_UNLIMITED);
	struct span rest;

	buf_add_char(&path, '<');
	address_quote_821(addr, &path);
	buf_add_char(&path, '>');
	if (address_parse_path(buf_span(&path), flags, &again, &rest) < 0 ||
	    rest.len != 0 || !span_eq(buf_span(&again), addr))
		abort();
	buf_fini(&path);
	buf_fini(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf out = BUF_INIT(BUF_UNLIMITED);
	struct span in, rest, local, domain, user, ext;
	int flags;

	if (size == 0)
		return 0;
	flags = data[0] & (ADDRESS_LAX | ADDRESS_UTF8);
	in = span_make(data + 1, size - 1);
	if (address_parse_path(in, flags, &out, &rest) < 0) {
		if (out.len != 0)
			abort();
		return 0;
	}
	address_split(buf_span(&out), &local, &domain);
	if (out.len > ADDRESS_MAX || rest.len > in.len)
		abort();
	for (size_t i = 0; i < out.len; i++)
		if ((unsigned char)out.data[i] < ' ' || out.data[i] == 0x7f)
			abort();
	if (address_split_ext(local, "+-", &user, &ext) &&
	    user.len + 1 + ext.len != local.len)
		abort();
	(void)address_domain_valid(domain, flags);
	(void)address_literal_valid(domain);
	check_again(buf_span(&out), flags);
	buf_fini(&out);
	return 0;
}
