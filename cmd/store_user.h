/* SPDX-License-Identifier: ISC */
/*
 * store_user - the mail of one user, for the administrator's commands.
 */
#ifndef CMD_STORE_USER_H
#define CMD_STORE_USER_H

#include "store/account.h"

/*
 * Open the account of "user@domain" (virtual) or "user" (of this system) after
 * mansio_load().  The process becomes that user for good.  Ends the program
 * with a line on standard error when it cannot.
 */
struct account *store_user_open(const char *user);
/* The box of a mailbox's name; ends the program when there is none. */
uint32_t store_user_box(struct account *a, const char *name);
/* Make all durable, close, and say how it went: the exit status.  rc is what
 * the command got so far, why what it says when that is not 0. */
int	 store_user_done(struct account **a, int rc, const struct why *why);

/*
 * Before store_user_open(), as root: user gives ident rights, so that sessions
 * of ident look for them.
 */
void	 store_user_share(const char *user, const char *ident);

#endif
