/* SPDX-License-Identifier: ISC */
#ifndef DAEMON_SERVICES_PRIV_H
#define DAEMON_SERVICES_PRIV_H

#include "daemon/services.h"

/* Whom problems are told, and whether there was an error among them. */
struct reporter {
	report_fn	*report;
	void		*arg;
	bool		 bad;
};

void	 report_to(struct reporter *r, enum log_level level,
	    const char *fmt, ...) PRINTF(3, 4);

/*
 * What must be right on this machine before master may run: users, queue
 * directory, log file's place.  0, or -1 when something is not.
 */
MUST_CHECK int services_check_machine(report_fn *report, void *arg);
/*
 * Let the programs themselves judge the settings that only they can (struct
 * daemon's check): restriction lists, lists of networks, tables of cleanup.
 * 0, or -1 when one of them finds an error.  Runs each of them for a moment.
 */
MUST_CHECK int services_check_programs(const struct services *s,
	    const char *config_dir, const char *const *overrides, size_t n,
	    report_fn *report, void *arg);

#endif
