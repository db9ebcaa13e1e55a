/* SPDX-License-Identifier: ISC */
/*
 * status_filter - the administrator's last word on what became of a recipient:
 * default_delivery_status_filter and those of the transports.
 */
#ifndef ROUTE_STATUS_FILTER_H
#define ROUTE_STATUS_FILTER_H

#include "base/why.h"
#include "conf/table.h"
#include "ipc/msg_deliver.h"

/*
 * Look "4.2.2 mailbox full" (w's code and text) up in m; a result of the same
 * form replaces both.  A failure stays a failure and a success a success,
 * whatever the table says; the outcome follows the new code's class.  What
 * cannot be looked up, or makes no sense, is warned of under title and changes
 * nothing.  m may be NULL.
 */
void	 status_filter(struct maps *m, const char *title,
	    enum deliver_outcome *o, struct why *w);

#endif
