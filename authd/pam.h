/* SPDX-License-Identifier: ISC */
/*
 * pam - system users' passwords, asked of PAM by a process of its own.
 *
 * PAM's modules load libraries, wait, and need root's rights to read shadow
 * passwords: none of that can be done by authd itself.
 */
#ifndef AUTHD_PAM_H
#define AUTHD_PAM_H

#include "base/cc.h"
#include "base/span.h"
#include "io/loop.h"

struct pam_job;
/* right: 1 yes, 0 no, -1 PAM could not be asked.  Not after pam_cancel(). */
typedef void pam_fn(void *arg, int right);

/* NULL: the process is away, or too much is waiting. */
struct pam_job *pam_ask(const char *service, struct span user,
	    struct span password, const char *client, pam_fn *fn, void *arg);
void	 pam_cancel(struct pam_job **j);

#endif
