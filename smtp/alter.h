/* SPDX-License-Identifier: ISC */
/*
 * alter - a message as smtp_header_checks, smtp_mime_header_checks,
 * smtp_nested_header_checks, smtp_body_checks and smtp_generic_maps want it,
 * made while it goes out.
 */
#ifndef SMTP_ALTER_H
#define SMTP_ALTER_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"
#include "base/why.h"
#include "conf/table.h"
#include "smtp/generic.h"

/* The tables; all NULL when there are none. */
struct alter_checks {
	struct maps	*header, *mime, *nested, *body;
};

struct alter;

/*
 * Lines that end in LF go in by alter_write() and come out in out.  queue_id
 * (for the log) and g (which may be NULL) stay the caller's.
 */
struct alter *alter_new(const struct alter_checks *c, const struct generic *g,
	    struct span queue_id, struct buf *out);
void	 alter_free(struct alter **a);
void	 alter_write(struct alter *a, struct span in);
void	 alter_finish(struct alter *a);
/* 0, or -1 with why: a table could not be read, and what came out must not be
 * taken for the message. */
MUST_CHECK int alter_check(const struct alter *a, struct why *why);

#endif
