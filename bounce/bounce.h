/* SPDX-License-Identifier: ISC */
/*
 * bounce - the daemon's own structures: requests of qmgr (request.c) become
 * notices (report.c), which are handed to cleanup (daemon/submit.h).
 */
#ifndef BOUNCE_BOUNCE_H
#define BOUNCE_BOUNCE_H

#include "base/buf.h"
#include "conf/template.h"
#include "daemon/submit.h"
#include "io/loop.h"
#include "io/sock.h"

extern struct templates bounce_templates;

/* request.c */
void	 request_accept(int fd, const struct sock_addr *peer, int index);

#endif
