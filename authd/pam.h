/* SPDX-License-Identifier: ISC */
/*
 * pam - system users' passwords, asked of PAM by processes of their own
 * (helper.h), because PAM's modules load libraries, wait, and need root's
 * rights to read shadow passwords.
 */
#ifndef AUTHD_PAM_H
#define AUTHD_PAM_H

#include "base/cc.h"
#include "base/span.h"
#include "base/why.h"
#include "io/loop.h"

struct pam_job;
/* right: 1 yes, 0 no, -1 PAM could not be asked.  Not after pam_cancel(). */
typedef void pam_fn(void *arg, int right);

/* Before helpers_fork(); nothing where authd_password_maps names no pam:. */
void	 pam_open(void);
/* Whether authd_pam_owner names somebody, where PAM is asked. */
MUST_CHECK int pam_check(struct why *why);
/* NULL: the processes are away, or too much is waiting. */
struct pam_job *pam_ask(const char *service, struct span user,
	    struct span password, const char *client, pam_fn *fn, void *arg);
void	 pam_cancel(struct pam_job **j);

#endif
