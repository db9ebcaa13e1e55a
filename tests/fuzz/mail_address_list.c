/* SPDX-License-Identifier: ISC */
/*
 * The address list of a header.  What is named lies in the value, in order,
 * and its quoted form is one address again, the same.
 */
#include <stdlib.h>

#include "mail/address.h"
#include "mail/header.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	struct span	 value;
	const char	*end;		/* of the last raw */
	size_t		 n;
};

static void
note(void *arg, const struct address_item *a)
{
	struct seen *s = arg;
	struct buf q = BUF_INIT(BUF_UNLIMITED);

	if (a->addr.len == 0 || a->raw.len == 0 || a->raw.p < s->end ||
	    a->raw.p + a->raw.len > s->value.p + s->value.len)
		abort();
	s->end = a->raw.p + a->raw.len;
	s->n++;
	address_quote_822(a->addr, &q);
	for (size_t i = 0; i < q.len; i++)
		if ((unsigned char)q.data[i] < ' ')
			abort();
	buf_fini(&q);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct seen s = { span_make(data, size), (const char *)data, 0 };
	struct seen t = s;
	struct buf line = BUF_INIT(BUF_UNLIMITED);
	struct span section;
	struct header_field f;

	(void)address_list_each(s.value, 100000, note, &s);
	(void)address_list_each(t.value, 10, note, &t);
	if (t.n > s.n)
		abort();
	/* Folding keeps it one field. */
	header_fold(&line, "To", s.value, "\n");
	section = buf_span(&line);
	if (header_next(&section, &f) != 1 || section.len != 0)
		abort();
	buf_fini(&line);
	return 0;
}
