/* SPDX-License-Identifier: ISC */
/*
 * Command lines, and the arguments of MAIL, RCPT, BDAT, XCLIENT.
 *
 * The first byte chooses the flags.  What is accepted holds no NUL, CR or LF,
 * is within its limit, and is accepted again when written in its strict form.
 */
#include <stdlib.h>

#include "base/utf8.h"
#include "mail/address.h"
#include "smtpd/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_address(const struct buf *addr, unsigned flags)
{
	struct buf again = BUF_INIT(4096), quoted = BUF_INIT(4096);
	struct mail_params p;
	struct parse_error err;

	if (addr->len > ADDRESS_MAX)
		abort();
	for (size_t i = 0; i < addr->len; i++)
		if (addr->data[i] == '\0' || addr->data[i] == '\n' ||
		    addr->data[i] == '\r')
			abort();
	buf_add_str(&quoted, "FROM:<");
	address_quote_821(buf_span(addr), &quoted);
	buf_add_char(&quoted, '>');
	if (parse_mail(buf_span(&quoted), flags | PARSE_LAX, &again, &p,
	    &err) < 0 || !span_eq(buf_span(addr), buf_span(&again)))
		abort();
	buf_fini(&again);
	buf_fini(&quoted);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf addr = BUF_INIT(1024), value = BUF_INIT(512);
	struct span line, verb, rest, name;
	struct mail_params m;
	struct rcpt_params r;
	struct parse_error err = { NULL, { NULL, 0 } };
	struct sock_addr a;
	unsigned flags;
	uint64_t n;
	bool last;

	if (size == 0)
		return 0;
	flags = data[0] & PARSE_ALL;
	line = span_make(data + 1, size - 1);
	if (!parse_verb(line, &verb, &rest))
		goto out;
	if (verb.len == 0 || verb.p < line.p ||
	    rest.p + rest.len > line.p + line.len)
		abort();
	if (parse_mail(rest, flags, &addr, &m, &err) == 0) {
		if (m.envid.len > DSN_ENVID_MAX)
			abort();
		if (utf8_ascii(buf_span(&addr)) || (flags & PARSE_UTF8))
			check_address(&addr, flags);
	} else if (err.reply == NULL || err.reply[0] != '5' || addr.len > 0) {
		abort();
	}
	err.reply = NULL;
	buf_reset(&addr);
	if (parse_rcpt(rest, flags, &addr, &r, &err) == 0) {
		if (addr.len == 0)
			abort();
		check_address(&addr, flags | PARSE_UTF8);
		buf_reset(&value);
		if (r.orcpt.len > 0 && parse_orcpt(r.orcpt,
		    (flags & PARSE_UTF8) != 0, &value) < 0)
			abort();
	} else if (err.reply == NULL || err.reply[0] != '5' || addr.len > 0) {
		abort();
	}
	(void)!parse_bdat(rest, &n, &last);
	(void)parse_hostname_valid(rest);
	(void)!parse_xaddr(rest, &a);
	while (parse_xattr(&rest, &name, &value, &err) == 1)
		for (size_t i = 0; i < value.len; i++)
			if ((unsigned char)value.data[i] < ' ')
				abort();
out:
	buf_fini(&addr);
	buf_fini(&value);
	return 0;
}
