/* SPDX-License-Identifier: ISC */
/*
 * lines - see lines.h.
 */
#include "store/lines.h"

#include <string.h>

#include "store/packed.h"

void
line_count_add(struct line_count *c, struct span s)
{
	const char *p = s.p, *end;

	if (s.len == 0)
		return;
	end = p + s.len;
	while (p < end && (p = memchr(p, '\n', (size_t)(end - p))) != NULL) {
		c->bare += (p > s.p ? p[-1] : c->last) != '\r';
		p++;
	}
	c->last = end[-1];
}

uint32_t
line_count_how(const struct line_count *c)
{
	return c->last == '\n' ? PACKED_ENDED : PACKED_OPEN;
}
