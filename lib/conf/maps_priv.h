/* SPDX-License-Identifier: ISC */
/*
 * maps_priv - a table that is opened when it can be, for maps.c and
 * match_list.c.
 */
#ifndef CONF_MAPS_PRIV_H
#define CONF_MAPS_PRIV_H

#include "conf/table.h"

struct late_table;

/* NULL with why only when spec is wrong in itself. */
struct late_table *late_table_new(const char *title, struct span spec,
	    int flags, struct why *why);
void	 late_table_free(struct late_table **l);
/* The open table, or NULL with why. */
struct table *late_table_get(struct late_table *l, struct why *why);
const char *late_table_spec(const struct late_table *l);

#endif
