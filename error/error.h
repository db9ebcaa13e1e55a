/* SPDX-License-Identifier: ISC */
/*
 * error - transports that answer without delivering.
 *
 *	error	the next hop says why mail is returned: "5.1.1 no such user"
 *	retry	the same, but the mail is deferred: "4.3.2 not now"
 *	discard	the mail is thrown away as if delivered
 *
 * One program text under three names; a service called retry or discard that
 * runs error is told apart by its service name, as in Postfix's master.cf.
 */
#ifndef ERROR_ERROR_H
#define ERROR_ERROR_H

#include "base/cc.h"
#include "base/span.h"
#include "io/sock.h"
#include "ipc/msg_deliver.h"

enum error_way { ERROR_BOUNCE, ERROR_DEFER, ERROR_DISCARD };

/* What becomes of mail to this next hop. */
struct error_answer {
	enum deliver_outcome outcome;
	char		dsn[12];
	struct span	text;		/* part of nexthop */
};
struct error_answer error_parse(enum error_way way, struct span nexthop);

void	 error_init(enum error_way way);
void	 error_accept(int fd, const struct sock_addr *peer, int index);

#endif
