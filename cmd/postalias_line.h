/* SPDX-License-Identifier: ISC */
/*
 * postalias_line - a line of an aliases(5) file: "name: value, value, ...".
 */
#ifndef CMD_POSTALIAS_LINE_H
#define CMD_POSTALIAS_LINE_H

#include "base/buf.h"
#include "base/span.h"

/*
 * Append name (without its quotes) and value (runs of space outside quotes
 * become one, and there is one behind each comma between items) to the
 * buffers.  0, or -1 when that cannot be, with what is wrong.
 */
int	postalias_parse(struct span line, struct buf *name, struct buf *value,
	    const char **complaint);

#endif
