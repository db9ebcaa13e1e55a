/* SPDX-License-Identifier: ISC */
/*
 * virtual - from a recipient's address to a mailbox.
 */
#ifndef LOCAL_VIRTUAL_H
#define LOCAL_VIRTUAL_H

#include "base/why.h"

/* The daemon's hooks: open the tables; only judge the settings; become the
 * one owner, if there is one, and start the agent. */
int	 virtual_pre_jail(struct why *why);
int	 virtual_check(struct why *why);
int	 virtual_start(struct why *why);

#endif
