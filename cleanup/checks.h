/* SPDX-License-Identifier: ISC */
/*
 * checks - the actions of header_checks(5) tables.
 */
#ifndef CLEANUP_CHECKS_H
#define CLEANUP_CHECKS_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"
#include "cleanup/cleanup.h"
#include "conf/table.h"

enum check_result {
	CHECK_KEEP,			/* as it is */
	CHECK_DROP,			/* IGNORE, STRIP */
	CHECK_REPLACE,			/* text has what takes its place */
	CHECK_PREPEND,			/* text has a line to put before it */
	CHECK_STOP			/* the message is refused or discarded */
};

/*
 * Look content, one header or one line of the body, up and do what the table
 * says.  what is "header" or "body", for the log.  text is overwritten.
 */
enum check_result checks_apply(struct message *m, struct maps *maps,
	    const char *what, struct span content, struct buf *text);

#endif
