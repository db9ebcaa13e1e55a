/* SPDX-License-Identifier: ISC */
/*
 * params_priv - what the files of params share and nobody else needs.
 */
#ifndef CONF_PARAMS_PRIV_H
#define CONF_PARAMS_PRIV_H

#include "base/cc.h"
#include "base/span.h"

/* The default of a COMPUTED row as text, to mem_free(). */
char	*params_compute(const char *name);
/* The expanded value of a parameter during a load, to mem_free(); "" when it
 * is unset or broken.  For params_compute(). */
char	*params_loading_get(const char *name);
/* Whether main.cf or an override sets it. */
bool	 params_loading_is_set(const char *name);

/* How far a is from b: inserted, deleted, changed, swapped characters;
 * limit + 1 when that is more than limit. */
unsigned params_distance(const char *a, const char *b, unsigned limit);

#endif
