/* SPDX-License-Identifier: ISC */
/*
 * table_text - a line of a table's source file: key, space, value.  The key
 * may have a part in double quotes that contains space.
 */
#ifndef CONF_TABLE_TEXT_H
#define CONF_TABLE_TEXT_H

#include "base/span.h"

enum table_line {
	TABLE_LINE_OK,
	TABLE_LINE_ALIAS,	/* used, but the key ends in ':' */
	TABLE_LINE_BAD		/* no key or no value */
};

/* Split a logical line; key and value point into it. */
enum table_line table_text_split(struct span line, struct span *key,
	    struct span *value);

#endif
