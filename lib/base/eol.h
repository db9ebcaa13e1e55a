/* SPDX-License-Identifier: ISC */
/*
 * eol - line ends, counted sixteen bytes at a time.
 *
 * A line ends with LF; a line end is bare when no CR is before it.  In mail
 * lines are short: to look for each LF by itself costs three times as much.
 */
#ifndef BASE_EOL_H
#define BASE_EOL_H

#include <stddef.h>
#include <stdint.h>

#include "base/cc.h"

struct eol {
	uint64_t	lines;	/* line ends */
	uint64_t	bare;	/* those without a CR */
};
#define EOL_NO_STOP	(-1)

/*
 * Add what is in [p, end) to c; before is the byte in front of p ('\n' where
 * there is none).  Stops in front of a byte stop, or EOL_NO_STOP, that begins
 * a line and is not the first byte.  Returns where: behind an LF, or end.
 */
const char *eol_pass(const char *p, const char *end, char before, int stop,
	    struct eol *c);

#endif
