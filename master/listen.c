/* SPDX-License-Identifier: ISC */
/*
 * listen - opening the sockets that clients come to.
 *
 * They stay open in master as long as the service exists, whatever becomes of
 * its processes: a client waits in the backlog and is never refused.
 */
#include "master/master.h"

#include <errno.h>
#include <unistd.h>

#include "base/log.h"
#include "io/fd.h"
#include "io/sock.h"

/* The kernel takes the smaller of this and net.core.somaxconn. */
#define BACKLOG	4096

int
listener_open(struct listener *l, struct why *why)
{
	if (l->addr.len != 0)
		l->fd = sock_listen_inet(&l->addr, BACKLOG, why);
	else	/* who may connect is decided by the folder it is in */
		l->fd = sock_listen_unix(l->text, 0666, BACKLOG, why);
	return l->fd < 0 ? -1 : 0;
}

void
listener_close(struct listener *l, bool unlink_name)
{
	loop_io_free(&l->io);
	if (l->fd >= 0 && unlink_name) {
		/*
		 * Its processes hold the socket too, until they notice.
		 * Nothing may come in over it any more, and the address has
		 * to be free for another service at once.
		 */
		(void)shutdown(l->fd, SHUT_RD);
		if (l->addr.len == 0 && unlink(l->text) < 0 &&
		    errno != ENOENT)
			log_warning("cannot remove %s: %m", l->text);
	}
	fd_close(&l->fd);
}
