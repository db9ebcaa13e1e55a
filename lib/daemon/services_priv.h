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

#endif
