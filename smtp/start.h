/* SPDX-License-Identifier: ISC */
/*
 * start.h - what main() of smtp and of lmtp has in common.
 */
#ifndef SMTP_START_H
#define SMTP_START_H

#include "base/why.h"
#include "io/sock.h"

MUST_CHECK int smtp_pre_jail(bool lmtp, struct why *why);
int	 smtp_start(struct why *why);
void	 smtp_accept(int fd, const struct sock_addr *peer, int index);
void	 smtp_retire(void);

#endif
