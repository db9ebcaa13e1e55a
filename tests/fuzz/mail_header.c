/* SPDX-License-Identifier: ISC */
/*
 * A header section, taken apart; dates and DSN parameters from its values.
 * No byte is lost between fields.
 */
#include <stdlib.h>

#include "mail/date.h"
#include "mail/dsn.h"
#include "mail/header.h"
#include "mail/mime.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
values(struct span v)
{
	struct buf out = BUF_INIT(BUF_UNLIMITED);
	struct buf enc = BUF_INIT(BUF_UNLIMITED);
	struct buf back = BUF_INIT(BUF_UNLIMITED);
	struct span type, sub, params;
	char text[DATE_MAX];
	int64_t when, again;
	unsigned notify;
	int zone;

	if (date_parse(v, &when, &zone) == 0) {
		date_format(when, zone, text);
		if (date_parse(span_of(text), &again, NULL) == 0 &&
		    again != when)
			abort();
	}
	header_unfold(v, &out);
	if (memchr(out.data, '\n', out.len) != NULL)
		abort();
	buf_reset(&out);
	if (dsn_xtext_decode(v, &out) == 0) {
		dsn_xtext_encode(buf_span(&out), &enc);
		if (dsn_xtext_decode(buf_span(&enc), &back) < 0 ||
		    !span_eq(buf_span(&back), buf_span(&out)))
			abort();
	}
	buf_reset(&out);
	buf_reset(&enc);
	buf_reset(&back);
	if (dsn_utf8_decode(v, &out) == 0) {
		dsn_utf8_encode(buf_span(&out), true, &enc);
		if (dsn_utf8_decode(buf_span(&enc), &back) < 0 ||
		    !span_eq(buf_span(&back), buf_span(&out)))
			abort();
	}
	(void)dsn_code_valid(v);
	(void)!dsn_parse_notify(v, &notify);
	buf_reset(&out);
	if (mime_type_parse(v, &type, &sub, &params) == 0)
		(void)mime_param(params, "boundary", &out);
	buf_fini(&out);
	buf_fini(&enc);
	buf_fini(&back);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span all = span_make(data, size), rest = all;
	const char *at = all.p;
	struct header_field f;

	values(all);
	while (header_next(&rest, &f) == 1) {
		if (f.whole.p != at || f.whole.len == 0 || f.name.len == 0)
			abort();
		at += f.whole.len;
		values(f.value);
	}
	if (rest.len > 0 && rest.p != at)
		abort();
	return 0;
}
