/* SPDX-License-Identifier: ISC */
/*
 * lines - see lines.h.
 */
#include "store/lines.h"

#include "base/eol.h"
#include "store/packed.h"

void
line_count_add(struct line_count *c, struct span s)
{
	struct eol found = { 0, 0 };

	if (s.len == 0)
		return;
	(void)eol_pass(s.p, s.p + s.len, c->last, EOL_NO_STOP, &found);
	c->bare += found.bare;
	c->last = s.p[s.len - 1];
}

uint32_t
line_count_how(const struct line_count *c)
{
	return c->last == '\n' ? PACKED_ENDED : PACKED_OPEN;
}
