/* SPDX-License-Identifier: ISC */
/*
 * tables - look-ups for a process that opens no file: rewrite makes them.
 */
#ifndef SMTP_TABLES_H
#define SMTP_TABLES_H

#include "base/cc.h"
#include "base/span.h"
#include "io/loop.h"

struct table_query;

/* rc: 1 found, 0 not, -1: temporary, text says why. */
typedef void tables_fn(void *arg, int rc, struct span value, const char *text);

void	 tables_start(struct loop *l, const char *path);
/*
 * Look the keys up, in their order, in the first table of maps ("hash:/a,
 * hash:/b"), then in the next; the first that is found is the answer.
 * Pattern tables see the first nwhole keys.  The answer never comes from
 * within.
 */
struct table_query *tables_ask(const char *maps, const struct span *keys,
	    size_t n, size_t nwhole, tables_fn *fn, void *arg);
/*
 * An address through tables of addresses, as generic(5): the value that is
 * found is the address in their place.  The answer never comes from within.
 */
struct table_query *tables_map(const char *maps, struct span address,
	    bool propagate, tables_fn *fn, void *arg);
void	 tables_cancel(struct table_query **q);

#endif
