/* SPDX-License-Identifier: ISC */
/*
 * quotad.h - private to quotad.
 */
#ifndef QUOTAD_QUOTAD_H
#define QUOTAD_QUOTAD_H

#include "base/why.h"
#include "io/sock.h"
#include "ipc/msg_quota.h"

/* --- answer.c: from an address to yes or no -------------------------------------- */

/* Open the tables; also for a reload.  -1 with why, nothing has changed. */
MUST_CHECK int answer_open(struct why *why);
void	 answer_ask(const struct quota_ask *q, struct quota_answer *a,
	    struct why *why);

/* --- session.c: the clients ------------------------------------------------------- */

void	 session_start(int fd, const struct sock_addr *peer, int index);

#endif
