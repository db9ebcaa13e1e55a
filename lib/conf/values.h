/* SPDX-License-Identifier: ISC */
/*
 * values - every text that the configuration says anywhere: settings,
 * restriction classes, and what services of master.cf have of their own.  For
 * daemons that do something on behalf of others, and only what somebody with
 * the right to write the configuration has named.
 */
#ifndef CONF_VALUES_H
#define CONF_VALUES_H

#include "base/span.h"

/* value is expanded, and good during the call. */
typedef void values_fn(void *arg, const char *name, struct span value,
	    bool is_class);

/* After params_load().  master.cf is read here; what is wrong with it is
 * others' to report. */
void	 values_each(values_fn *fn, void *arg);

#endif
