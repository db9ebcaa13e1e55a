/* SPDX-License-Identifier: ISC */
/*
 * upgrade - a login shows the password, and with it a weak hash can be made
 * a good one, and SCRAM's keys can be made.
 *
 * The work is done by one thread, after the login was answered, and not at
 * all when more than a few wait: the next login is another chance.
 */
#ifndef AUTHD_UPGRADE_H
#define AUTHD_UPGRADE_H

#include "authd/authd.h"

MUST_CHECK int upgrade_open(struct why *why);	/* before helpers_fork() */
void	 upgrade_start(struct loop *l);
/* The password was right for this account of authd_password_file. */
void	 upgrade_account(const struct account *a, struct span password);
/* An app password was used. */
void	 upgrade_app_used(const struct account *a,
	    const struct app_password *app);
/* Have the keeper write this to data_directory, for guard_file.c; false: it is
 * away. */
bool	 upgrade_keep_state(struct span text);

#endif
