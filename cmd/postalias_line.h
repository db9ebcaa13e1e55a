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
 * become one) to the buffers.  0, or -1 when it is no "name: value".
 */
int	postalias_parse(struct span line, struct buf *name, struct buf *value);

#endif
